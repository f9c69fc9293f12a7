//! The story that packets tell: who asked for what, who answered, what was loaded. Pure: packets in, values and lines out.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use slipway_wire::MacAddr;
use slipway_wire::dhcp4::{Message, MessageType, OptionCode};
use slipway_wire::tftp::{OptionKind, Packet as Tftp};

use crate::capture::looks_like_http;
use crate::pcap::{Packet, Payload};

/// What happened on a LAN, in the order it happened.
#[derive(Clone, Debug, Default)]
pub struct Story {
    start: Option<SystemTime>,
    dhcp: Vec<Dhcp>,
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
        self.transfers.retain(|transfer| transfer.mac == mac);
        self.requests.retain(|request| request.mac == mac);
        self
    }

    /// The DHCP messages.
    #[must_use]
    pub fn dhcp(&self) -> &[Dhcp] {
        &self.dhcp
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

    /// When the first DISCOVER passed.
    #[must_use]
    pub fn first_discover(&self) -> Option<SystemTime> {
        self.of_type(MessageType::DISCOVER).map(|dhcp| dhcp.at).next()
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

    /// The story as lines, one for each DHCP message, transfer and request, with the seconds since the capture's first packet.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<(SystemTime, String)> = Vec::new();
        lines.extend(self.dhcp.iter().map(|dhcp| (dhcp.at, dhcp.line())));
        lines.extend(self.transfers.iter().map(|transfer| (transfer.at, transfer.line())));
        lines.extend(self.requests.iter().map(|request| (request.at, request.line())));
        lines.sort_by_key(|(at, _)| *at);
        let start = self.start.unwrap_or(SystemTime::UNIX_EPOCH);
        let since = |at: SystemTime| at.duration_since(start).unwrap_or_default().as_secs_f64();
        lines.into_iter().map(|(at, line)| format!("{:8.3}  {line}", since(at))).collect()
    }
}

impl Dhcp {
    /// Whether it went from or to port 4011, where boot servers answer.
    #[must_use]
    pub fn is_boot_server(&self) -> bool {
        self.from.port() == 4011 || self.to.port() == 4011
    }

    fn line(&self) -> String {
        let Message { yiaddr, siaddr, giaddr, options, .. } = &self.message;
        let kind = options.message_type().map_or_else(|| "BOOTP".to_owned(), |kind| kind.to_string());
        let who = self.message.mac().map_or_else(|| "?".to_owned(), |mac| mac.to_string());
        let mut line = format!("{kind:8} {who} {} > {}", self.from, self.to);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        for (name, address) in [("yiaddr", yiaddr), ("siaddr", siaddr), ("giaddr", giaddr)] {
            if *address != Ipv4Addr::UNSPECIFIED {
                line += &format!(" {name}={address}");
            }
        }
        if let Some(server) = options.server_id() {
            line += &format!(" server={server}");
        }
        for arch in options.client_archs() {
            line += &format!(" arch={}", arch.0);
        }
        if let Some(class) = options.vendor_class() {
            line += &format!(" class={}", text(class));
        }
        for class in options.user_classes() {
            line += &format!(" user-class={}", text(class));
        }
        if !self.message.file_name().is_empty() {
            line += &format!(" file={}", text(self.message.file_name()));
        }
        if let Some(file) = options.boot_file().filter(|file| *file != self.message.file_name()) {
            line += &format!(" 67={}", text(file));
        }
        for (name, code) in [("43", OptionCode(43)), ("175", OptionCode(175))] {
            if let Some(value) = options.get(code) {
                line += &format!(" {name}={} bytes", value.len());
            }
        }
        line
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

    fn line(&self) -> String {
        let mut line = format!("TFTP     {} {} RRQ {}", self.mac, self.client, self.file);
        for option in &self.asked {
            line += &format!(" {option}");
        }
        let granted: Vec<String> = self.granted.iter().map(|option| format!("{}={option}", option.name())).collect();
        if !granted.is_empty() {
            line += &format!(" | OACK {}", granted.join(" "));
        }
        if self.bytes > 0 {
            let took = self.end.duration_since(self.at).unwrap_or_default().as_secs_f64();
            line += &format!(" | {} bytes in {took:.3} s, {} blocks at once", self.bytes, self.widest);
        }
        if let Some((from, code, text)) = &self.error {
            line += &format!(" | ERROR {code} {text:?} from {}", from.ip());
        }
        line
    }
}

impl Request {
    fn line(&self) -> String {
        let Self { mac, client, method, target, bytes, .. } = self;
        let took = self.end.duration_since(self.at).unwrap_or_default().as_secs_f64();
        let status = self.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        format!("HTTP     {mac} {client} {method} {target} | {status}, {bytes} bytes in {took:.3} s")
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

fn is_dhcp(packet: &Packet) -> bool {
    [packet.from.port(), packet.to.port()].iter().any(|port| matches!(port, 67 | 68 | 4011))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcap::tests::udp;
    use slipway_wire::dhcp4::Message;
    use std::time::Duration;

    const CLIENT: &str = "10.77.0.100:1580";
    const SERVER: &str = "10.77.0.1:69";
    const TRANSFER: &str = "10.77.0.1:40000";

    /// Packets a second apart, from the sender, port and content of each.
    fn story(packets: &[(&str, &str, Vec<u8>)]) -> Story {
        let packet = |(number, (from, to, data)): (usize, &(&str, &str, Vec<u8>))| {
            let mut frame = udp(from, to, data);
            frame.at += Duration::from_secs(u64::try_from(number).unwrap());
            frame.packet().unwrap()
        };
        Story::of(&packets.iter().enumerate().map(packet).collect::<Vec<_>>())
    }

    fn rrq(options: &[u8]) -> Vec<u8> {
        [b"\0\x01linux.efi\0octet\0", options].concat()
    }

    fn data(block: u8, len: usize) -> Vec<u8> {
        [&[0, 3, 0, block][..], &vec![0; len]].concat()
    }

    fn ack(block: u8) -> Vec<u8> {
        vec![0, 4, 0, block]
    }

    fn windowed_transfer() -> Story {
        story(&[
            (CLIENT, SERVER, rrq(b"blksize\x008\0windowsize\x002\0")),
            (TRANSFER, CLIENT, b"\0\x06blksize\x008\0windowsize\x002\0".to_vec()),
            (CLIENT, TRANSFER, ack(0)),
            // Two blocks in one train.
            (TRANSFER, CLIENT, [data(1, 8), data(2, 8)].concat()),
            (CLIENT, TRANSFER, ack(2)),
            (TRANSFER, CLIENT, data(3, 5)),
            (CLIENT, TRANSFER, ack(3)),
        ])
    }

    #[test]
    fn a_transfer_is_one_value_from_its_request_to_its_last_ack() {
        let story = windowed_transfer();
        let [transfer] = story.transfers() else { panic!("one transfer: {:?}", story.transfers()) };
        assert_eq!((transfer.file.as_str(), transfer.bytes, transfer.widest), ("linux.efi", 21, 2));
        assert_eq!(transfer.granted, [OptionKind::BlockSize(8), OptionKind::WindowSize(2)]);
        assert_eq!(transfer.end.duration_since(transfer.at).unwrap(), Duration::from_secs(6));
        assert_eq!(story.boot_file_loaded(), Some(transfer.end));
        assert_eq!(story.loaded(".efi").count(), 1);
        assert_eq!(story.loaded(".iso").count(), 0);
    }

    #[test]
    fn a_size_probe_is_a_transfer_without_content_and_with_an_error() {
        let story = story(&[
            (CLIENT, SERVER, rrq(b"tsize\x000\0")),
            (TRANSFER, CLIENT, b"\0\x06tsize\x0021\0".to_vec()),
            (CLIENT, TRANSFER, b"\0\x05\0\x08User aborted the transfer\0".to_vec()),
        ]);
        let [probe] = story.transfers() else { panic!("one transfer") };
        assert_eq!((probe.bytes, probe.error.as_ref().map(|(_, code, _)| *code)), (0, Some(8)));
        assert_eq!(story.boot_file_loaded(), None);
    }

    #[test]
    fn the_lines_tell_a_boot_in_order() {
        let mac = "52:54:00:77:00:01".parse().unwrap();
        let mut discover = Message::request(7, mac);
        discover.options.set_message_type(MessageType::DISCOVER);
        discover.options.set(OptionCode(60), b"PXEClient:Arch:00007".to_vec());
        discover.options.set(OptionCode(93), vec![0, 7]);
        let mut offer = Message::reply_to(&discover);
        offer.options.set_message_type(MessageType::OFFER);
        offer.yiaddr = "10.77.0.100".parse().unwrap();
        offer.set_file_name(b"linux.efi");
        let story = story(&[
            ("0.0.0.0:68", "255.255.255.255:67", discover.encode(1472).unwrap()),
            ("10.77.0.1:67", "255.255.255.255:68", offer.encode(1472).unwrap()),
            (CLIENT, SERVER, rrq(b"")),
            (SERVER, CLIENT, b"\0\x05\0\x01no such file\0".to_vec()),
        ]);
        insta::assert_snapshot!(format!("\n{}\n", story.lines().join("\n")), @r#"
           0.000  DISCOVER 52:54:00:77:00:01 0.0.0.0:68 > 255.255.255.255:67 arch=7 class=PXEClient:Arch:00007
           1.000  OFFER    52:54:00:77:00:01 10.77.0.1:67 > 255.255.255.255:68 yiaddr=10.77.0.100 file=linux.efi
           2.000  TFTP     52:54:00:01:02:03 10.77.0.100:1580 RRQ linux.efi | ERROR 1 "no such file" from 10.77.0.1
        "#);
        assert_eq!(story.of_machine(mac).dhcp().len(), 2);
    }

    #[test]
    fn an_http_answer_belongs_to_its_request() {
        let tcp = |from: &str, to: &str, data: &[u8], len: usize| Packet {
            at: SystemTime::UNIX_EPOCH,
            source: MacAddr([0; 6]),
            destination: MacAddr([0; 6]),
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            payload: Payload::Tcp { data: data.to_vec(), len, flags: 16 },
        };
        let (client, server) = ("10.77.0.100:1000", "10.77.0.1:8067");
        let story = Story::of(&[
            tcp(client, server, b"", 0),
            tcp(client, server, b"HEAD /image/a.efi HTTP/1.1\r\n", 28),
            tcp(server, client, b"HTTP/1.1 200 OK\r\n", 60),
            tcp(client, server, b"GET /image/a.efi?x=1 HTTP/1.1\r\n", 31),
            tcp(server, client, b"HTTP/1.1 206 Partial Content\r\nContent-Length: 1000\r\n\r\n", 54),
            tcp(server, client, b"", 1000),
            tcp(server, client, b"", 200),
        ]);
        let seen: Vec<_> =
            story.requests().iter().map(|r| (r.method.as_str(), r.target.as_str(), r.status, r.bytes)).collect();
        assert_eq!(seen, [("HEAD", "/image/a.efi", Some(200), 60), ("GET", "/image/a.efi?x=1", Some(206), 1054)]);
    }
}
