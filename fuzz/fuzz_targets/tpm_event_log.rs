//! A firmware's event log: read without panic, within its bytes, and never less in PCR 4 than the log measures there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slipway_tpm::boot::{pcr4_images, secure_boot};
use slipway_tpm::{EventLog, PcrSet};

fuzz_target!(|bytes: &[u8]| {
    let Ok(log) = EventLog::decode(bytes) else { return };
    assert!(log.events.iter().map(|event| event.data.len() + 44).sum::<usize>() <= bytes.len());
    let images = pcr4_images(&log);
    assert!(images.len() <= log.of_pcr(4).count());
    // What an event calls itself, and says, hides no image.
    let mut relabelled = log.clone();
    for event in &mut relabelled.events {
        (event.kind, event.data) =
            (slipway_tpm::eventlog::EventType::EFI_ACTION, b"Calling EFI Application from Boot Option");
    }
    assert_eq!(pcr4_images(&relabelled), images);
    assert_eq!(relabelled.quote_digest(PcrSet::BOOT), log.quote_digest(PcrSet::BOOT));
    assert_eq!(secure_boot(&relabelled), None);
});
