#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "test code"
)]
//! The HTTP boot server over loopback, spoken to byte by byte.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use slipway_engine::catalog::{Catalog, Digest, FileRef, Image, ImageKind};
use slipway_engine::journal::{About, Entry, Outcome, Proto};
use slipway_engine::machine::{Change, Guard};
use slipway_engine::rules::{Boot, Path, Rule, Rules, Then, When};
use slipway_server::http::{self, Limits};
use slipway_server::journal::Journal;
use slipway_server::site::{Interface, Ipv6, Mode, SharedSite, Site, TftpSettings};
use slipway_store::Blobs;
use slipway_wire::Cpu;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const MAC: &str = "52:54:00:12:34:56";

/// A server on loopback with a small store.
struct Lab {
    _data: TempDir,
    site: SharedSite,
    journal: Journal,
    server: http::Handle,
}

fn store(blobs: &Blobs, n: u8, content: &[u8]) -> FileRef {
    let digest = Digest([n; 32]);
    let path = blobs.path(&digest);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = File::create(&path).unwrap();
    file.write_all(content).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)).unwrap();
    FileRef { digest, size: content.len() as u64 }
}

fn image(name: &str, kind: ImageKind, files: &[(&str, FileRef)]) -> (String, Vec<Image>) {
    let files = files.iter().map(|(name, file)| ((*name).to_owned(), *file)).collect();
    let (name, version) = (name.to_owned(), "1".to_owned());
    (name.clone(), vec![Image { name, version, kind, cpu: Some(Cpu::X64), cmdline: Some("quiet".into()), files }])
}

/// More than any socket's buffers hold.
static BIG: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let words = (0..5_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes());
    words.chain([1, 2, 3]).collect()
});

impl Lab {
    fn start(limits: Limits) -> Self {
        Self::start_on(&["127.0.0.1:0".parse().unwrap()], limits)
    }

    fn start_on(listen: &[SocketAddr], limits: Limits) -> Self {
        let data = tempfile::tempdir().unwrap();
        let blobs = Blobs::under(data.path());
        let template = b"#!ipxe\necho {{ image.url }} {{ machine.mac }} {{ nonsense }}\n";
        let installer = b"#!ipxe\necho {{ done_url }}\n";
        let images = [
            image("lab", ImageKind::Uki, &[("uki.efi", store(&blobs, 1, b"0123456789"))]),
            image("big", ImageKind::Tree, &[("a/b.bin", store(&blobs, 2, &BIG)), ("empty", store(&blobs, 3, b""))]),
            image("own", ImageKind::IpxeScript, &[("script.ipxe", store(&blobs, 4, template))]),
            image("installer", ImageKind::IpxeScript, &[("script.ipxe", store(&blobs, 5, installer))]),
            image("lost", ImageKind::Tree, &[("x", FileRef { digest: Digest([9; 32]), size: 5 })]),
        ];
        let export = data.path().join("export");
        fs::create_dir(&export).unwrap();
        fs::write(export.join("grub.cfg"), "set timeout=0\n").unwrap();
        fs::write(data.path().join("secret"), "secret").unwrap();
        symlink("../secret", export.join("link")).unwrap();
        let site = Site {
            interfaces: vec![Interface {
                name: "lo".into(),
                index: 1,
                mac: [0; 6],
                v4: vec![([127, 0, 0, 1].into(), 8)],
                v6: vec![("::1".parse().unwrap(), 128)],
                mtu: 65536,
                mode: Mode::Dhcp,
                ipv6: Ipv6::default(),
            }],
            subnets: Vec::new(),
            subnets6: Vec::new(),
            rules: Rules::zero_configuration(),
            catalog: Catalog { images: images.into(), ..Catalog::default() },
            blobs,
            http_port: 0,
            https: None,
            export: Some(export),
            tftp: TftpSettings { blksize_max: 1468, single_port: false, allow: Vec::new() },
        };
        let site: SharedSite = Arc::new(ArcSwap::from_pointee(site));
        // On disk: what passes are made from is kept there.
        let journal = Journal::open(data.path()).unwrap();
        let server = http::spawn(listen, limits, Arc::clone(&site), journal.clone()).unwrap();
        Self { _data: data, site, journal, server }
    }

    fn addr(&self) -> SocketAddr {
        self.server.local_addrs()[0]
    }

    async fn client(&self) -> Client {
        Client { stream: TcpStream::connect(self.addr()).await.unwrap(), read: Vec::new() }
    }

    async fn ask(&self, request: &str) -> Response {
        let mut client = self.client().await;
        client.send(request).await;
        client.response(request.starts_with("HEAD")).await.unwrap()
    }

    async fn get(&self, target: &str) -> Response {
        self.ask(&format!("GET {target} HTTP/1.1\r\n\r\n")).await
    }

    fn rule(&self, then: Then) {
        let rules =
            Rules { rules: vec![Rule { name: "r".into(), when: When::default(), then, https: None, install: None }] };
        self.site.store(Arc::new(Site { rules, ..Site::clone(&self.site.load()) }));
    }

    /// The entries about our one machine, the newest last; waits for `count` of them, as they are noted after the answer is out.
    async fn entries(&self, count: usize) -> Vec<Entry> {
        loop {
            let entries = self.journal.machine(MAC.parse().unwrap()).unwrap_or_default();
            if entries.len() >= count {
                return entries.iter().map(|entry| Entry::clone(entry)).collect();
            }
            tokio::task::yield_now().await;
        }
    }
}

struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

struct Response {
    head: String,
    body: Vec<u8>,
}

impl Response {
    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The head without the one value that changes.
    fn stable_head(&self) -> String {
        let line = |line: &str| if line.starts_with("Date: ") { "Date: (now)".to_owned() } else { line.to_owned() };
        self.head.trim_end().lines().map(line).collect::<Vec<_>>().join("\n")
    }
}

impl Client {
    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next response, or nothing where the server has closed the connection.
    async fn response(&mut self, to_head: bool) -> Option<Response> {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if self.stream.read_buf(&mut self.read).await.unwrap_or(0) == 0 {
                assert_eq!(self.read, b"", "closed in the middle of a head");
                return None;
            }
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let mut response = Response { head, body: Vec::new() };
        let length: usize = response.header("Content-Length").map_or(0, |length| length.parse().unwrap());
        if !to_head && response.status() != 304 {
            while self.read.len() < length {
                assert_ne!(self.stream.read_buf(&mut self.read).await.unwrap(), 0, "closed in the middle of a body");
            }
            response.body = self.read.drain(..length).collect();
        }
        Some(response)
    }
}

#[tokio::test]
async fn heads_are_what_firmware_wants_byte_for_byte() {
    let lab = Lab::start(Limits::default());
    let mut heads = Vec::new();
    for (request, extra) in [
        ("HEAD /image/lab/uki.efi", ""),
        ("GET /image/lab@1/uki.efi", ""),
        ("GET /image/lab/uki.efi", "Range: bytes=2-4\r\n"),
        ("GET /image/lab/uki.efi", "Range: bytes=10-\r\n"),
        ("GET /image/lab/uki.efi", "If-Match: \"x\"\r\n"),
        ("GET /image/lab/uki.efi", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
        ("GET /image/lab/uki.efi", "Connection: close\r\n"),
        ("GET /image/none/uki.efi", ""),
        ("DELETE /image/lab/uki.efi", ""),
        ("POST /image/lab/uki.efi", ""),
        ("GET /agent/report", ""),
        ("GET /boot.ipxe", ""),
    ] {
        let response = lab.ask(&format!("{request} HTTP/1.1\r\nHost: 10.0.0.1\r\n{extra}\r\n")).await;
        heads.push(format!(
            "> {request} {extra}\n{}",
            response.stable_head().replace(&format!(":{}", lab.addr().port()), ":PORT")
        ));
    }
    insta::assert_snapshot!(heads.join("\n\n"));
}

#[tokio::test]
async fn head_tells_exactly_what_get_would() {
    let lab = Lab::start(Limits::default());
    for target in
        ["/image/lab/uki.efi", "/image/big/empty", "/grub.cfg", "/none", "/boot.ipxe?mac=52-54-00-12-34-56&arch=7"]
    {
        let head = lab.ask(&format!("HEAD {target} HTTP/1.1\r\n\r\n")).await;
        let get = lab.get(target).await;
        assert_eq!(head.stable_head(), get.stable_head(), "{target}");
        assert_eq!(get.header("Content-Length"), Some(get.body.len().to_string().as_str()));
    }
}

#[tokio::test]
async fn nothing_is_redirected_chunked_or_compressed_whatever_is_asked() {
    let lab = Lab::start(Limits::default());
    for target in [
        "/image/lab/uki.efi",
        "//image//lab//uki.efi",
        "/image/lab@1/uki.efi?x=y",
        "/image/lab/",
        "/image/lab",
        "/image",
        "/",
        "/grub.cfg",
        "/none.efi",
        "/../secret",
        "/boot.ipxe",
        "/boot.ipxe?mac=52-54-00-12-34-56&arch=7",
    ] {
        for method in ["HEAD", "GET"] {
            let wishes = "Accept-Encoding: gzip, br\r\nTE: chunked\r\nUpgrade-Insecure-Requests: 1\r\n";
            let response = lab.ask(&format!("{method} {target} HTTP/1.1\r\n{wishes}\r\n")).await;
            assert!(matches!(response.status(), 200 | 400 | 404), "{method} {target}: {}", response.head);
            for unknown in ["Location", "Transfer-Encoding", "Content-Encoding"] {
                assert_eq!(response.header(unknown), None, "{method} {target}");
            }
            assert!(response.header("Content-Length").is_some(), "{method} {target}: {}", response.head);
        }
    }
}

#[tokio::test]
async fn parts_are_the_bytes_that_were_asked_for() {
    let lab = Lab::start(Limits::default());
    for (range, status, body) in [
        ("bytes=0-", 206, "0123456789"),
        ("bytes=3-5", 206, "345"),
        ("bytes=-3", 206, "789"),
        ("bytes=9-100", 206, "9"),
        ("bytes=10-", 416, ""),
        ("bytes=0-1,4-5", 200, "0123456789"),
        ("bytes=x", 200, "0123456789"),
    ] {
        let response = lab.ask(&format!("GET /image/lab/uki.efi HTTP/1.1\r\nRange: {range}\r\n\r\n")).await;
        assert_eq!((response.status(), response.text()), (status, body), "{range}");
    }
    // As edk2 resumes: from where it stopped, if the file is still the same.
    let etag = lab.get("/image/lab/uki.efi").await.header("ETag").unwrap().to_owned();
    let resumed =
        lab.ask(&format!("GET /image/lab/uki.efi HTTP/1.1\r\nRange: bytes=4-\r\nIf-Match: {etag}\r\n\r\n")).await;
    assert_eq!((resumed.status(), resumed.text()), (206, "456789"));
}

#[tokio::test]
async fn a_file_of_an_image_is_had_by_its_digest_whole_and_in_parts() {
    let lab = Lab::start(Limits::default());
    let path = |n: u8| format!("/{}", slipway_engine::namespace::blob(&Digest([n; 32])));
    let (whole, by_name) = (lab.get(&path(1)).await, lab.get("/image/lab/uki.efi").await);
    assert_eq!((whole.status(), whole.body.as_slice()), (200, &b"0123456789"[..]));
    assert_eq!(whole.header("ETag"), by_name.header("ETag"));
    assert_eq!(lab.ask(&format!("HEAD {} HTTP/1.1\r\n\r\n", path(1))).await.header("Content-Length"), Some("10"));
    let part = lab.ask(&format!("GET {} HTTP/1.1\r\nRange: bytes=7-\r\n\r\n", path(1))).await;
    assert_eq!((part.status(), part.body.as_slice()), (206, &b"789"[..]));
    // Stored, but no image's any more; and a path that is not of this form.
    store(&lab.site.load().blobs, 8, b"secret");
    for target in [path(8), path(1).to_uppercase(), "/blob/sha256/".to_owned()] {
        assert_eq!(lab.get(&target).await.status(), 404, "{target}");
    }
}

#[tokio::test]
async fn a_big_file_arrives_identical_and_in_parts_too() {
    let lab = Lab::start(Limits::default());
    let big = &*BIG;
    assert!(lab.get("/image/big/a/b.bin?mac=52-54-00-12-34-56").await.body == *big);
    let part = lab.ask("GET /image/big/a/b.bin HTTP/1.1\r\nRange: bytes=5000000-14999999\r\n\r\n").await;
    assert!(part.body == big[5_000_000..15_000_000]);
    let entry = lab.entries(1).await.remove(0);
    assert_eq!(
        (entry.proto, entry.asked.as_str(), entry.interface.as_str()),
        (Proto::Http, "GET /image/big/a/b.bin", "lo")
    );
    let About::File { path, sent, whole, .. } = entry.about else { panic!("{entry:?}") };
    assert_eq!((path.as_str(), sent, whole), ("image/big/a/b.bin", 20_000_003, true));
    assert!(matches!(entry.outcome, Outcome::Answered(text) if text.starts_with("200 20000003 bytes in ")));
}

#[tokio::test]
async fn one_connection_carries_request_after_request_and_pipelined_ones_in_order() {
    let lab = Lab::start(Limits::default());
    let mut client = lab.client().await;
    client.send("HEAD /image/lab/uki.efi HTTP/1.1\r\n\r\n").await;
    assert_eq!(client.response(true).await.unwrap().status(), 200);
    client
        .send("GET /image/lab/uki.efi HTTP/1.1\r\n\r\nGET /none HTTP/1.1\r\n\r\n\r\nGET /grub.cfg HTTP/1.1\r\nConn")
        .await;
    assert_eq!(client.response(false).await.unwrap().text(), "0123456789");
    assert_eq!(client.response(false).await.unwrap().status(), 404);
    client.send("ection: close\r\n\r\n").await;
    let last = client.response(false).await.unwrap();
    assert_eq!((last.text(), last.header("Connection")), ("set timeout=0\n", Some("close")));
    assert!(client.response(false).await.is_none());
}

#[tokio::test]
async fn http_1_0_clients_are_closed_unless_they_ask() {
    let lab = Lab::start(Limits::default());
    let mut client = lab.client().await;
    client.send("GET /grub.cfg HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    let kept = client.response(false).await.unwrap();
    assert!(kept.head.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(kept.header("Connection"), Some("keep-alive"));
    client.send("GET /grub.cfg HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.response(false).await.unwrap().header("Connection"), Some("close"));
    assert!(client.response(false).await.is_none());
}

#[tokio::test]
async fn names_lead_where_they_should_and_nowhere_else() {
    let lab = Lab::start(Limits::default());
    for (target, status) in [
        ("/image/lab/uki.efi", 200),
        ("//image//lab/./uki.efi", 200),
        ("/image%2Flab/uki.efi", 200),
        ("\\image\\lab\\uki.efi", 400),
        ("/%5Cimage%5Clab%5Cuki.efi", 200),
        ("http://anything:99/image/lab/uki.efi", 200),
        ("/image/lab@2/uki.efi", 404),
        ("/grub.cfg", 200),
        ("/link", 404),
        ("/../secret", 400),
        ("/x/%2e%2e/%2e%2e/secret", 400),
        ("/..%5c..%5csecret", 400),
        ("/grub.cfg%00", 400),
        ("/C:/secret", 400),
        ("/%ff", 404),
        ("/%ff%fe", 400),
        ("/a%80", 400),
        ("/", 404),
        ("/image", 404),
        ("/autoexec.ipxe", 200),
        ("/image/lost/x", 500),
    ] {
        assert_eq!(lab.get(target).await.status(), status, "{target}");
    }
    lab.site.store(Arc::new(Site { export: None, ..Site::clone(&lab.site.load()) }));
    assert_eq!(lab.get("/grub.cfg").await.status(), 404);
}

#[tokio::test]
async fn what_is_no_request_is_answered_once_and_the_connection_ends() {
    let lab = Lab::start(Limits::default());
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(40_000));
    for (text, status) in [
        ("\x16\x03\x01 is TLS\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\n\r\n", 505),
        ("POST /agent/report HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
        ("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (&long, 431),
    ] {
        let mut client = lab.client().await;
        client.send(text).await;
        let response = client.response(false).await.unwrap();
        assert_eq!((response.status(), response.header("Connection")), (status, Some("close")));
        assert!(client.response(false).await.is_none());
    }
}

#[tokio::test]
async fn a_machine_gets_its_script_by_what_the_query_says() {
    let lab = Lab::start(Limits::default());
    let known = "/boot.ipxe?mac=52%3A54%3A00%3A12%3A34%3A56&uuid=&arch=x86_64&platform=efi";
    let root = format!("http://{}", lab.addr());
    let menu = lab.get(known).await;
    assert_eq!(menu.header("Content-Type"), Some("text/plain"));
    assert!(
        menu.text().contains(&format!("chain --autofree {root}/boot.ipxe?mac=52-54-00-12-34-56&arch=7&image=lab ")),
        "{}",
        menu.text()
    );
    let picked = lab.get(&format!("{known}&image=lab")).await;
    assert!(
        picked.text().contains(&format!("\nchain --name \x01uki {root}/image/lab@1/uki.efi || goto failed\n")),
        "{:?}",
        picked.text()
    );
    lab.rule(Then::Local);
    assert!(lab.get(known).await.text().ends_with("exit 1\n"));
    lab.rule(Then::Ignore);
    assert_eq!(lab.get(known).await.status(), 404);
    let boot = |image: &str| Then::Boot(Boot { image: image.into(), version: None, path: Path::Auto, append: None });
    lab.rule(boot("absent"));
    let refused = lab.get(known).await;
    assert_eq!(refused.status(), 200);
    assert!(
        refused
            .text()
            .starts_with("#!ipxe\necho Slipway does not boot this machine: image 'absent' is not in the store\n")
    );
    lab.rule(boot("own"));
    let fault = lab.get(known).await;
    assert!(fault.text().contains("image own@1: line 2 of the script's template: undefined value"), "{}", fault.text());
    let outcomes: Vec<String> =
        lab.entries(6).await.iter().map(|entry| format!("{}: {}", entry.asked, entry.outcome)).collect();
    insta::assert_snapshot!(outcomes.join("\n"), @"
        GET /boot.ipxe: 200 script by rule default
        GET /boot.ipxe: 200 lab@1 by rule default
        GET /boot.ipxe: 200 script by rule r
        GET /boot.ipxe: declined (ignored): rule `r` says to ignore this machine
        GET /boot.ipxe: declined (no-image): image `absent` is not in the store
        GET /boot.ipxe: failed: image own@1: line 2 of the script's template: undefined value
        ");
}

#[tokio::test]
async fn an_ipxe_that_did_not_introduce_itself_is_asked_once() {
    let lab = Lab::start(Limits::default());
    for target in ["/boot.ipxe", "/boot.ipxe?mac=52-54-00-12-34-56"] {
        let text = lab.get(target).await.text().to_owned();
        assert!(
            text.contains("boot.ipxe?mac=${netX/mac:hexhyp}&uuid=${uuid}&arch=${buildarch}&platform=${platform}"),
            "{text}"
        );
    }
    for target in ["/boot.ipxe?mac=&uuid=&arch=&platform=", "/boot.ipxe?mac=52-54-00-12-34-56&arch=vax&platform=efi"] {
        let text = lab.get(target).await.text().to_owned();
        assert!(text.starts_with("#!ipxe\necho Slipway does not boot") && !text.contains("chain"), "{text}");
    }
}

#[tokio::test]
async fn ipxe_finds_its_own_script_at_each_place_where_it_looks() {
    let lab = Lab::start(Limits::default());
    for target in ["/loader/autoexec.ipxe", "/image/debian/autoexec.ipxe", "/autoexec.ipxe"] {
        let text = lab.get(target).await.text().to_owned();
        assert!(text.starts_with("#!ipxe\n") && text.contains("/boot.ipxe?mac=${netX/mac:hexhyp}"), "{target}: {text}");
    }
    assert_eq!(lab.get("/elsewhere/autoexec.ipxe").await.status(), 404);
}

#[tokio::test]
async fn a_report_is_taken_in_and_noted() {
    let lab = Lab::start(Limits::default());
    let body = format!("mac={MAC}\nuuid=00112233-4455-6677-8899-aabbccddeeff\nkernel=6.1.0\ncmdline=a b\n");
    let head = |length: usize| format!("POST /agent/report HTTP/1.1\r\nContent-Length: {length}\r\n");
    let response = lab.ask(&format!("{}\r\n{body}", head(body.len()))).await;
    assert_eq!((response.status(), response.header("Content-Length")), (204, None));
    let entry = lab.entries(1).await.remove(0);
    assert_eq!((entry.proto, &entry.about, entry.outcome.to_string().as_str()), (Proto::Agent, &About::Report, "204"));
    assert_eq!(entry.asked, "report kernel=6.1.0 cmdline=\"a b\"");
    assert_eq!(entry.uuid, "00112233-4455-6677-8899-aabbccddeeff".parse().ok());

    let mut client = lab.client().await;
    client.send(&format!("{}Expect: 100-continue\r\n\r\n", head(body.len()))).await;
    assert_eq!(client.response(false).await.unwrap().head, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(&body).await;
    assert_eq!(client.response(false).await.unwrap().status(), 204);
    client.send("GET /grub.cfg HTTP/1.1\r\n\r\n").await;
    assert_eq!(client.response(false).await.unwrap().status(), 200);

    assert_eq!(lab.ask(&format!("{}\r\n{}", head(4097), "x".repeat(4097))).await.status(), 413);
    assert_eq!(lab.ask(&format!("{}\r\nmac=none\n", head(9))).await.status(), 400);
    assert_eq!(lab.ask("POST /agent/report HTTP/1.1\r\n\r\n").await.status(), 400);
}

#[tokio::test(start_paused = true)]
async fn clients_that_dawdle_are_let_go() {
    let lab = Lab::start(Limits::default());
    // Nothing at all, then half a head: the first is just closed, the second told why.
    let mut silent = lab.client().await;
    assert!(silent.response(false).await.is_none());
    let mut half = lab.client().await;
    half.send("GET / HT").await;
    assert_eq!(half.response(false).await.unwrap().status(), 408);
    assert!(half.response(false).await.is_none());
    // After a request a connection may rest, but not for ever.
    let mut idle = lab.client().await;
    idle.send("GET /grub.cfg HTTP/1.1\r\n\r\n").await;
    assert_eq!(idle.response(false).await.unwrap().status(), 200);
    assert!(idle.response(false).await.is_none());
    let mut report = lab.client().await;
    report.send("POST /agent/report HTTP/1.1\r\nContent-Length: 20\r\n\r\nmac=").await;
    assert_eq!(report.response(false).await.unwrap().status(), 408);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_any_more_loses_its_transfer() {
    let lab = Lab::start(Limits::default());
    let mut client = lab.client().await;
    client.send(&format!("GET /image/big/a/b.bin?mac={MAC} HTTP/1.1\r\n\r\n")).await;
    let entry = lab_entry_after(&lab, Duration::from_secs(31)).await;
    assert!(matches!(&entry.outcome, Outcome::Peer(fault) if fault.contains("took no more after")), "{entry:?}");
    assert!(matches!(entry.about, About::File { whole: false, sent, .. } if sent < 20_000_003), "{entry:?}");
}

/// The first entry about our machine, looked for until so much (paused) time has passed.
async fn lab_entry_after(lab: &Lab, time: Duration) -> Entry {
    for _ in 0..time.as_millis() {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if let Some(entry) = lab.journal.machine(MAC.parse().unwrap()).and_then(|entries| entries.first().cloned()) {
            return Entry::clone(&entry);
        }
    }
    panic!("no entry after {time:?}");
}

#[tokio::test]
async fn a_client_that_goes_in_the_middle_is_noted_with_what_it_has() {
    let lab = Lab::start(Limits::default());
    let mut client = lab.client().await;
    client.send(&format!("GET /image/big/a/b.bin?mac={MAC} HTTP/1.1\r\n\r\n")).await;
    client.stream.read_exact(&mut [0; 1000]).await.unwrap();
    drop(client);
    let entry = lab.entries(1).await.remove(0);
    assert!(
        matches!(&entry.outcome, Outcome::Peer(fault) if fault.contains("closed the connection after")),
        "{entry:?}"
    );
}

#[tokio::test]
async fn connections_are_limited_and_seats_become_free_again() {
    let lab = Lab::start(Limits { per_source: 2, ..Limits::default() });
    let (mut one, mut two) = (lab.client().await, lab.client().await);
    for client in [&mut one, &mut two] {
        client.send("GET /grub.cfg HTTP/1.1\r\n\r\n").await;
        assert_eq!(client.response(false).await.unwrap().status(), 200);
    }
    let mut three = lab.client().await;
    assert_eq!(three.response(false).await.unwrap().status(), 503);
    drop(one);
    loop {
        // The server learns of the close in its own time.
        let mut client = lab.client().await;
        let _ = client.stream.write_all(b"GET /grub.cfg HTTP/1.1\r\n\r\n").await;
        if client.response(false).await.is_some_and(|response| response.status() == 200) {
            break;
        }
    }
}

#[tokio::test]
async fn shutdown_lets_a_transfer_finish_and_closes_what_rests() {
    let lab = Lab::start(Limits::default());
    let mut resting = lab.client().await;
    resting.send("GET /grub.cfg HTTP/1.1\r\n\r\n").await;
    assert_eq!(resting.response(false).await.unwrap().status(), 200);
    let mut loading = lab.client().await;
    loading.send("GET /image/big/a/b.bin HTTP/1.1\r\n\r\n").await;
    let mut first = [0; 100];
    loading.stream.read_exact(&mut first).await.unwrap();
    loading.read.extend_from_slice(&first);
    let addr = lab.addr();
    let (response, ()) = tokio::join!(loading.response(false), lab.server.shutdown());
    assert!(response.unwrap().body == *BIG);
    assert!(resting.response(false).await.is_none());
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_for_a_client_that_takes_nothing() {
    let lab = Lab::start(Limits { stall: Duration::from_secs(3600), ..Limits::default() });
    let mut client = lab.client().await;
    client.send("GET /image/big/a/b.bin HTTP/1.1\r\n\r\n").await;
    client.stream.read_exact(&mut [0; 100]).await.unwrap();
    let before = tokio::time::Instant::now();
    lab.server.shutdown().await;
    assert!(before.elapsed() < Duration::from_secs(6));
}

#[tokio::test]
async fn ipv6_is_served_with_bracketed_urls_where_there_is_any() {
    let Ok(probe) = std::net::TcpListener::bind("[::1]:0") else {
        assert!(fs::metadata("/proc/net/if_inet6").is_err(), "there is IPv6, but no ::1");
        return;
    };
    drop(probe);
    let lab = Lab::start_on(&["[::1]:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap()], Limits::default());
    assert_eq!(lab.server.local_addrs().len(), 2);
    let script = lab.get("/boot.ipxe").await;
    assert!(script.text().contains(&format!("http://[::1]:{}/boot.ipxe?", lab.addr().port())), "{}", script.text());
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let lab = Lab::start(Limits::default());
    let error = http::spawn(&[lab.addr()], Limits::default(), Arc::clone(&lab.site), Journal::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen for HTTP on {}", lab.addr()));
}

/// An installer's script, its word that it is done, and what its machine is told then: once each, and by its own pass only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installer_says_that_it_is_done_and_its_machine_boots_its_disk() {
    let lab = Lab::start(Limits::default());
    let boot = Boot { image: "installer".into(), version: None, path: Path::Auto, append: None };
    let (when, install) = (When::default(), Some(Guard::default()));
    let rule = Rule { name: "r".into(), when, then: Then::Boot(boot), https: None, install };
    lab.site.store(Arc::new(Site { rules: Rules { rules: vec![rule] }, ..Site::clone(&lab.site.load()) }));
    let script = format!("GET /boot.ipxe?mac={MAC}&arch=0 HTTP/1.1\r\n\r\n");

    let told = lab.ask(&script).await;
    let url = told.text().lines().find_map(|line| line.strip_prefix("echo ")).unwrap().to_owned();
    let path = url.strip_prefix(&format!("http://{}", lab.addr())).unwrap().to_owned();
    assert!(path.starts_with("/done/52-54-00-12-34-56/installer/") && path.len() == 66, "{url}");

    let guessed = format!("{}{}", &path[..path.len() - 1], if path.ends_with('0') { '1' } else { '0' });
    let of_another = path.replace("12-34-56", "12-34-57");
    let of_another_installer = path.replace("installer", "lab");
    for wrong in [guessed, of_another, of_another_installer, "/done/x".to_owned(), "/done/52-54-00-12-34-56".to_owned()]
    {
        assert_eq!(lab.get(&wrong).await.status(), 404, "{wrong}");
    }
    assert_eq!(lab.ask(&format!("HEAD {path} HTTP/1.1\r\n\r\n")).await.status(), 405, "asking is not saying");
    assert!(lab.ask(&script).await.text().contains("echo http://"), "it still installs");

    assert_eq!(lab.ask(&format!("POST {path} HTTP/1.1\r\nContent-Length: 0\r\n\r\n")).await.status(), 200);
    assert_eq!(lab.get(&path).await.status(), 404, "good for one word");
    let local = lab.ask(&script).await;
    assert!(local.text().contains("installer 'installer' said that it is done"), "{}", local.text());
    assert!(local.text().ends_with("sanboot --no-describe --drive 0x80 || exit 1\n"), "{}", local.text());

    lab.journal.machines().tell(MAC.parse().unwrap(), None, Change::Release).unwrap();
    let again = lab.ask(&script).await;
    assert!(again.text().contains("/done/") && !again.text().contains(&path), "another installation, another pass");
}

#[tokio::test]
async fn grub_is_given_its_configuration_over_http_too() {
    let lab = Lab::start(Limits::default());
    assert_eq!(lab.get("/grub/grub.cfg").await.status(), 404, "no GRUB is installed");
    let mut site = Site::clone(&lab.site.load());
    let grub = site.catalog.images["lab"][0].files["uki.efi"];
    site.catalog.loaders.insert("grubx64.efi".into(), grub);
    site.rules = Rules {
        rules: vec![Rule { name: "r".into(), when: When::default(), then: Then::Local, https: None, install: None }],
    };
    lab.site.store(Arc::new(site));
    let asked = lab.get("/shim/grub.cfg").await;
    assert!(asked.text().contains("${net_default_mac}"), "{}", asked.text());
    for name in ["52-54-00-12-34-56", "52:54:00:12:34:56"] {
        let given = lab.get(&format!("/grub/grub.cfg-01-{name}")).await;
        assert_eq!((given.status(), given.header("Content-Length").is_some()), (200, true));
        assert!(given.text().ends_with("echo 'Slipway: booting from the local disk'\nexit 1\n"), "{}", given.text());
    }
    assert_eq!(lab.get("/shim/grub.cfg-0A4D0064").await.status(), 404);
    assert_eq!(lab.get("/shim/grubx64.efi").await.body, b"0123456789");
    let entries = lab.entries(2).await;
    assert!(matches!(&entries[0].about, About::Script(Some(given)) if given.rule == "r"), "{entries:?}");
    lab.rule(Then::Ignore);
    assert_eq!(lab.get("/grub/grub.cfg-01-52-54-00-12-34-56").await.status(), 404);
}
