//! `/done/<mac>/<image>/<pass>`: an installer says that it is done, and its machine boots from its own disk from then on.
//!
//! GET does as well as POST: what an installer has at its end is often a `wget` that knows nothing else, and nobody who does not know the
//! pass can ask for this by accident.

use slipway_engine::Why;
use slipway_engine::journal::{About, Outcome, Proto};
use slipway_engine::namespace::normalise;
use slipway_wire::MacAddr;
use slipway_wire::http::{Method, Request, Status};

use super::answer::{Reply, method_not_allowed, refusal, text};
use crate::journal::Journal;
use crate::machines::Error;

/// Whether a request is for this.
pub(super) fn is_meant(request: &Request) -> bool {
    normalise(&request.path).is_ok_and(|path| path.starts_with("done/"))
}

/// Takes the word, if the pass is the machine's. It is durable before it is answered.
pub(super) async fn answer(journal: &Journal, request: &Request) -> Reply {
    if !matches!(request.method, Method::Get | Method::Post) {
        return method_not_allowed(request, "GET, POST");
    }
    let Some((mac, image, pass)) = normalise(&request.path).ok().and_then(|path| read(&path)) else {
        return refusal(request, Status::NotFound, Why::NotFound);
    };
    let (machines, name) = (journal.machines().clone(), image.clone());
    // The disk is waited for: not on the threads that serve machines.
    let told = tokio::task::spawn_blocking(move || machines.done(mac, name, &pass)).await;
    let mut reply = match told.unwrap_or(Err(Error::Stopping)) {
        Ok(true) => {
            let words = format!("{image} is done on {mac}: it boots from its own disk from now on\n");
            let outcome = Outcome::Answered(format!("200 {image} is done: local boot from now on"));
            text(request, Status::Ok, words, outcome)
        }
        Ok(false) => refusal(request, Status::NotFound, Why::WrongPass),
        Err(error) => {
            let outcome = Outcome::Ourselves(format!("cannot remember that {image} is done: {error}"));
            text(request, Status::InternalError, "it cannot be stored\n".to_owned(), outcome)
        }
    };
    reply.note.proto = Proto::Http;
    reply.note.mac = Some(mac);
    if matches!(reply.note.outcome, Outcome::Answered(_)) {
        reply.note.about = About::Done;
    }
    reply
}

fn read(path: &str) -> Option<(MacAddr, String, String)> {
    let mut parts = path.strip_prefix("done/")?.split('/');
    let (mac, image, pass) = (parts.next()?.parse().ok()?, parts.next()?.to_owned(), parts.next()?.to_owned());
    parts.next().is_none().then_some((mac, image, pass))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_machine_installer_and_pass_and_nothing_else() {
        let mac: MacAddr = "52:54:00:12:34:56".parse().unwrap();
        let wanted = Some((mac, "debian".to_owned(), "00ff".to_owned()));
        assert_eq!(read("done/52-54-00-12-34-56/debian/00ff"), wanted);
        for path in ["done/52-54-00-12-34-56/debian", "done/x/debian/00ff", "done/52-54-00-12-34-56/debian/00ff/x", "x"]
        {
            assert_eq!(read(path), None, "{path}");
        }
    }
}
