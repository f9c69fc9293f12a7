//! The two messages of router discovery (RFC 4861 §4.1 and §4.2), as far as a boot server has to do with them.

use core::net::Ipv6Addr;

use crate::{DecodeError, Fault, Field, MacAddr};

/// ICMPv6 type of a router solicitation.
pub const SOLICITATION: u8 = 133;
/// ICMPv6 type of a router advertisement.
pub const ADVERTISEMENT: u8 = 134;

const SOURCE_LINK_LAYER: u8 = 1;
const PREFIX: u8 = 3;

/// A host looks for routers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Solicitation {
    /// Its Ethernet address, where it tells.
    pub mac: Option<MacAddr>,
}

/// A router (or who stands in for one) tells hosts how to configure themselves.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Advertisement {
    /// M: addresses are to be had by DHCPv6.
    pub managed: bool,
    /// O: other parameters are to be had by DHCPv6.
    pub other: bool,
    /// Seconds for which the sender is a default router; 0: it is none.
    pub lifetime: u16,
    /// The sender's Ethernet address.
    pub mac: Option<MacAddr>,
    /// Networks that are on this link.
    pub prefixes: Vec<Prefix>,
}

/// A network on the link (RFC 4861 §4.6.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Prefix {
    /// Network address.
    pub network: Ipv6Addr,
    /// Prefix length: 0-128.
    pub len: u8,
    /// A: hosts make themselves addresses in it.
    pub autonomous: bool,
    /// Seconds for which this holds.
    pub valid: u32,
    /// Seconds for which addresses made from it are preferred.
    pub preferred: u32,
}

impl Solicitation {
    /// Reads an ICMPv6 message from its type on. Its checksum is the kernel's to check.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let short = DecodeError::new(Field::Header, bytes.len(), Fault::Truncated);
        let ([kind, code, ..], mut rest) = bytes.split_first_chunk::<8>().ok_or(short)?;
        if (*kind, *code) != (SOLICITATION, 0) {
            return Err(DecodeError::new(Field::Header, 0, Fault::Value));
        }
        let mut mac = None;
        while let [kind, len, ..] = rest {
            let at = bytes.len().saturating_sub(rest.len());
            // rfc4861#6.1.1: an option of length 0 makes the whole message invalid.
            let len = usize::from(*len).saturating_mul(8);
            let fault = DecodeError::new(Field::Option(*kind), at, Fault::Length);
            let (option, tail) = rest.split_at_checked(len).filter(|_| len > 0).ok_or(fault)?;
            if let [SOURCE_LINK_LAYER, 1, a, b, c, d, e, f] = *option {
                mac = Some(MacAddr([a, b, c, d, e, f]));
            }
            rest = tail;
        }
        Ok(Self { mac })
    }
}

impl Advertisement {
    /// The ICMPv6 message from its type on, with the checksum left to the kernel.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let flags = (u8::from(self.managed) << 7) | (u8::from(self.other) << 6);
        // No hop limit and no timers: "unspecified by this router".
        let mut out = vec![ADVERTISEMENT, 0, 0, 0, 0, flags];
        out.extend(self.lifetime.to_be_bytes());
        out.extend([0; 8]);
        if let Some(mac) = self.mac {
            out.extend([SOURCE_LINK_LAYER, 1]);
            out.extend(mac.0);
        }
        for prefix in &self.prefixes {
            // L: whatever is in it can be reached without a router.
            let flags = 0x80 | (u8::from(prefix.autonomous) << 6);
            out.extend([PREFIX, 4, prefix.len, flags]);
            out.extend(prefix.valid.to_be_bytes());
            out.extend(prefix.preferred.to_be_bytes());
            out.extend([0; 4]);
            out.extend(prefix.network.octets());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);

    #[test]
    fn a_solicitation_is_read_with_or_without_an_address() {
        let mut bytes = vec![133, 0, 0xab, 0xcd, 0, 0, 0, 0];
        assert_eq!(Solicitation::decode(&bytes), Ok(Solicitation { mac: None }));
        bytes.extend([1, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56]);
        assert_eq!(Solicitation::decode(&bytes), Ok(Solicitation { mac: Some(MAC) }));
        for len in 0..8 {
            assert!(Solicitation::decode(&bytes[..len]).is_err(), "{len}");
        }
        for len in 10..16 {
            let cut = Solicitation::decode(&bytes[..len]).unwrap_err();
            assert_eq!((cut.field, cut.fault), (Field::Option(1), Fault::Length), "{len}");
        }
    }

    #[test]
    fn what_is_no_valid_solicitation_is_refused() {
        for bytes in [&[134, 0, 0, 0, 0, 0, 0, 0][..], &[133, 1, 0, 0, 0, 0, 0, 0], &[133, 0, 0, 0, 0, 0, 0, 0, 1, 0]] {
            assert!(Solicitation::decode(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn an_advertisement_has_the_layout_of_the_rfc() {
        let network = "fd77::".parse().unwrap();
        let prefix = Prefix { network, len: 64, autonomous: true, valid: 7200, preferred: 3600 };
        let advertisement =
            Advertisement { managed: true, other: true, lifetime: 0, mac: Some(MAC), prefixes: vec![prefix] };
        let expected = [
            &[134, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &[1, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56],
            &[3, 4, 64, 0xc0, 0, 0, 0x1c, 0x20, 0, 0, 0x0e, 0x10, 0, 0, 0, 0],
            &[0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        assert_eq!(advertisement.encode(), expected);
        assert_eq!(Advertisement::default().encode(), [134, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
