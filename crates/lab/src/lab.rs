//! One scenario's world: its networks, hosts, servers, machines, and everything they said.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::capture::{Capture, Packets};
use crate::firmware::Program;
use crate::linux::Linux;
use crate::log::indent;
use crate::machine::{Machine, Order};
use crate::net::{Host, Lan};
use crate::parts::Parts;
use crate::process::{Running, run};
use crate::record::Stage;
use crate::server::Server;
use crate::story::Story;

/// A lab: what a scenario is given. Everything in it ends with it.
#[derive(Debug)]
pub struct Lab {
    name: String,
    folder: PathBuf,
    parts: Parts,
    captures: Vec<Capture>,
    servers: Vec<Server>,
    machines: Vec<Machine>,
    kept: Vec<Running>,
    stages: Vec<Stage>,
}

impl Lab {
    /// Makes the world of scenario `name` in the current network and mount namespace, which must be this process' own, and
    /// empties its folder.
    ///
    /// # Errors
    /// The folder can't be made anew, or the kernel refuses.
    pub fn new(name: &str, parts: &Parts) -> Result<Self> {
        let folder = parts.work.join(name);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        own_run_folder(&folder)?;
        run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
        Ok(Self {
            name: name.to_owned(),
            folder,
            parts: parts.clone(),
            captures: Vec::new(),
            servers: Vec::new(),
            machines: Vec::new(),
            kept: Vec::new(),
            stages: Vec::new(),
        })
    }

    /// The scenario's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The scenario's folder: logs, captures and whatever else it wants to leave behind.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the lab is made of.
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// What machines boot.
    ///
    /// # Errors
    /// The scenario is not registered as one that boots machines.
    pub fn linux(&self) -> Result<&Linux> {
        self.parts.linux.as_ref().context("this scenario is not registered as one that boots machines")
    }

    /// Writes a UKI into the scenario's folder, with our agent and this command line.
    ///
    /// # Errors
    /// As [`linux`](Self::linux), or a file can't be read or written.
    pub fn uki(&self, cmdline: &str) -> Result<PathBuf> {
        let path = self.folder.join("linux.efi");
        self.linux()?.uki(cmdline, &path)?;
        Ok(path)
    }

    /// A command line for this scenario's machines: they speak on the serial line, power off when done, and carry the scenario's
    /// name as a mark that only its own image can have brought.
    #[must_use]
    pub fn cmdline(&self) -> String {
        let console = self.parts.linux.as_ref().map_or("ttyS0", |linux| &linux.console);
        format!("console={console} no_timer_check slipway.poweroff lab.marker={}", self.name)
    }

    /// Plugs in a LAN that is captured from the start: in `<name>.pcap` and in [`packets`](Self::packets).
    ///
    /// # Errors
    /// The kernel refuses, or the capture does not start.
    pub fn lan(&mut self, name: &str) -> Result<Lan> {
        let lan = Lan::create(name)?;
        self.captures.push(Capture::start(&lan, &self.folder)?);
        Ok(lan)
    }

    /// Plugs in a host, with a leg for each LAN and `address/length` there (or "" for none).
    ///
    /// # Errors
    /// The kernel refuses, or an address is not one.
    pub fn host(&mut self, name: &str, addresses: &[(&Lan, &str)]) -> Result<Host> {
        Host::create(name, addresses, self.folder.clone())
    }

    /// Prepares our server on a host: its configuration is written, it is not started yet. `config` is the TOML text without
    /// `data`, `[control]` and `[log]`, which are the lab's.
    ///
    /// # Errors
    /// Its folder or configuration can't be written.
    pub fn slipway(&mut self, host: &Host, config: &str) -> Result<Server> {
        let server = Server::prepare(host, Some(config), &self.parts.slipway, &self.folder)?;
        self.servers.push(server.clone());
        Ok(server)
    }

    /// Prepares our server on a host without any configuration: on its embedded default.
    ///
    /// # Errors
    /// Its folder can't be made.
    pub fn slipway_by_default(&mut self, host: &Host) -> Result<Server> {
        let server = Server::prepare(host, None, &self.parts.slipway, &self.folder)?;
        self.servers.push(server.clone());
        Ok(server)
    }

    /// Switches a machine on.
    ///
    /// # Errors
    /// QEMU or its firmware is missing, or QEMU does not start.
    pub fn power_on(&mut self, order: Order, lan: &Lan) -> Result<Machine> {
        let packets = self.packets(lan)?;
        let machine = order.power_on(lan, packets, &self.folder)?;
        self.machines.push(machine.clone());
        Ok(machine)
    }

    /// Keeps a program running until the scenario's end, also when the scenario fails.
    pub fn keep(&mut self, running: &Running) {
        self.kept.push(running.clone());
    }

    /// What was seen on a LAN so far.
    ///
    /// # Errors
    /// The LAN is not of this lab.
    pub fn packets(&self, lan: &Lan) -> Result<Packets> {
        let wanted = format!("{}.pcap", lan.name());
        let capture = self.captures.iter().find(|capture| capture.path().ends_with(&wanted));
        Ok(capture.context("a LAN of another lab")?.packets().clone())
    }

    /// The story of what was seen on a LAN so far.
    ///
    /// # Errors
    /// The LAN is not of this lab.
    pub fn story(&self, lan: &Lan) -> Result<Story> {
        Ok(Story::of(&self.packets(lan)?.all()))
    }

    /// Notes how long something took, for the result's table.
    pub fn stage(&mut self, stage: Stage) {
        self.stages.push(stage);
    }

    /// How long the parts of the scenario took: those it noted, and those of its machines' boots.
    #[must_use]
    pub fn stages(&self) -> Vec<Stage> {
        let several = self.machines.len() > 1;
        let boots = self.machines.iter().flat_map(|machine| {
            let mut stages = machine.stages();
            if several {
                stages.iter_mut().for_each(|stage| stage.name.insert_str(0, &format!("{}: ", machine.name())));
            }
            stages
        });
        self.stages.iter().cloned().chain(boots).collect()
    }

    /// What these programs of its machines are, with their versions.
    pub(crate) fn programs(&self, programs: &[Program]) -> Vec<String> {
        let consoles: Vec<_> = self.machines.iter().map(|machine| machine.console().clone()).collect();
        programs.iter().map(|program| program.told(&consoles)).collect()
    }

    /// Says what happens, to whoever runs the lab.
    pub fn say(&self, text: &str) {
        println!("{text}");
    }

    /// What went on, for someone who has to find out why the scenario failed: the last words of each machine, each LAN's story,
    /// and what the servers logged.
    #[must_use]
    pub fn report(&self) -> String {
        let mut out = String::new();
        for machine in &self.machines {
            out += &format!("Last lines of {}'s console:\n{}", machine.name(), indent(&machine.console().tail(25)));
        }
        for machine in &self.machines {
            let state = machine.state();
            if !state.is_empty() {
                out += &format!("{} is still on:\n{}", machine.name(), indent(&state));
            }
        }
        for tpm in self.machines.iter().filter_map(Machine::tpm) {
            out += &format!("Last words of the TPM {} ({0}-swtpm.log):\n{}", tpm.name(), indent(&tpm.last_words()));
        }
        for capture in &self.captures {
            let story = Story::of(&capture.packets().all());
            out += &format!("Packets in {}:\n{}", capture.path().display(), indent(&story.lines()));
        }
        for server in &self.servers {
            out += &format!("Journal of slipway on {}:\n{}", server.host().name(), indent(&server.journal_tail()));
            out += &format!("Last lines of its log:\n{}", indent(&server.log_tail(40)));
        }
        out
    }
}

/// Gives this mount namespace a `/run` of its own, where `ip netns` keeps its names and programs their sockets, and hides
/// the computer's `resolv.conf`, which DHCP clients would write, and its Slipway configuration.
fn own_run_folder(folder: &Path) -> Result<()> {
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=755", "slipway-lab", "/run"]))?;
    std::fs::create_dir_all("/run/netns").context("cannot make /run/netns")?;
    let resolv = folder.join("resolv.conf");
    std::fs::write(&resolv, "").context("cannot write resolv.conf")?;
    if Path::new("/etc/resolv.conf").exists() {
        run(Command::new("mount").arg("--bind").arg(&resolv).arg("/etc/resolv.conf"))?;
    }
    if Path::new("/etc/slipway").exists() {
        // A configuration of this computer's own Slipway is none of the lab's.
        run(Command::new("mount").args(["-t", "tmpfs", "slipway-lab", "/etc/slipway"]))?;
    }
    Ok(())
}
