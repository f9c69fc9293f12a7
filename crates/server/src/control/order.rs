//! What an operator says of one machine.

use core::net::{IpAddr, Ipv4Addr};

use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use slipway_api::Order;
use slipway_engine::answer::ServerAddr;
use slipway_engine::decide::decide;
use slipway_engine::journal::{About, Entry};
use slipway_engine::ladder::Rung;
use slipway_engine::machine::{Aim, Change, Memories, Memory};
use slipway_engine::request::{BootRequest, Exchange, Loader, Place};
use slipway_engine::rules::{Boot, Path, Rules};
use slipway_engine::{Timestamp, Why};
use slipway_wire::ClientArch;
use slipway_wire::MacAddr;

use super::{Desk, failure, mac_of, shapes};
use crate::site::Site;

/// `POST /v1/machines/{mac}/boot`.
pub(super) async fn boot(
    State(desk): State<Desk>,
    UrlPath(mac): UrlPath<String>,
    Json(order): Json<Order>,
) -> Response {
    let mac = match mac_of(&mac) {
        Ok(mac) => mac,
        Err(response) => return *response,
    };
    let change = match change(&order) {
        Ok(change) => change,
        Err(fault) => return failure(StatusCode::BAD_REQUEST, fault),
    };
    if let Change::Boot { aim, .. } = &change
        && let Err(fault) = can_be(&desk, mac, aim)
    {
        return failure(StatusCode::UNPROCESSABLE_ENTITY, fault);
    }
    tell(desk, mac, change).await
}

/// `POST /v1/machines/{mac}/release`.
pub(super) async fn release(State(desk): State<Desk>, UrlPath(mac): UrlPath<String>) -> Response {
    let mac = match mac_of(&mac) {
        Ok(mac) => mac,
        Err(response) => return *response,
    };
    let holds = desk.journal.machines().known().get(mac).is_some_and(is_held);
    if !holds {
        let fault = format!(
            "nothing is held back from {mac}: neither has its guard tripped, nor has its installer said that it is done, nor has it \
             loaded its boot loader over and over (`slipway machine show {mac}`)"
        );
        return failure(StatusCode::CONFLICT, fault);
    }
    tell(desk, mac, Change::Release).await
}

/// `POST /v1/machines/{mac}/forget`.
pub(super) async fn forget(State(desk): State<Desk>, UrlPath(mac): UrlPath<String>) -> Response {
    match mac_of(&mac) {
        Ok(mac) => tell(desk, mac, Change::Forget).await,
        Err(response) => *response,
    }
}

fn is_held(memory: &Memory) -> bool {
    memory.looping.is_some() || memory.installs.as_ref().is_some_and(|installs| installs.held.is_some())
}

/// Does it, and tells what is remembered then. The disk is waited for.
async fn tell(desk: Desk, mac: MacAddr, change: Change) -> Response {
    let told = tokio::task::spawn_blocking(move || {
        let uuid = desk.journal.machine(mac).and_then(|entries| entries.iter().rev().find_map(|entry| entry.uuid));
        desk.journal.machines().tell(mac, uuid, change)
    });
    match told.await {
        Ok(Ok(memory)) => Json(shapes::remembered(&memory)).into_response(),
        Ok(Err(error)) => failure(StatusCode::INTERNAL_SERVER_ERROR, crate::dhcp::story(&error)),
        Err(_) => super::stopping(),
    }
}

fn change(order: &Order) -> Result<Change, String> {
    let aim = match (order.boot.as_str(), &order.image) {
        ("rules", None) => return Ok(Change::Rules),
        ("menu", None) => Aim::Menu,
        ("local", None) => Aim::Local,
        ("image", Some(image)) => {
            let (name, version) = match image.split_once('@') {
                Some((name, version)) => (name, Some(version.to_owned())),
                None => (image.as_str(), None),
            };
            Aim::Boot(Boot {
                image: name.to_owned(),
                version,
                path: path(order.path.as_deref())?,
                append: order.append.clone(),
            })
        }
        ("image", None) => return Err("which image? Name one: `slipway image list` shows them".to_owned()),
        ("rules" | "menu" | "local", Some(_)) => return Err(format!("an image does not go with {:?}", order.boot)),
        (other, _) => return Err(format!("{other:?} is nothing to boot: say image, menu, local or rules")),
    };
    Ok(Change::Boot { aim, once: order.once })
}

fn path(word: Option<&str>) -> Result<Path, String> {
    match word {
        None | Some("auto") => Ok(Path::Auto),
        Some("direct") => Ok(Path::Direct),
        Some("ipxe") => Ok(Path::Ipxe),
        Some(other) => Err(format!("{other:?} is no path: say auto, direct or ipxe")),
    }
}

/// Whether the machine could boot this, as far as it is known: what would be decided, is decided here.
fn can_be(desk: &Desk, mac: MacAddr, aim: &Aim) -> Result<(), String> {
    let Aim::Boot(boot) = aim else { return Ok(()) };
    let site: &Site = &desk.site.load();
    if site.catalog.image(&boot.image, boot.version.as_deref()).is_none() {
        let known: Vec<&str> = site.catalog.images.keys().map(String::as_str).collect();
        let known =
            if known.is_empty() { "there is none yet".to_owned() } else { format!("there are {}", known.join(", ")) };
        return Err(format!(
            "{}; {known}. Add it with `slipway image add`, or name another (`slipway image list`)",
            Why::NoImage { image: aim.to_string() }
        ));
    }
    let entries = desk.journal.machine(mac).unwrap_or_default();
    // A machine that was never heard of may be one that can.
    let Some(request) = entries.iter().rev().find_map(|entry| as_it_asked(mac, entry)) else { return Ok(()) };
    let mut machines = Memories::default();
    machines.put(mac, Memory::NOTHING.after(Change::Boot { aim: aim.clone(), once: false }, Timestamp(1)));
    let server = ServerAddr { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), http_port: site.http_port, https: false };
    match decide(&request, &machines, &Rules::default(), &site.catalog, server) {
        Ok(_) => Ok(()),
        Err(why) => Err(format!(
            "{mac} ({} {}) could not boot that: {why}. Name an image that fits (`slipway image list`), or another --path",
            request.arch, request.loader
        )),
    }
}

/// The request of the firmware that an entry is about.
fn as_it_asked(mac: MacAddr, entry: &Entry) -> Option<BootRequest> {
    let About::Dhcp { loader: loader @ (Loader::Pxe | Loader::UefiHttp | Loader::Ipxe), arch, relay, place, .. } =
        &entry.about
    else {
        return None;
    };
    let (loader, arch): (Loader, ClientArch) = (*loader, *arch);
    Some(BootRequest {
        exchange: if loader == Loader::Ipxe { Exchange::Script } else { Exchange::Dhcp },
        loader,
        arch,
        mac,
        uuid: None,
        interface: entry.interface.clone(),
        relay: *relay,
        place: Place::clone(place),
        client_ip: None,
        user_class: None,
        vendor_class: None,
        rung: Rung::default(),
    })
}
