//! The TFTP server on the loopback interface, asked by a small client of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    unreachable_pub,
    reason = "test code"
)]

mod tftp_kit;

use std::net::IpAddr;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use slipway_engine::Why;
use slipway_engine::journal::{About, Outcome};
use slipway_server::journal::Journal;
use slipway_server::site::TftpSettings;
use slipway_server::tftp::{Limits, spawn};
use slipway_wire::tftp::Packet;
use tftp_kit::client::{Client, Failed, content};
use tftp_kit::server::{Plan, Server, site};

fn one(bytes: Vec<u8>) -> [(&'static str, Vec<u8>); 1] {
    [("file", bytes)]
}

#[test]
fn files_of_awkward_sizes_arrive_whole_by_every_window_and_block_size_in_both_families() {
    for size in [0, 1, 511, 512, 513, 1468 * 4, 100_000] {
        let bytes = content(size);
        let server = Plan { files: &one(bytes.clone()), ..Plan::default() }.start();
        for addr in server.both() {
            for window in [1, 4, 16, 64] {
                for blksize in [8, 512, 1468, 8192, 65464] {
                    if size / blksize > 3000 {
                        continue;
                    }
                    let options = [("blksize", blksize), ("windowsize", window), ("tsize", 0)];
                    let got = Client::towards(*addr).get("loader/file", &options).unwrap();
                    assert!(got.bytes == bytes, "{size} bytes over {addr}, blksize {blksize} windowsize {window}");
                    assert_eq!(got.option("tsize"), Some(size as u64).filter(|size| *size > 0));
                    assert_eq!(got.option("blksize"), Some(blksize as u64));
                    assert_eq!(got.option("windowsize"), Some(window as u64));
                }
            }
        }
    }
}

#[test]
fn a_request_without_options_is_answered_by_the_first_block() {
    let bytes = content(2000);
    let server = Plan { files: &one(bytes.clone()), ..Plan::default() }.start();
    let got = Client::towards(server.v4()).get("\\loader\\file", &[]).unwrap();
    assert_eq!((got.bytes, got.options), (bytes, vec![]));
}

#[test]
fn ipxe_finds_its_own_script_beside_its_loader_unless_the_operator_has_one() {
    let server = Plan { files: &one(content(10)), ..Plan::default() }.start();
    for name in ["loader/autoexec.ipxe", "/autoexec.ipxe"] {
        let got = Client::towards(server.v4()).get(name, &[("blksize", 1432), ("tsize", 0)]).unwrap();
        let text = String::from_utf8(got.bytes).unwrap();
        assert!(text.contains("http://127.0.0.1") && text.ends_with(" || autoboot\n"), "{text}");
    }
    let own = [("autoexec.ipxe", b"#!ipxe\n".to_vec())];
    let server = Plan { files: &own, ..Plan::default() }.start();
    assert_eq!(Client::towards(server.v4()).get("loader/autoexec.ipxe", &[]).unwrap().bytes, b"#!ipxe\n");
}

#[test]
fn more_than_65535_blocks_wrap_to_0() {
    let bytes = content(34 * 1024 * 1024 + 7);
    let server = Plan { files: &one(bytes.clone()), ..Plan::default() }.start();
    for (addr, window) in [(server.both()[0], 1), (server.both()[1], 16)] {
        let got = Client::towards(addr).get("/loader/file", &[("windowsize", window)]).unwrap();
        assert!(got.bytes == bytes, "windowsize {window}");
    }
}

#[test]
fn two_hundred_clients_at_once_are_all_served() {
    let bytes = content(1 << 20);
    let server = Plan { files: &one(bytes.clone()), ..Plan::default() }.start();
    std::thread::scope(|scope| {
        for n in 0..200 {
            let (bytes, addr) = (&bytes, server.v4());
            scope.spawn(move || {
                let mut client = Client::from(IpAddr::from([127, 0, 1, n]), addr);
                let got = client.get("loader/file", &[("blksize", 1468), ("windowsize", n as usize % 8 + 1)]).unwrap();
                assert!(got.bytes == *bytes, "client {n}");
            });
        }
    });
}

#[test]
fn what_cannot_be_had_is_refused_with_the_right_code_and_told_to_the_journal() {
    let server = Plan { files: &one(content(10)), ..Plan::default() }.start();
    let mut client = Client::towards(server.v4());
    for (request, code) in [
        ("loader/none", 1),
        ("etc/passwd", 1),
        ("", 1),
        ("../etc/passwd", 2),
        ("loader/../../etc/passwd", 2),
        ("C:\\boot.ini", 2),
    ] {
        assert_eq!(client.get(request, &[]).unwrap_err(), Failed::Refused(code), "{request}");
    }
    assert_eq!(client.ask(b"\0\x01loader/file\0mail\0"), Failed::Refused(4), "mail");
    assert_eq!(client.ask(b"\0\x02loader/file\0octet\0"), Failed::Refused(4), "writing");
    let entries = server.entries(8);
    assert_eq!(entries[0].outcome, Outcome::Declined(Why::NotFound));
    assert_eq!(entries[3].outcome, Outcome::Declined(Why::BadPath));
    assert_eq!(
        (entries[7].asked.as_str(), &entries[7].outcome),
        ("WRQ loader/file", &Outcome::Declined(Why::Forbidden))
    );
}

#[test]
fn the_exported_folder_is_served_and_cannot_be_left() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bytes = content(100_000);
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(folder.path().join("sub/file"), &bytes).unwrap();
    std::fs::write(folder.path().join("empty"), "").unwrap();
    symlink("sub/file", folder.path().join("link")).unwrap();
    symlink(outside.path().join("secret"), folder.path().join("out")).unwrap();
    symlink("../../../../../../etc/hostname", folder.path().join("up")).unwrap();
    symlink("loop", folder.path().join("loop")).unwrap();
    let server = Plan { export: Some(folder.path()), ..Plan::default() }.start();
    let mut client = Client::towards(server.v4());
    let options = [("blksize", 1468), ("windowsize", 8)];
    for name in ["sub/file", "/link", "sub\\file"] {
        assert!(client.get(name, &options).unwrap().bytes == bytes, "{name}");
    }
    assert_eq!(client.get("empty", &options).unwrap().bytes, b"");
    for (name, code) in [("out", 2), ("up", 2), ("loop", 2), ("sub", 1), ("none", 1), ("sub/file/x", 1)] {
        assert_eq!(client.get(name, &options).unwrap_err(), Failed::Refused(code), "{name}");
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_ends_in_an_error_not_in_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, content(100_000)).unwrap();
    let server = Plan { export: Some(folder.path()), ..Plan::default() }.start();
    let mut client = Client::towards(server.v4());
    client.send(b"\0\x01file\0octet\0");
    assert!(matches!(Packet::decode(&client.hear().unwrap()), Ok(Packet::Data { block: 1, .. })));
    std::fs::write(&file, "short").unwrap();
    client.send(b"\0\x04\0\x01");
    assert!(matches!(Packet::decode(&client.hear().unwrap()), Ok(Packet::Error { .. })));
    assert!(matches!(server.entries(1)[0].outcome, Outcome::Ourselves(_)));
}

#[test]
fn before_the_first_ack_one_packet_is_all_that_a_request_brings() {
    let server = Plan { files: &one(content(1 << 20)), ..Plan::default() }.start();
    for request in
        [&b"\0\x01loader/file\0octet\0windowsize\x0064\0blksize\x001468\0"[..], b"\0\x01loader/file\0octet\0"]
    {
        let mut client = Client::towards(server.v4());
        client.send(request);
        assert!(client.hear().is_some());
        client.be_patient_for(Duration::from_millis(200));
        assert_eq!(client.hear(), None);
    }
}

#[test]
fn a_request_that_is_sent_again_gets_the_same_answer_and_no_second_transfer() {
    let server = Plan { files: &one(content(5000)), ..Plan::default() }.start();
    let mut client = Client::towards(server.v4());
    let request = b"\0\x01loader/file\0octet\0tsize\x000\0";
    client.send(request);
    let first = client.hear().unwrap();
    client.send(request);
    assert_eq!(client.hear().unwrap(), first);
    assert_eq!(client.finish().unwrap().bytes, content(5000));
    server.entries(1);
}

#[test]
fn one_address_has_so_many_transfers_and_so_many_requests_a_second() {
    let server = Plan { files: &one(content(5000)), ..Plan::default() }.start();
    let mut clients: Vec<Client> = (0..20).map(|_| Client::towards(server.v4())).collect();
    for client in &mut clients {
        client.be_patient_for(Duration::from_millis(100));
        client.send(b"\0\x01loader/file\0octet\0");
    }
    assert_eq!(clients.iter_mut().filter_map(Client::hear).count(), 16);
    let mut client = Client::towards(server.v4());
    (0..200).for_each(|_| client.send(b"\0\x01none\0octet\0"));
    client.be_patient_for(Duration::from_millis(300));
    let answers = std::iter::from_fn(|| client.hear()).count();
    assert!((44..110).contains(&answers), "{answers} answers to 200 requests");
}

#[test]
fn what_is_no_request_is_not_answered_on_the_port_that_everybody_knows() {
    let server = Plan { files: &one(content(10)), ..Plan::default() }.start();
    let mut stranger = Client::towards(server.v4());
    stranger.be_patient_for(Duration::from_millis(100));
    for junk in
        [&b""[..], b"\0", b"\0\x01loader/file", b"\0\x04\0\x01", b"\0\x05\0\0x\0", b"\xff\xff\xff\xff", &[0; 2000]]
    {
        stranger.send(junk);
        assert_eq!(stranger.hear(), None, "{junk:?}");
    }
}

#[test]
fn a_packet_for_a_transfer_that_is_not_the_senders_is_refused_and_harms_nobody() {
    let server = Plan { files: &one(content(2000)), ..Plan::default() }.start();
    let mut client = Client::towards(server.v4());
    client.send(b"\0\x01loader/file\0octet\0");
    client.hear().unwrap();
    let mut stranger = Client::towards(client.peer());
    stranger.send(b"\0\x04\0\x01");
    let answer = stranger.hear().unwrap();
    assert_eq!(answer[..4], [0, 5, 0, 5]);
    client.send(b"\0\x01loader/file\0octet\0");
    assert_eq!(client.hear().unwrap()[..4], [0, 3, 0, 1]);
    assert_eq!(client.finish().unwrap().bytes, content(2000));
}

#[test]
fn answers_come_from_another_port_or_from_the_same_one_if_the_operator_wants_that() {
    for single_port in [false, true] {
        let settings = TftpSettings { single_port, ..Plan::default().settings };
        let bytes = content(50_000);
        let server = Plan { files: &one(bytes.clone()), settings, ..Plan::default() }.start();
        for addr in server.both() {
            let mut client = Client::towards(*addr);
            let got = client.get("loader/file", &[("blksize", 1000), ("windowsize", 4)]).unwrap();
            assert!(got.bytes == bytes);
            assert_eq!(client.peer() == *addr, single_port);
        }
    }
}

#[test]
fn the_operators_bound_of_the_block_size_holds() {
    let settings = TftpSettings { blksize_max: 1350, ..Plan::default().settings };
    let server = Plan { files: &one(content(5000)), settings, ..Plan::default() }.start();
    let got = Client::towards(server.v4()).get("loader/file", &[("blksize", 1468)]).unwrap();
    assert_eq!((got.option("blksize"), got.bytes.len()), (Some(1350), 5000));
}

#[test]
fn the_journal_tells_a_transfer_from_a_size_probe_and_from_one_that_was_given_up() {
    let server = Plan { files: &one(content(14_680)), ..Plan::default() }.start();
    let mut client = Client::towards(server.v4());
    client.get("/loader/file", &[("blksize", 1468), ("windowsize", 4)]).unwrap();
    server.entries(1);
    let mut probe = Client::towards(server.v4());
    probe.send(b"\0\x01loader/file\0octet\0tsize\x000\0");
    probe.hear().unwrap();
    probe.send(b"\0\x05\0\x08User aborted the transfer\0");
    server.entries(2);
    let mut quitter = Client::towards(server.v4());
    quitter.send(b"\0\x01loader/file\0octet\0");
    quitter.hear().unwrap();
    quitter.send(b"\0\x04\0\x01");
    quitter.hear().unwrap();
    quitter.send(b"\0\x05\0\x00enough\0");
    let entries = server.entries(3);
    assert_eq!(entries[0].asked, "RRQ /loader/file blksize 1468 windowsize 4");
    let Outcome::Answered(words) = &entries[0].outcome else { panic!("{:?}", entries[0]) };
    assert!(
        // A busy machine takes its time, and then something is sent again.
        words.starts_with("14680 bytes in ") && words.contains("blksize 1468 windowsize 4, "),
        "{words}"
    );
    let about = |at: usize| match &entries[at].about {
        About::File { path, sent, whole, .. } => (path.as_str(), *sent, *whole),
        about => panic!("{about:?}"),
    };
    assert_eq!(about(0), ("loader/file", 14_680, true));
    assert_eq!(about(1), ("loader/file", 0, false));
    assert!(matches!(&entries[1].outcome, Outcome::Answered(words) if words.contains("size probe")));
    assert_eq!(about(2), ("loader/file", 512, false));
    assert!(matches!(&entries[2].outcome, Outcome::Peer(words) if words.contains("512 of 14680")), "{:?}", entries[2]);
}

#[test]
fn a_stopping_server_tells_its_clients_and_ends_in_time() {
    let limits = Limits { drain: Duration::from_millis(50), ..Limits::default() };
    let server = Plan { files: &one(content(5000)), limits, ..Plan::default() }.start();
    let mut client = Client::towards(server.v4());
    client.send(b"\0\x01loader/file\0octet\0");
    client.hear().unwrap();
    let started = Instant::now();
    let Server { handle, .. } = server;
    handle.shutdown();
    assert!(started.elapsed() < Duration::from_secs(2));
    assert!(matches!(Packet::decode(&client.hear().unwrap()), Ok(Packet::Error { .. })));
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let data = tempfile::tempdir().unwrap();
    let site = site(data.path(), &Plan::default());
    let site = Arc::new(ArcSwap::from_pointee(site));
    let error = spawn(&[taken.local_addr().unwrap()], Limits::default(), site, Journal::default()).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains(&taken.local_addr().unwrap().to_string()), "{error}: {source}");
}

#[test]
fn grub_is_given_a_configuration_for_the_machine_that_its_address_or_its_name_tells() {
    let loaders = [("grubx64.efi", content(100))];
    let server = Plan { files: &loaders, ..Plan::default() }.start();
    let ask = |name: &str| {
        let options = [("blksize", 1024), ("tsize", 0)];
        Client::towards(server.v4()).get(name, &options).map(|got| String::from_utf8(got.bytes).unwrap())
    };
    for name in ["/grub/x86_64-efi/command.lst", "/grub/grub.cfg-0A4D0064", "shim/revocations_sbat.efi"] {
        assert_eq!(ask(name).unwrap_err(), Failed::Refused(1), "{name}");
    }
    assert_eq!(ask("shim/grubx64.efi").unwrap().len(), 100);
    // No rule matches: the machine's console says so.
    for name in ["/grub/grub.cfg", "shim/grub.cfg", "/grub/grub.cfg-01-02-00-00-00-00-01"] {
        let text = ask(name).unwrap();
        assert!(text.starts_with("echo 'Slipway does not boot this machine: no rule matches"), "{name}: {text}");
    }
    let entries = server.entries(7);
    let last = entries.last().unwrap();
    assert_eq!(
        (&last.outcome, &last.about, last.mac.map(|mac| mac.to_string()).as_deref()),
        (&Outcome::Declined(Why::NoRule), &About::Script(None), Some("02:00:00:00:00:01"))
    );
    // The other family's address tells nothing.
    let text = Client::towards(server.both()[1]).get("/grub/grub.cfg", &[]).unwrap();
    assert!(String::from_utf8(text.bytes).unwrap().contains("grub.cfg-01-${net_default_mac}"));
}

#[test]
fn without_grub_nothing_is_made_for_it_and_the_operators_own_configuration_comes_first() {
    let server = Plan::default().start();
    assert_eq!(Client::towards(server.v4()).get("/grub/grub.cfg", &[]).unwrap_err(), Failed::Refused(1));
    let export = tempfile::tempdir().unwrap();
    std::fs::create_dir(export.path().join("grub")).unwrap();
    std::fs::write(export.path().join("grub/grub.cfg"), "set timeout=0\n").unwrap();
    let loaders = [("grubx64.efi", content(100))];
    let server = Plan { files: &loaders, export: Some(export.path()), ..Plan::default() }.start();
    let got = Client::towards(server.v4()).get("/grub/grub.cfg", &[]).unwrap();
    assert_eq!(got.bytes, b"set timeout=0\n");
}
