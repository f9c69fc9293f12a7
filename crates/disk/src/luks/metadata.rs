//! What a header says, and how it is changed.

use data_encoding::BASE64;
use serde_json::{Map, Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::area::{self, AREA, KEY, STRIPES};
use super::header::{COPY, Header};
use super::{Random, VolumeKey};
use crate::bytes::{index, length, slice};
use crate::dm::Crypt;
use crate::step::Step;

/// Where our data begins, as `cryptsetup`'s does.
const DATA: u64 = 16 << 20;
/// The least that the format and `cryptsetup` allow; see the module's text.
const ROUNDS: u32 = 1000;
/// Bytes in an encrypted sector.
const SECTOR: u32 = 4096;
/// More rounds than this are no header's, but an attempt to keep us busy.
const MOST_ROUNDS: u32 = 100_000_000;
/// The format's limit.
const MOST_SLOTS: u32 = 32;
/// What our tokens are called.
const TOKEN: &str = "slipway";

/// What a new volume is called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct New {
    /// Which volume it is, drawn at random.
    pub uuid: Uuid,
    /// Its label: at most 47 bytes count.
    pub label: String,
}

/// A key slot, as the header tells it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Keyslot {
    /// Its number.
    pub number: u32,
    /// Where its area begins, in bytes from the start.
    pub offset: u64,
    /// How long its area is.
    pub size: u64,
    /// How its key is derived, `pbkdf2` or `argon2id`.
    pub kdf: String,
}

/// What one of our tokens is for: `{"type":"slipway","slipway_kind":…}`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenKind(pub String);

/// A token of ours. `cryptsetup` shows it, keeps it, and does nothing with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Token {
    /// What it is for, in one word: there is at most one of each kind.
    pub kind: TokenKind,
    /// The key slots that it belongs to.
    pub keyslots: Vec<u32>,
    /// Facts in plain words, such as the epoch and the ESP's GUID.
    pub facts: Map<String, Value>,
    /// Bytes that only their maker understands: a sealed secret.
    pub blob: Vec<u8>,
}

/// Why a volume cannot be opened or changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// The key opens no slot.
    #[error("the key opens none of the {0} key slots")]
    NoSlot(usize),
    /// No slot is made in a way that we read.
    #[error("no key slot is of a kind that is opened here (AES-256-XTS, PBKDF2 with SHA-256)")]
    Unreadable,
    /// The header says what cannot be.
    #[error("the LUKS header is damaged: {0}")]
    Damaged(&'static str),
    /// The data is encrypted in a way that we do not load.
    #[error("the data is encrypted in another way than AES-256-XTS over the whole volume")]
    OtherCipher,
    /// The header asks for what we do not know.
    #[error(
        "the LUKS header requires `{0}`, which is not known here: the volume is left alone; finish with cryptsetup what was begun with it"
    )]
    Required(String),
    /// No slot is free.
    #[error("there is no room for another key slot or token in the LUKS header")]
    Full,
    /// The last slot that is left, or no slot at all.
    #[error("key slot {0} is the last one or not there: it is not removed")]
    Last(u32),
}

/// Makes a volume with one key slot. What is written: the header and the slot, after what the place held before was cleared, so that
/// nothing there passes for a header before all of it is one.
///
/// # Errors
/// The label is so long that nothing fits any more; it cannot be, with at most 47 bytes of it.
pub fn create(new: &New, key: &[u8], random: Random<'_>) -> Result<(Header, VolumeKey, Vec<Step>), OpenError> {
    let mut volume = VolumeKey(Zeroizing::new([0; KEY]));
    random(volume.0.as_mut_slice());
    let mut salts = [[0; 64]; 2];
    salts.iter_mut().for_each(|salt| random(salt));
    let mut salt = [0; 32];
    random(&mut salt);
    let digest = area::derive::<32>(volume.bytes(), &salt, ROUNDS);
    let json = json!({
        "keyslots": {},
        "tokens": {},
        "segments": { "0": {
            "type": "crypt", "offset": DATA.to_string(), "size": "dynamic", "iv_tweak": "0",
            "encryption": "aes-xts-plain64", "sector_size": SECTOR,
        }},
        "digests": { "0": {
            "type": "pbkdf2", "keyslots": [], "segments": ["0"], "hash": "sha256", "iterations": ROUNDS,
            "salt": BASE64.encode(&salt), "digest": BASE64.encode(&*digest),
        }},
        "config": {
            "json_size": (COPY - 4096).to_string(), "keyslots_size": (DATA - 2 * COPY).to_string(),
        },
    });
    let label = new.label.chars().take(47).collect();
    let empty = Header { copy: COPY, sequence: 1, uuid: new.uuid, label, subsystem: TOKEN.to_owned(), salts, json };
    let (header, _, steps) = add_key(&empty, &volume, key, random)?;
    let clear = [Step::Zero { at: 0, len: DATA }, Step::Flush];
    Ok((header, volume, clear.into_iter().chain(steps).collect()))
}

impl Header {
    /// Its key slots.
    #[must_use]
    pub fn keyslots(&self) -> Vec<Keyslot> {
        let slot = |(number, slot): (&String, &Value)| {
            Some(Keyslot {
                number: number.parse().ok()?,
                offset: decimal(slot.pointer("/area/offset")?)?,
                size: decimal(slot.pointer("/area/size")?)?,
                kdf: slot.pointer("/kdf/type")?.as_str()?.to_owned(),
            })
        };
        let mut slots: Vec<Keyslot> = self.object("keyslots").into_iter().flatten().filter_map(slot).collect();
        slots.sort_by_key(|slot| slot.number);
        slots
    }

    /// The token of ours of this kind.
    #[must_use]
    pub fn token(&self, kind: &TokenKind) -> Option<Token> {
        self.our_tokens().find(|(_, token)| token.kind == *kind).map(|(_, token)| token)
    }

    fn our_tokens(&self) -> impl Iterator<Item = (&String, Token)> {
        let token = |(number, token): (_, &Value)| {
            let ours = token.get("type")?.as_str()? == TOKEN;
            let keyslots = token.get("keyslots")?.as_array()?.iter().filter_map(|number| number.as_str()?.parse().ok());
            ours.then_some(())?;
            Some((
                number,
                Token {
                    kind: TokenKind(token.get("slipway_kind")?.as_str()?.to_owned()),
                    keyslots: keyslots.collect(),
                    facts: token.get("slipway_facts").and_then(Value::as_object).cloned().unwrap_or_default(),
                    blob: BASE64.decode(token.get("slipway_blob")?.as_str()?.as_bytes()).ok()?,
                },
            ))
        };
        self.object("tokens").into_iter().flatten().filter_map(token)
    }

    /// What the kernel is told to open the data with: `sectors` are the partition's, of 512 bytes each.
    ///
    /// # Errors
    /// It is not one segment of AES-256-XTS, or begins behind the partition's end.
    pub fn crypt(&self, sectors: u64) -> Result<Crypt, OpenError> {
        self.is_plain()?;
        let segments = self.object("segments").ok_or(OpenError::Damaged("no segments"))?;
        let (Some(segment), 1) = (segments.get("0"), segments.len()) else { return Err(OpenError::OtherCipher) };
        let field = |name| segment.get(name).and_then(Value::as_str);
        let plain = field("type") == Some("crypt") && field("encryption") == Some("aes-xts-plain64");
        if !plain || field("size") != Some("dynamic") || segment.get("integrity").is_some() {
            return Err(OpenError::OtherCipher);
        }
        let number =
            |name| segment.get(name).and_then(decimal).ok_or(OpenError::Damaged("a segment without its numbers"));
        let offset = number("offset")? / 512;
        let sector = segment.get("sector_size").and_then(Value::as_u64).and_then(|size| u32::try_from(size).ok());
        let sector = sector
            .filter(|size| matches!(size, 512 | 1024 | 2048 | 4096))
            .ok_or(OpenError::Damaged("a segment's sector"))?;
        let unit = u64::from(sector) / 512;
        let length = sectors.checked_sub(offset).map(|length| length / unit * unit).filter(|length| *length > 0);
        let length = length.ok_or(OpenError::Damaged("its data begins behind the partition's end"))?;
        Ok(Crypt { sectors: length, offset, tweak: number("iv_tweak")?, sector })
    }

    fn object(&self, name: &str) -> Option<&Map<String, Value>> {
        self.json.get(name).and_then(Value::as_object)
    }

    /// Whoever does not know what a header requires must leave the volume alone (specification §3.6): it may be half encrypted anew.
    fn is_plain(&self) -> Result<(), OpenError> {
        let required = self.json.pointer("/config/requirements/mandatory").and_then(Value::as_array);
        let first = required.and_then(|list| list.first());
        first.map_or(Ok(()), |what| Err(OpenError::Required(what.as_str().unwrap_or_default().to_owned())))
    }

    /// The header after a change of its JSON.
    fn changed(&self, change: impl FnOnce(&mut Value) -> Option<()>) -> Result<Self, OpenError> {
        self.is_plain()?;
        let mut header = Self { sequence: self.sequence.saturating_add(1), ..self.clone() };
        change(&mut header.json).ok_or(OpenError::Damaged("it lacks what every header has"))?;
        Ok(header)
    }

    /// Where a new slot's area can be: a piece of the key slots' part of the header that no slot has.
    fn free_area(&self) -> Option<u64> {
        let first = self.copy.checked_mul(2)?;
        let end = first.checked_add(decimal(self.json.pointer("/config/keyslots_size")?)?)?;
        let slots = self.keyslots();
        let clashes = |at: u64| {
            slots.iter().find(|slot| {
                at < slot.offset.saturating_add(slot.size) && slot.offset < at.saturating_add(length(AREA))
            })
        };
        let mut at = first;
        while let Some(taken) = clashes(at) {
            at = taken.offset.saturating_add(taken.size).next_multiple_of(4096);
        }
        (at.checked_add(length(AREA))? <= end).then_some(at)
    }
}

/// Adds a key slot: first its area, durable, then the header that lists it. Says which number it has.
///
/// # Errors
/// No room.
pub fn add_key(
    header: &Header,
    volume: &VolumeKey,
    key: &[u8],
    random: Random<'_>,
) -> Result<(Header, u32, Vec<Step>), OpenError> {
    let taken: Vec<u32> = header.keyslots().iter().map(|slot| slot.number).collect();
    let number = (0..MOST_SLOTS).find(|number| !taken.contains(number)).ok_or(OpenError::Full)?;
    let offset = header.free_area().ok_or(OpenError::Full)?;
    let mut salt = [0; 32];
    random(&mut salt);
    let derived = area::derive::<KEY>(key, &salt, ROUNDS);
    let sealed = area::seal(volume, &derived, random);
    let slot = json!({
        "type": "luks2", "key_size": KEY,
        "af": { "type": "luks1", "stripes": STRIPES, "hash": "sha256" },
        "area": {
            "type": "raw", "offset": offset.to_string(), "size": AREA.to_string(),
            "encryption": "aes-xts-plain64", "key_size": KEY,
        },
        "kdf": { "type": "pbkdf2", "hash": "sha256", "iterations": ROUNDS, "salt": BASE64.encode(&salt) },
    });
    let changed = header.changed(|json| {
        json.get_mut("keyslots")?.as_object_mut()?.insert(number.to_string(), slot);
        json.pointer_mut("/digests/0/keyslots")?.as_array_mut()?.push(Value::from(number.to_string()));
        Some(())
    })?;
    let mut steps = vec![Step::write(offset, sealed), Step::Flush];
    steps.extend(changed.steps().ok_or(OpenError::Full)?);
    Ok((changed, number, steps))
}

/// Removes a key slot: first its area is overwritten, with randomness and durably, then it goes from the header. In between it is
/// listed and opens nothing, so that a power cut cannot make us forget to destroy it.
///
/// # Errors
/// It is the last one, or not there.
pub fn kill_key(header: &Header, number: u32, random: Random<'_>) -> Result<(Header, Vec<Step>), OpenError> {
    let slots = header.keyslots();
    let slot = slots.iter().find(|slot| slot.number == number).filter(|_| slots.len() > 1);
    let slot = slot.ok_or(OpenError::Last(number))?;
    let name = number.to_string();
    let without = |list: &mut Value| {
        list.as_array_mut()?.retain(|entry| entry.as_str() != Some(&name));
        Some(())
    };
    let changed = header.changed(|json| {
        json.get_mut("keyslots")?.as_object_mut()?.remove(&name)?;
        for list in ["digests", "tokens"] {
            for owner in json.get_mut(list)?.as_object_mut()?.values_mut() {
                without(owner.get_mut("keyslots")?)?;
            }
        }
        Some(())
    })?;
    let mut noise = vec![0; index(slot.size)];
    random(&mut noise);
    let mut steps = vec![Step::write(slot.offset, noise), Step::Flush];
    steps.extend(changed.steps().ok_or(OpenError::Full)?);
    Ok((changed, steps))
}

/// Puts a token of ours in, in the place of the one of the same kind, if there is one.
///
/// # Errors
/// No room.
pub fn set_token(header: &Header, token: &Token) -> Result<(Header, Vec<Step>), OpenError> {
    let old = header.our_tokens().find(|(_, old)| old.kind == token.kind).map(|(number, _)| number.clone());
    let free = (0..MOST_SLOTS).map(|number| number.to_string());
    let free =
        free.into_iter().find(|number| header.object("tokens").is_some_and(|tokens| !tokens.contains_key(number)));
    let number = old.or(free).ok_or(OpenError::Full)?;
    let keyslots: Vec<String> = token.keyslots.iter().map(u32::to_string).collect();
    let value = json!({
        "type": TOKEN, "keyslots": keyslots, "slipway_kind": token.kind.0, "slipway_facts": token.facts,
        "slipway_blob": BASE64.encode(&token.blob),
    });
    let changed = header
        .changed(|json| json.get_mut("tokens")?.as_object_mut().map(|tokens| tokens.insert(number, value)).map(drop))?;
    let steps = changed.steps().ok_or(OpenError::Full)?;
    Ok((changed, steps))
}

/// A change that [`create`], [`add_key`] or [`kill_key`] planned, with a token set in the same writing of the header: what belongs
/// together is not parted by a power cut.
///
/// # Errors
/// No room; or the steps are not those of a change to this header.
pub fn with_token(header: &Header, steps: Vec<Step>, token: &Token) -> Result<(Header, Vec<Step>), OpenError> {
    let own = header.steps().ok_or(OpenError::Full)?;
    let before =
        steps.strip_suffix(own.as_slice()).ok_or(OpenError::Damaged("not the steps of this header's change"))?;
    let (with, _) = set_token(header, token)?;
    let with = Header { sequence: header.sequence, ..with };
    let steps = [before, with.steps().ok_or(OpenError::Full)?.as_slice()].concat();
    Ok((with, steps))
}

/// Opens a volume with a key, by whichever slot it fits; says which. `head` is the device's first [`super::HEAD`] bytes.
///
/// # Errors
/// The key fits none, or no slot can be read.
pub fn open(header: &Header, head: &[u8], key: &[u8]) -> Result<(VolumeKey, u32), OpenError> {
    let slots = header.keyslots();
    let mut tried = 0;
    for slot in &slots {
        let Some((salt, rounds)) = derivation(header, slot.number) else { continue };
        let Some(area) = slice(head, index(slot.offset), index(slot.size)) else { continue };
        tried += 1;
        let derived = area::derive::<KEY>(key, &salt, rounds);
        let Some(volume) = area::unseal(area, &derived) else { continue };
        if is_volume_key(header, slot.number, &volume) {
            return Ok((volume, slot.number));
        }
    }
    Err(if tried == 0 && !slots.is_empty() { OpenError::Unreadable } else { OpenError::NoSlot(tried) })
}

/// Salt and rounds of a slot that is made as ours are.
fn derivation(header: &Header, number: u32) -> Option<(Vec<u8>, u32)> {
    let slot = header.object("keyslots")?.get(&number.to_string())?;
    let is = |path, wanted: &str| slot.pointer(path).and_then(Value::as_str) == Some(wanted);
    let counts = |path, wanted: usize| slot.pointer(path).and_then(Value::as_u64) == Some(length(wanted));
    let ours = is("/type", "luks2")
        && is("/kdf/type", "pbkdf2")
        && is("/kdf/hash", "sha256")
        && is("/area/encryption", "aes-xts-plain64")
        && is("/af/hash", "sha256")
        && counts("/key_size", KEY)
        && counts("/area/key_size", KEY)
        && counts("/af/stripes", STRIPES);
    let salt = BASE64.decode(slot.pointer("/kdf/salt")?.as_str()?.as_bytes()).ok()?;
    let rounds = u32::try_from(slot.pointer("/kdf/iterations")?.as_u64()?).ok()?;
    (ours && rounds <= MOST_ROUNDS).then_some((salt, rounds))
}

/// Whether a key is the one that the slot's digest is of.
fn is_volume_key(header: &Header, number: u32, volume: &VolumeKey) -> bool {
    let name = number.to_string();
    let digests = header.object("digests").into_iter().flatten().map(|(_, digest)| digest);
    let mut its = digests.filter(|digest| {
        let slots = digest.get("keyslots").and_then(Value::as_array);
        slots.is_some_and(|slots| slots.iter().any(|slot| slot.as_str() == Some(&name)))
    });
    its.any(|digest| {
        let text = |field| digest.get(field).and_then(Value::as_str);
        let bytes = |field| BASE64.decode(text(field)?.as_bytes()).ok();
        let rounds = digest.get("iterations").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        let (Some("sha256"), Some(salt), Some(wanted), Some(rounds)) =
            (text("hash"), bytes("salt"), bytes("digest"), rounds.filter(|rounds| *rounds <= MOST_ROUNDS))
        else {
            return false;
        };
        // A digest of the volume key tells nothing that is worth timing: who can read it has the header.
        area::derive::<32>(volume.bytes(), &salt, rounds).as_slice() == wanted
    })
}

/// The format's 64-bit numbers are texts.
fn decimal(value: &Value) -> Option<u64> {
    value.as_str()?.parse().ok()
}
