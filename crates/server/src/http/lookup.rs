//! Names whose content depends on who asks: lpxelinux looks its configuration up over HTTP.

use std::time::Duration;

use slipway_engine::Why;
use slipway_engine::answer::ServerAddr;
use slipway_engine::http::content_type;
use slipway_engine::journal::{About, Outcome};
use slipway_engine::lookup::Lookup;
use slipway_engine::pxelinux::Over;
use slipway_wire::http::{Method, Request, Status};

use super::Server;
use super::answer::{self, Ends, Reply, interface, not_found, of_file, open_stored, refusal};
use crate::lookup::{Absent, Asker, Found, Made, look_up};
use crate::site::Site;

/// Answers with what this name is for whoever asks, or that there is no such name.
pub(super) fn answer(
    server: &Server,
    site: &Site,
    request: &Request,
    ends: Ends,
    path: &str,
    lookup: &Lookup,
) -> Reply {
    // Whoever came by TLS goes on by TLS.
    let https = server.tls.is_some();
    let here = ServerAddr { ip: ends.local.ip().to_canonical(), http_port: ends.local.port(), https };
    let interface = interface(site, ends.local.ip()).map(|interface| interface.name.as_str()).unwrap_or_default();
    let source = ends.peer.ip().to_canonical();
    let asker = Asker { source, interface, server: here, over: Over::Http(here) };
    match look_up(site, &server.journal, lookup, asker) {
        Ok(Found::Made(made)) => of_text(request, path, *made),
        Ok(Found::Stored(mac, file)) => match open_stored(site, path, file) {
            Ok((stored, opened)) => {
                let mut reply = of_file(request, path.to_owned(), &stored, opened);
                reply.note.mac = Some(mac);
                reply
            }
            Err(fault) => {
                let mut reply = refusal(request, Status::InternalError, Why::NotFound);
                reply.note.outcome = Outcome::Ourselves(format!("cannot read {path}: {fault}"));
                reply
            }
        },
        Err(Absent { why: Why::NotFound, .. }) => not_found(request, path.to_owned()),
        Err(Absent { mac, why }) => {
            let mut reply = refusal(request, Status::NotFound, Why::NotFound);
            reply.note.mac = mac;
            reply.note.about = About::Script(None);
            reply.note.outcome = Outcome::Declined(why);
            reply
        }
    }
}

/// A text made for this machine. The journey of a machine that only wants to know its length does not go on by that.
fn of_text(request: &Request, path: &str, Made { mac, bytes, about, refused }: Made) -> Reply {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let outcome = refused.map_or_else(|| Outcome::Answered(format!("200 {size} bytes")), Outcome::Declined);
    let mut reply = answer::bytes(request, Status::Ok, content_type(path), bytes, outcome);
    reply.note.mac = Some(mac);
    if request.method == Method::Get {
        let file = || About::File { path: path.to_owned(), sent: size, took: Duration::ZERO, whole: true };
        reply.note.about = about.unwrap_or_else(file);
    }
    reply
}
