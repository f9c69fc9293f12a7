//! The control socket: HTTP over a Unix socket, for `slipway machines`, `slipway status` and the like. Shapes: `slipway-api`.

mod order;
mod org;
mod shapes;

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use slipway_api::{Failure, Machine, Machines, Reloaded, Reset, Status};
use slipway_engine::machine::Change;
use slipway_wire::MacAddr;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot, watch};

use crate::journal::{Journal, now};
use crate::site::SharedSite;
use crate::trust::Served;

pub(crate) use shapes::time;

/// What the running server can be asked to do.
#[derive(Debug)]
pub enum Wish {
    /// Read the configuration again; answered with what changed, or why nothing did.
    Reload(oneshot::Sender<Result<Reloaded, String>>),
    /// Look at the image store now; answered with the images that are served then, `name@version`.
    LookAtImages(oneshot::Sender<Vec<String>>),
}

/// What the control socket can see and ask for.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The machines.
    pub journal: Journal,
    /// What it serves, now.
    pub site: SharedSite,
    /// The server, as it is now.
    pub status: Arc<ArcSwap<Status>>,
    /// The org, where there is one.
    pub org: Arc<ArcSwapOption<Served>>,
    /// Where wishes go.
    pub wishes: mpsc::Sender<Wish>,
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another server answers on it.
    #[error(
        "another server answers on {0}: stop it (`systemctl stop slipway`), or give this one a socket of its own (`[control] socket`, or `--data DIR`)"
    )]
    Running(String),
    /// Something else stands in its place.
    #[error("{0} is in the way: it is no socket; remove it, or set another `[control] socket`")]
    InTheWay(String),
    /// The file system refuses.
    #[error("cannot make the control socket {path}")]
    Io {
        /// Its path.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// The bound socket, removed when it is dropped.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    file: Removed,
}

#[derive(Debug)]
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Control {
    /// Binds the socket, mode 0660: owner and group may ask. A socket that a killed server left behind is replaced.
    ///
    /// # Errors
    /// Another server is running, or the file system refuses.
    pub fn bind(path: &Path) -> Result<Self, Error> {
        let shown = path.display().to_string();
        let failed = |source| Error::Io { path: shown.clone(), source };
        if let Ok(metadata) = std::fs::symlink_metadata(path) {
            if !metadata.file_type().is_socket() {
                return Err(Error::InTheWay(shown));
            }
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(Error::Running(shown));
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        let listener = listen(path).map_err(failed)?;
        let file = Removed(path.to_owned());
        std::fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(failed)?;
        Ok(Self { listener, file })
    }

    /// Answers until `stop` says so.
    ///
    /// # Errors
    /// The socket's.
    pub async fn serve(self, desk: Desk, mut stop: watch::Receiver<bool>) -> io::Result<()> {
        let stopped = async move {
            let _ = stop.wait_for(|stop| *stop).await;
        };
        let result = axum::serve(self.listener, router(desk)).with_graceful_shutdown(stopped).await;
        drop(self.file);
        result
    }
}

/// A listening socket that only we may connect to: the mode of a socket that is not bound yet is the most that its file gets.
fn listen(path: &Path) -> io::Result<UnixListener> {
    use socket2::{Domain, SockAddr, Socket, Type};
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    rustix::fs::fchmod(&socket, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(64)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket.into())
}

fn router(desk: Desk) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/machines", get(machines))
        .route("/v1/machines/{mac}", get(machine))
        .route("/v1/machines/{mac}/boot", post(order::boot))
        .route("/v1/machines/{mac}/release", post(order::release))
        .route("/v1/machines/{mac}/forget", post(order::forget))
        .route("/v1/machines/{mac}/reset", post(reset))
        .route("/v1/reload", post(reload))
        .route("/v1/images/refresh", post(refresh))
        .merge(org::router())
        .fallback(|| async { failure(StatusCode::NOT_FOUND, "no such resource".to_owned()) })
        .method_not_allowed_fallback(|| async {
            failure(StatusCode::METHOD_NOT_ALLOWED, "this resource is not asked for that way".to_owned())
        })
        .with_state(desk)
}

fn failure(status: StatusCode, error: String) -> Response {
    (status, Json(Failure { error })).into_response()
}

async fn status(State(desk): State<Desk>) -> Json<Status> {
    let mut status = Status::clone(&desk.status.load());
    status.machines = desk.journal.count();
    status.journal_unwritten = desk.journal.unwritten();
    Json(status)
}

async fn machines(State(desk): State<Desk>) -> Response {
    // A thousand journeys are read here: not on the threads that serve HTTP to machines.
    let read = tokio::task::spawn_blocking(move || {
        let (all, memories, now) = (desk.journal.histories(), desk.journal.machines().known(), now());
        let machine = |mac: MacAddr, entries: &[_], memory| Machine {
            offers: shapes::offers(desk.journal.machines(), mac),
            ..shapes::machine(mac, entries, memory, now)
        };
        let heard = all.iter().map(|(mac, entries)| machine(*mac, entries, memories.get(*mac)));
        // An operator may speak of a machine before it was heard of.
        let mut unheard: Vec<_> =
            memories.iter().filter(|(mac, _)| !all.iter().any(|(heard, _)| heard == mac)).collect();
        unheard.sort_by_key(|(mac, _)| *mac);
        let unheard = unheard.into_iter().map(|(mac, memory)| machine(mac, &[], Some(memory)));
        Machines { machines: heard.chain(unheard).collect() }
    });
    match read.await {
        Ok(machines) => Json(machines).into_response(),
        Err(_) => failure(StatusCode::INTERNAL_SERVER_ERROR, "the machines' journeys cannot be read".to_owned()),
    }
}

/// The MAC address of a path, or the answer to what is none.
fn mac_of(text: &str) -> Result<MacAddr, Box<Response>> {
    text.parse().map_err(|_| {
        let error = format!("{text:?} is not a MAC address: write six octets, such as 52:54:00:12:34:56");
        Box::new(failure(StatusCode::BAD_REQUEST, error))
    })
}

/// The usual offer again for a machine whose firmware took another kind.
async fn reset(State(desk): State<Desk>, UrlPath(mac): UrlPath<String>) -> Response {
    let mac = match mac_of(&mac) {
        Ok(mac) => mac,
        Err(response) => return *response,
    };
    let done = tokio::task::spawn_blocking(move || {
        let machines = desk.journal.machines();
        let was = shapes::offers(machines, mac);
        machines.tell(mac, None, Change::Offers(None)).map(|_| Reset { mac: mac.to_string(), was })
    });
    match done.await {
        Ok(Ok(reset)) => Json(reset).into_response(),
        Ok(Err(error)) => failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        Err(_) => stopping(),
    }
}

async fn machine(State(desk): State<Desk>, UrlPath(mac): UrlPath<String>) -> Response {
    let mac = match mac_of(&mac) {
        Ok(mac) => mac,
        Err(response) => return *response,
    };
    let memories = desk.journal.machines().known();
    match (desk.journal.machine(mac), memories.get(mac)) {
        (None, None) => failure(
            StatusCode::NOT_FOUND,
            format!(
                "nothing was heard of {mac}: is it on a served network (`slipway status`), and does it try to boot from the network?"
            ),
        ),
        (entries, memory) => {
            let mut story = shapes::story(mac, &entries.unwrap_or_default(), memory, now());
            story.machine.offers = shapes::offers(desk.journal.machines(), mac);
            Json(story).into_response()
        }
    }
}

async fn reload(State(desk): State<Desk>) -> Response {
    match ask(&desk, Wish::Reload).await {
        Some(Ok(reloaded)) => Json(reloaded).into_response(),
        Some(Err(error)) => failure(StatusCode::UNPROCESSABLE_ENTITY, error),
        None => stopping(),
    }
}

async fn refresh(State(desk): State<Desk>) -> Response {
    match ask(&desk, Wish::LookAtImages).await {
        Some(images) => Json(images).into_response(),
        None => stopping(),
    }
}

async fn ask<T>(desk: &Desk, wish: impl FnOnce(oneshot::Sender<T>) -> Wish) -> Option<T> {
    let (answer, wait) = oneshot::channel();
    desk.wishes.send(wish(answer)).await.ok()?;
    wait.await.ok()
}

fn stopping() -> Response {
    failure(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping".to_owned())
}
