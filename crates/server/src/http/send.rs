//! Bytes to a client: from memory, and from a file without passing through our memory.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::time::Duration;

use rustix::net::{SendFlags, send};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Phase, reached};

/// The most that one `sendfile` is asked for: other connections on this thread get their turn in between.
const TURN: u64 = 1 << 20;

/// Why sending ended early.
#[derive(Debug)]
pub(super) enum Cut {
    /// The client has gone.
    Gone,
    /// The client takes nothing any more.
    Stalled,
    /// The server ends.
    Stopping,
    /// The file cannot be read, or is shorter than it was.
    File(String),
}

/// How many bytes of content went out, or how many did until what happened.
pub(super) type Sent = Result<u64, (Cut, u64)>;

/// The way to one client.
pub(super) struct Sender<'a> {
    pub(super) stream: &'a TcpStream,
    pub(super) stall: Duration,
    pub(super) phase: &'a mut watch::Receiver<Phase>,
}

impl Sender<'_> {
    /// Sends bytes; `more` tells the kernel that content follows, so that both share a segment.
    pub(super) async fn bytes(&mut self, mut bytes: &[u8], more: bool) -> Result<(), (Cut, u64)> {
        let flags = SendFlags::NOSIGNAL | if more { SendFlags::MORE } else { SendFlags::empty() };
        while !bytes.is_empty() {
            let stream = self.stream;
            let sent = self.turn(|| send(stream, bytes, flags)).await.map_err(|cut| (cut, 0))?;
            bytes = bytes.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    /// Sends a part of a file.
    pub(super) async fn file(&mut self, file: &File, part: Range<u64>) -> Sent {
        let mut at = part.start;
        while at < part.end {
            let stream = self.stream;
            let length = usize::try_from(part.end.saturating_sub(at).min(TURN)).unwrap_or(usize::MAX);
            let sent = self.turn(|| rustix::fs::sendfile(stream, file, Some(&mut at), length)).await;
            let so_far = at.saturating_sub(part.start);
            match sent {
                Ok(0) => return Err((Cut::File("the file has become shorter".to_owned()), so_far)),
                Ok(_) => {}
                Err(cut) => return Err((cut, so_far)),
            }
        }
        Ok(at.saturating_sub(part.start))
    }

    /// One system call as soon as the socket takes something.
    async fn turn(&mut self, mut call: impl FnMut() -> rustix::io::Result<usize>) -> Result<usize, Cut> {
        let ready = self.stream.async_io(Interest::WRITABLE, || call().map_err(io::Error::from));
        let done = tokio::select! {
            biased;
            () = reached(self.phase, Phase::Stopped) => return Err(Cut::Stopping),
            done = timeout(self.stall, ready) => done,
        };
        match done {
            Err(_) => Err(Cut::Stalled),
            Ok(Ok(sent)) => Ok(sent),
            Ok(Err(error)) => Err(match error.kind() {
                io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::NotConnected
                | io::ErrorKind::TimedOut
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable => Cut::Gone,
                _ => Cut::File(error.to_string()),
            }),
        }
    }
}
