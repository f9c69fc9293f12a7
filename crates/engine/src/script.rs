//! iPXE scripts, rendered per machine. They keep to what the iPXE of 2019 understands, which Debian 12 ships and network cards
//! carry in ROM: no `params`; where they use more (`imgverify`, `poweroff`), they do without it too.
//!
//! Nothing from outside becomes part of a command unchecked: URLs are percent-encoded, texts for the console are reduced to harmless
//! characters, and a command line that iPXE would take for more than a command line is refused.

mod pages;
mod san;
mod template;

pub use pages::{Does, Line, Page, pages};
pub use san::{beside, iso, san};
pub use template::{TemplateError, Values, from_template};

use slipway_wire::MacAddr;

/// How often a boot is tried before the machine goes on to its next boot device.
const ATTEMPTS: u8 = 3;

/// Whom a script is for, and why: its first lines, for whoever reads it with curl.
#[derive(Clone, Copy, Debug)]
pub struct Heading<'a> {
    /// The machine.
    pub mac: MacAddr,
    /// The rule that gave it.
    pub rule: &'a str,
    /// The image, `name@version`, or what else is started.
    pub what: &'a str,
}

impl Heading<'_> {
    fn lines(&self) -> String {
        format!("#!ipxe\n# Slipway: {} for {} by rule {}\n", plain(self.what), self.mac, plain(self.rule))
    }
}

/// A file for iPXE to load.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// Its URL.
    pub url: String,
    /// The URL of its detached signature, where it has one.
    pub signature: Option<String>,
}

/// Boots a kernel with any number of initrds, on BIOS and on UEFI.
///
/// `initrd=` names the initrds as fetched: the iPXE of 2019 needs it on UEFI (else the kernel panics without a root), newer ones and
/// BIOS do not mind. On UEFI iPXE puts the kernel's name before the command line; with a dot in it, Linux takes that for an unknown
/// module's parameter and not for an argument of init.
///
/// # Errors
/// What is wrong with the command line, see [`command_line`].
pub fn linux(heading: Heading<'_>, kernel: &Source, initrds: &[Source], cmdline: &str) -> Result<String, &'static str> {
    let cmdline = command_line(cmdline)?;
    let names: Vec<String> =
        (0..initrds.len()).map(|n| if n == 0 { "initrd".to_owned() } else { format!("initrd{n}") }).collect();
    let mut arguments: Vec<String> = names.iter().map(|name| format!("initrd={name}")).collect();
    if !cmdline.is_empty() {
        arguments.push(cmdline);
    }
    let kernel_command = format!("kernel --name linux.efi {} {}", kernel.url, arguments.join(" "));
    let mut commands = vec![kernel_command.trim_end_matches(' ').to_owned()];
    commands.extend(names.iter().zip(initrds).map(|(name, initrd)| format!("initrd --name {name} {}", initrd.url)));
    let loaded = [("linux.efi", kernel)].into_iter().chain(names.iter().map(String::as_str).zip(initrds));
    Ok(attempts(heading, &commands, &verification(loaded), "boot"))
}

/// Chains a UKI on UEFI so that it uses the command line it was built with. iPXE hands every EFI program its image name as load
/// options, and systemd-stub would take them for the command line; a control character in them makes it ignore them.
#[must_use]
pub fn uki(heading: Heading<'_>, uki: &Source) -> String {
    program(heading, uki, Some("\u{1}uki"), "")
}

/// Chains a UKI on UEFI with a command line instead of its own: the whole of it has to be repeated, as load options replace it.
/// iPXE puts the name `uki.efi` before it; with a dot in it, Linux does not pass it to init. Under Secure Boot the stub ignores load
/// options, and the UKI's own command line holds.
///
/// # Errors
/// What is wrong with the command line, see [`command_line`].
pub fn uki_with_cmdline(heading: Heading<'_>, uki: &Source, cmdline: &str) -> Result<String, &'static str> {
    Ok(program(heading, uki, Some("uki.efi"), &command_line(cmdline)?))
}

/// Chains an EFI program, with arguments after its name.
///
/// # Errors
/// What is wrong with the arguments, see [`command_line`].
pub fn efi(heading: Heading<'_>, efi: &Source, arguments: &str) -> Result<String, &'static str> {
    Ok(program(heading, efi, None, &command_line(arguments)?))
}

/// An EFI program in one step, or in three where it is to be verified before it is started.
fn program(heading: Heading<'_>, file: &Source, name: Option<&str>, arguments: &str) -> String {
    let load = |verb: &str, name: Option<&str>| {
        let name = name.map_or_else(String::new, |name| format!("--name {name} "));
        format!("{verb} {name}{} {arguments}", file.url).trim_end_matches(' ').to_owned()
    };
    if file.signature.is_none() {
        return attempts(heading, &[], "", &load("chain", name));
    }
    let name = name.unwrap_or("boot.efi");
    attempts(heading, &[load("kernel", Some(name))], &verification([(name, file)].into_iter()), &format!("boot {name}"))
}

/// Verifies what has a signature, where the build of iPXE can. One that cannot has no `imgtrust` either, and goes on, as has to be said; so
/// does one that was told for good to start nothing untrusted: it refuses to by itself.
fn verification<'s>(loaded: impl Iterator<Item = (&'s str, &'s Source)>) -> String {
    let mut text = String::new();
    for (n, (name, file)) in loaded.enumerate() {
        if let Some(signature) = &file.signature {
            text.push_str(&format!(
                "imgverify {name} {signature} && goto verified{n} ||\nimgtrust --allow && goto failed ||\n\
                 echo Slipway: this build of iPXE verifies no signatures, so nobody has\n:verified{n}\n"
            ));
        }
    }
    text
}

/// Chains pxelinux on a BIOS. iPXE stays below it as the PXE stack, and hands it these options as if DHCP had sent them.
#[must_use]
pub fn pxelinux(heading: Heading<'_>, url: &str, config: &str, prefix: &str) -> String {
    let options = [format!("set 209:string {config}"), format!("set 210:string {prefix}")];
    attempts(heading, &options, "", &format!("chain {url}"))
}

/// Goes on to the machine's own disk. On UEFI iPXE's failure is what makes the firmware try its next boot entry: after a success it
/// would stop in its setup menu.
#[must_use]
pub fn local(heading: Heading<'_>, uefi: bool) -> String {
    format!("{}echo Slipway: booting from the local disk\n{}", heading.lines(), local_commands(uefi))
}

fn local_commands(uefi: bool) -> &'static str {
    if uefi { "exit 1\n" } else { "sanboot --no-describe --drive 0x80 || exit 1\n" }
}

/// Says on the machine's console why it is told to boot from its own disk, and goes on to that.
#[must_use]
pub fn to_disk(why: &str, uefi: bool) -> String {
    format!("#!ipxe\necho Slipway: {}\nsleep 3\n{}", plain(why), local_commands(uefi))
}

/// Says on the machine's console why it is not booted, and goes on to its next boot device.
#[must_use]
pub fn refusal(why: &str) -> String {
    format!("#!ipxe\necho Slipway does not boot this machine: {}\nsleep 5\nexit 1\n", plain(why))
}

/// Asks for the script again, with what iPXE knows about its machine: for an iPXE that came without our DHCP answer.
#[must_use]
pub fn ask_again(root: &str) -> String {
    format!("#!ipxe\n{}\n", introduction(root))
}

fn introduction(root: &str) -> String {
    format!(
        "chain --replace --autofree {root}/boot.ipxe?mac=${{netX/mac:hexhyp}}&uuid=${{uuid}}\
         &arch=${{buildarch}}&platform=${{platform}}"
    )
}

/// What an iPXE is given that looks for a script before it has asked DHCP: it asks, and then for its own script; where that fails, it does
/// what it would have done without this one. It is faster so: nothing is asked of IPv6, which by itself it would wait for.
#[must_use]
pub fn autoexec(root: &str) -> String {
    format!("#!ipxe\ndhcp && {} || autoboot\n", introduction(root))
}

/// Asks for the script again, with more about the machine: `url` holds settings that iPXE replaces by what it finds in the machine.
#[must_use]
pub fn ask_more(heading: Heading<'_>, url: &str) -> String {
    attempts(heading, &[], "", &format!("chain --replace --autofree {url}"))
}

/// Runs commands until all succeed or the attempts are used up: those that load, what verifies, the one that starts. Only an EFI
/// program that ends comes back from a success.
fn attempts(heading: Heading<'_>, load: &[String], verify: &str, start: &str) -> String {
    let what = plain(heading.what);
    let mut text = heading.lines();
    text.push_str("set attempt:int32 0\n:try\n");
    for command in load {
        text.push_str(&format!("{command} || goto failed\n"));
    }
    text.push_str(verify);
    text.push_str(&format!(
        "{start} || goto failed\nexit 0\n:failed\nimgfree\ninc attempt\niseq ${{attempt}} {ATTEMPTS} && goto giveup ||\n\
         echo Slipway: {what} did not start, attempt ${{attempt}} of {ATTEMPTS}; trying again in 5 seconds\nsleep 5\ngoto try\n\
         :giveup\necho Slipway: {what} did not start in {ATTEMPTS} attempts, leaving to the next boot device\nsleep 5\nexit 1\n"
    ));
    text
}

/// A kernel's command line as it can stand in a script: blanks and line ends collapsed to one space, as iPXE does anyway.
///
/// # Errors
/// Control bytes, and what iPXE would interpret instead of passing it on: `${`, and the words `||`, `&&`, `;` and `#...`.
pub fn command_line(text: &str) -> Result<String, &'static str> {
    let text = text.trim_matches(|c: char| c == '\0' || c.is_ascii_whitespace());
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    if words.iter().any(|word| word.contains(char::is_control)) {
        return Err("its command line holds control characters");
    }
    if words.iter().any(|word| word.contains("${") || matches!(*word, "||" | "&&" | ";") || word.starts_with('#')) {
        return Err("iPXE would interpret `${`, `||`, `&&`, `;` or `#` in its command line instead of passing it on");
    }
    if words.last().is_some_and(|word| word.ends_with('\\')) {
        return Err("its command line ends in a backslash, which iPXE takes for a continued line");
    }
    Ok(words.join(" "))
}

/// Text that is harmless anywhere in a script: letters, digits and quiet punctuation; the rest becomes `?`, backquotes `'`.
fn plain(text: &str) -> String {
    let harmless = |c: char| match c {
        'a'..='z'
        | 'A'..='Z'
        | '0'..='9'
        | ' '
        | '.'
        | ','
        | ':'
        | '@'
        | '-'
        | '_'
        | '+'
        | '='
        | '/'
        | '('
        | ')'
        | '\'' => c,
        '`' | '"' => '\'',
        _ => '?',
    };
    text.chars().map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADING: Heading<'static> =
        Heading { mac: MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]), rule: "lab", what: "debian@12.1" };
    const ROOT: &str = "http://10.77.0.1:8067";

    fn source(url: &str) -> Source {
        Source { url: url.into(), signature: None }
    }

    fn signed(url: &str) -> Source {
        Source { signature: Some(format!("{url}.sig")), ..source(url) }
    }

    #[test]
    fn a_kernel_is_booted_with_its_initrds_named_on_the_command_line() {
        let initrds = ["initrd", "initrd.1"].map(|file| source(&format!("{ROOT}/image/debian@12.1/{file}")));
        let text =
            linux(HEADING, &source(&format!("{ROOT}/image/debian@12.1/linux")), &initrds, "console=ttyS0  quiet\n")
                .unwrap();
        insta::assert_snapshot!(text, @"
        #!ipxe
        # Slipway: debian@12.1 for 52:54:00:12:34:56 by rule lab
        set attempt:int32 0
        :try
        kernel --name linux.efi http://10.77.0.1:8067/image/debian@12.1/linux initrd=initrd initrd=initrd1 console=ttyS0 quiet || goto failed
        initrd --name initrd http://10.77.0.1:8067/image/debian@12.1/initrd || goto failed
        initrd --name initrd1 http://10.77.0.1:8067/image/debian@12.1/initrd.1 || goto failed
        boot || goto failed
        exit 0
        :failed
        imgfree
        inc attempt
        iseq ${attempt} 3 && goto giveup ||
        echo Slipway: debian@12.1 did not start, attempt ${attempt} of 3; trying again in 5 seconds
        sleep 5
        goto try
        :giveup
        echo Slipway: debian@12.1 did not start in 3 attempts, leaving to the next boot device
        sleep 5
        exit 1
        ");
    }

    #[test]
    fn a_kernel_alone_has_no_trailing_blank() {
        let text = linux(HEADING, &source("http://x/linux"), &[], "").unwrap();
        assert!(
            text.contains("\nkernel --name linux.efi http://x/linux || goto failed\nboot || goto failed\n"),
            "{text}"
        );
    }

    #[test]
    fn a_uki_keeps_its_own_command_line_by_a_control_character_in_its_name() {
        let text = uki(HEADING, &source("http://x/uki.efi"));
        assert!(text.contains("\nchain --name \x01uki http://x/uki.efi || goto failed\n"), "{text:?}");
    }

    #[test]
    fn a_uki_with_more_on_its_command_line_is_given_the_whole_of_it() {
        let text = uki_with_cmdline(HEADING, &source("http://x/uki.efi"), "root=/dev/ram0 quiet debug").unwrap();
        assert!(
            text.contains("\nchain --name uki.efi http://x/uki.efi root=/dev/ram0 quiet debug || goto failed\n"),
            "{text}"
        );
    }

    #[test]
    fn what_is_signed_is_verified_before_it_starts_where_the_build_can() {
        let text = linux(HEADING, &signed("http://x/linux"), &[signed("http://x/initrd")], "quiet").unwrap();
        insta::assert_snapshot!("signed-linux", text);
        insta::assert_snapshot!("signed-uki", uki(HEADING, &signed("http://x/uki.efi")));
        let text = efi(HEADING, &signed("http://x/boot.efi"), "quick").unwrap();
        assert!(
            text.contains("\nkernel --name boot.efi http://x/boot.efi quick || goto failed\nimgverify boot.efi "),
            "{text}"
        );
        assert!(!linux(HEADING, &source("http://x/linux"), &[], "").unwrap().contains("imgverify"));
    }

    #[test]
    fn the_local_disk_is_reached_in_the_firmwares_own_way() {
        insta::assert_snapshot!(local(HEADING, false), @"
        #!ipxe
        # Slipway: debian@12.1 for 52:54:00:12:34:56 by rule lab
        echo Slipway: booting from the local disk
        sanboot --no-describe --drive 0x80 || exit 1
        ");
        insta::assert_snapshot!(local(HEADING, true), @"
        #!ipxe
        # Slipway: debian@12.1 for 52:54:00:12:34:56 by rule lab
        echo Slipway: booting from the local disk
        exit 1
        ");
    }

    #[test]
    fn an_ipxe_of_unknown_origin_is_asked_to_introduce_itself() {
        insta::assert_snapshot!(ask_again(ROOT), @"
        #!ipxe
        chain --replace --autofree http://10.77.0.1:8067/boot.ipxe?mac=${netX/mac:hexhyp}&uuid=${uuid}&arch=${buildarch}&platform=${platform}
        ");
    }

    #[test]
    fn an_ipxe_that_looks_for_a_script_first_asks_dhcp_and_then_for_its_own() {
        insta::assert_snapshot!(autoexec(ROOT), @"
        #!ipxe
        dhcp && chain --replace --autofree http://10.77.0.1:8067/boot.ipxe?mac=${netX/mac:hexhyp}&uuid=${uuid}&arch=${buildarch}&platform=${platform} || autoboot
        ");
    }

    #[test]
    fn a_refusal_says_why_in_harmless_words() {
        let why = "image `x` || ${y} && #z\nreboot";
        assert_eq!(
            refusal(why),
            "#!ipxe\necho Slipway does not boot this machine: image 'x' ?? ??y? ?? ?z?reboot\nsleep 5\nexit 1\n"
        );
    }

    #[test]
    fn only_plain_blanks_are_trimmed_so_that_no_word_turns_into_an_operator() {
        // iPXE splits at ASCII white space alone: with its no-break space, `&&` is a word like any other.
        for render in [
            |cmdline| linux(HEADING, &source("http://x/linux"), &[], cmdline),
            |cmdline| uki_with_cmdline(HEADING, &source("http://x/uki.efi"), cmdline),
            |cmdline| efi(HEADING, &source("http://x/app.efi"), cmdline),
        ] {
            let text = render("quiet &&\u{a0}").unwrap();
            assert!(text.contains(" quiet &&\u{a0} || goto failed\n"), "{text:?}");
        }
    }

    #[test]
    fn command_lines_that_ipxe_would_interpret_are_refused() {
        for (text, wanted) in [
            ("", Some("")),
            (" \0", Some("")),
            ("quiet", Some("quiet")),
            ("a  b\tc\r\nd\n", Some("a b c d")),
            ("dyndbg=\"file a.c +p\" x=$y a|b a&b a#b", Some("dyndbg=\"file a.c +p\" x=$y a|b a&b a#b")),
            ("x=${net0/mac}", None),
            ("a || reboot", None),
            ("a && reboot", None),
            ("a ; reboot", None),
            ("a;b", Some("a;b")),
            ("a # b", None),
            ("a #b", None),
            ("a\x1bb", None),
            ("a\0b", None),
            ("a\\", None),
        ] {
            assert_eq!(command_line(text).ok().as_deref(), wanted, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_command_line_adds_a_line_to_a_script(cmdline in "(\\PC|[\n\r\t ]){0,60}", rule in "(\\PC|\n){0,20}", what in ".{0,20}") {
            let heading = Heading { rule: &rule, what: &what, ..HEADING };
            let empty = linux(HEADING, &source("http://x/linux"), &[], "").unwrap();
            if let Ok(text) = linux(heading, &source("http://x/linux"), &[], &cmdline) {
                prop_assert_eq!(text.lines().count(), empty.lines().count());
                let command = text.lines().find(|line| line.starts_with("kernel ")).unwrap_or_default();
                prop_assert_eq!(command.matches("${").count(), 0);
                prop_assert!(command.ends_with(" || goto failed"));
            }
        }
    }
}
