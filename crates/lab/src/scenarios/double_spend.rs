//! A secret invite that lets one machine in was stolen, again and again: a hundred machines spend it at the same moment. One is let in, the
//! others are told that it is used up.

use std::net::SocketAddr;
use std::sync::Barrier;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use slipway_trust::Refusal;

use super::enrol;
use crate::lab::Lab;
use crate::net::Host;
use crate::org::GATEWAY;
use crate::racer::{Fate, Track};

/// So many hosts, with so many machines each: a server lets 64 connections in from one address.
const HOSTS: u32 = 4;
const EACH: u32 = 25;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (version, _) = lab.made_org()?.newest("bootstrap")?;
    // All of them behind a few addresses: the usual rate of one address is not the point here.
    let (lan, org) = enrol::org(lab, "\n[org]\nhellos-per-minute = 100\n")?;
    org.open_window()?;
    let token = org.invite(&["--label", "stolen", "--approval", "auto"])?;
    let server: SocketAddr = format!("{GATEWAY}:{}", slipway_trust::org::PORT).parse()?;
    let track = Track::new(&org.server().data().join("org"), &token, server, version)?;
    let hosts = (0..HOSTS).map(|n| lab.host(&format!("crowd{n}"), &[(&lan, &format!("10.77.0.{}/24", 10 + n))]));
    let hosts = hosts.collect::<Result<Vec<Host>>>()?;

    let fates = race(&hosts, &track)?;
    let won = fates.iter().filter(|fate| fate.is_none()).count();
    let told = fates.iter().filter(|fate| **fate == Some(Refusal::InviteUsed)).count();
    lab.say(&format!("of {} machines {won} was let in, {told} were told that the invite is used up", fates.len()));
    ensure!((won, told) == (1, fates.len() - 1), "{won} let in, {told} told: {fates:?}");

    let machines = org.server().ask("/org/machines")?;
    let count = machines.get("machines").and_then(Value::as_array).map(Vec::len);
    ensure!(count == Some(1), "the org knows of other machines than the one: {machines}");
    let invites = org.server().ask("/org/invites")?;
    let uses = invites.pointer("/invites/0/uses").and_then(Value::as_u64).context("the invite is gone")?;
    ensure!(uses == 1, "the invite was used {uses} times: {invites}");
    org.audit().map(drop)
}

/// Has all of them start at the same moment, and tells how each fared.
fn race(hosts: &[Host], track: &Track) -> Result<Vec<Fate>> {
    let start = Barrier::new(hosts.len() * usize::try_from(EACH)?);
    let start = &start;
    let on_host = |first: u32| {
        std::thread::scope(|scope| {
            let racing: Vec<_> = (first..first + EACH)
                .map(|number| {
                    scope.spawn(move || {
                        start.wait();
                        track.race(number).with_context(|| format!("machine {number}"))
                    })
                })
                .collect();
            racing.into_iter().map(|one| one.join().unwrap_or_else(|_| anyhow::bail!("a machine panicked"))).collect()
        })
    };
    let all = std::thread::scope(|scope| {
        let firsts = (0_u32..).step_by(usize::try_from(EACH).unwrap_or(1));
        let running: Vec<_> =
            hosts.iter().zip(firsts).map(|(host, first)| scope.spawn(move || host.inside(|| on_host(first)))).collect();
        let joined = running.into_iter().map(|host| host.join().unwrap_or_else(|_| anyhow::bail!("a host panicked")));
        joined.collect::<Result<Vec<Vec<Fate>>>>()
    })?;
    Ok(all.concat())
}
