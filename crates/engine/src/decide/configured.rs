//! Boot loaders that take a configuration or look for files by name: pxelinux, U-Boot, the Raspberry Pi's.

use super::way::{self, MISSING, NOTHING_TO_START, PI_ONLY};
use super::{Case, LONGEST_FILE};
use crate::Why;
use crate::answer::{Answer, Last, Step};
use crate::catalog::{Image, ImageKind};
use crate::lookup::{BOOT_SCRIPT, PXELINUX, U_BOOT};
use crate::pxelinux::{Config, Linux, Reader};
use crate::request::{Exchange, Firmware, Loader};
use crate::rules::{Boot, Path};
use crate::script;

/// The builds of pxelinux, best first: the one with `l` loads by HTTP too.
const BUILDS: [&str; 2] = ["lpxelinux.0", "pxelinux.0"];
/// The part of it that it loads first.
const CORE: &str = "ldlinux.c32";

impl<'a> Case<'a> {
    /// pxelinux for a BIOS, or for iPXE on one.
    pub(super) fn pxelinux(self, image: &Image, boot: &Boot, asked: &str) -> Result<Answer, Why> {
        self.linux_config(Reader::Pxelinux, image, boot, asked)?;
        let has = |file: &&&'static str| self.catalog.loaders.contains_key(**file);
        let build = BUILDS.iter().find(has).ok_or(Why::NoLoader { file: BUILDS[0] })?;
        [CORE].iter().find(has).ok_or(Why::NoLoader { file: CORE })?;
        let prefix = match *build {
            "lpxelinux.0" => self.server.url(&format!("{PXELINUX}/")),
            _ => format!("{PXELINUX}/"),
        };
        let path = format!("{PXELINUX}/{build}");
        let config = format!("pxelinux.cfg/01-{}", self.request.mac.hyphenated());
        let step = match (self.request.loader, self.request.exchange) {
            (Loader::Ipxe, Exchange::Script) => {
                let label = super::label(image);
                let url = self.server.url(&path);
                Step::Script { text: script::pxelinux(self.heading(&label), &url, &config, &prefix) }
            }
            (Loader::Ipxe, _) => Step::Url { url: self.server.script_url(self.request) },
            _ => Step::Configured { path, config, prefix: Some(prefix) },
        };
        Ok(self.answer(Some(image), step))
    }

    /// U-Boot that asks as itself: in DHCP for where its configuration is, then for the configuration.
    pub(super) fn u_boot(self, image: &Image, boot: &Boot, asked: &str) -> Result<Answer, Why> {
        let config = self.linux_config(Reader::UBoot, image, boot, asked)?;
        if self.request.exchange == Exchange::Script {
            return Ok(self.configured(image, config));
        }
        let folder = format!("{U_BOOT}/{}", self.request.arch.0);
        let config = format!("pxelinux.cfg/01-{}", self.request.mac.hyphenated());
        let step = Step::Configured { path: format!("{folder}/{BOOT_SCRIPT}"), config, prefix: None };
        Ok(self.answer(Some(image), step))
    }

    /// pxelinux that asks for its configuration, whoever has started it.
    pub(super) fn pxelinux_config(self, image: &Image, boot: &Boot, asked: &str) -> Result<Answer, Why> {
        let config = self.linux_config(Reader::Pxelinux, image, boot, asked)?;
        Ok(self.configured(image, config))
    }

    /// A configuration is the last answer: what comes after it are its files.
    fn configured(self, image: &Image, config: Config) -> Answer {
        let last = config.last().map_or(Last::Here, |file| Last::File(file.to_owned()));
        Answer { lead: self.lead(last), ..self.answer(Some(image), Step::Config(Box::new(config))) }
    }

    /// Whether pxelinux itself asks: for its configuration, or for files.
    pub(super) fn is_pxelinux(self) -> bool {
        self.request.loader == Loader::Pxe && self.request.exchange == Exchange::Script
    }

    pub(super) fn local_config(self) -> Answer {
        let config = Config::local(Reader::Pxelinux, self.heading("the local disk"));
        self.answer(None, Step::Config(Box::new(config)))
    }

    /// A Raspberry Pi: it is told nothing but that we have its files.
    pub(super) fn raspberry_pi(self, image: &Image, boot: &Boot, asked: &str) -> Result<Answer, Why> {
        let cannot = |reason| Why::CannotRun { image: asked.to_owned(), reason };
        way::runs_on(image, Firmware::RaspberryPi).map_err(cannot)?;
        match image.kind {
            ImageKind::RaspberryPi => {}
            _ => {
                return Err(cannot(
                    "a Raspberry Pi's own boot loader looks for the files of its boot partition: add them with `--rpi`",
                ));
            }
        }
        if boot.append.is_some() {
            return Err(cannot("a Raspberry Pi takes the command line from its file `cmdline.txt`, not from `append`"));
        }
        if matches!(boot.path, Path::Ipxe | Path::Shim | Path::Pxelinux) {
            return Err(cannot("a Raspberry Pi's own boot loader starts no other boot loader: leave `path` out"));
        }
        let step = Step::Files { image: boot.image.clone(), version: boot.version.clone() };
        Ok(self.answer(Some(image), step))
    }

    fn linux_config(self, reader: Reader, image: &Image, boot: &Boot, asked: &str) -> Result<Config, Why> {
        let cannot = |reason| Why::CannotRun { image: asked.to_owned(), reason };
        let firmware = self.firmware()?;
        way::runs_on(image, firmware).map_err(cannot)?;
        match (reader, firmware, boot.path) {
            (Reader::Pxelinux, Firmware::Bios, _) | (Reader::UBoot, _, Path::Auto | Path::Direct | Path::Pxelinux) => {}
            (Reader::Pxelinux, ..) => return Err(cannot("pxelinux runs on a BIOS only")),
            (Reader::UBoot, _, Path::Ipxe | Path::Shim) => {
                return Err(cannot("neither iPXE nor shim runs on U-Boot, unless it asks as UEFI"));
            }
        }
        let mut linux = kernel(image, boot.append.as_deref()).map_err(cannot)?;
        if let Some(done) = self.done_url(image) {
            linux.cmdline.push_str(&format!(" slipway.done={done}"));
        }
        let label = super::label(image);
        Config::linux(reader, self.heading(&label), linux).map_err(cannot)
    }
}

/// The files and the command line of an image that has a kernel of its own.
fn kernel(image: &Image, append: Option<&str>) -> Result<Linux, &'static str> {
    match image.kind {
        ImageKind::Linux | ImageKind::Uki => {}
        ImageKind::Efi => return Err("an EFI program needs UEFI"),
        ImageKind::Iso(_) => return Err("an ISO needs iPXE or UEFI HTTP Boot"),
        ImageKind::IpxeScript => return Err("an iPXE script needs iPXE"),
        ImageKind::RaspberryPi => return Err(PI_ONLY),
        ImageKind::Tree => return Err(NOTHING_TO_START),
    }
    let folder = format!("image/{}", super::label(image));
    let path = |file: &str| format!("{folder}/{file}");
    if !image.files.contains_key(Image::LINUX) {
        return Err(if image.kind == ImageKind::Uki {
            "the store does not have the UKI's kernel by itself"
        } else {
            MISSING
        });
    }
    let trees = format!("{}/", Image::DEVICETREES);
    let has_trees = image.files.keys().any(|file| file.starts_with(&trees));
    let linux = Linux {
        kernel: path(Image::LINUX),
        initrds: way::initrds(image).iter().map(|file| path(file)).collect(),
        cmdline: [image.cmdline.as_deref().unwrap_or_default(), append.unwrap_or_default()].join(" "),
        devicetree: image.files.contains_key(Image::DEVICETREE).then(|| path(Image::DEVICETREE)),
        devicetrees: has_trees.then(|| path(Image::DEVICETREES)),
    };
    // pxelinux takes names of at most 255 bytes, and so does our namespace.
    let longest = linux.initrds.iter().map(String::len).max().unwrap_or_default().max(linux.kernel.len());
    if longest > LONGEST_FILE {
        Err("its name and version are too long for pxelinux and U-Boot (127 bytes)")
    } else {
        Ok(linux)
    }
}
