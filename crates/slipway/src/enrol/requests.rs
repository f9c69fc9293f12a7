//! `slipway requests`: who asks to join, or to recover.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use slipway_api::org::{Disk, Inventory, Ticket, Tickets};

use crate::cli::Global;
use crate::client::Client;
use crate::machines::{ago, print_json};

/// `slipway requests`
#[derive(Args, Clone, Debug)]
pub(crate) struct Requests {
    /// Those that ended, too: denied, expired, granted
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(global: &Global, words: &Requests) -> Result<ExitCode> {
    let tickets: Tickets = Client::of(global).get(if words.all { "/org/tickets?all=true" } else { "/org/tickets" })?;
    if global.json {
        return print_json(&tickets);
    }
    if tickets.tickets.is_empty() {
        println!("nobody asks");
    }
    let now = jiff::Timestamp::now();
    for (number, ticket) in tickets.tickets.iter().enumerate() {
        let gap = if number == 0 { "" } else { "\n" };
        print!("{gap}{}", told(ticket, now));
    }
    Ok(ExitCode::SUCCESS)
}

/// What a person decides on, and by.
pub(crate) fn told(ticket: &Ticket, now: jiff::Timestamp) -> String {
    let mut lines = vec![(
        "request",
        format!("{}, {} {}{}", ticket.id, ticket.state, ago(&ticket.since, now), stuck(ticket.stuck)),
    )];
    lines.push(("words", ticket.words.clone()));
    if let Some(machine) = &ticket.recovers {
        lines.push(("recovery", format!("of the machine {machine}: its ESP is written anew, and nothing else")));
    }
    lines.extend(ticket.flags.iter().map(|flag| ("LOOK", flag.clone())));
    let tpm = match (&ticket.ek, &ticket.tpm_maker, &ticket.inventory.tpm) {
        (Some(ek), Some(maker), _) => format!("{ek}, by {maker}"),
        (Some(ek), None, _) => format!("{ek}; no maker that we trust vouches for it"),
        (None, _, Some(why)) => format!("none proved: {why}"),
        (None, _, None) => "none".to_owned(),
    };
    lines.push(("known by", ticket.assurance.clone()));
    lines.push(("TPM", tpm));
    if let Some(on) = ticket.secure_boot {
        lines.push(("Secure Boot", if on { "on" } else { "off" }.to_owned()));
    }
    lines.extend(inventory(&ticket.inventory, &ticket.arch));
    lines.push(("asks from", format!("{}, with version {} of the image", ticket.address, ticket.image_version)));
    if let Some(invite) = &ticket.invite {
        lines.push(("invite", invite.clone()));
    }
    if let Some(code) = &ticket.refused {
        lines.push(("refused", code.clone()));
    }
    if let Some(machine) = &ticket.granted {
        lines.push(("became", format!("the machine {machine}")));
    }
    lines.into_iter().map(|(name, text)| format!("{name:12} {text}\n")).collect()
}

fn stuck(stuck: bool) -> &'static str {
    if stuck { ", STUCK: longer than it should be" } else { "" }
}

/// What a machine says of itself, in lines.
pub(crate) fn inventory(inventory: &Inventory, arch: &str) -> Vec<(&'static str, String)> {
    let Inventory { uuid, serial, model, macs, disks, memory_mib, tpm: _ } = inventory;
    let mut hardware = vec![model.clone().unwrap_or_else(|| "of an unknown maker".to_owned()), arch.to_owned()];
    hardware.extend(memory_mib.map(|mib| format!("{mib} MiB")));
    let mut lines = vec![("says it is", hardware.join(", "))];
    let names = [("serial", serial), ("UUID", uuid)].map(|(what, name)| Some(format!("{what} {}", name.as_ref()?)));
    let names: Vec<String> = names.into_iter().flatten().chain(macs.iter().map(|mac| format!("MAC {mac}"))).collect();
    if !names.is_empty() {
        lines.push(("", names.join(", ")));
    }
    lines.extend(disks.iter().map(|disk| ("disk", told_disk(disk))));
    lines
}

fn told_disk(Disk { id, size, model, used }: &Disk) -> String {
    let model = model.as_ref().map_or(String::new(), |model| format!(", {model}"));
    let used = if *used { ", something is on it" } else { ", empty" };
    format!("{id}, {}{model}{used}", indicatif::BinaryBytes(*size))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn ticket() -> Ticket {
        Ticket {
            id: "00aa11bb22cc33dd44ee55ff66778899".to_owned(),
            state: "requested".to_owned(),
            since: "2026-11-23T03:59:55.000Z".to_owned(),
            words: "measure spice veteran shock sense garage".to_owned(),
            assurance: "tpm".to_owned(),
            key: "11".repeat(32),
            ek: Some("ab".repeat(32)),
            secure_boot: Some(true),
            transcript: "22".repeat(32),
            inventory: Inventory {
                uuid: Some("d9c4…".to_owned()),
                serial: Some("S1".to_owned()),
                model: Some("QEMU Standard PC".to_owned()),
                macs: vec!["52:54:00:12:34:56".to_owned()],
                disks: vec![Disk {
                    id: "virtio-disk0".to_owned(),
                    size: 8 << 30,
                    model: Some("virtio".to_owned()),
                    used: true,
                }],
                memory_mib: Some(2048),
                tpm: None,
            },
            arch: "x64".to_owned(),
            image_version: 7,
            flags: vec!["the machine `web-1` has the same UUID".to_owned()],
            address: "10.77.0.100".to_owned(),
            stuck: true,
            ..Ticket::default()
        }
    }

    #[test]
    fn a_request_reads_like_this() {
        assert_eq!(
            told(&ticket(), "2026-11-23T04:00:00Z".parse().unwrap()),
            "\
request      00aa11bb22cc33dd44ee55ff66778899, requested 5 s ago, STUCK: longer than it should be
words        measure spice veteran shock sense garage
LOOK         the machine `web-1` has the same UUID
known by     tpm
TPM          abababababababababababababababababababababababababababababababab; no maker that we trust vouches for it
Secure Boot  on
says it is   QEMU Standard PC, x64, 2048 MiB
             serial S1, UUID d9c4…, MAC 52:54:00:12:34:56
disk         virtio-disk0, 8.00 GiB, virtio, something is on it
asks from    10.77.0.100, with version 7 of the image
"
        );
    }
}
