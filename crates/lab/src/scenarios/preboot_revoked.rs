//! A machine is revoked while it is off. Its preboot still starts, and is refused: its disk stays closed. From the network it gets nothing.

use anyhow::{Context, Result, ensure};
use slipway_wire::dhcp4::{Message, MessageType, OptionCode};

use super::{enrol, joined};
use crate::lab::Lab;
use crate::log::{Line, Log};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, org, home) = joined::machine(lab)?;
    let mac = home.order.mac();
    org.act("revoke", mac)?;
    enrol::ensure_told(&org, mac, "state", "revoked")?;

    let machine = lab.power_on(home.order.clone(), &lan)?;
    let refused = machine.wait_failure(0, "identity proved")?.text;
    ensure!(refused.contains("revoked"), "it is not told why: {refused}");
    for said in ["[ok] disk key derived", "[ok] disk unlocked", "hello from generation"] {
        enrol::ensure_unsaid(&machine, 0, said)?;
    }
    machine.pull_plug()?;

    // Not even the public image, though a window is open.
    org.open_window()?;
    home.disk.zero(&home.disk.esp()?)?;
    let journal = org.server().log()?;
    let mark = journal.mark();
    let machine = lab.power_on(home.order.clone(), &lan)?;
    let first = refusal(&journal, mark)?.at;
    // It asks again and again, also when a machine that has only lost its way would be helped.
    let mut last = first;
    while last.duration_since(first)? < enrol::RECOVER_AFTER {
        last = refusal(&journal, journal.mark())?.at;
    }
    let story = lab.story(&lan)?.of_machine(mac);
    // It may have an address, as any client.
    let boots = |message: &Message| message.options.has(OptionCode::BOOT_FILE) || !message.file_name().is_empty();
    let offered = story.of_type(MessageType::OFFER).any(|offer| offer.at > machine.on_at() && boots(&offer.message));
    ensure!(!offered, "its firmware was offered something: {}", story.lines().join("\n"));
    enrol::ensure_unsaid(&machine, 0, "slipway-agent: ")?;
    let told = org.server().cli(["audit", "show", "--about", "machine-revoked"])?;
    ensure!(told.contains("the scenario wants it"), "the audit log does not tell of it: {told}");
    org.audit().map(drop)
}

/// The next time that the journal says why the machine gets nothing, from this line on.
fn refusal(journal: &Log, mark: usize) -> Result<Line> {
    journal.wait_from(mark, "(revoked)", enrol::PATIENCE).context("the journal does not say why it gets nothing")
}
