//! Option 43 as PXE uses it (PXE 2.1 §2.3, tables 2-1 to 2-3).

use crate::{DecodeError, Fault, Field, SubOptions};
use core::net::Ipv4Addr;

const OUTER: u8 = 43;
const DISCOVERY_CONTROL: u8 = 6;
const MULTICAST: u8 = 7;
const BOOT_SERVERS: u8 = 8;
const MENU: u8 = 9;
const PROMPT: u8 = 10;
const BOOT_ITEM: u8 = 71;

/// PXE's sub-options, in order. Written with the inner END that PXE wants.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct VendorOptions(pub SubOptions);

/// A boot server type and where its servers are: an element of sub-option 8.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BootServer {
    /// The type that a menu item refers to.
    pub kind: u16,
    /// The servers; none means that any may answer.
    pub ips: Vec<Ipv4Addr>,
}

/// A line of the boot menu: an element of sub-option 9.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MenuItem {
    /// The boot server type; 0 is a boot from the local disk.
    pub kind: u16,
    /// What the user reads: at most 255 bytes.
    pub text: Vec<u8>,
}

/// The prompt before the menu: sub-option 10.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Prompt {
    /// Seconds until the first item is taken; 0 takes it at once, 255 waits for ever.
    pub timeout: u8,
    /// What the user reads.
    pub text: Vec<u8>,
}

/// What a client asks a boot server for on port 4011, and what the server echoes: sub-option 71.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct BootItem {
    /// The boot server type.
    pub kind: u16,
    /// The layer; its highest bit asks for credentials.
    pub layer: u16,
}

impl VendorOptions {
    /// Discovery control: do not broadcast to find boot servers.
    pub const NO_BROADCAST: u8 = 1;
    /// Discovery control: do not multicast to find boot servers.
    pub const NO_MULTICAST: u8 = 2;
    /// Discovery control: take only the servers in sub-option 8.
    pub const LISTED_SERVERS: u8 = 4;
    /// Discovery control: use the boot file in this packet, with neither prompt nor discovery. What spares a BIOS ROM the second
    /// exchange on port 4011.
    pub const USE_BOOT_FILE: u8 = 8;

    /// Reads the value of option 43 that belongs to a PXE client.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let options = Self(SubOptions::decode(OUTER, bytes)?);
        options.check()?;
        Ok(options)
    }

    /// The value of option 43, with its inner END.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.0.encode();
        out.push(255);
        out
    }

    /// `06 01 08 ff`: the boot file is in this packet, use it.
    #[must_use]
    pub fn use_boot_file() -> Self {
        let mut options = Self::default();
        options.set_discovery_control(Self::USE_BOOT_FILE);
        options
    }

    /// What a Raspberry Pi's boot loader takes an offer by: discovery control 3, the prompt `PXE`, and a menu whose one line is this
    /// text. The Pi 3's ROM compares it with three blanks behind it.
    #[must_use]
    pub fn raspberry_pi(three_blanks: bool) -> Self {
        let text: &[u8] = if three_blanks { b"Raspberry Pi Boot   " } else { b"Raspberry Pi Boot" };
        let mut options = Self::default();
        options.set_discovery_control(Self::NO_BROADCAST | Self::NO_MULTICAST);
        options.set_prompt(&Prompt { timeout: 0, text: b"PXE".to_vec() });
        options.set_menu(&[MenuItem { kind: 0, text: text.to_vec() }]);
        options
    }

    /// Discovery control (6), a set of the bits above.
    #[must_use]
    pub fn discovery_control(&self) -> Option<u8> {
        self.0.array(DISCOVERY_CONTROL).map(|[bits]| bits)
    }

    /// Where boot servers are found by multicast (7).
    #[must_use]
    pub fn multicast(&self) -> Option<Ipv4Addr> {
        self.0.array::<4>(MULTICAST).map(Ipv4Addr::from)
    }

    /// Boot servers (8); empty where absent or malformed.
    #[must_use]
    pub fn boot_servers(&self) -> Vec<BootServer> {
        self.0.get(BOOT_SERVERS).and_then(boot_servers).unwrap_or_default()
    }

    /// The boot menu (9); empty where absent or malformed.
    #[must_use]
    pub fn menu(&self) -> Vec<MenuItem> {
        self.0.get(MENU).and_then(menu).unwrap_or_default()
    }

    /// The prompt (10).
    #[must_use]
    pub fn prompt(&self) -> Option<Prompt> {
        let (timeout, text) = self.0.get(PROMPT)?.split_first()?;
        Some(Prompt { timeout: *timeout, text: text.to_vec() })
    }

    /// The boot item (71).
    #[must_use]
    pub fn boot_item(&self) -> Option<BootItem> {
        let [a, b, c, d] = self.0.array(BOOT_ITEM)?;
        Some(BootItem { kind: u16::from_be_bytes([a, b]), layer: u16::from_be_bytes([c, d]) })
    }

    /// Adds discovery control.
    pub fn set_discovery_control(&mut self, bits: u8) -> &mut Self {
        self.0.push(DISCOVERY_CONTROL, [bits]);
        self
    }

    /// Adds boot servers: at most 255 addresses for each type, the rest is left out.
    pub fn set_boot_servers(&mut self, servers: &[BootServer]) -> &mut Self {
        let mut value = Vec::new();
        for server in servers {
            let count = u8::try_from(server.ips.len()).unwrap_or(u8::MAX);
            value.extend(server.kind.to_be_bytes());
            value.push(count);
            value.extend(server.ips.iter().take(count.into()).flat_map(Ipv4Addr::octets));
        }
        self.0.push(BOOT_SERVERS, value);
        self
    }

    /// Adds the menu: at most 255 bytes of text for each item, the rest is left out.
    pub fn set_menu(&mut self, items: &[MenuItem]) -> &mut Self {
        let mut value = Vec::new();
        for item in items {
            let len = u8::try_from(item.text.len()).unwrap_or(u8::MAX);
            value.extend(item.kind.to_be_bytes());
            value.push(len);
            value.extend(item.text.iter().take(len.into()));
        }
        self.0.push(MENU, value);
        self
    }

    /// Adds the prompt.
    pub fn set_prompt(&mut self, prompt: &Prompt) -> &mut Self {
        let mut value = vec![prompt.timeout];
        value.extend(&prompt.text);
        self.0.push(PROMPT, value);
        self
    }

    /// Adds the boot item.
    pub fn set_boot_item(&mut self, item: BootItem) -> &mut Self {
        self.0.push(BOOT_ITEM, [item.kind.to_be_bytes(), item.layer.to_be_bytes()].concat());
        self
    }

    fn check(&self) -> Result<(), DecodeError> {
        let mut at = 0;
        for (code, value) in self.0.iter() {
            let legal = match code {
                DISCOVERY_CONTROL => value.len() == 1,
                MULTICAST | BOOT_ITEM => value.len() == 4,
                BOOT_SERVERS => boot_servers(value).is_some(),
                MENU => menu(value).is_some(),
                PROMPT => !value.is_empty(),
                _ => true,
            };
            if !legal {
                return Err(DecodeError::new(Field::SubOption(OUTER, code), at, Fault::Length));
            }
            at += 2 + value.len();
        }
        Ok(())
    }
}

fn boot_servers(mut bytes: &[u8]) -> Option<Vec<BootServer>> {
    let mut servers = Vec::new();
    while !bytes.is_empty() {
        let ([high, low, count], tail) = bytes.split_first_chunk()?;
        let (ips, rest) = tail.split_at_checked(4 * usize::from(*count))?;
        let ips = ips.as_chunks::<4>().0.iter().copied().map(Ipv4Addr::from).collect();
        servers.push(BootServer { kind: u16::from_be_bytes([*high, *low]), ips });
        bytes = rest;
    }
    Some(servers)
}

fn menu(mut bytes: &[u8]) -> Option<Vec<MenuItem>> {
    let mut items = Vec::new();
    while !bytes.is_empty() {
        let ([high, low, len], tail) = bytes.split_first_chunk()?;
        let (text, rest) = tail.split_at_checked(usize::from(*len))?;
        items.push(MenuItem { kind: u16::from_be_bytes([*high, *low]), text: text.to_vec() });
        bytes = rest;
    }
    Some(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipes_are_these_bytes() {
        assert_eq!(VendorOptions::use_boot_file().encode(), [6, 1, 8, 255]);

        let pi = VendorOptions::raspberry_pi(false);
        assert_eq!(pi.encode(), b"\x06\x01\x03\x0a\x04\x00PXE\x09\x14\x00\x00\x11Raspberry Pi Boot\xff");
        let pi_3 = VendorOptions::raspberry_pi(true);
        assert_eq!(pi_3.encode(), b"\x06\x01\x03\x0a\x04\x00PXE\x09\x17\x00\x00\x14Raspberry Pi Boot   \xff");

        let mut menu = VendorOptions::default();
        let server = BootServer { kind: 0x8000, ips: vec![Ipv4Addr::new(10, 0, 0, 1)] };
        menu.set_discovery_control(7).set_boot_servers(std::slice::from_ref(&server));
        menu.set_boot_item(BootItem { kind: 0x8000, layer: 0 });
        assert_eq!(menu.encode(), [6, 1, 7, 8, 7, 0x80, 0, 1, 10, 0, 0, 1, 71, 4, 0x80, 0, 0, 0, 255]);
        let again = VendorOptions::decode(&menu.encode()).unwrap();
        assert_eq!(again, menu);
        assert_eq!(again.boot_servers(), [server]);
        assert_eq!(again.boot_item(), Some(BootItem { kind: 0x8000, layer: 0 }));
    }

    #[test]
    fn every_truncation_is_refused_or_shorter() {
        let whole =
            b"\x06\x01\x03\x08\x07\x80\x00\x01\x0a\x00\x00\x01\x0a\x04\x00PXE\x09\x14\x00\x00\x11Raspberry Pi Boot";
        let boundaries = [0, 3, 12, 18, whole.len()];
        for len in 0..=whole.len() {
            let decoded = VendorOptions::decode(&whole[..len]);
            assert_eq!(decoded.is_ok(), boundaries.contains(&len), "{len}: {decoded:?}");
        }
    }

    #[test]
    fn an_impossible_inner_length_is_refused() {
        for bytes in [
            &[6, 0][..],
            &[6, 2, 0, 0],
            &[7, 3, 1, 2, 3],
            &[8, 3, 0, 0, 1],
            &[9, 4, 0, 0, 2, b'x'],
            &[10, 0],
            &[71, 2, 0, 0],
        ] {
            let refused = VendorOptions::decode(bytes).unwrap_err();
            assert_eq!((refused.field, refused.fault), (Field::SubOption(43, bytes[0]), Fault::Length));
        }
    }
}
