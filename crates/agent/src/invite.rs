//! Where a machine's invite may lie: on the stick or disk that it was started from, on any removable medium, in a virtual machine's
//! user-data, in its SMBIOS, or, if it is an open one, in the image. Never on the kernel's command line, which everybody can read.

mod medium;
mod text;
mod usb;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use slipway_trust::invite::Token;
use slipway_trust::{InviteId, OrgFacts, OrgId};

use crate::facts;
pub(crate) use medium::EFIVARS;
use medium::Medium;

/// The file on a medium that holds an invite and nothing else.
pub(crate) const FILE: &str = "slipway/invite";
/// The file with user-data on a medium that is labelled for it.
const USER_DATA: &str = "user-data";
/// How cloud-init's NoCloud labels that medium.
const CLOUD_LABEL: &str = "CIDATA";
/// Where the kernel shows the SMBIOS.
const SMBIOS: &str = "/sys/firmware/dmi/tables/DMI";
/// Where it shows devices.
const SYS: &str = "/sys";
/// How long a disk that has just appeared may take to show its partitions.
const SETTLE: Duration = Duration::from_millis(500);
/// How long the stick or disk that a machine was started from may take to appear.
const MEDIUM: Duration = Duration::from_secs(15);
/// No invite is nearly so long, in bytes.
const LONGEST_FILE: u64 = 64 * 1024;

/// What a machine comes with.
#[derive(Debug)]
pub(crate) enum Invite {
    /// A secret.
    Secret(Token),
    /// The open one of the image.
    Open(InviteId),
    /// Nothing.
    None,
}

/// What was found, and what was found and is of no use, in words.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) invite: Invite,
    /// Where it was.
    pub(crate) place: String,
    pub(crate) complaints: Vec<String>,
}

/// Looks in all places; the first that has an invite for this org wins.
pub(crate) fn find(facts: &OrgFacts) -> Found {
    let org = OrgId::of(&facts.root);
    let mut complaints = Vec::new();
    let on_media = media().into_iter().flat_map(|medium| on(&medium)).collect::<Vec<_>>();
    let in_smbios = fs::read(SMBIOS).ok().and_then(|table| text::in_smbios(&table));
    let candidates = on_media.into_iter().chain(in_smbios.map(|found| ("the SMBIOS".to_owned(), found)));
    for (place, found) in candidates {
        match judge(&found, facts, &org) {
            Ok(token) => return Found { invite: Invite::Secret(token), place, complaints },
            Err(reason) => complaints.push(format!("{place}: {reason}")),
        }
    }
    let (invite, place) = match facts.invite {
        Some(id) => (Invite::Open(id), "the image".to_owned()),
        None => (Invite::None, "nowhere".to_owned()),
    };
    Found { invite, place, complaints }
}

/// All media. Sticks take their time: what is plugged in is waited for, and what the machine was started from all the more.
fn media() -> Vec<Medium> {
    let (start, mut busy) = (Instant::now(), None);
    loop {
        if usb::may_appear(Path::new(SYS), start.elapsed()) {
            busy = Some(Instant::now());
        }
        let media = medium::all();
        let late = facts::booted_from() == "disk" && !media.iter().any(|medium| medium.is_ours);
        let settled = busy.is_none_or(|last| last.elapsed() > SETTLE);
        if (settled && !late) || start.elapsed() > MEDIUM {
            return media;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn judge(found: &str, facts: &OrgFacts, org: &OrgId) -> Result<Token, String> {
    let token: Token = found.parse().map_err(|error| format!("{error}"))?;
    if token.org != *org {
        return Err("the invite there is for another org".to_owned());
    }
    if facts.ca_spki.is_some_and(|pin| pin != token.ca_spki) {
        return Err("the invite there names another CA than this image: one of the two is out of date".to_owned());
    }
    Ok(token)
}

/// What may be an invite on a medium, and where it is.
fn on(medium: &Medium) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let cloud = medium.volume.label.eq_ignore_ascii_case(CLOUD_LABEL);
    if !cloud && !medium.is_ours {
        return found;
    }
    let Some(folder) = medium.mount() else { return found };
    let read = |path: &str| read_small(&folder.path().join(path));
    if let Some(content) = read(FILE).filter(|_| medium.is_ours) {
        found.push((format!("/{FILE} on {}", medium.device.display()), content.trim().to_owned()));
    }
    if let Some(invite) = read(USER_DATA).filter(|_| cloud).and_then(|text| text::in_user_data(&text)) {
        found.push((format!("the user-data on {}", medium.device.display()), invite));
    }
    found
}

fn read_small(path: &Path) -> Option<String> {
    let length = fs::metadata(path).ok()?.len();
    (length <= LONGEST_FILE).then(|| fs::read_to_string(path).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use slipway_trust::{Digest, PublicKey, Time};

    use super::*;

    #[test]
    fn an_invite_is_taken_for_this_org_and_this_ca_alone() {
        let root = PublicKey::Ed25519([1; 32]);
        let facts = |pin| OrgFacts {
            root,
            name: "x".to_owned(),
            ca_spki: pin,
            gateways: Vec::new(),
            invite: None,
            version: 1,
            built: Time(0),
        };
        let org = OrgId::of(&root);
        let text = |org, pin| Token::new(org, InviteId([2; 8]), [3; 32], Digest([pin; 32])).reveal();
        let told =
            |text: &str, pin: Option<u8>| judge(text, &facts(pin.map(|pin| Digest([pin; 32]))), &org).map(|t| t.invite);
        assert_eq!(told(&text(org, 4), Some(4)), Ok(InviteId([2; 8])));
        assert_eq!(told(&text(org, 4), None), Ok(InviteId([2; 8])));
        assert!(told(&text(org, 5), Some(4)).unwrap_err().contains("another CA"));
        assert!(told(&text(OrgId([9; 16]), 4), Some(4)).unwrap_err().contains("another org"));
        assert!(told("inv1-xyz", Some(4)).unwrap_err().contains("damaged"));
    }
}
