//! The terms of a transfer: what the client asked for, as far as we and the path can give it.

use core::net::IpAddr;
use core::time::Duration;

use slipway_wire::tftp::{DEFAULT_BLKSIZE, Mode, OptionKind, Request};

/// The largest window that is granted, in blocks: above, nothing is gained (measured), and a burst outgrows a firmware's buffers.
pub const WINDOW_MAX: u16 = 64;

/// The smallest block that an option can name (RFC 2348).
const SMALLEST: u16 = 8;
/// The largest (RFC 2348).
const LARGEST: u16 = 65464;

/// What bounds the terms, beside the client's wishes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The operator's upper bound of `blksize`, in bytes.
    pub blksize_max: u16,
    /// MTU of the path, in bytes: that of the interface which the request came in on.
    pub mtu: u32,
}

/// What was agreed. What was not asked for has its value from RFC 1350.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Terms {
    /// Bytes of a full block, 8 to 65464.
    pub blksize: u16,
    /// Blocks that may be outstanding, 1 to [`WINDOW_MAX`].
    pub windowsize: u16,
    /// The client's wish for retransmissions. It bounds our back-off; the round trip decides within it.
    pub timeout: Option<Duration>,
    /// The options to confirm, in the order asked. Empty: no OACK, DATA 1 is the answer.
    pub oack: Vec<OptionKind>,
}

/// The largest block that reaches the peer in one piece: fragments are often lost in firmware. 4 bytes are TFTP's own, 8 UDP's, the
/// rest IP's. Over IPv6 it is 52 bytes less than the MTU, over IPv4 32.
#[must_use]
pub fn largest_block(peer: IpAddr, settings: Settings) -> u16 {
    let headers = if peer.is_ipv4() { 32 } else { 52 };
    let fits = u16::try_from(settings.mtu.saturating_sub(headers)).unwrap_or(LARGEST);
    fits.min(settings.blksize_max).clamp(SMALLEST, LARGEST)
}

/// The terms for this request, for a file of `size` bytes.
///
/// Only what was asked for is granted, never more of it, and `timeout` exactly as asked (RFC 2347, 2348, 2349, 7440; edk2 fails on
/// anything else). In netascii the bytes go out as they are: what is booted is not text, and the translation would make the size
/// unknowable; `tsize` and `windowsize` are left out there, as dnsmasq does. An empty file's `tsize` is left out too: curl (7.88)
/// takes a granted 0 for an error.
#[must_use]
pub fn negotiate(request: &Request<'_>, size: u64, peer: IpAddr, settings: Settings) -> Terms {
    let text = matches!(request.mode, Mode::Netascii);
    let mut terms = Terms { blksize: DEFAULT_BLKSIZE, windowsize: 1, timeout: None, oack: Vec::new() };
    for option in request.known() {
        let granted = match option {
            OptionKind::BlockSize(asked) => {
                terms.blksize = asked.min(largest_block(peer, settings));
                OptionKind::BlockSize(terms.blksize)
            }
            OptionKind::Timeout(seconds) => {
                terms.timeout = Some(Duration::from_secs(seconds.into()));
                option
            }
            OptionKind::TransferSize(_) if !text && size > 0 => OptionKind::TransferSize(size),
            OptionKind::WindowSize(asked) if !text => {
                terms.windowsize = asked.clamp(1, WINDOW_MAX);
                OptionKind::WindowSize(terms.windowsize)
            }
            OptionKind::TransferSize(_) | OptionKind::WindowSize(_) => continue,
        };
        terms.oack.push(granted);
    }
    terms
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};
    use slipway_wire::tftp::Packet;

    const ETHERNET: Settings = Settings { blksize_max: LARGEST, mtu: 1500 };
    const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    fn terms(mode: &str, options: &str, peer: IpAddr, settings: Settings) -> Terms {
        terms_of(5000, mode, options, peer, settings)
    }

    fn terms_of(size: u64, mode: &str, options: &str, peer: IpAddr, settings: Settings) -> Terms {
        let text = format!("file {mode} {options}");
        let mut bytes = vec![0, 1];
        text.split_whitespace().for_each(|word| {
            bytes.extend(word.bytes());
            bytes.push(0);
        });
        let Ok(Packet::Rrq(request)) = Packet::decode(&bytes) else { panic!("{text}") };
        negotiate(&request, size, peer, settings)
    }

    fn oack(terms: &Terms) -> String {
        terms.oack.iter().map(|option| format!("{} {option} ", option.name())).collect::<String>().trim_end().into()
    }

    #[test]
    fn each_firmware_gets_what_it_asked_for_and_nothing_else() {
        for (client, asked, granted) in [
            ("OVMF's probe", "tsize 0 blksize 1468 windowsize 4", "tsize 5000 blksize 1468 windowsize 4"),
            ("OVMF", "blksize 1468 windowsize 4", "blksize 1468 windowsize 4"),
            ("iPXE", "blksize 1432 tsize 0", "blksize 1432 tsize 5000"),
            ("SeaBIOS", "tsize 0", "tsize 5000"),
            ("GRUB", "blksize 1024 tsize 0", "blksize 1024 tsize 5000"),
            ("U-Boot", "timeout 5 tsize 0 blksize 1468", "timeout 5 tsize 5000 blksize 1468"),
            ("bootmgr", "tsize 0 blksize 1456 windowsize 8 msftwindow 31416", "tsize 5000 blksize 1456 windowsize 8"),
            ("capitals", "BlkSize 600 TSIZE 0", "blksize 600 tsize 5000"),
            ("a Raspberry Pi", "", ""),
            ("out of range", "blksize 7 timeout 0 windowsize 0 tsize x", ""),
            ("out of range above", "blksize 65465 timeout 256 windowsize 65536", ""),
            ("twice", "blksize 700 blksize 800", "blksize 700"),
            ("too much", "blksize 9000 windowsize 9000", "blksize 1468 windowsize 64"),
        ] {
            let terms = terms("octet", asked, V4, ETHERNET);
            assert_eq!(oack(&terms), granted, "{client}");
            assert_eq!(terms.timeout, asked.contains("timeout 5").then(|| Duration::from_secs(5)), "{client}");
        }
    }

    #[test]
    fn a_block_fits_the_path_and_the_operators_bound() {
        for (asked, peer, mtu, bound, granted) in [
            (1468, V4, 1500, LARGEST, 1468),
            (1469, V4, 1500, LARGEST, 1468),
            (1468, V6, 1500, LARGEST, 1448),
            (1228, V6, 1500, LARGEST, 1228),
            (65464, V4, 65536, LARGEST, 65464),
            (65464, V6, 65536, LARGEST, 65464),
            (8192, V4, 9000, LARGEST, 8192),
            (9000, V4, 9000, LARGEST, 8968),
            (1468, V4, 1492, LARGEST, 1460),
            (1468, V4, 1500, 1350, 1350),
            (8, V4, 1500, LARGEST, 8),
        ] {
            let terms = terms("octet", &format!("blksize {asked}"), peer, Settings { blksize_max: bound, mtu });
            assert_eq!(oack(&terms), format!("blksize {granted}"));
            assert_eq!(terms.blksize, granted);
        }
    }

    #[test]
    fn netascii_has_neither_size_nor_window() {
        let terms = terms("NETASCII", "tsize 0 blksize 1024 windowsize 4", V4, ETHERNET);
        assert_eq!((oack(&terms).as_str(), terms.windowsize), ("blksize 1024", 1));
    }

    #[test]
    fn the_size_of_an_empty_file_is_not_told() {
        let terms = terms_of(0, "octet", "tsize 0 blksize 512 timeout 6", V4, ETHERNET);
        assert_eq!(oack(&terms), "blksize 512 timeout 6");
    }

    #[test]
    fn without_options_the_terms_are_those_of_rfc_1350() {
        let terms = terms("octet", "", V4, ETHERNET);
        assert_eq!((terms.blksize, terms.windowsize, terms.oack.len()), (512, 1, 0));
    }
}
