//! Our DHCPv4 codec beside dhcproto's. Where they differ on purpose, the difference is named here.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "test code")]

mod common;

use common::message;
use dhcproto::v4::{self, DhcpOption};
use dhcproto::{Decodable, Encodable};
use proptest::prelude::*;
use slipway_wire::dhcp4::{Message, OptionCode};
use std::fs;
use std::path::Path;

/// The value of one of dhcproto's options, as it would write it: instances joined.
fn raw(option: &DhcpOption) -> Vec<u8> {
    let bytes = option.to_vec().unwrap();
    let (mut rest, mut value) = (bytes.as_slice(), Vec::new());
    while let [_, len, tail @ ..] = rest {
        let (piece, tail) = tail.split_at(usize::from(*len));
        value.extend(piece);
        rest = tail;
    }
    value
}

/// dhcproto keeps the NUL that ends a name in the header.
fn without_nul(field: Option<&[u8]>) -> &[u8] {
    field.map(|field| field.strip_suffix(&[0]).unwrap_or(field)).unwrap_or_default()
}

fn agree(ours: &Message, theirs: &v4::Message, about: &str) {
    assert_eq!(ours.op.0, u8::from(theirs.opcode()), "{about}");
    assert_eq!(ours.htype, u8::from(theirs.htype()), "{about}");
    assert_eq!((ours.hlen, ours.hops, ours.xid), (theirs.hlen(), theirs.hops(), theirs.xid()), "{about}");
    assert_eq!((ours.secs, ours.flags), (theirs.secs(), u16::from(theirs.flags())), "{about}");
    assert_eq!((ours.ciaddr, ours.yiaddr), (theirs.ciaddr(), theirs.yiaddr()), "{about}");
    assert_eq!((ours.siaddr, ours.giaddr), (theirs.siaddr(), theirs.giaddr()), "{about}");
    assert_eq!(&ours.chaddr[..usize::from(ours.hlen)], theirs.chaddr(), "{about}");
    assert_eq!(ours.server_name(), without_nul(theirs.sname()), "{about}");
    assert_eq!(ours.file_name(), without_nul(theirs.fname()), "{about}");
    assert_eq!(ours.options.len(), theirs.opts().iter().count(), "{about}");
    for (code, value) in ours.options.iter() {
        let theirs = raw(theirs.opts().get(code.0.into()).unwrap_or_else(|| panic!("{about}: they lack {code}")));
        // dhcproto keeps the first architecture only.
        let value = if code == OptionCode::CLIENT_ARCH { &value[..2] } else { value };
        assert_eq!(value, theirs, "{about}: {code}");
    }
}

proptest! {
    #[test]
    fn what_we_write_they_read(message in message()) {
        let bytes = message.encode(usize::MAX).unwrap();
        agree(&message, &v4::Message::from_bytes(&bytes).unwrap(), "written by us");
    }

    #[test]
    fn what_they_write_we_read(message in message()) {
        let theirs = v4::Message::from_bytes(&message.encode(usize::MAX).unwrap()).unwrap();
        let ours = Message::decode(&theirs.to_vec().unwrap()).unwrap();
        // dhcproto writes no END, and so no fault-free message, when there is no option at all.
        prop_assert!(ours.faults.is_empty() || message.options.is_empty());
        agree(&ours, &theirs, "written by dhcproto");
    }
}

#[test]
fn we_read_real_packets_alike() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dhcp4");
    let mut compared = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "hex") {
            continue;
        }
        let digits: String = fs::read_to_string(&path).unwrap().split_whitespace().collect();
        let bytes: Vec<u8> =
            (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
        let ours = Message::decode(&bytes).unwrap();
        let theirs = v4::Message::from_bytes(&bytes).unwrap();
        // dhcproto drops what it cannot read and says nothing, and leaves an overload to its caller.
        if !ours.faults.is_empty() || theirs.opts().get(52.into()).is_some() {
            continue;
        }
        agree(&ours, &theirs, &path.display().to_string());
        compared += 1;
    }
    assert!(compared > 30, "only {compared} fixtures were compared");
}

/// The differences that made us write our own. Should one vanish in a new version, this test says so.
#[test]
fn dhcproto_still_has_its_known_gaps() {
    let decode = |options: &[u8]| {
        let mut bytes = Message::request(1, slipway_wire::MacAddr::default()).encode(300).unwrap();
        bytes.truncate(240);
        bytes.extend(options);
        (Message::decode(&bytes).unwrap(), v4::Message::from_bytes(&bytes).unwrap())
    };

    let (ours, theirs) = decode(&[93, 4, 0, 7, 0, 11, 255]);
    assert_eq!(ours.options.client_archs().len(), 2);
    assert_eq!(theirs.opts().get(93.into()).map(raw), Some(vec![0, 7]), "the second architecture is lost");

    let (ours, theirs) = decode(&[53, 1, 1, 60, 9, b'P']);
    assert_eq!(ours.faults.len(), 1);
    assert_eq!(theirs.opts().iter().count(), 1, "the truncated option is lost without a word");

    let (ours, theirs) = decode(&[52, 1, 1, 255]);
    assert!(!ours.options.has(OptionCode::OVERLOAD), "resolved by us");
    assert!(theirs.opts().get(52.into()).is_some(), "left to the caller by dhcproto");
}
