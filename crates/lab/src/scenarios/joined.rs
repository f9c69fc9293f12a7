//! A machine that has joined the lab's org, for scenarios that are about what comes after: the first that needs it has it join, keeps what is
//! written then on its disk, in its TPM, in its firmware and in the server's data, and lends it to all others.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::enrol::{self, Home};
use crate::lab::Lab;
use crate::machine::{Firmware, Order};
use crate::net::Lan;
use crate::org::{IMAGES, Org};
use crate::packages::lock;
use crate::parts::{OVMF_CODE, OVMF_VARS};
use crate::snapshot::replace;

/// What a server changes of its data while machines join and start; the rest is the org's own, and nobody changes it.
pub(super) const OF_SERVER: [&str; 5] = ["org", "org.redb", "leases.redb", "machines.redb", "journal.jsonl"];
/// What is kept of the machine, in a scenario's folder.
const OF_MACHINE: [&str; 3] = ["node1-disk.img", "machine1.vars.fd", "tpm"];
/// In the folder of what is kept: what it was made of. Written when all of it is there.
const MADE_OF: &str = "made-of";

/// The lab's org, its server serving, with a machine in it that has a TPM: `web-1` joined by the usual way, was well, and is off.
pub(super) fn machine(lab: &mut Lab) -> Result<(Lan, Org, Home)> {
    let (lan, org) = enrol::org_at_rest(lab, "")?;
    let home = Home::with_tpm(lab, Order::new("node1", 1, Firmware::UefiPxe))?;
    let folder = lab.parts().work.join("cache/joined");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let alone = lock(&folder.join("lab.lock"))?;
    let made_of = made_of(lab)?;
    if std::fs::read_to_string(folder.join(MADE_OF)).is_ok_and(|kept| kept == made_of) {
        lab.say("a machine that has joined before is lent");
        for (here, kept) in places(lab, &org, &folder) {
            replace(&kept, &here)?;
        }
    } else {
        org.server().start()?;
        enrol::joined(lab, &org, &lan, &home)?;
        org.server().stop()?;
        let _none = std::fs::remove_file(folder.join(MADE_OF));
        for (here, kept) in places(lab, &org, &folder) {
            replace(&here, &kept)?;
        }
        std::fs::write(folder.join(MADE_OF), made_of).context("cannot write what it was made of")?;
    }
    drop(alone);
    org.server().start()?;
    Ok((lan, org, home))
}

/// The same, after one more start: the org has heard of its key in escrow by then. With it goes the mark of its data.
pub(super) fn machine_in_escrow(lab: &mut Lab) -> Result<(Lan, Org, Home, String)> {
    let (lan, org, home) = machine(lab)?;
    let machine = lab.power_on(home.order.clone(), &lan)?;
    enrol::come_up(&machine, 0)?;
    let mark = enrol::data_mark(&machine)?;
    machine.pull_plug()?;
    Ok((lan, org, home, mark))
}

/// What is kept: where it is in this scenario, and where it is kept.
fn places(lab: &Lab, org: &Org, folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    let data = org.server().data();
    let of_server = OF_SERVER.iter().map(|name| (data.join(name), folder.join(name)));
    of_server.chain(OF_MACHINE.iter().map(|name| (lab.folder().join(name), folder.join(name)))).collect()
}

/// Everything that a machine comes to be what it is by: the org's images (which are of the agent, and signed with the org's keys), the server, the
/// firmware, and the lab itself, which says how it is built.
fn made_of(lab: &Lab) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for role in IMAGES {
        lab.made_org()?.newest(role)?.hash(&mut hasher);
    }
    let lab_itself = std::env::current_exe().context("cannot find this program's own file")?;
    for program in [lab.parts().slipway.clone(), lab_itself, OVMF_CODE.find()?, OVMF_VARS.find()?] {
        let facts = std::fs::metadata(&program).with_context(|| format!("cannot look at {}", program.display()))?;
        (program, facts.len(), facts.modified()?).hash(&mut hasher);
    }
    Ok(format!("{:016x}\n", hasher.finish()))
}
