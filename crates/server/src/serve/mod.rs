//! `slipway serve`: configuration and facts in, planes up, until a signal says otherwise.

mod banner;
mod catalog;
mod notify;
mod org;
mod planes;
mod reload;
mod running;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{mpsc, watch};

use crate::config::{Config, Faults};
use crate::control::{self, Control, Desk};
use crate::interfaces;
use crate::journal::{self, Journal};
use crate::machines;
use crate::places::{NoConfig, Surroundings, config_file, load};
use crate::ports::{Port, Survey};
use crate::privileges::{self, User};
use crate::site::{Built, Exported, Facts, NoSite, build};
use crate::trust;

pub use reload::{Reload, plan};
use running::{Running, Signals};

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The configuration file, if one is named.
    pub config: Option<PathBuf>,
    /// The data folder, if one is named.
    pub data: Option<PathBuf>,
    /// Interfaces to serve instead of the configuration's.
    pub interfaces: Vec<String>,
}

/// Why the server does not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no usable configuration.
    #[error(transparent)]
    Config(#[from] NoConfig),
    /// The configuration does not fit the machine.
    #[error("{0}")]
    Unfit(Faults),
    /// No site for another reason.
    #[error(transparent)]
    Site(NoSite),
    /// Privileges.
    #[error(transparent)]
    Privileges(#[from] privileges::Error),
    /// The control socket.
    #[error(transparent)]
    Control(#[from] control::Error),
    /// A folder cannot be used.
    #[error("cannot use the folder {folder}: {remedy}", folder = .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What to do.
        remedy: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The data folder belongs to somebody else, and root's right to write everywhere is given up.
    #[error(
        "the folder {folder} belongs to user {owner}, not to user {us} that the server runs as: `chown -R {us} {folder}`, set `user` in the configuration, or name another folder with `--data`",
        folder = .folder.display()
    )]
    NotOurs {
        /// The folder.
        folder: PathBuf,
        /// Its owner's number.
        owner: u32,
        /// Ours.
        us: u32,
    },
    /// What is remembered of machines cannot be kept.
    #[error(transparent)]
    Machines(#[from] machines::Error),
    /// The org's keys cannot be read.
    #[error("there is an org, and this server cannot serve it")]
    Org(#[from] trust::Unusable),
    /// A plane does not start.
    #[error("cannot start {what}{hint}")]
    Plane {
        /// DHCP, TFTP or HTTP.
        what: &'static str,
        /// What to do, after `: `, where that is known.
        hint: String,
        /// Why.
        source: Box<dyn core::error::Error + Send + Sync>,
    },
    /// The system refuses something else.
    #[error("cannot {doing}")]
    System {
        /// What.
        doing: &'static str,
        /// Why.
        source: Box<dyn core::error::Error + Send + Sync>,
    },
}

fn system<E: Into<Box<dyn core::error::Error + Send + Sync>>>(doing: &'static str) -> impl Fn(E) -> Error {
    move |source| Error::System { doing, source: source.into() }
}

/// Everything that is known before the server starts.
#[derive(Clone, Debug)]
pub struct Start {
    options: Options,
    file: Option<PathBuf>,
    /// The configuration that was read.
    pub config: Config,
    data: PathBuf,
    socket: PathBuf,
}

impl Start {
    /// Reads the configuration and settles where things are.
    ///
    /// # Errors
    /// There is no usable configuration.
    pub fn read(options: Options, surroundings: &Surroundings) -> Result<Self, Error> {
        let file = config_file(options.config.as_deref());
        let config = load(file.as_deref())?;
        let named = options.data.as_deref();
        let data = surroundings.data(named, Some(&config));
        let socket = surroundings.control(named, Some(&config));
        Ok(Self { options, file, config, data, socket })
    }
}

/// Ready to serve: folders are there, privileges are given up.
#[derive(Clone, Debug)]
pub struct Prepared {
    start: Start,
    survey: Survey,
    kept: Vec<String>,
    /// The org's keys, where there is one: they may be readable for root alone.
    keys: Option<Arc<trust::Keys>>,
}

impl Start {
    /// Makes the folders, looks who holds our ports, and gives up privileges. Must be called while the process has one thread (the
    /// log's is one, too), because capabilities are each thread's own.
    ///
    /// # Errors
    /// A folder cannot be used, or the kernel refuses.
    pub fn prepare(self) -> Result<Prepared, Error> {
        let user = self.config.user.as_ref().map(|at| privileges::user(&at.value)).transpose()?;
        prepare_folders(&self, user.as_ref())?;
        let (tftp, http) = (Port::Udp(self.config.tftp_port), Port::Tcp(self.config.http_port));
        let https = self.config.https.as_ref().map(|https| Port::Tcp(https.port));
        let keys = trust::keys(&self.data)?.map(Arc::new);
        let org = self.config.org.listen.iter().filter(|_| keys.is_some()).map(|listen| Port::Tcp(listen.port()));
        let usual = [Port::Udp(67), Port::Udp(4011), tftp, http];
        let ports: Vec<Port> = usual.into_iter().chain(https).chain(org).collect();
        let survey = Survey::of(&ports);
        let kept = privileges::give_up(user.as_ref())?;
        Ok(Prepared { start: self, survey, kept, keys })
    }
}

/// Serves until SIGTERM or SIGINT. `say` is given the lines that a person should read at the start.
///
/// # Errors
/// The server cannot start.
pub fn serve(Prepared { start, survey, kept, keys }: Prepared, say: &dyn Fn(&str)) -> Result<(), Error> {
    tracing::debug!(?kept, user = start.config.user.as_ref().map(|at| &at.value), "privileges given up");
    allow_open_files();
    fall_with_our_threads();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(system("start the runtime"))?;
    let result = runtime.block_on(run(start, &survey, keys, say));
    // A transfer or a blocking read that does not end must not keep the process.
    runtime.shutdown_timeout(core::time::Duration::from_millis(500));
    result
}

/// A server that lost one of its threads to a panic looks alive and answers nobody: it ends instead, and whoever watches over it
/// (systemd) starts it again. Nothing acknowledged is lost by that. A panic over one HTTP connection stays that connection's own.
fn fall_with_our_threads() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        if std::thread::current().name().is_some_and(is_a_planes) {
            std::process::abort();
        }
    }));
}

/// Whether a thread of this name is one that nothing replaces.
fn is_a_planes(thread: &str) -> bool {
    matches!(thread, "tftp" | "leases" | "journal" | "machines") || thread.starts_with("dhcp-")
}

/// As many open files as we may have: each transfer needs one or two, and a shell's 1,024 are few.
fn allow_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// Makes the data folder and the socket's, while we still may, for whoever the server will run as.
fn prepare_folders(start: &Start, user: Option<&User>) -> Result<(), Error> {
    let socket_folder = start.socket.parent().unwrap_or(Path::new("/"));
    for (folder, mode) in [(start.data.as_path(), 0o750), (socket_folder, 0o755)] {
        let existed = folder.exists();
        let remedy = "make it writable for the server's user, or name another one (`--data DIR`, `[control] socket`)";
        let failed = |source| Error::Folder { folder: folder.to_owned(), remedy, source };
        DirBuilder::new().recursive(true).mode(mode).create(folder).map_err(failed)?;
        if let Some(user) = user.filter(|_| folder == start.data || !existed) {
            privileges::give(folder, user).map_err(failed)?;
        }
    }
    let owner = std::fs::metadata(&start.data).map(|metadata| metadata.uid());
    let us = user.map_or_else(|| rustix::process::geteuid().as_raw(), |user| user.uid);
    match owner {
        Ok(owner) if owner != us && privileges::is_root() => {
            Err(Error::NotOurs { folder: start.data.clone(), owner, us })
        }
        _ => Ok(()),
    }
}

async fn run(start: Start, survey: &Survey, keys: Option<Arc<trust::Keys>>, say: &dyn Fn(&str)) -> Result<(), Error> {
    let signals = Signals::new().map_err(system("listen for signals"))?;
    let unwritable = |error| match error {
        journal::Error::Io(source) => Error::Folder {
            folder: start.data.clone(),
            remedy: "the server's user must own it: it gives up root's right to write everywhere",
            source,
        },
        journal::Error::Machines(error) => Error::Machines(error),
    };
    // The socket first: it is what tells a second server on the same data to go away.
    let control = Control::bind(&start.socket)?;
    let journal = Journal::open(&start.data).map_err(unwritable)?;
    let catalog = catalog::load(&start.data).await?;
    let facts = facts(&start, &start.config, catalog)?;
    let Built { site, warnings } = build(&start.config, &facts).map_err(|error| no_site(&start.config, error))?;
    let warnings = start.config.warnings.iter().cloned().chain(warnings).collect();
    let warned = running::warn(&start.config, warnings);
    let shared = Arc::new(ArcSwap::from_pointee(site));
    let org = Arc::new(ArcSwapOption::empty());
    let planes = planes::spawn(&start, &shared, &journal, survey, (keys, Arc::clone(&org))).await?;
    for line in banner::lines(&start.config, start.file.as_deref(), &shared.load(), &start.data) {
        say(&line);
    }
    if let Some(line) = planes.org_line() {
        say(&line);
    }
    let (wishes, wished) = mpsc::channel(4);
    let (stop, stopped) = watch::channel(false);
    let status = Arc::new(ArcSwap::from_pointee(running::status(&start, &shared.load(), planes.trust_port(), warned)));
    let desk = Desk { journal: journal.clone(), site: Arc::clone(&shared), status: Arc::clone(&status), org, wishes };
    let answering = tokio::spawn(control.serve(desk, stopped));
    let mut running = Running { start, site: shared, journal, planes, status, wished, signals };
    running.until_stopped().await;
    let _ = stop.send(true);
    running.shut_down(answering).await;
    Ok(())
}

fn facts(start: &Start, config: &Config, catalog: slipway_engine::catalog::Catalog) -> Result<Facts, Error> {
    let (interfaces, default_route) = interfaces::read().map_err(system("read the network interfaces"))?;
    Ok(Facts {
        interfaces,
        default_route,
        chosen: start.options.interfaces.clone(),
        catalog,
        blobs: slipway_store::Blobs::under(&start.data),
        data: std::path::absolute(&start.data).unwrap_or_else(|_| start.data.clone()),
        certificate: config.own_certificate(),
        exported: config.export.as_ref().map(|at| Exported::look(&at.value)),
        secrets: config.secrets(),
    })
}

fn no_site(config: &Config, error: NoSite) -> Error {
    match error {
        NoSite::Faults(list) => Error::Unfit(config.faults(list)),
        other => Error::Site(other),
    }
}
