//! Any rule name, image name and command line in a rendered script: refused, or the script has the very lines that it would have with
//! harmless ones, each beginning with the same command.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slipway_engine::script::{Heading, Source, linux};
use slipway_wire::MacAddr;

const KERNEL: &str = "http://10.0.0.1:8067/image/a@1/linux";

fn script(rule: &str, what: &str, cmdline: &str) -> Option<String> {
    let signed = |url: &str| Source { url: url.to_owned(), signature: Some(format!("{url}.sig")) };
    let initrds = [signed("http://10.0.0.1:8067/image/a@1/initrd")];
    linux(Heading { mac: MacAddr::default(), rule, what }, &signed(KERNEL), &initrds, cmdline).ok()
}

/// The first word of every line.
fn commands(script: &str) -> Vec<&str> {
    script.split(['\n', '\r']).map(|line| line.split_ascii_whitespace().next().unwrap_or_default()).collect()
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let mut parts = text.splitn(3, '\0');
    let mut next = || parts.next().unwrap_or_default();
    let Some(given) = script(next(), next(), next()) else { return };
    let harmless = script("rule", "what", "quiet").expect("nothing is wrong with that");
    assert_eq!(commands(&given), commands(&harmless));
    for operator in ["||", "&&", ";"] {
        // iPXE takes these for operators only where they are a word of their own.
        let count = |script: &str| script.split_ascii_whitespace().filter(|word| *word == operator).count();
        assert_eq!(count(&given), count(&harmless), "{operator}");
    }
    assert_eq!(given.matches("${").count(), harmless.matches("${").count());
});
