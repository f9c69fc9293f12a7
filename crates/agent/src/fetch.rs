//! Images, from whichever source has them: fetched by digest over plain HTTP, for what arrives is verified, and sources need no trust.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use slipway_trust::Digest;

use crate::h1;
use crate::http::Url;

/// How long a source may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long it may be silent.
const SILENCE: Duration = Duration::from_secs(15);
/// How often one source may break off and go on.
const RESUMPTIONS: u32 = 8;
/// A source that is slower than this, in bytes a second, is given up.
const SLOWEST: u64 = 16 * 1024;
/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blob {
    pub(crate) sha256: Digest,
    /// In bytes.
    pub(crate) size: u64,
}

/// Where bytes go as they come.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), String>;

/// Fetches all of a blob from one source, going on where the connection broke off.
///
/// # Errors
/// In words: why it was given up. What the sink got is then incomplete.
pub(crate) fn from_source(source: &str, blob: &Blob, sink: Sink<'_>) -> Result<(), String> {
    let url = format!("{}/blob/sha256/{}", source.trim_end_matches('/'), blob.sha256);
    let url = Url::parse(&url).ok_or("not a source of the form http://IP:PORT")?;
    let patience = Duration::from_secs(30_u64.saturating_add(blob.size / SLOWEST));
    let start = Instant::now();
    let mut done = 0;
    let mut last = String::new();
    for _ in 0..=RESUMPTIONS {
        let before = done;
        match go_on(&url, blob, &mut done, sink, start, patience) {
            Ok(()) => return Ok(()),
            Err(Broken::Final(reason)) => return Err(reason),
            Err(Broken::Off(reason)) => last = reason,
        }
        if done == before || start.elapsed() > patience {
            break;
        }
    }
    Err(format!("{last}, after {done} of {} bytes", blob.size))
}

/// Why a transfer ended.
enum Broken {
    /// The connection: what came so far may be good.
    Off(String),
    /// The source does not have it, or says nonsense.
    Final(String),
}

fn go_on(
    url: &Url<'_>,
    blob: &Blob,
    done: &mut u64,
    sink: Sink<'_>,
    start: Instant,
    patience: Duration,
) -> Result<(), Broken> {
    let off = |error: std::io::Error| Broken::Off(h1::in_words(&error));
    let mut stream = TcpStream::connect_timeout(&url.address, CONNECT).map_err(off)?;
    stream.set_read_timeout(Some(SILENCE)).and_then(|()| stream.set_write_timeout(Some(SILENCE))).map_err(off)?;
    stream.write_all(request(url, *done).as_bytes()).map_err(off)?;
    let mut buffer = Vec::new();
    let head = h1::read_head(&mut stream, &mut buffer).map_err(Broken::Off)?;
    let from = match head.status {
        200 => 0,
        206 => head.from.ok_or_else(|| Broken::Final("a part that does not say which".to_owned()))?,
        404 => return Err(Broken::Final("the source does not have it".to_owned())),
        status => return Err(Broken::Final(format!("the source answers {status}"))),
    };
    // A source that starts over instead of going on: what is known already is passed over.
    let mut skip = done.checked_sub(from).ok_or_else(|| Broken::Final("the source leaves something out".to_owned()))?;
    let whole = head.length.and_then(|length| length.checked_add(from));
    if whole.is_some_and(|whole| whole != blob.size) {
        let told = whole.unwrap_or(0);
        return Err(Broken::Final(format!("it has {told} bytes there, and {} were promised", blob.size)));
    }
    let mut piece = vec![0; PIECE];
    let mut got = core::mem::take(&mut buffer);
    while *done < blob.size {
        if got.is_empty() {
            let length = stream.read(&mut piece).map_err(off)?;
            got.extend_from_slice(piece.get(..length).unwrap_or_default());
            if got.is_empty() {
                return Err(Broken::Off("the source hung up".to_owned()));
            }
        }
        let drop = usize::try_from(skip).unwrap_or(usize::MAX).min(got.len());
        got.drain(..drop);
        skip = skip.saturating_sub(u64::try_from(drop).unwrap_or(u64::MAX));
        let left = usize::try_from(blob.size.saturating_sub(*done)).unwrap_or(usize::MAX);
        got.truncate(left);
        sink(&got).map_err(Broken::Final)?;
        *done = done.saturating_add(u64::try_from(got.len()).unwrap_or(u64::MAX));
        got.clear();
        if start.elapsed() > patience {
            return Err(Broken::Final("the source is too slow".to_owned()));
        }
    }
    Ok(())
}

fn request(url: &Url<'_>, from: u64) -> String {
    let range = if from == 0 { String::new() } else { format!("Range: bytes={from}-\r\n") };
    format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: slipway-agent/{}\r\n{range}Connection: close\r\n\r\n",
        url.path,
        url.authority,
        env!("CARGO_PKG_VERSION"),
    )
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A source that answers each request with the next of these; what it was asked comes back.
    fn source(answers: Vec<Vec<u8>>) -> (String, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let reader = BufReader::new(stream.try_clone().unwrap());
                let lines: Vec<String> =
                    reader.lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
                asked.push(lines.join("\n"));
                // A client that has heard enough may hang up.
                let _ = stream.write_all(&answer);
            }
            asked
        });
        (url, server)
    }

    fn blob() -> Blob {
        Blob { sha256: Digest::of(b"hello world"), size: 11 }
    }

    fn fetched(answers: &[&[u8]]) -> (Result<(), String>, Vec<u8>, Vec<String>) {
        let (url, server) = source(answers.iter().map(|answer| answer.to_vec()).collect());
        let mut out = Vec::new();
        let result = from_source(&url, &blob(), &mut |piece| {
            out.extend_from_slice(piece);
            Ok(())
        });
        (result, out, server.join().unwrap())
    }

    #[test]
    fn a_transfer_that_breaks_off_goes_on_where_it_was() {
        let (result, out, asked) = fetched(&[
            b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello",
            b"HTTP/1.1 206 Partial Content\r\nContent-Length: 6\r\nContent-Range: bytes 5-10/11\r\n\r\n world",
        ]);
        assert_eq!((result, out.as_slice()), (Ok(()), &b"hello world"[..]));
        assert!(
            asked[0].starts_with(&format!("GET /blob/sha256/{} HTTP/1.1", blob().sha256))
                && !asked[0].contains("Range")
        );
        assert!(asked[1].contains("Range: bytes=5-"), "{}", asked[1]);
    }

    #[test]
    fn a_source_that_knows_no_ranges_starts_over_and_nothing_comes_twice() {
        let (result, out, _) = fetched(&[
            b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
        ]);
        assert_eq!((result, out.as_slice()), (Ok(()), &b"hello world"[..]));
    }

    #[test]
    fn a_source_that_has_something_else_is_given_up_at_once() {
        for (answer, reason) in [
            (&b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"[..], "does not have it"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello world!", "12 bytes there, and 11 were promised"),
            (b"HTTP/1.1 500 Oops\r\n\r\n", "answers 500"),
            (b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 3-10/11\r\n\r\nlo world", "leaves something out"),
        ] {
            let (result, out, _) = fetched(&[answer]);
            assert!(result.clone().unwrap_err().contains(reason), "{result:?}");
            assert_eq!(out, b"");
        }
    }

    #[test]
    fn more_than_was_promised_is_not_taken() {
        let (result, out, _) = fetched(&[b"HTTP/1.1 200 OK\r\n\r\nhello world and more"]);
        assert_eq!((result, out.as_slice()), (Ok(()), &b"hello world"[..]));
    }
}
