//! The org on the control socket.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use slipway_api::org::{Audit, Invites, OrgMachines, OrgStatus, Submit, Submitted, Ticket, Tickets, Windows};
use slipway_api::{Failure, Status};
use slipway_engine::machine::Memories;
use slipway_server::control::{Control, Desk};
use slipway_server::trust::Served;
use slipway_trust::encode;
use slipway_trust::record::WindowClose;
use slipway_trust::seal::{Domain, Signed};
use slipway_trust::{InviteId, audit::Head};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use crate::kit::{Machine, Org};

/// The org's control socket.
struct Socket {
    folder: TempDir,
    _stop: watch::Sender<bool>,
}

impl Socket {
    fn of(org: Option<&Org>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let control = Control::bind(&folder.path().join("control.sock")).unwrap();
        let served = org.map(|org| {
            let server = org.server.as_ref().unwrap();
            Arc::new(Served { plane: Arc::clone(server.plane()), listen: vec![org.addr().to_string()] })
        });
        let (wishes, _) = mpsc::channel(1);
        let (stop, stopped) = watch::channel(false);
        let desk = Desk {
            journal: org.map(|org| org.journal.clone()).unwrap_or_default(),
            site: org.map_or_else(
                || Arc::new(ArcSwap::from_pointee(crate::kit::site(Path::new("/nonexistent")))),
                |org| Arc::clone(&org.site),
            ),
            status: Arc::new(ArcSwap::from_pointee(Status::default())),
            org: Arc::new(ArcSwapOption::from(served)),
            wishes,
        };
        tokio::spawn(control.serve(desk, stopped));
        Self { folder, _stop: stop }
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let head = "Host: slipway\r\nContent-Type: application/json";
        let request = format!("{method} {path} HTTP/1.0\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let socket = self.folder.path().join("control.sock");
        let exchange = move || {
            let mut stream = UnixStream::connect(socket).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
        };
        tokio::task::spawn_blocking(exchange).await.unwrap()
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let (code, body) = self.ask("GET", path, "").await;
        assert_eq!(code, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn submit(&self, kind: &str, record: &Signed) -> (u16, String) {
        let record = data_encoding::HEXLOWER.encode(&encode(record));
        let body = serde_json::to_string(&Submit { kind: kind.to_owned(), record }).unwrap();
        self.ask("POST", "/v1/org/records", &body).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_admin_submits_and_is_shown() {
    let org = Org::new().await;
    let socket = Socket::of(Some(&org));
    let machine = Machine::new(1);
    org.open_window(5);
    org.invite(3);
    let waiting = machine.ask(&org, None).await.unwrap();

    let status: OrgStatus = socket.get("/v1/org").await;
    assert_eq!((status.name.as_str(), status.epoch, status.waiting, status.window_open), ("acme", 1, 1, true));
    assert_eq!(
        (status.roles, status.listen),
        (vec!["enroller".to_owned(), "gateway".to_owned()], vec![org.addr().to_string()])
    );
    assert_eq!(status.images, ["generation generation 7 x64", "preboot preboot 7 x64"]);
    let ticket = socket.get::<Tickets>("/v1/org/tickets").await.tickets.remove(0);
    assert_eq!(ticket.words, waiting.words());
    assert_eq!(socket.get::<Ticket>(&format!("/v1/org/tickets/{}", ticket.id)).await, ticket);
    assert_eq!(socket.get::<Invites>("/v1/org/invites").await.invites[0].max_uses, 3);

    let approval = org.approval(&machine);
    let (code, body) = socket.submit("approval", &approval).await;
    let submitted: Submitted = serde_json::from_str(&body).unwrap();
    assert_eq!((code, submitted.event.as_str()), (200, "ticket-approved"));
    let (code, body) = socket.submit("approval", &approval).await;
    let failure: Failure = serde_json::from_str(&body).unwrap();
    assert!(code == 422 && !failure.error.is_empty(), "{code} {body}");

    let window = socket.get::<Windows>("/v1/org/windows").await.windows.remove(0);
    let close = WindowClose { window: window.id.parse::<InviteId>().unwrap(), at: org.clock.now() };
    let (code, body) = socket.submit("window-close", &org.admin_signed(Domain::WindowClose, encode(&close))).await;
    assert_eq!(code, 200, "{body}");
    assert!(!socket.get::<Windows>("/v1/org/windows").await.windows[0].open);
    let known = org.journal.machines().known();
    assert!(!Memories::standings(&known).window_open());
    assert_eq!(socket.get::<OrgMachines>("/v1/org/machines").await.machines, []);

    // Whoever reads the log can follow its chain to the head that is told.
    let audit: Audit = socket.get("/v1/org/audit?from=1").await;
    let mut head = Head::default();
    for entry in &audit.entries {
        head.follow(&data_encoding::HEXLOWER.decode(entry.bytes.as_bytes()).unwrap()).unwrap();
    }
    assert_eq!((head.count, head.last.to_string()), (audit.count, audit.head));
    assert_eq!(socket.get::<Audit>("/v1/org/audit?from=3").await.entries[0].number, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_record_and_where_is_no_org_is_told_in_words() {
    let org = Org::new().await;
    let socket = Socket::of(Some(&org));
    for (body, code, word) in [
        (r#"{"kind":"window","record":"zz"}"#, 400, "hexadecimal"),
        (r#"{"kind":"window","record":"00"}"#, 400, "well-formed"),
        (r#"{"kind":"wish","record":"00"}"#, 400, "no such kind"),
        ("{}", 400, "missing field"),
    ] {
        let (found, said) = socket.ask("POST", "/v1/org/records", body).await;
        assert!(found == code && said.contains(word), "{body}: {found} {said}");
    }
    let (code, said) = socket.submit("window", &Signed::unsigned(b"nothing".to_vec())).await;
    assert!(code == 422 && said.contains("admins have signed"), "{code} {said}");
    assert_eq!(socket.ask("GET", "/v1/org/tickets/00", "").await.0, 404);

    let nothing = Socket::of(None);
    for path in ["/v1/org", "/v1/org/machines", "/v1/org/audit"] {
        let (code, said) = nothing.ask("GET", path, "").await;
        assert!(code == 404 && said.contains("slipway org init"), "{path}: {code} {said}");
    }
}
