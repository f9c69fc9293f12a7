//! Ethernet hardware addresses.

use core::fmt;
use core::net::Ipv6Addr;
use core::str::FromStr;

/// An Ethernet (48-bit) hardware address: DHCP `htype` 1, `hlen` 6.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MacAddr(pub [u8; 6]);

/// The text was not six octets in hexadecimal, with one kind of separator or none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParseMacError;

impl fmt::Display for ParseMacError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a MAC address is six octets such as 52:54:00:12:34:56")
    }
}

impl core::error::Error for ParseMacError {}

impl MacAddr {
    /// The hardware address that an IPv6 address was made from (modified EUI-64, RFC 4291 appendix A): firmware makes its link-local
    /// address so. None where the interface identifier is none of that form; one made at random looks like it once in 65536 times.
    #[must_use]
    pub fn of_eui64(ip: Ipv6Addr) -> Option<Self> {
        let [.., a, b, c, 0xff, 0xfe, d, e, f] = ip.octets() else { return None };
        // The bit for "assigned by hand" is turned round; groups have no interface.
        let a = a ^ 2;
        (a & 1 == 0).then_some(Self([a, b, c, d, e, f]))
    }

    /// The form that pxelinux and GRUB look files up by: lower case, dashes (`52-54-00-12-34-56`).
    #[must_use]
    pub fn hyphenated(&self) -> String {
        self.to_string().replace(':', "-")
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddr {
    type Err = ParseMacError;

    /// Accepts `aa:bb:cc:dd:ee:ff`, dashes instead of colons, and twelve bare digits (iPXE's `:hexraw`), in either case.
    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let digits: String = match text.len() {
            12 => text.to_owned(),
            17 => {
                let separator = text.chars().nth(2).filter(|c| matches!(c, ':' | '-')).ok_or(ParseMacError)?;
                let octets: Vec<&str> = text.split(separator).collect();
                if octets.len() != 6 || octets.iter().any(|octet| octet.len() != 2) {
                    return Err(ParseMacError);
                }
                octets.concat()
            }
            _ => return Err(ParseMacError),
        };
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ParseMacError);
        }
        let value = u64::from_str_radix(&digits, 16).map_err(|_| ParseMacError)?;
        let [_, _, octets @ ..] = value.to_be_bytes();
        Ok(Self(octets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_in_use_is_read() {
        let mac = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0xab]);
        for text in ["52:54:00:12:34:ab", "52-54-00-12-34-AB", "5254001234ab"] {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
        assert_eq!(mac.to_string(), "52:54:00:12:34:ab");
        assert_eq!(mac.hyphenated(), "52-54-00-12-34-ab");
    }

    #[test]
    fn an_address_made_from_a_card_tells_which() {
        for (ip, mac) in [
            ("fe80::5054:ff:fe12:34ab", Some(MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0xab]))),
            ("fd77::20c:29ff:fe00:1", Some(MacAddr([0, 0x0c, 0x29, 0, 0, 1]))),
            ("fd77::1", None),
            ("fe80::320c:29ff:fd00:1", None),
            ("fe80::30c:29ff:fe00:1", None),
        ] {
            assert_eq!(MacAddr::of_eui64(ip.parse().unwrap()), mac, "{ip}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "52:54:00:12:34", "52:54:00:12:34:gg", "52:54:00-12:34:ab", "+25400123456", "525400:1234:ab:xx"]
        {
            assert_eq!(text.parse::<MacAddr>(), Err(ParseMacError), "{text}");
        }
    }
}
