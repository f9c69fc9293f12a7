//! Names that are looked up, not loaded: what pxelinux, U-Boot and the Raspberry Pi ask for depends on who asks.
//!
//! A boot loader of this kind goes through a list of names, from the one that says most about its machine to `default`, and takes
//! the first that is there. So a name is answered as soon as it, or the address that asks, tells which machine it is; the names
//! before are not there, which is what the loader expects.

use core::net::{IpAddr, Ipv4Addr};

use slipway_wire::{ClientArch, MacAddr, uimage};
use uuid::Uuid;

use crate::ladder::Rung;
use crate::request::{BootRequest, Exchange, Loader, Place};

/// The folder of pxelinux itself, and of configurations for it.
pub const PXELINUX: &str = "pxelinux";
/// The folder of U-Boot: under it one for each architecture, by its number in option 93.
pub const U_BOOT: &str = "u-boot";
/// U-Boot's script.
pub const BOOT_SCRIPT: &str = "boot.scr.uimg";
/// The folder of configurations, wherever the loader has come from.
const CONFIGS: &str = "pxelinux.cfg";

/// A name that depends on who asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lookup {
    /// What is wanted.
    pub wanted: Wanted,
    /// Who asks, as far as the name says.
    pub key: Key,
    /// The program that asks, and its architecture, where the folder says.
    pub asker: Option<(Loader, ClientArch)>,
}

/// What is wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// A configuration in pxelinux's format.
    Config,
    /// A script for U-Boot's `source`.
    UBootScript,
    /// A file of a Raspberry Pi, by the names to look under, the machine's own first.
    PiFile([Option<String>; 2]),
}

/// What a name says about who asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Key {
    /// The machine's SMBIOS UUID.
    Uuid(Uuid),
    /// Its hardware address.
    Mac(MacAddr),
    /// Its address.
    Ip(Ipv4Addr),
    /// Nothing that would tell it from others: part of an address, `default`, a Raspberry Pi's serial number.
    Nothing,
}

/// What is remembered of a machine that has asked before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Known {
    /// The program that asked by DHCP.
    pub loader: Loader,
    /// Its architecture.
    pub arch: ClientArch,
    /// The machine's SMBIOS UUID, where it told.
    pub uuid: Option<Uuid>,
    /// The relay that passed its request on.
    pub relay: Option<IpAddr>,
    /// Where it is plugged in.
    pub place: Place,
}

impl Lookup {
    /// The lookup that a normalised name is, if it is one. A Raspberry Pi's is not told by its name: see [`Lookup::pi`].
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name == BOOT_SCRIPT {
            let asker = asker(folder)?;
            return Some(Self { wanted: Wanted::UBootScript, key: Key::Nothing, asker });
        }
        let above = if folder == CONFIGS { "" } else { folder.strip_suffix(CONFIGS)?.strip_suffix('/')? };
        Some(Self { wanted: Wanted::Config, key: key(name)?, asker: asker(above)? })
    }

    /// What a Raspberry Pi asks for by this normalised name: under its serial number, or its hardware address, or neither.
    #[must_use]
    pub fn pi(path: &str) -> Self {
        let (first, rest) = path.split_once('/').unwrap_or(("", path));
        let is_serial = first.len() == 8 && first.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mac = hyphenated(first);
        let whole = path.to_owned();
        let names = if is_serial || mac.is_some() { [Some(whole), Some(rest.to_owned())] } else { [Some(whole), None] };
        Self { wanted: Wanted::PiFile(names), key: mac.map_or(Key::Nothing, Key::Mac), asker: None }
    }

    /// Whether the name itself is the machine's hardware address: of the names that a loader tries, one.
    #[must_use]
    pub const fn names_the_machine(&self) -> bool {
        matches!(self.key, Key::Mac(_))
    }

    /// Whether the name is in a folder that is ours alone, so that no file of the operator's goes before it.
    #[must_use]
    pub const fn is_in_our_folder(&self) -> bool {
        self.asker.is_some()
    }

    /// The machine that asks from this address: `mac_of` knows the machine of an address.
    pub fn mac(&self, source: IpAddr, mac_of: impl Fn(IpAddr) -> Option<MacAddr>) -> Option<MacAddr> {
        match self.key {
            Key::Mac(mac) => Some(mac),
            Key::Ip(ip) => mac_of(IpAddr::V4(ip)),
            Key::Uuid(_) | Key::Nothing => mac_of(source),
        }
    }

    /// The request that this amounts to, coming from `mac` at this address. None where nobody can say which machine or program it is:
    /// then the name is not there.
    #[must_use]
    pub fn request(&self, mac: MacAddr, known: Option<&Known>, source: IpAddr, interface: &str) -> Option<BootRequest> {
        let told = known.and_then(|known| known.uuid);
        let uuid = match self.key {
            // Somebody else's UUID: the address that asks is not whose we think it is.
            Key::Uuid(uuid) if told.is_some_and(|told| told != uuid) => return None,
            Key::Uuid(uuid) => Some(uuid),
            _ => told,
        };
        let (loader, arch) = self.asker.or_else(|| self.guess(known))?;
        Some(BootRequest {
            exchange: Exchange::Script,
            rung: Rung::Plain,
            loader,
            arch,
            mac,
            uuid,
            interface: interface.to_owned(),
            relay: known.and_then(|known| known.relay),
            place: known.map(|known| known.place.clone()).unwrap_or_default(),
            client_ip: Some(source.to_canonical()),
            user_class: None,
            vendor_class: None,
        })
    }

    /// The program behind a name that does not say.
    fn guess(&self, known: Option<&Known>) -> Option<(Loader, ClientArch)> {
        match (&self.wanted, known) {
            (Wanted::PiFile(_), Some(Known { arch: ClientArch::RPIBOOT, .. })) => {
                Some((Loader::Pxe, ClientArch::RPIBOOT))
            }
            (Wanted::PiFile(_), _) => None,
            (_, Some(Known { loader: Loader::UBoot, arch, .. })) => Some((Loader::UBoot, *arch)),
            // U-Boot's own way into EFI says that it is UEFI, and may give up and look for a configuration next.
            (_, Some(Known { arch, .. })) if *arch != ClientArch::BIOS => Some((Loader::UBoot, *arch)),
            (Wanted::Config, _) => Some((Loader::Pxe, ClientArch::BIOS)),
            (Wanted::UBootScript, _) => Some((Loader::UBoot, ClientArch::BIOS)),
        }
    }
}

/// The script that U-Boot is given: it looks for its configuration where the rest of its files are, whatever U-Boot has been told before.
/// `what` is for whoever reads the console.
#[must_use]
pub fn boot_script(request: &BootRequest, what: &str) -> Vec<u8> {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    let what: String = what.chars().filter(plain).collect();
    let text = format!(
        "echo Slipway: {what} for {}\nsetenv bootfile {U_BOOT}/{}/{BOOT_SCRIPT}\npxe get && pxe boot\n",
        request.mac, request.arch.0
    );
    uimage::script("Slipway", &text)
}

/// Who asks in this folder: at the root nobody says, elsewhere it must be one of ours.
fn asker(folder: &str) -> Option<Option<(Loader, ClientArch)>> {
    match folder.split_once('/') {
        None if folder.is_empty() => Some(None),
        None if folder == PXELINUX => Some(Some((Loader::Pxe, ClientArch::BIOS))),
        Some((U_BOOT, arch)) => Some(Some((Loader::UBoot, ClientArch(arch.parse().ok()?)))),
        _ => None,
    }
}

/// What the name of a configuration says.
fn key(name: &str) -> Option<Key> {
    if name == "default" || name.starts_with("default-") {
        return Some(Key::Nothing);
    }
    if let Some(mac) = name.strip_prefix("01-").and_then(hyphenated) {
        return Some(Key::Mac(mac));
    }
    let is_hex = name.bytes().all(|byte| byte.is_ascii_hexdigit());
    match name.len() {
        8 if is_hex => u32::from_str_radix(name, 16).ok().map(|bits| Key::Ip(Ipv4Addr::from_bits(bits))),
        // Part of an address is shared by a whole network: whoever asks for it is known by the address he asks from.
        1..8 if is_hex => Some(Key::Nothing),
        36 => Uuid::try_parse(name).ok().map(Key::Uuid),
        _ => None,
    }
}

fn hyphenated(text: &str) -> Option<MacAddr> {
    text.parse::<MacAddr>().ok().filter(|_| text.len() == 17 && text.contains('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0xab]);
    const UUID: Uuid = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
    const IP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1));

    #[test]
    fn every_name_that_is_looked_up_is_known_for_what_it_says() {
        let pxelinux = Some((Loader::Pxe, ClientArch::BIOS));
        let u_boot = |arch| Some((Loader::UBoot, ClientArch(arch)));
        for (path, expected) in [
            ("pxelinux/pxelinux.cfg/00112233-4455-6677-8899-aabbccddeeff", Some((Key::Uuid(UUID), pxelinux))),
            ("pxelinux/pxelinux.cfg/01-52-54-00-12-34-ab", Some((Key::Mac(MAC), pxelinux))),
            ("pxelinux/pxelinux.cfg/C0A80001", Some((Key::Ip(Ipv4Addr::new(192, 168, 0, 1)), pxelinux))),
            ("pxelinux/pxelinux.cfg/C0A8000", Some((Key::Nothing, pxelinux))),
            ("pxelinux/pxelinux.cfg/C", Some((Key::Nothing, pxelinux))),
            ("pxelinux/pxelinux.cfg/default", Some((Key::Nothing, pxelinux))),
            ("u-boot/22/pxelinux.cfg/01-52-54-00-12-34-ab", Some((Key::Mac(MAC), u_boot(22)))),
            ("u-boot/22/pxelinux.cfg/default-arm-qemu-arm-qemu-arm", Some((Key::Nothing, u_boot(22)))),
            ("u-boot/0/pxelinux.cfg/default-x86", Some((Key::Nothing, u_boot(0)))),
            ("u-boot/27/boot.scr.uimg", Some((Key::Nothing, u_boot(27)))),
            ("boot.scr.uimg", Some((Key::Nothing, None))),
            ("pxelinux.cfg/default", Some((Key::Nothing, None))),
            ("pxelinux.cfg/01-52-54-00-12-34-ab", Some((Key::Mac(MAC), None))),
            ("u-boot/x/boot.scr.uimg", None),
            ("u-boot/boot.scr.uimg", None),
            ("u-boot/22/x/pxelinux.cfg/default", None),
            ("other/pxelinux.cfg/default", None),
            ("pxelinux/pxelinux.cfg", None),
            ("pxelinux/pxelinux.cfg/02-52-54-00-12-34-ab", None),
            ("pxelinux/pxelinux.cfg/01-525400123456", None),
            ("pxelinux/pxelinux.cfg/C0A80001A", None),
            ("pxelinux/pxelinux.cfg/", None),
            ("pxelinux/pxelinux.cfg/grub", None),
            ("xpxelinux.cfg/default", None),
            ("", None),
        ] {
            let found = Lookup::of(path).map(|lookup| (lookup.key, lookup.asker));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn a_raspberry_pis_own_file_goes_before_everybodys() {
        let names = |path: &str| match Lookup::pi(path) {
            Lookup { wanted: Wanted::PiFile([first, second]), key, .. } => (first.unwrap(), second, key),
            other => panic!("{other:?}"),
        };
        let own = str::to_owned;
        assert_eq!(names("9ffefdef/start4.elf"), (own("9ffefdef/start4.elf"), Some(own("start4.elf")), Key::Nothing));
        assert_eq!(
            names("52-54-00-12-34-ab/overlays/a.dtbo"),
            (own("52-54-00-12-34-ab/overlays/a.dtbo"), Some(own("overlays/a.dtbo")), Key::Mac(MAC))
        );
        assert_eq!(names("bootcode.bin"), (own("bootcode.bin"), None, Key::Nothing));
        assert_eq!(names("overlays/a.dtbo"), (own("overlays/a.dtbo"), None, Key::Nothing));
    }

    #[test]
    fn whoever_asks_is_found_by_the_name_or_by_the_address() {
        let mac_of = |ip: IpAddr| (ip == IP).then_some(MAC);
        let elsewhere: IpAddr = [10, 0, 0, 1].into();
        for (path, source, found) in [
            ("pxelinux/pxelinux.cfg/01-52-54-00-12-34-ab", elsewhere, Some(MAC)),
            ("pxelinux/pxelinux.cfg/C0A80001", elsewhere, Some(MAC)),
            ("pxelinux/pxelinux.cfg/C0A80002", IP, None),
            ("pxelinux/pxelinux.cfg/default", IP, Some(MAC)),
            ("pxelinux/pxelinux.cfg/default", elsewhere, None),
        ] {
            assert_eq!(Lookup::of(path).unwrap().mac(source, mac_of), found, "{path} from {source}");
        }
    }

    #[test]
    fn the_program_is_the_folders_or_the_one_that_asked_by_dhcp() {
        let known = |loader, arch, uuid| Known { loader, arch, uuid, relay: None, place: Place::default() };
        let pxe = (Loader::Pxe, ClientArch::BIOS);
        let aarch64 = (Loader::UBoot, ClientArch::ARM64_UBOOT);
        let rows = [
            ("pxelinux/pxelinux.cfg/default", None, Some(pxe)),
            ("pxelinux.cfg/default", None, Some(pxe)),
            ("pxelinux.cfg/default", Some(known(aarch64.0, aarch64.1, None)), Some(aarch64)),
            (
                "pxelinux.cfg/default",
                Some(known(Loader::Pxe, ClientArch::ARM64_UEFI, None)),
                Some((Loader::UBoot, ClientArch::ARM64_UEFI)),
            ),
            ("pxelinux.cfg/default", Some(known(Loader::Ipxe, ClientArch::BIOS, None)), Some(pxe)),
            ("boot.scr.uimg", None, Some((Loader::UBoot, ClientArch::BIOS))),
            ("u-boot/22/boot.scr.uimg", Some(known(pxe.0, pxe.1, None)), Some(aarch64)),
            ("pxelinux.cfg/00112233-4455-6677-8899-aabbccddeeff", Some(known(pxe.0, pxe.1, Some(UUID))), Some(pxe)),
            ("pxelinux.cfg/00112233-4455-6677-8899-aabbccddee00", Some(known(pxe.0, pxe.1, Some(UUID))), None),
        ];
        for (path, known, expected) in rows {
            let request = Lookup::of(path).unwrap().request(MAC, known.as_ref(), IP, "eth0");
            assert_eq!(request.map(|request| (request.loader, request.arch)), expected, "{path}");
        }
        let request = Lookup::of("u-boot/22/boot.scr.uimg").unwrap().request(MAC, None, IP, "eth0").unwrap();
        let script = String::from_utf8_lossy(&boot_script(&request, "debian@12.1; reset\n")).into_owned();
        let text = "echo Slipway: debian@12.1reset for 52:54:00:12:34:ab\nsetenv bootfile u-boot/22/boot.scr.uimg\npxe get && pxe boot\n";
        assert!(script.ends_with(text), "{script}");
        let pi = Lookup::pi("9ffefdef/start4.elf");
        let of = |known: Option<Known>| pi.request(MAC, known.as_ref(), IP, "eth0").map(|request| request.arch);
        assert_eq!(of(Some(known(Loader::Pxe, ClientArch::RPIBOOT, None))), Some(ClientArch::RPIBOOT));
        assert_eq!([of(Some(known(pxe.0, pxe.1, None))), of(None)], [None, None]);
    }
}
