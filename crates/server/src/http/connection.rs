//! One connection: request after request, each with a time limit, until one side has had enough.

use std::io;
use std::time::Duration;

use slipway_engine::http::Plan;
use slipway_engine::journal::{About, Outcome, Proto};
use slipway_wire::http::{HeadFault, LONGEST_HEAD, Method, Request, ResponseHead, Status, render_date};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::{Body, Ends, Reply, answer};
use super::parts::Parts;
use super::send::{Cut, Sender};
use super::stream::Stream;
use super::{Phase, Server, done, reached, report};
use crate::journal::now;

/// The longest body that is taken in, and the most that is read and thrown away after an early answer.
const LONGEST_BODY: u64 = 4096;
/// What a TLS connection begins with.
const TLS_HANDSHAKE: u8 = 22;

/// Why no request was read.
enum NoRequest {
    /// The client has gone, or rested for too long, or the server ends: nothing to answer.
    Over,
    /// The client stopped in the middle of a head.
    Broken,
    /// It took too long.
    Late,
    /// It is no request.
    Fault(HeadFault),
}

struct Connection<'a> {
    server: &'a Server,
    stream: Stream,
    ends: Ends,
    phase: watch::Receiver<Phase>,
    /// Bytes that were received and not used yet.
    received: Vec<u8>,
    /// What the journal has not been told of yet.
    parts: Parts,
}

/// Serves a connection until its end.
pub(super) async fn serve(server: &Server, stream: Stream, ends: Ends, phase: watch::Receiver<Phase>) {
    let mut connection =
        Connection { server, stream, ends, phase, received: Vec::with_capacity(1024), parts: Parts::default() };
    let mut first = true;
    while connection.exchange(first).await {
        first = false;
    }
    connection.tell_of_parts();
}

impl Connection<'_> {
    /// One request and its answer; whether another may follow.
    async fn exchange(&mut self, first: bool) -> bool {
        match self.request(first).await {
            Ok(request) => self.respond(request).await,
            Err(NoRequest::Over) => false,
            Err(NoRequest::Broken) => {
                self.note_fault("closed in the middle of a request head");
                false
            }
            Err(NoRequest::Late) => {
                self.note_fault("the request head did not come in time");
                self.refuse(Status::RequestTimeout).await;
                false
            }
            Err(NoRequest::Fault(fault)) => {
                self.note_fault(&fault.to_string());
                self.refuse(fault.status()).await;
                false
            }
        }
    }

    fn note_fault(&self, fault: &str) {
        let spoken_to = self.server.tls.is_none() && self.received.first() == Some(&TLS_HANDSHAKE);
        let fault = if spoken_to { "TLS on the port of plain HTTP" } else { fault };
        self.server.note_connection(self.ends.peer, "request", About::Other, Outcome::Peer(fault.to_owned()));
    }

    async fn request(&mut self, first: bool) -> Result<Request, NoRequest> {
        let limits = self.server.limits;
        let mut deadline = Instant::now() + if first { limits.head } else { limits.idle };
        let mut begun = false;
        loop {
            match Request::decode(&self.received) {
                Ok(Some((request, length))) => {
                    self.received.drain(..length);
                    return Ok(request);
                }
                Ok(None) => {}
                Err(fault) => return Err(NoRequest::Fault(fault)),
            }
            if !begun && !self.received.is_empty() {
                begun = true;
                deadline = deadline.min(Instant::now() + limits.head);
            }
            let read = tokio::select! {
                biased;
                () = reached(&mut self.phase, Phase::Draining) => return Err(NoRequest::Over),
                () = until(self.parts.due()) => {
                    self.tell_of_parts();
                    continue;
                }
                read = timeout_at(deadline, self.stream.read(&mut self.received)) => read,
            };
            match read {
                Ok(Ok(0)) | Ok(Err(_)) if begun => return Err(NoRequest::Broken),
                Ok(Ok(0)) | Ok(Err(_)) => return Err(NoRequest::Over),
                Ok(Ok(_)) => {}
                Err(_) if begun => return Err(NoRequest::Late),
                Err(_) => return Err(NoRequest::Over),
            }
        }
    }

    async fn respond(&mut self, request: Request) -> bool {
        let started = Instant::now();
        let (reply, body_is_read) = if report::is_meant(&request) {
            match self.body(&request).await {
                Ok(body) => (report::answer(&request, &body), true),
                Err(reply) => (reply, false),
            }
        } else if done::is_meant(&request) {
            (done::answer(&self.server.journal, &request).await, request.content_length == 0)
        } else {
            (answer(self.server, &request, self.ends), request.content_length == 0)
        };
        let keep = request.keep_alive && body_is_read && *self.phase.borrow() == Phase::Running;
        let Reply { plan, body, mut note } = reply;
        let head = self.head(&request, &plan, keep);
        let mut sender = Sender { stream: &mut self.stream, stall: self.server.limits.stall, phase: &mut self.phase };
        let result = match &body {
            Body::None => sender.bytes(&head, false).await.map(|()| 0),
            Body::Text(_) if request.method == Method::Head => sender.bytes(&head, false).await.map(|()| 0),
            Body::Text(text) => {
                let whole = [head.as_slice(), text.as_slice()].concat();
                sender.bytes(&whole, false).await.map(|()| u64::try_from(text.len()).unwrap_or(u64::MAX))
            }
            Body::File(_) if plan.body.is_empty() => sender.bytes(&head, false).await.map(|()| 0),
            Body::File(file) => match sender.bytes(&head, true).await {
                Ok(()) => sender.file(file, plan.body.clone()).await,
                Err(cut) => Err(cut),
            },
        };
        note.finish(&plan, &result, started.elapsed());
        if note.proto == Proto::Http {
            note.proto = self.server.proto();
        }
        let part = plan.status == Status::PartialContent && result.is_ok();
        let entry = note.into_entry(&self.server.site.load(), self.ends);
        for entry in self.parts.take(entry, part, Instant::now()) {
            self.server.journal.note(entry);
        }
        if result.is_ok() && !keep {
            self.linger(!body_is_read).await;
        }
        result.is_ok() && keep
    }

    fn tell_of_parts(&mut self) {
        if let Some(entry) = self.parts.flush() {
            self.server.journal.note(entry);
        }
    }

    /// The head's bytes: the plan's headers and those of the connection.
    fn head(&self, request: &Request, plan: &Plan, keep: bool) -> Vec<u8> {
        let mut headers = plan.headers.clone();
        headers.push(("Date", render_date(now().0 / 1000)));
        if !keep {
            headers.push(("Connection", "close".to_owned()));
        } else if request.is_http_1_0 {
            headers.push(("Connection", "keep-alive".to_owned()));
        }
        ResponseHead { status: plan.status, headers }.encode()
    }

    /// A request's body of at most 4 KiB.
    async fn body(&mut self, request: &Request) -> Result<Vec<u8>, Reply> {
        if request.content_length > LONGEST_BODY {
            return Err(report::refused(request, Status::ContentTooLarge, "the report is longer than 4 KiB"));
        }
        if request.expects_continue && self.received.is_empty() {
            let mut sender =
                Sender { stream: &mut self.stream, stall: self.server.limits.stall, phase: &mut self.phase };
            let _ = sender.bytes(b"HTTP/1.1 100 Continue\r\n\r\n", false).await;
        }
        let length = usize::try_from(request.content_length).unwrap_or(usize::MAX);
        let whole = async {
            while self.received.len() < length {
                if self.stream.read(&mut self.received).await? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
            }
            Ok(())
        };
        match timeout(self.server.limits.head, whole).await {
            Ok(Ok(())) => Ok(self.received.drain(..length).collect()),
            Ok(Err(_)) => Err(report::refused(request, Status::BadRequest, "closed in the middle of the report")),
            Err(_) => Err(report::refused(request, Status::RequestTimeout, "the report did not come in time")),
        }
    }

    /// Answers what is no request, with nothing but a status.
    async fn refuse(&mut self, status: Status) {
        let headers = vec![
            ("Content-Length", "0".to_owned()),
            ("Date", render_date(now().0 / 1000)),
            ("Connection", "close".to_owned()),
        ];
        let head = ResponseHead { status, headers }.encode();
        let mut sender = Sender { stream: &mut self.stream, stall: self.server.limits.stall, phase: &mut self.phase };
        if sender.bytes(&head, false).await.is_ok() {
            self.linger(true).await;
        }
    }

    /// Closes so that the answer arrives: while there are unread bytes, closing at once would send a reset, and a reset can overtake
    /// the answer.
    async fn linger(&mut self, unread: bool) {
        let _ = self.stream.shutdown().await;
        if !unread && self.received.is_empty() {
            return;
        }
        let mut rest = 4 * LONGEST_HEAD;
        let drained = async {
            while rest > 0 {
                self.received.clear();
                match self.stream.read(&mut self.received).await {
                    Ok(0) | Err(_) => break,
                    Ok(read) => rest = rest.saturating_sub(read),
                }
            }
        };
        let _ = timeout(Duration::from_secs(2), drained).await;
    }
}

/// Waits for a moment; for ever if there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => core::future::pending().await,
    }
}

impl Cut {
    /// The same in words.
    pub(super) fn outcome(&self, sent: u64, whole: u64) -> Outcome {
        match self {
            Self::Gone => Outcome::Peer(format!("the client closed the connection after {sent} of {whole} bytes")),
            Self::Stalled => Outcome::Peer(format!("the client took no more after {sent} of {whole} bytes")),
            Self::Stopping => Outcome::Ourselves(format!("the server was stopped after {sent} of {whole} bytes")),
            Self::File(fault) => Outcome::Ourselves(format!("{fault} after {sent} of {whole} bytes")),
        }
    }
}
