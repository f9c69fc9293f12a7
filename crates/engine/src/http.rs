//! What part of a file an HTTP request is answered with: preconditions and ranges (RFC 9110 §13 and §14) for content that is whole,
//! of known length and never encoded.

use core::ops::Range;

use slipway_wire::http::{Method, Request, Status, date_of, render_date};

/// A file as HTTP describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stored {
    /// Its size in bytes.
    pub size: u64,
    /// Its strong entity tag, with the quotes.
    pub etag: String,
    /// When it was last modified, in seconds since the Unix epoch.
    pub modified: u64,
    /// Its media type.
    pub content_type: &'static str,
}

/// The answer: a status, its headers but those of the connection, and the bytes of the file that follow.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// The status.
    pub status: Status,
    /// Headers in order.
    pub headers: Vec<(&'static str, String)>,
    /// The bytes to send after the head; none for HEAD and where the status has no content.
    pub body: Range<u64>,
}

/// Plans the answer to a GET or HEAD.
#[must_use]
pub fn plan(request: &Request, stored: &Stored) -> Plan {
    match precondition(request, stored) {
        Some(Status::NotModified) => {
            return Plan { status: Status::NotModified, headers: validators(stored), body: 0..0 };
        }
        Some(status) => return Plan { status, headers: vec![("Content-Length", "0".to_owned())], body: 0..0 },
        None => {}
    }
    let asked = match wanted(request, stored) {
        Wanted::Whole => None,
        Wanted::Part(range) => Some(range),
        Wanted::Nothing => {
            let headers =
                vec![("Content-Range", format!("bytes */{}", stored.size)), ("Content-Length", "0".to_owned())];
            return Plan { status: Status::RangeNotSatisfiable, headers, body: 0..0 };
        }
    };
    let status = if asked.is_some() { Status::PartialContent } else { Status::Ok };
    let mut headers = vec![("Content-Type", stored.content_type.to_owned())];
    if let Some(range) = &asked {
        headers
            .push(("Content-Range", format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), stored.size)));
    }
    let body = asked.unwrap_or(0..stored.size);
    headers.push(("Content-Length", body.end.saturating_sub(body.start).to_string()));
    headers.push(("Accept-Ranges", "bytes".to_owned()));
    headers.extend(validators(stored));
    Plan { status, headers, body: if request.method == Method::Head { 0..0 } else { body } }
}

fn validators(stored: &Stored) -> Vec<(&'static str, String)> {
    vec![("ETag", stored.etag.clone()), ("Last-Modified", render_date(stored.modified))]
}

/// The status that a precondition demands instead of the content, in the order of RFC 9110 §13.2.2.
fn precondition(request: &Request, stored: &Stored) -> Option<Status> {
    if let Some(list) = &request.if_match {
        if !listed(list, &stored.etag, Comparison::Strong) {
            return Some(Status::PreconditionFailed);
        }
    } else if let Some(date) = request.if_unmodified_since.as_deref().and_then(date_of)
        && stored.modified > date
    {
        return Some(Status::PreconditionFailed);
    }
    if let Some(list) = &request.if_none_match {
        return listed(list, &stored.etag, Comparison::Weak).then_some(Status::NotModified);
    }
    let since = request.if_modified_since.as_deref().and_then(date_of)?;
    (stored.modified <= since).then_some(Status::NotModified)
}

/// RFC 9110 §8.8.3.2: a strong comparison holds between strong tags only, a weak one disregards `W/`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a list of entity tags holds ours. It is split at commas, which ours does not contain.
fn listed(list: &str, etag: &str, comparison: Comparison) -> bool {
    list.split(',').map(str::trim).any(|tag| match (tag, comparison) {
        ("*", _) => true,
        (tag, Comparison::Strong) => tag == etag,
        (tag, Comparison::Weak) => tag.strip_prefix("W/").unwrap_or(tag) == etag,
    })
}

/// What a request wants of a file.
enum Wanted {
    Whole,
    Part(Range<u64>),
    Nothing,
}

/// A range counts for GET only, one at a time; several at once and all that is no byte range are answered with the whole, as §14.2
/// allows. `If-Range` makes it count only while the content is the one that the client has a part of.
fn wanted(request: &Request, stored: &Stored) -> Wanted {
    let Some(range) = request.range.as_deref().filter(|_| request.method == Method::Get) else { return Wanted::Whole };
    let is_same = |condition: &str| condition == stored.etag || date_of(condition) == Some(stored.modified);
    if !request.if_range.as_deref().is_none_or(is_same) {
        return Wanted::Whole;
    }
    let Some(spec) = byte_range(range) else { return Wanted::Whole };
    match spec {
        Spec::From(first, _) if first >= stored.size => Wanted::Nothing,
        Spec::From(first, last) => Wanted::Part(first..last.saturating_add(1).min(stored.size)),
        Spec::Last(0) => Wanted::Nothing,
        // The last bytes of nothing are nothing, and Content-Range cannot say that.
        Spec::Last(_) if stored.size == 0 => Wanted::Whole,
        Spec::Last(length) => Wanted::Part(stored.size.saturating_sub(length)..stored.size),
    }
}

/// One byte range (§14.1.2).
enum Spec {
    /// `first-last`, both included, or `first-` to the end.
    From(u64, u64),
    /// `-length`: the last bytes.
    Last(u64),
}

/// Reads a `Range` of one byte range; none for anything else, a last byte before the first included.
fn byte_range(text: &str) -> Option<Spec> {
    let (unit, set) = text.split_once('=')?;
    let (first, last) = set.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    match (first, last) {
        ("", length) => Some(Spec::Last(number(length)?)),
        (first, "") => Some(Spec::From(number(first)?, u64::MAX)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From(first, last))
        }
    }
}

/// A decimal number; one that is too large for us is larger than any file too.
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

/// The media type by a path's extension. UEFI HTTP Boot goes by these three of EFI, and by the extension where it gets another.
#[must_use]
pub fn content_type(path: &str) -> &'static str {
    let extension =
        path.rsplit('/').next().and_then(|file| file.rsplit_once('.')).map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "efi" => "application/efi",
        "iso" => "application/vnd.efi-iso",
        "img" => "application/vnd.efi-img",
        "ipxe" | "cfg" | "txt" | "conf" | "ks" => "text/plain",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn stored(size: u64) -> Stored {
        Stored { size, etag: "\"abc\"".into(), modified: 784_111_777, content_type: "application/efi" }
    }

    fn request(method: &str, headers: &str) -> Request {
        Request::decode(format!("{method} / HTTP/1.1\r\n{headers}\r\n").as_bytes()).unwrap().unwrap().0
    }

    fn outcome(method: &str, headers: &str, size: u64) -> (u16, Range<u64>) {
        let plan = plan(&request(method, headers), &stored(size));
        (plan.status.code(), plan.body)
    }

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        for (range, size, wanted) in [
            ("bytes=0-", 1000, (206, 0..1000)),
            ("bytes=0-0", 1000, (206, 0..1)),
            ("bytes=0-499", 1000, (206, 0..500)),
            ("bytes=500-999", 1000, (206, 500..1000)),
            ("bytes=500-1000", 1000, (206, 500..1000)),
            ("bytes=999-", 1000, (206, 999..1000)),
            ("bytes=-1", 1000, (206, 999..1000)),
            ("bytes=-1000", 1000, (206, 0..1000)),
            ("bytes=-2000", 1000, (206, 0..1000)),
            ("BYTES = 1-2", 1000, (206, 1..3)),
            ("bytes=5-99999999999999999999999", 1000, (206, 5..1000)),
            ("bytes=1000-", 1000, (416, 0..0)),
            ("bytes=1000-2000", 1000, (416, 0..0)),
            ("bytes=99999999999999999999999-", 1000, (416, 0..0)),
            ("bytes=-0", 1000, (416, 0..0)),
            ("bytes=0-", 0, (416, 0..0)),
            ("bytes=-5", 0, (200, 0..0)),
            ("bytes=5-2", 1000, (200, 0..1000)),
            ("bytes=0-1,5-6", 1000, (200, 0..1000)),
            ("bytes=0-1, -1", 1000, (200, 0..1000)),
            ("bytes=-", 1000, (200, 0..1000)),
            ("bytes=", 1000, (200, 0..1000)),
            ("bytes=a-b", 1000, (200, 0..1000)),
            ("bytes=+1-2", 1000, (200, 0..1000)),
            ("bytes=1-2-3", 1000, (200, 0..1000)),
            ("lines=1-2", 1000, (200, 0..1000)),
            ("", 1000, (200, 0..1000)),
        ] {
            assert_eq!(outcome("GET", &format!("Range: {range}\r\n"), size), wanted, "{range} of {size}");
        }
    }

    #[test]
    fn conditions_decide_in_the_rfcs_order() {
        for (headers, wanted) in [
            (String::new(), 200),
            ("If-Match: \"abc\"".into(), 200),
            ("If-Match: *".into(), 200),
            ("If-Match: \"x\", \"abc\"".into(), 200),
            ("If-Match: \"x\"".into(), 412),
            ("If-Match: W/\"abc\"".into(), 412),
            (format!("If-Match: \"abc\"\r\nIf-Unmodified-Since: {EARLIER}"), 200),
            (format!("If-Unmodified-Since: {DATE}"), 200),
            (format!("If-Unmodified-Since: {LATER}"), 200),
            (format!("If-Unmodified-Since: {EARLIER}"), 412),
            ("If-Unmodified-Since: yesterday".into(), 200),
            ("If-None-Match: \"abc\"".into(), 304),
            ("If-None-Match: W/\"abc\"".into(), 304),
            ("If-None-Match: *".into(), 304),
            ("If-None-Match: \"x\"".into(), 200),
            (format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {LATER}"), 200),
            (format!("If-Modified-Since: {DATE}"), 304),
            (format!("If-Modified-Since: {EARLIER}"), 200),
            ("If-Match: \"x\"\r\nIf-None-Match: \"abc\"".into(), 412),
            ("If-Match: \"abc\"\r\nRange: bytes=1-2".into(), 206),
            ("If-Match: \"x\"\r\nRange: bytes=1-2".into(), 412),
            ("Range: bytes=1-2\r\nIf-Range: \"abc\"".into(), 206),
            ("Range: bytes=1-2\r\nIf-Range: \"x\"".into(), 200),
            ("Range: bytes=1-2\r\nIf-Range: W/\"abc\"".into(), 200),
            (format!("Range: bytes=1-2\r\nIf-Range: {DATE}"), 206),
            (format!("Range: bytes=1-2\r\nIf-Range: {LATER}"), 200),
            ("Range: bytes=9000-\r\nIf-Range: \"x\"".into(), 200),
            ("If-Range: \"x\"".into(), 200),
        ] {
            let headers = if headers.is_empty() { headers } else { format!("{headers}\r\n") };
            assert_eq!(outcome("GET", &headers, 1000).0, wanted, "{headers}");
        }
    }

    #[test]
    fn head_has_gets_headers_and_no_range() {
        for headers in ["", "Range: bytes=1-2\r\n"] {
            let (head, get) = (plan(&request("HEAD", headers), &stored(9)), plan(&request("GET", ""), &stored(9)));
            assert_eq!((head.status, &head.headers, head.body), (get.status, &get.headers, 0..0));
        }
    }

    #[test]
    fn a_part_says_which_part_it_is() {
        let head = |range: &str| plan(&request("GET", &format!("Range: {range}\r\n")), &stored(1000)).headers;
        assert_eq!(
            head("bytes=10-19")[1..3],
            [("Content-Range", "bytes 10-19/1000".into()), ("Content-Length", "10".into())]
        );
        assert_eq!(head("bytes=1000-")[0], ("Content-Range", "bytes */1000".into()));
    }

    #[test]
    fn firmware_gets_the_exact_media_types() {
        for (path, wanted) in [
            ("image/lab/uki.efi", "application/efi"),
            ("a/BOOTX64.EFI", "application/efi"),
            ("x.iso", "application/vnd.efi-iso"),
            ("x.img", "application/vnd.efi-img"),
            ("boot.ipxe", "text/plain"),
            ("image/lab/linux", "application/octet-stream"),
            ("a.efi/linux", "application/octet-stream"),
            ("loader/undionly.kpxe", "application/octet-stream"),
        ] {
            assert_eq!(content_type(path), wanted, "{path}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_the_body_lies_in_the_file_and_its_length_is_told(
            range in "(bytes=)?[0-9]{0,4}-?[0-9]{0,4}(,[0-9]{0,2}-)?", size in 0u64..2000,
        ) {
            let plan = plan(&request("GET", &format!("Range: {range}\r\n")), &stored(size));
            prop_assert!(plan.body.start <= plan.body.end && plan.body.end <= size);
            let told = plan.headers.iter().find(|(name, _)| *name == "Content-Length").map(|(_, value)| value.clone());
            prop_assert_eq!(told, Some((plan.body.end - plan.body.start).to_string()));
        }
    }
}
