//! Files that are made for one machine when it asks for them: GRUB's configuration. TFTP and HTTP serve them alike.

use std::net::IpAddr;

use slipway_engine::Why;
use slipway_engine::answer::{ServerAddr, Step};
use slipway_engine::decide::decide;
use slipway_engine::grub::{self, Lookup};
use slipway_engine::journal::{About, Entry, Given, Outcome};
use slipway_engine::ladder::Rung;
use slipway_engine::request::{BootRequest, Exchange, Loader, Place};
use slipway_wire::{ClientArch, MacAddr};

use crate::journal::Journal;
use crate::site::Site;

/// Who asks for a file, and where.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    /// The machine's address.
    pub(crate) ip: IpAddr,
    /// The address and port of ours that it asked.
    pub(crate) server: ServerAddr,
    /// Our interface.
    pub(crate) interface: String,
}

/// A file that was made, and what the journal is to say about it.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) text: String,
    pub(crate) mac: Option<MacAddr>,
    pub(crate) about: About,
    pub(crate) outcome: Outcome,
}

/// Makes the file of this normalised path, if it is one that is made. Refusals are files too: they say why on the machine's console.
///
/// # Errors
/// [`Why::Ignored`]: the machine is told nothing.
pub(crate) fn make(site: &Site, journal: &Journal, path: &str, asker: &Asker) -> Result<Option<Made>, Why> {
    let has_grub = site.catalog.loaders.keys().any(|file| file.starts_with("grub"));
    let Some(Lookup { mac }) = grub::lookup(path).filter(|_| has_grub) else { return Ok(None) };
    let Some(mac) = mac.or_else(|| journal.mac_of(asker.ip)) else {
        let outcome = Outcome::Answered("asked to tell its hardware address".to_owned());
        return Ok(Some(Made { text: grub::ask_again(), mac: None, about: About::Other, outcome }));
    };
    let request = request(journal, mac, asker);
    let (text, about, outcome) =
        match decide(&request, &journal.machines().known(), &site.rules, &site.catalog, asker.server) {
            Ok(answer) => {
                let given = Given::from(&answer);
                let what = given.image.as_deref().unwrap_or("the local disk");
                let outcome = Outcome::Answered(format!("configuration for {what} by rule {}", given.rule));
                match answer.step {
                    Step::Grub { text } => (text, About::Script(Some(given)), outcome),
                    // The decision gives GRUB nothing else.
                    _ => return Ok(None),
                }
            }
            Err(why @ Why::Ignored { .. }) => return Err(why),
            Err(why) => (grub::refusal(&why.to_string()), About::Script(None), Outcome::Declined(why)),
        };
    Ok(Some(Made { text, mac: Some(mac), about, outcome }))
}

/// What GRUB does not say, its machine's firmware said by DHCP before.
fn request(journal: &Journal, mac: MacAddr, asker: &Asker) -> BootRequest {
    let entries = journal.machine(mac).unwrap_or_default();
    let firmware = |entry: &Entry| match &entry.about {
        About::Dhcp { loader: Loader::Pxe | Loader::UefiHttp, arch, .. } => Some(*arch),
        _ => None,
    };
    let plugged = |entry: &Entry| match &entry.about {
        About::Dhcp { relay, place, .. } => Some((*relay, Place::clone(place))),
        _ => None,
    };
    let arch = entries.iter().rev().find_map(|entry| firmware(entry)).unwrap_or(ClientArch::X64_UEFI);
    let (relay, place) = entries.iter().rev().find_map(|entry| plugged(entry)).unwrap_or_default();
    BootRequest {
        exchange: Exchange::Script,
        loader: Loader::Grub,
        arch,
        mac,
        uuid: entries.iter().rev().find_map(|entry| entry.uuid),
        interface: asker.interface.clone(),
        relay,
        place,
        client_ip: Some(asker.ip.to_canonical()),
        user_class: None,
        vendor_class: None,
        rung: Rung::Plain,
    }
}
