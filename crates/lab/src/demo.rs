//! The demo on the terminal: what is reached, with its time, as it happens. Its story is `scenarios/demo.rs`.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::record::Record;
use crate::runner::{self, Plan};
use crate::scenarios::demo::SCENARIO;

/// Begins a line that tells of a step that was reached.
const REACHED: &str = "reached\t";
/// Begins a line with the heading of what follows.
const CHAPTER: &str = "chapter\t";

/// Says that something was reached: from the scenario's process to whoever watches.
pub(crate) fn reached(what: &str) {
    println!("{REACHED}{what}");
}

/// Says what follows; its time is counted from its first step.
pub(crate) fn chapter(heading: &str) {
    println!("{CHAPTER}{heading}");
}

/// Runs the demo, and shows it on the terminal as it goes.
pub(crate) fn show(plan: &Plan) -> Result<ExitCode> {
    println!("Slipway, from a blank disk to a trusted machine, and back after a disaster:");
    let screen = Screen::new();
    let over = AtomicBool::new(false);
    let record = std::thread::scope(|scope| {
        let ticker = scope.spawn(|| screen.tick_until(&over));
        let mut records = runner::run_all(&[&SCENARIO], plan, &|line| screen.tell(line));
        over.store(true, Ordering::Release);
        ticker.thread().unpark();
        records.pop()
    });
    screen.clear();
    let Some(record) = record else { return Ok(ExitCode::FAILURE) };
    Ok(sum_up(&record, &plan.parts.work.join(SCENARIO.name)))
}

fn sum_up(record: &Record, folder: &Path) -> ExitCode {
    println!();
    if let Some(error) = &record.error {
        println!("The demo failed: {error}");
        println!("What went on is in {}", folder.join("report.txt").display());
        return ExitCode::FAILURE;
    }
    println!("All of it took {:.1} s. The machine's console is in node1.log, the server's log in", record.seconds);
    println!("server-slipway.log, every packet in lan.pcap: {}", folder.display());
    ExitCode::SUCCESS
}

/// The terminal while the demo runs: steps that were reached, and a clock behind the one under way.
struct Screen {
    live: bool,
    state: Mutex<ScreenState>,
}

struct ScreenState {
    /// When the machine was switched on, if it is.
    start: Option<Instant>,
    /// When the last step was reached.
    last: Instant,
}

impl Screen {
    fn new() -> Self {
        let live = std::io::stdout().is_terminal();
        Self { live, state: Mutex::new(ScreenState { start: None, last: Instant::now() }) }
    }

    /// Shows a line of the demo's process.
    fn tell(&self, line: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let line = line.strip_prefix("demo: ").unwrap_or(line);
        self.clear();
        if let Some(step) = line.strip_prefix(REACHED) {
            let now = Instant::now();
            let start = *state.start.get_or_insert(now);
            println!("  ✔ {:>6.1} s  {step}", now.duration_since(start).as_secs_f64());
            state.last = now;
        } else if let Some(heading) = line.strip_prefix(CHAPTER) {
            state.start = None;
            println!("\n{heading}");
        } else if !["pass  ", "FAIL  ", "made  "].iter().any(|word| line.starts_with(word)) {
            println!("  {line}");
        }
    }

    /// Moves the clock on, ten times a second, until it is `over`.
    fn tick_until(&self, over: &AtomicBool) {
        while self.live && !over.load(Ordering::Acquire) {
            std::thread::park_timeout(Duration::from_millis(100));
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(start) = state.start {
                let since = |moment: Instant| moment.elapsed().as_secs_f64();
                print!("\r  … {:>6.1} s  {:.1} s\x1b[K", since(start), since(state.last));
                // A terminal that is gone is no reason to stop.
                let _gone = std::io::stdout().flush();
            }
        }
    }

    fn clear(&self) {
        if self.live {
            print!("\r\x1b[K");
        }
    }
}
