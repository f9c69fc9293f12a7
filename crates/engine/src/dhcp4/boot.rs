//! The boot part of an answer.

use core::net::{IpAddr, Ipv4Addr};

use slipway_wire::dhcp4::{Message, OptionCode};
use slipway_wire::ipxe::IpxeOptions;
use slipway_wire::pxe::{VendorClass, VendorOptions};

use super::ask::{AGENT_CLASS, Ask, Policy};
use crate::Why;
use crate::answer::{Answer, Step};
use crate::decide::decide;
use crate::quirks::{Departure, departs};
use crate::request::{BootRequest, Loader};

/// What this client boots, having or getting this address.
///
/// # Errors
/// Why it boots nothing from us.
pub(super) fn decide_boot(ask: &Ask<'_>, ip: Option<Ipv4Addr>, policy: Policy<'_>) -> Result<Answer, Why> {
    if ask.boot.loader == Loader::Os {
        return Err(Why::NotNetboot);
    }
    let client_ip = ip.map(IpAddr::V4).or(ask.boot.client_ip);
    let request = BootRequest { client_ip, ..ask.boot.clone() };
    let answer = decide(&request, policy.machines, policy.rules, policy.catalog, ask.server())?;
    match &answer.step {
        Step::Tftp { .. } | Step::Url { .. } => Ok(answer),
        // A script's text cannot travel in DHCP.
        Step::Script { .. } | Step::Config { .. } | Step::Template { .. } => Err(Why::NotForUs),
    }
}

/// Puts the boot part into a reply, everywhere where somebody looks for it: edk2 and iPXE read option 67 first, shim and U-Boot only
/// the header's `file`; all of them `siaddr`.
pub(super) fn put_boot(reply: &mut Message, ask: &Ask<'_>, answer: &Answer) {
    let file = match &answer.step {
        Step::Tftp { path } => path.as_bytes(),
        Step::Url { url } => url.as_bytes(),
        Step::Script { .. } | Step::Config { .. } | Step::Template { .. } => return,
    };
    let departs = |departure| departs(&ask.boot, departure);
    let server = ask.link.server;
    reply.siaddr = server;
    // Longer than 127 bytes, it travels in option 67 alone.
    let _ = reply.set_file_name(file);
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
    options.set(OptionCode::BOOT_FILE, file);
    // rfc4578#2.3, PXE 2.1: given back byte for byte, whatever it holds.
    if let Some(id) = ask.message.options.get(OptionCode::MACHINE_ID) {
        options.set(OptionCode::MACHINE_ID, id);
    }
    if departs(Departure::NoProxyWait) {
        options.set(OptionCode::IPXE, IpxeOptions::no_pxedhcp().encode());
    }
}

/// Option 43: "use this boot file" for those who need to be told, and the boot item that a client of port 4011 asked for.
fn vendor_options(ask: &Ask<'_>) -> Option<VendorOptions> {
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
