//! A machine to be made: its parts, and QEMU's words for them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result};
use slipway_wire::{Cpu, MacAddr};

use super::monitor::Monitor;
use super::{Firmware, Machine};
use crate::capture::Packets;
use crate::drive::Drive;
use crate::ear::{Ear, Hears};
use crate::net::Lan;
use crate::parts;
use crate::process::Running;
use crate::secure::{self, Keys};
use crate::tpm::Tpm;

/// All that the emulator can do, but for fast `rep movsb` and `rep stosb`: told that they are fast, Linux copies and clears by them, and
/// they are emulated byte by byte. Linux starts in a sixth less without them.
const X64: &str = "max,-erms";

/// A machine to be made.
#[derive(Clone, Debug)]
pub struct Order {
    name: String,
    number: u8,
    firmware: Firmware,
    memory_mib: u32,
    cpus: u8,
    trusted: Option<PathBuf>,
    drives: Vec<Drive>,
    by_itself: bool,
    tpm: Option<Tpm>,
    oem_strings: Vec<String>,
    restarts: bool,
    hears: Option<Hears>,
    secure: Option<Keys>,
}

/// The files that a machine's firmware is in.
#[derive(Debug)]
pub(super) enum Flash {
    /// QEMU's own.
    Own,
    /// U-Boot.
    UBoot(PathBuf),
    /// UEFI firmware and its variables.
    Uefi { code: PathBuf, vars: PathBuf },
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
            drives: Vec::new(),
            by_itself: false,
            tpm: None,
            oem_strings: Vec::new(),
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

    /// A disk of its own: this raw image (no disk unless said). The network is tried first, unless it boots
    /// [by itself](Self::by_itself).
    #[must_use]
    pub fn disk(self, image: &Path) -> Self {
        self.drive(&Drive::image(image))
    }

    /// The same with a FAT file system that holds the files of this folder.
    #[must_use]
    pub fn disk_with(self, folder: &Path) -> Self {
        self.drive(&Drive::folder(folder))
    }

    /// One more disk.
    #[must_use]
    pub fn drive(mut self, drive: &Drive) -> Self {
        self.drives.push(drive.clone());
        self
    }

    /// What is written to its disks is logged in these files ([`Drive::logged`]).
    #[must_use]
    pub(crate) fn logging(mut self, logs: &[PathBuf]) -> Self {
        self.drives = self.drives.into_iter().zip(logs).map(|(drive, log)| drive.logged(log)).collect();
        self
    }

    /// It boots in the order that its own firmware keeps in its variables, and the lab rules nothing (otherwise: the network first, then
    /// its disks, at every start anew).
    #[must_use]
    pub fn by_itself(mut self) -> Self {
        self.by_itself = true;
        self
    }

    /// Its TPM (none unless said).
    #[must_use]
    pub fn tpm(mut self, tpm: &Tpm) -> Self {
        self.tpm = Some(tpm.clone());
        self
    }

    /// One more of the strings that its maker, or a cloud, put into SMBIOS (type 11).
    #[must_use]
    pub fn oem_string(mut self, text: &str) -> Self {
        self.oem_strings.push(text.to_owned());
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

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
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
        let monitor = Monitor::of(&self.name);
        command.args(monitor.arguments());
        for text in &self.oem_strings {
            // A comma ends a value, two are one.
            command.args(["-smbios", &format!("type=11,value={}", text.replace(',', ",,"))]);
        }
        if let Some(hears) = self.hears {
            command.args(Ear::open(&self.name, hears)?.arguments());
        }
        let on_at = SystemTime::now();
        if let Some(tpm) = &self.tpm {
            tpm.start()?;
        }
        let process = Running::start_with_input(&self.name, command, folder)?;
        let (name, tpm) = (self.name.clone(), self.tpm.clone());
        Ok(Machine { name, mac: self.mac(), uuid: self.uuid(), on_at, packets, process, tpm, monitor })
    }

    /// QEMU's arguments. UEFI firmware is its code and its variable store; its card has no ROM, which would put iPXE in edk2's place.
    pub(super) fn arguments(&self, flash: &Flash, tap: &str) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        let mut add = |option: &str, value: String| words.extend([option.to_owned(), value]);
        add("-name", self.name.clone());
        add("-accel", "tcg,thread=multi".to_owned());
        let (processor, board) = match self.firmware.cpu() {
            // `max` has features of today's ARM processors, whose emulation makes it half as fast.
            Cpu::Arm64 => ("cortex-a57", "virt"),
            // Secure Boot's variables are written in system management mode alone.
            _ if self.secure.is_some() => (X64, "q35,graphics=off,smm=on"),
            // Without a display SeaBIOS and iPXE speak on the serial line, as UEFI does anyway.
            _ => (X64, "q35,graphics=off"),
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
        let first = if self.by_itself { "" } else { ",bootindex=0" };
        let card = match self.firmware {
            // On PCI, U-Boot 2023.01 reads the first octet of the card's hardware address six times.
            Firmware::Arm64UBoot => format!("virtio-net-device,netdev=lan,mac={}", self.mac()),
            _ => format!("virtio-net-pci,netdev=lan,mac={}{first}{rom}", self.mac()),
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
        for (number, drive) in self.drives.iter().enumerate() {
            words.extend(drive.arguments(number, (!self.by_itself).then_some(number + 1)));
        }
        if let Some(tpm) = &self.tpm {
            let device = if self.firmware.cpu() == Cpu::Arm64 { "tpm-tis-device" } else { "tpm-tis" };
            words.extend(tpm.arguments(device));
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
        // Its variables outlive its being switched off; once keys are enrolled it is as after a reset of its firmware.
        let kind = if self.secure.is_some() { "secure-vars" } else { "vars" };
        let path = folder.join(format!("machine{}.{kind}.fd", self.number));
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
