use std::fs;
use std::path::{Path, PathBuf};

use slipway_wire::dhcp4::Message;

use super::*;
use crate::dhcp4::classify;
use crate::ladder::Ground;
use crate::request::Loader;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// What a packet under `fixtures/` says.
fn message(fixture: &str) -> Message {
    let path = project("fixtures").join(fixture).with_extension("hex");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    Message::decode(&digits.chunks(2).map(byte).collect::<Vec<_>>()).unwrap()
}

fn request(packet: Packet) -> BootRequest {
    let Packet { fixture, exchange, rung } = packet;
    BootRequest { rung, ..classify(&message(fixture), exchange, "eth1") }
}

#[test]
fn each_departure_is_made_for_its_packet_and_not_for_the_neighbours() {
    for Quirk { who, when, departure, seen, unlike, .. } in TABLE {
        let (seen, unlike) = (request(*seen), request(*unlike));
        assert!(when(&seen) && departs(&seen, *departure), "{who}: {departure:?}");
        assert!(!departs(&unlike, *departure), "{who}: {departure:?} for the neighbour too");
    }
}

#[test]
fn each_reading_is_of_its_packet_and_not_of_the_neighbours() {
    for Reading { who, read, seen, unlike, .. } in READINGS {
        assert!(read(&classify(&message(seen), Exchange::Dhcp, "eth1")), "{who}");
        assert!(!read(&classify(&message(unlike), Exchange::Dhcp, "eth1")), "{who}: the neighbour too");
    }
}

/// A packet as a document names it, with the rung that its sender stands on.
fn named(packet: &Packet) -> String {
    let name = packet.fixture.rsplit('/').next().unwrap_or_default();
    let place = match packet.exchange {
        Exchange::Dhcp => "",
        Exchange::ProxyDhcp => ", beside",
        Exchange::BootServer => ", 4011",
        Exchange::Script => ", script",
    };
    let rung = if packet.rung == Rung::Plain { String::new() } else { format!(", `{}`", packet.rung) };
    format!("[{name}](../fixtures/{}.txt){place}{rung}", packet.fixture)
}

fn departures() -> String {
    let mut text =
        String::from("| Who | Departure | Otherwise | How we know | Packet | Not for |\n|---|---|---|---|---|---|\n");
    for Quirk { who, departure, because, source, seen, unlike, .. } in TABLE {
        let (what, seen, unlike) = (departure.about(), named(seen), named(unlike));
        text.push_str(&format!("| {who} | {what} | {because} | {source} | {seen} | {unlike} |\n"));
    }
    text
}

fn readings() -> String {
    let mut text =
        String::from("| Who | Says | Is read as | How we know | Packet | Not so |\n|---|---|---|---|---|---|\n");
    for Reading { who, says, is, source, seen, unlike, .. } in READINGS {
        let [seen, unlike] = [seen, unlike].map(|fixture| named(&Packet::dhcp(fixture)));
        text.push_str(&format!("| {who} | {says} | {is} | {source} | {seen} | {unlike} |\n"));
    }
    text
}

fn rungs() -> String {
    let mut text = String::from("| Who asks | First | Then, one after the other |\n|---|---|---|\n");
    let who = [
        "UEFI, we give the address",
        "UEFI beside another DHCP server",
        "BIOS, we give the address",
        "BIOS beside another DHCP server",
    ];
    for (ground, who) in Ground::ALL.into_iter().zip(who) {
        let (first, rest) = ground.rungs().split_first().unwrap();
        let rest: Vec<String> = rest.iter().map(|rung| format!("`{rung}`")).collect();
        text.push_str(&format!("| {who} | `{first}` | {} |\n", rest.join(", ")));
    }
    text.push_str("\n| Rung | The offer |\n|---|---|\n");
    for rung in Rung::ALL {
        text.push_str(&format!("| `{rung}` | {} |\n", rung.about()));
    }
    text
}

/// Puts a text between a document's marks.
fn put(document: &str, name: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (head, rest) = document.split_once(&begin).unwrap_or_else(|| panic!("docs/quirks.md has no {begin}"));
    let (_, tail) = rest.split_once(&end).unwrap_or_else(|| panic!("docs/quirks.md has no {end}"));
    format!("{head}{begin}{text}{end}{tail}")
}

/// `SLIPWAY_BLESS=1` writes what the tables say now.
#[test]
fn the_document_shows_the_tables_as_they_are() {
    let path = project("docs/quirks.md");
    let document = fs::read_to_string(&path).unwrap();
    let mut wanted = document.clone();
    for (name, text) in [("readings", readings()), ("departures", departures()), ("rungs", rungs())] {
        wanted = put(&wanted, name, &text);
    }
    if std::env::var_os("SLIPWAY_BLESS").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    assert!(
        document == wanted || std::env::var_os("SLIPWAY_BLESS").is_some(),
        "docs/quirks.md differs: SLIPWAY_BLESS=1 writes it anew"
    );
}

/// Whoever reads the table alone must find nothing that a machine can do to another: what departs depends on the asker only.
#[test]
fn nobody_departs_by_two_rows_that_say_the_opposite() {
    for quirk in TABLE {
        let asked = request(quirk.seen);
        assert!(
            !(departs(&asked, Departure::SayPxeClient) && departs(&asked, Departure::SayHttpClient)),
            "{}",
            quirk.who
        );
        let plain_uefi = asked.loader == Loader::Pxe && asked.arch.is_uefi() && asked.rung == Rung::Plain;
        assert!(!(plain_uefi && departs(&asked, Departure::UseThisBootFile)), "{}: UEFI gets no 43", quirk.who);
    }
}
