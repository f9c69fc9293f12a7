//! What is remembered of a machine goes before its rule.

use super::*;
use crate::Timestamp;
use crate::machine::{Aim, Change, Guard, Secret};

#[test]
fn what_an_operator_wants_of_a_machine_goes_before_its_rule() {
    let catalog = catalog();
    let asked = pxe(ClientArch::X64_UEFI);
    let intent = |aim| {
        let mut machines = Memories::default();
        let change = Change::Boot { aim, once: false };
        machines.put(asked.mac, Memory::default().after(change, Timestamp(1)));
        machines
    };
    let told = |machines: &Memories, asked: &BootRequest, rules: &Rules| match crate::decide::decide(
        asked, machines, rules, &catalog, SERVER,
    ) {
        Ok(answer) => format!("{}: {}", answer.rule, answer.step),
        Err(why) => why.to_string(),
    };
    let uki = || Aim::Boot(boot("uki", Path::Auto));
    let other = BootRequest { mac: MacAddr([2; 6]), ..asked.clone() };
    for (what, aim, asked, rules, wanted) in [
        ("an image", uki(), &asked, rules(Then::Menu), "intent: image/uki/uki.efi"),
        ("an image where no rule matches", uki(), &asked, Rules::default(), "intent: image/uki/uki.efi"),
        ("the disk", Aim::Local, &asked, rules(Then::Menu), "rule `intent` says to boot from the local disk"),
        ("the menu", Aim::Menu, &asked, rules(Then::Local), "intent: loader/snponly.efi"),
        ("ignored all the same", uki(), &asked, rules(Then::Ignore), "rule `r` says to ignore this machine"),
        ("another machine", Aim::Local, &other, rules(Then::Menu), "r: loader/snponly.efi"),
    ] {
        assert_eq!(told(&intent(aim), asked, &rules), wanted, "{what}");
    }
}

#[test]
fn a_machine_that_installed_enough_is_left_to_its_disk_in_its_firmwares_own_way() {
    let catalog = catalog();
    let mut machines = Memories::with_secret(Secret([7; 32]));
    let mut rules = rules(Then::Boot(boot("linux", Path::Auto)));
    let mac = pxe(ClientArch::BIOS).mac;
    let decide = |machines: &Memories, rules: &Rules, asked: &BootRequest| {
        line(crate::decide::decide(asked, machines, rules, &catalog, SERVER))
    };
    machines.put(mac, Memory::default().after(Change::Done { image: "linux".into() }, Timestamp(1)));
    let script = decide(&machines, &rules, &script_of(ClientArch::BIOS));
    assert!(script.contains("kernel") && !script.contains("slipway.done"), "no installer: {script}");

    rules.rules.iter_mut().for_each(|rule| rule.install = Some(Guard::default()));
    let told = decide(&machines, &rules, &pxe(ClientArch::BIOS));
    assert!(told.starts_with("- installed: installer `linux` said that it is done"), "{told}");
    let ipxe = request(Loader::Ipxe, ClientArch::BIOS, Exchange::Dhcp);
    assert_eq!(decide(&machines, &rules, &ipxe), "url http://10.77.0.1:8067/boot.ipxe?mac=52-54-00-12-34-56&arch=0");
    let script = decide(&machines, &rules, &script_of(ClientArch::BIOS));
    assert!(script.starts_with("- installed: "), "whoever answers makes a script of it: {script}");

    machines.put(mac, machines.of(mac, None).after(Change::Release, Timestamp(2)));
    let script = decide(&machines, &rules, &script_of(ClientArch::BIOS));
    let url = format!("http://10.77.0.1:8067/done/52-54-00-12-34-56/linux/{}", machines.pass(mac, "linux").unwrap());
    assert!(script.contains(&format!("slipway.done={}", url.replace("http://10.77.0.1:8067", "~"))), "{script}");
    let wanted = Aim::Boot(boot("linux", Path::Auto));
    machines.put(mac, Memory::default().after(Change::Boot { aim: wanted, once: false }, Timestamp(3)));
    let script = decide(&machines, &rules, &script_of(ClientArch::BIOS));
    assert!(script.contains("slipway.done="), "an installer by the rules is one by intent too: {script}");
}

#[test]
fn a_loader_that_was_loaded_over_and_over_is_not_given_and_anything_else_is() {
    let catalog = catalog();
    let looping = crate::machine::LoaderLoop { loader: "loader/snponly.efi".into(), loads: 5, since: Timestamp(1) };
    let mut machines = Memories::default();
    let request = pxe(ClientArch::X64_UEFI);
    machines.put(request.mac, Memory { looping: Some(looping), ..Memory::NOTHING });
    let said = |request: &BootRequest, then| crate::decide::decide(request, &machines, &rules(then), &catalog, SERVER);
    let held = Err(Why::LoaderLoop { loader: "loader/snponly.efi".into(), loads: 5 });
    let http = super::request(Loader::UefiHttp, ClientArch::X64_UEFI_HTTP, Exchange::Dhcp);
    assert_eq!(said(&request, Then::Menu), held);
    assert_eq!(said(&http, Then::Boot(boot("linux", Path::Auto))), held);
    assert_eq!(line(said(&request, Then::Boot(boot("uki", Path::Auto)))), "tftp image/uki/uki.efi");
    assert_eq!(line(said(&pxe(ClientArch::BIOS), Then::Menu)), "tftp loader/undionly.kpxe");
    let ipxe = super::request(Loader::Ipxe, ClientArch::X64_UEFI, Exchange::Dhcp);
    assert!(said(&ipxe, Then::Menu).is_ok());
}
