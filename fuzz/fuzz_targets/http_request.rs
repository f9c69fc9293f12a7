//! Whatever arrives on an HTTP connection: a head is read whole or not at all, however it is cut; what it asks for lies within the file,
//! is told rightly, and nothing that the client wrote reaches our own head.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slipway_engine::http::{Plan, Stored, content_type, plan};
use slipway_engine::namespace::normalise;
use slipway_wire::http::{LONGEST_HEAD, Method, Request, ResponseHead, Status, date_of, render_date};

const ETAG: &str = "\"abc\"";
/// `Sun, 06 Nov 1994 08:49:37 GMT`
const MODIFIED: u64 = 784_111_777;

/// Cuts of a head that are tried one by one; of longer ones only the last of them.
const CUTS: usize = 256;

fn header<'a>(plan: &'a Plan, name: &str) -> Option<&'a str> {
    plan.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
}

fn check_plan(request: &Request, size: u64) {
    let path = String::from_utf8_lossy(&request.path);
    let stored = Stored { size, etag: ETAG.into(), modified: MODIFIED, content_type: content_type(&path) };
    let plan = plan(request, &stored);
    assert!(plan.body.start <= plan.body.end && plan.body.end <= size);
    let length = plan.body.end - plan.body.start;
    let told: Option<u64> = header(&plan, "Content-Length").map(|told| told.parse().expect("a number"));
    match plan.status {
        Status::Ok => assert_eq!(told, Some(size)),
        Status::PartialContent => {
            assert_eq!(request.method, Method::Get);
            assert!(request.range.is_some() && length > 0);
            let range = format!("bytes {}-{}/{size}", plan.body.start, plan.body.end - 1);
            assert_eq!((told, header(&plan, "Content-Range")), (Some(length), Some(range.as_str())));
            let condition = request.if_range.as_deref();
            assert!(condition.is_none_or(|tag| tag == ETAG || date_of(tag) == Some(MODIFIED)), "{condition:?}");
        }
        Status::NotModified => {
            assert!(request.if_none_match.is_some() || request.if_modified_since.is_some());
            assert_eq!((length, told), (0, None));
        }
        Status::PreconditionFailed => {
            assert!(request.if_match.is_some() || request.if_unmodified_since.is_some());
            assert_eq!((length, told), (0, Some(0)));
        }
        Status::RangeNotSatisfiable => {
            assert!(request.range.is_some());
            assert_eq!((length, told), (0, Some(0)));
        }
        other => panic!("{other:?} is no answer to a GET or HEAD"),
    }
    assert!(request.method != Method::Head || length == 0);

    let lines = plan.headers.len() + 2;
    let head = ResponseHead { status: plan.status, headers: plan.headers }.encode();
    let head = String::from_utf8(head).expect("our own words");
    assert!(head.ends_with("\r\n\r\n"));
    assert_eq!((head.matches('\n').count(), head.matches("\r\n").count()), (lines, lines));
}

fuzz_target!(|bytes: &[u8]| {
    let (request, length) = match Request::decode(bytes) {
        Ok(Some(read)) => read,
        Ok(None) => return assert!(bytes.len() < LONGEST_HEAD, "a head that never ends"),
        Err(fault) => {
            assert!((400..=599).contains(&fault.status().code()));
            return assert!(Request::decode(&[bytes, b"\r\n\r\n"].concat()).is_err(), "more bytes mend nothing");
        }
    };
    assert!(length <= LONGEST_HEAD && bytes[..length].ends_with(b"\n"));
    assert_eq!(Request::decode(&bytes[..length]), Ok(Some((request.clone(), length))), "what follows does not count");
    for cut in length.saturating_sub(CUTS)..length {
        assert_eq!(Request::decode(&bytes[..cut]), Ok(None), "cut to {cut}");
    }

    assert_eq!(request.path.first(), Some(&b'/'));
    let _ = normalise(&request.path);
    for (key, _) in &request.query {
        assert!(request.query(key).is_some());
    }
    for date in [&request.if_range, &request.if_modified_since, &request.if_unmodified_since].into_iter().flatten() {
        assert!(date_of(date).is_none_or(|at| render_date(at) == *date), "{date}");
    }
    for size in [0, 1, 1000, u64::MAX] {
        check_plan(&request, size);
    }
});
