//! Log lines: for people or as JSON, on standard error, where systemd picks them up.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Level, LogFormat};

/// Starts logging. `RUST_LOG` wins over the level, for developers.
///
/// Colours only on a terminal, and not where `NO_COLOR` is set; no timestamps where the journal of systemd adds its own.
pub fn init(level: Level, format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter(level)));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let under_systemd = std::env::var_os("JOURNAL_STREAM").is_some();
    // A second start in one process (tests) keeps the first subscriber.
    let _ = match format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text if under_systemd => lines.without_time().with_target(false).try_init(),
        LogFormat::Text => lines.with_target(false).try_init(),
    };
}

/// Our own crates at the level asked for; the libraries' chatter only from `warn`.
fn filter(level: Level) -> String {
    let name = level.name();
    let ours = ["slipway", "slipway_server", "slipway_engine", "slipway_store", "slipway_netio", "slipway_image"];
    let ours: Vec<String> = ours.iter().map(|target| format!("{target}={name}")).collect();
    let others = if level == Level::Error { "error" } else { "warn" };
    format!("{others},{}", ours.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_ours_alone() {
        let filter = filter(Level::Debug);
        assert!(filter.starts_with("warn,slipway=debug,slipway_server=debug"), "{filter}");
        assert!(EnvFilter::try_new(&filter).is_ok());
    }
}
