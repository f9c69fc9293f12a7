//! Names whose content depends on who asks, over TFTP and HTTP alike: what the engine decides, as something to send.

use std::net::IpAddr;

use slipway_engine::Why;
use slipway_engine::answer::{Answer, ServerAddr, Step};
use slipway_engine::catalog::{Catalog, FileRef};
use slipway_engine::decide::decide;
use slipway_engine::journal::{About, Entry, Given};
use slipway_engine::lookup::{Known, Lookup, Wanted, boot_script};
use slipway_engine::pxelinux::{Config, Over, Reader};
use slipway_engine::request::{BootRequest, Firmware, Loader};
use slipway_wire::MacAddr;

use crate::journal::Journal;
use crate::site::Site;

/// Who asks for a name, and whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    /// The address that asks.
    pub(crate) source: IpAddr,
    /// Our interface that heard it.
    pub(crate) interface: &'a str,
    /// Where we were asked.
    pub(crate) server: ServerAddr,
    /// The way that the rest is to be fetched by.
    pub(crate) over: Over,
}

/// What a name leads to.
#[derive(Debug)]
pub(crate) enum Found {
    /// A text made for this machine.
    Made(Made),
    /// A stored file, because this machine asks.
    Stored(MacAddr, FileRef),
}

/// A text made for one machine.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) mac: MacAddr,
    pub(crate) bytes: Vec<u8>,
    /// What the machine is given; none for a script of our own making, which leads on to the configuration.
    pub(crate) about: Option<About>,
    /// Why it is given nothing to boot: the text says so on its console.
    pub(crate) refused: Option<Why>,
}

/// A machine that is told that the name is not there.
#[derive(Debug)]
pub(crate) struct Absent {
    pub(crate) mac: Option<MacAddr>,
    pub(crate) why: Why,
}

impl From<Why> for Absent {
    fn from(why: Why) -> Self {
        Self { mac: None, why }
    }
}

/// What a normalised name leads to for whoever asks for it. [`Why::NotFound`] for every name that is no lookup, or that tells nobody
/// which machine asks.
pub(crate) fn look_up(site: &Site, journal: &Journal, lookup: &Lookup, asker: Asker<'_>) -> Result<Found, Absent> {
    let mac = lookup.mac(asker.source, |ip| journal.mac_of(ip)).ok_or(Why::NotFound)?;
    let known = journal.machine(mac).and_then(|entries| known(entries.iter().map(AsRef::as_ref)));
    let request = lookup.request(mac, known.as_ref(), asker.source, asker.interface).ok_or(Why::NotFound)?;
    let machines = journal.machines().known();
    match decide(&request, &machines, &site.rules, &site.catalog, asker.server) {
        Ok(answer) => found(lookup, &request, &answer, &site.catalog, asker.over),
        Err(why) => refuse(lookup, &request, why, asker.over),
    }
    .map_err(|why| Absent { mac: Some(mac), why })
}

/// What the last request by DHCP said of the machine.
fn known<'a>(entries: impl DoubleEndedIterator<Item = &'a Entry> + Clone) -> Option<Known> {
    let boots = |entry: &&Entry| match entry.about {
        About::Dhcp { loader: Loader::Os | Loader::Agent, .. } => false,
        About::Dhcp { .. } => true,
        _ => false,
    };
    let last = entries.clone().rev().find(boots)?;
    let About::Dhcp { loader, arch, .. } = last.about else { return None };
    Some(Known { loader, arch, uuid: entries.rev().find_map(|entry| entry.uuid) })
}

fn found(lookup: &Lookup, request: &BootRequest, answer: &Answer, catalog: &Catalog, over: Over) -> Result<Found, Why> {
    let mac = request.mac;
    match (&lookup.wanted, &answer.step) {
        (Wanted::Config, Step::Config(config)) => {
            let about = Some(About::Script(Some(Given::from(answer))));
            Ok(Found::Made(Made { mac, bytes: config.text(over).into_bytes(), about, refused: None }))
        }
        (Wanted::UBootScript, Step::Config(_)) => {
            let what = answer.image.as_deref().unwrap_or_default();
            Ok(Found::Made(Made { mac, bytes: boot_script(request, what), about: None, refused: None }))
        }
        (Wanted::PiFile(names), Step::Files { image, version }) => {
            let image = catalog.image(image, version.as_deref()).ok_or(Why::NotFound)?;
            let file = names.iter().flatten().find_map(|name| image.files.get(name));
            file.map(|file| Found::Stored(mac, *file)).ok_or(Why::NotFound)
        }
        _ => Err(Why::NotFound),
    }
}

/// pxelinux says on its console why it does not boot. Everybody else goes on when there is no such name: they are not told why, but the
/// journal is, once for each list of names that a loader goes through.
fn refuse(lookup: &Lookup, request: &BootRequest, why: Why, over: Over) -> Result<Found, Why> {
    let is_pxelinux = Firmware::of(request.loader, request.arch) == Some(Firmware::Bios);
    if lookup.wanted == Wanted::Config && is_pxelinux && !matches!(why, Why::Ignored { .. }) {
        let text = Config::refusal(Reader::Pxelinux, request.mac, &why.to_string()).text(over);
        let about = Some(About::Script(None));
        return Ok(Found::Made(Made { mac: request.mac, bytes: text.into_bytes(), about, refused: Some(why) }));
    }
    Err(if lookup.wanted == Wanted::Config && lookup.names_the_machine() { why } else { Why::NotFound })
}
