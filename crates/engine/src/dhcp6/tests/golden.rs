//! Every captured packet under `fixtures/dhcp6`, and what we answer to it, told in full and to the byte.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::*;

/// The captured message with our own DUID where it names its server.
fn to_us(message: &Message) -> Message {
    let mut ours = Message::new(message.kind, message.xid);
    for (code, value) in message.options.iter() {
        let value = if code == OptionCode::SERVER_ID { server_id().as_bytes().to_vec() } else { value.to_vec() };
        ours.options.push(code, value);
    }
    ours
}

/// The captured lab's network.
fn net() -> Net {
    Net::with(vec![Subnet6 { pools: vec![(addr("fd77::1:0"), addr("fd77::1:ffff"))], ..subnet() }])
}

#[test]
fn every_captured_packet_is_answered_as_before() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dhcp6");
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "hex"));
    paths.sort();
    assert!(paths.len() >= 7, "the fixtures are missing from {}", folder.display());
    for path in paths {
        let digits: Vec<u8> = fs::read_to_string(&path).unwrap().bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
        let seen = net().ask(1, &to_us(&Message::decode(&bytes).unwrap()));
        let mut text = format!("{} -> {}\n", seen.entry.asked, seen.entry.outcome);
        if let Some(packet) = &seen.packet {
            text.push_str(&packet.describe());
            let _ = writeln!(text, "as bytes:");
            for line in packet.encode().chunks(32) {
                let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
                let _ = writeln!(text, "  {}", hex.join(" "));
            }
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "snapshots" }, {
            insta::assert_snapshot!(name, text);
        });
    }
}
