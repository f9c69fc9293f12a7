//! pxelinux, U-Boot, Raspberry Pi, and every architecture that there is.

use super::*;
use crate::pxelinux::Over;

/// All that packages of some distribution bring, and images of every kind for every processor.
fn everything() -> Catalog {
    let mut catalog = catalog();
    let loader = FileRef { digest: Digest([1; 32]), size: 70_000 };
    let builds = ["arm32", "arm64", "ia32", "riscv64", "loong64"];
    let builds = builds.iter().flat_map(|cpu| [format!("snponly-{cpu}.efi"), format!("ipxe-{cpu}.efi")]);
    let more = ["lpxelinux.0", "pxelinux.0", "ldlinux.c32"].map(str::to_owned);
    catalog.loaders.extend(builds.chain(more).map(|name| (name, loader)));
    for cpu in [Cpu::Ia32, Cpu::X64, Cpu::Arm32, Cpu::Arm64, Cpu::RiscV64, Cpu::LoongArch64] {
        let name = format!("linux-{}", cpu.name());
        catalog.images.extend([image(&name, ImageKind::Linux, Some(cpu), &["linux", "initrd"])]);
    }
    catalog.images.extend([
        image("pi", ImageKind::RaspberryPi, None, &["bootcode.bin", "start4.elf", "config.txt"]),
        image("one-initrd", ImageKind::Linux, None, &["linux", "initrd", "dtbs/a/b.dtb"]),
    ]);
    catalog
}

fn config_of(outcome: Result<Answer, Why>) -> String {
    match outcome {
        Ok(Answer { step: Step::Config(config), .. }) => config.text(Over::Tftp),
        other => line(other),
    }
}

/// Every architecture of the IANA registry, by who asks: a rule that boots a kernel for the machine's own processor.
#[test]
fn every_architecture_of_the_registry_is_answered_or_told_why_not() {
    let catalog = everything();
    let mut table = String::new();
    for arch in (0..=42).map(ClientArch) {
        let mut programs = vec![Loader::Pxe];
        if arch.is_http() {
            programs = vec![Loader::UefiHttp];
        } else if !arch.is_uefi() || arch == ClientArch::RISCV64_UEFI {
            programs.push(Loader::UBoot);
        }
        for loader in programs {
            let name = match arch {
                ClientArch::RPIBOOT => "pi".to_owned(),
                arch => format!("linux-{}", arch.cpu().unwrap_or(Cpu::X64).name()),
            };
            let said = decide(
                &request(loader, arch, Exchange::Dhcp),
                &rules(Then::Boot(boot(&name, Path::Auto))),
                &catalog,
                SERVER,
            );
            table.push_str(&format!("{:2} {:22} {:9} {}\n", arch.0, arch.to_string(), loader.name(), line(said)));
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_kernel_for_another_processor_is_refused_everywhere() {
    let catalog = everything();
    let is_wrong = |said: &Result<Answer, Why>| matches!(said, Err(Why::CannotRun { reason, .. }) if reason.contains("another processor"));
    for (loader, arch) in [
        (Loader::Pxe, ClientArch::BIOS),
        (Loader::Pxe, ClientArch::ARM64_UEFI),
        (Loader::UBoot, ClientArch::ARM64_UBOOT),
        (Loader::UBoot, ClientArch::ARM32_UBOOT),
    ] {
        for (path, exchange) in [
            (Path::Auto, Exchange::Dhcp),
            (Path::Auto, Exchange::Script),
            (Path::Pxelinux, Exchange::Dhcp),
            (Path::Pxelinux, Exchange::Script),
        ] {
            let said = decide(
                &request(loader, arch, exchange),
                &rules(Then::Boot(boot("linux-riscv64", path))),
                &catalog,
                SERVER,
            );
            assert!(is_wrong(&said), "{loader} {arch} {path:?}: {said:?}");
        }
    }
    let unsaid = request(Loader::UBoot, ClientArch::BIOS, Exchange::Script);
    let said = decide(&unsaid, &rules(Then::Boot(boot("linux-riscv64", Path::Auto))), &catalog, SERVER);
    assert!(said.is_ok(), "U-Boot that does not say its processor is believed the rule: {said:?}");
}

#[test]
fn pxelinux_is_for_a_bios_and_by_rule() {
    let catalog = everything();
    let by_pxelinux = |image: &str, request: &BootRequest| {
        line(decide(request, &rules(Then::Boot(boot(image, Path::Pxelinux))), &catalog, SERVER))
    };
    let bios = pxe(ClientArch::BIOS);
    let mut table = String::new();
    for (name, request) in [
        ("BIOS", bios.clone()),
        ("BIOS beside DHCP", request(Loader::Pxe, ClientArch::BIOS, Exchange::ProxyDhcp)),
        ("iPXE dhcp", request(Loader::Ipxe, ClientArch::BIOS, Exchange::Dhcp)),
        ("iPXE script", script_of(ClientArch::BIOS)),
        ("x64", pxe(ClientArch::X64_UEFI)),
        ("x64 iPXE script", script_of(ClientArch::X64_UEFI)),
        ("pxelinux", request(Loader::Pxe, ClientArch::BIOS, Exchange::Script)),
    ] {
        for image in ["linux", "uki", "efi", "tree", "pi"] {
            table.push_str(&format!("{name:16} {image:5} {}\n", by_pxelinux(image, &request)));
        }
    }
    insta::assert_snapshot!(table);
    let Ok(Answer { step: Step::Script { text }, .. }) =
        decide(&script_of(ClientArch::BIOS), &rules(Then::Boot(boot("linux", Path::Pxelinux))), &catalog, SERVER)
    else {
        panic!("no script")
    };
    for line in [
        "set 209:string pxelinux.cfg/01-52-54-00-12-34-56 || goto failed",
        "set 210:string http://10.77.0.1:8067/pxelinux/ || goto failed",
        "chain http://10.77.0.1:8067/pxelinux/lpxelinux.0 || goto failed",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} in {text}");
    }
}

#[test]
fn the_build_of_pxelinux_that_loads_by_http_goes_first_and_what_is_missing_is_named() {
    let pxelinux = rules(Then::Boot(boot("linux", Path::Pxelinux)));
    let mut catalog = everything();
    let prefix = |catalog: &Catalog| match decide(&pxe(ClientArch::BIOS), &pxelinux, catalog, SERVER).unwrap().step {
        Step::Configured { path, prefix, .. } => format!("{path} {}", prefix.unwrap()),
        step => step.to_string(),
    };
    assert_eq!(prefix(&catalog), "pxelinux/lpxelinux.0 http://10.77.0.1:8067/pxelinux/");
    catalog.loaders.remove("lpxelinux.0");
    assert_eq!(prefix(&catalog), "pxelinux/pxelinux.0 pxelinux/");
    catalog.loaders.remove("ldlinux.c32");
    let missing =
        |catalog: &Catalog| decide(&pxe(ClientArch::BIOS), &pxelinux, catalog, SERVER).unwrap_err().to_string();
    insta::assert_snapshot!(missing(&catalog), @"boot loader `ldlinux.c32` is not installed: it comes with the package `syslinux-common` (Debian, Ubuntu), `syslinux` (Arch) or `syslinux-nonlinux` (Fedora)");
    catalog.loaders.remove("pxelinux.0");
    insta::assert_snapshot!(missing(&catalog), @"boot loader `lpxelinux.0` is not installed: it comes with the package `pxelinux` (Debian, Ubuntu), `syslinux` (Arch) or `syslinux-nonlinux` (Fedora)");
}

#[test]
fn pxelinux_that_somebody_has_started_is_given_what_the_rule_boots_by_any_way() {
    let asked = request(Loader::Pxe, ClientArch::BIOS, Exchange::Script);
    let given = |then: Then| config_of(decide(&asked, &rules(then), &everything(), SERVER));
    let mut texts = String::new();
    for (what, then) in [
        ("auto", Then::Boot(boot("one-initrd", Path::Auto))),
        ("ipxe", Then::Boot(boot("uki", Path::Ipxe))),
        ("append", Then::Boot(Boot { append: Some("debug".into()), ..boot("linux", Path::Pxelinux) })),
        ("local", Then::Local),
        ("menu", Then::Menu),
        ("ignore", Then::Ignore),
        ("absent", Then::Boot(boot("absent", Path::Pxelinux))),
    ] {
        texts.push_str(&format!("== {what}\n{}\n", given(then)));
    }
    insta::assert_snapshot!(texts);
}

#[test]
fn u_boot_is_told_where_its_configuration_is_and_then_the_configuration() {
    let dhcp = request(Loader::UBoot, ClientArch::ARM64_UBOOT, Exchange::Dhcp);
    let asks = request(Loader::UBoot, ClientArch::ARM64_UBOOT, Exchange::Script);
    let catalog = everything();
    let of = |then: &Then| {
        let rules = rules(then.clone());
        let offer = decide(&dhcp, &rules, &catalog, SERVER);
        let offer = match offer {
            Ok(Answer { step: Step::Configured { path, config, prefix }, .. }) => format!("{path} {config} {prefix:?}"),
            other => line(other),
        };
        format!("{offer}\n{}", config_of(decide(&asks, &rules, &catalog, SERVER)))
    };
    let mut texts = String::new();
    for (what, then) in [
        ("linux", Then::Boot(boot("linux-arm64", Path::Auto))),
        ("device trees", Then::Boot(boot("one-initrd", Path::Direct))),
        ("two initrds", Then::Boot(boot("linux", Path::Auto))),
        ("through iPXE", Then::Boot(boot("linux-arm64", Path::Ipxe))),
        ("efi", Then::Boot(boot("uki-arm", Path::Auto))),
        ("menu", Then::Menu),
        ("local", Then::Local),
    ] {
        texts.push_str(&format!("== {what}\n{}\n", of(&then)));
    }
    insta::assert_snapshot!(texts);
}

#[test]
fn a_raspberry_pi_is_only_told_that_we_have_its_files() {
    let pi = pxe(ClientArch::RPIBOOT);
    let said = |then: Then| line(decide(&pi, &rules(then), &everything(), SERVER));
    let mut table = String::new();
    for (what, then) in [
        ("its files", Then::Boot(boot("pi", Path::Auto))),
        ("direct", Then::Boot(boot("pi", Path::Direct))),
        ("ipxe", Then::Boot(boot("pi", Path::Ipxe))),
        ("append", Then::Boot(Boot { append: Some("debug".into()), ..boot("pi", Path::Auto) })),
        ("a kernel", Then::Boot(boot("linux-arm64", Path::Auto))),
        ("a tree", Then::Boot(boot("tree", Path::Auto))),
        ("wrong processor", Then::Boot(boot("linux-x64", Path::Auto))),
        ("menu", Then::Menu),
        ("local", Then::Local),
    ] {
        table.push_str(&format!("{what:16} {}\n", said(then)));
    }
    insta::assert_snapshot!(table);
}
