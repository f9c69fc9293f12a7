//! Rules that no machine can come to: criteria that exclude each other, and rules behind one that takes all of their machines.

use slipway_engine::request::Loader;
use slipway_engine::rules::{IpNet, Then, When};
use slipway_wire::ClientArch;

/// Whether every machine that `later` matches is matched by `earlier` too. `false` where it cannot be told from the criteria alone.
pub(super) fn covers(earlier: &When, later: &When) -> bool {
    // Taken apart, so that a criterion that is added is not forgotten here.
    let When { mac, uuid, arch, cpu, loader, subnet, interface, relay, circuit_id, remote_id, user_class, uefi } =
        earlier;
    let by_arch = |holds: &dyn Fn(&ClientArch) -> bool| !later.arch.is_empty() && later.arch.iter().all(holds);
    let cpu_told = by_arch(&|arch| arch.cpu().is_some_and(|its| cpu.contains(&its)));
    let uefi_told = by_arch(&|arch| Some(arch.is_uefi()) == *uefi);
    within(mac, &later.mac)
        && within(uuid, &later.uuid)
        && within(arch, &later.arch)
        && (within(cpu, &later.cpu) || cpu_told)
        && within(loader, &later.loader)
        && (subnet.is_empty() || !later.subnet.is_empty() && later.subnet.iter().all(|net| lies_in(net, subnet)))
        && within(interface, &later.interface)
        && within(relay, &later.relay)
        && within(circuit_id, &later.circuit_id)
        && within(remote_id, &later.remote_id)
        && within(user_class, &later.user_class)
        && (uefi.is_none() || *uefi == later.uefi || uefi_told)
}

fn within<T: PartialEq>(wide: &[T], narrow: &[T]) -> bool {
    wide.is_empty() || !narrow.is_empty() && narrow.iter().all(|value| wide.contains(value))
}

fn lies_in(net: &IpNet, nets: &[IpNet]) -> bool {
    nets.iter().any(|wide| wide.prefix <= net.prefix && wide.contains(net.addr))
}

/// The criterion that excludes what another asks for, and how.
pub(super) fn contradiction(when: &When) -> Option<(&'static str, String)> {
    let none = |holds: &dyn Fn(&ClientArch) -> bool| !when.arch.is_empty() && !when.arch.iter().any(holds);
    let named = |what: &str| format!("no machine matches: it lists only {what}");
    if let Some(uefi) = when.uefi.filter(|uefi| none(&|arch| arch.is_uefi() == *uefi)) {
        let what = if uefi {
            "architectures without UEFI, and `uefi` is true"
        } else {
            "UEFI's architectures, and `uefi` is false"
        };
        return Some(("arch", named(what)));
    }
    if !when.cpu.is_empty() && none(&|arch| arch.cpu().is_some_and(|cpu| when.cpu.contains(&cpu))) {
        return Some(("cpu", named("processors that `arch` has not")));
    }
    None
}

/// What the rule gives, and who asks for it, do not go together.
pub(super) fn is_for_nobody(when: &When, then: &Then) -> bool {
    when.loader == [Loader::Os] && matches!(then, Then::Boot(_) | Then::Menu | Then::Local)
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_wire::{Cpu, MacAddr};

    fn nets(text: &str) -> Vec<IpNet> {
        let (addr, prefix) = text.split_once('/').unwrap();
        vec![IpNet { addr: addr.parse().unwrap(), prefix: prefix.parse().unwrap() }]
    }

    #[test]
    fn a_rule_covers_another_only_where_it_takes_all_of_its_machines() {
        let any = When::default;
        let mac = |last| MacAddr([2, 0, 0, 0, 0, last]);
        let uefi = || When { uefi: Some(true), ..any() };
        for (what, covered, earlier, later) in [
            ("everything covers everything", true, any(), any()),
            ("everything covers one", true, any(), When { mac: vec![mac(1)], ..any() }),
            ("one does not cover everything", false, When { mac: vec![mac(1)], ..any() }, any()),
            (
                "two cover one of them",
                true,
                When { mac: vec![mac(1), mac(2)], ..any() },
                When { mac: vec![mac(2)], ..any() },
            ),
            (
                "one does not cover two",
                false,
                When { mac: vec![mac(2)], ..any() },
                When { mac: vec![mac(1), mac(2)], ..any() },
            ),
            ("UEFI covers UEFI on x64", true, uefi(), When { uefi: Some(true), cpu: vec![Cpu::X64], ..any() }),
            ("UEFI covers its architectures", true, uefi(), When { arch: vec![ClientArch::X64_UEFI], ..any() }),
            ("UEFI does not cover BIOS", false, uefi(), When { arch: vec![ClientArch::BIOS], ..any() }),
            ("nor what may be BIOS", false, uefi(), When { cpu: vec![Cpu::X64], ..any() }),
            (
                "a processor covers its architectures",
                true,
                When { cpu: vec![Cpu::X64], ..any() },
                When { arch: vec![ClientArch::BIOS], ..any() },
            ),
            (
                "a network covers its parts",
                true,
                When { subnet: nets("10.0.0.0/8"), ..any() },
                When { subnet: nets("10.77.0.0/24"), ..any() },
            ),
            (
                "a part does not cover its network",
                false,
                When { subnet: nets("10.77.0.0/24"), ..any() },
                When { subnet: nets("10.0.0.0/8"), ..any() },
            ),
            ("another criterion says nothing", false, uefi(), When { mac: vec![mac(1)], ..any() }),
        ] {
            assert_eq!(covers(&earlier, &later), covered, "{what}");
        }
    }
}
