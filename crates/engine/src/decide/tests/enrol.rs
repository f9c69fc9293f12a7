//! What the org says of a machine, beside what the operator and his rules say.

use super::*;
use crate::Timestamp;
use crate::enrol::{Enrol, Standing, State};
use crate::machine::{Aim, Change};

fn org() -> Then {
    Then::Enrol(Box::new(Enrol {
        boot: boot("uki", Path::Auto),
        open_discovery: false,
        recover_after: Enrol::RECOVER_AFTER,
    }))
}

fn standing(state: State) -> Memories {
    let mut machines = Memories::default();
    let standing = Standing { state, uuid: None, heard: Timestamp(1) };
    machines.standings_mut().put(pxe(ClientArch::X64_UEFI).mac, Some(standing));
    machines
}

#[test]
fn each_asking_program_hears_the_orgs_word_in_its_own_way() {
    let catalog = catalog();
    let mut open = Memories::default();
    open.standings_mut().set_window(true);
    let mut lost = standing(State::Enrolled);
    lost.standings_mut().sent(pxe(ClientArch::X64_UEFI).mac, Timestamp(10_000));
    lost.standings_mut().tick(Timestamp(130_000));
    let script = "url http://10.77.0.1:8067/boot.ipxe?";
    for (what, machines, firmware, ipxe, text) in [
        ("unknown", Memories::default(), "- no-window", "- no-window", "- no-window"),
        ("unknown, a window being open", open, "tftp image/uki/uki.efi", script, "script: chain --name"),
        ("asking", standing(State::Asking), "tftp image/uki/uki.efi", script, "script: chain --name"),
        ("awaited", standing(State::Awaited), "tftp image/uki/uki.efi", script, "script: chain --name"),
        ("enrolled", standing(State::Enrolled), "- enrolled", script, "- enrolled"),
        ("lost", lost, "tftp image/uki/uki.efi", script, "script: chain --name"),
        ("suspended", standing(State::Suspended), "- suspended", script, "- suspended"),
        ("revoked", standing(State::Revoked), "- revoked", "- revoked", "- revoked"),
    ] {
        let said = |asked: &BootRequest| line(super::super::decide(asked, &machines, &rules(org()), &catalog, SERVER));
        let dhcp = request(Loader::Ipxe, ClientArch::X64_UEFI, Exchange::Dhcp);
        for (asked, wanted) in
            [(pxe(ClientArch::X64_UEFI), firmware), (dhcp, ipxe), (script_of(ClientArch::X64_UEFI), text)]
        {
            let said = said(&asked);
            assert!(said.starts_with(wanted), "{what}, {:?}: {said}", asked.exchange);
        }
    }
}

#[test]
fn an_operators_word_and_his_own_rules_go_before_the_orgs_but_who_is_revoked_gets_nothing() {
    let catalog = catalog();
    let asked = pxe(ClientArch::X64_UEFI);
    let rule = |name: &str, mac: Vec<MacAddr>, then| Rule {
        name: name.into(),
        when: When { mac, ..When::default() },
        then,
        https: None,
        install: None,
    };
    let bench = || rule("bench", vec![asked.mac], Then::Boot(boot("efi", Path::Auto)));
    let fleet = || rule("fleet", Vec::new(), org());
    let told = |mut machines: Memories, intent: bool, list: Vec<Rule>| {
        if intent {
            let change = Change::Boot { aim: Aim::Boot(boot("uki", Path::Auto)), once: true };
            machines.put(asked.mac, machines.of(asked.mac, None).after(change, Timestamp(1)));
        }
        match super::super::decide(&asked, &machines, &Rules { rules: list }, &catalog, SERVER) {
            Ok(answer) => format!("{}: {}", answer.rule, answer.step),
            Err(why) => why.code().to_owned(),
        }
    };
    for (what, state, intent, list, wanted) in [
        ("the org alone", State::Enrolled, false, vec![fleet()], "enrolled"),
        ("a rule before it", State::Enrolled, false, vec![bench(), fleet()], "bench: image/efi/boot.efi"),
        ("a rule behind it", State::Enrolled, false, vec![fleet(), bench()], "enrolled"),
        ("an operator's word", State::Enrolled, true, vec![fleet()], "intent: image/uki/uki.efi"),
        ("of one that is suspended", State::Suspended, true, vec![fleet()], "intent: image/uki/uki.efi"),
        ("revoked, whatever is said", State::Revoked, true, vec![bench(), fleet()], "revoked"),
        ("revoked, where the org is not asked", State::Revoked, false, vec![bench()], "revoked"),
    ] {
        assert_eq!(told(standing(state), intent, list), wanted, "{what}");
    }
}
