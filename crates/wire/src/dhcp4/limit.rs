//! How large a reply may be.

/// The DHCP message, in bytes of UDP payload, that every client must take: an IP datagram of 576 bytes (RFC 2131 §2) without
/// its IP and UDP headers. Old BIOS ROMs take no more.
pub const MIN_PAYLOAD: usize = 548;

const IP_UDP_HEADERS: u16 = 28;
/// edk2's receive path wants no more, whatever option 57 says (OVMF's REQUEST says 65280).
const MAX_PAYLOAD: u16 = 1472;

/// The largest reply, in bytes of UDP payload, for a client that sent option 57 (`max_size`) or did not, on a link with this MTU.
///
/// Option 57 counts the IP datagram with its headers, as RFC 2131 counts its 576: the careful one of two readings in the field.
/// A value below 576 is not legal (RFC 2132 §9.10) and read as 576. The result is between [`MIN_PAYLOAD`] and 1472 bytes.
#[must_use]
pub fn reply_limit(max_size: Option<u16>, mtu: u16) -> usize {
    let asked = max_size.unwrap_or(0).saturating_sub(IP_UDP_HEADERS);
    let link = mtu.saturating_sub(IP_UDP_HEADERS);
    usize::from(asked.min(link).min(MAX_PAYLOAD)).max(MIN_PAYLOAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_fits_the_client_the_link_and_edk2() {
        for (max_size, mtu, limit, who) in [
            (None, 1500, 548, "a BIOS ROM that does not say"),
            (Some(1472), 1500, 1444, "OVMF's DISCOVER, iPXE"),
            (Some(65280), 1500, 1472, "OVMF's REQUEST, byte-swapped nonsense"),
            (Some(1500), 1400, 1372, "a tunnel"),
            (Some(576), 9000, 548, "U-Boot"),
            (Some(300), 1500, 548, "less than is legal"),
            (Some(0), 0, 548, "nothing at all"),
            (Some(9000), 9000, 1472, "jumbo frames"),
        ] {
            assert_eq!(reply_limit(max_size, mtu), limit, "{who}");
        }
    }
}
