use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::power::Disk;

const KEY: [u8; 32] = [0x11; 32];
const OTHER: [u8; 32] = [0x22; 32];
/// Header and three key slots.
const PART: u64 = 1 << 20;

fn dice(seed: u64) -> impl FnMut(&mut [u8]) {
    let mut state = seed | 1;
    move |bytes: &mut [u8]| {
        for byte in bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state.to_le_bytes()[3];
        }
    }
}

fn new() -> New {
    New { uuid: Uuid::from_u128(7), label: "slipway-data".to_owned() }
}

fn volume() -> (Disk, Header, VolumeKey) {
    let (header, key, steps) = create(&new(), &KEY, &mut dice(1)).unwrap();
    (Disk::default().after(&steps), header, key)
}

fn token(blob: &[u8]) -> Token {
    Token { kind: TokenKind("tpm".to_owned()), keyslots: vec![0], facts: serde_json::Map::new(), blob: blob.to_vec() }
}

/// What is on a disk, without its key slots' contents: none, or a header's sequence number and its slots.
fn found(disk: &Disk) -> Option<(u64, Vec<u32>)> {
    let header = Header::decode(&disk.read(0, 64 * 1024)).ok()?;
    Some((header.sequence, header.keyslots().iter().map(|slot| slot.number).collect()))
}

#[test]
fn a_volume_that_requires_what_we_do_not_know_is_left_alone() {
    let (disk, mut header, key) = volume();
    header.json["config"]["requirements"] = serde_json::json!({ "mandatory": ["online-reencrypt-v2"] });
    let refused = OpenError::Required("online-reencrypt-v2".to_owned());
    assert!(refused.to_string().contains("`online-reencrypt-v2`"), "{refused}");
    assert_eq!(header.crypt(1 << 20).unwrap_err(), refused);
    assert_eq!(add_key(&header, &key, &OTHER, &mut dice(2)).unwrap_err(), refused);
    assert_eq!(set_token(&header, &token(&[5])).unwrap_err(), refused);
    header.json["config"]["requirements"] = serde_json::json!({ "mandatory": [] });
    header.crypt(1 << 20).unwrap();
    assert!(open(&header, &disk.read(0, super::HEAD), &KEY).is_ok());
}

#[test]
fn a_power_cut_during_any_change_leaves_the_old_header_or_the_new_one() {
    let (disk, header, key) = volume();
    let (two, _, add) = add_key(&header, &key, &OTHER, &mut dice(2)).unwrap();
    let both = disk.after(&add);
    let (_, kill) = kill_key(&two, 0, &mut dice(3)).unwrap();
    let (_, set) = set_token(&header, &token(&[5; 700])).unwrap();
    let (_, together) = with_token(&two, add.clone(), &token(&[6; 700])).unwrap();
    let old = Some((header.sequence, vec![0]));
    let next = header.sequence + 1;
    let rows = [
        ("adding a key", &disk, add, old.clone(), (next, vec![0, 1])),
        ("killing a key", &both, kill, Some((next, vec![0, 1])), (next + 1, vec![1])),
        ("adding a key with its token", &disk, together, old.clone(), (next, vec![0, 1])),
        ("setting a token", &disk, set, old, (next, vec![0])),
    ];
    for (what, disk, steps, old, new) in rows {
        let mut seen = [0, 0];
        for cut in disk.cuts(&steps, 5) {
            let found = found(&cut);
            let is_new = found.as_ref() == Some(&new);
            assert!(is_new || found == old, "{what}: {found:?}");
            seen[usize::from(is_new)] += 1;
            let told = Header::decode(&cut.read(0, 64 * 1024)).unwrap().token(&TokenKind("tpm".to_owned()));
            assert_eq!(told.is_some(), is_new && what.ends_with("token"), "{what}");
            // Every slot that is listed is as it was, but for one that is being killed.
            let header = Header::decode(&cut.read(0, 64 * 1024)).unwrap();
            let after = disk.after(&steps);
            for slot in header.keyslots().iter().filter(|slot| what != "killing a key" || slot.number != 0) {
                assert_eq!(
                    cut.read(slot.offset, slot.size),
                    after.read(slot.offset, slot.size),
                    "{what}: slot {}",
                    slot.number
                );
            }
            // A slot that is not listed any more cannot be opened by who kept the old header.
            if what == "killing a key" && is_new {
                assert_ne!(cut.read(32_768, 4096), disk.read(32_768, 4096));
            }
        }
        assert!(seen[0] > 10 && seen[1] > 10, "{what}: {seen:?}");
    }
}

#[test]
fn a_power_cut_while_a_volume_is_made_leaves_none_or_all_of_it() {
    let (wanted, _, steps) = create(&new(), &KEY, &mut dice(1)).unwrap();
    // An older volume was there: its header must not come back.
    let (_, _, older) = create(&New { uuid: Uuid::from_u128(9), ..new() }, &OTHER, &mut dice(9)).unwrap();
    let before = Disk::default().after(&older);
    // Of the clearing of 16 MiB, the header's part is enough.
    let steps: Vec<_> = steps
        .into_iter()
        .map(|step| if let crate::Step::Zero { at, .. } = step { crate::Step::Zero { at, len: PART } } else { step })
        .collect();
    for cut in before.cuts(&steps, 6) {
        match Header::decode(&cut.read(0, 64 * 1024)) {
            Ok(header) if header.uuid == wanted.uuid => {
                assert_eq!(header, Header { salts: header.salts, ..wanted.clone() });
                assert_eq!(
                    cut.read(32_768, 258_048),
                    before.after(&steps).read(32_768, 258_048),
                    "its slot was there first"
                );
            }
            Ok(header) => assert_eq!(header.uuid, Uuid::from_u128(9), "the older one, until the clearing"),
            Err(_) => {}
        }
    }
}

#[test]
fn the_key_opens_and_another_does_not() {
    let (disk, header, key) = volume();
    let head = disk.read(0, PART);
    let (opened, slot) = open(&header, &head, &KEY).unwrap();
    assert_eq!((opened.bytes(), slot), (key.bytes(), 0));
    assert_eq!(open(&header, &head, &OTHER).err(), Some(OpenError::NoSlot(1)));
    assert_eq!(open(&header, &head[..40_000], &KEY).err(), Some(OpenError::Unreadable), "cut short");
}

#[test]
fn a_token_with_its_blob_comes_back() {
    let (disk, header, _) = volume();
    let (changed, steps) = set_token(&header, &token(b"sealed")).unwrap();
    let back = Header::decode(&disk.after(&steps).read(0, PART)).unwrap();
    assert_eq!(back.token(&TokenKind("tpm".to_owned())), Some(token(b"sealed")));
    assert_eq!(back.token(&TokenKind("other".to_owned())), None);
    assert_eq!(set_token(&changed, &token(&[0; 12_000])).unwrap_err(), OpenError::Full);
}

#[test]
fn a_volume_is_never_without_the_token_that_it_was_made_with() {
    let (header, _, steps) = create(&new(), &KEY, &mut dice(1)).unwrap();
    assert!(with_token(&header, steps[1..2].to_vec(), &token(b"x")).is_err(), "not this header's steps");
    let (with, steps) = with_token(&header, steps, &token(b"sealed")).unwrap();
    assert_eq!(with.sequence, header.sequence);
    let disk = Disk::default().after(&steps);
    let back = Header::decode(&disk.read(0, PART)).unwrap();
    assert_eq!(back.token(&TokenKind("tpm".to_owned())), Some(token(b"sealed")));
    assert!(open(&back, &disk.read(0, PART), &KEY).is_ok());
    let headers = steps.iter().filter(|step| matches!(step, crate::Step::Write { at: 0, .. })).count();
    assert_eq!(headers, 1, "the header is written once");
}

#[test]
fn slots_are_given_until_there_is_no_room() {
    let (_, mut header, key) = volume();
    let mut quick = |bytes: &mut [u8]| bytes.fill(1);
    let mut places = vec![32_768];
    for number in 1..4 {
        let (next, given, _) = add_key(&header, &key, &KEY, &mut quick).unwrap();
        assert_eq!(given, number);
        places.push(next.keyslots().last().unwrap().offset);
        header = next;
    }
    assert_eq!(places, [32_768, 290_816, 548_864, 806_912]);
    let (header, _) = kill_key(&header, 1, &mut quick).unwrap();
    let (header, given, _) = add_key(&header, &key, &KEY, &mut quick).unwrap();
    assert_eq!((given, header.keyslots()[1].offset), (1, 290_816));
}

#[test]
fn headers_that_we_do_not_open_are_refused_in_words() {
    let (disk, header, _) = volume();
    let head = disk.read(0, PART);
    let mut luks1 = head.clone();
    luks1[7] = 1;
    luks1[16_384] = 0;
    assert_eq!(Header::decode(&luks1), Err(HeaderError::Version(1)));
    assert_eq!(Header::decode(&[0; 65_536]), Err(HeaderError::Missing));
    let mut torn = head;
    torn[5000] ^= 1;
    torn[16_384 + 5000] ^= 1;
    assert_eq!(Header::decode(&torn), Err(HeaderError::Damaged));
    let mut other = header.clone();
    other.json["segments"]["0"]["encryption"] = "aes-cbc-essiv:sha256".into();
    assert_eq!(other.crypt(100_000), Err(OpenError::OtherCipher));
    assert!(matches!(header.crypt(100), Err(OpenError::Damaged(_))));
    assert_eq!(header.crypt(32_768 + 15).unwrap().sectors, 8, "whole sectors of 4 KiB");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_the_reader_panic(at in 0_usize..32_768, noise in proptest::collection::vec(any::<u8>(), 1..64)) {
        let mut head = HEAD.with(Clone::clone);
        let end = (at + noise.len()).min(head.len());
        head[at..end].copy_from_slice(&noise[..end - at]);
        if let Ok(header) = Header::decode(&head) {
            let _ = (header.keyslots(), header.token(&TokenKind(String::new())), header.crypt(100_000));
        }
    }
}

thread_local! {
    static HEAD: Vec<u8> = volume().0.read(0, 32_768);
}
