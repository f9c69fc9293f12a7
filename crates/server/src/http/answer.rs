//! A request to its answer: which file, script or refusal, and what the journal says about it.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use slipway_engine::Why;
use slipway_engine::answer::ServerAddr;
use slipway_engine::catalog::FileRef;
use slipway_engine::http::{Plan, Stored, content_type, plan};
use slipway_engine::journal::{About, Entry, Outcome, Proto};
use slipway_engine::lookup::Lookup;
use slipway_engine::namespace::{is_autoexec, normalise, resolve};
use slipway_wire::MacAddr;
use slipway_wire::http::{Method, Request, Status};

use super::send::Sent;
use super::{Server, lookup, script};
use crate::export::open_beneath;
use crate::journal::now;
use crate::made::{self, Asker, Made};
use crate::site::{Interface, Site};

/// Both ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
}

/// What is sent and noted.
pub(super) struct Reply {
    pub(super) plan: Plan,
    pub(super) body: Body,
    pub(super) note: Note,
}

/// The content behind a head.
pub(super) enum Body {
    None,
    /// All of it, for GET; HEAD gets only its length.
    Text(Vec<u8>),
    /// The part that the plan names.
    File(File),
}

/// The journal's entry in the making.
pub(super) struct Note {
    pub(super) proto: Proto,
    pub(super) mac: Option<MacAddr>,
    pub(super) uuid: Option<uuid::Uuid>,
    pub(super) asked: String,
    pub(super) about: About,
    /// What it will be if the answer goes out whole.
    pub(super) outcome: Outcome,
}

impl Note {
    /// A note about a request, with what its query says about the machine.
    pub(super) fn of(request: &Request, outcome: Outcome) -> Self {
        let mac = request.query("mac").and_then(|mac| mac.parse().ok());
        Self {
            proto: Proto::Http,
            mac,
            uuid: told_uuid(request.query("uuid")),
            asked: asked(request),
            about: About::Other,
            outcome,
        }
    }

    /// Fills in how the sending went.
    pub(super) fn finish(&mut self, plan: &Plan, result: &Sent, took: Duration) {
        let length = plan.body.end.saturating_sub(plan.body.start);
        let bytes = match result {
            Ok(sent) | Err((_, sent)) => *sent,
        };
        if let Err((cut, sent)) = result {
            self.outcome = cut.outcome(*sent, length);
        } else if matches!(self.about, About::File { .. }) && length > 0 {
            self.outcome =
                Outcome::Answered(format!("{} {bytes} bytes in {:.2} s", plan.status.code(), took.as_secs_f64()));
        }
        if let About::File { sent, took: time, whole, .. } = &mut self.about {
            (*sent, *time) = (bytes, took);
            *whole = *whole && result.is_ok();
        }
    }

    /// The entry.
    pub(super) fn into_entry(self, site: &Site, ends: Ends) -> Entry {
        Entry {
            at: now(),
            proto: self.proto,
            mac: self.mac,
            ip: Some(ends.peer.ip()),
            uuid: self.uuid,
            interface: interface(site, ends.local.ip()).map(|interface| interface.name.clone()).unwrap_or_default(),
            asked: self.asked,
            about: self.about,
            outcome: self.outcome,
        }
    }
}

/// A UUID that a machine told. All zeros is what firmware says that has none (QEMU's, for one).
pub(super) fn told_uuid(text: Option<&str>) -> Option<uuid::Uuid> {
    text?.parse().ok().filter(|uuid: &uuid::Uuid| !uuid.is_nil())
}

/// Our interface with this address.
pub(super) fn interface(site: &Site, ip: IpAddr) -> Option<&Interface> {
    site.interfaces.iter().find(|interface| match ip {
        IpAddr::V4(ip) => interface.v4.iter().any(|(own, _)| *own == ip),
        IpAddr::V6(ip) => interface.v6.iter().any(|(own, _)| *own == ip),
    })
}

fn asked(request: &Request) -> String {
    let method = match request.method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Other => "(other method)",
    };
    let path: String = String::from_utf8_lossy(&request.path).escape_debug().take(300).collect();
    let mut line = format!("{method} {path}");
    if let Some(range) = &request.range {
        line.push(' ');
        line.extend(range.escape_debug().take(60));
    }
    line
}

/// Answers everything but the agent's report.
pub(super) fn answer(server: &Server, request: &Request, ends: Ends) -> Reply {
    match request.method {
        Method::Get | Method::Head => {}
        Method::Post | Method::Other => return method_not_allowed(request, "GET, HEAD"),
    }
    let path = match normalise(&request.path) {
        Ok(path) => path,
        Err(why) => return refusal(request, Status::BadRequest, why),
    };
    let site = server.site.load();
    if path == "boot.ipxe" {
        return script::answer(&site, &server.journal.machines().known(), request, ends, server.tls.is_some());
    }
    let lookup = Lookup::of(&path).unwrap_or_else(|| Lookup::pi(&path));
    if lookup.is_in_our_folder() && resolve(&path, &site.catalog).is_err() {
        return lookup::answer(server, &site, request, ends, &path, &lookup);
    }
    match open(&site, &path) {
        Ok(Some((stored, file))) => of_file(request, path, &stored, file),
        // The operator's own goes first.
        Ok(None) if is_autoexec(&path) => {
            let mut reply = script::autoexec(request, ends, server.tls.is_some());
            about_file(request, &mut reply, path);
            reply
        }
        Ok(None) => made(server, &site, request, ends, &path)
            .unwrap_or_else(|| lookup::answer(server, &site, request, ends, &path, &lookup)),
        Err(fault) => {
            let mut reply = refusal(request, Status::InternalError, Why::NotFound);
            reply.note.outcome = Outcome::Ourselves(format!("cannot read {path}: {fault}"));
            about_file(request, &mut reply, path);
            reply
        }
    }
}

/// A file as content.
pub(super) fn of_file(request: &Request, path: String, stored: &Stored, file: File) -> Reply {
    let plan = plan(request, stored);
    let note = Note::of(request, Outcome::Answered(plan.status.code().to_string()));
    let mut reply = Reply { plan, body: Body::File(file), note };
    about_file(request, &mut reply, path);
    reply
}

/// The answer to a name that leads nowhere.
pub(super) fn not_found(request: &Request, path: String) -> Reply {
    let mut reply = refusal(request, Status::NotFound, Why::NotFound);
    about_file(request, &mut reply, path);
    reply
}

fn about_file(request: &Request, reply: &mut Reply, path: String) {
    let whole = request.method == Method::Get && matches!(reply.plan.status, Status::Ok | Status::PartialContent);
    if !path.is_empty() {
        reply.note.about = About::File { path, sent: 0, took: Duration::ZERO, whole };
    }
}

/// GRUB's configuration, made for the machine that asks.
fn made(server: &Server, site: &Site, request: &Request, ends: Ends, path: &str) -> Option<Reply> {
    let asker = Asker {
        ip: ends.peer.ip().to_canonical(),
        server: ServerAddr {
            ip: ends.local.ip().to_canonical(),
            http_port: ends.local.port(),
            https: server.tls.is_some(),
        },
        interface: interface(site, ends.local.ip()).map(|interface| interface.name.clone()).unwrap_or_default(),
    };
    match made::make(site, &server.journal, path, &asker) {
        Ok(Some(Made { text: content, mac, about, outcome })) => {
            let mut reply = text(request, Status::Ok, content, outcome);
            reply.note.about = about;
            reply.note.mac = mac.or(reply.note.mac);
            Some(reply)
        }
        Ok(None) => None,
        Err(why) => {
            let mut reply = refusal(request, Status::NotFound, Why::NotFound);
            reply.note.outcome = Outcome::Declined(why);
            Some(reply)
        }
    }
}

/// Finds a path in the namespace, else in the exported folder.
fn open(site: &Site, path: &str) -> io::Result<Option<(Stored, File)>> {
    if let Ok(found) = resolve(path, &site.catalog) {
        return open_stored(site, path, found).map(Some);
    }
    let Some(folder) = &site.export else { return Ok(None) };
    let file = match open_beneath(folder, path) {
        Ok(file) => file,
        // What cannot be had there is not there: a name that leads out, a folder, a file that is not ours to read.
        Err(error) => {
            tracing::debug!(path, %error, "not in the exported folder");
            return Ok(None);
        }
    };
    let data = file.metadata()?;
    let etag = format!("\"{:x}-{:x}-{:x}.{:x}\"", data.ino(), data.size(), data.mtime(), data.mtime_nsec());
    let modified = u64::try_from(data.mtime()).unwrap_or(0);
    Ok(Some((Stored { size: data.size(), etag, modified, content_type: content_type(path) }, file)))
}

/// Opens a stored file; its name says what its type is.
pub(super) fn open_stored(site: &Site, path: &str, found: FileRef) -> io::Result<(Stored, File)> {
    let file = site.blobs.open(&found.digest)?;
    let modified = u64::try_from(file.metadata()?.mtime()).unwrap_or(0);
    let etag = format!("\"{}\"", found.digest);
    Ok((Stored { size: found.size, etag, modified, content_type: content_type(path) }, file))
}

/// A text as content.
pub(super) fn text(request: &Request, status: Status, text: String, outcome: Outcome) -> Reply {
    bytes(request, status, "text/plain", text.into_bytes(), outcome)
}

/// Bytes from memory as content.
pub(super) fn bytes(
    request: &Request,
    status: Status,
    content_type: &'static str,
    bytes: Vec<u8>,
    outcome: Outcome,
) -> Reply {
    let headers = vec![("Content-Type", content_type.to_owned()), ("Content-Length", bytes.len().to_string())];
    let note = Note::of(request, outcome);
    Reply { plan: Plan { status, headers, body: 0..0 }, body: Body::Text(bytes), note }
}

/// A refusal that says why.
pub(super) fn refusal(request: &Request, status: Status, why: Why) -> Reply {
    text(request, status, format!("{why}\n"), Outcome::Declined(why))
}

/// The refusal of a method, with those that there are.
pub(super) fn method_not_allowed(request: &Request, allowed: &str) -> Reply {
    let mut reply = refusal(request, Status::MethodNotAllowed, Why::Forbidden);
    reply.plan.headers.push(("Allow", allowed.to_owned()));
    reply
}
