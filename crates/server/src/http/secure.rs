//! From a fresh connection to one in TLS.

use slipway_engine::journal::{About, Outcome};
use slipway_engine::tls::outcome;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_openssl::SslStream;

use super::answer::Ends;
use super::{Phase, Server, reached};
use crate::tls::{Certificates, Failed, accept};

/// Speaks TLS with the client; if that fails, says so in the journal, which then knows why the machine does not boot.
pub(super) async fn handshake(
    server: &Server,
    certificates: &Certificates,
    stream: TcpStream,
    ends: Ends,
    mut phase: watch::Receiver<Phase>,
) -> Option<SslStream<TcpStream>> {
    let site = server.site.load_full();
    let accepted = tokio::select! {
        biased;
        () = reached(&mut phase, Phase::Draining) => return None,
        accepted = accept(certificates, &site, ends.local.ip(), stream, server.limits.head) => accepted,
    };
    let outcome = match accepted {
        Ok(stream) => return Some(stream),
        Err(Failed::Here(fault)) => Outcome::Ourselves(fault),
        Err(Failed::There { failure, named, plain }) => {
            if let Some(stream) = plain {
                // Whether this arrives does not matter; what has come is taken, or closing would send a reset that overtakes it.
                let _ = stream.try_read(&mut [0; 4096]);
                let _ = stream.try_write(
                    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 36\r\nConnection: close\r\n\r\nthis port is for https:// URLs only\n",
                );
            }
            outcome(failure, named)
        }
    };
    server.note_connection(ends.peer, "TLS handshake", About::Handshake, outcome);
    None
}
