//! Programs that run beside the scenario: their output followed, their end waited for, and never left behind.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::log::Log;

/// A running program. Clones share it; when the last is dropped, it is killed.
#[derive(Clone, Debug)]
pub struct Running {
    name: String,
    id: u32,
    log: Log,
    owned: Arc<Mutex<Owned>>,
}

#[derive(Debug)]
struct Owned {
    child: Child,
    input: Option<ChildStdin>,
    status: Option<ExitStatus>,
}

impl Running {
    /// Starts `command`; its output and errors go to `<folder>/<name>.log` and to [`log`](Self::log).
    ///
    /// # Errors
    /// The program can't be started, or its log can't be written.
    pub fn start(name: &str, command: Command, folder: &Path) -> Result<Self> {
        Self::start_with(name, command, folder, Stdio::null())
    }

    /// As [`start`](Self::start), with an input to [`type_in`](Self::type_in).
    ///
    /// # Errors
    /// As there.
    pub fn start_with_input(name: &str, command: Command, folder: &Path) -> Result<Self> {
        Self::start_with(name, command, folder, Stdio::piped())
    }

    /// As [`start`](Self::start), with this input.
    pub(crate) fn start_with(name: &str, mut command: Command, folder: &Path, input: Stdio) -> Result<Self> {
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{name}: cannot start {}", shown(&command)))?;
        let (id, log) = (child.id(), Log::new(name));
        let (input, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let owned = Arc::new(Mutex::new(Owned { child, input, status: None }));
        let path = folder.join(format!("{name}.log"));
        log.follow(stdout.context("a program without its output")?, &path)?;
        log.follow(stderr.context("a program without its error output")?, &path)?;
        Ok(Self { name: name.to_owned(), id, log, owned })
    }

    /// The name it was started under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it printed.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Its process id, in the lab's process namespace.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What its threads do, for a report: each with its name, its state (proc(5)) and where in the kernel it waits.
    pub(crate) fn threads(&self) -> String {
        threads(self.id)
    }

    /// Types something into it: at a machine, on its serial line.
    ///
    /// # Errors
    /// It has no input, or no longer reads.
    pub fn type_in(&self, text: &str) -> Result<()> {
        let mut owned = self.owned();
        let input = owned.input.as_mut().with_context(|| format!("{} has no input", self.name))?;
        input.write_all(text.as_bytes()).with_context(|| format!("{} no longer reads", self.name))
    }

    /// Sends a signal; nothing happens if the program has ended.
    ///
    /// # Errors
    /// The kernel refuses the signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let Some(process) = self.process()? else { return Ok(()) };
        match pidfd_send_signal(&process, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("{}: cannot send {signal:?}", self.name)),
        }
    }

    /// Waits for the program's end.
    ///
    /// # Errors
    /// It still runs after `within`: what its threads do then is in the error.
    pub fn wait_exit(&self, within: Duration) -> Result<ExitStatus> {
        if let Some(process) = self.process()? {
            let limit = Timespec::try_from(within).context("a deadline too far away")?;
            let over = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit))? > 0;
            if !over && self.owned().child.try_wait()?.is_none() {
                bail!("{} still runs after {} s; its threads: {}", self.name, within.as_secs(), threads(self.id));
            }
        }
        let mut owned = self.owned();
        let status = owned.child.wait()?;
        owned.status = Some(status);
        Ok(status)
    }

    /// Kills the program at once (`SIGKILL`) and waits for its end.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.wait_exit(Duration::from_secs(60)).map(drop)
    }

    /// Asks the program to stop (`SIGTERM`) and waits for its end.
    ///
    /// # Errors
    /// It does not stop within a minute, or ends with a failure.
    pub fn stop(&self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let status = self.wait_exit(Duration::from_secs(60))?;
        if status.success() || status.signal() == Some(Signal::TERM.as_raw()) {
            return Ok(());
        }
        bail!("{} ended with {status} when it was asked to stop", self.name)
    }

    /// A handle on the process, unless it has been reaped: only then could its number be another's.
    fn process(&self) -> Result<Option<OwnedFd>> {
        let owned = self.owned();
        if owned.status.is_some() {
            return Ok(None);
        }
        let pid = i32::try_from(self.id).ok().and_then(Pid::from_raw).context("a process without an id")?;
        Ok(Some(pidfd_open(pid, PidfdFlags::empty())?))
    }

    fn owned(&self) -> MutexGuard<'_, Owned> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if self.status.is_none() {
            // Nobody is left to tell; the namespace's end kills what this misses.
            let _gone = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}

/// What a process's threads do: each with its name, its state (proc(5)) and where in the kernel it waits.
fn threads(id: u32) -> String {
    let tasks = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let told = tasks.map(|task| {
        let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default().trim().to_owned();
        let stat = read("stat");
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('?');
        format!("{} {state} {}", read("comm"), read("wchan"))
    });
    told.collect::<Vec<_>>().join(", ")
}

/// Runs a short program to its end and returns what it printed.
///
/// # Errors
/// It can't be started or fails: its own words are in the error.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}: {}", shown(command), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command as one would type it.
#[must_use]
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_followed_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let running = Running::start("it", command, folder.path()).unwrap();
        assert_eq!(running.wait_exit(Duration::from_secs(60)).unwrap().code(), Some(3));
        running.log().wait_for("out", Duration::from_secs(10)).unwrap();
        running.log().wait_for("err", Duration::from_secs(10)).unwrap();
        assert!(std::fs::read_to_string(folder.path().join("it.log")).unwrap().contains("out"));
    }

    #[test]
    fn a_wait_for_the_end_gives_up_and_a_kill_does_not_ask() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        command.arg("600");
        let running = Running::start("it", command, folder.path()).unwrap();
        let error = running.wait_exit(Duration::from_millis(1)).unwrap_err().to_string();
        assert!(error.contains("its threads: s"), "{error}");
        running.kill().unwrap();
        assert!(running.stop().is_err(), "killed is not a clean end");
    }

    #[test]
    fn a_failing_command_is_told_with_its_own_words() {
        let error = run(Command::new("sh").args(["-c", "echo 'no such bridge' >&2; exit 1"])).unwrap_err().to_string();
        assert!(error.starts_with("sh -c") && error.ends_with("no such bridge"), "{error}");
    }
}
