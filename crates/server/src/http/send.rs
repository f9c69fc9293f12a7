//! Bytes to a client: from memory, and from a file without passing through our memory.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::stream::Stream;
use super::{Phase, reached};

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
    pub(super) stream: &'a mut Stream,
    pub(super) stall: Duration,
    pub(super) phase: &'a mut watch::Receiver<Phase>,
}

impl Sender<'_> {
    /// Sends bytes; `more` tells that content follows.
    pub(super) async fn bytes(&mut self, mut bytes: &[u8], more: bool) -> Result<(), (Cut, u64)> {
        while !bytes.is_empty() {
            let step = self.stream.send(bytes, more);
            let sent = turn(self.phase, self.stall, step).await.map_err(|cut| (cut, 0))?;
            bytes = bytes.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    /// Sends a part of a file.
    pub(super) async fn file(&mut self, file: &File, part: Range<u64>) -> Sent {
        let (mut at, mut piece) = (part.start, Vec::new());
        while at < part.end {
            let step = self.stream.send_file(file, &mut at, part.end, &mut piece);
            let sent = turn(self.phase, self.stall, step).await;
            let so_far = at.saturating_sub(part.start);
            match sent {
                Ok(0) => return Err((Cut::File("the file has become shorter".to_owned()), so_far)),
                Ok(_) => {}
                Err(cut) => return Err((cut, so_far)),
            }
        }
        Ok(at.saturating_sub(part.start))
    }
}

/// One step of sending, while the client takes something and the server does not end.
async fn turn(
    phase: &mut watch::Receiver<Phase>,
    stall: Duration,
    step: impl Future<Output = io::Result<usize>>,
) -> Result<usize, Cut> {
    let done = tokio::select! {
        biased;
        () = reached(phase, Phase::Stopped) => return Err(Cut::Stopping),
        done = timeout(stall, step) => done,
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
