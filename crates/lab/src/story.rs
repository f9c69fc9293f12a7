//! The story that packets tell: who asked for what, who answered, what was loaded. Pure: packets in, values and lines out.

mod lines;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::SystemTime;

use slipway_wire::MacAddr;
use slipway_wire::dhcp4::{Message, MessageType};
use slipway_wire::dhcp6;
use slipway_wire::tftp::{OptionKind, Packet as Tftp};

use crate::capture::looks_like_http;
use crate::pcap::{Packet, Payload};

/// What happened on a LAN, in the order it happened.
#[derive(Clone, Debug, Default)]
pub struct Story {
    start: Option<SystemTime>,
    dhcp: Vec<Dhcp>,
    dhcp6: Vec<Dhcp6>,
    transfers: Vec<Transfer>,
    requests: Vec<Request>,
}

/// A DHCP message that passed.
#[derive(Clone, Debug)]
pub struct Dhcp {
    /// When.
    pub at: SystemTime,
    /// The sender's address and port.
    pub from: SocketAddr,
    /// The receiver's address and port.
    pub to: SocketAddr,
    /// What was said.
    pub message: Message,
}

/// A DHCPv6 packet that passed.
#[derive(Clone, Debug)]
pub struct Dhcp6 {
    /// When.
    pub at: SystemTime,
    /// The sender's address and port.
    pub from: SocketAddr,
    /// The receiver's address and port.
    pub to: SocketAddr,
    /// The cards that it went from and to.
    pub macs: [MacAddr; 2],
    /// What was said.
    pub packet: dhcp6::Packet,
}

/// A TFTP transfer, from its request on.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// When it was asked for.
    pub at: SystemTime,
    /// When its last packet passed.
    pub end: SystemTime,
    /// The client's address and port.
    pub client: SocketAddr,
    /// The server's address.
    pub server: SocketAddr,
    /// The client's hardware address, or that of the router before it.
    pub mac: MacAddr,
    /// The file's name as it was asked for.
    pub file: String,
    /// The options asked for, in order, as `name=value`.
    pub asked: Vec<String>,
    /// The options that were granted, by an OACK.
    pub granted: Vec<OptionKind>,
    /// Bytes of content that were sent, repeats included.
    pub bytes: u64,
    /// The most DATA packets in a row without an ACK from the client.
    pub widest: usize,
    /// An ERROR packet: who sent it, its code and its text.
    pub error: Option<(SocketAddr, u16, String)>,
    run: usize,
}

/// An HTTP request and its answer.
#[derive(Clone, Debug)]
pub struct Request {
    /// When it was made.
    pub at: SystemTime,
    /// When the last byte of its answer passed, or the last that did pass.
    pub end: SystemTime,
    /// The client's address and port.
    pub client: SocketAddr,
    /// The server's.
    pub server: SocketAddr,
    /// The client's hardware address, or that of the router before it.
    pub mac: MacAddr,
    /// The method.
    pub method: String,
    /// The target: path and query.
    pub target: String,
    /// The status of the answer, when there was one.
    pub status: Option<u16>,
    /// Bytes of the answer, head included, and repeats as long as it was not whole.
    pub bytes: u64,
    /// Bytes that the answer has by its head.
    whole: u64,
}

impl Story {
    /// Reads the story in packets of one LAN, in the order they passed.
    #[must_use]
    pub fn of(packets: &[Packet]) -> Self {
        let mut story = Self { start: packets.first().map(|packet| packet.at), ..Self::default() };
        let mut open = BTreeMap::new();
        let mut connections = BTreeMap::new();
        for packet in packets {
            match &packet.payload {
                Payload::Udp { data, .. } if is_dhcp(packet) => story.on_dhcp(packet, data),
                Payload::Udp { data, .. } if is_dhcp6(packet) => story.on_dhcp6(packet, data),
                Payload::Udp { data, len } => story.on_tftp(packet, data, *len, &mut open),
                Payload::Tcp { data, len, .. } => story.on_tcp(packet, data, *len, &mut connections),
            }
        }
        story
    }

    /// Only what one machine said and was told.
    #[must_use]
    pub fn of_machine(mut self, mac: MacAddr) -> Self {
        self.dhcp.retain(|dhcp| dhcp.message.mac() == Some(mac));
        self.dhcp6.retain(|dhcp| dhcp.macs.contains(&mac));
        self.transfers.retain(|transfer| transfer.mac == mac);
        self.requests.retain(|request| request.mac == mac);
        self
    }

    /// The DHCP messages.
    #[must_use]
    pub fn dhcp(&self) -> &[Dhcp] {
        &self.dhcp
    }

    /// The DHCPv6 packets.
    #[must_use]
    pub fn dhcp6(&self) -> &[Dhcp6] {
        &self.dhcp6
    }

    /// The TFTP transfers.
    #[must_use]
    pub fn transfers(&self) -> &[Transfer] {
        &self.transfers
    }

    /// The HTTP requests.
    #[must_use]
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// DHCP messages of this type.
    pub fn of_type(&self, kind: MessageType) -> impl Iterator<Item = &Dhcp> {
        self.dhcp.iter().filter(move |dhcp| dhcp.message.options.message_type() == Some(kind))
    }

    /// The transfers of files whose name has this ending, that brought content.
    pub fn loaded<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = &'a Transfer> {
        self.transfers.iter().filter(move |transfer| transfer.bytes > 0 && transfer.file.ends_with(ending))
    }

    /// When the first DISCOVER passed, or the first SOLICIT.
    #[must_use]
    pub fn first_discover(&self) -> Option<SystemTime> {
        let discover = self.of_type(MessageType::DISCOVER).map(|dhcp| dhcp.at).next();
        let mut solicits = self.dhcp6.iter().filter(|dhcp| dhcp.packet.message.kind == dhcp6::MessageType::SOLICIT);
        discover.into_iter().chain(solicits.next().map(|dhcp| dhcp.at)).min()
    }

    /// When the last byte of the last boot file passed: reports to us are not boot files.
    #[must_use]
    pub fn boot_file_loaded(&self) -> Option<SystemTime> {
        let tftp = self.transfers.iter().filter(|transfer| transfer.bytes > 0).map(|transfer| transfer.end);
        let http = self.requests.iter().filter(|request| request.method == "GET").map(|request| request.end);
        tftp.chain(http).max()
    }

    fn on_dhcp(&mut self, packet: &Packet, data: &[u8]) {
        if let Ok(message) = Message::decode(data) {
            self.dhcp.push(Dhcp { at: packet.at, from: packet.from, to: packet.to, message });
        }
    }

    fn on_dhcp6(&mut self, packet: &Packet, data: &[u8]) {
        if let Ok(said) = dhcp6::Packet::decode(data) {
            let (from, to, macs) = (packet.from, packet.to, [packet.source, packet.destination]);
            self.dhcp6.push(Dhcp6 { at: packet.at, from, to, macs, packet: said });
        }
    }

    fn on_tftp(&mut self, packet: &Packet, data: &[u8], len: usize, open: &mut BTreeMap<SocketAddr, usize>) {
        // The client's port names a transfer: the server's may be any.
        let known = open.get(&packet.to).or_else(|| open.get(&packet.from)).copied();
        let Ok(decoded) = Tftp::decode(data) else { return };
        if let Tftp::Rrq(request) = &decoded {
            if packet.to.port() == 69 {
                open.insert(packet.from, self.transfers.len());
                self.transfers.push(Transfer::new(packet, request));
            }
            return;
        }
        let Some(transfer) = known.and_then(|number| self.transfers.get_mut(number)) else { return };
        transfer.end = packet.at;
        match decoded {
            Tftp::Data { .. } => {
                // What was sent in one train is captured before it is cut into its packets.
                let blocks = len.div_ceil(transfer.block_size() + 4);
                transfer.bytes += u64::try_from(len.saturating_sub(4 * blocks)).unwrap_or(0);
                transfer.run += blocks;
                transfer.widest = transfer.widest.max(transfer.run);
            }
            Tftp::Ack { .. } => transfer.run = 0,
            Tftp::Oack(_) => transfer.granted = decoded.granted(),
            Tftp::Error { code, text } => {
                transfer.error = Some((packet.from, code.0, String::from_utf8_lossy(text).into_owned()));
            }
            Tftp::Rrq(_) | Tftp::Wrq(_) => {}
        }
    }

    fn on_tcp(
        &mut self,
        packet: &Packet,
        data: &[u8],
        len: usize,
        open: &mut BTreeMap<(SocketAddr, SocketAddr), usize>,
    ) {
        if looks_like_http(data) && !data.starts_with(b"HTTP/1.") {
            let head = String::from_utf8_lossy(data);
            let mut words = head.lines().next().unwrap_or_default().split(' ').map(str::to_owned);
            open.insert((packet.from, packet.to), self.requests.len());
            self.requests.push(Request {
                at: packet.at,
                end: packet.at,
                client: packet.from,
                server: packet.to,
                mac: packet.source,
                method: words.next().unwrap_or_default(),
                target: words.next().unwrap_or_default(),
                status: None,
                bytes: 0,
                whole: u64::MAX,
            });
            return;
        }
        let answered = open.get(&(packet.to, packet.from)).and_then(|number| self.requests.get_mut(*number));
        let Some(request) = answered.filter(|_| len > 0) else { return };
        if request.bytes >= request.whole {
            // Repeats: a machine that starts its kernel no longer acknowledges the last bytes.
            return;
        }
        request.end = packet.at;
        request.bytes += u64::try_from(len).unwrap_or(0);
        if request.status.is_none() {
            let head = String::from_utf8_lossy(data);
            request.status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
            request.whole = answer_length(&head, &request.method);
        }
    }
}

impl Dhcp {
    /// Whether it went from or to port 4011, where boot servers answer.
    #[must_use]
    pub fn is_boot_server(&self) -> bool {
        self.from.port() == 4011 || self.to.port() == 4011
    }
}

impl Transfer {
    fn new(packet: &Packet, request: &slipway_wire::tftp::Request<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            at: packet.at,
            end: packet.at,
            client: packet.from,
            server: packet.to,
            mac: packet.source,
            file: text(request.file),
            asked: request
                .options
                .iter()
                .map(|option| format!("{}={}", text(option.name), text(option.value)))
                .collect(),
            granted: Vec::new(),
            bytes: 0,
            widest: 0,
            error: None,
            run: 0,
        }
    }

    /// Bytes of a full block: as granted, else RFC 1350's.
    fn block_size(&self) -> usize {
        let granted = self.granted.iter().find_map(|option| match option {
            OptionKind::BlockSize(size) => Some(usize::from(*size)),
            _ => None,
        });
        granted.unwrap_or(512)
    }
}

/// Bytes of a whole answer with this head.
fn answer_length(head: &str, method: &str) -> u64 {
    let Some((head, _)) = head.split_once("\r\n\r\n") else { return u64::MAX };
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<u64>().ok())?
    };
    let body = if method == "HEAD" { Some(0) } else { head.lines().find_map(header) };
    let head = u64::try_from(head.len() + 4).unwrap_or(u64::MAX);
    body.map_or(u64::MAX, |body| head.saturating_add(body))
}

fn is_dhcp6(packet: &Packet) -> bool {
    [packet.from.port(), packet.to.port()].iter().any(|port| matches!(port, 546 | 547))
}

fn is_dhcp(packet: &Packet) -> bool {
    [packet.from.port(), packet.to.port()].iter().any(|port| matches!(port, 67 | 68 | 4011))
}

#[cfg(test)]
mod tests;
