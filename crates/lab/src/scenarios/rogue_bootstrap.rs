//! A stranger's bootstrap image: the org's facts, the org's agent, and one word more on its command line. It relays a real enrolment, with all
//! that the machine's own TPM proves; and the TPM's log of what was started gives it away.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use slipway_image::uki::{self, Uki};

use super::enrol::{self, Home};
use crate::lab::Lab;
use crate::machine::{Firmware, Order};
use crate::parts::UKI_STUB;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (_, genuine) = lab.made_org()?.newest("bootstrap")?;
    let rogue = changed(&genuine, lab.folder())?;
    let (lan, org) = enrol::org(lab, "")?;
    org.open_window()?;
    enrol::stranger(lab, &lan, &rogue)?;

    let order = Order::new("node1", 1, Firmware::UefiPxe).hearing(enrol::deaf_to_the_org);
    let home = Home::with_tpm(lab, order)?;
    let machine = lab.power_on(home.order.clone(), &lan)?;
    let refused = machine.wait_failure(0, "identity proved")?.text;
    ensure!(refused.contains("(bad-boot-log)"), "it is not told why: {refused}");
    org.server().log()?.wait_for("(bad-boot-log)", Duration::from_secs(10))?;
    enrol::ensure_unsaid(&machine, 0, "words: ")?;
    enrol::ensure_untouched(&home.disk)?;
    enrol::ensure_nobody_in(&org)
}

/// The image with one word more on its command line. Nobody has signed it.
fn changed(genuine: &Path, folder: &Path) -> Result<PathBuf> {
    let bytes = std::fs::read(genuine).with_context(|| format!("cannot read {}", genuine.display()))?;
    let parts = Uki::parse(&bytes)?;
    let part = |range| bytes.get(range).context("the bootstrap image is cut short");
    let cmdline = format!("{} stranger", parts.cmdline.context("the bootstrap image has no command line")?);
    let (linux, initrd) = (part(parts.linux)?, part(parts.initrd.context("the bootstrap image has no initrd")?)?);
    let (osrel, uname) = (parts.osrel.unwrap_or_default(), parts.uname.unwrap_or_default());
    let stub = std::fs::read(UKI_STUB.find()?)?;
    let made = uki::build(&stub, &uki::Parts { linux, initrd, cmdline: &cmdline, osrel: &osrel, uname: &uname })?;
    let path = folder.join("rogue.efi");
    std::fs::write(&path, made).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
