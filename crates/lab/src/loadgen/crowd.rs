//! Clients that come, renew, reboot, leave, or vanish without a word.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use slipway_wire::MacAddr;
use slipway_wire::dhcp4::{Message, MessageType, OptionCode};

use super::ledger::{Instead, Ledger};
use super::{Plan, Random, Report};

/// How long a client waits for its first answer; twice as long each time it asks again.
const PATIENCE: Duration = Duration::from_millis(150);
/// How often it asks again.
const AGAIN: u32 = 4;
/// The most that one read waits.
const TICK: Duration = Duration::from_millis(2);
const BUFFER: usize = 4 << 20;

/// The clients and all they were promised. They outlive the server's restarts.
#[derive(Debug)]
pub struct Crowd {
    plan: Plan,
    socket: UdpSocket,
    random: Random,
    clients: Vec<Client>,
    by_xid: HashMap<u32, usize>,
    due: BinaryHeap<Reverse<(Instant, usize, u32)>>,
    ledger: Ledger,
    report: Report,
    /// Whether clients only confirm what they have and then rest.
    confirming: bool,
    /// Machines there have ever been: what their addresses are made from.
    born: u32,
}

#[derive(Debug)]
struct Client {
    mac: MacAddr,
    xid: u32,
    doing: Doing,
    /// Counts what it did: an alarm of before is void.
    step: u32,
    tries: u32,
    /// When it began what it is doing, and when it sent its last message.
    began: Instant,
    sent: Instant,
    lease: Option<(Ipv4Addr, Instant)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Doing {
    Rest,
    Discover,
    Select { ip: Ipv4Addr, server: Ipv4Addr },
    Renew { ip: Ipv4Addr },
    Reboot { ip: Ipv4Addr },
}

impl Crowd {
    /// A crowd of clients without addresses, on the network of this thread.
    ///
    /// # Errors
    /// The relay's socket cannot be had.
    pub fn new(plan: &Plan) -> Result<Self> {
        let address = SocketAddrV4::new(plan.relay, 67);
        let socket = UdpSocket::bind(address).with_context(|| format!("cannot be a relay at {address}"))?;
        socket.set_read_timeout(Some(TICK))?;
        // As much as the system allows.
        let _ = set_socket_recv_buffer_size(&socket, BUFFER);
        let mut crowd = Self {
            plan: plan.clone(),
            socket,
            random: Random::new(plan.seed),
            clients: Vec::new(),
            by_xid: HashMap::new(),
            due: BinaryHeap::new(),
            ledger: Ledger::default(),
            report: Report::default(),
            confirming: false,
            born: 0,
        };
        for place in 0..plan.clients {
            let client = crowd.newcomer();
            crowd.clients.push(client);
            crowd.rest(place);
        }
        Ok(crowd)
    }

    /// What the crowd saw until now.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = Report { faults: self.ledger.faults.clone(), ..self.report.clone() };
        report.latencies.sort_unstable();
        report
    }

    /// Goes about its business for so long.
    ///
    /// # Errors
    /// The socket fails.
    pub fn act_for(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        self.act_until(|_| Instant::now() >= end)
    }

    /// Goes about its business until this says so.
    ///
    /// # Errors
    /// The socket fails.
    pub fn act_until(&mut self, mut done: impl FnMut(&Report) -> bool) -> Result<()> {
        self.wake_all();
        let started = Instant::now();
        while !done(&self.report) {
            self.turn()?;
        }
        self.report.time += started.elapsed();
        Ok(())
    }

    /// Reads what is still on its way: a server that was killed had sent it before.
    ///
    /// # Errors
    /// The socket fails.
    pub fn drain(&mut self) -> Result<()> {
        while self.receive()? {}
        Ok(())
    }

    /// Has every client that has a lease confirm it, and insists on an answer. The server must be there.
    ///
    /// # Errors
    /// The socket fails.
    pub fn confirm(&mut self) -> Result<()> {
        self.confirming = true;
        let now = Instant::now();
        for place in 0..self.clients.len() {
            let renew = self.clients.get(place).and_then(|client| client.valid(now)).map(|ip| Doing::Renew { ip });
            self.begin(place, renew.unwrap_or(Doing::Rest))?;
        }
        while self.clients.iter().any(|client| client.doing != Doing::Rest) {
            self.turn()?;
        }
        self.confirming = false;
        Ok(())
    }

    /// Whoever rests gets up at some time of its own.
    fn wake_all(&mut self) {
        for place in 0..self.clients.len() {
            if self.clients.get(place).is_some_and(|client| client.doing == Doing::Rest) {
                self.rest(place);
            }
        }
    }

    /// Lets clients act whose time has come, then hears what comes in.
    fn turn(&mut self) -> Result<()> {
        let now = Instant::now();
        while let Some(&Reverse((at, place, step))) = self.due.peek() {
            if at > now {
                break;
            }
            self.due.pop();
            if self.clients.get(place).is_some_and(|client| client.step == step) {
                self.alarm(place, now)?;
            }
        }
        while self.receive()? {
            if self.due.peek().is_some_and(|Reverse((at, ..))| *at <= Instant::now()) {
                break;
            }
        }
        Ok(())
    }

    /// Hears one message, waiting at most a tick; whether there was one.
    fn receive(&mut self) -> Result<bool> {
        let mut bytes = [0; 1500];
        let len = match self.socket.recv(&mut bytes) {
            Ok(len) => len,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) =>
            {
                return Ok(false);
            }
            Err(error) => return Err(error).context("the relay's socket"),
        };
        if let Ok(message) = Message::decode(bytes.get(..len).unwrap_or_default()) {
            self.hear(&message)?;
        }
        Ok(true)
    }

    fn hear(&mut self, message: &Message) -> Result<()> {
        let Some(&place) = self.by_xid.get(&message.xid) else { return Ok(()) };
        let Some(client) = self.clients.get(place).filter(|client| Some(client.mac) == message.mac()) else {
            return Ok(());
        };
        let (mac, doing, now, ip) = (client.mac, client.doing, Instant::now(), message.yiaddr);
        match (message.options.message_type(), doing) {
            (Some(MessageType::OFFER), Doing::Discover) => {
                if let Some(mine) = client.valid(now).filter(|mine| *mine != ip) {
                    self.ledger.forgotten(mine, mac, Instead::Address(ip), now);
                }
                let server = message.options.server_id().unwrap_or(Ipv4Addr::UNSPECIFIED);
                self.go_on(place, Doing::Select { ip, server })
            }
            (Some(MessageType::ACK), Doing::Select { .. } | Doing::Renew { .. } | Doing::Reboot { .. }) => {
                if let Doing::Renew { ip: mine } | Doing::Reboot { ip: mine } = doing
                    && mine != ip
                {
                    self.ledger.forgotten(mine, mac, Instead::Address(ip), now);
                }
                self.acknowledged(place, message);
                Ok(())
            }
            (Some(MessageType::NAK), Doing::Select { .. } | Doing::Renew { .. } | Doing::Reboot { .. }) => {
                self.report.naks += 1;
                if let Doing::Renew { ip } | Doing::Reboot { ip } = doing {
                    self.ledger.forgotten(ip, mac, Instead::Nak, now);
                }
                self.lose(place);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn acknowledged(&mut self, place: usize, message: &Message) {
        let Some(client) = self.clients.get_mut(place) else { return };
        let (ip, now) = (message.yiaddr, Instant::now());
        // rfc2131#4.4.1: a lease counts from when the client asked for it.
        let seconds = message.options.lease_time().unwrap_or_default();
        let until = client.sent + Duration::from_secs(seconds.into());
        if matches!(client.doing, Doing::Select { .. }) {
            self.report.leases += 1;
            self.report.latencies.push(client.began.elapsed());
        } else {
            self.report.renewals += 1;
        }
        client.lease = Some((ip, until));
        self.ledger.acknowledged(ip, client.mac, until, now);
        self.rest(place);
    }

    /// What a client does when its time has come: something new, or the same again for want of an answer.
    fn alarm(&mut self, place: usize, now: Instant) -> Result<()> {
        let Some(client) = self.clients.get_mut(place) else { return Ok(()) };
        if client.doing == Doing::Rest {
            let next = if self.confirming { Doing::Rest } else { self.choose(place, now)? };
            return self.begin(place, next);
        }
        self.report.unanswered += 1;
        if client.tries < AGAIN {
            return self.send(place);
        }
        if let (true, Doing::Renew { ip }) = (self.confirming, client.doing) {
            self.ledger.forgotten(ip, client.mac, Instead::Silence, now);
        }
        self.rest(place);
        Ok(())
    }

    fn choose(&mut self, place: usize, now: Instant) -> Result<Doing> {
        let Some(client) = self.clients.get(place) else { return Ok(Doing::Rest) };
        let Some(ip) = client.valid(now) else { return Ok(Doing::Discover) };
        Ok(match self.random.below(100) {
            0..50 => Doing::Renew { ip },
            50..70 => Doing::Reboot { ip },
            70..80 => Doing::Discover,
            80..97 => {
                self.release(place, ip)?;
                Doing::Discover
            }
            // It vanishes with its lease, and another machine comes.
            _ => {
                let newcomer = self.newcomer();
                if let Some(client) = self.clients.get_mut(place) {
                    *client = Client { step: client.step, ..newcomer };
                }
                Doing::Discover
            }
        })
    }

    fn release(&mut self, place: usize, ip: Ipv4Addr) -> Result<()> {
        let xid = self.random.xid();
        let Some(client) = self.clients.get_mut(place) else { return Ok(()) };
        client.lease = None;
        self.ledger.left(ip, client.mac);
        self.report.releases += 1;
        let mut message = Message { ciaddr: ip, giaddr: self.plan.relay, hops: 1, ..Message::request(xid, client.mac) };
        message.options.set_message_type(MessageType::RELEASE).set_ip(OptionCode::SERVER_ID, *self.plan.server.ip());
        self.post(&message)
    }

    fn lose(&mut self, place: usize) {
        if let Some(client) = self.clients.get_mut(place) {
            client.lease = None;
        }
        self.rest(place);
    }

    /// Begins an exchange.
    fn begin(&mut self, place: usize, doing: Doing) -> Result<()> {
        if let Some(client) = self.clients.get_mut(place) {
            client.began = Instant::now();
        }
        self.go_on(place, doing)
    }

    /// Goes on to another message.
    fn go_on(&mut self, place: usize, doing: Doing) -> Result<()> {
        let xid = self.random.xid();
        let Some(client) = self.clients.get_mut(place) else { return Ok(()) };
        client.step = client.step.wrapping_add(1);
        client.doing = doing;
        client.tries = 0;
        if doing == Doing::Rest {
            return Ok(());
        }
        self.by_xid.remove(&client.xid);
        client.xid = xid;
        self.by_xid.insert(xid, place);
        self.send(place)
    }

    /// Rests for a while of its own.
    fn rest(&mut self, place: usize) {
        let at = Instant::now() + self.random.part_of(self.plan.idle);
        let Some(client) = self.clients.get_mut(place) else { return };
        client.step = client.step.wrapping_add(1);
        client.doing = Doing::Rest;
        if !self.confirming {
            self.due.push(Reverse((at, place, client.step)));
        }
    }

    /// Says what it does, and waits for an answer.
    fn send(&mut self, place: usize) -> Result<()> {
        let Some(client) = self.clients.get_mut(place) else { return Ok(()) };
        let mut message = Message { giaddr: self.plan.relay, hops: 1, ..Message::request(client.xid, client.mac) };
        message.options.set_message_type(MessageType::REQUEST);
        match client.doing {
            Doing::Rest => return Ok(()),
            Doing::Discover => _ = message.options.set_message_type(MessageType::DISCOVER),
            Doing::Select { ip, server } => {
                message.options.set_ip(OptionCode::REQUESTED_IP, ip).set_ip(OptionCode::SERVER_ID, server);
            }
            Doing::Renew { ip } => message.ciaddr = ip,
            Doing::Reboot { ip } => _ = message.options.set_ip(OptionCode::REQUESTED_IP, ip),
        }
        // A server may count the lease from any of the requests; the client counts from the first, to be safe.
        if client.tries == 0 {
            client.sent = Instant::now();
        }
        let patience = PATIENCE * 2_u32.pow(client.tries.min(AGAIN));
        client.tries += 1;
        client.step = client.step.wrapping_add(1);
        self.due.push(Reverse((Instant::now() + patience, place, client.step)));
        self.post(&message)
    }

    fn post(&self, message: &Message) -> Result<()> {
        let bytes = message.encode(1472).context("a request of ours")?;
        match self.socket.send_to(&bytes, self.plan.server) {
            // A server that is not there refuses, sooner or later.
            Ok(_) => Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::WouldBlock) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot send to {}", self.plan.server)),
        }
    }

    fn newcomer(&mut self) -> Client {
        self.born += 1;
        let [a, b, c, d] = self.born.to_be_bytes();
        let now = Instant::now();
        Client {
            mac: MacAddr([0x02, 0x10, a, b, c, d]),
            xid: 0,
            doing: Doing::Rest,
            step: 0,
            tries: 0,
            began: now,
            sent: now,
            lease: None,
        }
    }
}

impl Client {
    /// The address that it leases, for some time yet: what is about to expire is nobody's to insist on.
    fn valid(&self, now: Instant) -> Option<Ipv4Addr> {
        self.lease.filter(|(_, until)| *until > now + Duration::from_secs(5)).map(|(ip, _)| ip)
    }
}
