//! Messages and packets by chance.

use proptest::prelude::*;
use slipway_wire::MacAddr;
use slipway_wire::dhcp4::{Message, Op, OptionCode, Options};

/// A value of a length that the option's meaning allows; text is ASCII, because dhcproto reads it as UTF-8.
fn value(code: u8) -> BoxedStrategy<Vec<u8>> {
    let exactly = |len: usize| prop::collection::vec(any::<u8>(), len).boxed();
    let any_of = |len: std::ops::Range<usize>| prop::collection::vec(any::<u8>(), len).boxed();
    match code {
        53 => (1..=8u8).prop_map(|kind| vec![kind]).boxed(),
        57 | 26 => exactly(2),
        94 => exactly(3),
        1 | 28 | 50 | 51 | 54 | 58 | 59 => exactly(4),
        97 => exactly(17),
        3 | 6 => (1..5usize).prop_flat_map(|n| prop::collection::vec(any::<u8>(), n * 4)).boxed(),
        93 => (1..4usize).prop_flat_map(|n| prop::collection::vec(any::<u8>(), n * 2)).boxed(),
        12 | 15 | 17 | 56 => "[ -~]{1,40}".prop_map(String::into_bytes).boxed(),
        61 => any_of(2..40),
        43 | 175 => any_of(1..600),
        _ => any_of(1..60),
    }
}

/// Codes whose values [`value`] knows, in any order and each at most once.
fn options() -> impl Strategy<Value = Options> {
    const CODES: [u8; 27] =
        [53, 1, 3, 6, 12, 15, 17, 26, 28, 43, 50, 51, 54, 55, 56, 57, 58, 59, 60, 61, 66, 67, 77, 93, 94, 97, 175];
    prop::sample::subsequence(CODES.to_vec(), 0..CODES.len())
        .prop_shuffle()
        .prop_flat_map(|codes| {
            codes.into_iter().map(|code| value(code).prop_map(move |value| (code, value))).collect::<Vec<_>>()
        })
        .prop_map(|list| {
            let mut options = Options::new();
            for (code, value) in list {
                options.set(OptionCode(code), value);
            }
            options
        })
}

prop_compose! {
    /// A message of any fields, with legal options.
    pub(crate) fn message()(
        op in 1..=2u8,
        mac in any::<[u8; 6]>(),
        (hops, xid, secs, flags) in any::<(u8, u32, u16, u16)>(),
        ips in any::<[[u8; 4]; 4]>(),
        sname in prop::collection::vec(1..=255u8, 0..64),
        file in prop::collection::vec(1..=255u8, 0..128),
        options in options(),
    ) -> Message {
        let [ciaddr, yiaddr, siaddr, giaddr] = ips.map(Into::into);
        let blank = Message::request(xid, MacAddr(mac));
        let mut message = Message { op: Op(op), hops, secs, flags, ciaddr, yiaddr, siaddr, giaddr, options, ..blank };
        assert!(message.set_server_name(&sname) && message.set_file_name(&file));
        message
    }
}
