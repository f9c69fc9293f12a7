//! GRUB behind shim, which Secure Boot lets pass: how it asks for its configuration, and what it is given.
//!
//! GRUB understands a language of its own. Nothing from outside becomes part of a command unchecked: every word stands between single
//! quotes, within which nothing means anything, and a command line that GRUB would change on its way to the kernel is refused.

use slipway_wire::MacAddr;

use crate::script::Heading;

/// A configuration that GRUB looks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lookup {
    /// The machine, where the name tells it: GRUB's `grub.cfg-01-52-54-…`, or what [`ask_again`] makes it ask for.
    pub mac: Option<MacAddr>,
}

/// What a normalised path in our namespace asks for, if it is GRUB's configuration: beside shim, where upstream's GRUB looks, or in
/// `grub/`, which distributions build into theirs. Of GRUB's other guesses (`grub.cfg-<uuid>`, `grub.cfg-0A4D0064` and its beginnings)
/// none is there: it goes on to the next one at once.
#[must_use]
pub fn lookup(path: &str) -> Option<Lookup> {
    let name = path.strip_prefix("shim/").or_else(|| path.strip_prefix("grub/"))?;
    if name == "grub.cfg" {
        return Some(Lookup { mac: None });
    }
    let mac = name.strip_prefix("grub.cfg-01-")?.parse().ok()?;
    Some(Lookup { mac: Some(mac) })
}

/// Boots a kernel with any number of initrds. Paths are those of our namespace: GRUB takes them from where it came from itself.
///
/// # Errors
/// What is wrong with the command line, see [`command_line`].
pub fn linux(heading: Heading<'_>, kernel: &str, initrds: &[String], cmdline: &str) -> Result<String, &'static str> {
    let words: Vec<String> = command_line(cmdline)?.iter().map(|word| quoted(word)).collect();
    let mut commands = vec![["linux".to_owned(), quoted(&rooted(kernel))].into_iter().chain(words).collect::<Vec<_>>()];
    if !initrds.is_empty() {
        let initrds = initrds.iter().map(|path| quoted(&rooted(path)));
        commands.push(std::iter::once("initrd".to_owned()).chain(initrds).collect());
    }
    Ok(attempts(heading, &commands))
}

/// Starts a UKI, which shim checks as the firmware would: with the keys of the firmware, of shim and of its owner (MOK).
#[must_use]
pub fn uki(heading: Heading<'_>, path: &str) -> String {
    attempts(heading, &[vec!["chainloader".to_owned(), quoted(&rooted(path))]])
}

/// Leaves to the machine's own disk: the firmware's next boot entry.
#[must_use]
pub fn local(heading: Heading<'_>) -> String {
    format!("{}echo 'Slipway: booting from the local disk'\nexit 1\n", heading_line(heading))
}

/// Says on the machine's console why it is not booted, and goes on to its next boot device.
#[must_use]
pub fn refusal(why: &str) -> String {
    format!("echo {}\nsleep 5\nexit 1\n", quoted(&format!("Slipway does not boot this machine: {}", plain(why))))
}

/// Has GRUB ask again under its machine's name: for one whose address alone did not tell us who it is.
#[must_use]
pub fn ask_again() -> String {
    let text = "source \"/grub/grub.cfg-01-${net_default_mac}\"\n".to_owned();
    text + &refusal("it does not tell its hardware address")
}

/// A kernel's command line as words that reach the kernel as they were meant. GRUB puts double quotes around a word with blanks in
/// it, which the kernel takes off again; so quotes are taken off here, where the kernel would.
///
/// # Errors
/// What GRUB would change: it puts a backslash before each `'`, `\` and inner `"` (seen: 2.06). Control characters; a quote without end.
pub fn command_line(text: &str) -> Result<Vec<String>, &'static str> {
    let text = text.trim_matches(|c: char| c == '\0' || c.is_ascii_whitespace());
    let (mut words, mut word, mut in_quotes) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' => in_quotes = !in_quotes,
            '\'' | '\\' => return Err("GRUB would put a backslash before `'` or `\\` in its command line"),
            c if c.is_ascii_whitespace() && !in_quotes => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c if c.is_control() => return Err("its command line holds control characters"),
            c => word.push(c),
        }
    }
    if in_quotes {
        return Err("a quote in its command line has no end");
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// Tries commands in order, each only if the one before went well; three times, then the machine goes on to its next boot device.
fn attempts(heading: Heading<'_>, commands: &[Vec<String>]) -> String {
    let what = plain(heading.what);
    let mut text = heading_line(heading);
    text.push_str(&format!("echo {}\nfor attempt in 1 2 3; do\n", quoted(&format!("Slipway: loading {what}"))));
    for command in commands {
        text.push_str(&format!("if {}; then\n", command.join(" ")));
    }
    text.push_str("boot\n");
    text.push_str(&"fi\n".repeat(commands.len()));
    let again = format!("Slipway: {what} did not start; trying again in 5 seconds");
    text.push_str(&format!("echo {}\nsleep 5\ndone\n", quoted(&again)));
    let over = format!("Slipway: {what} did not start in 3 attempts, leaving to the next boot device");
    text.push_str(&format!("echo {}\nsleep 5\nexit 1\n", quoted(&over)));
    text
}

fn heading_line(heading: Heading<'_>) -> String {
    format!("# Slipway: {} for {} by rule {}\n", plain(heading.what), heading.mac, plain(heading.rule))
}

/// One word of GRUB's language, whatever is in it. Control characters have been refused, or made plain, before.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn rooted(path: &str) -> String {
    format!("/{path}")
}

/// Text for the console and for comments: no control character, and no backslash, which ends a line of comment unseen.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || c == '\\' { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    const HEADING: Heading<'static> = Heading { mac: MAC, rule: "lab", what: "debian@12.1" };

    #[test]
    fn a_configuration_is_known_by_its_name_and_says_whose_it_is() {
        for (path, wanted) in [
            ("grub/grub.cfg", Some(None)),
            ("shim/grub.cfg", Some(None)),
            ("shim/grub.cfg-01-52-54-00-12-34-56", Some(Some(MAC))),
            ("grub/grub.cfg-01-52:54:00:12:34:56", Some(Some(MAC))),
            ("grub/grub.cfg-01-52-54-00-12-34", None),
            ("grub/grub.cfg-00112233-4455-6677-8899-aabbccddeeff", None),
            ("grub/grub.cfg-0A4D0064", None),
            ("grub/grub.cfg-0", None),
            ("grub/x86_64-efi/grub.cfg", None),
            ("grub/x86_64-efi/command.lst", None),
            ("grub.cfg", None),
            ("image/x/grub.cfg", None),
        ] {
            assert_eq!(lookup(path).map(|lookup| lookup.mac), wanted, "{path}");
        }
    }

    #[test]
    fn a_kernel_is_loaded_from_where_grub_came_from() {
        let initrds = ["image/debian@12.1/initrd".to_owned(), "image/debian@12.1/initrd.02".to_owned()];
        let cmdline = "console=ttyS0 dyndbg=\"file a.c +p\"  $x\n";
        let text = linux(HEADING, "image/debian@12.1/linux", &initrds, cmdline).unwrap();
        insta::assert_snapshot!(text, @"
        # Slipway: debian@12.1 for 52:54:00:12:34:56 by rule lab
        echo 'Slipway: loading debian@12.1'
        for attempt in 1 2 3; do
        if linux '/image/debian@12.1/linux' 'console=ttyS0' 'dyndbg=file a.c +p' '$x'; then
        if initrd '/image/debian@12.1/initrd' '/image/debian@12.1/initrd.02'; then
        boot
        fi
        fi
        echo 'Slipway: debian@12.1 did not start; trying again in 5 seconds'
        sleep 5
        done
        echo 'Slipway: debian@12.1 did not start in 3 attempts, leaving to the next boot device'
        sleep 5
        exit 1
        ");
        assert!(
            linux(HEADING, "image/x/linux", &[], "").unwrap().contains("if linux '/image/x/linux'; then\nboot\nfi\n")
        );
    }

    #[test]
    fn a_uki_is_started_whole() {
        let text = uki(HEADING, "image/debian@12.1/uki.efi");
        assert!(text.contains("\nif chainloader '/image/debian@12.1/uki.efi'; then\nboot\nfi\n"), "{text}");
    }

    #[test]
    fn what_is_said_on_the_console_is_one_line_of_plain_text() {
        assert_eq!(
            refusal("image 'x'\n$(reboot) \\"),
            "echo 'Slipway does not boot this machine: image '\\''x'\\''?$(reboot) ?'\nsleep 5\nexit 1\n"
        );
        let local = local(Heading { rule: "a\nreboot", ..HEADING });
        assert_eq!(local.lines().count(), 3, "{local}");
    }

    #[test]
    fn a_machine_that_is_not_known_by_its_address_is_asked_for_its_name() {
        insta::assert_snapshot!(ask_again(), @r#"
        source "/grub/grub.cfg-01-${net_default_mac}"
        echo 'Slipway does not boot this machine: it does not tell its hardware address'
        sleep 5
        exit 1
        "#);
    }

    #[test]
    fn command_lines_become_the_words_that_the_kernel_sees() {
        for (text, wanted) in [
            ("", Some(vec![])),
            (" \0", Some(vec![])),
            ("a  b\tc\r\nd\n", Some(vec!["a", "b", "c", "d"])),
            ("x=$y a|b {c} #d é", Some(vec!["x=$y", "a|b", "{c}", "#d", "é"])),
            ("dyndbg=\"file a.c +p\" \"x=1 2\"", Some(vec!["dyndbg=file a.c +p", "x=1 2"])),
            ("a=\"\"", Some(vec!["a="])),
            ("a=\"b", None),
            ("it's", None),
            ("a\\b", None),
            ("a\x1bb", None),
            ("a=\"b\nc\"", None),
        ] {
            let words = command_line(text).ok();
            let words = words.as_ref().map(|words| words.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(words, wanted, "{text:?}");
        }
    }

    /// Reads a line as GRUB does, as far as our texts go: words between blanks, of which parts are in single quotes and a backslash
    /// before a quote stands for it.
    fn words_of(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted, mut escaped) = (Vec::new(), None::<String>, false, false);
        for c in line.chars() {
            match c {
                '\'' if !escaped => {
                    quoted = !quoted;
                    word.get_or_insert_default();
                }
                '\\' if !quoted && !escaped => {
                    escaped = true;
                    continue;
                }
                ' ' | ';' if !quoted => words.extend(word.take()),
                c => word.get_or_insert_default().push(c),
            }
            escaped = false;
        }
        assert!(!quoted, "a quote without end: {line}");
        words.extend(word);
        words
    }

    proptest! {
        #[test]
        fn whatever_is_said_stays_one_command_of_as_many_words(cmdline in "(\\PC|[\n\r\t '\"$;&|{}()<>#\\\\]){0,60}", rule in "(\\PC|\n){0,20}", what in "(.|\n|'){0,20}") {
            let heading = Heading { rule: &rule, what: &what, ..HEADING };
            let empty = linux(HEADING, "image/x/linux", &[], "").unwrap();
            if let Ok(text) = linux(heading, "image/x/linux", &[], &cmdline) {
                prop_assert_eq!(text.lines().count(), empty.lines().count());
                let command = text.lines().find(|line| line.starts_with("if linux ")).unwrap_or_default();
                let mut wanted = vec!["if".to_owned(), "linux".to_owned(), "/image/x/linux".to_owned()];
                wanted.extend(command_line(&cmdline).unwrap());
                wanted.push("then".to_owned());
                prop_assert_eq!(words_of(command), wanted);
            }
            for line in refusal(&what).lines().filter(|line| line.starts_with("echo ")) {
                prop_assert_eq!(words_of(line).len(), 2);
            }
        }
    }
}
