//! Any rule name, image name and command line in GRUB's configuration: refused, or it has the very lines that it would have with harmless
//! ones, and the kernel's line has the words that the kernel is to see, each in quotes of its own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slipway_engine::grub::{command_line, linux, refusal};
use slipway_engine::script::Heading;
use slipway_wire::MacAddr;

fn config(rule: &str, what: &str, cmdline: &str) -> Option<String> {
    let initrds = ["image/a@1/initrd".to_owned()];
    linux(Heading { mac: MacAddr::default(), rule, what }, "image/a@1/linux", &initrds, cmdline).ok()
}

/// The first word of every line.
fn commands(config: &str) -> Vec<&str> {
    config.split(['\n', '\r']).map(|line| line.split_ascii_whitespace().next().unwrap_or_default()).collect()
}

/// A line without what stands in single quotes; a quote itself is written as `'\''`.
fn unquoted(line: &str) -> String {
    let line = line.replace("'\\''", "");
    assert_eq!(line.matches('\'').count() % 2, 0, "a quote without end: {line}");
    line.split('\'').step_by(2).collect()
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else { return };
    assert_eq!(commands(&refusal(text)), commands(&refusal("harmless")));
    let mut parts = text.splitn(3, '\0');
    let mut next = || parts.next().unwrap_or_default();
    let (rule, what, cmdline) = (next(), next(), next());
    let Some(given) = config(rule, what, cmdline) else { return };
    let harmless = config("rule", "what", "quiet").expect("nothing is wrong with that");
    assert_eq!(commands(&given), commands(&harmless));
    let words = command_line(cmdline).expect("it was accepted");
    for (given, harmless) in given.lines().zip(harmless.lines()).filter(|(line, _)| !line.starts_with('#')) {
        let (outside, wanted) = (unquoted(given), unquoted(harmless));
        if given.starts_with("if linux ") {
            assert_eq!(outside, format!("if linux {}; then", " ".repeat(words.len())));
        } else {
            assert_eq!(outside, wanted);
        }
    }
});
