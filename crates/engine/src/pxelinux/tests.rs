use proptest::prelude::*;

use super::*;

const HEADING: Heading<'static> =
    Heading { mac: MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]), rule: "lab", what: "debian@12.1" };
const SERVER: ServerAddr =
    ServerAddr { ip: core::net::IpAddr::V4(core::net::Ipv4Addr::new(10, 77, 0, 1)), http_port: 8067, https: false };

fn linux(initrds: &[&str], cmdline: &str) -> Linux {
    Linux {
        kernel: "image/debian@12.1/linux".into(),
        initrds: initrds.iter().map(|file| format!("image/debian@12.1/{file}")).collect(),
        cmdline: cmdline.into(),
        ..Linux::default()
    }
}

#[test]
fn a_kernel_for_pxelinux_is_named_in_the_way_that_the_configuration_came() {
    let config =
        Config::linux(Reader::Pxelinux, HEADING, linux(&["initrd", "initrd.02"], "console=ttyS0  quiet\n")).unwrap();
    insta::assert_snapshot!(config.text(Over::Tftp), @"
    # Slipway: debian@12.1 for 52:54:00:12:34:56 by rule lab
    DEFAULT slipway
    PROMPT 0
    LABEL slipway
    KERNEL ::image/debian@12.1/linux
    INITRD ::image/debian@12.1/initrd,::image/debian@12.1/initrd.02
    APPEND console=ttyS0 quiet
    ");
    insta::assert_snapshot!(config.text(Over::Http(SERVER)), @"
    # Slipway: debian@12.1 for 52:54:00:12:34:56 by rule lab
    DEFAULT slipway
    PROMPT 0
    LABEL slipway
    KERNEL http://10.77.0.1:8067/image/debian@12.1/linux
    INITRD http://10.77.0.1:8067/image/debian@12.1/initrd,http://10.77.0.1:8067/image/debian@12.1/initrd.02
    APPEND console=ttyS0 quiet
    ");
}

#[test]
fn u_boot_is_told_paths_without_a_root_and_its_device_trees() {
    let with = |devicetree: Option<&str>, devicetrees: Option<&str>| {
        let more = Linux {
            devicetree: devicetree.map(str::to_owned),
            devicetrees: devicetrees.map(str::to_owned),
            ..linux(&["initrd"], "console=ttyAMA0")
        };
        Config::linux(Reader::UBoot, HEADING, more).unwrap().text(Over::Tftp)
    };
    insta::assert_snapshot!(with(None, Some("image/debian@12.1/dtbs")), @"
    # Slipway: debian@12.1 for 52:54:00:12:34:56 by rule lab
    DEFAULT slipway
    PROMPT 0
    LABEL slipway
    KERNEL image/debian@12.1/linux
    INITRD image/debian@12.1/initrd
    FDTDIR image/debian@12.1/dtbs
    APPEND console=ttyAMA0
    ");
    let one = with(Some("image/debian@12.1/dtb"), Some("image/debian@12.1/dtbs"));
    assert!(one.contains("FDT image/debian@12.1/dtb\n") && !one.contains("FDTDIR"), "the file goes first: {one}");
    let two = Config::linux(Reader::UBoot, HEADING, linux(&["initrd", "initrd.02"], ""));
    assert_eq!(two, Err("U-Boot loads one initrd: put them together with `cat`"));
}

#[test]
fn a_machine_that_is_not_booted_is_told_why_and_goes_on() {
    insta::assert_snapshot!(Config::local(Reader::Pxelinux, HEADING).text(Over::Tftp), @"
    # Slipway: debian@12.1 for 52:54:00:12:34:56 by rule lab
    DEFAULT slipway
    PROMPT 0
    LABEL slipway
    LOCALBOOT 0
    ");
    let refusal = Config::refusal(Reader::Pxelinux, HEADING.mac, "no rule\nLABEL evil ä").text(Over::Tftp);
    insta::assert_snapshot!(refusal, @"
    # Slipway: nothing for 52:54:00:12:34:56
    DEFAULT slipway
    PROMPT 0
    SAY Slipway does not boot this machine: no rule?LABEL evil ?
    TIMEOUT 50
    LABEL slipway
    LOCALBOOT 0
    ");
}

#[test]
fn what_would_not_arrive_as_it_is_is_refused() {
    use Reader::{Pxelinux, UBoot};
    let long = "x".repeat(2001);
    for (reader, text, wanted) in [
        (Pxelinux, "a=1\tb\r\nc", Ok("a=1 b c")),
        (Pxelinux, "", Ok("")),
        (Pxelinux, "a=${x} 'b \"c", Ok("a=${x} 'b \"c")),
        (UBoot, "root=/dev/vda - x", Ok("root=/dev/vda - x")),
        (Pxelinux, "a\u{1}b", Err("control")),
        (Pxelinux, "name=ä", Err("control")),
        (Pxelinux, "quiet initrd=/etc/x", Err("`initrd=`")),
        (Pxelinux, "-", Err("`-`")),
        (UBoot, "#x", Err("`#`")),
        (UBoot, "a=${serverip}", Err("`$`")),
        (UBoot, "a='b c'", Err("`$`")),
        (UBoot, "a=\\b", Err("`$`")),
        (Pxelinux, &long, Err("2000 bytes")),
    ] {
        match (command_line(reader, text), wanted) {
            (Ok(line), Ok(wanted)) => assert_eq!(line, wanted),
            (Err(problem), Err(part)) => assert!(problem.contains(part), "{text:?}: {problem}"),
            (got, wanted) => panic!("{text:?}: {got:?}, not {wanted:?}"),
        }
    }
}

/// A configuration as its readers take it: keywords without case, arguments to the end of the line, `#` comments.
fn read(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (keyword, argument) = line.split_once(' ').unwrap_or((line, ""));
            (keyword.to_ascii_uppercase(), argument.to_owned())
        })
        .collect()
}

proptest! {
    #[test]
    fn whatever_the_texts_are_the_keywords_are_ours_and_the_kernel_gets_its_words(
        cmdline in "[ -~\\n\\r\\tä$'\"\\\\#]{0,60}", rule in ".{0,40}", what in ".{0,40}", u_boot in any::<bool>(), http in any::<bool>(),
    ) {
        let reader = if u_boot { Reader::UBoot } else { Reader::Pxelinux };
        let over = if http { Over::Http(SERVER) } else { Over::Tftp };
        let heading = Heading { rule: &rule, what: &what, ..HEADING };
        let Ok(config) = Config::linux(reader, heading, linux(&["initrd"], &cmdline)) else { return Ok(()) };
        let text = config.text(over);
        prop_assert!(text.is_ascii() && !text.contains('\r') && text.lines().all(|line| line.len() < 2048));
        let entries = read(&text);
        let keywords: Vec<&str> = entries.iter().map(|(keyword, _)| keyword.as_str()).collect();
        let words: Vec<&str> = cmdline.split_ascii_whitespace().collect();
        let mut expected = vec!["DEFAULT", "PROMPT", "LABEL", "KERNEL", "INITRD"];
        expected.extend((!words.is_empty()).then_some("APPEND"));
        prop_assert_eq!(keywords, expected);
        if let Some((_, line)) = entries.iter().find(|(keyword, _)| keyword == "APPEND") {
            prop_assert_eq!(line.split(' ').collect::<Vec<_>>(), words);
            prop_assert!(line != "-" && !line.split(' ').any(|word| word.starts_with("initrd=")));
            prop_assert!(!u_boot || !line.contains(['$', '\\', '\'', '"']));
        }
    }

    #[test]
    fn no_reason_for_a_refusal_becomes_a_keyword(why in "(?s).{0,300}") {
        let text = Config::refusal(Reader::Pxelinux, HEADING.mac, &why).text(Over::Tftp);
        let entries = read(&text);
        let keywords: Vec<&str> = entries.iter().map(|(keyword, _)| keyword.as_str()).collect();
        prop_assert_eq!(keywords, ["DEFAULT", "PROMPT", "SAY", "TIMEOUT", "LABEL", "LOCALBOOT"]);
    }
}
