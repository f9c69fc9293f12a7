//! The running server: signals, reloads, changes of the image store, and the end.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use slipway_api::{Interface, Reloaded, Status};
use slipway_engine::catalog::Catalog;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::catalog::{self, Signature};
use super::planes::Planes;
use super::{Start, facts, no_site, notify, reload};
use crate::config::{Config, Fault, Severity};
use crate::control::{Wish, time};
use crate::interfaces::{self, Found};
use crate::journal::{Journal, now};
use crate::places::load;
use crate::site::{Built, Mode, SharedSite, Site, build};

/// How long a clean end may take.
const SHUTDOWN: Duration = Duration::from_secs(5);
/// How often the image store and the interfaces are looked at.
const LOOK: Duration = Duration::from_secs(1);

pub(super) struct Running {
    pub(super) start: Start,
    pub(super) site: SharedSite,
    pub(super) journal: Journal,
    pub(super) planes: Planes,
    pub(super) status: Arc<ArcSwap<Status>>,
    pub(super) wished: mpsc::Receiver<Wish>,
    pub(super) signals: Signals,
}

impl Running {
    /// Does what signals and the control socket ask for, until one asks to stop.
    pub(super) async fn until_stopped(&mut self) {
        let mut watchdog = ticks(notify::watchdog_interval());
        let mut look = ticks(LOOK);
        // Nothing seen yet: whatever changed since the site was built shows at the first look.
        let mut seen = Seen::default();
        notify::ready("serving");
        tracing::info!("serving");
        loop {
            tokio::select! {
                sign = self.signals.next() => match sign {
                    Sign::Stop(name) => {
                        tracing::info!(signal = name, "stopping");
                        return;
                    }
                    Sign::Reload => drop(self.reload().await),
                },
                Some(wish) = self.wished.recv() => match wish {
                    Wish::Reload(answer) => drop(answer.send(self.reload().await)),
                    Wish::LookAtImages(answer) => {
                        self.look_around(&mut seen).await;
                        let _ = answer.send(image_names(&self.site.load()));
                    }
                },
                _ = watchdog.tick() => notify::watchdog(),
                _ = look.tick() => self.look_around(&mut seen).await,
            }
        }
    }

    /// Reads the configuration again. Whatever is wrong with it, the server goes on as it was.
    async fn reload(&mut self) -> Result<Reloaded, String> {
        notify::reloading();
        let result = self.try_reload().await;
        match &result {
            Ok(reloaded) => {
                let changes = if reloaded.changes.is_empty() {
                    "nothing changed".to_owned()
                } else {
                    reloaded.changes.join(", ")
                };
                tracing::info!("configuration read again: {changes}");
                if !reloaded.restart_needed.is_empty() {
                    tracing::warn!("a restart is needed for: {}", reloaded.restart_needed.join(", "));
                }
            }
            Err(faults) => {
                tracing::error!("the configuration is not taken over, the one before stays in force:\n{faults}")
            }
        }
        notify::ready(if result.is_ok() {
            "serving"
        } else {
            "serving by the configuration before, the new one has faults"
        });
        result
    }

    async fn try_reload(&mut self) -> Result<Reloaded, String> {
        let new = load(self.start.file.as_deref()).map_err(|error| chain(&error))?;
        let plan = reload::plan(&self.start.config, new);
        let catalog = catalog::read(&self.start.data).await.map_err(|error| chain(&error))?;
        let before = self.site.load_full();
        let built = self.build(&plan.config, catalog)?;
        let mut changes = plan.changes;
        changes.extend(interface_changes(&before, &built.site));
        self.start.config = plan.config;
        let mut warnings = self.take_over(built).await;
        warnings.extend(self.planes.adopt_org(&self.start, &self.site, &self.journal).await);
        let status = Status { trust_port: self.planes.trust_port(), ..Status::clone(&self.status.load()) };
        self.status.store(Arc::new(status));
        Ok(Reloaded { changes, restart_needed: plan.restart_needed, warnings })
    }

    fn build(&self, config: &Config, catalog: Catalog) -> Result<Built, String> {
        let facts = facts(&self.start, config, catalog).map_err(|error| chain(&error))?;
        build(config, &facts).map_err(|error| chain(&no_site(config, error)))
    }

    /// Puts a new site in force; says and gives its warnings.
    async fn take_over(&mut self, built: Built) -> Vec<String> {
        let warnings = self.start.config.warnings.iter().cloned().chain(built.warnings).collect();
        let mut warned = warn(&self.start.config, warnings);
        let started = self.status.load().started.clone();
        self.site.store(Arc::new(built.site));
        let site = self.site.load_full();
        for problem in self.planes.adopt(&self.start.data, &self.site, &self.journal) {
            tracing::error!("{problem}");
            warned.push(problem);
        }
        self.planes.look_at_images().await;
        self.status.store(Arc::new(Status {
            started,
            ..status(&self.start, &site, self.planes.trust_port(), warned.clone())
        }));
        warned
    }

    /// An image that was added or removed, an interface that came, went or has another address: the site follows from the next look on.
    async fn look_around(&mut self, seen: &mut Seen) {
        let now = Seen::read(&self.start.data);
        if now == *seen {
            return;
        }
        let images_changed = now.images != seen.images;
        *seen = now;
        let before = self.site.load_full();
        let catalog = if images_changed { catalog::read(&self.start.data).await } else { Ok(before.catalog.clone()) };
        let built = catalog.map_err(|error| chain(&error)).and_then(|catalog| self.build(&self.start.config, catalog));
        let built = match built {
            Ok(built) => built,
            Err(faults) => {
                tracing::error!("images or interfaces changed, and what was served before is still served:\n{faults}");
                return;
            }
        };
        if built.site.catalog != before.catalog {
            tracing::info!(images = ?image_names(&built.site), "the image store changed");
        } else if built.site.interfaces != before.interfaces {
            tracing::info!("the interfaces changed: {}", interface_changes(&before, &built.site).join(", "));
        } else {
            // A manifest may have been signed meanwhile, which no boot plane asks for.
            if images_changed {
                self.planes.look_at_images().await;
            }
            return;
        }
        self.take_over(built).await;
    }

    /// Ends the planes, the control socket and the journal, in at most five seconds.
    pub(super) async fn shut_down(self, answering: JoinHandle<io::Result<()>>) {
        notify::stopping();
        let end = Instant::now() + SHUTDOWN;
        let planes = tokio::spawn(self.planes.shut_down());
        if timeout_at(end, planes).await.is_err() {
            tracing::warn!("transfers did not end in time and were cut off");
        }
        if !matches!(timeout_at(end, answering).await, Ok(Ok(Ok(())))) {
            tracing::warn!("the control socket did not close in time");
        }
        let journal = self.journal;
        let flushed = tokio::task::spawn_blocking(move || journal.flush());
        if timeout_at(end, flushed).await.is_err() {
            tracing::warn!("the journal could not be written to its end in time");
        }
        tracing::info!("stopped");
    }
}

/// What was there at the last look.
#[derive(Default, Eq, PartialEq)]
struct Seen {
    images: Signature,
    interfaces: Vec<Found>,
}

impl Seen {
    fn read(data: &Path) -> Self {
        let interfaces = interfaces::read().map(|(found, _)| found).unwrap_or_default();
        Self { images: catalog::signature(data), interfaces }
    }
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The signals that we answer to. Made first of all: until then, a SIGHUP ends the process.
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    reload: tokio::signal::unix::Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Sign {
        tokio::select! {
            _ = self.terminate.recv() => Sign::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Sign::Stop("SIGINT"),
            _ = self.reload.recv() => Sign::Reload,
        }
    }
}

/// What a signal asks for.
enum Sign {
    Stop(&'static str),
    Reload,
}

/// An error with its causes, in one text.
pub(super) fn chain(error: &dyn core::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Says warnings in the log; gives them as lines.
pub(super) fn warn(config: &Config, warnings: Vec<Fault>) -> Vec<String> {
    let list: Vec<Fault> = warnings.into_iter().filter(|fault| fault.severity == Severity::Warning).collect();
    let faults = config.faults(list);
    let lines: Vec<String> = faults
        .list
        .iter()
        .map(|fault| {
            let (line, column) = faults.place(&fault.span);
            format!("{}:{line}:{column}: {}: {}: {}", faults.file, fault.thing, fault.reason, fault.remedy)
        })
        .collect();
    for line in &lines {
        tracing::warn!("{line}");
    }
    lines
}

fn image_names(site: &Site) -> Vec<String> {
    let all = site.catalog.images.values().flatten();
    all.map(|image| format!("{}@{}", image.name, image.version)).collect()
}

/// The status as of now.
pub(super) fn status(start: &Start, site: &Site, trust_port: Option<u16>, warnings: Vec<String>) -> Status {
    let mode = |mode| match mode {
        Mode::Dhcp => "dhcp",
        Mode::Proxy => "proxy",
        Mode::Off => "off",
    };
    let interfaces = site.interfaces.iter().map(|interface| {
        let v4 = interface.v4.iter().map(|(ip, prefix)| format!("{ip}/{prefix}"));
        let v6 = interface.v6.iter().map(|(ip, prefix)| format!("{ip}/{prefix}"));
        Interface {
            name: interface.name.clone(),
            mode: mode(interface.mode).to_owned(),
            addresses: v4.chain(v6).collect(),
        }
    });
    let v4 = site.subnets.iter().map(|subnet| format!("{}/{}", subnet.network, subnet.prefix));
    let v6 = site.subnets6.iter().map(|subnet| format!("{}/{}", subnet.network, subnet.prefix));
    let now = time(now());
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started: now.clone(),
        config: start.file.as_ref().map(|file| file.display().to_string()),
        configured: now,
        data: start.data.display().to_string(),
        interfaces: interfaces.collect(),
        http_port: start.config.http_port,
        https_port: start.config.https.as_ref().map(|https| https.port),
        trust_port,
        tftp_port: start.config.tftp_port,
        subnets: v4.chain(v6).collect(),
        rules: site.rules.rules.iter().map(|rule| rule.name.clone()).collect(),
        images: image_names(site),
        loaders: site.catalog.loaders.keys().cloned().collect(),
        machines: 0,
        journal_unwritten: 0,
        warnings,
    }
}

/// What happened to the interfaces themselves since the last look.
fn interface_changes(before: &Site, after: &Site) -> Vec<String> {
    let named = |site: &Site, name: &str| site.interfaces.iter().find(|one| one.name == name).cloned();
    let told = after.interfaces.iter().filter_map(|new| match named(before, &new.name) {
        None => Some(format!("interface {} is served", new.name)),
        Some(old) if old.index != new.index => Some(format!("interface {} is another one", new.name)),
        Some(old) if (&old.v4, &old.v6) != (&new.v4, &new.v6) => {
            Some(format!("interface {} has other addresses", new.name))
        }
        Some(old) if old.mtu != new.mtu => Some(format!("interface {} has another MTU", new.name)),
        Some(_) => None,
    });
    let gone = before.interfaces.iter().filter(|old| named(after, &old.name).is_none());
    told.chain(gone.map(|old| format!("interface {} is no longer served", old.name))).collect()
}
