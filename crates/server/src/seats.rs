//! Places for connections, counted: so many in all, and so many from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use slipway_engine::Why;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::http::{Phase, reached};

/// The places of one plane.
#[derive(Debug)]
pub(crate) struct Seats {
    /// How many there are, and what that limit is called.
    all: (usize, &'static str),
    /// How many one address may take, and what that limit is called.
    per_source: (usize, &'static str),
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection's place among the counted ones; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    source: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.source);
            }
        }
    }
}

impl Seats {
    /// None is taken.
    pub(crate) fn new(all: (usize, &'static str), per_source: (usize, &'static str)) -> Arc<Self> {
        Arc::new(Self { all, per_source, taken: Mutex::default() })
    }

    /// Takes a place for a connection from this address.
    ///
    /// # Errors
    /// The limit that stands against it.
    pub(crate) fn take(self: &Arc<Self>, source: IpAddr) -> Result<Seat, Why> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= self.all.0 {
            return Err(Why::Limited { limit: self.all.1 });
        }
        let count = taken.entry(source).or_default();
        if *count >= self.per_source.0 {
            return Err(Why::Limited { limit: self.per_source.1 });
        }
        *count = count.saturating_add(1);
        Ok(Seat { seats: Arc::clone(self), source })
    }
}

/// Accepts until the server drains, and then waits for its connections. `admit` spawns what serves one of them; `whose` connections these
/// are is said where one cannot be accepted.
pub(crate) async fn accept(
    listener: TcpListener,
    mut phase: watch::Receiver<Phase>,
    whose: &'static str,
    admit: impl Fn(TcpStream, std::net::SocketAddr, &mut JoinSet<()>),
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = reached(&mut phase, Phase::Draining) => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => admit(stream, peer, &mut connections),
                Err(error) => {
                    // Out of descriptors, most likely: the connection waits in the backlog until some are free again.
                    tracing::error!(%error, "cannot accept {whose} connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}
