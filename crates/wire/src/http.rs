//! HTTP/1.1 request heads as firmware, boot loaders and agents send them, response heads byte for byte as they want them, and dates.
//!
//! Header names leave in title case, because GRUB compares them with their case; the status line says `HTTP/1.1` to everybody.

mod date;
mod request;

pub use date::{date_of, render_date};
pub use request::{HeadFault, LONGEST_HEAD, Method, Request};

/// A response head: the status and headers in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResponseHead {
    /// The status code.
    pub status: Status,
    /// Header names, in title case, with their values. A value with line ends would be a bug of ours; they are left out.
    pub headers: Vec<(&'static str, String)>,
}

impl ResponseHead {
    /// Its bytes, with the empty line at the end.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} {}\r\n", self.status.code(), self.status.reason());
        for (name, value) in &self.headers {
            text.push_str(name);
            text.push_str(": ");
            text.extend(value.chars().filter(|c| !matches!(c, '\r' | '\n')));
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

/// The statuses that we answer with. There is no redirect among them: edk2 follows none.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Status {
    /// The whole content follows.
    Ok,
    /// Done, nothing follows.
    NoContent,
    /// A part of the content follows.
    PartialContent,
    /// The client's copy is good.
    NotModified,
    /// The request makes no sense.
    BadRequest,
    /// Nothing there.
    NotFound,
    /// Not this method.
    MethodNotAllowed,
    /// The head did not come in time.
    RequestTimeout,
    /// The content has changed since.
    PreconditionFailed,
    /// The body is too long.
    ContentTooLarge,
    /// No byte of the range exists.
    RangeNotSatisfiable,
    /// The head is too long.
    HeadersTooLarge,
    /// Our fault.
    InternalError,
    /// A transfer coding in a request.
    NotImplemented,
    /// Too many connections.
    Unavailable,
    /// Not HTTP/1.
    VersionNotSupported,
}

impl Status {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::NoContent => 204,
            Self::PartialContent => 206,
            Self::NotModified => 304,
            Self::BadRequest => 400,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::PreconditionFailed => 412,
            Self::ContentTooLarge => 413,
            Self::RangeNotSatisfiable => 416,
            Self::HeadersTooLarge => 431,
            Self::InternalError => 500,
            Self::NotImplemented => 501,
            Self::Unavailable => 503,
            Self::VersionNotSupported => 505,
        }
    }

    /// The words (RFC 9110 §15).
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::NoContent => "No Content",
            Self::PartialContent => "Partial Content",
            Self::NotModified => "Not Modified",
            Self::BadRequest => "Bad Request",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::RequestTimeout => "Request Timeout",
            Self::PreconditionFailed => "Precondition Failed",
            Self::ContentTooLarge => "Content Too Large",
            Self::RangeNotSatisfiable => "Range Not Satisfiable",
            Self::HeadersTooLarge => "Request Header Fields Too Large",
            Self::InternalError => "Internal Server Error",
            Self::NotImplemented => "Not Implemented",
            Self::Unavailable => "Service Unavailable",
            Self::VersionNotSupported => "HTTP Version Not Supported",
        }
    }
}
