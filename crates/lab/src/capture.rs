//! What passes on a LAN: written to a pcap file, and readable while it happens.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, netdevice, recv, socket_with, sockopt};

use crate::net::Lan;
use crate::pcap::{Frame, Packet, Payload, file_header};

/// Bytes kept of each frame: every DHCP message and HTTP head is shorter, and what files contain is not wanted.
const SNAP: u32 = 2048;
/// Room for what comes faster than it is read, in bytes.
const BACKLOG: usize = 64 << 20;

/// A capture of one LAN, which runs until the scenario's process ends.
#[derive(Debug)]
pub struct Capture {
    path: PathBuf,
    packets: Packets,
}

/// The packets of a capture so far. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Packets(Arc<(Mutex<Vec<Packet>>, Condvar)>);

impl Capture {
    /// Starts capturing: what passes after this returns is seen.
    ///
    /// # Errors
    /// The kernel refuses, or the file can't be written.
    pub(crate) fn start(lan: &Lan, folder: &Path) -> Result<Self> {
        let path = folder.join(format!("{}.pcap", lan.name()));
        let mut file = File::create(&path).with_context(|| format!("{}: cannot write the capture", path.display()))?;
        file.write_all(&file_header(SNAP))?;
        let socket = listen(lan.name()).with_context(|| format!("cannot capture on {}", lan.name()))?;
        let packets = Packets::default();
        let sink = packets.clone();
        std::thread::spawn(move || sink.collect(&socket, &mut file));
        Ok(Self { path, packets })
    }

    /// The pcap file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was seen so far.
    #[must_use]
    pub fn packets(&self) -> &Packets {
        &self.packets
    }
}

/// A socket that sees every frame on a bridge that is in promiscuous mode. Our own instead of a capture program's: those change to a
/// user of theirs, which a user namespace does not have.
fn listen(bridge: &str) -> Result<OwnedFd> {
    // Of no protocol until it is bound: so it sees nothing of other interfaces.
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None::<Protocol>)?;
    sockopt::set_socket_recv_buffer_size_force(&socket, BACKLOG)
        .or_else(|_| sockopt::set_socket_recv_buffer_size(&socket, BACKLOG))?;
    let index = netdevice::name_to_index(&socket, bridge)?;
    let length = std::mem::size_of::<libc::sockaddr_ll>();
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET)?,
        sll_protocol: u16::try_from(libc::ETH_P_ALL)?.to_be(),
        sll_ifindex: i32::try_from(index)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: `address` is a whole sockaddr_ll that outlives the call, and `length` is its length.
    let bound =
        unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), libc::socklen_t::try_from(length)?) };
    if bound != 0 {
        bail!("cannot bind: {}", std::io::Error::last_os_error());
    }
    Ok(socket)
}

impl Packets {
    /// A copy of all packets so far, in the order they passed.
    #[must_use]
    pub fn all(&self) -> Vec<Packet> {
        self.locked().clone()
    }

    /// Waits for the first packet that `wanted` accepts, also among those that have passed.
    ///
    /// # Errors
    /// None came `within` that time; `what` says in the error what was awaited.
    pub fn wait_for(&self, what: &str, within: Duration, mut wanted: impl FnMut(&Packet) -> bool) -> Result<Packet> {
        let deadline = Instant::now() + within;
        let mut next = 0;
        let mut packets = self.locked();
        loop {
            if let Some(found) = packets.iter().skip(next).find(|packet| wanted(packet)) {
                return Ok(found.clone());
            }
            next = packets.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("no {what} was seen on the LAN within {} s ({next} packets passed)", within.as_secs());
            }
            packets = self.0.1.wait_timeout(packets, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes up frames until the scenario's process ends.
    fn collect(&self, socket: &OwnedFd, file: &mut File) {
        let mut buffer = vec![0_u8; usize::try_from(SNAP).unwrap_or(0)];
        // An error says at most that the bridge went down: the capture then has what there was.
        while let Ok((kept, len)) = recv(socket, buffer.as_mut_slice(), RecvFlags::TRUNC) {
            let bytes = buffer.get(..kept).unwrap_or_default().to_vec();
            let frame = Frame { at: SystemTime::now(), bytes, len };
            // A full disk must not hide the packets from the scenario.
            let _unwritten = file.write_all(&frame.record());
            if let Some(packet) = frame.packet() {
                self.locked().push(packet.trimmed());
                self.0.1.notify_all();
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Packet>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Packet {
    /// The packet with only the head of its content where that is the content of a file.
    fn trimmed(mut self) -> Self {
        match &mut self.payload {
            // TFTP DATA (RFC 1350 §5): opcode 3 and the block number.
            Payload::Udp { data, .. } if data.starts_with(&[0, 3]) => data.truncate(4),
            Payload::Tcp { data, .. } if !looks_like_http(data) => data.clear(),
            _ => {}
        }
        self
    }
}

/// Whether a TCP segment begins an HTTP request or response.
pub(crate) fn looks_like_http(data: &[u8]) -> bool {
    [&b"GET "[..], b"HEAD ", b"POST ", b"HTTP/1."].iter().any(|head| data.starts_with(head))
}
