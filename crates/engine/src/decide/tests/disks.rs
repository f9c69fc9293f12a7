//! Network disks and ISO images.

use super::*;
use crate::Timestamp;
use crate::catalog::Media;
use crate::machine::{Change, Guard, Secret};
use crate::san::{self, Disk, Login, San, Target, Username};

fn disk(path: Path, login: Login, boot: Option<Boot>) -> Rules {
    let target = Target::new("iscsi:10.77.0.5::::iqn.2026-01.example:{mac}").unwrap();
    let disk = Disk { name: "disk1".into(), target, initiator: None, keep: false, login };
    rules(Then::San(Box::new(San { disk, path, boot })))
}

#[test]
fn a_network_disk_is_attached_by_ipxe_or_told_in_dhcp() {
    let catalog = catalog();
    let told = |secret| Login::Told { username: Username::new("db1").unwrap(), secret };
    let secret = san::Secret::new("correct horse").unwrap();
    let rows = [
        ("auto", disk(Path::Auto, Login::Own, None)),
        ("direct", disk(Path::Direct, Login::Own, None)),
        ("secret", disk(Path::Auto, told(secret.clone()), None)),
        ("secret, direct", disk(Path::Direct, told(secret), None)),
        ("secret unread", disk(Path::Auto, told(san::Secret::unread()), None)),
        ("beside linux", disk(Path::Auto, Login::Own, Some(boot("linux", Path::Ipxe)))),
        ("beside script", disk(Path::Auto, Login::Own, Some(boot("script", Path::Ipxe)))),
    ];
    let mut table = String::new();
    for (name, request) in [
        ("os", request(Loader::Os, ClientArch::BIOS, Exchange::Dhcp)),
        ("BIOS pxe", pxe(ClientArch::BIOS)),
        ("x64 pxe", pxe(ClientArch::X64_UEFI)),
        ("x64 http", request(Loader::UefiHttp, ClientArch::X64_UEFI_HTTP, Exchange::Dhcp)),
        ("x64 ipxe dhcp", request(Loader::Ipxe, ClientArch::X64_UEFI, Exchange::Dhcp)),
        ("x64 ipxe script", script_of(ClientArch::X64_UEFI)),
        ("unknown arch", pxe(ClientArch(4711))),
    ] {
        table.push_str(&format!("{name}\n"));
        for (word, rules) in &rows {
            table.push_str(&format!("  {word:14} {}\n", line(decide(&request, rules, &catalog, SERVER))));
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn an_iso_goes_to_those_who_can_boot_it() {
    let isos = [("both", Media::Both, None), ("bios", Media::Bios, None), ("uefi", Media::Uefi, Some(Cpu::X64))];
    let images = isos.map(|(name, media, cpu)| image(name, ImageKind::Iso(media), cpu, &["boot.iso"]));
    let catalog = Catalog { images: images.into(), ..catalog() };
    let mut table = String::new();
    for (name, request) in [
        ("BIOS pxe", pxe(ClientArch::BIOS)),
        ("x64 pxe", pxe(ClientArch::X64_UEFI)),
        ("x64 http", request(Loader::UefiHttp, ClientArch::X64_UEFI_HTTP, Exchange::Dhcp)),
        ("arm64 http", request(Loader::UefiHttp, ClientArch::ARM64_UEFI_HTTP, Exchange::Dhcp)),
        ("BIOS ipxe script", script_of(ClientArch::BIOS)),
        ("x64 ipxe script", script_of(ClientArch::X64_UEFI)),
    ] {
        table.push_str(&format!("{name}\n"));
        for iso in ["both", "bios", "uefi"] {
            for (word, path) in [("auto", Path::Auto), ("direct", Path::Direct), ("ipxe", Path::Ipxe)] {
                let outcome = decide(&request, &rules(Then::Boot(boot(iso, path))), &catalog, SERVER);
                table.push_str(&format!("  {iso:4} {word:6} {}\n", line(outcome)));
            }
        }
    }
    let append = rules(Then::Boot(Boot { append: Some("quiet".into()), ..boot("both", Path::Auto) }));
    table.push_str(&line(decide(&script_of(ClientArch::BIOS), &append, &catalog, SERVER)));
    insta::assert_snapshot!(table);
}

#[test]
fn a_machine_whose_installer_is_done_boots_from_the_disk_that_it_installed_on() {
    let catalog = catalog();
    let mut rules = disk(Path::Auto, Login::Own, Some(boot("linux", Path::Ipxe)));
    rules.rules.iter_mut().for_each(|rule| rule.install = Some(Guard::default()));
    let mut machines = Memories::with_secret(Secret([7; 32]));
    let asked = script_of(ClientArch::BIOS);
    let told = |machines: &Memories, asked: &BootRequest| {
        line(crate::decide::decide(asked, machines, &rules, &catalog, SERVER))
    };
    let first = told(&machines, &asked);
    assert!(first.contains("sanhook") && first.contains("slipway.done=") && !first.contains("sanboot"), "{first}");
    machines.put(asked.mac, Memory::default().after(Change::Done { image: "linux".into() }, Timestamp(1)));
    let then = told(&machines, &asked);
    assert!(then.contains("sanhook") && then.ends_with("sanboot --drive 0x80"), "{then}");
    assert_eq!(told(&machines, &pxe(ClientArch::BIOS)), "tftp loader/undionly.kpxe");
}
