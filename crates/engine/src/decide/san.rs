//! The ways from firmware to a network disk.

use super::Case;
use crate::Why;
use crate::answer::{Answer, Lead, ServerAddr, Step};
use crate::catalog::ImageKind;
use crate::machine::Memories;
use crate::request::{BootRequest, Exchange, Loader};
use crate::rules::{Path, Rule, Rules, Then};
use crate::san::{Disk, Login, Root, San};
use crate::script;

const NO_ROOT_PATH: &str =
    "PXE and HTTP Boot take no root path: leave out `path = \"direct\"`, and iPXE attaches the disk";
const UNREAD: &str = "its secret has not been read";
const IN_DHCP: &str = "a secret never goes into DHCP: leave out `path = \"direct\"`";
const ISO: &str = "an ISO is a disk itself, and no other is attached beside it";
const OWN_SCRIPT: &str = "an iPXE script of your own attaches its disks itself";

/// The root path of whoever asks for one without being a boot loader: a firmware's iSCSI driver, a Linux whose root is there.
///
/// # Errors
/// [`Why::NotNetboot`] if the rules do not say so.
pub fn decide_root(
    request: &BootRequest,
    machines: &Memories,
    rules: &Rules,
    server: ServerAddr,
) -> Result<Answer, Why> {
    if machines.of(request.mac, request.uuid).intent.is_some() {
        // An operator's word on this machine goes before its rule.
        return Err(Why::NotNetboot);
    }
    match rules.first(request, server) {
        Some(Rule { name, then: Then::San(san), .. }) if san.path == Path::Direct && san.boot.is_none() => {
            let step = Step::Root(root(&san.disk, request));
            Ok(Answer { rule: name.clone(), image: Some(san.disk.name.clone()), step, lead: Lead::default() })
        }
        _ => Err(Why::NotNetboot),
    }
}

fn root(disk: &Disk, request: &BootRequest) -> Root {
    Root {
        path: disk.target.of(request.mac),
        initiator: disk.initiator.as_ref().map(|initiator| initiator.of(request.mac)),
        keep: disk.keep,
    }
}

impl Case<'_> {
    /// A network disk: attached by iPXE's script, or told in DHCP.
    pub(super) fn san(self, san: &San) -> Result<Answer, Why> {
        let disk = &san.disk;
        let cannot = |reason| Why::CannotAttach { disk: disk.name.clone(), reason };
        let firmware = self.firmware()?;
        if self.request.loader == Loader::Grub {
            return Err(cannot("iPXE attaches network disks, and GRUB does not"));
        }
        match &disk.login {
            Login::Told { secret, .. } if !secret.is_read() => return Err(cannot(UNREAD)),
            Login::Told { .. } if san.path == Path::Direct => return Err(cannot(IN_DHCP)),
            _ => {}
        }
        if let Some(boot) = &san.boot {
            let image = self.catalog.image(&boot.image, boot.version.as_deref());
            match image.map(|image| image.kind) {
                Some(ImageKind::IpxeScript) => return Err(cannot(OWN_SCRIPT)),
                Some(ImageKind::Iso(_)) => return Err(cannot(ISO)),
                _ => {}
            }
            match self.boot(boot) {
                // The system is on the disk now.
                Err(Why::Installed { .. }) => {}
                Ok(Answer { step: Step::Script { text }, lead, image, .. }) => {
                    let text = script::beside(&text, disk, self.request.mac);
                    return Ok(Answer { image, lead, ..self.answer(None, Step::Script { text }) });
                }
                other => return other,
            }
        }
        let step = match (self.request.loader, self.request.exchange) {
            (Loader::Ipxe, Exchange::Script) => {
                let text = script::san(self.heading(&disk.name), disk);
                Step::San { text, root: disk.target.of(self.request.mac) }
            }
            (Loader::Ipxe, _) if san.path == Path::Direct => Step::Root(root(disk, self.request)),
            (Loader::Ipxe, _) => Step::Url { url: self.server.script_url(self.request) },
            _ if san.path == Path::Direct => return Err(cannot(NO_ROOT_PATH)),
            _ => self.loader(firmware)?,
        };
        Ok(Answer { image: Some(disk.name.clone()), ..self.answer(None, step) })
    }
}
