use super::*;
use crate::attest::Clock;
use crate::eventlog::Event;
use crate::{Algorithm, PcrSet};
use proptest::prelude::*;

const PLAIN: &[u8] = include_bytes!("../../../../fixtures/tpm/qemu-ovmf-uki.log");
const SECURE: &[u8] = include_bytes!("../../../../fixtures/tpm/qemu-ovmf-uki-secure-boot.log");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn quoted(log: &EventLog<'_>) -> Quoted {
    let clock = Clock { millis: 0, resets: 0, restarts: 0, safe: true };
    Quoted { pcrs: PcrSet::BOOT, digest: log.quote_digest(PcrSet::BOOT), clock, firmware: 0 }
}

#[test]
fn real_logs_replay_to_what_the_tpm_said_and_tell_the_boot() {
    let rows = [
        (
            PLAIN,
            include_str!("../../../../fixtures/tpm/qemu-ovmf-uki.pcrs"),
            include_str!("../../../../fixtures/tpm/qemu-ovmf-uki.txt"),
        ),
        (
            SECURE,
            include_str!("../../../../fixtures/tpm/qemu-ovmf-uki-secure-boot.pcrs"),
            include_str!("../../../../fixtures/tpm/qemu-ovmf-uki-secure-boot.txt"),
        ),
    ];
    for (bytes, pcrs, text) in rows {
        let log = EventLog::decode(bytes).unwrap();
        // PCR 10 is the kernel's own (IMA), after the firmware's log.
        for line in pcrs.lines().filter(|line| !line.starts_with("10")) {
            let (pcr, value) = line.trim().split_once(' ').unwrap();
            assert_eq!(hex(&log.replay(pcr.parse().unwrap())), value, "PCR {pcr}");
        }
        let boot = Boot::read(bytes, &quoted(&log)).unwrap();
        let mut read = text.split_once("Read: ").unwrap().1.lines();
        assert_eq!(
            read.next(),
            Some(if boot.secure_boot == Some(true) { "Secure Boot on" } else { "Secure Boot off" })
        );
        let images: Vec<String> = boot.images.iter().map(|image| hex(image)).collect();
        let expected: Vec<&str> = read.map(|line| &line["image ".len()..][..64]).collect();
        assert_eq!(images, expected);
    }
}

#[test]
fn a_log_that_is_cut_or_whose_digests_are_changed_is_refused_or_tells_the_same() {
    let log = EventLog::decode(PLAIN).unwrap();
    let quoted = quoted(&log);
    for length in 0..PLAIN.len() {
        // After the last event of a quoted PCR there may be an end: nothing that counts is missing then.
        if let Ok(boot) = Boot::read(&PLAIN[..length], &quoted) {
            assert_eq!(boot, Boot::read(PLAIN, &quoted).unwrap(), "cut to {length}");
        }
    }
    for event in log.events.iter().filter(|event| PcrSet::BOOT.has(event.pcr.try_into().unwrap())) {
        let at = PLAIN.windows(32).position(|window| window == event.digest).unwrap();
        let mut changed = PLAIN.to_vec();
        changed[at] ^= 1;
        assert!(Boot::read(&changed, &quoted).is_err(), "{event:?}");
    }
}

/// The log with another type in the events that this picks.
fn relabelled<'a>(
    log: &EventLog<'a>,
    pick: impl Fn(&Event<'_>) -> bool,
    kind: EventType,
    data: &'a [u8],
) -> EventLog<'a> {
    let mut log = log.clone();
    log.events.iter_mut().filter(|event| pick(event)).for_each(|event| (event.kind, event.data) = (kind, data));
    log
}

#[test]
fn an_image_cannot_be_hidden_by_calling_it_something_else() {
    let log = EventLog::decode(PLAIN).unwrap();
    let images = pcr4_images(&log);
    assert_eq!(images.len(), 3);
    let is_image = |event: &Event<'_>| event.kind == EventType::EFI_BOOT_SERVICES_APPLICATION;
    for (kind, data) in [
        (EventType::EFI_ACTION, &b"Calling EFI Application from Boot Option"[..]),
        (EventType::SEPARATOR, &[0; 4][..]),
        (EventType(0x1234), b""),
    ] {
        assert_eq!(pcr4_images(&relabelled(&log, is_image, kind, data)), images);
    }
}

#[test]
fn secure_boot_is_on_only_where_the_first_event_of_pcr_7_measured_it() {
    let (off, on) = (EventLog::decode(PLAIN).unwrap(), EventLog::decode(SECURE).unwrap());
    assert_eq!((secure_boot(&off), secure_boot(&on)), (Some(false), Some(true)));
    let true_event = on.of_pcr(7).next().unwrap().clone();
    // Somebody who runs extends PCR 7 with the event that he would like to have had.
    let mut forged = off.clone();
    forged.events.push(true_event.clone());
    assert_eq!(secure_boot(&forged), Some(false));
    // And calls the first one something else, or lets it say what it did not measure.
    let first = off.of_pcr(7).next().unwrap().digest;
    let renamed = relabelled(&forged, |event| event.digest == first, EventType::SEPARATOR, b"");
    assert_eq!(secure_boot(&renamed), None);
    let lying = relabelled(&forged, |event| event.digest == first, true_event.kind, true_event.data);
    assert_eq!(secure_boot(&lying), None);
    let mut silent = off.clone();
    silent.events.retain(|event| event.pcr != 7);
    assert_eq!(secure_boot(&silent), None);
}

#[test]
fn a_tpm_started_at_another_locality_begins_pcr_0_with_it() {
    let head = {
        let size = usize::try_from(u32::from_le_bytes(PLAIN[28..32].try_into().unwrap())).unwrap();
        PLAIN[..32 + size].to_vec()
    };
    let mut digest = Algorithm::SHA256.0.to_le_bytes().to_vec();
    digest.extend([0; 32]);
    let data = b"StartupLocality\0\x03";
    let event = [&[0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0], &digest[..], &[17, 0, 0, 0], data].concat();
    let bytes = [head.clone(), event].concat();
    let log = EventLog::decode(&bytes).unwrap();
    assert_eq!((log.startup_locality, log.replay(0)[31], log.replay(1)[31]), (3, 3, 0));
    assert_eq!(EventLog::decode(&head).unwrap().replay(17), [0xff; 32]);
}

proptest! {
    #[test]
    fn no_bytes_make_the_log_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0_usize..PLAIN.len(), at in any::<prop::sample::Index>()) {
        let _ = EventLog::decode(&bytes);
        let mut mixed = PLAIN[..cut].to_vec();
        let place = at.index(mixed.len() + 1);
        mixed.splice(place..place, bytes);
        if let Ok(log) = EventLog::decode(&mixed) {
            let _ = (pcr4_images(&log), secure_boot(&log), log.quote_digest(PcrSet::BOOT));
        }
    }
}
