//! The options of one message: an ordered list with typed readers and writers.

use super::{MachineId, MessageType, OptionCode, RelayInfo};
use crate::ClientArch;
use core::net::Ipv4Addr;

/// DHCP options in the order of the wire, each code once: several instances of one code are joined when read (RFC 3396 §7).
///
/// The readers return None for an option that is absent *or* has an impossible length; the raw value is there either way
/// through [`Options::get`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Options {
    list: Vec<(OptionCode, Vec<u8>)>,
}

impl Options {
    /// No options.
    #[must_use]
    pub const fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// The value of this option.
    #[must_use]
    pub fn get(&self, code: OptionCode) -> Option<&[u8]> {
        self.list.iter().find(|(have, _)| *have == code).map(|(_, value)| value.as_slice())
    }

    /// Whether the option is there.
    #[must_use]
    pub fn has(&self, code: OptionCode) -> bool {
        self.get(code).is_some()
    }

    /// All options, in order.
    pub fn iter(&self) -> impl Iterator<Item = (OptionCode, &[u8])> {
        self.list.iter().map(|(code, value)| (*code, value.as_slice()))
    }

    /// How many options there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Sets an option: at the end, or in its place where it is there already. PAD and END are no options and are left out.
    pub fn set(&mut self, code: OptionCode, value: impl Into<Vec<u8>>) -> &mut Self {
        if code.is_option() {
            match self.list.iter_mut().find(|(have, _)| *have == code) {
                Some((_, old)) => *old = value.into(),
                None => self.list.push((code, value.into())),
            }
        }
        self
    }

    /// Sets an address.
    pub fn set_ip(&mut self, code: OptionCode, ip: Ipv4Addr) -> &mut Self {
        self.set(code, ip.octets())
    }

    /// Sets a list of addresses; an empty list leaves the option out.
    pub fn set_ips(&mut self, code: OptionCode, ips: &[Ipv4Addr]) -> &mut Self {
        if ips.is_empty() {
            return self;
        }
        self.set(code, ips.iter().flat_map(Ipv4Addr::octets).collect::<Vec<u8>>())
    }

    /// Sets a 32-bit number, such as a time in seconds.
    pub fn set_u32(&mut self, code: OptionCode, value: u32) -> &mut Self {
        self.set(code, value.to_be_bytes())
    }

    /// Sets a 16-bit number.
    pub fn set_u16(&mut self, code: OptionCode, value: u16) -> &mut Self {
        self.set(code, value.to_be_bytes())
    }

    /// Sets the message type (option 53).
    pub fn set_message_type(&mut self, kind: MessageType) -> &mut Self {
        self.set(OptionCode::MESSAGE_TYPE, [kind.0])
    }

    /// Takes an option out.
    pub fn remove(&mut self, code: OptionCode) -> Option<Vec<u8>> {
        let at = self.list.iter().position(|(have, _)| *have == code)?;
        Some(self.list.remove(at).1)
    }

    /// Message type (option 53).
    #[must_use]
    pub fn message_type(&self) -> Option<MessageType> {
        self.array(OptionCode::MESSAGE_TYPE).map(|[kind]| MessageType(kind))
    }

    /// Server identifier (option 54).
    #[must_use]
    pub fn server_id(&self) -> Option<Ipv4Addr> {
        self.ip(OptionCode::SERVER_ID)
    }

    /// The address that the client asks for (option 50).
    #[must_use]
    pub fn requested_ip(&self) -> Option<Ipv4Addr> {
        self.ip(OptionCode::REQUESTED_IP)
    }

    /// Lease time in seconds (option 51).
    #[must_use]
    pub fn lease_time(&self) -> Option<u32> {
        self.array(OptionCode::LEASE_TIME).map(u32::from_be_bytes)
    }

    /// The codes that the client would like (option 55), empty where it did not say. No guide for boot options.
    #[must_use]
    pub fn parameter_list(&self) -> &[u8] {
        self.get(OptionCode::PARAMETER_LIST).unwrap_or_default()
    }

    /// The largest message that the client takes, in bytes (option 57): feed it to [`reply_limit`](super::reply_limit).
    #[must_use]
    pub fn max_size(&self) -> Option<u16> {
        self.array(OptionCode::MAX_SIZE).map(u16::from_be_bytes)
    }

    /// Client identifier (option 61) with its type byte.
    #[must_use]
    pub fn client_id(&self) -> Option<&[u8]> {
        self.get(OptionCode::CLIENT_ID).filter(|id| id.len() >= 2)
    }

    /// Vendor class (option 60), raw: parse it with [`VendorClass`](crate::pxe::VendorClass).
    #[must_use]
    pub fn vendor_class(&self) -> Option<&[u8]> {
        self.get(OptionCode::VENDOR_CLASS)
    }

    /// User classes (option 77): the elements of an RFC 3004 list, or the whole value where it is not one (iPXE sends the four
    /// bytes `iPXE`). Empty where the option is absent or empty.
    #[must_use]
    pub fn user_classes(&self) -> Vec<&[u8]> {
        let Some(value) = self.get(OptionCode::USER_CLASS).filter(|value| !value.is_empty()) else {
            return Vec::new();
        };
        length_prefixed(value).unwrap_or_else(|| vec![value])
    }

    /// Client system architectures (option 93): normally one, several by RFC 4578. Empty where absent or of odd length.
    #[must_use]
    pub fn client_archs(&self) -> Vec<ClientArch> {
        let value = self.get(OptionCode::CLIENT_ARCH).filter(|value| value.len().is_multiple_of(2)).unwrap_or_default();
        value.as_chunks::<2>().0.iter().map(|pair| ClientArch(u16::from_be_bytes(*pair))).collect()
    }

    /// Client network interface identifier (option 94): type (1 = UNDI), major and minor version.
    #[must_use]
    pub fn client_nii(&self) -> Option<[u8; 3]> {
        self.array(OptionCode::CLIENT_NII)
    }

    /// Client machine identifier (option 97).
    #[must_use]
    pub fn machine_id(&self) -> Option<MachineId> {
        MachineId::decode(self.get(OptionCode::MACHINE_ID)?).ok()
    }

    /// Relay agent information (option 82): copied into replies byte for byte (RFC 3046 §2.2).
    #[must_use]
    pub fn relay_info(&self) -> Option<RelayInfo<'_>> {
        self.get(OptionCode::RELAY_INFO).map(RelayInfo)
    }

    /// Boot file name (option 67) without trailing NULs.
    #[must_use]
    pub fn boot_file(&self) -> Option<&[u8]> {
        self.text(OptionCode::BOOT_FILE)
    }

    /// Host name (option 12) without trailing NULs. Not checked for being a legal host name, nor for being UTF-8.
    #[must_use]
    pub fn host_name(&self) -> Option<&[u8]> {
        self.text(OptionCode::HOST_NAME)
    }

    /// One address.
    #[must_use]
    pub fn ip(&self, code: OptionCode) -> Option<Ipv4Addr> {
        self.array::<4>(code).map(Ipv4Addr::from)
    }

    /// A list of addresses; empty where absent or not a multiple of 4 bytes.
    #[must_use]
    pub fn ips(&self, code: OptionCode) -> Vec<Ipv4Addr> {
        let value = self.get(code).filter(|value| value.len().is_multiple_of(4)).unwrap_or_default();
        value.as_chunks::<4>().0.iter().copied().map(Ipv4Addr::from).collect()
    }

    /// A string without the trailing NULs that clients add (RFC 2132 §2 forbids, firmware does).
    #[must_use]
    pub fn text(&self, code: OptionCode) -> Option<&[u8]> {
        let mut value = self.get(code)?;
        while let Some((0, head)) = value.split_last() {
            value = head;
        }
        Some(value)
    }

    /// An option of exactly `N` bytes.
    #[must_use]
    pub fn array<const N: usize>(&self, code: OptionCode) -> Option<[u8; N]> {
        self.get(code)?.try_into().ok()
    }

    /// Joins a further instance to the option of the same code (RFC 3396 §7), or adds it.
    pub(super) fn append(&mut self, code: OptionCode, value: &[u8]) {
        match self.list.iter_mut().find(|(have, _)| *have == code) {
            Some((_, old)) => old.extend_from_slice(value),
            None => self.list.push((code, value.to_vec())),
        }
    }
}

/// The elements of a list of length-prefixed strings, where the bytes are exactly that and no element is empty.
fn length_prefixed(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut elements = Vec::new();
    while let Some((len, tail)) = bytes.split_first() {
        let (element, rest) = tail.split_at_checked(usize::from(*len))?;
        if element.is_empty() {
            return None;
        }
        elements.push(element);
        bytes = rest;
    }
    Some(elements)
}
