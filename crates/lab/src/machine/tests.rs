use std::path::Path;

use super::order::Flash;
use super::*;
use crate::drive::{Bus, Drive};
use crate::secure::Keys;

fn arguments(firmware: Firmware) -> String {
    let flash = match firmware {
        Firmware::Bios => Flash::Own,
        Firmware::Arm64UBoot => Flash::UBoot("/u-boot".into()),
        _ => Flash::Uefi { code: "/code".into(), vars: "/vars".into() },
    };
    Order::new("node1", 7, firmware).arguments(&flash, "lan.7").join(" ")
}

#[test]
fn each_firmware_gets_its_own_rom_and_switches() {
    let pxe = arguments(Firmware::UefiPxe);
    assert!(pxe.contains("readonly=on,file=/code") && pxe.contains("unit=1,file=/vars"), "{pxe}");
    assert!(
        pxe.contains("romfile= ") && !pxe.contains("IPv4PXESupport") && pxe.contains("IPv6PXESupport"),
        "edk2's own client: {pxe}"
    );
    let http = arguments(Firmware::UefiHttp);
    assert!(http.contains("IPv4PXESupport,string=n") && http.contains("IPv6PXESupport,string=n"), "{http}");
    let pxe6 = arguments(Firmware::UefiPxe6);
    assert!(pxe6.contains("IPv4PXESupport,string=n") && !pxe6.contains("IPv6PXESupport"), "{pxe6}");
    let order = Order::new("node1", 7, Firmware::UefiHttp).trusting(Path::new("/ca.esl"));
    let https = order.arguments(&Flash::Uefi { code: "/code".into(), vars: "/vars".into() }, "lan.7").join(" ");
    assert!(https.contains("-fw_cfg name=etc/edk2/https/cacerts,file=/ca.esl"), "{https}");
    let arm = arguments(Firmware::Arm64Http);
    assert!(arm.contains("-machine virt") && arm.contains("romfile= ") && arm.contains("IPv4PXESupport"), "{arm}");
    assert!(!https.contains("smm=on"), "{https}");
    let order = Order::new("node1", 7, Firmware::UefiPxe).secured_by(Keys::Microsoft);
    let secure = order.arguments(&Flash::Uefi { code: "/code".into(), vars: "/vars".into() }, "lan.7").join(" ");
    assert!(secure.contains("smm=on") && secure.contains("property=secure,value=on"), "{secure}");
    let bios = arguments(Firmware::Bios);
    assert!(!bios.contains("romfile") && !bios.contains("pflash"), "{bios}");
}

#[test]
fn a_disk_comes_after_the_network_and_a_restart_is_the_end_unless_said() {
    let order = Order::new("node1", 7, Firmware::Bios).disk(Path::new("/disk.img"));
    let words = order.arguments(&Flash::Own, "lan.7").join(" ");
    assert!(words.contains("format=raw,file=/disk.img") && words.contains("drive=disk0,bootindex=1"), "{words}");
    assert!(words.contains("bootindex=0") && words.ends_with(" -no-reboot"), "{words}");
    let order = order.disk_with(Path::new("/esp")).restarting();
    let words = order.arguments(&Flash::Own, "lan.7").join(" ");
    assert!(words.contains("file=fat:rw:/esp") && !words.contains("-no-reboot"), "{words}");
}

#[test]
fn every_machine_runs_without_hardware_help_and_says_who_it_is() {
    for firmware in [Firmware::UefiPxe, Firmware::UefiHttp, Firmware::UefiPxe6, Firmware::Bios, Firmware::Arm64Pxe] {
        let words = arguments(firmware);
        for wanted in
            ["tcg,thread=multi", "mac=52:54:00:77:00:07", "uuid=5117a900-0000-4000-8000-000000000007", "ifname=lan.7"]
        {
            assert!(words.contains(wanted), "{firmware:?}: {wanted} in {words}");
        }
    }
}

#[test]
fn the_agents_line_is_read_whole() {
    let line = r#"[    2.1] slipway-agent: booted mac=52:54:00:77:00:01 ip=10.77.0.100 kernel=6.1.0 cmdline="console=ttyS0 a="b" x""#;
    let booted = Booted::parse(line).unwrap();
    assert_eq!((booted.ip.as_str(), booted.kernel.as_str()), ("10.77.0.100", "6.1.0"));
    assert_eq!(booted.cmdline, r#"console=ttyS0 a="b" x"#);
    assert_eq!(Booted::parse("slipway-agent: booted mac=x"), None);
}

#[test]
fn a_machine_that_boots_by_itself_is_told_no_order() {
    let drives = [Drive::image(Path::new("/a.img")), Drive::image(Path::new("/b.img")).on(Bus::Nvme)];
    let order = Order::new("node1", 7, Firmware::UefiPxe).drive(&drives[0]).drive(&drives[1]);
    let flash = Flash::Uefi { code: "/code".into(), vars: "/vars".into() };
    let ruled = order.arguments(&flash, "lan.7").join(" ");
    for place in ["mac=52:54:00:77:00:07,bootindex=0", "drive=disk0,bootindex=1", "serial=LAB-1,bootindex=2"] {
        assert!(ruled.contains(place), "{place} in {ruled}");
    }
    let free = order.by_itself().arguments(&flash, "lan.7").join(" ");
    assert!(!free.contains("bootindex") && free.contains("drive=disk1"), "{free}");
}
