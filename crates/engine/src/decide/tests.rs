use slipway_wire::{AgentId, ClientArch, Cpu, MacAddr};

use super::*;
use crate::answer::agent_id;
use crate::catalog::{Digest, FileRef, ImageKind};
use crate::ladder::Rung;
use crate::request::Place;
use crate::rules::When;

mod disks;
mod enrol;
mod memories;
mod menus;
mod shim;

const SERVER: ServerAddr =
    ServerAddr { ip: core::net::IpAddr::V4(core::net::Ipv4Addr::new(10, 77, 0, 1)), http_port: 8067, https: false };

/// The decision about a machine that nobody has spoken of.
fn decide(request: &BootRequest, rules: &Rules, catalog: &Catalog, server: ServerAddr) -> Result<Answer, Why> {
    super::decide(request, &Memories::default(), rules, catalog, server)
}

fn image(name: &str, kind: ImageKind, cpu: Option<Cpu>, files: &[&str]) -> (String, Vec<Image>) {
    let file = FileRef { digest: Digest([7; 32]), size: 4096 };
    let version = |version: &str| Image {
        name: name.into(),
        version: version.into(),
        kind,
        cpu,
        cmdline: Some("console=ttyS0".into()),
        files: files.iter().map(|name| ((*name).to_owned(), file)).collect(),
    };
    (name.into(), vec![version("1"), version("2")])
}

fn catalog() -> Catalog {
    let x64 = Some(Cpu::X64);
    let loader = FileRef { digest: Digest([1; 32]), size: 70_000 };
    Catalog {
        images: [
            image("uki", ImageKind::Uki, x64, &["uki.efi", "linux", "initrd"]),
            image("uki-arm", ImageKind::Uki, Some(Cpu::Arm64), &["uki.efi"]),
            image("uki-only", ImageKind::Uki, x64, &["uki.efi"]),
            image("linux", ImageKind::Linux, x64, &["linux", "initrd", "initrd.1"]),
            image("efi", ImageKind::Efi, x64, &["boot.efi"]),
            image("script", ImageKind::IpxeScript, None, &["script.ipxe"]),
            image("tree", ImageKind::Tree, None, &["a/b"]),
            image("broken", ImageKind::Linux, x64, &[]),
        ]
        .into(),
        loaders: [
            ("undionly.kpxe".to_owned(), loader),
            ("ipxe.efi".to_owned(), loader),
            ("snponly.efi".to_owned(), loader),
        ]
        .into(),
        ..Catalog::default()
    }
}

mod configured;

fn request(loader: Loader, arch: ClientArch, exchange: Exchange) -> BootRequest {
    BootRequest {
        exchange,
        loader,
        arch,
        mac: MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]),
        uuid: None,
        interface: "eth1".into(),
        relay: None,
        place: Place::default(),
        client_ip: None,
        user_class: None,
        vendor_class: None,
        rung: Rung::Plain,
    }
}

fn pxe(arch: ClientArch) -> BootRequest {
    request(Loader::Pxe, arch, Exchange::Dhcp)
}

fn script_of(arch: ClientArch) -> BootRequest {
    request(Loader::Ipxe, arch, Exchange::Script)
}

fn rules(then: Then) -> Rules {
    Rules { rules: vec![Rule { name: "r".into(), when: When::default(), then, https: None, install: None }] }
}

fn boot(image: &str, path: Path) -> Boot {
    Boot { image: image.into(), version: None, path, append: None }
}

/// One line for any outcome; of a script, the commands that matter.
fn line(outcome: Result<Answer, Why>) -> String {
    match outcome {
        Err(why) => format!("- {}: {why}", why.code()),
        Ok(Answer { step: Step::Script { text } | Step::San { text, .. }, .. }) => {
            let verbs = ["kernel", "initrd", "chain", "boot ", "sanhook", "sanboot", "menu ", "item "];
            let matters = |line: &&str| verbs.iter().any(|verb| line.starts_with(verb));
            let lines: Vec<&str> = text
                .lines()
                .filter(matters)
                .map(|line| line.trim_end_matches(" || goto failed").trim_end_matches(" ||"))
                .collect();
            format!("script: {}", lines.join("; ").replace("http://10.77.0.1:8067/", "~/").replace('\x01', "<01>"))
        }
        Ok(Answer { step, .. }) => match step {
            Step::Tftp { path } => format!("tftp {path}"),
            Step::Url { url } => format!("url {url}"),
            step => step.to_string(),
        },
    }
}

#[test]
fn the_whole_matrix_of_firmware_loader_image_and_path() {
    let catalog = catalog();
    let clients = [
        ("BIOS pxe", pxe(ClientArch::BIOS)),
        ("x64 pxe", pxe(ClientArch::X64_UEFI)),
        ("EBC pxe", pxe(ClientArch::EBC)),
        ("arm64 pxe", pxe(ClientArch::ARM64_UEFI)),
        ("ia32 pxe", pxe(ClientArch::IA32_UEFI)),
        ("x64 http", request(Loader::UefiHttp, ClientArch::X64_UEFI_HTTP, Exchange::Dhcp)),
        ("arm64 http", request(Loader::UefiHttp, ClientArch::ARM64_UEFI_HTTP, Exchange::Dhcp)),
        ("BIOS http", request(Loader::UefiHttp, ClientArch::BIOS_HTTP, Exchange::Dhcp)),
        ("BIOS ipxe dhcp", request(Loader::Ipxe, ClientArch::BIOS, Exchange::Dhcp)),
        ("x64 ipxe dhcp", request(Loader::Ipxe, ClientArch::X64_UEFI, Exchange::Dhcp)),
        ("BIOS ipxe script", script_of(ClientArch::BIOS)),
        ("x64 ipxe script", script_of(ClientArch::X64_UEFI)),
        ("arm64 ipxe script", script_of(ClientArch::ARM64_UEFI)),
        ("arm64 u-boot", request(Loader::UBoot, ClientArch::ARM64_UBOOT, Exchange::Dhcp)),
        ("rpi pxe", pxe(ClientArch::RPIBOOT)),
    ];
    let mut table = String::new();
    for (name, request) in &clients {
        table.push_str(&format!("{name}\n"));
        for image in ["uki", "uki-arm", "uki-only", "linux", "efi", "script", "tree", "broken", "absent"] {
            let by = |path| line(decide(request, &rules(Then::Boot(boot(image, path))), &catalog, SERVER));
            let (auto, direct, ipxe) = (by(Path::Auto), by(Path::Direct), by(Path::Ipxe));
            if auto == direct && auto == ipxe {
                table.push_str(&format!("  {image:8} any    {auto}\n"));
                continue;
            }
            for (word, outcome) in [("auto", auto), ("direct", direct), ("ipxe", ipxe)] {
                table.push_str(&format!("  {image:8} {word:6} {outcome}\n"));
            }
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn what_is_not_an_image_follows_the_rule_too() {
    let catalog = catalog();
    let mut table = String::new();
    for (name, request) in [
        ("os", request(Loader::Os, ClientArch::BIOS, Exchange::Dhcp)),
        ("agent", request(Loader::Agent, ClientArch::X64_UEFI, Exchange::ProxyDhcp)),
        ("BIOS pxe", pxe(ClientArch::BIOS)),
        ("x64 pxe 4011", request(Loader::Pxe, ClientArch::X64_UEFI, Exchange::BootServer)),
        ("x64 http", request(Loader::UefiHttp, ClientArch::X64_UEFI_HTTP, Exchange::ProxyDhcp)),
        ("x64 ipxe dhcp", request(Loader::Ipxe, ClientArch::X64_UEFI, Exchange::ProxyDhcp)),
        ("BIOS ipxe script", script_of(ClientArch::BIOS)),
        ("x64 ipxe script", script_of(ClientArch::X64_UEFI)),
        ("arm64 ipxe script", script_of(ClientArch::ARM64_UEFI)),
        ("u-boot", request(Loader::UBoot, ClientArch::ARM64_UBOOT, Exchange::Dhcp)),
        ("unknown arch", pxe(ClientArch(4711))),
    ] {
        table.push_str(&format!("{name}\n"));
        for (word, rules) in [
            ("menu", Rules::zero_configuration()),
            ("local", rules(Then::Local)),
            ("ignore", rules(Then::Ignore)),
            ("none", Rules::default()),
        ] {
            table.push_str(&format!("  {word:6} {}\n", line(decide(&request, &rules, &catalog, SERVER))));
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn append_goes_through_ipxe_and_carries_the_whole_command_line() {
    let catalog = catalog();
    let with =
        |image: &str, path, append: &str| rules(Then::Boot(Boot { append: Some(append.into()), ..boot(image, path) }));
    for (request, rules, wanted) in [
        (pxe(ClientArch::X64_UEFI), with("uki", Path::Auto, "debug"), "tftp loader/snponly.efi"),
        (
            pxe(ClientArch::X64_UEFI),
            with("uki", Path::Direct, "debug"),
            "- cannot-run: image `uki` cannot be booted here: firmware passes no command line: `append` needs iPXE, not `path = \"direct\"`",
        ),
        (
            script_of(ClientArch::X64_UEFI),
            with("uki", Path::Auto, "debug"),
            "script: chain --name uki.efi ~/image/uki@2/uki.efi console=ttyS0 debug",
        ),
        (
            script_of(ClientArch::BIOS),
            with("uki", Path::Auto, "debug"),
            "script: kernel --name linux.efi ~/image/uki@2/linux initrd=initrd console=ttyS0 debug; initrd --name initrd ~/image/uki@2/initrd; boot",
        ),
        (
            script_of(ClientArch::X64_UEFI),
            with("efi", Path::Auto, "-x"),
            "script: chain ~/image/efi@2/boot.efi console=ttyS0 -x",
        ),
        (
            pxe(ClientArch::X64_UEFI),
            with("linux", Path::Auto, "${x}"),
            "- cannot-run: image `linux` cannot be booted here: iPXE would interpret `${`, `||`, `&&`, `;` or `#` in its command line instead of passing it on",
        ),
    ] {
        assert_eq!(line(decide(&request, &rules, &catalog, SERVER)), wanted);
    }
}

#[test]
fn a_version_in_the_rule_is_the_version_that_is_booted() {
    let catalog = catalog();
    let pinned = |version: &str| rules(Then::Boot(Boot { version: Some(version.into()), ..boot("uki", Path::Auto) }));
    let answer = decide(&pxe(ClientArch::X64_UEFI), &pinned("1"), &catalog, SERVER).unwrap();
    assert_eq!((answer.image.as_deref(), answer.step.to_string().as_str()), (Some("uki@1"), "image/uki@1/uki.efi"));
    let absent = decide(&pxe(ClientArch::X64_UEFI), &pinned("3"), &catalog, SERVER);
    assert_eq!(absent, Err(Why::NoImage { image: "uki@3".into() }));
    let newest =
        decide(&pxe(ClientArch::X64_UEFI), &rules(Then::Boot(boot("uki", Path::Auto))), &catalog, SERVER).unwrap();
    assert_eq!((newest.image.as_deref(), newest.step.to_string().as_str()), (Some("uki@2"), "image/uki/uki.efi"));
}

#[test]
fn a_path_that_does_not_fit_the_header_is_declined_over_tftp_only() {
    let (name, version) = ("n".repeat(63), "v".repeat(63));
    let mut catalog = catalog();
    let (_, mut versions) = image(&name, ImageKind::Uki, None, &["uki.efi"]);
    versions[0].version.clone_from(&version);
    catalog.images.insert(name.clone(), versions);
    let rules = rules(Then::Boot(Boot { version: Some(version), ..boot(&name, Path::Auto) }));
    let tftp = decide(&pxe(ClientArch::X64_UEFI), &rules, &catalog, SERVER);
    assert!(matches!(&tftp, Err(Why::CannotRun { reason, .. }) if reason.contains("127 bytes")), "{tftp:?}");
    let http = request(Loader::UefiHttp, ClientArch::X64_UEFI_HTTP, Exchange::Dhcp);
    let url = decide(&http, &rules, &catalog, SERVER).unwrap().step.to_string();
    assert!(url.len() <= 255 && url.ends_with("/uki.efi"), "{url}");
}

#[test]
fn without_snponly_the_build_with_its_own_drivers_is_used_and_without_either_the_package_is_named() {
    let mut catalog = catalog();
    let menu = Rules::zero_configuration();
    catalog.loaders.remove("snponly.efi");
    assert_eq!(line(decide(&pxe(ClientArch::X64_UEFI), &menu, &catalog, SERVER)), "tftp loader/ipxe.efi");
    catalog.loaders.clear();
    insta::assert_snapshot!(line(decide(&pxe(ClientArch::X64_UEFI), &menu, &catalog, SERVER)), @"- no-loader: boot loader `snponly.efi` is not installed: it comes with the package `ipxe` (Debian, Ubuntu, Arch) or `ipxe-bootimgs` (Fedora)");
    assert_eq!(decide(&pxe(ClientArch::BIOS), &menu, &catalog, SERVER), Err(Why::NoLoader { file: "undionly.kpxe" }));
}

#[test]
fn every_architecture_of_the_registry_gets_its_loader_or_its_reason() {
    let mut catalog = catalog();
    let loader = FileRef { digest: Digest([1; 32]), size: 70_000 };
    for cpu in ["arm64", "riscv64", "loong64"] {
        catalog.loaders.insert(format!("ipxe-{cpu}.efi"), loader);
    }
    let mut table = String::new();
    for arch in (0..=42).map(ClientArch) {
        let by = if arch.is_http() { Loader::UefiHttp } else { Loader::Pxe };
        let outcome = |image| {
            let rules = rules(Then::Boot(boot(image, Path::Auto)));
            line(decide(&request(by, arch, Exchange::Dhcp), &rules, &catalog, SERVER))
        };
        table.push_str(&format!("{arch}\n  any     {}\n  arm64   {}\n", outcome("script"), outcome("uki-arm")));
    }
    insta::assert_snapshot!(table);
}

#[test]
fn under_one_name_each_machine_gets_the_newest_version_for_its_processor() {
    let mut catalog = catalog();
    let (name, mut versions) = image("fleet", ImageKind::Uki, Some(Cpu::Arm64), &["uki.efi"]);
    let newest = Image { version: "3".into(), cpu: Some(Cpu::X64), ..versions[1].clone() };
    versions.push(newest);
    catalog.images.insert(name, versions);
    let got = |request: &BootRequest, version: Option<&str>| {
        let boot = Boot { version: version.map(str::to_owned), ..boot("fleet", Path::Auto) };
        line(decide(request, &rules(Then::Boot(boot)), &catalog, SERVER))
    };
    let (x64, arm64, ia32) = (ClientArch::X64_UEFI, ClientArch::ARM64_UEFI, ClientArch::IA32_UEFI);
    assert_eq!(got(&pxe(x64), None), "tftp image/fleet/uki.efi", "the newest of all is served by its name alone");
    assert_eq!(got(&pxe(arm64), None), "tftp image/fleet@2/uki.efi");
    assert_eq!(got(&script_of(arm64), None), "script: chain --name <01>uki ~/image/fleet@2/uki.efi");
    assert!(got(&pxe(arm64), Some("3")).contains("image `fleet@3` cannot be booted here: it is built for x64"));
    assert!(got(&pxe(ia32), None).contains("image `fleet` cannot be booted here: it is built for x64"));
}

#[test]
fn a_pick_counts_where_the_menu_is_offered_and_nowhere_else() {
    let catalog = catalog();
    let picked = |rules: &Rules, image| {
        let query = Query { image: Some(image), ..Query::default() };
        line(decide_asked(&script_of(ClientArch::X64_UEFI), &Memories::default(), rules, &catalog, SERVER, query))
    };
    assert_eq!(picked(&Rules::zero_configuration(), "uki"), "script: chain --name <01>uki ~/image/uki@2/uki.efi");
    assert_eq!(
        picked(&Rules::zero_configuration(), "uki-arm"),
        line(Err(Why::CannotRun {
            image: "uki-arm".into(),
            reason: "it is built for arm64, and this firmware is another processor's"
        }))
    );
    assert_eq!(
        picked(&rules(Then::Boot(boot("efi", Path::Auto))), "uki"),
        "script: chain ~/image/efi@2/boot.efi console=ttyS0"
    );
    assert_eq!(picked(&rules(Then::Ignore), "uki"), line(Err(Why::Ignored { rule: "r".into() })));
    assert_eq!(picked(&Rules::zero_configuration(), "none"), line(Err(Why::NoImage { image: "none".into() })));
}

#[test]
fn ipxe_is_never_given_an_ipxe_binary() {
    let catalog = catalog();
    let thens = ["uki", "linux", "efi", "script"].map(|image| Then::Boot(boot(image, Path::Ipxe)));
    for then in thens.into_iter().chain([Then::Menu, Then::Local]) {
        for exchange in [Exchange::Dhcp, Exchange::ProxyDhcp, Exchange::BootServer, Exchange::Script] {
            for arch in (0..=41).map(ClientArch) {
                let Ok(answer) = decide(&request(Loader::Ipxe, arch, exchange), &rules(then.clone()), &catalog, SERVER)
                else {
                    continue;
                };
                let chains = match &answer.step {
                    Step::Tftp { .. } | Step::Configured { .. } | Step::Files { .. } | Step::Config(_) => true,
                    Step::Url { url } => url.contains("/loader/"),
                    Step::Script { text } => text.contains("/loader/"),
                    Step::Template { .. } | Step::Root(_) | Step::San { .. } | Step::Grub { .. } => false,
                };
                assert!(!chains, "{arch} {exchange:?}: {answer:?}");
            }
        }
    }
}

#[test]
fn the_scripts_url_tells_what_http_does_not_show_again() {
    let asked = BootRequest {
        uuid: Some(uuid::Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff)),
        relay: Some([10, 88, 0, 1].into()),
        place: Place { circuit_id: "ge-0/0/1:100".parse().ok(), ..Place::default() },
        ..request(Loader::Ipxe, ClientArch::X64_UEFI, Exchange::Dhcp)
    };
    let menu = Rules::zero_configuration();
    let v6 = ServerAddr { ip: "fd00::1".parse().unwrap(), http_port: 80, https: false };
    insta::assert_snapshot!(line(decide(&asked, &menu, &catalog(), v6)), @"url http://[fd00::1]/boot.ipxe?mac=52-54-00-12-34-56&uuid=00112233-4455-6677-8899-aabbccddeeff&arch=7&relay=10.88.0.1&circuit=ge-0/0/1%3A100");
}

#[test]
fn names_of_ports_come_back_from_the_scripts_url_as_the_rules_know_them() {
    let longest = [255, 255, 255, 255].into();
    let server = ServerAddr { ip: longest, http_port: 65535, https: false };
    let id = |byte: u8, len: usize| AgentId::new(&vec![byte; len]).unwrap();
    for (circuit, remote) in [
        (id(b'p', 40), id(0, 19)),
        (id(b'p', 41), id(0, 20)),
        (id(b'%', 255), id(255, 255)),
        ("rack 4, port 7".parse().unwrap(), "0x7e3130".parse().unwrap()),
    ] {
        let asked = BootRequest {
            arch: ClientArch(65535),
            uuid: Some(uuid::Uuid::max()),
            relay: Some(longest),
            place: Place { link: Some(longest), circuit_id: Some(circuit.clone()), remote_id: Some(remote.clone()) },
            ..request(Loader::Ipxe, ClientArch::X64_UEFI, Exchange::Dhcp)
        };
        let url = server.script_url(&asked);
        assert!(url.len() <= 255, "{} bytes: {url}", url.len());
        let told = |key: &str| {
            let value = url.split(['?', '&']).find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=')).unwrap();
            percent_encoding_undone(value)
        };
        let mut rules = rules(Then::Menu);
        rules.rules[0].when =
            When { circuit_id: vec![circuit.clone()], remote_id: vec![remote.clone()], ..When::default() };
        assert_eq!(agent_id(&told("circuit"), &rules), Some(circuit));
        assert_eq!(agent_id(&told("remote"), &rules), Some(remote));
    }
    assert_eq!(agent_id("~0123456789abcdef", &Rules::default()), None, "what no rule names decides nothing");
    assert_eq!(agent_id("~zz", &Rules::default()), None);
}

fn percent_encoding_undone(text: &str) -> String {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        out.push(char::from(u8::from_str_radix(&part[..2], 16).unwrap()));
        out.push_str(&part[2..]);
    }
    out
}

#[test]
fn an_operators_script_is_handed_over_with_its_values() {
    let rules = rules(Then::Boot(Boot { append: Some("x=1".into()), ..boot("script", Path::Auto) }));
    let answer = decide(&script_of(ClientArch::BIOS), &rules, &catalog(), SERVER).unwrap();
    let Step::Template { file, values } = answer.step else { panic!("{answer:?}") };
    assert_eq!(file.size, 4096);
    assert_eq!(
        (values.image.as_str(), values.version.as_str(), values.append.as_deref()),
        ("script", "2", Some("x=1"))
    );
}

#[test]
fn only_firmware_is_sent_to_https_and_only_by_a_rule_that_says_so() {
    let catalog = catalog();
    let by_https = |then: Then| {
        let mut rules = rules(then);
        rules.rules.iter_mut().for_each(|rule| rule.https = Some(8443));
        rules
    };
    let http = |exchange| request(Loader::UefiHttp, ClientArch::X64_UEFI_HTTP, exchange);
    let ipxe = request(Loader::Ipxe, ClientArch::X64_UEFI, Exchange::Dhcp);
    for (request, then, wanted) in [
        (http(Exchange::Dhcp), Then::Boot(boot("uki", Path::Auto)), "url https://10.77.0.1:8443/image/uki/uki.efi"),
        (http(Exchange::ProxyDhcp), Then::Menu, "url https://10.77.0.1:8443/loader/snponly.efi"),
        (pxe(ClientArch::X64_UEFI), Then::Menu, "tftp loader/snponly.efi"),
        (ipxe, Then::Menu, "url http://10.77.0.1:8067/boot.ipxe?"),
    ] {
        let said = line(decide(&request, &by_https(then), &catalog, SERVER));
        assert!(said.starts_with(wanted), "{said}");
    }
}

#[test]
fn who_ignores_every_offer_is_given_another_loader_where_there_is_one() {
    let plain = pxe(ClientArch::X64_UEFI);
    let other = BootRequest { rung: Rung::OtherLoader, ..plain.clone() };
    let mut fewer = catalog();
    fewer.loaders.remove("ipxe.efi");
    let mut none = catalog();
    none.loaders.clear();
    for (then, usual, by_catalogs) in [
        (
            Then::Boot(boot("uki", Path::Auto)),
            "tftp image/uki/uki.efi",
            ["tftp loader/snponly.efi", "tftp loader/snponly.efi", "tftp image/uki/uki.efi"],
        ),
        (Then::Boot(boot("uki", Path::Direct)), "tftp image/uki/uki.efi", ["tftp image/uki/uki.efi"; 3]),
        (
            Then::Boot(boot("linux", Path::Auto)),
            "tftp loader/snponly.efi",
            ["tftp loader/ipxe.efi", "tftp loader/snponly.efi", "- no-loader"],
        ),
        (Then::Menu, "tftp loader/snponly.efi", ["tftp loader/ipxe.efi", "tftp loader/snponly.efi", "- no-loader"]),
    ] {
        assert_eq!(line(decide(&plain, &rules(then.clone()), &catalog(), SERVER)), usual);
        for (catalog, wanted) in [&catalog(), &fewer, &none].into_iter().zip(by_catalogs) {
            let said = line(decide(&other, &rules(then.clone()), catalog, SERVER));
            assert!(said.starts_with(wanted), "{said}, not {wanted}");
        }
    }
}

#[test]
fn an_answer_tells_what_is_the_last_that_is_seen_of_its_boot() {
    let catalog = catalog();
    for (what, asked, wanted) in [
        ("uki", pxe(ClientArch::X64_UEFI), Last::File("image/uki/uki.efi".into())),
        ("uki", script_of(ClientArch::X64_UEFI), Last::File("image/uki@2/uki.efi".into())),
        ("uki", script_of(ClientArch::BIOS), Last::File("image/uki@2/initrd".into())),
        ("linux", pxe(ClientArch::X64_UEFI), Last::Later),
        ("linux", request(Loader::Ipxe, ClientArch::BIOS, Exchange::Dhcp), Last::Later),
        ("linux", script_of(ClientArch::BIOS), Last::File("image/linux@2/initrd.1".into())),
        ("efi", script_of(ClientArch::X64_UEFI), Last::File("image/efi@2/boot.efi".into())),
        ("script", script_of(ClientArch::BIOS), Last::Here),
    ] {
        let answer = decide(&asked, &rules(Then::Boot(boot(what, Path::Auto))), &catalog, SERVER).unwrap();
        assert_eq!(answer.lead, Lead { last: wanted, install: None }, "{what} {:?}", asked.loader);
    }
}
