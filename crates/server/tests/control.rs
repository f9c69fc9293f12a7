//! The control socket, asked over a real Unix socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use slipway_api::{Failure, MachineStory, Machines, Reloaded, Remembered, Reset, Status};
use slipway_engine::answer::Lead;
use slipway_engine::catalog::{Catalog, Digest, FileRef, Image, ImageKind};
use slipway_engine::journal::{About, DhcpMessage, Entry, Given, Outcome, Proto};
use slipway_engine::ladder::{Footing, Ignored, Rung};
use slipway_engine::request::{Loader, Place};
use slipway_engine::rules::Rules;
use slipway_engine::{Timestamp, Why};
use slipway_server::control::{Control, Desk, Error, Wish};
use slipway_server::journal::Journal;
use slipway_server::site::{Site, TftpSettings};
use slipway_store::Blobs;
use slipway_wire::{ClientArch, Cpu, MacAddr};
use tokio::sync::{mpsc, watch};

const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);

fn discover(outcome: Outcome) -> Entry {
    Entry {
        at: Timestamp(1_795_000_000_123),
        proto: Proto::Dhcp4,
        mac: Some(MAC),
        ip: Some("10.77.0.100".parse().unwrap()),
        uuid: None,
        interface: "eth1".to_owned(),
        asked: "DISCOVER x64 UEFI pxe".to_owned(),
        about: About::Dhcp {
            message: DhcpMessage::Discover,
            loader: Loader::Pxe,
            arch: ClientArch::X64_UEFI,
            relay: Some("10.88.0.1".parse().unwrap()),
            place: Box::new(Place { circuit_id: "ge-0/0/1".parse().ok(), ..Place::default() }),
            boot: Some(Given {
                what: "image/debian/uki.efi".to_owned(),
                rule: "lab".to_owned(),
                image: Some("debian@12".to_owned()),
                footing: None,
                lead: Lead::default(),
            }),
            refused: None,
        },
        outcome,
    }
}

/// A site with an image for each of two processors.
fn site() -> Site {
    let file = FileRef { digest: Digest([7; 32]), size: 4096 };
    let image = |name: &str, cpu| {
        let (name, version, files) = (name.to_owned(), "12".to_owned(), [(Image::UKI.to_owned(), file)].into());
        (name.clone(), vec![Image { name, version, kind: ImageKind::Uki, cpu: Some(cpu), cmdline: None, files }])
    };
    let images = [image("debian", Cpu::X64), image("raspbian", Cpu::Arm64)].into();
    Site {
        interfaces: Vec::new(),
        subnets: Vec::new(),
        subnets6: Vec::new(),
        rules: Rules::default(),
        catalog: Catalog { images, ..Catalog::default() },
        blobs: Blobs::under(Path::new("/nonexistent")),
        http_port: 8067,
        https: None,
        export: None,
        tftp: TftpSettings { blksize_max: 65464, single_port: false, allow: Vec::new() },
    }
}

/// A control socket in a folder of its own, with a server that only knows how to reload.
struct Bench {
    _folder: tempfile::TempDir,
    socket: PathBuf,
    journal: Journal,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Bench {
    fn new(reloaded: Result<Reloaded, String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let control = Control::bind(&socket).unwrap();
        let journal = Journal::default();
        let (wishes, mut wished) = mpsc::channel(1);
        let (stop, stopped) = watch::channel(false);
        let status = Status { version: "9.9.9".to_owned(), ..Status::default() };
        let (site, status) = (Arc::new(ArcSwap::from_pointee(site())), Arc::new(ArcSwap::from_pointee(status)));
        let desk = Desk { journal: journal.clone(), site, status, org: Arc::default(), wishes };
        let task = tokio::spawn(control.serve(desk, stopped));
        tokio::spawn(async move {
            while let Some(wish) = wished.recv().await {
                match wish {
                    Wish::Reload(answer) => drop(answer.send(reloaded.clone())),
                    Wish::LookAtImages(answer) => drop(answer.send(vec!["debian@1".to_owned()])),
                }
            }
        });
        Self { _folder: folder, socket, journal, stop, task }
    }

    async fn ask(&self, method: &str, path: &str) -> (u16, String) {
        self.tell(method, path, "").await
    }

    async fn tell(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let head = "Host: slipway\r\nContent-Type: application/json";
        let request = format!("{method} {path} HTTP/1.0\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let socket = self.socket.clone();
        tokio::task::spawn_blocking(move || exchange(&socket, &request)).await.unwrap()
    }
}

fn exchange(socket: &Path, request: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_and_their_stories_are_told() {
    let bench = Bench::new(Ok(Reloaded::default()));
    bench.journal.note(discover(Outcome::Answered("OFFER 10.77.0.100".to_owned())));
    bench.journal.note(discover(Outcome::Declined(Why::PoolEmpty)));
    let (code, body) = bench.ask("GET", "/v1/machines").await;
    let machines: Machines = serde_json::from_str(&body).unwrap();
    assert_eq!((code, machines.machines.len()), (200, 1));
    let machine = &machines.machines[0];
    assert_eq!(machine.mac, "52:54:00:12:34:56");
    assert_eq!(machine.last_seen, "2026-11-18T11:06:40.123Z");
    assert_eq!(machine.arch.as_deref(), Some("x64 UEFI"));
    assert_eq!(machine.ip.as_deref(), Some("10.77.0.100"));

    let (code, body) = bench.ask("GET", "/v1/machines/52-54-00-12-34-56").await;
    let story: MachineStory = serde_json::from_str(&body).unwrap();
    assert_eq!(code, 200);
    let events: Vec<_> = story.boots.iter().flat_map(|boot| &boot.events).collect();
    assert_eq!(events.len(), 2, "{body}");
    assert_eq!(events[1].why.as_deref(), Some("pool-empty"));
}

/// A DISCOVER that was answered by this kind of offer.
fn offered(at: u64, xid: u32, rung: Rung, climbed: Option<Ignored>) -> Entry {
    let mut entry = discover(Outcome::Answered("OFFER 10.77.0.100".to_owned()));
    if let About::Dhcp { boot: Some(given), .. } = &mut entry.about {
        given.footing = Some(Footing { rung, climbed, xid });
    }
    Entry { at: Timestamp(entry.at.0 + 1000 * at), ..entry }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_takes_another_kind_of_offer_is_told_and_can_be_reset() {
    let bench = Bench::new(Ok(Reloaded::default()));
    let show = format!("/v1/machines/{MAC}");
    let told = async |bench: &Bench| {
        let (_, body) = bench.ask("GET", &show).await;
        serde_json::from_str::<MachineStory>(&body).unwrap().machine.offers
    };
    bench.journal.note(offered(0, 1, Rung::Plain, None));
    assert_eq!(told(&bench).await, None);
    bench.journal.note(offered(60, 2, Rung::ThisFile, Some(Ignored::StartedAnew)));
    let tried = told(&bench).await.unwrap();
    assert_eq!((tried.rung.as_str(), tried.works_since), ("this-file", None));
    let took = Duration::from_secs(1);
    let whole = About::File { path: "image/debian/uki.efi".to_owned(), sent: 7, took, whole: true };
    let loaded = Entry { about: whole, ..offered(70, 2, Rung::ThisFile, None) };
    bench.journal.note(loaded);
    assert!(told(&bench).await.unwrap().works_since.is_some(), "it has loaded its boot file");
    let machines = bench.journal.machines();
    assert_eq!(machines.known().get(MAC).unwrap().offers.unwrap().rung, Rung::ThisFile, "for the next process too");

    let (code, body) = bench.ask("POST", &format!("{show}/reset")).await;
    let reset: Reset = serde_json::from_str(&body).unwrap();
    assert_eq!((code, reset.was.map(|was| was.rung).as_deref()), (200, Some("this-file")));
    assert_eq!(told(&bench).await, None);
    assert!(machines.known().get(MAC).is_none());
    let (code, body) = bench.ask("POST", "/v1/machines/52:54/reset").await;
    assert!(code == 400 && body.contains("six octets"), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_machine_is_to_boot_is_said_shown_and_taken_back() {
    let bench = Bench::new(Ok(Reloaded::default()));
    bench.journal.note(discover(Outcome::Answered("OFFER 10.77.0.100".to_owned())));
    let boot = "/v1/machines/52:54:00:12:34:56/boot";
    let (code, body) = bench.tell("POST", boot, r#"{"boot":"image","image":"debian@12","once":true}"#).await;
    assert_eq!(code, 200, "{body}");
    let (_, body) = bench.ask("GET", "/v1/machines/52:54:00:12:34:56").await;
    let story: MachineStory = serde_json::from_str(&body).unwrap();
    let intent = story.machine.remembered.and_then(|remembered| remembered.intent).unwrap();
    assert_eq!((intent.image.as_deref(), intent.once, intent.attempts), (Some("debian@12"), true, 0));

    // Of a machine that was never heard of, too: it is listed then.
    let unheard = "/v1/machines/52:54:00:00:00:99/boot";
    assert_eq!(bench.tell("POST", unheard, r#"{"boot":"image","image":"raspbian"}"#).await.0, 200);
    let (_, body) = bench.ask("GET", "/v1/machines").await;
    assert_eq!(serde_json::from_str::<Machines>(&body).unwrap().machines.len(), 2, "{body}");
    assert_eq!(bench.ask("POST", "/v1/machines/52:54:00:00:00:99/forget").await.0, 200);
    assert_eq!(bench.ask("GET", "/v1/machines/52:54:00:00:00:99").await.0, 404);

    let (code, body) = bench.tell("POST", boot, r#"{"boot":"rules"}"#).await;
    assert_eq!((code, serde_json::from_str::<Remembered>(&body).unwrap()), (200, Remembered::default()));
    for (body, code, words) in [
        (r#"{"boot":"image","image":"fedora"}"#, 422, "image `fedora` is not in the store; there are debian, raspbian"),
        (r#"{"boot":"image","image":"debian@13"}"#, 422, "`debian@13` is not in the store"),
        (
            r#"{"boot":"image","image":"raspbian"}"#,
            422,
            "(x64 UEFI pxe) could not boot that: image `raspbian` cannot be",
        ),
        (r#"{"boot":"image"}"#, 400, "which image?"),
        (r#"{"boot":"local","image":"debian"}"#, 400, "does not go with"),
        (r#"{"boot":"moon"}"#, 400, "nothing to boot"),
        (r#"{"boot":"image","image":"debian","path":"far"}"#, 400, "no path"),
    ] {
        let (got, answer) = bench.tell("POST", boot, body).await;
        let failure: Failure =
            serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{body}: {error}: {answer}"));
        assert_eq!(got, code, "{body}");
        assert!(failure.error.contains(words), "{body}: {}", failure.error);
    }
    let (code, body) = bench.ask("POST", "/v1/machines/52:54:00:12:34:56/release").await;
    assert_eq!(code, 409, "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_answered_says_why() {
    let bench = Bench::new(Err("slipway.toml:3:1: error: colour: unknown key".to_owned()));
    for (method, path, code, words) in [
        ("GET", "/v1/machines/52:54:00:00:00:99", 404, "nothing was heard of 52:54:00:00:00:99"),
        ("GET", "/v1/machines/nonsense", 400, "not a MAC address"),
        ("GET", "/v2/machines", 404, "no such resource"),
        ("DELETE", "/v1/machines", 405, "not asked for that way"),
        ("POST", "/v1/reload", 422, "slipway.toml:3:1: error: colour: unknown key"),
    ] {
        let (got, body) = bench.ask(method, path).await;
        let failure: Failure = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"));
        assert_eq!(got, code, "{path}");
        assert!(failure.error.contains(words), "{path}: {}", failure.error);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_tells_what_changed_and_the_images_are_looked_at_on_demand() {
    let changes = vec!["rule lab added".to_owned()];
    let bench = Bench::new(Ok(Reloaded { changes: changes.clone(), ..Reloaded::default() }));
    let (code, body) = bench.ask("POST", "/v1/reload").await;
    assert_eq!((code, serde_json::from_str::<Reloaded>(&body).unwrap().changes), (200, changes));
    assert_eq!(bench.ask("POST", "/v1/images/refresh").await, (200, "[\"debian@1\"]".to_owned()));
    let (code, body) = bench.ask("GET", "/v1/status").await;
    assert_eq!((code, serde_json::from_str::<Status>(&body).unwrap().version), (200, "9.9.9".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_socket_is_for_owner_and_group_and_goes_with_the_server() {
    let bench = Bench::new(Ok(Reloaded::default()));
    let mode = std::fs::metadata(&bench.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    bench.stop.send(true).unwrap();
    bench.task.await.unwrap().unwrap();
    assert!(!bench.socket.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_is_refused_and_a_dead_ones_socket_is_replaced() {
    let bench = Bench::new(Ok(Reloaded::default()));
    assert!(matches!(Control::bind(&bench.socket), Err(Error::Running(_))));

    let folder = tempfile::tempdir().unwrap();
    let dead = folder.path().join("control.sock");
    drop(UnixListener::bind(&dead).unwrap());
    assert!(dead.exists());
    assert!(Control::bind(&dead).is_ok());

    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "mine").unwrap();
    assert!(matches!(Control::bind(&file), Err(Error::InTheWay(_))));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}
