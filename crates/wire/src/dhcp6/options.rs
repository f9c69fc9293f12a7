//! The options of one message, envelope or association: an ordered list with typed readers and writers.

use core::net::Ipv6Addr;

use super::{Duid, Ia, IaKind, OptionCode, StatusCode};
use crate::{AgentId, ClientArch, DecodeError, Fault, Field, MacAddr};

/// The enterprise number that PXE's and HTTP Boot's vendor classes stand under: Intel's.
pub const ENTERPRISE_INTEL: u32 = 343;

/// DHCPv6 options in the order of the wire. A code may come several times (associations, addresses).
///
/// The readers return None for an option that is absent *or* has an impossible length; the raw value is there either way through
/// [`Options::get`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Options {
    list: Vec<(OptionCode, Vec<u8>)>,
}

/// A status (RFC 8415 §21.13).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status<'a> {
    /// Its code.
    pub code: StatusCode,
    /// Words for a person, as sent.
    pub text: &'a [u8],
}

/// A vendor class (RFC 8415 §21.16).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VendorClass6<'a> {
    /// Whose classes these are: [`ENTERPRISE_INTEL`] for PXE and HTTP Boot.
    pub enterprise: u32,
    /// The classes. Of one that is cut short, what there is.
    pub classes: Vec<&'a [u8]>,
}

impl Status<'_> {
    /// The value of option 13.
    #[must_use]
    pub fn encode(code: StatusCode, text: &str) -> Vec<u8> {
        let mut out = code.0.to_be_bytes().to_vec();
        out.extend(text.as_bytes());
        out
    }
}

impl VendorClass6<'_> {
    /// The value of option 16 with one class.
    #[must_use]
    pub fn encode(enterprise: u32, class: &[u8]) -> Vec<u8> {
        let mut out = enterprise.to_be_bytes().to_vec();
        put_element(&mut out, class);
        out
    }
}

impl Options {
    /// No options.
    #[must_use]
    pub const fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// Reads an option area that starts at byte `at` of what contains it.
    pub fn decode(bytes: &[u8], at: usize) -> Result<Self, DecodeError> {
        match Self::read(bytes, at) {
            (options, None) => Ok(options),
            (_, Some(fault)) => Err(fault),
        }
    }

    /// Reads as many options as there are, and the fault that ended them.
    pub(super) fn read(bytes: &[u8], at: usize) -> (Self, Option<DecodeError>) {
        let mut options = Self::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let here = at.saturating_add(bytes.len().saturating_sub(rest.len()));
            let Some((code, tail)) = rest.split_first_chunk::<2>() else {
                return (options, Some(DecodeError::new(Field::OptionArea, here, Fault::Truncated)));
            };
            let code = OptionCode(u16::from_be_bytes(*code));
            let value = tail
                .split_first_chunk::<2>()
                .and_then(|(len, tail)| tail.split_at_checked(usize::from(u16::from_be_bytes(*len))));
            let Some((value, tail)) = value else {
                return (options, Some(DecodeError::new(Field::Option6(code.0), here, Fault::Truncated)));
            };
            options.push(code, value);
            rest = tail;
        }
        (options, None)
    }

    /// Appends the options as bytes. A value longer than an option can be is cut off at 65535 bytes.
    pub fn put(&self, out: &mut Vec<u8>) {
        for (code, value) in &self.list {
            let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
            out.extend(code.0.to_be_bytes());
            out.extend(len.to_be_bytes());
            out.extend(value.iter().take(usize::from(len)));
        }
    }

    /// The value of the first option with this code.
    #[must_use]
    pub fn get(&self, code: OptionCode) -> Option<&[u8]> {
        self.all(code).next()
    }

    /// The values of all options with this code.
    pub fn all(&self, code: OptionCode) -> impl Iterator<Item = &[u8]> {
        self.list.iter().filter(move |(have, _)| *have == code).map(|(_, value)| value.as_slice())
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

    /// Adds an option at the end.
    pub fn push(&mut self, code: OptionCode, value: impl Into<Vec<u8>>) -> &mut Self {
        self.list.push((code, value.into()));
        self
    }

    /// Adds a list of addresses; an empty list leaves the option out.
    pub fn push_ips(&mut self, code: OptionCode, ips: &[Ipv6Addr]) -> &mut Self {
        if ips.is_empty() {
            return self;
        }
        self.push(code, ips.iter().flat_map(Ipv6Addr::octets).collect::<Vec<u8>>())
    }

    /// Adds an association.
    pub fn push_ia(&mut self, ia: &Ia) -> &mut Self {
        self.push(ia.kind.code(), ia.encode())
    }

    /// Adds a list of domain names (RFC 8415 §10): each as labels with their lengths, ended by an empty one. A label longer than 63
    /// bytes is cut off there.
    pub fn push_domains(&mut self, code: OptionCode, names: &[String]) -> &mut Self {
        if names.is_empty() {
            return self;
        }
        let mut out = Vec::new();
        for name in names {
            for label in name.split('.').filter(|label| !label.is_empty()) {
                let label = label.as_bytes().get(..63).unwrap_or(label.as_bytes());
                out.push(u8::try_from(label.len()).unwrap_or(63));
                out.extend(label);
            }
            out.push(0);
        }
        self.push(code, out)
    }

    /// The client's DUID (option 1).
    #[must_use]
    pub fn client_id(&self) -> Option<Duid> {
        Duid::new(self.get(OptionCode::CLIENT_ID)?)
    }

    /// The server's DUID (option 2).
    #[must_use]
    pub fn server_id(&self) -> Option<Duid> {
        Duid::new(self.get(OptionCode::SERVER_ID)?)
    }

    /// The associations for addresses, in order; one that cannot be read is left out.
    pub fn ias(&self) -> impl Iterator<Item = Ia> {
        self.list.iter().filter_map(|(code, value)| {
            let kinds = [IaKind::NonTemporary, IaKind::Temporary];
            let kind = kinds.into_iter().find(|kind| kind.code() == *code)?;
            Ia::decode(kind, value).ok()
        })
    }

    /// The codes that the client would like (option 6), empty where it did not say.
    #[must_use]
    pub fn requested(&self) -> Vec<OptionCode> {
        let value = self.even(OptionCode::OPTION_REQUEST);
        value.iter().map(|pair| OptionCode(u16::from_be_bytes(*pair))).collect()
    }

    /// The server's preference (option 7).
    #[must_use]
    pub fn preference(&self) -> Option<u8> {
        self.array(OptionCode::PREFERENCE).map(|[preference]| preference)
    }

    /// The status (option 13).
    #[must_use]
    pub fn status(&self) -> Option<Status<'_>> {
        let (code, text) = self.get(OptionCode::STATUS)?.split_first_chunk::<2>()?;
        Some(Status { code: StatusCode(u16::from_be_bytes(*code)), text })
    }

    /// User classes (option 15): its elements, or the whole value where it is no list of such (RFC 8415 §21.15).
    #[must_use]
    pub fn user_classes(&self) -> Vec<&[u8]> {
        let Some(value) = self.get(OptionCode::USER_CLASS).filter(|value| !value.is_empty()) else { return Vec::new() };
        let (classes, whole) = elements(value);
        if whole && classes.iter().all(|class| !class.is_empty()) { classes } else { vec![value] }
    }

    /// Vendor class (option 16).
    #[must_use]
    pub fn vendor_class(&self) -> Option<VendorClass6<'_>> {
        let (enterprise, rest) = self.get(OptionCode::VENDOR_CLASS)?.split_first_chunk::<4>()?;
        Some(VendorClass6 { enterprise: u32::from_be_bytes(*enterprise), classes: elements(rest).0 })
    }

    /// Client system architectures (option 61). Empty where absent or of odd length.
    #[must_use]
    pub fn client_archs(&self) -> Vec<ClientArch> {
        let value = self.even(OptionCode::CLIENT_ARCH);
        value.iter().map(|pair| ClientArch(u16::from_be_bytes(*pair))).collect()
    }

    /// The Ethernet address that a relay tells (option 79, RFC 6939).
    #[must_use]
    pub fn link_layer_address(&self) -> Option<MacAddr> {
        let [hardware @ .., a, b, c, d, e, f] = self.array::<8>(OptionCode::LINK_LAYER_ADDRESS)?;
        (u16::from_be_bytes(hardware) == 1).then_some(MacAddr([a, b, c, d, e, f]))
    }

    /// What a relay calls the interface that it heard the client on (option 18).
    #[must_use]
    pub fn interface_id(&self) -> Option<AgentId> {
        AgentId::new(self.get(OptionCode::INTERFACE_ID)?)
    }

    /// What a relay calls itself, or the customer (option 37), without the enterprise number before it.
    #[must_use]
    pub fn remote_id(&self) -> Option<AgentId> {
        let (_enterprise, id) = self.get(OptionCode::REMOTE_ID)?.split_first_chunk::<4>()?;
        AgentId::new(id)
    }

    /// URL of the boot file (option 59).
    #[must_use]
    pub fn boot_file_url(&self) -> Option<&[u8]> {
        self.get(OptionCode::BOOT_FILE_URL)
    }

    /// A list of addresses; empty where absent or not a multiple of 16 bytes.
    #[must_use]
    pub fn ips(&self, code: OptionCode) -> Vec<Ipv6Addr> {
        let value = self.get(code).filter(|value| value.len().is_multiple_of(16)).unwrap_or_default();
        value.as_chunks::<16>().0.iter().copied().map(Ipv6Addr::from).collect()
    }

    /// An option of exactly `N` bytes.
    #[must_use]
    pub fn array<const N: usize>(&self, code: OptionCode) -> Option<[u8; N]> {
        self.get(code)?.try_into().ok()
    }

    /// Keeps the options whose code passes.
    pub(super) fn retain(&mut self, keep: impl Fn(OptionCode) -> bool) {
        self.list.retain(|(code, _)| keep(*code));
    }

    fn even(&self, code: OptionCode) -> &[[u8; 2]] {
        self.get(code).filter(|value| value.len().is_multiple_of(2)).unwrap_or_default().as_chunks::<2>().0
    }
}

/// The elements of a list, each with a length of two bytes; and whether the list ends where the last of them does.
fn elements(mut bytes: &[u8]) -> (Vec<&[u8]>, bool) {
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        let Some((len, tail)) = bytes.split_first_chunk::<2>() else { return (elements, false) };
        let len = usize::from(u16::from_be_bytes(*len));
        let Some((element, rest)) = tail.split_at_checked(len) else {
            elements.push(tail);
            return (elements, false);
        };
        elements.push(element);
        bytes = rest;
    }
    (elements, true)
}

fn put_element(out: &mut Vec<u8>, element: &[u8]) {
    let len = u16::try_from(element.len()).unwrap_or(u16::MAX);
    out.extend(len.to_be_bytes());
    out.extend(element.iter().take(usize::from(len)));
}
