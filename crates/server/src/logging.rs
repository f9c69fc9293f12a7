//! Log lines: for people or as JSON, on standard error, where systemd picks them up.
//!
//! A thread of its own writes them, so that a reader who does not keep up (a stopped terminal, a full pipe) never holds a packet up:
//! lines that find no room are left out and counted.

use core::sync::atomic::{AtomicU64, Ordering};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Level, LogFormat};

/// Lines that may wait for their reader.
const QUEUE: usize = 4096;
/// How long the last lines may take when the program ends.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Starts logging; the lines are written to their end when what is returned is dropped. `RUST_LOG` wins over the level, for developers.
///
/// Colours only on a terminal, and not where `NO_COLOR` is set; no timestamps where the journal of systemd adds its own.
#[must_use]
pub fn init(level: Level, format: LogFormat) -> Flush {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter(level)));
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (lines, flush) = start(io::stderr());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines).with_ansi(colours);
    let under_systemd = std::env::var_os("JOURNAL_STREAM").is_some();
    // A second start in one process (tests) keeps the first subscriber.
    let _ = match format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text if under_systemd => lines.without_time().with_target(false).try_init(),
        LogFormat::Text => lines.with_target(false).try_init(),
    };
    flush
}

/// Our own crates at the level asked for; the libraries' chatter only from `warn`.
fn filter(level: Level) -> String {
    let name = level.name();
    let ours = ["slipway", "slipway_server", "slipway_engine", "slipway_store", "slipway_netio", "slipway_image"];
    let ours: Vec<String> = ours.iter().map(|target| format!("{target}={name}")).collect();
    let others = if level == Level::Error { "error" } else { "warn" };
    format!("{others},{}", ours.join(","))
}

enum Job {
    Line(Vec<u8>),
    End(SyncSender<()>),
}

/// Where `tracing` writes to: each line goes to the queue, or is counted where there is no room.
#[derive(Clone, Debug)]
struct Lines {
    queue: SyncSender<Job>,
    lost: Arc<AtomicU64>,
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Job::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Waits for the last lines when it is dropped.
#[derive(Debug)]
pub struct Flush(SyncSender<Job>);

impl Drop for Flush {
    fn drop(&mut self) {
        let (done, wait) = sync_channel(1);
        if self.0.try_send(Job::End(done)).is_ok() {
            let _ = wait.recv_timeout(LAST_WORDS);
        }
    }
}

fn start(mut out: impl Write + Send + 'static) -> (Lines, Flush) {
    let (queue, jobs) = sync_channel(QUEUE);
    let lost = Arc::new(AtomicU64::new(0));
    let lines = Lines { queue: queue.clone(), lost: Arc::clone(&lost) };
    let writing = std::thread::Builder::new().name("log".to_owned());
    // Without a thread nobody reads the queue: lines are lost, the server serves.
    let _ = writing.spawn(move || write(&mut out, &jobs, &lost));
    (lines, Flush(queue))
}

fn write(out: &mut impl Write, jobs: &Receiver<Job>, lost: &AtomicU64) {
    for job in jobs {
        let _ = match job {
            Job::Line(line) => out.write_all(&line),
            Job::End(done) => {
                let _ = out.flush();
                done.send(()).map_err(|_| io::ErrorKind::BrokenPipe.into())
            }
        };
        match lost.swap(0, Ordering::Relaxed) {
            0 => {}
            lost => drop(writeln!(out, "{lost} log lines were left out: their reader is too slow")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Condvar, Mutex, PoisonError};

    #[test]
    fn the_level_is_ours_alone() {
        let filter = filter(Level::Debug);
        assert!(filter.starts_with("warn,slipway=debug,slipway_server=debug"), "{filter}");
        assert!(EnvFilter::try_new(&filter).is_ok());
    }

    /// A reader that takes nothing until it is let.
    #[derive(Clone, Default)]
    struct Slow(Arc<(Mutex<Taken>, Condvar)>);

    /// Whether it takes anything, and what it took.
    type Taken = (bool, Vec<u8>);

    impl Slow {
        fn let_go(&self) {
            self.0.0.lock().unwrap().0 = true;
            self.0.1.notify_all();
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.0.lock().unwrap().1.clone()).unwrap()
        }
    }

    impl Write for Slow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let (state, changed) = &*self.0;
            let state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let mut state = changed.wait_while(state, |(open, _)| !*open).unwrap();
            state.1.extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_does_not_keep_up_holds_nobody_up_and_is_told_what_it_missed() {
        let slow = Slow::default();
        let (mut lines, flush) = start(slow.clone());
        let all = QUEUE + 100;
        for n in 0..all {
            lines.write_all(format!("line {n}\n").as_bytes()).unwrap();
        }
        slow.let_go();
        // The queue is full until the reader has begun: a flush that finds no room does not wait.
        while !slow.text().contains("left out") {
            std::thread::yield_now();
        }
        lines.write_all(b"after\n").unwrap();
        drop(flush);
        let text = slow.text();
        let told: usize = text
            .lines()
            .find_map(|line| line.strip_suffix(" log lines were left out: their reader is too slow")?.parse().ok())
            .unwrap();
        let written = text.lines().filter(|line| line.starts_with("line ")).count();
        assert_eq!(written + told, all);
        assert!(told >= 99 && text.ends_with("after\n"), "{told}");
    }
}
