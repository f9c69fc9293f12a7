//! One interface's turn at getting an address: DHCP, and a little later DHCPv6 beside it; the first that gives one is taken.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::netdevice::name_to_index;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::{Link, packet, packet6, transaction_id};
use crate::dhcp::{self, Lease};
use crate::dhcp6;

/// How long one interface may try to get an address while others wait.
const TURN: Duration = Duration::from_secs(20);
/// How much earlier IPv4 is asked for: on a network with both, it is what everything else here is used to.
const LEAD: Duration = Duration::from_secs(1);
/// Every DHCPv6 server on the link (RFC 8415 §7.1).
const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// What a server gave.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Given {
    V4(Lease),
    V6(Ipv6Addr, Option<String>),
}

/// What one client wants next.
enum Next {
    Wait(Duration),
    Done(Given),
}

struct V4<'a> {
    link: &'a Link,
    socket: UdpSocket,
    client: dhcp::Client,
}

struct V6<'a> {
    link: &'a Link,
    socket: UdpSocket,
    servers: SocketAddrV6,
    client: dhcp6::Client,
}

/// Takes one interface's turn.
pub(super) fn take(link: &Link, report_url: Option<&str>) -> io::Result<Given> {
    let start = Instant::now();
    let mut v4 = V4::open(link, report_url)?;
    // A kernel without IPv6 has only the other.
    let mut v6 = V6::open(link).ok();
    loop {
        let now = start.elapsed();
        if now >= TURN {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no DHCP server answers"));
        }
        let mut until = TURN;
        for next in [Some(v4.next(now)), v6.as_mut().map(|v6| v6.next(now))].into_iter().flatten() {
            match next? {
                Next::Done(given) => return Ok(given),
                Next::Wait(at) => until = until.min(at),
            }
        }
        let sockets = [Some(&v4.socket), v6.as_ref().map(|v6| &v6.socket)];
        let mut polled: Vec<PollFd<'_>> =
            sockets.into_iter().flatten().map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        let wait = until.saturating_sub(now).max(Duration::from_millis(1));
        // A signal ends the wait early, and nothing else can go wrong with it.
        let _ = poll(&mut polled, Timespec::try_from(wait).ok().as_ref());
    }
}

impl<'a> V4<'a> {
    fn open(link: &'a Link, report_url: Option<&str>) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 68))?;
        SockRef::from(&socket).bind_device(Some(link.name.as_bytes()))?;
        socket.set_broadcast(true)?;
        socket.set_nonblocking(true)?;
        let client = dhcp::Client::new(Duration::ZERO, transaction_id()?, report_url.map(str::to_owned));
        Ok(Self { link, socket, client })
    }

    fn next(&mut self, now: Duration) -> io::Result<Next> {
        loop {
            match self.client.poll(now) {
                dhcp::Output::Send(say) => {
                    let packet = packet::encode(say, self.link.mac, now);
                    self.socket.send_to(&packet, (Ipv4Addr::BROADCAST, 67))?;
                }
                dhcp::Output::Wait(until) => match received(&self.socket)? {
                    None => return Ok(Next::Wait(until)),
                    Some(bytes) => {
                        if let Some(heard) = packet::decode(&bytes, self.link.mac) {
                            self.client.handle(now, &heard);
                        }
                    }
                },
                dhcp::Output::Bound(lease) => return Ok(Next::Done(Given::V4(lease))),
            }
        }
    }
}

impl<'a> V6<'a> {
    fn open(link: &'a Link) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_only_v6(true)?;
        socket.bind_device(Some(link.name.as_bytes()))?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 546, 0, 0).into())?;
        let servers = SocketAddrV6::new(ALL_SERVERS, 547, 0, name_to_index(&socket, &link.name)?);
        let client = dhcp6::Client::new(LEAD, transaction_id()?);
        Ok(Self { link, socket: socket.into(), servers, client })
    }

    fn next(&mut self, now: Duration) -> io::Result<Next> {
        loop {
            match self.client.poll(now) {
                dhcp6::Output::Send(say) => {
                    let packet = packet6::encode(&say, self.link.mac, now);
                    // Without a link-local address yet, it cannot be sent: it will be said again.
                    let _ = self.socket.send_to(&packet, self.servers);
                }
                dhcp6::Output::Wait(until) => match received(&self.socket)? {
                    None => return Ok(Next::Wait(until)),
                    Some(bytes) => {
                        if let Some(heard) = packet6::decode(&bytes, self.link.mac) {
                            self.client.handle(now, heard);
                        }
                    }
                },
                dhcp6::Output::Bound(ip, url) => return Ok(Next::Done(Given::V6(ip, url))),
            }
        }
    }
}

/// A datagram that has arrived, if one has.
fn received(socket: &UdpSocket) -> io::Result<Option<Vec<u8>>> {
    let mut buffer = vec![0_u8; 1536];
    match socket.recv(&mut buffer) {
        Ok(length) => {
            buffer.truncate(length);
            Ok(Some(buffer))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
