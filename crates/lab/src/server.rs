//! Our server under test: a real `slipway serve` on a host of the lab.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use slipway_wire::MacAddr;

use crate::log::Log;
use crate::net::Host;
use crate::process::{Running, run};

/// How long the server may take to be ready: it may import loaders and verify images first, on a busy machine.
const READY: Duration = Duration::from_secs(60);

/// One `slipway serve`, which can be started again after it was stopped or killed. Clones share it.
#[derive(Clone, Debug)]
pub struct Server {
    host: Host,
    program: PathBuf,
    folder: PathBuf,
    logs: PathBuf,
    socket: PathBuf,
    notify: PathBuf,
    signs: Log,
    running: Arc<Mutex<Option<Running>>>,
}

impl Server {
    /// A server with this configuration, or with none: then on its embedded default.
    pub(crate) fn prepare(host: &Host, config: Option<&str>, program: &Path, logs: &Path) -> Result<Self> {
        let folder = logs.join(format!("{}-slipway", host.name()));
        std::fs::create_dir_all(folder.join("data")).with_context(|| format!("cannot make {}", folder.display()))?;
        let run = Path::new("/run").join(format!("slipway-{}", host.name()));
        std::fs::create_dir_all(&run).with_context(|| format!("cannot make {}", run.display()))?;
        let server = Self {
            host: host.clone(),
            program: program.to_owned(),
            logs: logs.to_owned(),
            socket: run.join("control.sock"),
            notify: run.join("notify"),
            signs: Log::new(&format!("slipway on {}", host.name())),
            running: Arc::default(),
            folder,
        };
        server.listen_for_signs()?;
        if let Some(config) = config {
            server.configure(config)?;
        }
        Ok(server)
    }

    /// The host it runs on.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Writes the configuration anew; a running server learns of it by [`reload`](Self::reload).
    ///
    /// # Errors
    /// The file can't be written.
    pub fn configure(&self, config: &str) -> Result<()> {
        let (data, socket) = (self.data(), self.socket.display());
        let head = format!("data = {data:?}\n[control]\nsocket = \"{socket}\"\n[log]\nlevel = \"debug\"\n");
        let path = self.config();
        std::fs::write(&path, head + config).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Where its people keep their settings and keys (`XDG_CONFIG_HOME`).
    #[must_use]
    pub fn config_home(&self) -> PathBuf {
        self.folder.join("config")
    }

    fn config(&self) -> PathBuf {
        self.folder.join("slipway.toml")
    }

    /// Starts the server and waits until it says that it serves (`READY=1`, as to systemd).
    ///
    /// # Errors
    /// It runs already, ends at once, or is not ready within a minute.
    pub fn start(&self) -> Result<()> {
        let mark = self.signs.mark();
        self.spawn()?;
        self.wait_ready(mark)
    }

    /// Starts the server without waiting.
    ///
    /// # Errors
    /// It runs already, or can't be started.
    pub fn spawn(&self) -> Result<()> {
        let mut running = self.running();
        if running.is_some() {
            bail!("slipway on {} runs already", self.host.name());
        }
        let mut command = self.host.command(&self.program);
        command.arg("--data").arg(self.data()).arg("serve");
        if self.config().exists() {
            command.arg("--config").arg(self.config());
        }
        command.env("XDG_CONFIG_HOME", self.config_home());
        command.env("NOTIFY_SOCKET", &self.notify).env("SLIPWAY_CONTROL", &self.socket);
        *running = Some(Running::start(&format!("{}-slipway", self.host.name()), command, &self.logs)?);
        Ok(())
    }

    fn wait_ready(&self, mark: usize) -> Result<()> {
        let ended = self.process()?;
        let signs = self.signs.clone();
        // A server that ends must not be waited for: its end is a sign too, and no other one's.
        let exited = format!("EXITED {};", ended.id());
        let sign = exited.clone();
        std::thread::spawn(move || {
            if ended.wait_exit(READY).is_ok() {
                signs.push(&sign);
            }
        });
        let sign = self.signs.wait_for_any(mark, &["READY=1", &exited], READY);
        match sign {
            Ok(line) if line.text.contains("READY=1") => Ok(()),
            Ok(_) => {
                bail!("slipway on {} ended instead of serving:\n{}", self.host.name(), self.log_tail(20).join("\n"))
            }
            Err(error) => Err(error.context(self.log_tail(20).join("\n"))),
        }
    }

    /// Has the server read its configuration again (`SIGHUP`) and waits until it has.
    ///
    /// # Errors
    /// It does not say that it is ready again.
    pub fn reload(&self) -> Result<()> {
        let mark = self.signs.mark();
        self.sighup()?;
        self.signs.wait_from(mark, "READY=1", READY).map(drop)
    }

    /// Sends `SIGHUP` without waiting for its effect.
    ///
    /// # Errors
    /// It is not running.
    pub fn sighup(&self) -> Result<()> {
        self.process()?.signal(Signal::HUP)
    }

    /// Kills the server as a power cut would (`SIGKILL`).
    ///
    /// # Errors
    /// It is not running.
    pub fn kill9(&self) -> Result<()> {
        let process = self.process()?;
        *self.running() = None;
        process.kill()
    }

    /// Stops the server (`SIGTERM`) and insists on a clean end.
    ///
    /// # Errors
    /// It is not running, does not end within a minute, or ends with a failure.
    pub fn stop(&self) -> Result<()> {
        let process = self.process()?;
        *self.running() = None;
        process.signal(Signal::TERM)?;
        let status = process.wait_exit(Duration::from_secs(60))?;
        if !status.success() {
            bail!("slipway on {} ended with {status} when it was asked to stop", self.host.name());
        }
        Ok(())
    }

    /// The process, for what has no method here.
    ///
    /// # Errors
    /// It is not running.
    pub fn process(&self) -> Result<Running> {
        self.running().clone().with_context(|| format!("slipway on {} is not running", self.host.name()))
    }

    /// Its log: what it prints.
    ///
    /// # Errors
    /// It is not running.
    pub fn log(&self) -> Result<Log> {
        Ok(self.process()?.log().clone())
    }

    /// Runs `slipway` with this server's data folder, control socket and the given words, on its host; returns what it printed.
    ///
    /// # Errors
    /// The command fails: its own words are in the error.
    pub fn cli<S: AsRef<std::ffi::OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Result<String> {
        let mut command = self.host.command(&self.program);
        command.arg("--data").arg(self.data()).args(words).env("SLIPWAY_CONTROL", &self.socket);
        run(command.env("XDG_CONFIG_HOME", self.config_home()))
    }

    /// What the control socket answers to a GET of this path, below its prefix.
    ///
    /// # Errors
    /// The server does not run, or does not answer with JSON and 200.
    pub fn ask(&self, path: &str) -> Result<serde_json::Value> {
        let mut stream = UnixStream::connect(&self.socket).context("cannot reach the control socket")?;
        stream.set_read_timeout(Some(READY))?;
        write!(stream, "GET /v1{path} HTTP/1.0\r\nHost: slipway\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer on the control socket")?;
        let status = head.split_whitespace().nth(1).unwrap_or_default();
        ensure!(status == "200", "{path}: {status}: {body}");
        serde_json::from_str(body).with_context(|| format!("{path} is no JSON: {body}"))
    }

    /// What `slipway machine show MAC --json` says.
    ///
    /// # Errors
    /// The server does not run, or does not know the machine.
    pub fn journal_json(&self, mac: MacAddr) -> Result<serde_json::Value> {
        let text = self.cli(["--json", "machine", "show", &mac.to_string()])?;
        serde_json::from_str(&text).with_context(|| format!("machine show printed no JSON: {text}"))
    }

    pub(crate) fn journal_tail(&self) -> Vec<String> {
        let text = self.cli(["machines"]).unwrap_or_else(|error| format!("{error:#}"));
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn log_tail(&self, lines: usize) -> Vec<String> {
        let path = self.logs.join(format!("{}-slipway.log", self.host.name()));
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all.iter().rev().take(lines).rev().map(|line| (*line).to_owned()).collect()
    }

    /// Takes the place of systemd: what the server says of itself becomes lines of [`signs`](Self::signs).
    fn listen_for_signs(&self) -> Result<()> {
        let socket = UnixDatagram::bind(&self.notify).context("cannot listen for the server's readiness")?;
        let signs = self.signs.clone();
        std::thread::spawn(move || {
            let mut buffer = [0_u8; 4096];
            while let Ok(read) = socket.recv(&mut buffer) {
                for line in String::from_utf8_lossy(buffer.get(..read).unwrap_or_default()).lines() {
                    signs.push(line);
                }
            }
        });
        Ok(())
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
