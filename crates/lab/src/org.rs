//! The lab's org: its keys, its facts and the three signed images of a machine's life are made once for a folder of work, and lent to every scenario.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use slipway_wire::{Cpu, MacAddr};

use crate::lab::Lab;
use crate::machine::Machine;
use crate::net::Host;
use crate::process::run;
use crate::server::Server;

/// Where machines of the lab's org look for it: the scenario's server has this address.
pub const GATEWAY: &str = "10.77.0.1";
/// What the org is called.
const NAME: &str = "lab";
/// The images of a machine's life.
pub(crate) const IMAGES: [&str; 3] = ["bootstrap", "preboot", "generation"];

/// What images are built with for the lab's machines. Linux finds fault with its timer, and gives up, where the emulator is kept waiting
/// for a processor while it counts: it is told not to look, as it is by itself under a hypervisor.
const EMULATED: [&str; 4] = ["--drivers", "virtual", "--cmdline", "no_timer_check"];

/// A server's configuration for them: DHCP, and the org decides what machines are given. What has lost its way is believed lost after
/// twenty seconds.
pub const CONFIG: &str = r#"
[[interface]]
name = "eth0"
mode = "dhcp"

[[subnet]]
network = "10.77.0.0/24"
pool = ["10.77.0.100-10.77.0.200"]
router = "10.77.0.1"

[enrolment]
recover-after = "20s"
"#;

/// The org as it was made, before any machine: a data folder, and the keys of its people beside it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Made {
    folder: PathBuf,
    agent: PathBuf,
}

/// An org with a server of its own in a scenario: enroller, gateway and boot server.
#[derive(Clone, Debug)]
pub struct Org {
    server: Server,
}

impl Made {
    /// Makes it for machines with this processor, or finds it. Images are built anew when what they are made of has changed: the command
    /// that builds them knows.
    ///
    /// # Errors
    /// The program refuses: its own words are in the error.
    pub(crate) fn make(slipway: &Path, agent: &Path, cpu: Cpu, cache: &Path) -> Result<Self> {
        let made = Self { folder: cache.join(format!("org-{}", cpu.name())), agent: agent.to_owned() };
        std::fs::create_dir_all(made.data()).with_context(|| format!("cannot make {}", made.folder.display()))?;
        let _alone = crate::packages::lock(&made.folder.join("lab.lock"))?;
        let command = |words: &[&str]| {
            let mut command = Command::new(slipway);
            command.arg("--data").arg(made.data()).args(words).env("XDG_CONFIG_HOME", made.config());
            command
        };
        if !made.data().join("org").exists() {
            run(&mut command(&["org", "init", NAME, "--gateway", GATEWAY])).context("cannot make the lab's org")?;
        }
        if !made.data().join("secureboot").exists() {
            // Signed images start as well where Secure Boot is off.
            run(&mut command(&["secureboot", "init"])).context("cannot make the Secure Boot keys of the lab's org")?;
        }
        for role in IMAGES {
            let mut build = command(&["image", "build", role, "--arch", cpu.name()]);
            run(build.args(EMULATED).arg("--agent").arg(agent))
                .with_context(|| format!("cannot build the image {role} of the lab's org"))?;
        }
        Ok(made)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn config(&self) -> PathBuf {
        self.folder.join("config")
    }

    /// The newest image of a role (`bootstrap`, `preboot`, `generation`): its version, and its file, which is not to be changed.
    ///
    /// # Errors
    /// There is none.
    pub fn newest(&self, role: &str) -> Result<(u64, PathBuf)> {
        let folder = self.data().join("images").join(role);
        let list = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let names = list.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
        let version = |path: &PathBuf| path.file_stem()?.to_str()?.parse::<u64>().ok();
        let newest = names.iter().filter_map(version).max().with_context(|| format!("the lab's org has no {role}"))?;
        let record: Value = serde_json::from_slice(&std::fs::read(folder.join(format!("{newest}.json")))?)?;
        let digest = record.pointer("/files/uki.efi/sha256").and_then(Value::as_str);
        let digest = digest.with_context(|| format!("the {role} is no UKI: {record}"))?;
        let start = digest.get(..2).unwrap_or_default();
        Ok((newest, self.data().join("blobs/sha256").join(start).join(digest)))
    }

    /// Gives a server all of it.
    fn lend(&self, server: &Server) -> Result<()> {
        self.lend_public(server)?;
        for folder in ["org", "secureboot"] {
            copy(&self.data().join(folder), &server.data().join(folder), "-a")?;
        }
        copy(&self.config(), &server.config_home(), "-a")
    }

    /// Gives a server what anybody may have: the images. Big files are shared: nobody changes them.
    fn lend_public(&self, server: &Server) -> Result<()> {
        for (folder, how) in [("blobs", "-al"), ("cache", "-al"), ("images", "-a")] {
            copy(&self.data().join(folder), &server.data().join(folder), how)?;
        }
        Ok(())
    }
}

fn copy(from: &Path, to: &Path, how: &str) -> Result<()> {
    run(Command::new("cp").arg(how).arg("--no-target-directory").arg(from).arg(to)).map(drop)
}

impl Lab {
    /// The org as it was made for this scenario's processor.
    ///
    /// # Errors
    /// The scenario is not registered as one that has an org.
    pub fn made_org(&self) -> Result<&Made> {
        self.parts().org.as_ref().context("this scenario is not registered as one that has an org")
    }

    /// The lab's org on this host, which has the address [`GATEWAY`]: its server is prepared with the configuration [`CONFIG`] and `more`,
    /// and has the images `bootstrap`, `preboot` and `generation`, and the Secure Boot keys that signed them; it is not started yet.
    ///
    /// # Errors
    /// As [`made_org`](Self::made_org), or its files can't be copied.
    pub fn org(&mut self, host: &Host, more: &str) -> Result<Org> {
        let made = self.made_org()?.clone();
        let server = self.slipway(host, &format!("{CONFIG}{more}"))?;
        made.lend(&server)?;
        Ok(Org { server })
    }

    /// An impostor on this host, which has the address [`GATEWAY`]: it gives machines the lab's org's own images, which are public, and is
    /// the gateway of another org with the same name; its server is prepared with [`CONFIG`], and not started yet.
    ///
    /// # Errors
    /// As [`org`](Self::org), or the program refuses.
    pub fn impostor(&mut self, host: &Host) -> Result<Org> {
        let made = self.made_org()?.clone();
        let server = self.slipway(host, CONFIG)?;
        made.lend_public(&server)?;
        server.cli(["org", "init", NAME, "--gateway", GATEWAY])?;
        Ok(Org { server })
    }

    /// Builds another image of the lab's org into this one's store, with these words after the role: an older version, for instance.
    /// Returns what the command tells of it.
    ///
    /// # Errors
    /// The program refuses.
    pub fn build_image(&self, org: &Org, words: &[&str]) -> Result<Value> {
        let agent = self.made_org()?.agent.display().to_string();
        let emulated = if words.contains(&"--drivers") { &[][..] } else { &EMULATED };
        let all = [&["image", "build"], words, emulated, &["--json", "--agent", &agent]].concat();
        let told = org.server.cli(all)?;
        serde_json::from_str(&told).with_context(|| format!("`slipway image build` says no JSON: {told}"))
    }
}

impl Org {
    /// The file with its escrow key.
    pub(crate) fn escrow_key(&self) -> String {
        self.server.config_home().join("slipway/org").join(NAME).join("escrow.key").display().to_string()
    }

    /// Its server.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Opens an enrolment window.
    ///
    /// # Errors
    /// The server refuses.
    pub fn open_window(&self) -> Result<()> {
        self.server.cli(["window", "open", "--for", "1h"]).map(drop)
    }

    /// Closes it.
    ///
    /// # Errors
    /// The server refuses.
    pub fn close_window(&self) -> Result<()> {
        self.server.cli(["window", "close"]).map(drop)
    }

    /// Makes an invite, with these words after `slipway invite create`, and returns its token.
    ///
    /// # Errors
    /// The server refuses.
    pub fn invite(&self, words: &[&str]) -> Result<String> {
        let file = self.server.config_home().join("token");
        let path = file.display().to_string();
        let _none = std::fs::remove_file(&file);
        self.server.cli(["invite", "create"].iter().chain(words).copied().chain(["--out", &path]))?;
        let token = std::fs::read_to_string(&file).with_context(|| format!("no token in {path}"))?;
        Ok(token.trim().to_owned())
    }

    /// A person approves the machine that asks: with the six words as they stand on its console, and these words more (`--name web-1`).
    ///
    /// # Errors
    /// It shows no words, or the server refuses: it is another conversation than the server's.
    pub fn approve(&self, machine: &Machine, more: &[&str]) -> Result<()> {
        let words = machine.six_words()?;
        let mac = machine.mac().to_string();
        let said = ["approve", &mac, "--words", &words, "--yes"];
        self.server.cli(said.iter().chain(more).copied()).map(drop)
    }

    /// An admin's act on a machine: `suspend`, `resume`, `retire`, `revoke`.
    ///
    /// # Errors
    /// The server refuses.
    pub fn act(&self, verb: &str, machine: MacAddr) -> Result<()> {
        self.server.cli(["machine", verb, &machine.to_string(), "--reason", "the scenario wants it"]).map(drop)
    }

    /// What the org knows of the machine with this hardware address. Of several that had it, the one that was let in last.
    ///
    /// # Errors
    /// It knows none.
    pub fn machine(&self, mac: MacAddr) -> Result<Value> {
        let known = self.server.ask("/org/machines")?;
        let text = mac.to_string();
        let has =
            |machine: &&Value| machine.pointer("/inventory/macs").is_some_and(|macs| macs.to_string().contains(&text));
        let list = known.get("machines").and_then(Value::as_array);
        let found = list.and_then(|list| list.iter().rfind(has));
        found.cloned().with_context(|| format!("the org knows no machine {mac}: {known}"))
    }

    /// A text of what the org knows of the machine: `state`, `assurance`, `id`.
    ///
    /// # Errors
    /// It does not know the machine, or not that of it.
    pub fn told(&self, mac: MacAddr, what: &str) -> Result<String> {
        let machine = self.machine(mac)?;
        let text = machine.get(what).and_then(Value::as_str).map(str::to_owned);
        text.with_context(|| format!("the org does not tell the machine's {what}: {machine}"))
    }

    /// Has the log of everything that was done in the org checked, and returns it.
    ///
    /// # Errors
    /// It is not whole.
    pub fn audit(&self) -> Result<String> {
        self.server.cli(["audit", "verify"]).context("the audit log is not whole")
    }
}
