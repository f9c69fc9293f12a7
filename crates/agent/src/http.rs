//! One HTTP/1.1 POST, over `std` alone: the report is the only thing that is said in plain text.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

const TRIES: u32 = 3;
const TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);

/// An `http` URL with an IP literal for its host: DHCP servers hand out no others, so the agent needs no name service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Url<'a> {
    pub(crate) address: SocketAddr,
    /// Host and port as written, for the `Host` field.
    pub(crate) authority: &'a str,
    pub(crate) path: &'a str,
}

impl<'a> Url<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        // What would end the request line early is no URL.
        if text.bytes().any(|byte| !(0x21..=0x7e).contains(&byte)) {
            return None;
        }
        let rest = text.strip_prefix("http://")?;
        let slash = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(slash)?;
        let address = authority.parse().ok();
        let address =
            address.or_else(|| Some(SocketAddr::new(authority.trim_matches(['[', ']']).parse().ok()?, 80)))?;
        Some(Self { address, authority, path: if path.is_empty() { "/" } else { path } })
    }
}

/// Posts a text, in at most three tries. The error says why the last one failed.
pub(crate) fn post(url: &str, body: &str) -> Result<(), String> {
    post_patiently(url, body, PAUSE)
}

fn post_patiently(url: &str, body: &str, pause: Duration) -> Result<(), String> {
    let url = Url::parse(url).ok_or("not a URL of the form http://IP:PORT/PATH")?;
    let mut last = String::new();
    for attempt in 0..TRIES {
        if attempt > 0 {
            thread::sleep(pause);
        }
        match post_once(&url, body) {
            Ok(status) if (200..300).contains(&status) => return Ok(()),
            Ok(status) => last = format!("the server answers {status}"),
            Err(error) => last = error.to_string(),
        }
    }
    Err(format!("{last} (tried {TRIES} times)"))
}

/// One try: the status the server answers with.
fn post_once(url: &Url<'_>, body: &str) -> io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&url.address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: slipway-agent/{}\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        url.path,
        url.authority,
        env!("CARGO_PKG_VERSION"),
        body.len(),
    );
    stream.write_all(request.as_bytes())?;
    // The status line is all that matters; a server that sends without end is cut off, one that does not hang up is left.
    let mut head = Vec::new();
    BufReader::new(stream.take(1024)).read_until(b'\n', &mut head)?;
    status(head.trim_ascii_end())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the server's answer is not HTTP"))
}

/// The status code in the first line of an HTTP/1 answer.
fn status(head: &[u8]) -> Option<u16> {
    let mut words = core::str::from_utf8(head).ok()?.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn urls_with_an_address_are_read_and_others_are_not() {
        let url = Url::parse("http://10.0.0.1:8067/agent/report").unwrap();
        assert_eq!((url.address, url.path), ("10.0.0.1:8067".parse().unwrap(), "/agent/report"));
        assert_eq!(Url::parse("http://10.0.0.1").unwrap().address, "10.0.0.1:80".parse().unwrap());
        assert_eq!(Url::parse("http://[fd00::1]:81/x").unwrap().address, "[fd00::1]:81".parse().unwrap());
        assert_eq!(Url::parse("http://[fd00::1]/x").unwrap().address, "[fd00::1]:80".parse().unwrap());
        for bad in
            ["https://10.0.0.1/", "http://host/", "http:///x", "", "http://10.0.0.1/a b", "http://10.0.0.1/\r\nX: y"]
        {
            assert_eq!(Url::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_status_line_is_read() {
        assert_eq!(status(b"HTTP/1.1 204 No Content"), Some(204));
        assert_eq!(status(b"HTTP/1.1 500"), Some(500));
        for bad in [&b""[..], b"SSH-2.0-x", b"HTTP/1.1", b"HTTP/1.1 abc", b"\xff\xff"] {
            assert_eq!(status(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_report_arrives_whole_after_a_server_that_failed_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/agent/report", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let mut bodies = Vec::new();
            let mut open = Vec::new();
            for answer in ["HTTP/1.1 503 Busy\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut length = 0;
                for line in reader.by_ref().lines() {
                    let line = line.unwrap();
                    if let Some(value) = line.strip_prefix("Content-Length: ") {
                        length = value.parse().unwrap();
                    }
                    if line.is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                bodies.push(String::from_utf8(body).unwrap());
                stream.write_all(answer.as_bytes()).unwrap();
                // A server that does not hang up must not make the agent wait.
                open.push(stream);
            }
            (bodies, open)
        });
        assert_eq!(post_patiently(&url, "mac=1\nuuid=2\n", Duration::ZERO), Ok(()));
        assert_eq!(server.join().unwrap().0, ["mac=1\nuuid=2\n", "mac=1\nuuid=2\n"]);
    }

    #[test]
    fn a_server_that_is_not_there_is_named_in_the_reason() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let reason = post_patiently(&format!("http://{free}/x"), "", Duration::ZERO).unwrap_err();
        assert!(reason.contains("refused") && reason.contains("3 times"), "{reason}");
    }
}
