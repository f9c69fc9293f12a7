//! Virtual machines: blank computers with a chosen firmware, in QEMU without hardware help.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use slipway_wire::{Cpu, MacAddr};

use crate::capture::Packets;
use crate::ear::{Ear, Hears};
use crate::log::{Line, Log};
use crate::net::Lan;
use crate::parts;
use crate::process::Running;
use crate::record::Stage;
use crate::secure::{self, Keys};
use crate::story::Story;

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

/// A machine to be made.
#[derive(Clone, Debug)]
pub struct Order {
    name: String,
    number: u8,
    firmware: Firmware,
    memory_mib: u32,
    cpus: u8,
    trusted: Option<PathBuf>,
    disk: Option<Disk>,
    restarts: bool,
    hears: Option<Hears>,
    secure: Option<Keys>,
}

/// A machine's own disk.
#[derive(Clone, Debug)]
enum Disk {
    /// This raw image.
    Image(PathBuf),
    /// A FAT file system with the files of this folder: a UEFI system partition, for instance.
    Folder(PathBuf),
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

/// The files that a machine's firmware is in.
#[derive(Debug)]
enum Flash {
    /// QEMU's own.
    Own,
    /// U-Boot.
    UBoot(PathBuf),
    /// UEFI firmware and its variables.
    Uefi { code: PathBuf, vars: PathBuf },
}

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

impl Order {
    /// A blank machine. `number` makes its hardware address and UUID: unique within a scenario.
    #[must_use]
    pub fn new(name: &str, number: u8, firmware: Firmware) -> Self {
        Self {
            name: name.to_owned(),
            number,
            firmware,
            memory_mib: 1024,
            cpus: 1,
            trusted: None,
            disk: None,
            restarts: false,
            hears: None,
            secure: None,
        }
    }

    /// Its memory, in MiB (1024 unless said).
    #[must_use]
    pub fn memory(mut self, mib: u32) -> Self {
        self.memory_mib = mib;
        self
    }

    /// Its processors (1 unless said).
    #[must_use]
    pub fn cpus(mut self, count: u8) -> Self {
        self.cpus = count;
        self
    }

    /// The CAs that its firmware believes over HTTPS: an EFI signature list (none unless said).
    #[must_use]
    pub fn trusting(mut self, authorities: &Path) -> Self {
        self.trusted = Some(authorities.to_owned());
        self
    }

    /// A disk of its own, tried after the network: this raw image (no disk unless said).
    #[must_use]
    pub fn disk(mut self, image: &Path) -> Self {
        self.disk = Some(Disk::Image(image.to_owned()));
        self
    }

    /// The same with a FAT file system that holds the files of this folder.
    #[must_use]
    pub fn disk_with(mut self, folder: &Path) -> Self {
        self.disk = Some(Disk::Folder(folder.to_owned()));
        self
    }

    /// It starts over when its system restarts it (unless said, that is its end).
    #[must_use]
    pub fn restarting(mut self) -> Self {
        self.restarts = true;
        self
    }

    /// What its card hears of UDP and TCP (everything unless said).
    #[must_use]
    pub fn hearing(mut self, hears: Hears) -> Self {
        self.hears = Some(hears);
        self
    }

    /// Switches Secure Boot on, with these keys (off unless said).
    #[must_use]
    pub fn secured_by(mut self, keys: Keys) -> Self {
        self.secure = Some(keys);
        self
    }

    /// Its hardware address: `52:54:00:77:00:<number>`.
    #[must_use]
    pub fn mac(&self) -> MacAddr {
        MacAddr([0x52, 0x54, 0, 0x77, 0, self.number])
    }

    /// Its SMBIOS UUID.
    #[must_use]
    pub fn uuid(&self) -> String {
        format!("5117a900-0000-4000-8000-{:012x}", self.number)
    }

    pub(crate) fn power_on(&self, lan: &Lan, packets: Packets, folder: &Path) -> Result<Machine> {
        let qemu = parts::qemu(self.firmware.cpu())?;
        parts::require(&[qemu])?;
        let flash = match self.firmware {
            Firmware::Bios => {
                // QEMU finds it by itself, and makes it fit the card: a ROM that is named would have to fit as it is.
                parts::IPXE_ROM.find()?;
                Flash::Own
            }
            Firmware::Arm64UBoot => Flash::UBoot(parts::U_BOOT.find()?),
            _ => self.uefi_files(folder)?,
        };
        let tap = format!("{}.{}", lan.name(), self.number);
        lan.tap(&tap)?;
        let mut command = Command::new(qemu.program);
        command.args(self.arguments(&flash, &tap));
        if let Some(hears) = self.hears {
            command.args(Ear::open(&self.name, hears)?.arguments());
        }
        let on_at = SystemTime::now();
        let process = Running::start_with_input(&self.name, command, folder)?;
        Ok(Machine { name: self.name.clone(), mac: self.mac(), uuid: self.uuid(), on_at, packets, process })
    }

    /// QEMU's arguments. UEFI firmware is its code and its variable store; its card has no ROM, which would put iPXE in edk2's place.
    fn arguments(&self, flash: &Flash, tap: &str) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        let mut add = |option: &str, value: String| words.extend([option.to_owned(), value]);
        add("-name", self.name.clone());
        add("-accel", "tcg,thread=multi".to_owned());
        let (processor, board) = match self.firmware.cpu() {
            // `max` has features of today's ARM processors, whose emulation makes it half as fast.
            Cpu::Arm64 => ("cortex-a57", "virt"),
            // Secure Boot's variables are written in system management mode alone.
            _ if self.secure.is_some() => ("max", "q35,graphics=off,smm=on"),
            // Without a display SeaBIOS and iPXE speak on the serial line, as UEFI does anyway.
            _ => ("max", "q35,graphics=off"),
        };
        add("-cpu", processor.to_owned());
        add("-machine", board.to_owned());
        add("-smp", self.cpus.to_string());
        add("-m", self.memory_mib.to_string());
        add("-display", "none".to_owned());
        add("-vga", "none".to_owned());
        add("-monitor", "none".to_owned());
        add("-serial", "stdio".to_owned());
        add(
            "-smbios",
            format!("type=1,uuid={},serial=LAB{:04},manufacturer=Slipway,product=Lab", self.uuid(), self.number),
        );
        // What an ear passes on is whole packets, with nothing left to be done to them.
        let whole = if self.hears.is_some() { ",vnet_hdr=off" } else { "" };
        add("-netdev", format!("tap,id=lan,ifname={tap},script=no,downscript=no{whole}"));
        let rom = if self.firmware == Firmware::Bios { "" } else { ",romfile=" };
        let card = match self.firmware {
            // On PCI, U-Boot 2023.01 reads the first octet of the card's hardware address six times.
            Firmware::Arm64UBoot => format!("virtio-net-device,netdev=lan,mac={}", self.mac()),
            _ => format!("virtio-net-pci,netdev=lan,mac={},bootindex=0{rom}", self.mac()),
        };
        add("-device", card);
        // edk2 of 2024 and later has no network boot without a source of randomness.
        add("-device", "virtio-rng-pci".to_owned());
        if self.secure.is_some() {
            add("-global", "driver=cfi.pflash01,property=secure,value=on".to_owned());
        }
        match flash {
            Flash::Own => {}
            Flash::UBoot(image) => add("-bios", image.display().to_string()),
            Flash::Uefi { code, vars } => {
                add("-drive", format!("if=pflash,format=raw,unit=0,readonly=on,file={}", code.display()));
                add("-drive", format!("if=pflash,format=raw,unit=1,file={}", vars.display()));
            }
        }
        for family in self.firmware.without_pxe() {
            add("-fw_cfg", format!("name=opt/org.tianocore/{family}PXESupport,string=n"));
        }
        if let Some(trusted) = &self.trusted {
            add("-fw_cfg", format!("name=etc/edk2/https/cacerts,file={}", trusted.display()));
        }
        if let Some(disk) = &self.disk {
            let file = match disk {
                Disk::Image(path) => format!("format=raw,file={}", path.display()),
                Disk::Folder(path) => format!("format=raw,file=fat:rw:{}", path.display()),
            };
            add("-drive", format!("if=none,id=disk,{file}"));
            add("-device", "virtio-blk-pci,drive=disk,bootindex=1".to_owned());
        }
        words.push("-nodefaults".to_owned());
        if !self.restarts {
            words.push("-no-reboot".to_owned());
        }
        words
    }

    /// Finds UEFI firmware, and copies the variable store that belongs to it: a machine's own, without any variables but the keys of
    /// Secure Boot.
    fn uefi_files(&self, folder: &Path) -> Result<Flash> {
        let (code, vars) = match (self.firmware.cpu(), &self.secure) {
            (Cpu::Arm64, _) => (parts::AAVMF_CODE, parts::AAVMF_VARS),
            (_, None) => (parts::OVMF_CODE, parts::OVMF_VARS),
            (_, Some(Keys::Own(_))) => (parts::OVMF_CODE_SECURE, parts::OVMF_VARS),
            (_, Some(Keys::Microsoft)) => (parts::OVMF_CODE_SECURE, parts::OVMF_VARS_MICROSOFT),
        };
        // Its variables outlive its being switched off.
        let path = folder.join(format!("machine{}.vars.fd", self.number));
        if !path.exists() {
            let mut store = std::fs::read(vars.find()?).context("cannot read the firmware's variable store")?;
            if let Some(Keys::Own(keys)) = &self.secure {
                secure::enrol(&mut store, keys)?;
            }
            std::fs::write(&path, store).with_context(|| format!("cannot make {}", path.display()))?;
        }
        Ok(Flash::Uefi { code: code.find()?, vars: path })
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
        self.process.type_in("\n")
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
                self.process.kill()
            }
        }
    }

    /// Pulls its plug, whatever it does.
    ///
    /// # Errors
    /// It cannot be ended.
    pub fn pull_plug(&self) -> Result<()> {
        self.process.kill()
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
