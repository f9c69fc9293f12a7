//! What is needed of HTTP/1.1 to read one answer: its head, and then as many bytes as it says.

use std::io::Read;

/// The longest head that is read, in bytes.
const LONGEST_HEAD: usize = 8 * 1024;
/// The most fields of a head.
const MOST_FIELDS: usize = 48;

/// An answer's head.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Head {
    /// Its status code.
    pub(crate) status: u16,
    /// How long its body says to be.
    pub(crate) length: Option<u64>,
    /// Where a partial body begins.
    pub(crate) from: Option<u64>,
    /// Whether the server will answer again on this connection.
    pub(crate) stays: bool,
}

/// Reads an answer's head. `buffer` holds what came behind the last answer, and afterwards what came behind this head.
pub(crate) fn read_head(stream: &mut impl Read, buffer: &mut Vec<u8>) -> Result<Head, String> {
    loop {
        if let Some((head, length)) = decode(buffer)? {
            buffer.drain(..length);
            return Ok(head);
        }
        if buffer.len() > LONGEST_HEAD {
            return Err("the server's answer has a head without end".to_owned());
        }
        read_more(stream, buffer)?;
    }
}

/// Reads an answer's body of this length.
pub(crate) fn read_body(stream: &mut impl Read, buffer: &mut Vec<u8>, length: usize) -> Result<Vec<u8>, String> {
    while buffer.len() < length {
        read_more(stream, buffer)?;
    }
    let rest = buffer.split_off(length);
    Ok(core::mem::replace(buffer, rest))
}

fn read_more(stream: &mut impl Read, buffer: &mut Vec<u8>) -> Result<(), String> {
    let mut piece = [0; 4096];
    match stream.read(&mut piece) {
        Ok(0) => Err("the server hung up".to_owned()),
        Ok(got) => {
            buffer.extend_from_slice(piece.get(..got).unwrap_or_default());
            Ok(())
        }
        Err(error) => Err(in_words(&error)),
    }
}

/// An error of a connection.
pub(crate) fn in_words(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "no answer in time".to_owned(),
        ErrorKind::UnexpectedEof => "the server hung up".to_owned(),
        _ => error.to_string(),
    }
}

/// A head and its length, once it is whole.
fn decode(bytes: &[u8]) -> Result<Option<(Head, usize)>, String> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(bytes).map_err(|_| "the server's answer is not HTTP".to_owned())?;
    let (httparse::Status::Complete(length), Some(status)) = (parsed, response.code) else { return Ok(None) };
    let field = |name: &str| {
        let mut those = response.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        let value = those.next().and_then(|field| core::str::from_utf8(field.value).ok()).map(str::trim);
        value.filter(|_| those.next().is_none())
    };
    let from = field("content-range").and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
    let closes = field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let stays = response.version == Some(1) && !closes;
    let length_told = field("content-length").and_then(|length| length.parse().ok());
    Ok(Some((Head { status, length: length_told, from, stays }, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that gives one byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            (buffer[0], self.0) = (*first, rest);
            Ok(1)
        }
    }

    #[test]
    fn answers_are_read_one_after_the_other_however_they_come() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 206 Partial\r\ncontent-length: 2\r\n\
                     Content-Range: bytes 3-4/5\r\nConnection: close\r\n\r\nlo";
        let (mut stream, mut buffer) = (Slow(text), Vec::new());
        let head = read_head(&mut stream, &mut buffer).unwrap();
        assert_eq!(head, Head { status: 200, length: Some(5), from: None, stays: true });
        assert_eq!(read_body(&mut stream, &mut buffer, 5).unwrap(), b"hello");
        let head = read_head(&mut stream, &mut buffer).unwrap();
        assert_eq!(head, Head { status: 206, length: Some(2), from: Some(3), stays: false });
        assert_eq!(read_body(&mut stream, &mut buffer, 2).unwrap(), b"lo");
        assert!(read_head(&mut stream, &mut buffer).unwrap_err().contains("hung up"));
    }

    #[test]
    fn what_is_no_answer_is_told() {
        for text in [&b"SSH-2.0-OpenSSH\r\n\r\n"[..], b"HTTP/1.1 abc\r\n\r\n", b"\x16\x03\x01"] {
            assert!(read_head(&mut Slow(text), &mut Vec::new()).is_err(), "{text:?}");
        }
        let endless = [b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &[b'a'; 20_000]].concat();
        assert!(read_head(&mut endless.as_slice(), &mut Vec::new()).unwrap_err().contains("without end"));
    }

    #[test]
    fn a_length_that_is_said_twice_is_none() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n";
        assert_eq!(read_head(&mut text.as_slice(), &mut Vec::new()).unwrap().length, None);
    }
}
