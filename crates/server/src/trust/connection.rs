//! One connection: TLS, then frames, each as the body of a `POST`. A machine has one conversation per connection, and a connection does
//! not last longer than a conversation may.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls_pki_types::CertificateDer;
use slipway_engine::Why;
use slipway_engine::journal::{About, Entry, Outcome, Proto};
use slipway_trust::frames::{EXPORTER, LARGEST, MEDIA_TYPE, PATH, Reply};
use slipway_trust::node::{Answer, Conversation, Note};
use slipway_wire::MacAddr;
use slipway_wire::http::{Method, Request, ResponseHead, Status, render_date};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Limits;
use super::plane::{From, Plane};
use crate::http::{Phase, reached};
use crate::journal::now;

/// The path that tells whether somebody is there.
const HEALTH: &str = "/healthz";

struct Connection {
    plane: Arc<Plane>,
    limits: Limits,
    stream: TlsStream<TcpStream>,
    phase: watch::Receiver<Phase>,
    peer: SocketAddr,
    local: SocketAddr,
    channel: [u8; 32],
    certificate: Option<CertificateDer<'static>>,
    conversation: Shared,
    received: Vec<u8>,
}

/// A conversation, which ends with its connection.
#[derive(Clone)]
struct Shared(Arc<Held>);

struct Held {
    plane: Arc<Plane>,
    conversation: Mutex<Conversation>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.plane.leave(self.conversation.get_mut().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Serves a connection until its end.
pub(super) async fn serve(
    plane: Arc<Plane>,
    limits: Limits,
    stream: TcpStream,
    peer: SocketAddr,
    mut phase: watch::Receiver<Phase>,
) {
    let Ok(local) = stream.local_addr() else { return };
    let _ = stream.set_nodelay(true);
    let accepting = TlsAcceptor::from(plane.tls()).accept(stream);
    let accepted = tokio::select! {
        biased;
        () = reached(&mut phase, Phase::Draining) => return,
        accepted = timeout(limits.request, accepting) => accepted,
    };
    let stream = match accepted {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return note(&plane, peer, "TLS handshake", Outcome::Peer(error.to_string())),
        Err(_) => return note(&plane, peer, "TLS handshake", Outcome::Peer("it took too long".to_owned())),
    };
    let (_, session) = stream.get_ref();
    let Ok(channel) = session.export_keying_material([0; 32], EXPORTER, Some(&[])) else {
        return note(&plane, peer, "TLS handshake", Outcome::Ourselves("the channel has no exporter".to_owned()));
    };
    let certificate = session.peer_certificates().and_then(|chain| chain.first()).cloned();
    let held = Held { plane: Arc::clone(&plane), conversation: Mutex::new(Conversation::new()) };
    let conversation = Shared(Arc::new(held));
    let received = Vec::with_capacity(4096);
    let mut connection =
        Connection { plane, limits, stream, phase, peer, local, channel, certificate, conversation, received };
    // However busy it is: nobody needs longer, and whoever takes longer holds a place that others wait for.
    let _ = timeout(limits.connection, async { while connection.exchange().await {} }).await;
    let _ = timeout(limits.request, connection.stream.shutdown()).await;
}

/// What is sent back.
struct Response {
    status: Status,
    kind: &'static str,
    body: Vec<u8>,
    allow: Option<&'static str>,
    ends: bool,
}

impl Response {
    fn text(status: Status, text: &str) -> Self {
        Self {
            status,
            kind: "text/plain; charset=utf-8",
            body: format!("{text}\n").into_bytes(),
            allow: None,
            ends: false,
        }
    }

    fn fault(status: Status, text: &str) -> Self {
        Self { ends: true, ..Self::text(status, text) }
    }
}

impl Connection {
    /// One request and its answer; whether another may follow.
    async fn exchange(&mut self) -> bool {
        let request = match self.request().await {
            Ok(Some(request)) => request,
            Ok(None) => return false,
            Err(response) => {
                self.fault(&response);
                self.send(response, false).await;
                return false;
            }
        };
        let keep = request.keep_alive && *self.phase.borrow() == Phase::Running;
        let response = self.answer(&request).await;
        self.send(response, keep).await
    }

    /// The next request's head; nothing if the client is done.
    async fn request(&mut self) -> Result<Option<Request>, Response> {
        let mut deadline = Instant::now() + self.limits.idle;
        let mut begun = false;
        loop {
            match Request::decode(&self.received) {
                Ok(Some((request, length))) => {
                    self.received.drain(..length);
                    return Ok(Some(request));
                }
                Ok(None) => {}
                Err(fault) => return Err(Response::fault(fault.status(), &fault.to_string())),
            }
            if !begun && !self.received.is_empty() {
                begun = true;
                deadline = Instant::now() + self.limits.request;
            }
            let read = tokio::select! {
                biased;
                () = reached(&mut self.phase, Phase::Draining) => return Ok(None),
                read = timeout_at(deadline, self.stream.read_buf(&mut self.received)) => read,
            };
            match read {
                Ok(Ok(read)) if read > 0 => {}
                Ok(_) => return Ok(None),
                Err(_) if begun => return Err(late()),
                Err(_) => return Ok(None),
            }
        }
    }

    async fn answer(&mut self, request: &Request) -> Response {
        let path = core::str::from_utf8(&request.path).unwrap_or_default();
        let response = match (path, request.method) {
            (PATH, Method::Post) => match self.body(request).await {
                Ok(body) => return self.frame(body).await,
                Err(response) => response,
            },
            (HEALTH, Method::Get | Method::Head) if request.content_length == 0 => {
                let mut response = Response::text(Status::Ok, "this is a Slipway trust plane");
                if request.method == Method::Head {
                    response.body.clear();
                    response.ends = true;
                }
                return response;
            }
            (PATH, _) => {
                Response { allow: Some("POST"), ..Response::fault(Status::MethodNotAllowed, "frames are posted") }
            }
            (HEALTH, _) => {
                Response { allow: Some("GET"), ..Response::fault(Status::MethodNotAllowed, "this is only read") }
            }
            _ => Response::fault(Status::NotFound, "there is nothing here: machines post frames to /v1/frame"),
        };
        self.fault(&response);
        response
    }

    /// A frame's bytes, within the time and the size that it may have.
    async fn body(&mut self, request: &Request) -> Result<Vec<u8>, Response> {
        let length = usize::try_from(request.content_length).unwrap_or(usize::MAX);
        if length > LARGEST {
            return Err(Response::fault(Status::ContentTooLarge, "a frame has at most 256 KiB"));
        }
        if request.expects_continue && self.received.is_empty() {
            let _ = timeout(self.limits.request, self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")).await;
        }
        let whole = async {
            while self.received.len() < length {
                if self.stream.read_buf(&mut self.received).await? == 0 {
                    return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
                }
            }
            Ok(())
        };
        match timeout(self.limits.request, whole).await {
            Ok(Ok(())) => Ok(self.received.drain(..length).collect()),
            Ok(Err(_)) => Err(Response::fault(Status::BadRequest, "closed in the middle of a frame")),
            Err(_) => Err(late()),
        }
    }

    async fn frame(&mut self, frame: Vec<u8>) -> Response {
        let (plane, conversation) = (Arc::clone(&self.plane), self.conversation.clone());
        let (peer, local, channel) = (self.peer.ip(), self.local.ip(), self.channel);
        let certificate = self.certificate.clone();
        // The disk is waited for, and signatures are work: not on the threads that serve others.
        let answered = tokio::task::spawn_blocking(move || {
            let from = From { peer, local, channel, certificate: certificate.as_ref() };
            let mut conversation = conversation.0.conversation.lock().unwrap_or_else(PoisonError::into_inner);
            plane.answer(&mut conversation, &frame, &from)
        });
        let Ok(Answer { frame, note: told }) = answered.await else {
            return Response::fault(Status::Unavailable, "the server is stopping");
        };
        if is_waiting(&told, &frame) {
            tracing::debug!(peer = %self.peer.ip(), subject = told.subject, "a machine waits for its approval");
            return Response { status: Status::Ok, kind: MEDIA_TYPE, body: frame, allow: None, ends: told.ends };
        }
        let (asked, outcome) = words(&told);
        // Who has which address, DHCP knows; where it does not, what the machine has said of itself must do.
        let mac = self.plane.journal().mac_of(self.peer.ip()).or_else(|| self.plane.mac_of(&told.subject));
        note_of(&self.plane, (self.peer, mac), &asked, outcome);
        Response { status: Status::Ok, kind: MEDIA_TYPE, body: frame, allow: None, ends: told.ends }
    }

    /// Notes a request that is none of a machine of ours.
    fn fault(&self, response: &Response) {
        let text = String::from_utf8_lossy(&response.body);
        let fault = format!("{}: {}", response.status.code(), text.trim_end());
        note(&self.plane, self.peer, "request", Outcome::Peer(fault));
    }

    /// Sends an answer; whether the connection goes on.
    async fn send(&mut self, response: Response, keep: bool) -> bool {
        let keep = keep && !response.ends;
        let mut headers = vec![
            ("Content-Type", response.kind.to_owned()),
            ("Content-Length", response.body.len().to_string()),
            ("Cache-Control", "no-store".to_owned()),
            ("Date", render_date(now().0 / 1000)),
        ];
        headers.extend(response.allow.map(|allow| ("Allow", allow.to_owned())));
        if !keep {
            headers.push(("Connection", "close".to_owned()));
        }
        let mut bytes = ResponseHead { status: response.status, headers }.encode();
        bytes.extend_from_slice(&response.body);
        let sent = async {
            self.stream.write_all(&bytes).await?;
            self.stream.flush().await
        };
        matches!(timeout(self.limits.request, sent).await, Ok(Ok(()))) && keep
    }
}

fn late() -> Response {
    Response::fault(Status::RequestTimeout, "the request did not come in time")
}

/// Whether a machine asked whether it is approved, and is not: every few seconds, for up to a day. The journal would hold nothing else.
fn is_waiting(told: &Note, answer: &[u8]) -> bool {
    told.what == "poll" && matches!(slipway_trust::decode(answer), Ok(Reply::Ticket(_)))
}

/// What the journal says of a frame.
fn words(told: &Note) -> (String, Outcome) {
    let subject = if told.subject.is_empty() { String::new() } else { format!(" of {}", told.subject) };
    let detail = if told.detail.is_empty() { String::new() } else { format!(": {}", told.detail) };
    match told.refused {
        None => (format!("{}{subject}", told.what), Outcome::Answered(format!("answered{detail}"))),
        Some(refusal) => {
            let (code, told_so) = refusal.told();
            let asked = format!("{}{subject}{detail}", told.what);
            (asked, Outcome::Declined(Why::Refused { code, told: told_so }))
        }
    }
}

/// One entry of the journal, about whoever has this address.
pub(super) fn note(plane: &Plane, peer: SocketAddr, asked: &str, outcome: Outcome) {
    note_of(plane, (peer, None), asked, outcome);
}

fn note_of(plane: &Plane, (peer, mac): (SocketAddr, Option<MacAddr>), asked: &str, outcome: Outcome) {
    plane.journal().note(Entry {
        at: now(),
        proto: Proto::Trust,
        mac,
        ip: Some(peer.ip()),
        uuid: None,
        interface: String::new(),
        asked: asked.to_owned(),
        about: About::Org,
        outcome,
    });
}
