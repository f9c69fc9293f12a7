//! The boot part of an answer.

use core::net::{IpAddr, Ipv4Addr};

use slipway_wire::dhcp4::{Message, OptionCode, Options};
use slipway_wire::ipxe::IpxeOptions;
use slipway_wire::pxe::{VendorClass, VendorOptions};

use super::ask::{AGENT_CLASS, Ask, Policy};
use super::grant::asks_for;
use crate::Why;
use crate::answer::{Answer, Step};
use crate::decide::{decide, decide_root};
use crate::quirks::{Departure, departs};
use crate::request::{BootRequest, Exchange, Loader};

/// A path where nothing is.
const NOTHING: &str = "local-boot";

/// What this client boots, having or getting this address.
///
/// # Errors
/// Why it boots nothing from us.
pub(super) fn decide_boot(ask: &Ask<'_>, ip: Option<Ipv4Addr>, policy: Policy<'_>) -> Result<Answer, Why> {
    let ip = ip.or(ask.client_ip());
    let request = BootRequest { client_ip: ip.map(IpAddr::V4), ..ask.boot.clone() };
    let server = ask.server(ip);
    if request.loader == Loader::Os {
        // Firmware's own iSCSI driver asks as no boot loader does (edk2's, network cards'), and so does Linux with its root there.
        let wants_root = request.exchange == Exchange::Dhcp && asks_for(ask, OptionCode::ROOT_PATH);
        let root = || decide_root(&request, policy.machines, policy.rules, server);
        return wants_root.then(root).ok_or(Why::NotNetboot)?;
    }
    let answer = decide(&request, policy.machines, policy.rules, policy.catalog, server)?;
    match &answer.step {
        Step::Tftp { .. } | Step::Url { .. } | Step::Root(_) | Step::Configured { .. } | Step::Files { .. } => {
            Ok(answer)
        }
        // A script's text cannot travel in DHCP.
        Step::Config(_) | Step::Grub { .. } | Step::Script { .. } | Step::San { .. } | Step::Template { .. } => {
            Err(Why::NotForUs)
        }
    }
}

/// Puts the boot part into a reply, everywhere where somebody looks for it: edk2 and iPXE read option 67 first, shim and U-Boot only
/// the header's `file`; all of them `siaddr`.
pub(super) fn put_boot(reply: &mut Message, ask: &Ask<'_>, answer: &Answer) {
    let file = match &answer.step {
        Step::Tftp { path } | Step::Configured { path, .. } => Some(path.as_bytes()),
        Step::Url { url } => Some(url.as_bytes()),
        // A Raspberry Pi knows by itself what to ask for.
        Step::Root(_) | Step::Files { .. } => None,
        Step::Config(_) | Step::Grub { .. } | Step::Script { .. } | Step::San { .. } | Step::Template { .. } => return,
    };
    let departs = |departure| departs(&ask.boot, departure);
    let client = Some(reply.yiaddr).filter(|ip| !ip.is_unspecified()).or(ask.client_ip());
    let server = ask.near(client);
    // A system with its disk elsewhere loads no file.
    if ask.boot.loader != Loader::Os {
        reply.siaddr = server;
    }
    if let Some(file) = file {
        // Longer than 127 bytes, it travels in option 67 alone.
        let _ = reply.set_file_name(file);
    }
    if departs(Departure::ServerName) {
        let _ = reply.set_server_name(server.to_string().as_bytes());
    }
    let options = &mut reply.options;
    let classes = [
        (Departure::SayPxeClient, VendorClass::PXE),
        (Departure::SayHttpClient, VendorClass::HTTP),
        (Departure::SaySlipwayAgent, AGENT_CLASS),
    ];
    for (_, class) in classes.into_iter().filter(|&(departure, _)| departs(departure)) {
        options.set(OptionCode::VENDOR_CLASS, class);
    }
    if let Some(vendor) = vendor_options(ask) {
        options.set(OptionCode::VENDOR, vendor.encode());
    }
    if departs(Departure::ServerAsText) {
        options.set(OptionCode::TFTP_SERVER, server.to_string());
    }
    if let Some(file) = file {
        options.set(OptionCode::BOOT_FILE, file);
    }
    if let Step::Configured { config, prefix, .. } = &answer.step {
        put_configuration(options, ask, config, prefix.as_deref());
    }
    // rfc4578#2.3, PXE 2.1: given back byte for byte, whatever it holds.
    if let Some(id) = ask.message.options.get(OptionCode::MACHINE_ID) {
        options.set(OptionCode::MACHINE_ID, id);
    }
    let mut ipxe = IpxeOptions::default();
    if let Step::Root(root) = &answer.step {
        // rfc4173#5. With a boot file beside it, iPXE would boot that.
        options.set(OptionCode::ROOT_PATH, root.path.as_bytes());
        if let Some(initiator) = &root.initiator {
            options.set(OptionCode::ISCSI_INITIATOR, initiator.as_bytes());
        }
        if root.keep && ask.boot.loader == Loader::Ipxe {
            ipxe.set_keep_san();
        }
    }
    if departs(Departure::NoProxyWait) {
        ipxe.set_no_pxedhcp();
    }
    if !ipxe.is_empty() {
        options.set(OptionCode::IPXE, ipxe.encode());
    }
}

/// Where a configuration is looked for (rfc5071). pxelinux reads these out of what its PXE ROM has kept, whether that asked for them
/// or not; U-Boot complains about what it did not ask for.
fn put_configuration(options: &mut Options, ask: &Ask<'_>, config: &str, prefix: Option<&str>) {
    if let Some(prefix) = prefix {
        options.set(OptionCode::PXELINUX_MAGIC, [0xf1, 0, 0x74, 0x7e]);
        options.set(OptionCode::CONFIG_FILE, config);
        options.set(OptionCode::PATH_PREFIX, prefix);
    } else if asks_for(ask, OptionCode::CONFIG_FILE) {
        options.set(OptionCode::CONFIG_FILE, config);
    }
}

/// Puts into a reply what makes firmware go on to its own disk at once, where there is such a thing for it.
pub(super) fn put_local(reply: &mut Message, ask: &Ask<'_>, ip: Option<Ipv4Addr>) {
    let options = &mut reply.options;
    if departs(&ask.boot, Departure::CancelledBoot) {
        // No broadcast, no multicast, only the listed servers, and none is listed: edk2 takes it for a boot from its own disk.
        let mut vendor = VendorOptions::default();
        vendor.set_discovery_control(7);
        options.set(OptionCode::VENDOR_CLASS, VendorClass::PXE);
        options.set(OptionCode::VENDOR, vendor.encode());
    } else if departs(&ask.boot, Departure::MissingFile) {
        options.set(OptionCode::VENDOR_CLASS, VendorClass::HTTP);
        options.set(OptionCode::BOOT_FILE, ask.server(ip).url(NOTHING));
    }
    if let Some(id) = ask.message.options.get(OptionCode::MACHINE_ID) {
        options.set(OptionCode::MACHINE_ID, id);
    }
}

/// Option 43: "use this boot file" for those who need to be told, and the boot item that a client of port 4011 asked for.
fn vendor_options(ask: &Ask<'_>) -> Option<VendorOptions> {
    if departs(&ask.boot, Departure::RaspberryPiMenu) {
        let is_pi_3 = ask.message.options.machine_id().is_some_and(|id| id.is_raspberry_pi_3());
        return Some(VendorOptions::raspberry_pi(is_pi_3));
    }
    if departs(&ask.boot, Departure::UseThisBootFile) {
        return Some(VendorOptions::use_boot_file());
    }
    if !departs(&ask.boot, Departure::ServerName) {
        return None;
    }
    let item = VendorOptions::decode(ask.message.options.get(OptionCode::VENDOR)?).ok()?.boot_item()?;
    let mut vendor = VendorOptions::default();
    vendor.set_boot_item(item);
    Some(vendor)
}
