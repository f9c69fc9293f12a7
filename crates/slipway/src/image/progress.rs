//! A progress bar for a person at a terminal, and nothing for anybody else.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

/// How far storing or verifying is, in bytes.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// A bar on standard error, if that is a terminal and nobody asked for JSON.
    pub(super) fn new(total: u64, json: bool) -> Self {
        if json || !io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template("{bar:40} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}");
        Self(ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    /// So many bytes more.
    pub(super) fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
