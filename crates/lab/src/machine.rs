//! Virtual machines: blank computers with a chosen firmware, in QEMU without hardware help.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use slipway_wire::{Cpu, MacAddr};

use crate::capture::Packets;
use crate::log::{Line, Log};
use crate::process::Running;
use crate::record::Stage;
use crate::story::Story;
use crate::tpm::Tpm;

mod monitor;
mod order;
mod steps;

use monitor::Monitor;
pub use order::Order;

/// What a machine does when it is switched on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Firmware {
    /// edk2's own PXE client: UEFI, x86-64.
    UefiPxe,
    /// edk2's HTTP Boot client: PXE is switched off, so that it comes first.
    UefiHttp,
    /// edk2's PXE client over IPv6: PXE over IPv4 is switched off, so that it comes first.
    UefiPxe6,
    /// edk2's HTTP Boot client on a network without IPv4: it tries IPv4 first, and IPv6 when that stays silent.
    UefiHttp6,
    /// SeaBIOS, whose network card has iPXE as its ROM.
    Bios,
    /// edk2's own PXE client: UEFI, 64-bit ARM.
    Arm64Pxe,
    /// edk2's HTTP Boot client on 64-bit ARM: PXE is switched off, so that it comes first.
    Arm64Http,
    /// U-Boot on 64-bit ARM, which goes through its boot targets by itself.
    Arm64UBoot,
}

/// A machine that was switched on.
#[derive(Clone, Debug)]
pub struct Machine {
    name: String,
    mac: MacAddr,
    uuid: String,
    on_at: SystemTime,
    packets: Packets,
    process: Running,
    tpm: Option<Tpm>,
    monitor: Monitor,
}

/// What a machine that booted said of itself on its console.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Booted {
    /// The hardware address of the interface it booted from.
    pub mac: String,
    /// The address it got.
    pub ip: String,
    /// The kernel's release.
    pub kernel: String,
    /// The whole of `/proc/cmdline`.
    pub cmdline: String,
}

/// How long a machine may take from power-on to Linux: two machines at once on two slow processors.
const BOOT: Duration = Duration::from_secs(300);

/// What our agent says before it has Linux switch the machine off.
const POWERING_OFF: &str = "slipway-agent: powering off";

/// What a machine says last when it will not boot any more: SeaBIOS, edk2, Linux.
const HOPELESS: &[&str] = &["No bootable device.", "BdsDxe: No bootable option or device was found", "Kernel panic - "];

/// What begins the line with which our agent says that its machine has booted.
const BOOTED: &str = "slipway-agent: booted ";
/// The same for its report to the server, and for its failing.
const REPORTED: &str = "slipway-agent: reported to ";
const NOT_REPORTED: &str = "slipway-agent: not reported: ";

impl Firmware {
    /// The processor it is for.
    const fn cpu(self) -> Cpu {
        match self {
            Self::Arm64Pxe | Self::Arm64Http | Self::Arm64UBoot => Cpu::Arm64,
            Self::UefiPxe | Self::UefiHttp | Self::UefiPxe6 | Self::UefiHttp6 | Self::Bios => Cpu::X64,
        }
    }

    /// Of which IP versions its PXE client is switched off.
    const fn without_pxe(self) -> &'static [&'static str] {
        match self {
            Self::Bios | Self::Arm64UBoot => &[],
            Self::UefiPxe | Self::Arm64Pxe => &["IPv6"],
            Self::UefiPxe6 => &["IPv4"],
            Self::UefiHttp | Self::UefiHttp6 | Self::Arm64Http => &["IPv4", "IPv6"],
        }
    }
}

impl Machine {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its hardware address.
    #[must_use]
    pub fn mac(&self) -> MacAddr {
        self.mac
    }

    /// Its SMBIOS UUID.
    #[must_use]
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// What it prints on its serial line, from the firmware's first words on.
    #[must_use]
    pub fn console(&self) -> &Log {
        self.process.log()
    }

    /// Its QEMU.
    #[must_use]
    pub fn process(&self) -> &Running {
        &self.process
    }

    /// Types a line at a prompt, a few characters at a time, each seen on the console before the next: a serial port has room for
    /// sixteen, and what comes while firmware is slow to read them is lost.
    ///
    /// # Errors
    /// It no longer reads, or does not show what was typed.
    pub fn type_line(&self, line: &str) -> Result<()> {
        const ROOM: usize = 8;
        let mark = self.console().mark();
        let mut shown = String::new();
        for (number, character) in line.chars().enumerate() {
            self.process.type_in(character.encode_utf8(&mut [0; 4]))?;
            shown.push(character);
            if (number + 1) % ROOM == 0 {
                self.console().wait_for_prompt(mark, shown.trim_end(), Duration::from_secs(60))?;
            }
        }
        // What the key sends; whoever wants a line feed makes one of it.
        self.process.type_in("\r")
    }

    /// When it was switched on.
    #[must_use]
    pub fn on_at(&self) -> SystemTime {
        self.on_at
    }

    /// Waits until Linux runs on it and our agent has said what booted.
    ///
    /// # Errors
    /// It does not come to that within five minutes, or powers off first.
    pub fn wait_booted(&self) -> Result<Booted> {
        let texts: Vec<&str> = [BOOTED].iter().chain(HOPELESS).copied().collect();
        let line = self.console().wait_for_any(0, &texts, BOOT)?;
        if HOPELESS.iter().any(|text| line.text.contains(text)) {
            bail!("{} does not boot: {}", self.name, line.text);
        }
        Booted::parse(&line.text).with_context(|| format!("cannot read {:?}", line.text))
    }

    /// Waits until it has reported to the server.
    ///
    /// # Errors
    /// It says why it could not, or nothing within three minutes.
    pub fn wait_reported(&self) -> Result<Line> {
        let line = self.console().wait_for_any(0, &[REPORTED, NOT_REPORTED], Duration::from_secs(180))?;
        if line.text.contains(NOT_REPORTED) {
            bail!("{}: {}", self.name, line.text);
        }
        Ok(line)
    }

    /// Waits until it has switched itself off. Once Linux has said that it does so, a virtual machine that stays on for another
    /// three minutes has its plug pulled, and that is said: what it booted is not in doubt.
    ///
    /// # Errors
    /// It stays on without a word of switching off, or QEMU fails.
    pub fn wait_off(&self) -> Result<()> {
        match self.process.wait_exit(Duration::from_secs(180)) {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => bail!("{}: QEMU ended with {status}", self.name),
            Err(error) => {
                let last = self.console().tail(1).join("");
                if self.console().find(POWERING_OFF).is_none() {
                    return Err(error.context(format!("the last line of its console is {last:?}")));
                }
                println!("note: {error:#}; it was switching off, so its plug was pulled, after {last:?}");
                self.pull_plug()
            }
        }
    }

    /// Pulls its plug, whatever it does. What its disks, its firmware's variables and its TPM hold by then, they hold when it is switched
    /// on again, by the same [`Order`].
    ///
    /// # Errors
    /// It cannot be ended, or its TPM does not end with it.
    pub fn pull_plug(&self) -> Result<()> {
        self.process.kill()?;
        self.tpm.as_ref().map_or(Ok(()), Tpm::rest)
    }

    /// Its TPM, if it has one.
    #[must_use]
    pub fn tpm(&self) -> Option<&Tpm> {
        self.tpm.as_ref()
    }

    /// What it does now, as its QEMU tells, for a report; nothing once it is off.
    pub(crate) fn state(&self) -> Vec<String> {
        if self.process.wait_exit(Duration::ZERO).is_ok() {
            return Vec::new();
        }
        let mut lines = self.monitor.state();
        lines.push(format!("Threads of its QEMU: {}", self.process.threads()));
        lines
    }

    /// Presses keys on its console, whatever it is doing, and looks at nothing: for what waits for a key.
    ///
    /// # Errors
    /// It no longer reads.
    pub fn press(&self, keys: &str) -> Result<()> {
        self.process.type_in(keys)
    }

    /// How long each part of the boot took.
    #[must_use]
    pub fn stages(&self) -> Vec<Stage> {
        let story = Story::of(&self.packets.all()).of_machine(self.mac);
        let console = |text: &str| self.console().find(text).map(|line| line.at);
        let marks = [
            ("first DISCOVER", story.first_discover()),
            ("boot file loaded", story.boot_file_loaded()),
            ("kernel up", console("Linux version ")),
            ("booted", console(BOOTED)),
            ("reported", console(REPORTED)),
        ];
        Stage::between(self.on_at, &marks)
    }
}

impl Booted {
    /// Reads the line: `… booted mac=M ip=I kernel=K cmdline="C"`.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.split_once(": booted mac=")?;
        let (mac, rest) = rest.split_once(" ip=")?;
        let (ip, rest) = rest.split_once(" kernel=")?;
        let (kernel, rest) = rest.split_once(" cmdline=\"")?;
        let (cmdline, _) = rest.rsplit_once('"')?;
        let own = str::to_owned;
        Some(Self { mac: own(mac), ip: own(ip), kernel: own(kernel), cmdline: own(cmdline) })
    }
}

#[cfg(test)]
mod tests;
