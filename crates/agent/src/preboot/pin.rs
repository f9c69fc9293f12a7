//! The key slot of a data partition that opens without the org: with the half in the machine's TPM, and a person's PIN. Without a TPM there is
//! none: the other half is on the disk then, and whoever has that could try every PIN.

use serde_json::Map;
use slipway_disk::luks::{self, Header, Token, TokenKind};
use slipway_trust::record::Share;
use slipway_trust::{Digest, MachineId, OrgId, disk_key};

use super::data::{Secret, Volume};
use crate::console::Console;
use crate::keys::Keys;
use crate::prompt::{self, Pin};

/// The token that names the key slot.
pub(super) const TOKEN: &str = "offline";
/// Instead of an epoch: no share of the org has it.
const EPOCH: u64 = u64::MAX;
/// The shortest PIN.
const SHORTEST: usize = 6;

/// What the slot opens with.
pub(super) fn key(org: &OrgId, machine: &MachineId, own: &Secret, pin: &Pin) -> Secret {
    let share = Share { epoch: EPOCH, secret: Digest::of_all(&[b"slipway-offline-v1", pin.as_bytes()]).0 };
    disk_key::derive(org, machine, own, &share)
}

/// Asks a person for a new PIN, twice.
pub(super) fn new(console: &Console, keys: &Keys) -> Option<Pin> {
    let first = prompt::pin(console, keys, "new PIN for offline starts")?;
    let second = prompt::pin(console, keys, "once more")?;
    if first.len() < SHORTEST {
        console.say(&format!("a PIN has at least {SHORTEST} characters: none was set"));
        return None;
    }
    if *first != *second {
        console.say("the two are not the same: none was set");
        return None;
    }
    console.say("the PIN is set once the org has answered, if its policy grants offline starts");
    Some(first)
}

/// Whether a PIN was ever set, and its slot is still there.
pub(super) fn is_set(header: &Header) -> bool {
    !slots(header).is_empty()
}

fn slots(header: &Header) -> Vec<u32> {
    // The token of a slot that was destroyed stays, and names none.
    header.token(&TokenKind(TOKEN.to_owned())).map(|token| token.keyslots).unwrap_or_default()
}

/// Keeps the key slot as the org and a person want it: one that is not granted any more goes. What came of it, if anything did, in words.
pub(super) fn settle(
    volume: &mut Volume,
    granted: Result<(), &str>,
    wanted: Option<&Secret>,
    newest: &Secret,
) -> Result<Option<String>, String> {
    match (granted, wanted) {
        (Err(why), wanted) => {
            let had = destroy(volume)?;
            let told = match wanted {
                _ if had => Some(format!("the key slot for offline starts was destroyed: {why}")),
                Some(_) => Some(format!("no PIN was set: {why}")),
                None => None,
            };
            Ok(told)
        }
        (Ok(()), Some(key)) => {
            destroy(volume)?;
            add(volume, key, newest)?;
            Ok(Some("the PIN for offline starts is set".to_owned()))
        }
        (Ok(()), None) => Ok(None),
    }
}

/// Destroys every slot for offline starts. Whether there was one.
fn destroy(volume: &mut Volume) -> Result<bool, String> {
    let old = slots(volume.header.as_ref().ok_or("no header")?);
    for number in &old {
        let current = volume.header.clone().ok_or("no header")?;
        let killed =
            luks::with_random(|random| luks::kill_key(&current, *number, random)).map_err(|error| error.to_string())?;
        let (header, steps) = killed.map_err(|error| error.to_string())?;
        volume.apply(header, &steps)?;
    }
    Ok(!old.is_empty())
}

fn add(volume: &mut Volume, key: &Secret, newest: &Secret) -> Result<(), String> {
    let header = volume.header.clone().ok_or("no header")?;
    let (opened, _) = luks::open(&header, &volume.head, newest.as_slice()).map_err(|error| error.to_string())?;
    let added = luks::with_random(|random| luks::add_key(&header, &opened, key.as_slice(), random))
        .map_err(|error| error.to_string())?;
    let (header, slot, steps) = added.map_err(|error| error.to_string())?;
    let token = Token { kind: TokenKind(TOKEN.to_owned()), keyslots: vec![slot], facts: Map::new(), blob: Vec::new() };
    // In one writing: a slot that no token names would never be destroyed.
    let (header, steps) = luks::with_token(&header, steps, &token).map_err(|error| error.to_string())?;
    volume.apply(header, &steps)
}

#[cfg(test)]
mod tests {
    use slipway_disk::luks::New;
    use uuid::Uuid;
    use zeroize::Zeroizing;

    use super::*;

    const OWN: [u8; 32] = [1; 32];
    const NEWEST: [u8; 32] = [2; 32];

    fn secret(bytes: [u8; 32]) -> Secret {
        Zeroizing::new(bytes)
    }

    fn of(pin: &str) -> Secret {
        key(&OrgId([3; 16]), &MachineId([4; 16]), &secret(OWN), &Zeroizing::new(pin.to_owned()))
    }

    /// A volume in a file that opens with the org's newest share.
    fn volume() -> Volume {
        let file = tempfile::tempfile().unwrap();
        file.set_len(luks::HEAD).unwrap();
        let new = New { uuid: Uuid::from_u128(7), label: "slipway-data".to_owned() };
        let (header, _, steps) = luks::with_random(|random| luks::create(&new, &NEWEST, random)).unwrap().unwrap();
        let mut volume = Volume { file, path: "vda2".to_owned(), head: Vec::new(), header: None };
        volume.apply(header, &steps).unwrap();
        volume
    }

    fn opens(volume: &Volume, key: &Secret) -> bool {
        luks::open(volume.header.as_ref().unwrap(), &volume.head, key.as_slice()).is_ok()
    }

    #[test]
    fn a_volume_opens_by_the_pin_that_was_set_and_by_no_other() {
        let mut volume = volume();
        let newest = secret(NEWEST);
        assert!(!is_set(volume.header.as_ref().unwrap()) && !opens(&volume, &of("135790")));
        let told = settle(&mut volume, Ok(()), Some(&of("135790")), &newest).unwrap();
        assert_eq!(told.as_deref(), Some("the PIN for offline starts is set"));
        assert!(is_set(volume.header.as_ref().unwrap()));
        assert!(opens(&volume, &of("135790")) && !opens(&volume, &of("135791")) && opens(&volume, &newest));
        let other_half =
            key(&OrgId([3; 16]), &MachineId([4; 16]), &secret([9; 32]), &Zeroizing::new("135790".to_owned()));
        assert!(!opens(&volume, &other_half), "the PIN alone is worth nothing");

        // Nobody wants anything: it stays. A new one takes the old one's place.
        assert_eq!(settle(&mut volume, Ok(()), None, &newest).unwrap(), None);
        assert!(opens(&volume, &of("135790")));
        settle(&mut volume, Ok(()), Some(&of("246801")), &newest).unwrap();
        assert!(opens(&volume, &of("246801")) && !opens(&volume, &of("135790")));
        assert_eq!(volume.header.as_ref().unwrap().keyslots().len(), 2);
    }

    #[test]
    fn what_is_not_granted_any_more_opens_nothing_and_a_pin_for_it_is_not_set() {
        let mut volume = volume();
        let newest = secret(NEWEST);
        let told = settle(&mut volume, Err("none is granted"), Some(&of("135790")), &newest).unwrap();
        assert_eq!(told.as_deref(), Some("no PIN was set: none is granted"));
        assert!(!opens(&volume, &of("135790")));
        settle(&mut volume, Ok(()), Some(&of("135790")), &newest).unwrap();
        let told = settle(&mut volume, Err("none is granted"), None, &newest).unwrap();
        assert_eq!(told.as_deref(), Some("the key slot for offline starts was destroyed: none is granted"));
        assert!(!is_set(volume.header.as_ref().unwrap()) && !opens(&volume, &of("135790")) && opens(&volume, &newest));
        assert_eq!(settle(&mut volume, Err("none is granted"), None, &newest).unwrap(), None, "and it is said once");
    }

    #[test]
    fn a_new_pin_is_long_enough_and_typed_twice_alike() {
        for (typed, taken, told) in [
            ("135790\r135790\r", Some("135790"), "is set once the org has answered"),
            ("135790\r135791\r", None, "not the same"),
            ("13579\r13579\r", None, "at least 6 characters"),
            ("\r", None, ""),
        ] {
            let (keys, _shown) = Keys::typed(typed);
            let (console, mut said) = Console::heard();
            assert_eq!(new(&console, &keys).as_ref().map(|pin| pin.as_str()), taken, "{typed:?}");
            assert!(said.text().contains(told), "{typed:?}");
        }
    }
}
