//! The org has raised the floor of its bootstrap images. A stranger serves one from below it, which is as genuine as it was on its first day:
//! the machine starts it, and the org grants it nothing.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::enrol::{self, Home};
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (version, old) = lab.made_org()?.newest("bootstrap")?;
    let (lan, org) = enrol::org(lab, "")?;
    org.server().cli(["org", "floor", "bootstrap", "x64", &(version + 1).to_string()])?;
    org.server().reload()?;
    org.open_window()?;
    enrol::stranger(lab, &lan, &old)?;

    let order = Order::new("node1", 1, Firmware::UefiPxe).hearing(enrol::deaf_to_the_org);
    let home = Home::with_tpm(lab, order)?;
    let machine = lab.power_on(home.order.clone(), &lan)?;
    let refused = machine.wait_failure(0, "invite verified")?.text;
    ensure!(refused.contains("(old-image)"), "it is not told why: {refused}");
    org.server().log()?.wait_for("hello -> declined (old-image)", Duration::from_secs(10))?;
    enrol::ensure_unsaid(&machine, 0, "words: ")?;
    enrol::ensure_untouched(&home.disk)?;
    enrol::ensure_nobody_in(&org)
}
