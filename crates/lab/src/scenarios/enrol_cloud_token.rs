//! A virtual machine in a cloud: its user-data holds an invite, which it spends first thing. Somebody who has read the user-data comes with
//! the same invite: he gets nothing, an alarm names both, and the machine is suspended until a person has decided who of them is the thief.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use slipway_trust::Refusal;

use super::enrol::{self, Home};
use crate::drive::Drive;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};
use crate::org::GATEWAY;
use crate::parts::{XORRISO, require};
use crate::process::run as run_tool;
use crate::racer::Track;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (version, _) = lab.made_org()?.newest("bootstrap")?;
    let (lan, org) = enrol::org(lab, "")?;
    let thiefs = lab.host("thief", &[(&lan, "10.77.0.66/24")])?;
    org.open_window()?;
    let token = org.invite(&["--label", "web", "--kind", "cloud", "--cidr", "10.77.0.0/24"])?;
    let seed = Drive::image(&user_data(lab, &token)?);
    let mut home = Home::with_tpm(lab, Order::new("node1", 1, Firmware::UefiPxe))?;
    home.order = home.order.drive(&seed);

    let machine = lab.power_on(home.order.clone(), &lan)?;
    let found = machine.console().wait_for("an invite was found", enrol::PATIENCE)?.text;
    ensure!(found.contains("from the user-data on /dev/"), "it was found elsewhere: {found}");
    let mark = enrol::join_by_itself(&machine)?;
    // Its preboot has proved itself: from here on the identity is in use.
    machine.wait_step(mark, "identity proved")?;
    machine.pull_plug()?;
    enrol::ensure_told(&org, machine.mac(), "assurance", "vtpm")?;

    let server: SocketAddr = format!("{GATEWAY}:{}", slipway_trust::org::PORT).parse()?;
    let track = Track::new(&org.server().data().join("org"), &token, server, version)?;
    let fate = thiefs.inside(|| track.race(1))?;
    ensure!(fate == Some(Refusal::InviteUsed), "the thief is told {fate:?}");
    enrol::ensure_told(&org, machine.mac(), "state", "suspended")?;
    let alarm = org.server().log()?.wait_for("alarm (invite-second-use)", Duration::from_secs(10))?.text;
    for named in [org.told(machine.mac(), "id")?, track.key(1)] {
        ensure!(alarm.contains(&named), "the alarm does not name {named}: {alarm}");
    }
    org.audit().map(drop)
}

/// The medium that a cloud hands in, as cloud-init's NoCloud reads it.
fn user_data(lab: &Lab, token: &str) -> Result<PathBuf> {
    require(&[XORRISO])?;
    let (folder, image) = (lab.folder().join("seed"), lab.folder().join("seed.iso"));
    std::fs::create_dir_all(&folder)?;
    let files = [
        ("meta-data", "instance-id: i-77\nlocal-hostname: web-1\n".to_owned()),
        ("user-data", format!("#cloud-config\nhostname: web-1\nslipway-invite: {token}\n")),
    ];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    let mut command = Command::new(XORRISO.program);
    command.args(["-as", "mkisofs", "-quiet", "-V", "cidata", "-J", "-r", "-o"]).arg(&image).arg(&folder);
    run_tool(&mut command)?;
    Ok(image)
}
