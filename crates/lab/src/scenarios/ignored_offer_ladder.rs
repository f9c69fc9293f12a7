//! Firmware that ignores an offer. OVMF takes every kind, so something sits between its card and the wire here: it lets through only offers
//! with option 60, as if the firmware took no others, and nothing from port 4011. So it boots by the third kind of offer.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use slipway_wire::dhcp4::{Message, MessageType, OptionCode};

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Machine, Order};
use crate::net::Lan;
use crate::pcap::{Packet, Payload};

const PATIENCE: Duration = Duration::from_secs(240);

/// Firmware that takes only what says `PXEClient` in option 60.
fn pxe_only(packet: &Packet) -> bool {
    let Payload::Udp { data, .. } = &packet.payload else { return true };
    let says_what_it_is = |message: Message| message.options.has(OptionCode::VENDOR_CLASS);
    packet.from.port() != 67 || Message::decode(data).is_ok_and(says_what_it_is)
}

/// The same where nobody answers on port 4011, as far as it hears.
fn pxe_only_and_no_boot_server(packet: &Packet) -> bool {
    packet.from.port() != 4011 && pxe_only(packet)
}

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, server) = boot::network(lab, &boot::full_dhcp("auto"))?;
    boot::add_uki(lab, &server)?;
    server.start()?;

    // The usual offer is ignored, twice. The next is not: but nobody answers on port 4011, as far as the firmware hears.
    for attempt in ["node1", "node1-again"] {
        let machine =
            lab.power_on(Order::new(attempt, 1, Firmware::UefiPxe).hearing(pxe_only_and_no_boot_server), &lan)?;
        machine.console().wait_for("PXE-E16", PATIENCE)?;
        machine.process().kill()?;
        ensure!(boot::rung(&server, &machine)?.as_deref() == Some("boot-server"), "{}", offers(lab, &lan, &machine)?);
    }
    // The third kind says that nobody needs that port, and is taken.
    let machine =
        lab.power_on(Order::new("node1-boots", 1, Firmware::UefiPxe).hearing(pxe_only_and_no_boot_server), &lan)?;
    boot::see_it_boot_by(lab, &server, &machine, Some("this-file"))?;
    let told = offers(lab, &lan, &machine)?;
    ensure!(told == "plain plain 4011 4011 43", "it was made these offers: {told}");
    let shown = server.journal_json(machine.mac())?.to_string();
    for step in ["now offered as boot-server: it went on asking", "now offered as this-file: it asked port 4011"] {
        ensure!(shown.contains(step), "the journal does not tell of {step:?}: {shown}");
    }

    // What worked is remembered, also by a server that was started anew: the first offer is the right one.
    server.stop()?;
    server.start()?;
    let machine =
        lab.power_on(Order::new("node1-knows", 1, Firmware::UefiPxe).hearing(pxe_only_and_no_boot_server), &lan)?;
    boot::see_it_boot_by(lab, &server, &machine, Some("this-file"))?;
    let told = offers(lab, &lan, &machine)?;
    ensure!(told == "plain plain 4011 4011 43 43", "it was made these offers: {told}");

    // Where port 4011 answers, the second kind is enough. A machine that takes the usual offer is made no other, as ever.
    let hearing = lab.power_on(Order::new("node3", 3, Firmware::UefiPxe).hearing(pxe_only), &lan)?;
    let other = lab.power_on(Order::new("node2", 2, Firmware::UefiPxe), &lan)?;
    boot::see_it_boot(lab, &server, &other)?;
    boot::see_it_boot_by(lab, &server, &hearing, Some("boot-server"))?;
    let told = offers(lab, &lan, &hearing)?;
    ensure!(told == "plain plain 4011", "it was made these offers: {told}");
    ensure!(boot::boot_server_used(&boot::story(lab, &lan, &hearing)?), "it did not come to port 4011");

    // And an operator can have it start again.
    let mac = machine.mac().to_string();
    let said = server.cli(["machine", "reset", &mac])?;
    ensure!(said.contains("it was made `this-file`"), "{said}");
    ensure!(boot::rung(&server, &machine)?.is_none(), "it was not reset");
    Ok(())
}

/// The kinds of boot offer that the machine was made, in order: each attempt's repeats too.
fn offers(lab: &Lab, lan: &Lan, machine: &Machine) -> Result<String> {
    let story = boot::story(lab, lan, machine)?;
    let firmware = story.of_type(MessageType::OFFER).filter(|offer| {
        let options = &offer.message.options;
        options.has(OptionCode::BOOT_FILE) && options.get(OptionCode::VENDOR_CLASS) != Some(b"slipway-agent")
    });
    let kinds: Vec<&str> = firmware
        .map(|offer| {
            let options = &offer.message.options;
            match (options.has(OptionCode::VENDOR_CLASS), options.has(OptionCode::VENDOR)) {
                (false, _) => "plain",
                (true, false) => "4011",
                (true, true) => "43",
            }
        })
        .collect();
    kinds.first().context("the machine was made no offer")?;
    Ok(kinds.join(" "))
}
