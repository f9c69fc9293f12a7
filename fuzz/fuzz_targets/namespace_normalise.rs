//! Any name that a firmware may ask for: refused, or brought into a form that cannot leave the namespace and is its own normal form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slipway_engine::catalog::Catalog;
use slipway_engine::namespace::{normalise, resolve};

fuzz_target!(|bytes: &[u8]| {
    let Ok(name) = normalise(bytes) else { return };
    assert!(name.len() <= 255 && !name.starts_with('/') && !name.ends_with('/'));
    assert!(!name.contains(['\\', '\0']) && !name.chars().any(char::is_control));
    assert!(name.is_empty() || name.split('/').all(|part| !matches!(part, "" | "." | "..")));
    assert_eq!(normalise(name.as_bytes()).as_deref(), Ok(name.as_str()), "a normal form is its own");
    assert!(resolve(&name, &Catalog::default()).is_err(), "nothing is in an empty catalog");
});
