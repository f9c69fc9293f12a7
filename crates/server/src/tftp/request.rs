//! From a request to a transfer, or to the reason why not.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;

use slipway_engine::Why;
use slipway_engine::answer::ServerAddr;
use slipway_engine::catalog::FileRef;
use slipway_engine::journal::{About, Outcome};
use slipway_engine::lookup::Lookup;
use slipway_engine::namespace::{is_autoexec, normalise, resolve};
use slipway_engine::pxelinux::Over;
use slipway_engine::rules::IpNet;
use slipway_engine::script::autoexec;
use slipway_engine::tftp::limits::admit;
use slipway_engine::tftp::{Settings, Transfer, negotiate};
use slipway_netio::{Received, Source};
use slipway_wire::MacAddr;
use slipway_wire::tftp::{ErrorCode, Mode, Request};

use super::Shared;
use super::content::Content;
use super::session::{Asked, Session};
use crate::export::open_beneath;
use crate::lookup::{Absent, Asker, Found, Made, look_up};
use crate::made;
use crate::site::Site;

/// MTU towards an interface that the site does not know (a request over the loopback): Ethernet's.
const USUAL_MTU: u32 = 1500;

/// A request that is not served.
#[derive(Debug)]
pub(super) struct Refusal {
    /// What the client is told, if anything.
    pub(super) answer: Option<(ErrorCode, &'static str)>,
    /// What the journal is told.
    pub(super) outcome: Outcome,
    /// The machine, where the name told it, and what its journey is told.
    pub(super) machine: Option<Box<(MacAddr, About)>>,
}

impl From<Why> for Refusal {
    fn from(why: Why) -> Self {
        let answer = match why {
            Why::NotFound => Some((ErrorCode::NOT_FOUND, "file not found")),
            Why::BadPath => Some((ErrorCode::ACCESS, "not a path that can be asked for")),
            Why::Forbidden => Some((ErrorCode::ILLEGAL, "files are only read here")),
            Why::Ignored { .. } => Some((ErrorCode::NOT_FOUND, "file not found")),
            // Whoever may not ask, or asks too much, is not even told so: the source may be forged.
            _ => None,
        };
        Self { answer, outcome: Outcome::Declined(why), machine: None }
    }
}

impl From<Absent> for Refusal {
    fn from(Absent { mac, why }: Absent) -> Self {
        let about = if why == Why::NotFound { About::Other } else { About::Script(None) };
        Self { machine: mac.map(|mac| Box::new((mac, about))), outcome: Outcome::Declined(why), ..Why::NotFound.into() }
    }
}

/// Whether the sender of a datagram may have an answer at all.
pub(super) fn may_ask(site: &Site, datagram: &Received<'_>) -> Result<(), Why> {
    let broadcast = datagram.to.is_multicast() || (datagram.to.is_ipv4() && datagram.to != datagram.local);
    if broadcast {
        return Err(Why::NotServed);
    }
    admit(datagram.from, &served(site))
}

/// The networks that are served: those of our interfaces, those we give addresses in, and what the operator adds.
fn served(site: &Site) -> Vec<IpNet> {
    let interfaces = site.interfaces.iter().flat_map(|interface| {
        let v4 = interface.v4.iter().map(|(ip, prefix)| (IpAddr::V4(*ip), *prefix));
        v4.chain(interface.v6.iter().map(|(ip, prefix)| (IpAddr::V6(*ip), *prefix)))
    });
    let subnets = site.subnets.iter().map(|subnet| (IpAddr::V4(subnet.network), subnet.prefix));
    let subnets6 = site.subnets6.iter().map(|subnet| (IpAddr::V6(subnet.network), subnet.prefix));
    let nets = interfaces.chain(subnets).chain(subnets6).map(|(addr, prefix)| IpNet { addr, prefix });
    nets.chain(site.tftp.allow.iter().copied()).collect()
}

/// Makes a transfer of a read request from a source that may ask, and does not ask too often.
pub(super) fn accept(
    shared: &Shared,
    site: &Site,
    now: Duration,
    datagram: &Received<'_>,
    request: &Request<'_>,
    lane: usize,
) -> Result<Session, Refusal> {
    let from = datagram.from.ip();
    if let Mode::Mail | Mode::Other(_) = request.mode {
        let answer = Some((ErrorCode::ILLEGAL, "only octet and netascii"));
        let outcome = Outcome::Peer("asked for a mode that nobody uses any more".into());
        return Err(Refusal { answer, outcome, machine: None });
    }
    let path = normalise(request.file)?;
    let interface = interface_name(site, datagram.ifindex);
    let place = Place { shared, site, now, from, local: datagram.local, interface: &interface };
    let File { content, size, mac, about, refused } = match place.find(&path) {
        // The operator's own goes first.
        Err(Refusal { outcome: Outcome::Declined(Why::NotFound), .. }) if is_autoexec(&path) => place.script()?,
        found => found?,
    };
    let mtu = site.interfaces.iter().find(|interface| interface.index == datagram.ifindex);
    let mtu = mtu.map_or(USUAL_MTU, |interface| interface.mtu);
    let terms = negotiate(request, size, from, Settings { blksize_max: site.tftp.blksize_max, mtu });
    shared.limits().open(now, from)?;
    let asked = Asked { interface, line: line(request), path, mac, about, refused };
    let transfer = Transfer::new(now, &terms, size);
    let source = answer_source(datagram);
    Ok(Session::new(lane, datagram.from, source, asked, datagram.data.to_vec(), content, terms, transfer))
}

/// Where answers to a datagram leave from: the address that was asked. The interface is named only where the address says too little
/// without it; otherwise the routes decide, which may lead back another way.
pub(super) fn answer_source(datagram: &Received<'_>) -> Source {
    let link_local = matches!(datagram.local, IpAddr::V6(ip) if ip.is_unicast_link_local());
    Source { ip: Some(datagram.local), ifindex: if link_local { datagram.ifindex } else { 0 } }
}

/// What the journal calls an interface.
pub(super) fn interface_name(site: &Site, index: u32) -> String {
    let interface = site.interfaces.iter().find(|interface| interface.index == index);
    interface.map_or_else(|| format!("#{index}"), |interface| interface.name.clone())
}

/// What was asked, in one line.
pub(super) fn line(request: &Request<'_>) -> String {
    let options = request.known().into_iter().map(|option| format!(" {} {option}", option.name()));
    format!("RRQ {}{}", request.file.escape_ascii(), options.collect::<String>())
}

/// What is sent, and what that means.
struct File {
    content: Content,
    size: u64,
    mac: Option<MacAddr>,
    about: Option<About>,
    refused: Option<Why>,
}

impl File {
    fn of(content: Content, size: u64) -> Self {
        Self { content, size, mac: None, about: None, refused: None }
    }
}

/// Where and when a request came.
#[derive(Clone, Copy)]
struct Place<'a> {
    shared: &'a Shared,
    site: &'a Site,
    now: Duration,
    from: IpAddr,
    local: IpAddr,
    interface: &'a str,
}

impl Place<'_> {
    /// The file: of the namespace, else of the exported folder; what depends on who asks in our own folders before that, elsewhere after
    /// it, because what the operator has put there is meant.
    fn find(self, path: &str) -> Result<File, Refusal> {
        if let Ok(file) = resolve(path, &self.site.catalog) {
            return self.stored(file);
        }
        let lookup = Lookup::of(path).unwrap_or_else(|| Lookup::pi(path));
        if lookup.is_in_our_folder() {
            return self.look_up(&lookup);
        }
        match self.exported(path) {
            Err(Refusal { outcome: Outcome::Declined(Why::NotFound), .. }) => match self.for_grub(path)? {
                Some(file) => Ok(file),
                None => self.look_up(&lookup),
            },
            found => found,
        }
    }

    /// GRUB's configuration, made for the machine that asks.
    fn for_grub(self, path: &str) -> Result<Option<File>, Refusal> {
        let asker =
            made::Asker { ip: self.from.to_canonical(), server: self.server(), interface: self.interface.to_owned() };
        let Some(made) = made::make(self.site, &self.shared.journal, path, &asker)? else { return Ok(None) };
        let refused = match made.outcome {
            Outcome::Declined(why) => Some(why),
            _ => None,
        };
        let bytes = made.text.into_bytes();
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let content = Content::Text(bytes.into());
        Ok(Some(File { content, size, mac: made.mac, about: Some(made.about), refused }))
    }

    fn stored(self, file: FileRef) -> Result<File, Refusal> {
        let mut cache = self.shared.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let content = cache.open(self.now, &self.site.blobs, &file);
        content.map(|content| File::of(content, file.size)).map_err(|error| unreadable(&error))
    }

    fn look_up(self, lookup: &Lookup) -> Result<File, Refusal> {
        let asker = Asker { source: self.from, interface: self.interface, server: self.server(), over: Over::Tftp };
        match look_up(self.site, &self.shared.journal, lookup, asker)? {
            Found::Stored(mac, file) => Ok(File { mac: Some(mac), ..self.stored(file)? }),
            Found::Made(made) => {
                let Made { mac, bytes, about, refused } = *made;
                let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                Ok(File { content: Content::Text(bytes.into()), size, mac: Some(mac), about, refused })
            }
        }
    }

    /// The script that iPXE looks for by itself.
    fn script(self) -> Result<File, Refusal> {
        let text = autoexec(&self.server().root()).into_bytes();
        let size = u64::try_from(text.len()).map_err(|_| Why::NotFound)?;
        Ok(File::of(Content::Text(text.into()), size))
    }

    fn server(self) -> ServerAddr {
        ServerAddr { ip: self.local.to_canonical(), http_port: self.site.http_port, https: false }
    }

    fn exported(self, path: &str) -> Result<File, Refusal> {
        let folder = self.site.export.as_deref().filter(|_| !path.is_empty()).ok_or(Why::NotFound)?;
        let opened = open_beneath(folder, path).and_then(|file| Ok((file.metadata()?.len(), file)));
        match opened {
            Ok((size, file)) => Ok(File::of(Content::Read(Arc::new(file)), size)),
            Err(error) => Err(match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
                    Why::NotFound.into()
                }
                // A symbolic link that leads out of the folder, or in circles.
                io::ErrorKind::CrossesDevices => Why::BadPath.into(),
                _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => Why::BadPath.into(),
                _ => unreadable(&error),
            }),
        }
    }
}

fn unreadable(error: &io::Error) -> Refusal {
    Refusal {
        answer: Some((ErrorCode::UNDEFINED, "the file cannot be read")),
        outcome: Outcome::Ourselves(format!("the file cannot be read: {error}")),
        machine: None,
    }
}
