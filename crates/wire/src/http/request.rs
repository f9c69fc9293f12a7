//! Request heads.

use core::fmt;

use super::Status;

/// The longest head that is read, in bytes (request line, headers and empty line).
pub const LONGEST_HEAD: usize = 16 * 1024;
/// The most header lines that are read.
const MOST_HEADERS: usize = 64;

/// A request's method.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
    /// Any other.
    Other,
}

/// What a request head says. `Host` is not kept: firmware leaves the port out, so nothing may depend on it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path, percent-decoded, still with its leading `/` and not yet normalised.
    pub path: Vec<u8>,
    /// The query's pairs, percent-decoded; `+` stays itself, as no form is behind it.
    pub query: Vec<(String, String)>,
    /// Whether the connection stays open afterwards: HTTP/1.1 without `Connection: close`, HTTP/1.0 with `keep-alive`.
    pub keep_alive: bool,
    /// Whether it is HTTP/1.0, whose clients must be told that the connection stays open.
    pub is_http_1_0: bool,
    /// Length of the body in bytes.
    pub content_length: u64,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// `Range`.
    pub range: Option<String>,
    /// `If-Range`.
    pub if_range: Option<String>,
    /// `If-Match`.
    pub if_match: Option<String>,
    /// `If-None-Match`.
    pub if_none_match: Option<String>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Option<String>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<String>,
}

/// Why a request head is refused. The connection ends with it, as nobody knows where the next request would begin.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum HeadFault {
    /// It is longer than [`LONGEST_HEAD`] or has more than 64 headers.
    TooLong,
    /// It is not HTTP.
    Syntax,
    /// It is HTTP of a version that is not 1.0 or 1.1.
    Version,
    /// The target is not a path (or URL), or holds a broken percent-encoding.
    Target,
    /// `Content-Length` is not one number.
    ContentLength,
    /// It has a `Transfer-Encoding`.
    TransferEncoding,
}

impl HeadFault {
    /// The status that tells the client.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::TooLong => Status::HeadersTooLarge,
            Self::Syntax | Self::Target | Self::ContentLength => Status::BadRequest,
            Self::Version => Status::VersionNotSupported,
            Self::TransferEncoding => Status::NotImplemented,
        }
    }
}

impl fmt::Display for HeadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the request head is longer than 16 KiB or has more than 64 headers",
            Self::Syntax => "the request head is not HTTP",
            Self::Version => "the request is not HTTP/1.0 or HTTP/1.1",
            Self::Target => "the request target is not a path",
            Self::ContentLength => "the Content-Length header is not one number",
            Self::TransferEncoding => "the request has a Transfer-Encoding",
        })
    }
}

impl core::error::Error for HeadFault {}

impl Request {
    /// Reads the head at the start of what has been received so far: the request and the length of its head in bytes, or nothing
    /// while it is not complete.
    ///
    /// # Errors
    /// What is wrong with it; also as soon as it is sure to be too long.
    pub fn decode(received: &[u8]) -> Result<Option<(Self, usize)>, HeadFault> {
        let window = received.get(..LONGEST_HEAD).unwrap_or(received);
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut head = httparse::Request::new(&mut headers);
        let length = match head.parse(window) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if received.len() >= LONGEST_HEAD => return Err(HeadFault::TooLong),
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(HeadFault::TooLong),
            Err(httparse::Error::Version) => return Err(HeadFault::Version),
            Err(_) => return Err(HeadFault::Syntax),
        };
        let method = match head.method {
            Some("GET") => Method::Get,
            Some("HEAD") => Method::Head,
            Some("POST") => Method::Post,
            _ => Method::Other,
        };
        let is_http_1_0 = head.version == Some(0);
        let (path, query) = target(head.path.unwrap_or_default()).ok_or(HeadFault::Target)?;
        let mut request = Self {
            method,
            path,
            query,
            keep_alive: !is_http_1_0,
            is_http_1_0,
            content_length: 0,
            expects_continue: false,
            range: None,
            if_range: None,
            if_match: None,
            if_none_match: None,
            if_unmodified_since: None,
            if_modified_since: None,
        };
        let mut body = None;
        for header in head.headers {
            request.take(header.name, header.value, &mut body)?;
        }
        request.content_length = body.unwrap_or(0);
        Ok(Some((request, length)))
    }

    fn take(&mut self, name: &str, value: &[u8], body: &mut Option<u64>) -> Result<(), HeadFault> {
        // A value that is not text is no value that we look for.
        let value = core::str::from_utf8(value).unwrap_or_default().trim();
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        if is("connection") {
            for word in value.split(',').map(str::trim) {
                if word.eq_ignore_ascii_case("close") {
                    self.keep_alive = false;
                } else if word.eq_ignore_ascii_case("keep-alive") && self.is_http_1_0 {
                    self.keep_alive = true;
                }
            }
        } else if is("content-length") {
            let length = value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok()).flatten();
            let length = length.ok_or(HeadFault::ContentLength)?;
            if body.replace(length).is_some_and(|before| before != length) {
                return Err(HeadFault::ContentLength);
            }
        } else if is("transfer-encoding") {
            return Err(HeadFault::TransferEncoding);
        } else if is("expect") {
            self.expects_continue = value.eq_ignore_ascii_case("100-continue");
        } else {
            self.take_condition(name, value);
        }
        Ok(())
    }

    /// Keeps a range or precondition; the lists among them may come in several lines (RFC 9110 §5.3).
    fn take_condition(&mut self, name: &str, value: &str) {
        let (place, is_list) = match () {
            () if name.eq_ignore_ascii_case("range") => (&mut self.range, true),
            () if name.eq_ignore_ascii_case("if-match") => (&mut self.if_match, true),
            () if name.eq_ignore_ascii_case("if-none-match") => (&mut self.if_none_match, true),
            () if name.eq_ignore_ascii_case("if-range") => (&mut self.if_range, false),
            () if name.eq_ignore_ascii_case("if-unmodified-since") => (&mut self.if_unmodified_since, false),
            () if name.eq_ignore_ascii_case("if-modified-since") => (&mut self.if_modified_since, false),
            () => return,
        };
        match place {
            Some(before) if is_list => {
                before.push_str(", ");
                before.push_str(value);
            }
            _ => *place = Some(value.to_owned()),
        }
    }

    /// The first value of a key in the query.
    #[must_use]
    pub fn query(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

type Target = (Vec<u8>, Vec<(String, String)>);

/// Path and query of a request target in origin form (`/path?query`) or absolute form (`http://host/path?query`).
fn target(text: &str) -> Option<Target> {
    let origin = if text.starts_with('/') {
        text
    } else {
        let (scheme, rest) = text.split_once("://")?;
        if !scheme.eq_ignore_ascii_case("http") {
            return None;
        }
        rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
    };
    let (path, query) = origin.split_once('?').unwrap_or((origin, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let text = |raw: &str| percent_decode(raw).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Some((text(key)?, text(value)?))
    });
    Some((percent_decode(path)?, pairs.collect::<Option<_>>()?))
}

/// RFC 3986 §2.1; none where a `%` is not followed by two hexadecimal digits.
fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit =
            || bytes.next().and_then(|byte| char::from(byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok());
        let (high, low) = (digit()?, digit()?);
        decoded.push(high << 4 | low);
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(text: &str) -> Request {
        let (request, length) = Request::decode(text.as_bytes()).unwrap().unwrap();
        assert_eq!(length, text.len());
        request
    }

    #[test]
    fn what_edk2_sends_is_read() {
        let head = "HEAD /image/lab/uki.efi HTTP/1.1\r\nHost: 10.77.0.1\r\nAccept: */*\r\nUser-Agent: UefiHttpBoot/1.0\r\n\r\n";
        let request = decode(head);
        assert_eq!((request.method, request.path.as_slice()), (Method::Head, &b"/image/lab/uki.efi"[..]));
        assert!(request.keep_alive && !request.is_http_1_0 && request.query.is_empty());
    }

    #[test]
    fn ipxes_query_is_decoded() {
        let request = decode("GET /boot.ipxe?mac=52%3A54%3A00%3a12%3A34%3A56&uuid=&x&a+b=%26%3d HTTP/1.1\r\n\r\n");
        assert_eq!(request.query("mac"), Some("52:54:00:12:34:56"));
        assert_eq!((request.query("uuid"), request.query("x"), request.query("y")), (Some(""), Some(""), None));
        assert_eq!(request.query("a+b"), Some("&="));
    }

    #[test]
    fn the_connection_is_kept_as_each_version_says() {
        for (line, keep) in [
            ("HTTP/1.1\r\n", true),
            ("HTTP/1.1\r\nConnection: close\r\n", false),
            ("HTTP/1.1\r\nCONNECTION: Upgrade, Close\r\n", false),
            ("HTTP/1.0\r\n", false),
            ("HTTP/1.0\r\nConnection: Keep-Alive\r\n", true),
        ] {
            assert_eq!(decode(&format!("GET / {line}\r\n")).keep_alive, keep, "{line:?}");
        }
    }

    #[test]
    fn targets_in_both_forms_lead_to_the_path() {
        for (target, path) in [
            ("/", "/"),
            ("/a%20b/%c3%a4", "/a b/ä"),
            ("//a/../b", "//a/../b"),
            ("http://10.0.0.1/x?y", "/x"),
            ("HTTP://10.0.0.1", "/"),
            ("/a%00b", "/a\0b"),
        ] {
            assert_eq!(decode(&format!("GET {target} HTTP/1.1\r\n\r\n")).path, path.as_bytes(), "{target}");
        }
    }

    #[test]
    fn conditions_are_kept_and_lists_joined() {
        let request = decode(
            "GET / HTTP/1.1\r\nrange: bytes=0-1\r\nIF-MATCH: \"a\"\r\nIf-Match: \"b\"\r\nIf-Range: \"c\"\r\n\
             If-None-Match: W/\"d\"\r\nIf-Unmodified-Since: x\r\nIf-Modified-Since: y\r\nContent-Length: 3\r\n\
             content-length: 3\r\nExpect: 100-Continue\r\n\r\n",
        );
        let all = [&request.range, &request.if_match, &request.if_range, &request.if_none_match];
        assert_eq!(all.map(|value| value.as_deref().unwrap()), ["bytes=0-1", "\"a\", \"b\"", "\"c\"", "W/\"d\""]);
        assert_eq!(
            (request.if_unmodified_since.as_deref(), request.if_modified_since.as_deref()),
            (Some("x"), Some("y"))
        );
        assert!(request.content_length == 3 && request.expects_continue);
    }

    #[test]
    fn what_is_no_request_is_refused_by_name() {
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65));
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(LONGEST_HEAD));
        for (text, fault) in [
            ("\0\0\0\0\r\n\r\n", HeadFault::Syntax),
            ("GET / HTTP/1.1\r\nno colon\r\n\r\n", HeadFault::Syntax),
            ("GET / HTTP/1.1\r\na : b\r\n\r\n", HeadFault::Syntax),
            ("GET / HTTP/2.0\r\n\r\n", HeadFault::Version),
            ("GET * HTTP/1.1\r\n\r\n", HeadFault::Target),
            ("GET ftp://x/ HTTP/1.1\r\n\r\n", HeadFault::Target),
            ("GET /%4 HTTP/1.1\r\n\r\n", HeadFault::Target),
            ("GET /?x=%zz HTTP/1.1\r\n\r\n", HeadFault::Target),
            ("POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n", HeadFault::ContentLength),
            ("POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\n", HeadFault::ContentLength),
            ("POST / HTTP/1.1\r\nContent-Length: \r\n\r\n", HeadFault::ContentLength),
            ("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", HeadFault::ContentLength),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", HeadFault::ContentLength),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", HeadFault::TransferEncoding),
            (&many, HeadFault::TooLong),
            (&long, HeadFault::TooLong),
        ] {
            assert_eq!(Request::decode(text.as_bytes()), Err(fault), "{}", text.get(..60).unwrap_or(text));
        }
    }

    #[test]
    fn every_truncation_is_incomplete_and_what_follows_is_left_alone() {
        let head = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nRange: bytes=0-\r\n\r\n";
        for end in 0..head.len() {
            assert_eq!(Request::decode(&head[..end]), Ok(None), "{end}");
        }
        let pipelined = [&head[..], b"GET /next HTTP/1.1\r\n"].concat();
        assert_eq!(Request::decode(&pipelined).unwrap().map(|(_, length)| length), Some(head.len()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Request::decode(&bytes);
        }

        #[test]
        fn no_target_makes_it_panic(target in "[ -~]{0,80}", value in "[ -~]{0,40}") {
            let _ = Request::decode(format!("GET /{target} HTTP/1.1\r\nRange: {value}\r\n\r\n").as_bytes());
        }
    }
}
