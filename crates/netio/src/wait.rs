//! Waiting for packets, a deadline, or somebody's call.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::{Error, UdpSocket};

/// Wakes a thread that [`wait`]s; clones wake the same one.
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// A waker that nobody has used yet.
    ///
    /// # Errors
    /// [`Error::Wait`] when there are no file descriptors left.
    pub fn new() -> Result<Self, Error> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        eventfd(0, flags).map(|fd| Self(Arc::new(fd))).map_err(|errno| Error::Wait(errno.into()))
    }

    /// Ends the wait that is going on, or the next one if none is.
    pub fn wake(&self) {
        // It can only fail when 2^64 calls are waiting: then the waiter is being woken already.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    fn reset(&self) {
        let _ = rustix::io::read(&*self.0, &mut [0_u8; 8]);
    }
}

/// What ended a wait. Neither woken nor any socket ready: the time was up.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ready {
    /// Somebody called [`Waker::wake`].
    pub woken: bool,
    sockets: u64,
}

impl Ready {
    /// Whether the socket at this place in the list has packets.
    #[must_use]
    pub const fn has(self, place: usize) -> bool {
        place < 64 && self.sockets >> place & 1 == 1
    }
}

/// Waits until one of at most 64 sockets has packets, the waker is used, or the time is up (none: for ever). A signal may end it
/// early, as if the time were up.
///
/// # Errors
/// [`Error::Wait`].
pub fn wait(sockets: &[&UdpSocket], waker: &Waker, timeout: Option<Duration>) -> Result<Ready, Error> {
    let limit = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    let mut polled = Vec::with_capacity(sockets.len() + 1);
    polled.push(PollFd::from_borrowed_fd(waker.0.as_fd(), PollFlags::IN));
    polled.extend(sockets.iter().map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)));
    match poll(&mut polled, limit.as_ref()) {
        Ok(_) => {}
        Err(rustix::io::Errno::INTR) => return Ok(Ready::default()),
        Err(errno) => return Err(Error::Wait(io::Error::from(errno))),
    }
    let mut events = polled.iter().map(|fd| !fd.revents().is_empty());
    let woken = events.next().unwrap_or_default();
    let sockets = events.take(64).enumerate().fold(0, |set, (place, ready)| set | u64::from(ready) << place);
    if woken {
        waker.reset();
    }
    Ok(Ready { woken, sockets })
}
