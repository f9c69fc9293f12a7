//! Any file that is given as an image: PE, UKI, kernel and module readers refuse it or read it within its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slipway_image::{authenticode, kernel, measure::Facts, modinfo, pe::Pe, recipe, uki::Uki};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(pe) = Pe::parse(bytes) {
        for range in pe.sections.iter().filter_map(|section| section.data()) {
            assert!(range.is_empty() || bytes.get(range).is_some(), "a section lies in its file");
        }
    }
    let _ = Uki::parse(bytes);
    let _ = Facts::of(bytes);
    let _ = recipe::is_static(bytes);
    if let Ok(bare) = authenticode::unsigned(bytes) {
        assert_eq!(authenticode::signatures(&bare).map(|found| found.len()), Ok(0), "no signature is left");
    }
    if let Ok(found) = authenticode::signatures(bytes) {
        found.into_iter().for_each(|pkcs7| _ = authenticode::statement(pkcs7));
    }
    let _ = authenticode::digest(bytes);
    let _ = authenticode::statement(bytes);
    let _ = kernel::bzimage_release(bytes);
    let _ = modinfo::entries(bytes);
    let _ = modinfo::depends(bytes);
    let _ = (modinfo::aliases(bytes), modinfo::soft_depends(bytes), modinfo::firmware(bytes));
});
