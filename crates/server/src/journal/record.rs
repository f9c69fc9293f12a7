//! An entry as a line of JSON, and back.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use slipway_engine::answer::Lead;
use slipway_engine::journal::{About, DhcpMessage, Entry, Given, Outcome, Proto};
use slipway_engine::ladder::{Footing, Ignored, Rung};
use slipway_engine::request::{Loader, Place};
use slipway_engine::{Timestamp, Why};
use slipway_wire::ClientArch;

#[derive(Debug, Deserialize, Serialize)]
struct Line {
    at: u64,
    proto: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ip: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uuid: Option<uuid::Uuid>,
    iface: String,
    asked: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    about: Option<Topic>,
    outcome: Fate,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Topic {
    Dhcp {
        message: String,
        loader: String,
        arch: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        relay: Option<IpAddr>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<IpAddr>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        circuit: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remote: Option<String>,
        boot: Option<Gift>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<Box<Reason>>,
    },
    File {
        path: String,
        sent: u64,
        took_ms: u64,
        whole: bool,
    },
    Script(Option<Gift>),
    Report,
    Done,
    Org,
    Handshake,
}

/// A [`Given`].
#[derive(Debug, Deserialize, Serialize)]
struct Gift {
    what: String,
    rule: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ladder: Option<Step>,
}

impl From<&Given> for Gift {
    fn from(given: &Given) -> Self {
        let ladder = given.footing.map(Step::from);
        Self { what: given.what.clone(), rule: given.rule.clone(), image: given.image.clone(), ladder }
    }
}

impl From<Gift> for Given {
    fn from(gift: Gift) -> Self {
        let footing = gift.ladder.and_then(|step| step.footing());
        Self { what: gift.what, rule: gift.rule, image: gift.image, footing, lead: Lead::default() }
    }
}

/// A [`Footing`].
#[derive(Debug, Deserialize, Serialize)]
struct Step {
    rung: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    climbed: Option<String>,
    xid: u32,
}

impl From<Footing> for Step {
    fn from(footing: Footing) -> Self {
        let climbed = footing.climbed.map(|why| why.code().to_owned());
        Self { rung: footing.rung.name().to_owned(), climbed, xid: footing.xid }
    }
}

impl Step {
    fn footing(&self) -> Option<Footing> {
        let rung = Rung::ALL.into_iter().find(|rung| rung.name() == self.rung)?;
        let why = |code: &String| Ignored::ALL.into_iter().find(|why| why.code() == code);
        Some(Footing { rung, climbed: self.climbed.as_ref().and_then(why), xid: self.xid })
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Fate {
    Answered(String),
    Declined(Reason),
    Peer(String),
    Ourselves(String),
}

/// A [`Why`]: its code and whatever it carries.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Reason {
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arch: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boots: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loads: Option<usize>,
}

const PROTOS: [Proto; 10] = [
    Proto::Dhcp4,
    Proto::Proxy4,
    Proto::BootServer4,
    Proto::Dhcp6,
    Proto::Router,
    Proto::Tftp,
    Proto::Http,
    Proto::Https,
    Proto::Agent,
    Proto::Trust,
];
const LOADERS: [Loader; 7] =
    [Loader::Os, Loader::Pxe, Loader::UefiHttp, Loader::Ipxe, Loader::UBoot, Loader::Grub, Loader::Agent];
const MESSAGES: [(DhcpMessage, &str); 3] =
    [(DhcpMessage::Discover, "discover"), (DhcpMessage::Request, "request"), (DhcpMessage::Other, "other")];

/// The entry's line, without its newline.
pub(super) fn encode(entry: &Entry) -> String {
    let line = Line {
        at: entry.at.0,
        proto: entry.proto.name().to_owned(),
        mac: entry.mac.map(|mac| mac.to_string()),
        ip: entry.ip,
        uuid: entry.uuid,
        iface: entry.interface.clone(),
        asked: entry.asked.clone(),
        about: topic(&entry.about),
        outcome: match &entry.outcome {
            Outcome::Answered(what) => Fate::Answered(what.clone()),
            Outcome::Declined(why) => Fate::Declined(reason(why)),
            Outcome::Peer(fault) => Fate::Peer(fault.clone()),
            Outcome::Ourselves(fault) => Fate::Ourselves(fault.clone()),
        },
    };
    // Strings, numbers and no maps with keys of their own: this cannot fail.
    serde_json::to_string(&line).unwrap_or_default()
}

/// The entry of a line; `None` if it is not one that this version writes.
pub(super) fn decode(text: &str) -> Option<Entry> {
    let line: Line = serde_json::from_str(text).ok()?;
    Some(Entry {
        at: Timestamp(line.at),
        proto: PROTOS.into_iter().find(|proto| proto.name() == line.proto)?,
        mac: line.mac.map(|mac| mac.parse()).transpose().ok()?,
        ip: line.ip,
        uuid: line.uuid,
        interface: line.iface,
        asked: line.asked,
        about: line.about.map_or(Some(About::Other), about)?,
        outcome: match line.outcome {
            Fate::Answered(what) => Outcome::Answered(what),
            Fate::Declined(reason) => Outcome::Declined(why(reason)?),
            Fate::Peer(fault) => Outcome::Peer(fault),
            Fate::Ourselves(fault) => Outcome::Ourselves(fault),
        },
    })
}

fn topic(about: &About) -> Option<Topic> {
    Some(match about {
        About::Dhcp { message, loader, arch, relay, place, boot, refused } => Topic::Dhcp {
            message: MESSAGES.iter().find(|(known, _)| known == message).map_or("other", |(_, name)| name).to_owned(),
            loader: loader.name().to_owned(),
            arch: arch.0,
            relay: *relay,
            link: place.link,
            circuit: place.circuit_id.as_ref().map(ToString::to_string),
            remote: place.remote_id.as_ref().map(ToString::to_string),
            boot: boot.as_ref().map(Gift::from),
            refused: refused.as_ref().map(reason).map(Box::new),
        },
        About::File { path, sent, took, whole } => Topic::File {
            path: path.clone(),
            sent: *sent,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            whole: *whole,
        },
        About::Script(given) => Topic::Script(given.as_ref().map(Gift::from)),
        About::Report => Topic::Report,
        About::Done => Topic::Done,
        About::Org => Topic::Org,
        About::Handshake => Topic::Handshake,
        About::Other => return None,
    })
}

fn about(topic: Topic) -> Option<About> {
    Some(match topic {
        Topic::Dhcp { message, loader, arch, relay, link, circuit, remote, boot, refused } => About::Dhcp {
            message: MESSAGES.iter().find(|(_, name)| *name == message)?.0,
            loader: LOADERS.into_iter().find(|known| known.name() == loader)?,
            arch: ClientArch(arch),
            relay,
            place: Box::new(Place {
                link,
                circuit_id: circuit.map(|id| id.parse()).transpose().ok()?,
                remote_id: remote.map(|id| id.parse()).transpose().ok()?,
            }),
            boot: boot.map(Given::from),
            refused: refused.map(|reason| why(*reason)).unwrap_or_default(),
        },
        Topic::File { path, sent, took_ms, whole } => {
            About::File { path, sent, took: Duration::from_millis(took_ms), whole }
        }
        Topic::Script(gift) => About::Script(gift.map(Given::from)),
        Topic::Report => About::Report,
        Topic::Done => About::Done,
        Topic::Org => About::Org,
        Topic::Handshake => About::Handshake,
    })
}

fn reason(why: &Why) -> Reason {
    let mut reason = Reason { code: why.code().to_owned(), ..Reason::default() };
    match why {
        Why::Ignored { rule } | Why::LocalBoot { rule } | Why::MenuNeedsIpxe { rule } => {
            reason.rule = Some(rule.clone());
        }
        Why::Installed { image } | Why::NoImage { image } => reason.image = Some(image.clone()),
        Why::CannotRun { image, reason: detail } => {
            reason.image = Some(image.clone());
            reason.detail = Some((*detail).to_owned());
        }
        Why::ReinstallGuard { image, boots } => (reason.image, reason.boots) = (Some(image.clone()), Some(*boots)),
        Why::CannotAttach { disk, reason: detail } => {
            reason.disk = Some(disk.clone());
            reason.detail = Some((*detail).to_owned());
        }
        Why::NoLoader { file } => reason.detail = Some((*file).to_owned()),
        Why::LoaderLoop { loader, loads } => {
            reason.detail = Some(loader.clone());
            reason.loads = Some(*loads);
        }
        Why::Limited { limit } => reason.detail = Some((*limit).to_owned()),
        Why::Refused { code, told } => {
            // The org's codes are its own: one of ours may spell the same.
            reason.code = REFUSED.to_owned();
            (reason.rule, reason.detail) = (Some((*code).to_owned()), Some((*told).to_owned()));
        }
        Why::NoMenu { firmware } => reason.detail = Some((*firmware).to_owned()),
        Why::UnservedLoader { loader } => reason.detail = Some((*loader).to_owned()),
        Why::UnknownArch { arch } => reason.arch = Some(*arch),
        _ => {}
    }
    reason
}

/// What stands for the code of a refusal by the org.
const REFUSED: &str = "refused-by-org";

/// Every reason that carries nothing.
const BARE: [Why; 24] = [
    Why::NotNetboot,
    Why::NoRule,
    Why::PoolEmpty,
    Why::NoSubnet,
    Why::OtherServer,
    Why::WrongAddress,
    Why::AddressInUse,
    Why::NotForUs,
    Why::NotFound,
    Why::BadPath,
    Why::Forbidden,
    Why::NotServed,
    Why::UnknownCa,
    Why::CertificateRefused,
    Why::WrongClock,
    Why::WrongName,
    Why::NoCommonCipher,
    Why::OldTls,
    Why::NotTls,
    Why::WrongPass,
    Why::NoWindow,
    Why::Enrolled,
    Why::Suspended,
    Why::Revoked,
];

fn why(reason: Reason) -> Option<Why> {
    if let Some(bare) = BARE.iter().find(|why| why.code() == reason.code) {
        return Some(bare.clone());
    }
    Some(match reason.code.as_str() {
        "ignored" => Why::Ignored { rule: reason.rule? },
        "local-boot" => Why::LocalBoot { rule: reason.rule? },
        "menu-needs-ipxe" => Why::MenuNeedsIpxe { rule: reason.rule? },
        "no-image" => Why::NoImage { image: reason.image? },
        "reinstall-guard" => Why::ReinstallGuard { image: reason.image?, boots: reason.boots? },
        "installed" => Why::Installed { image: reason.image? },
        "cannot-run" => Why::CannotRun { image: reason.image?, reason: intern(reason.detail?)? },
        "cannot-attach" => Why::CannotAttach { disk: reason.disk?, reason: intern(reason.detail?)? },
        "no-loader" => Why::NoLoader { file: intern(reason.detail?)? },
        "loader-loop" => Why::LoaderLoop { loader: reason.detail?, loads: reason.loads? },
        REFUSED => Why::Refused { code: intern(reason.rule?)?, told: intern(reason.detail?)? },
        "limited" => Why::Limited { limit: intern(reason.detail?)? },
        "no-menu" => Why::NoMenu { firmware: intern(reason.detail?)? },
        "unserved-loader" => Why::UnservedLoader { loader: intern(reason.detail?)? },
        "unknown-arch" => Why::UnknownArch { arch: reason.arch? },
        _ => return None,
    })
}

/// A text of the file as one that lives as long as the process. They were literals when they were written, so there are few;
/// a file that says otherwise is not believed beyond [`MOST`].
fn intern(text: String) -> Option<&'static str> {
    const MOST: usize = 256;
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(already) = known.get(text.as_str()) {
        return Some(already);
    }
    if known.len() >= MOST {
        return None;
    }
    let leaked: &'static str = Box::leak(text.into_boxed_str());
    known.insert(leaked);
    Some(leaked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_wire::MacAddr;

    fn entries() -> Vec<Entry> {
        let carrying = [
            Why::Ignored { rule: "r".to_owned() },
            Why::LocalBoot { rule: "r".to_owned() },
            Why::MenuNeedsIpxe { rule: "r".to_owned() },
            Why::NoImage { image: "i".to_owned() },
            Why::CannotRun { image: "i".to_owned(), reason: "it is for arm64" },
            Why::CannotAttach { disk: "d".to_owned(), reason: "it takes no root path" },
            Why::NoLoader { file: "snponly.efi" },
            Why::ReinstallGuard { image: "i".to_owned(), boots: 3 },
            Why::Installed { image: "i".to_owned() },
            Why::Limited { limit: "transfers" },
            Why::UnknownArch { arch: 4711 },
            Why::LoaderLoop { loader: "loader/undionly.kpxe".to_owned(), loads: 5 },
            Why::UnservedLoader { loader: "u-boot" },
            Why::NoMenu { firmware: "U-Boot" },
            Why::Refused { code: "not-found", told: "no window is open" },
        ];
        let whys = BARE.into_iter().chain(carrying).map(Outcome::Declined);
        let others = [
            Outcome::Answered("OFFER 10.0.0.5 \"quoted\"\n".to_owned()),
            Outcome::Peer("no END".to_owned()),
            Outcome::Ourselves("disk full".to_owned()),
        ];
        let abouts = [
            About::Other,
            About::Script(None),
            About::Script(Some(Given {
                what: "script".to_owned(),
                rule: "lab".to_owned(),
                image: None,
                footing: None,
                lead: Lead::default(),
            })),
            About::Report,
            About::Done,
            About::Org,
            About::Handshake,
            About::Dhcp {
                message: DhcpMessage::Request,
                loader: Loader::UefiHttp,
                arch: ClientArch(16),
                relay: Some("10.88.0.1".parse().unwrap()),
                place: Box::new(Place {
                    link: Some("10.88.4.0".parse().unwrap()),
                    circuit_id: "ge-0/0/1".parse().ok(),
                    remote_id: "0x00ff".parse().ok(),
                }),
                boot: Some(Given {
                    what: "http://10.0.0.1/x".to_owned(),
                    rule: "lab".to_owned(),
                    image: Some("d@1".to_owned()),
                    footing: Some(Footing { rung: Rung::ThisFile, climbed: Some(Ignored::NoFile), xid: 7 }),
                    lead: Lead::default(),
                }),
                refused: Some(Why::LocalBoot { rule: "r".to_owned() }),
            },
            About::File { path: "image/d/linux".to_owned(), sent: 7, took: Duration::from_millis(1200), whole: true },
        ];
        let outcomes = whys.chain(others).map(|outcome| (About::Other, outcome));
        let abouts = abouts.into_iter().map(|about| (about, Outcome::Answered("200".to_owned())));
        let all = outcomes.chain(abouts).zip(PROTOS.into_iter().cycle());
        all.map(|((about, outcome), proto)| Entry {
            at: Timestamp(1_795_000_000_123),
            proto,
            mac: Some(MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56])),
            ip: Some("10.0.0.5".parse().unwrap()),
            uuid: Some(uuid::Uuid::from_u128(7)),
            interface: "eth0".to_owned(),
            asked: "DISCOVER x64 UEFI pxe".to_owned(),
            about,
            outcome,
        })
        .collect()
    }

    #[test]
    fn every_kind_of_entry_comes_back_as_it_was() {
        for entry in entries() {
            let line = encode(&entry);
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(decode(&line).as_ref(), Some(&entry), "{line}");
        }
    }

    #[test]
    fn a_truncated_line_is_no_entry() {
        for entry in entries() {
            let line = encode(&entry);
            for end in 0..line.len() {
                assert_eq!(decode(&line[..end]), None, "{}", &line[..end]);
            }
        }
    }

    #[test]
    fn a_line_looks_like_this() {
        let entry = Entry { mac: None, ip: None, uuid: None, ..entries().remove(0) };
        assert_eq!(
            encode(&entry),
            r#"{"at":1795000000123,"proto":"dhcp4","iface":"eth0","asked":"DISCOVER x64 UEFI pxe","outcome":{"declined":{"code":"not-netboot"}}}"#
        );
    }
}
