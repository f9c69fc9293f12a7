//! A TFTP client that does what RFC 1350, 2347, 2348, 2349 and 7440 say, and nothing else.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use slipway_wire::tftp::{Mode, OptionKind, Packet, RawOption, Request};

pub struct Client {
    socket: UdpSocket,
    server: SocketAddr,
    /// Where answers come from, once one has come.
    peer: Option<SocketAddr>,
    buffer: Vec<u8>,
    /// How long the last answer is, in the buffer.
    len: usize,
}

/// A file, and the options that were granted.
#[derive(Debug)]
pub struct Got {
    pub bytes: Vec<u8>,
    pub options: Vec<OptionKind>,
}

#[derive(Debug, Eq, PartialEq)]
pub enum Failed {
    /// An ERROR with this code.
    Refused(u16),
    Silence,
    Unexpected(Vec<u8>),
}

impl Got {
    pub fn option(&self, name: &str) -> Option<u64> {
        self.options.iter().find(|option| option.name() == name).map(|option| option.to_string().parse().unwrap())
    }
}

/// Bytes that differ from block to block.
pub fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

impl Client {
    pub fn towards(server: SocketAddr) -> Self {
        Self::from(server.ip(), server)
    }

    pub fn from(ip: IpAddr, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { socket, server, peer: None, buffer: vec![0; 65536], len: 0 }
    }

    pub fn be_patient_for(&mut self, patience: Duration) {
        self.socket.set_read_timeout(Some(patience)).unwrap();
    }

    /// Where the last answer came from.
    pub fn peer(&self) -> SocketAddr {
        self.peer.unwrap()
    }

    /// Sends a request to the server, anything else to where answers come from.
    pub fn send(&self, packet: &[u8]) {
        let is_request = matches!(packet, [0, 1 | 2, ..]);
        let to = self.peer.filter(|_| !is_request).unwrap_or(self.server);
        self.socket.send_to(packet, to).unwrap();
    }

    /// The next answer; none within the client's patience.
    pub fn hear(&mut self) -> Option<Vec<u8>> {
        self.receive().ok().map(|()| self.buffer[..self.len].to_vec())
    }

    fn receive(&mut self) -> Result<(), Failed> {
        let (len, from) = self.socket.recv_from(&mut self.buffer).map_err(|_| Failed::Silence)?;
        self.peer = Some(from);
        self.len = len;
        Ok(())
    }

    /// Sends a request that must be refused.
    pub fn ask(&mut self, request: &[u8]) -> Failed {
        self.send(request);
        match self.hear() {
            Some(answer) => refused(&answer),
            None => Failed::Silence,
        }
    }

    pub fn get(&mut self, file: &str, options: &[(&str, usize)]) -> Result<Got, Failed> {
        let values: Vec<String> = options.iter().map(|(_, value)| value.to_string()).collect();
        let raw = options.iter().zip(&values);
        let options = raw.map(|((name, _), value)| RawOption { name: name.as_bytes(), value: value.as_bytes() });
        let request = Request { file: file.as_bytes(), mode: Mode::Octet, options: options.collect() };
        let mut packet = Vec::new();
        Packet::Rrq(request).encode(&mut packet);
        self.peer = None;
        self.send(&packet);
        self.receive()?;
        self.finish()
    }

    /// Takes the file, from the answer on that was heard last.
    pub fn finish(&mut self) -> Result<Got, Failed> {
        let mut got = Got { bytes: Vec::new(), options: Vec::new() };
        if let Ok(oack @ Packet::Oack(_)) = Packet::decode(&self.buffer[..self.len]) {
            got.options = oack.granted();
            self.ack(0);
            self.receive()?;
        }
        let mut next = 1_u16;
        let blksize = got.option("blksize").unwrap_or(512) as usize;
        let window = got.option("windowsize").unwrap_or(1);
        let mut unacknowledged = 0;
        loop {
            let packet = &self.buffer[..self.len];
            let Ok(Packet::Data { block, data }) = Packet::decode(packet) else { return Err(refused(packet)) };
            if block == next {
                got.bytes.extend_from_slice(data);
                unacknowledged += 1;
                next = next.wrapping_add(1);
            }
            let last = block.wrapping_add(1) == next && data.len() < blksize;
            if last || unacknowledged == window || block.wrapping_add(1) != next {
                self.ack(next.wrapping_sub(1));
                unacknowledged = 0;
            }
            if last {
                return Ok(got);
            }
            self.receive()?;
        }
    }

    fn ack(&self, block: u16) {
        let [high, low] = block.to_be_bytes();
        self.send(&[0, 4, high, low]);
    }
}

fn refused(answer: &[u8]) -> Failed {
    match Packet::decode(answer) {
        Ok(Packet::Error { code, .. }) => Failed::Refused(code.0),
        _ => Failed::Unexpected(answer.to_vec()),
    }
}
