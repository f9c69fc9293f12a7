//! What systemd is told: ready, reloading, stopping, alive. Without systemd nobody listens, and nothing is told.

use std::time::Duration;

use sd_notify::NotifyState;

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}

/// Serving, or serving again after a reload.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is read again; [`ready`] must follow, whatever came of it (`Type=notify-reload`).
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Ending.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Alive.
pub(super) fn watchdog() {
    tell(&[NotifyState::Watchdog]);
}

/// How often to say that we are alive: half the time that systemd allows. An hour where it does not ask.
pub(super) fn watchdog_interval() -> Duration {
    sd_notify::watchdog_enabled()
        .map_or(Duration::from_secs(3600), |allowed| (allowed / 2).max(Duration::from_millis(10)))
}
