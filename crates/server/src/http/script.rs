//! `GET /boot.ipxe`: the script of one machine, by the facts in the query.

use std::fs::File;
use std::io::{self, Read as _};

use slipway_engine::Why;
use slipway_engine::answer::{ServerAddr, Step, agent_id};
use slipway_engine::catalog::FileRef;
use slipway_engine::decide::decide_asked;
use slipway_engine::journal::{About, Given, Outcome};
use slipway_engine::ladder::Rung;
use slipway_engine::machine::Memories;
use slipway_engine::menu::{Query, Ram};
use slipway_engine::request::{BootRequest, Exchange, Loader, Place, ipxe_arch};
use slipway_engine::script::{self, Values, ask_again, from_template, refusal, to_disk};
use slipway_wire::ClientArch;
use slipway_wire::http::{Request, Status};

use super::answer::{self, Ends, Reply, interface, text, told_uuid};
use crate::site::Site;

/// The longest template that is rendered.
const LONGEST_TEMPLATE: u64 = 64 * 1024;

/// Answers with the machine's script. Refusals are scripts too: they say why on the machine's own console, where somebody looks.
pub(super) fn answer(site: &Site, machines: &Memories, request: &Request, ends: Ends, https: bool) -> Reply {
    // Whoever came by TLS goes on by TLS.
    let server = ServerAddr { ip: ends.local.ip().to_canonical(), http_port: ends.local.port(), https };
    let (script, outcome, given) = match facts(site, request, ends) {
        Facts::Known(asked) => decided(site, machines, &asked, server, query(request)),
        Facts::Unknown => {
            (ask_again(&server.root()), Outcome::Answered("200 asked to introduce itself".to_owned()), None)
        }
        Facts::Nonsense(fault) => (refusal(fault), Outcome::Peer(fault.to_owned()), None),
    };
    if let Outcome::Declined(why @ Why::Ignored { .. }) = outcome {
        // Saying nothing at all is not possible here; saying as little as possible is.
        let mut reply = answer::refusal(request, Status::NotFound, Why::NotFound);
        reply.note.outcome = Outcome::Declined(why);
        reply.note.about = About::Script(None);
        return reply;
    }
    let is_about_a_boot = !matches!(&outcome, Outcome::Answered(_)) || given.is_some();
    let mut reply = text(request, Status::Ok, script, outcome);
    reply.note.about = if is_about_a_boot { About::Script(given) } else { About::Other };
    reply
}

/// Answers with the script that iPXE looks for by itself.
pub(super) fn autoexec(request: &Request, ends: Ends, https: bool) -> Reply {
    let server = ServerAddr { ip: ends.local.ip().to_canonical(), http_port: ends.local.port(), https };
    let outcome = Outcome::Answered("200 asked to introduce itself".to_owned());
    text(request, Status::Ok, script::autoexec(&server.root()), outcome)
}

/// What a query says about the machine.
enum Facts {
    /// Enough to decide.
    Known(Box<BootRequest>),
    /// Not enough: iPXE came by itself, and can be asked.
    Unknown,
    /// iPXE was asked, and this is what is wrong with what it said.
    Nonsense(&'static str),
}

fn facts(site: &Site, request: &Request, ends: Ends) -> Facts {
    let (Some(mac), Some(arch)) = (request.query("mac"), request.query("arch")) else { return Facts::Unknown };
    let Ok(mac) = mac.parse() else { return Facts::Nonsense("its MAC address cannot be read") };
    let arch: Option<ClientArch> = ipxe_arch(arch, request.query("platform"));
    let Some(arch) = arch else { return Facts::Nonsense("its architecture is unknown") };
    Facts::Known(Box::new(BootRequest {
        exchange: Exchange::Script,
        loader: Loader::Ipxe,
        arch,
        mac,
        uuid: told_uuid(request.query("uuid")),
        interface: interface(site, ends.local.ip()).map(|interface| interface.name.clone()).unwrap_or_default(),
        relay: request.query("relay").and_then(|relay| relay.parse().ok()),
        place: Place {
            link: request.query("link").and_then(|link| link.parse().ok()),
            circuit_id: request.query("circuit").and_then(|id| agent_id(id, &site.rules)),
            remote_id: request.query("remote").and_then(|id| agent_id(id, &site.rules)),
        },
        client_ip: Some(ends.peer.ip().to_canonical()),
        user_class: Some("iPXE".to_owned()),
        vendor_class: None,
        rung: Rung::Plain,
    }))
}

/// What the query tells besides the machine.
fn query(request: &Request) -> Query<'_> {
    let place = request.query("item").and_then(|place| place.parse().ok());
    Query {
        image: request.query("image"),
        line: request.query("menu").zip(place),
        ram: request.query("ram").map(Ram::parse),
    }
}

/// A script with its outcome, and what the journey says of it.
type Decided = (String, Outcome, Option<Given>);

fn decided(site: &Site, machines: &Memories, asked: &BootRequest, server: ServerAddr, query: Query<'_>) -> Decided {
    let answer = match decide_asked(asked, machines, &site.rules, &site.catalog, server, query) {
        Ok(answer) => answer,
        Err(why) if why.is_local_boot() => {
            return (to_disk(&why.to_string(), asked.arch.is_uefi()), Outcome::Declined(why), None);
        }
        Err(why) => return (refusal(&why.to_string()), Outcome::Declined(why), None),
    };
    let given = Given::from(&answer);
    let text = match answer.step {
        Step::Script { text } | Step::San { text, .. } => text,
        Step::Template { file, values } => match rendered(site, file, &values) {
            Ok(text) => text,
            Err(fault) => return (refusal(&fault), Outcome::Ourselves(fault), None),
        },
        // The decision gives none of these to iPXE that asks for its script.
        Step::Tftp { .. }
        | Step::Url { .. }
        | Step::Root(_)
        | Step::Configured { .. }
        | Step::Files { .. }
        | Step::Config(_)
        | Step::Grub { .. } => {
            return (refusal("there is no script"), Outcome::Declined(Why::NotForUs), None);
        }
    };
    let what = given.image.as_deref().unwrap_or("script");
    (text, Outcome::Answered(format!("200 {what} by rule {}", given.rule)), Some(given))
}

fn rendered(site: &Site, file: FileRef, values: &Values) -> Result<String, String> {
    let image = format!("{}@{}", values.image, values.version);
    let source = site
        .blobs
        .open(&file.digest)
        .and_then(read)
        .map_err(|error| format!("cannot read the script of {image}: {error}"))?;
    from_template(&source, values).map_err(|error| format!("image {image}: {error}"))
}

fn read(file: File) -> io::Result<String> {
    let mut text = String::new();
    if file.metadata()?.len() > LONGEST_TEMPLATE {
        return Err(io::Error::other("it is longer than 64 KiB"));
    }
    file.take(LONGEST_TEMPLATE).read_to_string(&mut text)?;
    Ok(text)
}
