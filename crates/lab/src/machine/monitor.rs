//! What QEMU says of a machine that fell silent: whether it runs, and where its processor stands.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

const STATUS: &str = "info status";
/// What is asked: whether it runs, and twice where each processor stands, so that a loop can be told from a halt.
const QUESTIONS: &[&str] = &[STATUS, "info registers -a", "info registers -a"];
/// How long QEMU may take for an answer: what answers at all does so at once.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is worth telling of a processor's registers: those that say where it is and in which mode.
const TELLING: &[&str] = &["CPU#", "RIP=", "EIP=", "PC=", "PSTATE=", "CR0=", "RSP="];

/// QEMU's side of a machine. Clones are the same machine's.
#[derive(Clone, Debug)]
pub(super) struct Monitor {
    socket: PathBuf,
}

impl Monitor {
    /// The monitor of the machine of this name, which is unique within the scenario.
    pub(super) fn of(name: &str) -> Self {
        Self { socket: Path::new("/run").join(format!("{name}.monitor")) }
    }

    /// QEMU's arguments: it speaks its machine protocol (QMP) there.
    pub(super) fn arguments(&self) -> [String; 2] {
        ["-qmp".to_owned(), format!("unix:{},server=on,wait=off", self.socket.display())]
    }

    /// What QEMU says of the machine, line by line. That it does not answer is a finding too.
    pub(super) fn state(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let asked = Talk::begin(&self.socket).and_then(|mut talk| {
            for question in QUESTIONS {
                let told = |line: &&str| *question == STATUS || TELLING.iter().any(|word| line.contains(word));
                lines.extend(talk.ask(question)?.lines().filter(told).map(|line| line.trim().to_owned()));
            }
            Ok(())
        });
        if let Err(error) = asked {
            lines.push(format!("QEMU's monitor does not answer: {error}"));
        }
        lines
    }

    /// Presses the machine's reset button.
    ///
    /// # Errors
    /// QEMU does not answer.
    pub(super) fn reset(&self) -> io::Result<()> {
        Talk::begin(&self.socket)?.ask("system_reset").map(drop)
    }
}

/// A conversation with QEMU.
struct Talk {
    stream: UnixStream,
    answers: BufReader<UnixStream>,
}

impl Talk {
    fn begin(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut talk = Self { answers: BufReader::new(stream.try_clone()?), stream };
        // Its greeting.
        talk.answers.read_line(&mut String::new())?;
        talk.execute(&json!({ "execute": "qmp_capabilities" }))?;
        Ok(talk)
    }

    /// Has QEMU do what a person would type at its monitor.
    fn ask(&mut self, words: &str) -> io::Result<String> {
        self.execute(&json!({ "execute": "human-monitor-command", "arguments": { "command-line": words } }))
    }

    fn execute(&mut self, command: &Value) -> io::Result<String> {
        self.stream.write_all(format!("{command}\n").as_bytes())?;
        loop {
            let mut line = String::new();
            if self.answers.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // Events stand between the answers.
            let answer: Value = serde_json::from_str(&line)?;
            if let Some(said) = answer.get("return").or_else(|| answer.get("error")) {
                return Ok(said.as_str().map_or_else(|| said.to_string(), str::to_owned));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn what_qemu_tells_of_a_machine_is_cut_to_where_its_processor_stands() {
        let folder = tempfile::tempdir().unwrap();
        let monitor = Monitor { socket: folder.path().join("monitor") };
        let qemu = UnixListener::bind(&monitor.socket).unwrap();
        let answers = std::thread::spawn(move || {
            let (mut stream, _) = qemu.accept().unwrap();
            let mut asked = BufReader::new(stream.try_clone().unwrap()).lines();
            writeln!(stream, r#"{{"QMP": {{}}}}"#).unwrap();
            for answer in ["{}", r#""VM status: running\r\n""#, r#""CPU#0\r\nRAX=0\r\nRIP=fffffff0 RFL=2\r\n""#] {
                asked.next().unwrap().unwrap();
                writeln!(stream, r#"{{"event": "RESET"}}"#).unwrap();
                writeln!(stream, r#"{{"return": {answer}}}"#).unwrap();
            }
        });
        let told = monitor.state();
        answers.join().unwrap();
        assert_eq!(told[..3], ["VM status: running", "CPU#0", "RIP=fffffff0 RFL=2"]);
        assert!(told[3].starts_with("QEMU's monitor does not answer: "), "{told:?}");
    }
}
