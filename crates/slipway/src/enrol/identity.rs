//! What the org knows of a machine, beside what its boots tell.

use anyhow::Result;
use slipway_api::Machine;
use slipway_api::org::{OrgMachine, OrgMachines};

use crate::client::Client;
use crate::machines::ago;

use super::requests::inventory;

/// The org's machines; none where there is no org.
pub(crate) fn all(client: &Client) -> Result<Option<Vec<OrgMachine>>> {
    Ok(client.find::<OrgMachines>("/org/machines")?.map(|known| known.machines))
}

/// The identity of a machine that was heard of by its MAC address: the one that lives, else the last.
pub(crate) fn of<'a>(machine: &Machine, known: &'a [OrgMachine]) -> Option<&'a OrgMachine> {
    let mut its =
        known.iter().filter(|one| one.inventory.macs.iter().any(|mac| mac.eq_ignore_ascii_case(&machine.mac)));
    let first = its.next()?;
    Some(core::iter::once(first).chain(its).max_by_key(|one| (lives(one), one.since.as_str())).unwrap_or(first))
}

/// Living machines of the org that were never heard of by any of their MAC addresses, as a list of machines shows them.
pub(crate) fn unheard(heard: &[Machine], known: &[OrgMachine]) -> Vec<Machine> {
    let is_heard = |one: &OrgMachine| {
        let its = |machine: &Machine| one.inventory.macs.iter().any(|mac| mac.eq_ignore_ascii_case(&machine.mac));
        heard.iter().any(its)
    };
    let unheard = known.iter().filter(|one| lives(one) && !is_heard(one));
    unheard.filter_map(|one| Some(Machine { mac: one.inventory.macs.first()?.clone(), ..Machine::default() })).collect()
}

fn lives(machine: &OrgMachine) -> bool {
    !matches!(machine.state.as_str(), "retired" | "revoked" | "expired")
}

/// Name, state and assurance, for a list.
pub(crate) fn words(machine: &OrgMachine) -> [String; 2] {
    let stuck = if machine.stuck { " (STUCK)" } else { "" };
    [machine.name.clone(), format!("{}{stuck}, {}", machine.state, machine.assurance)]
}

/// What follows from an offline start that is granted.
pub(crate) const BITES: &str = "revocation does not bite before";

/// Until when a machine may start without the org, if that time is still to come.
pub(crate) fn bites(machine: &OrgMachine, now: jiff::Timestamp) -> Option<&str> {
    let until = machine.offline_until.as_deref()?;
    (until.parse::<jiff::Timestamp>().ok()? > now).then_some(until)
}

/// All of it, for one machine.
pub(crate) fn told(machine: &OrgMachine, now: jiff::Timestamp) -> String {
    let OrgMachine { id, name, role, state, since, stuck, assurance, ek, tpm_maker, secure_boot, arch, .. } = machine;
    let late = if *stuck { "; STUCK: longer than it should be" } else { "" };
    let mut lines = vec![
        ("identity", format!("{name}, {id}")),
        ("state", format!("{state} since {since} ({}){late}", ago(since, now))),
        ("known by", assurance.clone()),
        ("role", role.clone()),
    ];
    let maker = tpm_maker.as_ref().map_or(String::new(), |maker| format!(", by {maker}"));
    lines.push(("TPM", ek.as_ref().map_or_else(|| "none".to_owned(), |ek| format!("{ek}{maker}"))));
    if let Some(on) = secure_boot {
        lines.push(("Secure Boot", if *on { "on, at its last boot" } else { "off, at its last boot" }.to_owned()));
    }
    lines.extend(inventory(&machine.inventory, arch));
    lines.push(("heard", format!("{}, after {} boots", ago(&machine.heard, now), machine.boots)));
    lines.push(("floor", format!("preboot from version {}", machine.floor)));
    if let Some(generation) = &machine.generation {
        lines.push(("generation", generation.clone()));
    }
    let share = machine.share_epoch;
    lines.push(("disk key", share.map_or_else(|| "no share is kept".to_owned(), |epoch| format!("epoch {epoch}"))));
    if let Some(until) = bites(machine, now) {
        lines.push((
            "offline",
            format!("until {until} it may start without the org, by a PIN that was set at it: {BITES}"),
        ));
    }
    if let Some(invite) = &machine.invite {
        lines.push(("invite", invite.clone()));
    }
    lines.into_iter().map(|(name, text)| format!("{name:12} {text}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_api::org::Inventory;

    fn machine(state: &str, since: &str) -> OrgMachine {
        OrgMachine {
            id: "00aa11bb22cc33dd44ee55ff66778899".to_owned(),
            name: "web-1".to_owned(),
            role: "web".to_owned(),
            state: state.to_owned(),
            since: since.to_owned(),
            assurance: "tpm-boot".to_owned(),
            ek: Some("ab".repeat(32)),
            tpm_maker: Some("STM".to_owned()),
            secure_boot: Some(true),
            inventory: Inventory { macs: vec!["52:54:00:12:34:56".to_owned()], ..Inventory::default() },
            arch: "x64".to_owned(),
            boots: 3,
            heard: "2026-11-23T03:59:55.000Z".to_owned(),
            floor: 7,
            share_epoch: Some(1),
            ..OrgMachine::default()
        }
    }

    #[test]
    fn an_identity_reads_like_this() {
        let at = "2026-11-23T02:00:00.000Z";
        assert_eq!(words(&machine("active", at)), ["web-1", "active, tpm-boot"]);
        assert_eq!(
            told(&machine("active", at), "2026-11-23T04:00:00Z".parse().unwrap()),
            "\
identity     web-1, 00aa11bb22cc33dd44ee55ff66778899
state        active since 2026-11-23T02:00:00.000Z (2 h 0 min ago)
known by     tpm-boot
role         web
TPM          abababababababababababababababababababababababababababababababab, by STM
Secure Boot  on, at its last boot
says it is   of an unknown maker, x64
             MAC 52:54:00:12:34:56
heard        5 s ago, after 3 boots
floor        preboot from version 7
disk key     epoch 1
"
        );
    }

    #[test]
    fn a_start_without_the_org_that_is_granted_is_told_until_it_is_over() {
        let at = "2026-11-23T02:00:00.000Z";
        let granted =
            OrgMachine { offline_until: Some("2026-11-30T02:00:00.000Z".to_owned()), ..machine("active", at) };
        let told = |now: &str| told(&granted, now.parse().unwrap());
        let line = "offline      until 2026-11-30T02:00:00.000Z it may start without the org, by a PIN that was set at it: \
                    revocation does not bite before\n";
        assert!(told("2026-11-30T01:59:59Z").contains(line), "{}", told("2026-11-30T01:59:59Z"));
        assert!(!told("2026-11-30T02:00:00Z").contains("offline"));
    }

    #[test]
    fn of_several_identities_of_one_board_the_living_one_is_meant() {
        let known = [
            machine("retired", "2026-11-23T03:00:00.000Z"),
            machine("active", "2026-11-23T02:00:00.000Z"),
            machine("revoked", "2026-11-23T04:00:00.000Z"),
        ];
        let heard = Machine { mac: "52:54:00:12:34:56".to_owned(), ..Machine::default() };
        assert_eq!(of(&heard, &known).unwrap().state, "active");
        let over = [known[0].clone(), known[2].clone()];
        assert_eq!(of(&heard, &over).unwrap().state, "revoked", "the last one");
        let other = Machine { mac: "52:54:00:00:00:01".to_owned(), ..Machine::default() };
        assert_eq!(of(&other, &known), None);
    }
}
