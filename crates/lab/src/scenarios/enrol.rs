//! What the scenarios have in common in which machines join the lab's org: its server, a machine's home, and the usual story of joining.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use slipway_wire::MacAddr;
use slipway_wire::dhcp4::{Message, OptionCode};
use slipway_wire::pxe::VendorClass;

use super::boot;
use crate::drive::Drive;
use crate::lab::Lab;
use crate::machine::{Machine, Order};
use crate::net::Lan;
use crate::org::{GATEWAY, Org};
use crate::pcap::{Packet, Payload};
use crate::server::Server;

/// How long a machine may take from power-on to its first words, and firmware to have tried everything.
pub(super) const PATIENCE: Duration = Duration::from_secs(240);
/// How long the org believes that a machine which it has sent to its disk comes up from there: as [`CONFIG`](crate::org::CONFIG) says.
pub(super) const RECOVER_AFTER: Duration = Duration::from_secs(20);
/// The memory that an agent may use at its peak while it installs, in KiB: what it runs from, its initramfs, stands beside that.
const MOST_MEMORY: u64 = 64 << 10;
/// Room for a disk's ESP, and for its data.
const DISK_MIB: u64 = 2048;

/// A machine's parts, which stay when it is switched off.
#[derive(Clone, Debug)]
pub(super) struct Home {
    pub(super) order: Order,
    pub(super) disk: Drive,
}

/// The lab's org on a LAN, its server serving. `more` is put behind the server's configuration.
pub(super) fn org(lab: &mut Lab, more: &str) -> Result<(Lan, Org)> {
    let (lan, org) = org_at_rest(lab, more)?;
    org.server().start()?;
    Ok((lan, org))
}

/// The same, its server not started yet.
pub(super) fn org_at_rest(lab: &mut Lab, more: &str) -> Result<(Lan, Org)> {
    let lan = lab.lan("lan")?;
    let host = lab.host("server", &[(&lan, &format!("{GATEWAY}/24"))])?;
    let org = lab.org(&host, more)?;
    Ok((lan, org))
}

impl Home {
    /// A machine with a blank disk, which boots in its firmware's own order, and with a TPM.
    pub(super) fn with_tpm(lab: &Lab, order: Order) -> Result<Self> {
        Self::without_tpm(lab, order.tpm(&lab.tpm("node1")?))
    }

    /// The same without a TPM.
    pub(super) fn without_tpm(lab: &Lab, order: Order) -> Result<Self> {
        let disk = lab.blank_disk(&format!("{}-disk", order.name()), DISK_MIB)?;
        let order = order.memory(1536).cpus(2).by_itself().restarting().drive(&disk);
        Ok(Self { order, disk })
    }
}

/// A stranger on the LAN, faster with his answers than the org's server: he gives addresses, and boots every machine into this UKI. A machine
/// that he is to catch is [deaf](deaf_to_the_org) to the org's own answers.
pub(super) fn stranger(lab: &mut Lab, lan: &Lan, uki: &Path) -> Result<Server> {
    let host = lab.host("stranger", &[(lan, "10.77.0.9/24")])?;
    let server = lab.slipway(&host, &boot::full_dhcp("direct"))?;
    server.cli(["image".as_ref(), "add".as_ref(), "debian".as_ref(), "--uki".as_ref(), uki.as_os_str()])?;
    server.start()?;
    Ok(server)
}

/// Whether a machine hears a packet to which the org's own DHCP server comes too late.
pub(super) fn deaf_to_the_org(packet: &Packet) -> bool {
    packet.from.port() != 67 || packet.from.ip().to_string() != GATEWAY
}

/// Whether nothing was ever written to a machine's disk.
pub(super) fn ensure_untouched(disk: &Drive) -> Result<()> {
    let blocks = std::fs::metadata(disk.path()?)?.blocks();
    ensure!(blocks == 0, "something was written to its disk: {} bytes", 512 * blocks);
    Ok(())
}

/// Whether the org has let nobody in, and nobody waits for a person's word.
pub(super) fn ensure_nobody_in(org: &Org) -> Result<()> {
    for (path, what) in [("/org/machines", "machines"), ("/org/tickets?all=true", "tickets")] {
        let told = org.server().ask(path)?;
        let list = told.get(what).and_then(Value::as_array).with_context(|| format!("no {what}: {told}"))?;
        ensure!(list.is_empty(), "the org knows of {what}: {told}");
    }
    org.audit().map(drop)
}

/// Sees a machine that was switched on come to its words, has a person approve it, and follows it until its system is up and says that
/// it is well. Returns the line number on the console behind its enrolment.
pub(super) fn join(org: &Org, machine: &Machine, more: &[&str]) -> Result<usize> {
    machine.wait_step(0, "identity proved")?;
    machine.six_words()?;
    org.approve(machine, more)?;
    install(machine)
}

/// Follows a machine that the org lets on: it puts a preboot on its disk, starts from there, and is well. Returns the line number on the
/// console behind its installing.
pub(super) fn install(machine: &Machine) -> Result<usize> {
    let mark = put_preboot(machine)?;
    come_up(machine, mark)?;
    Ok(mark)
}

/// Follows a machine from its grant to a preboot on its disk. Returns the line number on the console behind that.
pub(super) fn put_preboot(machine: &Machine) -> Result<usize> {
    for step in ["approval", "preboot.efi downloaded", "written to the esp", "boot order updated", "rebooting"] {
        machine.wait_step(0, step)?;
    }
    let peak = machine.console().find_map(|line| line.split_once("fact peak_rss_kib=")?.1.trim().parse::<u64>().ok());
    ensure!(peak.is_some_and(|peak| (1..=MOST_MEMORY).contains(&peak)), "the agent has used {peak:?} KiB at its peak");
    Ok(machine.console().mark())
}

/// The same of a machine that nobody need approve: no hand is laid on it from power-on to the preboot on its disk.
pub(super) fn join_by_itself(machine: &Machine) -> Result<usize> {
    machine.wait_step(0, "identity proved")?;
    let mark = put_preboot(machine)?;
    ensure_unsaid(machine, 0, "[..] approval")?;
    Ok(mark)
}

/// Follows a machine from its own disk to its system, which tells the org that it is well.
pub(super) fn come_up(machine: &Machine, mark: usize) -> Result<()> {
    for step in ["gateway reachable", "identity proved", "image signature verified", "kexec into the generation"] {
        machine.wait_step(mark, step)?;
    }
    machine.wait_hello(mark)?;
    machine.wait_step(mark, "reported healthy").map(drop)
}

/// Has a machine join the org by the usual way, and switches it off when its system is up.
pub(super) fn joined(lab: &mut Lab, org: &Org, lan: &Lan, home: &Home) -> Result<MacAddr> {
    org.open_window()?;
    let machine = lab.power_on(home.order.clone(), lan)?;
    join(org, &machine, &["--name", "web-1"])?;
    machine.pull_plug()?;
    org.close_window()?;
    ensure_told(org, machine.mac(), "state", "active")?;
    Ok(machine.mac())
}

/// Follows a machine whose ESP was lost, at its first start: the org has just heard it, so sends it to its disk, where nothing starts, nor is
/// it given anything by PXE or by HTTP Boot. It stays on until the org believes it lost.
pub(super) fn find_nothing(org: &Org, machine: &Machine) -> Result<()> {
    let sent = org.server().log()?.wait_for("(enrolled)", PATIENCE).context("it was not sent to its disk first")?;
    // Its firmware would go on to HTTP Boot over IPv6, which nobody speaks here, wait there for a minute, and end in its shell.
    let last = machine.console().wait_for("\"UEFI HTTPv4 (", PATIENCE).context("its firmware did not try HTTP Boot")?;
    ensure!(last.text.contains("failed to load"), "the network gave it something: {}", last.text);
    let left = RECOVER_AFTER.saturating_sub(sent.at.elapsed().unwrap_or_default());
    ensure!(machine.process().wait_exit(left).is_err(), "{} went off by itself", machine.name());
    Ok(())
}

/// Who a machine is to the org: its number, and its key.
pub(super) fn identity(org: &Org, mac: MacAddr) -> Result<[String; 2]> {
    Ok([org.told(mac, "id")?, org.told(mac, "key")?])
}

/// Whether the org says this of a machine.
pub(super) fn ensure_told(org: &Org, mac: MacAddr, what: &str, wanted: &str) -> Result<()> {
    let told = org.told(mac, what)?;
    ensure!(told == wanted, "the machine's {what} is {told}, not {wanted}: {}", org.machine(mac)?);
    Ok(())
}

/// Whether this was said on the console from this line on.
pub(super) fn said(machine: &Machine, mark: usize, text: &str) -> Result<()> {
    let line = machine.console().find_last_from(mark, text);
    line.map(drop).with_context(|| format!("{} did not say {text:?}", machine.name()))
}

/// Whether nothing of this was said on the console from this line on.
pub(super) fn ensure_unsaid(machine: &Machine, mark: usize, text: &str) -> Result<()> {
    let said = machine.console().find_last_from(mark, text);
    ensure!(said.is_none(), "{} said {:?}", machine.name(), said.map(|line| line.text));
    Ok(())
}

/// How often the firmware of a machine has asked the LAN who boots it.
pub(super) fn firmware_asked(lab: &Lab, lan: &Lan, mac: MacAddr) -> Result<usize> {
    let is_firmwares = |class: &[u8]| [VendorClass::PXE, VendorClass::HTTP].iter().any(|its| class.starts_with(its));
    let packets = lab.packets(lan)?.all();
    let messages = packets.iter().filter_map(|packet| match &packet.payload {
        Payload::Udp { data, .. } if packet.source == mac => Message::decode(data).ok(),
        _ => None,
    });
    Ok(messages.filter(|message| message.options.get(OptionCode::VENDOR_CLASS).is_some_and(is_firmwares)).count())
}

/// The digest of the partition with the machine's data.
pub(super) fn data_digest(disk: &Drive) -> Result<String> {
    let partitions = disk.partitions()?;
    let esp = disk.esp()?;
    let data = partitions.iter().find(|partition| partition.number != esp.number);
    disk.digest(data.with_context(|| format!("no data partition: {partitions:?}"))?)
}

/// The number that the first generation wrote behind the data partition's beginning, as its console last told it.
pub(super) fn data_mark(machine: &Machine) -> Result<String> {
    let line =
        machine.console().find_last_from(0, ", mark ").or_else(|| machine.console().find_last_from(0, "new, mark "));
    let text = line.context("its generation told no mark of its data")?.text;
    let mark = text.rsplit("mark ").next().unwrap_or_default().trim_end_matches(')');
    ensure!(mark.len() == 32, "no mark: {text}");
    Ok(mark.to_owned())
}
