//! Every captured packet under `fixtures/dhcp4`, and what we answer to it in each of our modes, to the byte.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

pub(super) fn fixtures() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dhcp4");
    let mut found: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "hex"))
        .map(|path| {
            let bytes = bytes(&path);
            (path, bytes)
        })
        .collect();
    found.sort();
    assert!(found.len() > 20, "the fixtures are missing from {}", folder.display());
    found
}

/// The packet of this name: `dhcp4/tianocore-…`.
pub(super) fn read(fixture: &str) -> Vec<u8> {
    bytes(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(fixture).with_extension("hex"))
}

fn bytes(path: &Path) -> Vec<u8> {
    let digits: Vec<u8> = fs::read_to_string(path).unwrap().bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// A server whose network the captured clients can sit in, in whichever mode.
pub(super) fn net(exchange: Exchange, message: &Message) -> Net {
    let behind_the_relay = Ipv4Addr::new(10, 77, 1, 0);
    let pools = vec![(behind_the_relay | Ipv4Addr::new(0, 0, 0, 100), behind_the_relay | Ipv4Addr::new(0, 0, 0, 199))];
    let far = Subnet { network: behind_the_relay, pools, reservations: Vec::new(), ..subnet() };
    let informs =
        Subnet { network: Ipv4Addr::new(10, 77, 9, 0), pools: Vec::new(), reservations: Vec::new(), ..subnet() };
    let rules = Rules { rules: [pi_rule(), boot_debian().rules].concat() };
    let mut net = Net { exchange, rules, ..Net::with(vec![subnet(), far, informs]) };
    // A REQUEST makes sense after its offer only; captured ones name the address that another server gave.
    if exchange == Exchange::Dhcp && message.options.message_type() == Some(MessageType::REQUEST) {
        let mut before = message.clone();
        before.options.set_message_type(MessageType::DISCOVER);
        before.options.remove(OptionCode::SERVER_ID);
        before.options.remove(OptionCode::REQUESTED_IP);
        net.ask(&Message { ciaddr: Ipv4Addr::UNSPECIFIED, ..before });
    }
    net
}

/// The captured REQUEST as it would have been sent to us.
pub(super) fn to_us(mut message: Message) -> Message {
    if message.options.message_type() == Some(MessageType::REQUEST) && message.options.server_id().is_some() {
        message.options.set_ip(OptionCode::SERVER_ID, SERVER).set_ip(OptionCode::REQUESTED_IP, ip(100));
    }
    message
}

/// The port that it was captured from, as the first line of the text beside it says: `UDP 4011 -> 4011`.
fn source_port(path: &Path) -> u16 {
    let told = fs::read_to_string(path.with_extension("txt")).unwrap();
    let (_, ports) = told.lines().next().and_then(|origin| origin.rsplit_once("UDP ")).unwrap();
    ports.split_once(" -> ").unwrap().0.parse().unwrap()
}

fn told(seen: &Seen) -> String {
    let mut text = format!("{} -> {}\n", seen.entry.asked, seen.entry.outcome);
    let (Some(reply), Some(to)) = (&seen.reply, seen.to) else { return text };
    let _ = writeln!(text, "to {to}, {} bytes", seen.data.len());
    text.push_str(&reply.describe());
    let _ = writeln!(text, "options as bytes:");
    let end = seen.data.iter().rposition(|byte| *byte == 255).unwrap();
    for line in seen.data[240..=end].chunks(32) {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(text, "  {}", hex.join(" "));
    }
    text
}

#[test]
fn every_captured_packet_is_answered_as_before() {
    for (path, bytes) in fixtures() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let message = to_us(Message::decode(&bytes).unwrap());
        let from = SocketAddrV4::new(message.ciaddr, source_port(&path));
        let unicast = !message.ciaddr.is_unspecified() || !message.giaddr.is_unspecified();
        let to = if unicast { SERVER } else { Ipv4Addr::BROADCAST };
        let modes: &[(&str, Exchange)] = if name.contains("bootserver") {
            &[("on port 4011", Exchange::BootServer)]
        } else {
            &[("giving addresses", Exchange::Dhcp), ("beside another server", Exchange::ProxyDhcp)]
        };
        let mut text = String::new();
        for (mode, exchange) in modes {
            let mut net = net(*exchange, &message);
            // Discovers as captured to the byte; a REQUEST with our address in the other server's place.
            let raw = if message.options.server_id().is_some() { message.encode(1472).unwrap() } else { bytes.clone() };
            let _ = writeln!(text, "## {mode}\n{}", told(&net.hear(&raw, from, to)));
        }
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, text);
        });
    }
}
