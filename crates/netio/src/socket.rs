//! A UDP socket as a boot server needs it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::Error;

/// Receive buffer to ask for: an unread burst of a thousand requests must fit (the default of 208 KiB holds some 760).
const BUFFER: usize = 4 << 20;

/// A full device queue may hold a sender up for so long, then the datagram counts as lost.
const SEND_TIMEOUT: Duration = Duration::from_millis(100);

/// How long [`UdpSocket::receive_soon`] waits; the kernel rounds it up to its tick.
const SOON: Duration = Duration::from_millis(2);

/// What to bind a socket to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bind {
    /// Address and port; port 0 lets the kernel choose. An IPv6 address takes IPv6 only, so that `0.0.0.0` and `[::]` can both be bound.
    pub addr: SocketAddr,
    /// Packets of this interface only (`SO_BINDTODEVICE`).
    pub device: Option<String>,
    /// Let several sockets share address and port (`SO_REUSEADDR`: for DHCP on one interface each, beside others).
    pub reuse_addr: bool,
    /// Share address and port with other sockets of ours that say the same; the kernel gives each peer to one of them
    /// (`SO_REUSEPORT`: for a worker each).
    pub reuse_port: bool,
}

impl Bind {
    /// This address, on every interface, for nobody else.
    #[must_use]
    pub const fn to(addr: SocketAddr) -> Self {
        Self { addr, device: None, reuse_addr: false, reuse_port: false }
    }
}

/// Where an answer leaves from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Source {
    /// Our address; none lets the routes choose.
    pub ip: Option<IpAddr>,
    /// Our interface's index; 0 lets the routes choose. Needed for broadcasts and link-local addresses.
    pub ifindex: u32,
}

/// A bound UDP socket that tells where packets came in and sends from the address it is told to.
#[derive(Debug)]
pub struct UdpSocket {
    pub(crate) socket: Socket,
    pub(crate) addr: SocketAddr,
    /// Whether segmentation offload is still worth trying.
    pub(crate) offload: AtomicBool,
}

impl UdpSocket {
    /// Opens and binds a socket: packet info on, broadcast allowed, 4 MiB of receive buffer where we may.
    ///
    /// # Errors
    /// [`Error::Bind`], [`Error::Option`].
    pub fn bind(bind: &Bind) -> Result<Self, Error> {
        let failed = |source| Error::Bind { addr: bind.addr, device: bind.device.clone(), source };
        let socket = Socket::new(Domain::for_address(bind.addr), Type::DGRAM, Some(Protocol::UDP)).map_err(failed)?;
        configure(&socket, bind)?;
        socket.bind(&bind.addr.into()).map_err(failed)?;
        let addr = socket.local_addr().map_err(failed)?.as_socket().unwrap_or(bind.addr);
        Ok(Self { socket, addr, offload: AtomicBool::new(true) })
    }

    /// The address it is bound to, with the port that the kernel chose if it had the choice.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.addr
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn configure(socket: &Socket, bind: &Bind) -> Result<(), Error> {
    let failed = |option| move |source| Error::Option { option, addr: bind.addr, source };
    if bind.addr.is_ipv6() {
        socket.set_only_v6(true).map_err(failed("IPV6_V6ONLY"))?;
        set_flag(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO).map_err(failed("IPV6_RECVPKTINFO"))?;
    } else {
        socket.set_broadcast(true).map_err(failed("SO_BROADCAST"))?;
        set_flag(socket, libc::IPPROTO_IP, libc::IP_PKTINFO).map_err(failed("IP_PKTINFO"))?;
    }
    if bind.reuse_addr {
        socket.set_reuse_address(true).map_err(failed("SO_REUSEADDR"))?;
    }
    if bind.reuse_port {
        socket.set_reuse_port(true).map_err(failed("SO_REUSEPORT"))?;
    }
    if let Some(device) = &bind.device {
        socket.bind_device(Some(device.as_bytes())).map_err(failed("SO_BINDTODEVICE"))?;
    }
    socket.set_write_timeout(Some(SEND_TIMEOUT)).map_err(failed("SO_SNDTIMEO"))?;
    socket.set_read_timeout(Some(SOON)).map_err(failed("SO_RCVTIMEO"))?;
    // Beyond net.core.rmem_max only with CAP_NET_ADMIN; without it, as much as the system allows.
    if rustix::net::sockopt::set_socket_recv_buffer_size_force(socket, BUFFER).is_err() {
        socket.set_recv_buffer_size(BUFFER).map_err(failed("SO_RCVBUF"))?;
    }
    Ok(())
}

pub(crate) fn set_flag(socket: &Socket, level: i32, option: i32) -> io::Result<()> {
    let on: libc::c_int = 1;
    let len = libc::socklen_t::try_from(size_of_val(&on)).unwrap_or_default();
    // SAFETY: the pointer is to a live c_int of the length given; the kernel only reads it.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
