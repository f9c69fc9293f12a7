//! Names whose content depends on who asks, over TFTP and HTTP alike: what the engine decides, as something to send.

use std::net::IpAddr;

use slipway_engine::Why;
use slipway_engine::answer::{Answer, ServerAddr, Step};
use slipway_engine::catalog::{Catalog, FileRef};
use slipway_engine::decide::decide;
use slipway_engine::journal::{About, Entry, Given};
use slipway_engine::lookup::{Known, Lookup, Wanted, boot_script};
use slipway_engine::pxelinux::{Config, Over, Reader};
use slipway_engine::request::{BootRequest, Firmware, Loader};
use slipway_wire::MacAddr;

use crate::journal::Journal;
use crate::site::Site;

/// Who asks for a name, and whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    /// The address that asks.
    pub(crate) source: IpAddr,
    /// Our interface that heard it.
    pub(crate) interface: &'a str,
    /// Where we were asked.
    pub(crate) server: ServerAddr,
    /// The way that the rest is to be fetched by.
    pub(crate) over: Over,
}

/// What a name leads to.
#[derive(Debug)]
pub(crate) enum Found {
    /// A text made for this machine.
    Made(Box<Made>),
    /// A stored file, because this machine asks.
    Stored(MacAddr, FileRef),
}

/// A text made for one machine.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) mac: MacAddr,
    pub(crate) bytes: Vec<u8>,
    /// What the machine is given; none for a script of our own making, which leads on to the configuration.
    pub(crate) about: Option<About>,
    /// Why it is given nothing to boot: the text says so on its console.
    pub(crate) refused: Option<Why>,
}

/// A machine that is told that the name is not there.
#[derive(Debug)]
pub(crate) struct Absent {
    pub(crate) mac: Option<MacAddr>,
    pub(crate) why: Why,
}

impl From<Why> for Absent {
    fn from(why: Why) -> Self {
        Self { mac: None, why }
    }
}

/// What a normalised name leads to for whoever asks for it. [`Why::NotFound`] for every name that is no lookup, or that tells nobody
/// which machine asks.
pub(crate) fn look_up(site: &Site, journal: &Journal, lookup: &Lookup, asker: Asker<'_>) -> Result<Found, Absent> {
    let mac = lookup.mac(asker.source, |ip| journal.mac_of(ip)).ok_or(Why::NotFound)?;
    let known = journal.machine(mac).and_then(|entries| known(entries.iter().map(AsRef::as_ref)));
    let request = lookup.request(mac, known.as_ref(), asker.source, asker.interface).ok_or(Why::NotFound)?;
    let machines = journal.machines().known();
    match decide(&request, &machines, &site.rules, &site.catalog, asker.server) {
        Ok(answer) => found(lookup, &request, &answer, &site.catalog, asker.over),
        Err(why) => refuse(lookup, &request, why, asker.over),
    }
    .map_err(|why| Absent { mac: Some(mac), why })
}

/// What the last request by DHCP said of the machine.
fn known<'a>(entries: impl DoubleEndedIterator<Item = &'a Entry> + Clone) -> Option<Known> {
    let boots = |entry: &&Entry| match entry.about {
        About::Dhcp { loader: Loader::Os | Loader::Agent, .. } => false,
        About::Dhcp { .. } => true,
        _ => false,
    };
    let last = entries.clone().rev().find(boots)?;
    let About::Dhcp { loader, arch, relay, place, .. } = &last.about else { return None };
    let uuid = entries.rev().find_map(|entry| entry.uuid);
    Some(Known { loader: *loader, arch: *arch, uuid, relay: *relay, place: (**place).clone() })
}

fn found(lookup: &Lookup, request: &BootRequest, answer: &Answer, catalog: &Catalog, over: Over) -> Result<Found, Why> {
    let mac = request.mac;
    match (&lookup.wanted, &answer.step) {
        (Wanted::Config, Step::Config(config)) => {
            let about = Some(About::Script(Some(Given::from(answer))));
            Ok(made(mac, config.text(over).into_bytes(), about, None))
        }
        (Wanted::UBootScript, Step::Config(_)) => {
            let what = answer.image.as_deref().unwrap_or_default();
            Ok(made(mac, boot_script(request, what), None, None))
        }
        (Wanted::PiFile(names), Step::Files { image, version }) => {
            let image = catalog.image(image, version.as_deref()).ok_or(Why::NotFound)?;
            let file = names.iter().flatten().find_map(|name| image.files.get(name));
            file.map(|file| Found::Stored(mac, *file)).ok_or(Why::NotFound)
        }
        _ => Err(Why::NotFound),
    }
}

fn made(mac: MacAddr, bytes: Vec<u8>, about: Option<About>, refused: Option<Why>) -> Found {
    Found::Made(Box::new(Made { mac, bytes, about, refused }))
}

/// pxelinux says on its console why it does not boot. Everybody else goes on when there is no such name: they are not told why, but the
/// journal is, once for each list of names that a loader goes through.
fn refuse(lookup: &Lookup, request: &BootRequest, why: Why, over: Over) -> Result<Found, Why> {
    let is_pxelinux = Firmware::of(request.loader, request.arch) == Some(Firmware::Bios);
    if lookup.wanted == Wanted::Config && is_pxelinux && !matches!(why, Why::Ignored { .. }) {
        let text = Config::refusal(Reader::Pxelinux, request.mac, &why.to_string()).text(over);
        let about = Some(About::Script(None));
        return Ok(made(request.mac, text.into_bytes(), about, Some(why)));
    }
    Err(if lookup.wanted == Wanted::Config && lookup.names_the_machine() { why } else { Why::NotFound })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use slipway_engine::Timestamp;
    use slipway_engine::catalog::{Digest, Image, ImageKind};
    use slipway_engine::journal::{DhcpMessage, Outcome, Proto};
    use slipway_engine::rules::{Boot, Path as Way, Rule, Rules, Then, When};
    use slipway_store::Blobs;
    use slipway_wire::{ClientArch, Cpu};

    use super::*;
    use crate::site::TftpSettings;

    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 5));
    const SERVER: ServerAddr =
        ServerAddr { ip: IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), http_port: 8067, https: false };

    fn image(name: &str, kind: ImageKind, cpu: Option<Cpu>, files: &[&str]) -> (String, Vec<Image>) {
        let file = |(n, name): (u8, &&str)| ((*name).to_owned(), FileRef { digest: Digest([n; 32]), size: n.into() });
        let files = (1..).zip(files).map(file).collect();
        let image = Image { name: name.into(), version: "1".into(), kind, cpu, cmdline: Some("quiet".into()), files };
        (name.into(), vec![image])
    }

    fn site(then: Then) -> Site {
        let images = [
            image("linux", ImageKind::Linux, Some(Cpu::X64), &["linux", "initrd"]),
            image("arm", ImageKind::Linux, Some(Cpu::Arm64), &["linux"]),
            image("pi", ImageKind::RaspberryPi, None, &["start4.elf", "cmdline.txt", "9ffefdef/cmdline.txt"]),
        ];
        let rule = Rule { name: "r".into(), when: When::default(), then, https: None, install: None };
        Site {
            interfaces: Vec::new(),
            subnets: Vec::new(),
            subnets6: Vec::new(),
            rules: Rules { rules: vec![rule] },
            catalog: Catalog { images: images.into(), ..Catalog::default() },
            blobs: Blobs::under(Path::new("/nonexistent")),
            http_port: 8067,
            https: None,
            export: None,
            tftp: TftpSettings { blksize_max: 65464, single_port: false, allow: Vec::new() },
        }
    }

    fn boot(image: &str) -> Then {
        Then::Boot(Boot { image: image.into(), version: None, path: Way::Auto, append: None })
    }

    /// A journal in which this machine has asked by DHCP, and got the address that asks now.
    fn journal(loader: Loader, arch: ClientArch) -> Journal {
        let journal = Journal::default();
        journal.note(Entry {
            at: Timestamp(1),
            proto: Proto::Dhcp4,
            mac: Some(MAC),
            ip: Some(SOURCE),
            uuid: None,
            interface: "eth0".into(),
            asked: "REQUEST".into(),
            about: About::Dhcp {
                message: DhcpMessage::Request,
                loader,
                arch,
                boot: None,
                refused: None,
                relay: None,
                place: Box::default(),
            },
            outcome: Outcome::Answered("ACK".into()),
        });
        journal
    }

    /// What a name leads to, in one line.
    fn said(site: &Site, journal: &Journal, path: &str, source: IpAddr) -> String {
        let lookup = Lookup::of(path).unwrap_or_else(|| Lookup::pi(path));
        let asker = Asker { source, interface: "eth0", server: SERVER, over: Over::Tftp };
        match look_up(site, journal, &lookup, asker) {
            Ok(Found::Made(made)) => {
                let Made { bytes, refused, .. } = *made;
                let text = String::from_utf8_lossy(&bytes);
                let line = text.lines().find(|line| line.starts_with("KERNEL") || line.starts_with("SAY"));
                let refused = refused.map(|why| format!(" ({})", why.code())).unwrap_or_default();
                format!("{}{refused}", line.or(text.lines().last()).unwrap_or_default())
            }
            Ok(Found::Stored(mac, file)) => format!("{mac} {} bytes", file.size),
            Err(Absent { mac, why }) => format!("404 {} {}", why.code(), mac.is_some()),
        }
    }

    #[test]
    fn the_first_name_that_tells_the_machine_is_answered_and_the_others_are_not_there() {
        let stranger: IpAddr = [10, 0, 0, 99].into();
        let site = site(boot("linux"));
        let journal = journal(Loader::Pxe, ClientArch::BIOS);
        let kernel = "KERNEL ::image/linux@1/linux";
        for (name, source, wanted) in [
            ("pxelinux/pxelinux.cfg/00112233-4455-6677-8899-aabbccddeeff", SOURCE, kernel),
            ("pxelinux/pxelinux.cfg/00112233-4455-6677-8899-aabbccddeeff", stranger, "404 not-found false"),
            ("pxelinux/pxelinux.cfg/01-02-00-00-00-00-01", stranger, kernel),
            ("pxelinux/pxelinux.cfg/0A000005", SOURCE, kernel),
            ("pxelinux/pxelinux.cfg/0A000063", stranger, "404 not-found false"),
            ("pxelinux/pxelinux.cfg/0A0000", stranger, "404 not-found false"),
            ("pxelinux/pxelinux.cfg/default", stranger, "404 not-found false"),
            ("pxelinux.cfg/default", SOURCE, kernel),
        ] {
            assert_eq!(said(&site, &journal, name, source), wanted, "{name} from {source}");
        }
    }

    #[test]
    fn pxelinux_is_told_why_and_u_boot_goes_on() {
        let pxelinux = journal(Loader::Pxe, ClientArch::BIOS);
        let u_boot = journal(Loader::UBoot, ClientArch::ARM64_UBOOT);
        let own = "pxelinux/pxelinux.cfg/01-02-00-00-00-00-01";
        let wrong = said(&site(boot("arm")), &pxelinux, own, SOURCE);
        assert!(wrong.starts_with("SAY Slipway does not boot this machine: image `arm`"), "{wrong}");
        assert!(wrong.ends_with("(cannot-run)"), "{wrong}");
        assert_eq!(said(&site(Then::Ignore), &pxelinux, own, SOURCE), "404 ignored true");
        let own = "u-boot/22/pxelinux.cfg/01-02-00-00-00-00-01";
        assert_eq!(said(&site(boot("arm")), &u_boot, own, SOURCE), "KERNEL image/arm@1/linux");
        assert_eq!(said(&site(boot("linux")), &u_boot, own, SOURCE), "404 cannot-run true");
        assert_eq!(said(&site(Then::Local), &u_boot, own, SOURCE), "404 local-boot true");
        let default = "u-boot/22/pxelinux.cfg/default-arm";
        assert_eq!(said(&site(boot("linux")), &u_boot, default, SOURCE), "404 not-found true", "told once only");
        assert_eq!(said(&site(boot("arm")), &u_boot, "boot.scr.uimg", SOURCE), "pxe get && pxe boot");
        assert_eq!(said(&site(boot("linux")), &u_boot, "boot.scr.uimg", SOURCE), "404 not-found true");
    }

    #[test]
    fn a_raspberry_pis_files_are_its_own() {
        let (pi, other) = (journal(Loader::Pxe, ClientArch::RPIBOOT), journal(Loader::Pxe, ClientArch::BIOS));
        let site = site(boot("pi"));
        for (path, wanted) in [
            ("9ffefdef/start4.elf", "02:00:00:00:00:01 1 bytes"),
            ("start4.elf", "02:00:00:00:00:01 1 bytes"),
            ("02-00-00-00-00-01/start4.elf", "02:00:00:00:00:01 1 bytes"),
            ("9ffefdef/cmdline.txt", "02:00:00:00:00:01 3 bytes"),
            ("12345678/cmdline.txt", "02:00:00:00:00:01 2 bytes"),
            ("9ffefdef/recover4.elf", "404 not-found true"),
        ] {
            assert_eq!(said(&site, &pi, path, SOURCE), wanted, "{path}");
            assert!(said(&site, &other, path, SOURCE).starts_with("404 not-found"), "{path}");
        }
    }
}
