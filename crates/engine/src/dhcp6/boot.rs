//! The boot part of an answer.

use core::net::{IpAddr, Ipv6Addr};

use slipway_wire::dhcp6::{ENTERPRISE_INTEL, Message, OptionCode, VendorClass6};
use slipway_wire::pxe::VendorClass;

use super::ask::Ask;
use super::plan::Plan;
use crate::Why;
use crate::answer::{Answer, Step};
use crate::decide::decide;
use crate::dhcp4::Policy;
use crate::quirks::{Departure, departs};
use crate::request::{BootRequest, Loader};

/// What a client is told to load.
#[derive(Debug)]
pub(super) struct Boot {
    pub(super) answer: Answer,
    /// Option 59.
    pub(super) url: String,
}

/// What this client boots, having or getting this address.
///
/// # Errors
/// Why it boots nothing from us.
pub(super) fn decide_boot(ask: &Ask<'_>, ip: Option<Ipv6Addr>, plan: &Plan, policy: Policy<'_>) -> Result<Boot, Why> {
    if ask.boot.loader == Loader::Os {
        return Err(Why::NotNetboot);
    }
    // A link-local address of ours means nothing in a URL.
    let server = ask.server(plan).ok_or(Why::NoSubnet)?;
    let request = BootRequest { client_ip: ip.map(IpAddr::V6), ..ask.boot.clone() };
    let answer = decide(&request, policy.machines, policy.rules, policy.catalog, server)?;
    let url = match &answer.step {
        Step::Tftp { path } => server.tftp_url(path),
        Step::Url { url } => url.clone(),
        Step::Root(_) => {
            let reason = "DHCPv6 has no root path: leave out `path = \"direct\"`";
            let disk = answer.image.clone().unwrap_or_default();
            return Err(Why::CannotAttach { disk, reason });
        }
        // A script's text cannot travel in DHCP.
        Step::Configured { .. }
        | Step::Files { .. }
        | Step::Config(_)
        | Step::Grub { .. }
        | Step::Script { .. }
        | Step::San { .. }
        | Step::Template { .. } => return Err(Why::NotForUs),
    };
    Ok(Boot { answer, url })
}

/// Puts the boot part into a reply that has no option yet: edk2 looks for the end of the URL with `strlen`, so another option must
/// come after it, whose code begins with a 0. PXE clients get no vendor class (it would send them to port 4011 for a boot server)
/// and nobody gets option 60 (edk2 takes its first parameter for the file's size).
pub(super) fn put_boot(reply: &mut Message, ask: &Ask<'_>, boot: &Boot) {
    reply.options.push(OptionCode::BOOT_FILE_URL, boot.url.as_bytes());
    if departs(&ask.boot, Departure::SayHttpClient) {
        reply.options.push(OptionCode::VENDOR_CLASS, VendorClass6::encode(ENTERPRISE_INTEL, VendorClass::HTTP));
    }
}
