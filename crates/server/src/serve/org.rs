//! The org in the running server: its plane comes with it, and follows its manifest.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::Start;
use crate::config::OrgChoice;
use crate::journal::Journal;
use crate::site::SharedSite;
use crate::trust::{self, Clock, Handle, Keys, Plane, Served};

/// Where the control socket finds the org.
pub(super) type OrgSlot = Arc<ArcSwapOption<Served>>;

/// The org's plane, where there is an org.
pub(super) struct Org {
    slot: OrgSlot,
    handle: Option<Handle>,
}

/// Why the org is not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoOrg {
    #[error(transparent)]
    Plane(#[from] trust::Error),
    #[error(transparent)]
    Socket(#[from] trust::NoSocket),
    #[error("the server is stopping")]
    Stopping,
}

impl Org {
    pub(super) const fn new(slot: OrgSlot) -> Self {
        Self { slot, handle: None }
    }

    /// Opens the org and its sockets.
    pub(super) async fn spawn(
        &mut self,
        start: &Start,
        keys: Arc<Keys>,
        site: &SharedSite,
        journal: &Journal,
    ) -> Result<(), NoOrg> {
        let (data, choice) = (start.data.clone(), start.config.org.clone());
        let (site, journal) = (site.clone(), journal.clone());
        let opened = tokio::task::spawn_blocking(move || open(&data, &choice, keys, site, journal));
        let plane = opened.await.map_err(|_| NoOrg::Stopping)??;
        let handle = trust::spawn(&start.config.org.listen, trust::Limits::default(), Arc::clone(&plane))?;
        let listen = handle.local_addrs().iter().map(ToString::to_string).collect();
        self.slot.store(Some(Arc::new(Served { plane, listen })));
        self.handle = Some(handle);
        Ok(())
    }

    /// Looks at the org's folder again: an org that came is served from now on, one that is there follows its manifest.
    pub(super) async fn follow(&mut self, start: &Start, site: &SharedSite, journal: &Journal) -> Result<(), NoOrg> {
        match &self.handle {
            Some(handle) => {
                let plane = Arc::clone(handle.plane());
                let looked = tokio::task::spawn_blocking(move || plane.look_again());
                Ok(looked.await.map_err(|_| NoOrg::Stopping)??)
            }
            None => match trust::keys(&start.data).map_err(trust::Error::from)? {
                Some(keys) => {
                    self.spawn(start, Arc::new(keys), site, journal).await?;
                    self.line().iter().for_each(|line| tracing::info!("{line}"));
                    Ok(())
                }
                None => {
                    warn_if_missing(&start.config.org);
                    Ok(())
                }
            },
        }
    }

    /// Looks at the image store again.
    pub(super) async fn look_at_images(&self) {
        if let Some(handle) = &self.handle {
            let plane = Arc::clone(handle.plane());
            let _ = tokio::task::spawn_blocking(move || plane.look_at_store()).await;
        }
    }

    /// The first port that machines reach it on.
    pub(super) fn port(&self) -> Option<u16> {
        self.handle.as_ref().and_then(|handle| handle.local_addrs().first()).map(std::net::SocketAddr::port)
    }

    /// What a person should read of it.
    pub(super) fn line(&self) -> Option<String> {
        let port = self.port()?;
        let status = self.slot.load().as_ref()?.plane.status(&[]);
        Some(format!(
            "org {} ({}): trust plane on port {port} as {}, manifest of epoch {}",
            status.name,
            status.org,
            status.roles.join(" and "),
            status.epoch
        ))
    }

    /// Ends it. The registry is on disk with every answer that left.
    pub(super) async fn shut_down(self) {
        self.slot.store(None);
        if let Some(handle) = self.handle {
            handle.shutdown().await;
        }
    }
}

/// Who speaks of an org in the configuration expects one.
pub(super) fn warn_if_missing(choice: &OrgChoice) {
    if choice.said {
        tracing::warn!("[org] is configured, but there is no org here: `slipway org init` makes one, then reload");
    }
}

fn open(
    data: &Path,
    choice: &OrgChoice,
    keys: Arc<Keys>,
    site: SharedSite,
    journal: Journal,
) -> Result<Arc<Plane>, trust::Error> {
    let plane = Plane::open(data, keys, (choice.roles, choice.limits), Clock::wall(), (site, journal));
    plane.map(Arc::new)
}
