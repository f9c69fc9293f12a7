//! Menus as machines are shown them: whole scripts under `snapshots`, reviewed as they are.

use std::sync::Arc;

use super::*;
use crate::menu::{Choice, Item, Menu, Ram};

fn item(choice: Choice) -> Item {
    Item { title: None, memory: None, choice }
}

fn titled(title: &str, choice: Choice) -> Item {
    Item { title: Some(title.into()), ..item(choice) }
}

fn image(name: &str, append: Option<&str>) -> Choice {
    Choice::Boot(Boot { append: append.map(str::to_owned), ..boot(name, Path::Ipxe) })
}

fn tools() -> Arc<Menu> {
    let items = vec![
        item(image("efi", None)),
        item(Choice::Shell),
        item(Choice::Reboot),
        item(Choice::PowerOff),
        item(Choice::Exit),
    ];
    Arc::new(Menu { name: "tools".into(), title: "Tools".into(), timeout: None, default: None, items })
}

fn arm() -> Arc<Menu> {
    let items = vec![item(Choice::Text), item(image("uki-arm", None))];
    Arc::new(Menu { name: "arm".into(), title: "For arm64 alone".into(), timeout: None, default: None, items })
}

fn main() -> Menu {
    let items = vec![
        titled("-- Systems -- ${x} || #", Choice::Text),
        item(image("uki", None)),
        titled("Linux, with a word more", image("linux", Some("single"))),
        item(image("uki-arm", None)),
        Item { memory: Some(4096), ..titled("Needs 4 GiB", image("linux", None)) },
        item(Choice::Menu(tools())),
        item(Choice::Menu(arm())),
        item(Choice::Local),
    ];
    let timeout = Some(core::time::Duration::from_secs(30));
    Menu { name: "main".into(), title: "What shall it be?".into(), timeout, default: Some(2), items }
}

fn asked(arch: ClientArch, menu: &Menu, query: Query<'_>) -> Answer {
    let rules = rules(Then::Choose(Arc::new(menu.clone())));
    decide_asked(&script_of(arch), &Memories::default(), &rules, &catalog(), SERVER, query).unwrap()
}

fn script(arch: ClientArch, menu: &Menu, query: Query<'_>) -> String {
    match asked(arch, menu, query).step {
        Step::Script { text } => text,
        step => panic!("{step:?}"),
    }
}

const fn having(mib: u64) -> Query<'static> {
    Query { image: None, line: None, ram: Some(Ram::Mib(mib)) }
}

#[test]
fn each_machine_is_shown_what_works_on_it() {
    insta::assert_snapshot!("bios-small", script(ClientArch::BIOS, &main(), having(2048)));
    insta::assert_snapshot!("x64-large", script(ClientArch::X64_UEFI, &main(), having(8192)));
    insta::assert_snapshot!("arm64", script(ClientArch::ARM64_UEFI, &main(), having(8192)));
}

#[test]
fn the_menu_of_all_images_ends_with_the_local_disk() {
    let answer = decide(&script_of(ClientArch::BIOS), &Rules::zero_configuration(), &catalog(), SERVER).unwrap();
    let Step::Script { text } = answer.step else { panic!("{answer:?}") };
    insta::assert_snapshot!("all-images", text);
}

#[test]
fn memory_is_asked_for_where_a_line_depends_on_it_and_once() {
    insta::assert_snapshot!("memory", script(ClientArch::BIOS, &main(), Query::default()));
    let unknown = Query { ram: Some(Ram::Unknown), ..Query::default() };
    assert!(script(ClientArch::BIOS, &main(), unknown).contains("Needs 4 GiB"));
    assert!(script(ClientArch::BIOS, &tools(), Query::default()).contains("menu -- Tools"));
}

#[test]
fn a_pick_boots_its_line_with_what_the_line_says() {
    let pick = |menu, place, image| Query { image: Some(image), line: Some((menu, place)), ram: None };
    let shown = |query| line(Ok(asked(ClientArch::X64_UEFI, &main(), query)));
    assert!(
        shown(pick("main", 2, "linux"))
            .contains(" console=ttyS0 single; initrd --name initrd ~/image/linux@2/initrd; ")
    );
    assert_eq!(shown(pick("tools", 0, "efi")), "script: chain ~/image/efi@2/boot.efi console=ttyS0");
    // The menu has changed since, or somebody makes things up: the menu, from the start.
    for (menu, place, image) in [("main", 1, "linux"), ("main", 7, "uki"), ("other", 1, "uki"), ("main", 99, "uki")] {
        let said = shown(pick(menu, place, image));
        assert!(said.contains("chain --replace --autofree ~/boot.ipxe?"), "{menu} {place} {image}: {said}");
    }
}

#[test]
fn a_default_that_cannot_work_here_leaves_to_the_local_disk_in_time() {
    let menu = |default| Menu { default, ..main() };
    assert!(script(ClientArch::BIOS, &menu(Some(2)), having(1)).contains("\nset default0 m0i2\n"));
    assert!(script(ClientArch::BIOS, &menu(Some(3)), having(1)).contains("\nset default0 m0i7\n"));
    assert!(script(ClientArch::BIOS, &menu(None), having(1)).contains("\nset default0 m0i1\n"), "a text is no default");
    let nothing = Menu { items: vec![item(image("uki-arm", None))], ..menu(None) };
    let text = script(ClientArch::BIOS, &nothing, Query::default());
    assert!(text.contains("set default0 leave\nset leave0 yes\n"), "{text}");
}

#[test]
fn firmware_is_given_ipxe_and_ipxe_in_dhcp_its_script() {
    let rules = rules(Then::Choose(Arc::new(main())));
    assert_eq!(line(decide(&pxe(ClientArch::BIOS), &rules, &catalog(), SERVER)), "tftp loader/undionly.kpxe");
    let ipxe = request(Loader::Ipxe, ClientArch::BIOS, Exchange::Dhcp);
    assert!(line(decide(&ipxe, &rules, &catalog(), SERVER)).starts_with("url http://10.77.0.1:8067/boot.ipxe?mac="));
}

#[test]
fn every_goto_of_a_menu_has_its_label_and_every_chosen_line_too() {
    for arch in [ClientArch::BIOS, ClientArch::X64_UEFI, ClientArch::ARM64_UEFI] {
        let text = script(arch, &main(), having(8192));
        let labels: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(':')).collect();
        let words = |marker: &'static str| {
            text.lines().filter_map(move |line| line.split_once(marker)).filter_map(|(_, rest)| rest.split(' ').next())
        };
        let targets = words("goto ").chain(words("item -- ")).filter(|word| !word.starts_with('$'));
        for target in targets {
            assert!(labels.contains(&target), "{target} in\n{text}");
        }
    }
}
