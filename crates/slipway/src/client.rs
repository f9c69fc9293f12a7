//! The other end of the control socket.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use slipway_api::Failure;
use slipway_server::places::{Surroundings, config_file, load};
use tokio::net::UnixStream;

use crate::cli::Global;

/// How long the server may take: a reload verifies what it reads.
const PATIENCE: Duration = Duration::from_secs(30);

/// The running server.
#[derive(Debug)]
pub(crate) struct Client {
    socket: PathBuf,
    /// Why the configuration could not say where the socket is.
    unread: Option<String>,
}

impl Client {
    /// The server that this command line, configuration and environment lead to.
    pub(crate) fn of(global: &Global) -> Self {
        // A configuration with faults still has a server running by the one before.
        let config = load(config_file(global.config.as_deref()).as_deref());
        let socket = Surroundings::read().control(global.data.as_deref(), config.as_ref().ok());
        Self { socket, unread: config.err().map(|fault| fault.to_string()) }
    }

    /// Whether a server answers on the socket at all.
    ///
    /// # Errors
    /// One may, and this user may not ask it.
    pub(crate) fn is_running(&self) -> Result<bool> {
        match std::os::unix::net::UnixStream::connect(&self.socket) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(unreachable(&self.socket, &error)),
            Err(_) => Ok(false),
        }
    }

    /// Asks for a resource.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.ask(Method::GET, path, Vec::new())
    }

    /// Asks for a resource that need not be there.
    pub(crate) fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>> {
        let (status, body) = self.exchange(Method::GET, path, Vec::new())?;
        if status == hyper::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.read(status, &body).map(Some)
    }

    /// Has something done.
    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.ask(Method::POST, path, Vec::new())
    }

    /// Has something done that takes more words than a path.
    pub(crate) fn send<T: DeserializeOwned>(&self, path: &str, words: &impl Serialize) -> Result<T> {
        self.ask(Method::POST, path, serde_json::to_vec(words)?)
    }

    fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Vec<u8>) -> Result<T> {
        let (status, body) = self.exchange(method, path, body)?;
        self.read(status, &body)
    }

    fn exchange(&self, method: Method, path: &str, body: Vec<u8>) -> Result<(hyper::StatusCode, Bytes)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = runtime.block_on(async {
            tokio::time::timeout(PATIENCE, exchange(&self.socket, method, path, body))
                .await
                .map_err(|_| anyhow!("the server does not answer on {}", self.socket.display()))?
        });
        answer.map_err(|error| match &self.unread {
            Some(fault) => anyhow!("{error}\nthe configuration could not say where the server's socket is:\n{fault}"),
            None => error,
        })
    }

    fn read<T: DeserializeOwned>(&self, status: hyper::StatusCode, body: &Bytes) -> Result<T> {
        if !status.is_success() {
            match serde_json::from_slice::<Failure>(body) {
                Ok(failure) => bail!("{}", failure.error),
                Err(_) => bail!("the server answered {status} on {}", self.socket.display()),
            }
        }
        serde_json::from_slice(body).with_context(|| {
            format!("what answers on {} is no slipway, or one of another version", self.socket.display())
        })
    }
}

async fn exchange(socket: &Path, method: Method, path: &str, body: Vec<u8>) -> Result<(hyper::StatusCode, Bytes)> {
    let stream = UnixStream::connect(socket).await.map_err(|error| unreachable(socket, &error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let uri = format!("{}{path}", slipway_api::PREFIX);
    let request = Request::builder().method(method).uri(uri).header("Host", "slipway");
    let request = request.header("Content-Type", "application/json").body(Full::new(Bytes::from(body)))?;
    let response = sender.send_request(request).await.with_context(|| format!("no answer on {}", socket.display()))?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok((status, body))
}

fn unreachable(socket: &Path, error: &std::io::Error) -> anyhow::Error {
    let shown = socket.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => anyhow!(
            "no server answers on {shown}: start it (`slipway serve` or `systemctl start slipway`), or name the one that you mean \
             with `--data DIR`, `--config FILE` or SLIPWAY_CONTROL"
        ),
        ErrorKind::PermissionDenied => {
            anyhow!("you may not use {shown}: ask as its owner or a member of its group (sudo?)")
        }
        _ => anyhow!("cannot reach the server on {shown}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_run_is_told_with_socket_and_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let client = Client { socket: socket.clone(), unread: Some("x.toml: wrong".to_owned()) };
        let error = client.get::<slipway_api::Status>("/status").unwrap_err().to_string();
        assert!(error.contains(&socket.display().to_string()) && error.contains("slipway serve"), "{error}");
        assert!(error.ends_with("x.toml: wrong"), "{error}");
    }
}
