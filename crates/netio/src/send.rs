//! Sending: one datagram, or many trains of datagrams with one system call.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::Ordering;

use socket2::SockAddr;

use crate::control::Control;
use crate::{Error, Source, UdpSocket};

/// The longest train that one segmented message carries: measured, 32 is best; above, the copy gets slower.
const LONGEST: usize = 32;
/// The most payload that one segmented message carries: what IPv4 can count.
const HEAVIEST: usize = 65_507;
/// The most messages in one system call.
const MOST: usize = 64;

/// Datagrams to one peer, in order. All but the last have the same length: then the kernel cuts one message into them.
#[derive(Clone, Copy, Debug)]
pub struct Train<'a> {
    /// Where to.
    pub to: SocketAddr,
    /// Where from.
    pub from: Source,
    /// Each datagram as a head and a body, which need not lie together in memory.
    pub datagrams: &'a [[IoSlice<'a>; 2]],
}

/// One message for the kernel: a train or a piece of one.
#[derive(Clone, Copy)]
struct Message<'a> {
    /// Which train it belongs to.
    train: usize,
    to: SocketAddr,
    from: Source,
    datagrams: &'a [[IoSlice<'a>; 2]],
}

impl Message<'_> {
    /// The length that the kernel cuts at, for more than one datagram.
    fn segment(&self) -> Option<u16> {
        let [first, _, ..] = self.datagrams else { return None };
        u16::try_from(len(first)).ok()
    }
}

fn len(datagram: &[IoSlice<'_>; 2]) -> usize {
    datagram.iter().map(|part| part.len()).sum()
}

impl UdpSocket {
    /// Sends one datagram.
    ///
    /// # Errors
    /// [`Error::Send`].
    pub fn send(&self, to: SocketAddr, from: Source, data: &[u8]) -> Result<(), Error> {
        let datagrams = [[IoSlice::new(data), IoSlice::new(&[])]];
        let mut outcome = Ok(());
        self.send_trains(&[Train { to, from, datagrams: &datagrams }], |_, source| {
            outcome = Err(Error::Send { to, source });
        });
        outcome
    }

    /// Sends trains with as few system calls as the kernel allows. A train that cannot be sent is told to `failed` by its place in
    /// `trains` and does not keep the others back; it may be told more than once.
    pub fn send_trains(&self, trains: &[Train<'_>], mut failed: impl FnMut(usize, io::Error)) {
        let mut messages = self.cut(trains);
        let mut rest = messages.as_mut_slice();
        while let Some(first) = rest.first().copied() {
            match send(&self.socket, rest) {
                Ok(sent) => rest = rest.get_mut(sent..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if first.segment().is_some() {
                        self.send_uncut(&first, &error, &mut failed);
                    } else {
                        failed(first.train, error);
                    }
                    rest = rest.get_mut(1..).unwrap_or_default();
                }
            }
        }
    }

    /// The messages that these trains go out as.
    fn cut<'a>(&self, trains: &[Train<'a>]) -> Vec<Message<'a>> {
        let offload = self.offload.load(Ordering::Relaxed);
        let mut messages = Vec::with_capacity(trains.len());
        for (train, Train { to, from, datagrams }) in trains.iter().enumerate() {
            let heavy = HEAVIEST / datagrams.first().map_or(1, len).max(1);
            let most = if offload { LONGEST.min(heavy).max(1) } else { 1 };
            let pieces = datagrams.chunks(most);
            messages.extend(pieces.map(|datagrams| Message { train, to: *to, from: *from, datagrams }));
        }
        messages
    }

    /// Sends a train's datagrams one by one after the kernel refused to cut it.
    fn send_uncut(&self, message: &Message<'_>, refusal: &io::Error, failed: &mut impl FnMut(usize, io::Error)) {
        // EIO: the device cannot do checksums for segments, and will not learn it. Other refusals are this peer's own (its path's
        // MTU is less than a segment).
        if refusal.raw_os_error() == Some(libc::EIO) {
            self.offload.store(false, Ordering::Relaxed);
        }
        for datagram in message.datagrams.chunks(1) {
            if let Err(error) = send(&self.socket, &[Message { datagrams: datagram, ..*message }]) {
                failed(message.train, error);
            }
        }
    }
}

/// Sends messages from the first on; returns how many went out, or why the first did not.
fn send(socket: &impl AsRawFd, messages: &[Message<'_>]) -> io::Result<usize> {
    let messages = messages.get(..MOST).unwrap_or(messages);
    let mut names: Vec<SockAddr> = messages.iter().map(|message| message.to.into()).collect();
    let mut controls: Vec<Control> = messages.iter().map(control).collect();
    let mut headers: Vec<libc::mmsghdr> = Vec::with_capacity(messages.len());
    for ((message, name), control) in messages.iter().zip(&mut names).zip(&mut controls) {
        // SAFETY: all-zero bytes are a valid mmsghdr: null pointers with zero lengths.
        let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        let parts = message.datagrams.as_flattened();
        header.msg_hdr.msg_name = name.as_ptr().cast_mut().cast();
        header.msg_hdr.msg_namelen = name.len();
        // The kernel only reads through these; an IoSlice has the layout of an iovec by its documentation.
        header.msg_hdr.msg_iov = ptr::from_ref(parts).cast_mut().cast();
        header.msg_hdr.msg_iovlen = parts.len();
        header.msg_hdr.msg_controllen = control.len();
        header.msg_hdr.msg_control = control.as_mut_ptr();
        headers.push(header);
    }
    let count = libc::c_uint::try_from(headers.len()).unwrap_or_default();
    // SAFETY: every header points to an address, slices and a control buffer that outlive the call, with their lengths.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, 0) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

fn control(message: &Message<'_>) -> Control {
    let mut control = Control::new();
    if message.from != Source::default() {
        control.push_source(message.from.ip, message.from.ifindex, message.to.is_ipv6());
    }
    if let Some(size) = message.segment() {
        control.push_segment(size);
    }
    control
}
