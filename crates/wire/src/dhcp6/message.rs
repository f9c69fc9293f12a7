//! Messages and the relays' envelopes around them, to bytes and back.

use core::net::Ipv6Addr;

use super::options::Options;
use super::{MessageType, OptionCode};
use crate::{DecodeError, Fault, Field};

/// Relays that a message may have passed: RFC 8415 §7.6, `HOP_COUNT_LIMIT`.
pub const RELAYS_MAX: usize = 8;
/// The highest transaction id: it has three bytes.
const XID_MAX: u32 = 0x00ff_ffff;

/// A message between a client and a server (RFC 8415 §8).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// What is said.
    pub kind: MessageType,
    /// Transaction, chosen by the client: 24 bits.
    pub xid: u32,
    /// The options.
    pub options: Options,
    /// What was wrong with the bytes this was read from, and tolerated. Ignored by [`Message::encode`].
    pub faults: Vec<DecodeError>,
}

/// A relay's envelope (RFC 8415 §9).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Relay {
    /// [`MessageType::RELAY_FORWARD`] or [`MessageType::RELAY_REPLY`].
    pub kind: MessageType,
    /// Relays passed before this one.
    pub hops: u8,
    /// An address on the link that it heard the client (or the relay before it) on; unspecified where it has none.
    pub link: Ipv6Addr,
    /// Whom it heard.
    pub peer: Ipv6Addr,
    /// Its options, without the relayed message.
    pub options: Options,
}

/// What travels in one datagram.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packet {
    /// The envelopes, the outermost first: the last is that of the relay next to the client.
    pub relays: Vec<Relay>,
    /// The message inside.
    pub message: Message,
}

impl Message {
    /// A message without options.
    #[must_use]
    pub const fn new(kind: MessageType, xid: u32) -> Self {
        Self { kind, xid: xid & XID_MAX, options: Options::new(), faults: Vec::new() }
    }

    /// Reads a message that is in no envelope. Refused is only what has no header; a truncated last option is left out, and
    /// named in `faults`.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let short = DecodeError::new(Field::Header, bytes.len(), Fault::Truncated);
        let ([kind, a, b, c], area) = bytes.split_first_chunk::<4>().ok_or(short)?;
        let kind = MessageType(*kind);
        if kind.is_relay() {
            return Err(DecodeError::new(Field::Header, 0, Fault::Value));
        }
        let (options, fault) = Options::read(area, 4);
        let faults = fault.into_iter().chain(options.length_faults()).collect();
        Ok(Self { kind, xid: u32::from_be_bytes([0, *a, *b, *c]), options, faults })
    }

    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let [_, a, b, c] = self.xid.to_be_bytes();
        let mut out = vec![self.kind.0, a, b, c];
        self.options.put(&mut out);
        out
    }
}

impl Packet {
    /// A message from or to a client on our own link.
    #[must_use]
    pub const fn direct(message: Message) -> Self {
        Self { relays: Vec::new(), message }
    }

    /// Reads a UDP payload, through at most [`RELAYS_MAX`] envelopes. Refused is what has no header or an envelope without content.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut relays = Vec::new();
        let mut inner = bytes.to_vec();
        while inner.first().is_some_and(|kind| MessageType(*kind).is_relay()) {
            if relays.len() >= RELAYS_MAX {
                return Err(DecodeError::new(Field::Hops, 1, Fault::Value));
            }
            let (relay, content) = Relay::decode(&inner)?;
            relays.push(relay);
            inner = content;
        }
        Ok(Self { relays, message: Message::decode(&inner)? })
    }

    /// The packet as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let message = self.message.encode();
        self.relays.iter().rev().fold(message, |inner, relay| relay.encode(inner))
    }

    /// The reply to this packet: the message in envelopes that lead it back the way that the request came. Each repeats hop count and
    /// addresses of the one it answers, and its interface id (RFC 8415 §19.3).
    #[must_use]
    pub fn reply(&self, message: Message) -> Self {
        let relays = self.relays.iter().map(Relay::reply).collect();
        Self { relays, message }
    }
}

impl Relay {
    /// Reads an envelope, and the bytes of what it contains.
    fn decode(bytes: &[u8]) -> Result<(Self, Vec<u8>), DecodeError> {
        let short = DecodeError::new(Field::Header, bytes.len(), Fault::Truncated);
        let ([kind, hops], rest) = bytes.split_first_chunk::<2>().ok_or(short)?;
        let (link, rest) = rest.split_first_chunk::<16>().ok_or(short)?;
        let (peer, area) = rest.split_first_chunk::<16>().ok_or(short)?;
        let all = Options::decode(area, 34)?;
        let content = all.get(OptionCode::RELAY_MESSAGE).map(<[u8]>::to_vec);
        let absent = DecodeError::new(Field::Option6(OptionCode::RELAY_MESSAGE.0), 34, Fault::Truncated);
        let relay = Self {
            kind: MessageType(*kind),
            hops: *hops,
            link: Ipv6Addr::from(*link),
            peer: Ipv6Addr::from(*peer),
            options: all.without(OptionCode::RELAY_MESSAGE),
        };
        Ok((relay, content.ok_or(absent)?))
    }

    fn encode(&self, content: Vec<u8>) -> Vec<u8> {
        let mut out = vec![self.kind.0, self.hops];
        out.extend(self.link.octets());
        out.extend(self.peer.octets());
        self.options.put(&mut out);
        let mut relayed = Options::new();
        relayed.push(OptionCode::RELAY_MESSAGE, content).put(&mut out);
        out
    }

    fn reply(&self) -> Self {
        let mut options = Options::new();
        // rfc8357#5.3: a relay that told its port is told that we understood.
        for code in [OptionCode::INTERFACE_ID, OptionCode::RELAY_PORT] {
            if let Some(value) = self.options.get(code) {
                options.push(code, value);
            }
        }
        Self { kind: MessageType::RELAY_REPLY, hops: self.hops, link: self.link, peer: self.peer, options }
    }
}

impl Options {
    fn without(mut self, code: OptionCode) -> Self {
        self.retain(|have| have != code);
        self
    }

    /// Names the options whose length their meaning forbids. They stay as they are; their typed readers say None.
    fn length_faults(&self) -> Vec<DecodeError> {
        let wrong = |code: OptionCode, len: usize| match code {
            OptionCode::CLIENT_ID | OptionCode::SERVER_ID => !(3..=130).contains(&len),
            OptionCode::IA_NA => len < 12,
            OptionCode::IA_TA => len < 4,
            OptionCode::PREFERENCE => len != 1,
            OptionCode::ELAPSED_TIME => len != 2,
            OptionCode::OPTION_REQUEST | OptionCode::CLIENT_ARCH => !len.is_multiple_of(2),
            OptionCode::CLIENT_NII => len != 3,
            OptionCode::DNS => !len.is_multiple_of(16),
            OptionCode::STATUS => len < 2,
            OptionCode::VENDOR_CLASS => len < 4,
            _ => false,
        };
        let mut at: usize = 4;
        let mut faults = Vec::new();
        for (code, value) in self.iter() {
            if wrong(code, value.len()) {
                faults.push(DecodeError::new(Field::Option6(code.0), at, Fault::Length));
            }
            at = at.saturating_add(4).saturating_add(value.len());
        }
        faults
    }
}
