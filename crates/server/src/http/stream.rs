//! A connection's bytes: plain, or in TLS.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use rustix::net::{SendFlags, send};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

/// The most that one `sendfile` is asked for: other connections on this thread get their turn in between.
const TURN: u64 = 1 << 20;
/// The most that is read from a file at once to be enciphered: four of TLS's longest records.
const PIECE: u64 = 64 << 10;

/// The way to one client and from it.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(SslStream<TcpStream>),
}

impl Stream {
    /// Appends what has come; 0 is the end.
    pub(super) async fn read(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read_buf(into).await,
            Self::Tls(stream) => stream.read_buf(into).await,
        }
    }

    /// Says that nothing more will be sent.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.shutdown().await,
            Self::Tls(stream) => stream.shutdown().await,
        }
    }

    /// Sends some of the bytes, as soon as the client takes any; `more` tells the kernel that content follows, so that both share a
    /// segment.
    pub(super) async fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => {
                let flags = SendFlags::NOSIGNAL | if more { SendFlags::MORE } else { SendFlags::empty() };
                stream.async_io(Interest::WRITABLE, || send(&*stream, bytes, flags).map_err(io::Error::from)).await
            }
            Self::Tls(stream) => stream.write(bytes).await.map_err(gone),
        }
    }

    /// Sends some of a file from `at`, which is moved forward, to `end`; 0 is a file that ends before. `piece` is room that is used again.
    pub(super) async fn send_file(
        &mut self,
        file: &File,
        at: &mut u64,
        end: u64,
        piece: &mut Vec<u8>,
    ) -> io::Result<usize> {
        let most = end.saturating_sub(*at);
        match self {
            Self::Plain(stream) => {
                let length = usize::try_from(most.min(TURN)).unwrap_or(usize::MAX);
                let call = || rustix::fs::sendfile(&*stream, file, Some(at), length).map_err(io::Error::from);
                stream.async_io(Interest::WRITABLE, call).await
            }
            Self::Tls(stream) => {
                // Read, not mapped: a file that somebody cuts short while it is read is an error, mapped it would be our end.
                piece.resize(usize::try_from(most.min(PIECE)).unwrap_or(usize::MAX), 0);
                let read = file.read_at(piece, *at)?;
                if read == 0 {
                    return Ok(0);
                }
                let sent = stream.write(piece.get(..read).unwrap_or_default()).await.map_err(gone)?;
                *at = at.saturating_add(u64::try_from(sent).unwrap_or(u64::MAX));
                Ok(sent)
            }
        }
    }
}

/// Whatever TLS says when it cannot send, the client has gone.
fn gone(error: io::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, error)
}
