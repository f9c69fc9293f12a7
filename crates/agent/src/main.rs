//! PID 1 of the initramfs that Slipway boots machines into: it brings the network up, says what booted, and reports in.
//!
//! Build it static and small: `RUSTFLAGS="-C target-feature=+crt-static" cargo build --profile agent -p slipway-agent --target
//! x86_64-unknown-linux-gnu`. The target is named so that build scripts and procedural macros are not built that way too.
//!
//! Words on the kernel command line that it obeys: `slipway.report=URL` (report there, whatever DHCP says), `slipway.poweroff`
//! (power off when done), `slipway.reboot` (restart when done), `slipway.installed` (say to the URL of `slipway.done=` that the machine
//! is installed), `BOOTIF=01-aa-bb-cc-dd-ee-ff` (the interface to use first).

mod bootstrap;
mod checkpoint;
mod clock;
mod cmdline;
mod console;
mod dhcp;
mod dhcp6;
mod facts;
mod fetch;
mod gateway;
mod generation;
mod ground;
mod h1;
mod handover;
mod http;
mod identity;
mod inventory;
mod invite;
mod keys;
mod modules;
mod mounts;
mod net;
mod online;
mod power;
mod preboot;
mod prompt;
mod random;
mod remember;
mod role;
mod slot;
mod talk;
mod tls;
mod tpm;

use std::process::ExitCode;
use std::time::Duration;

use cmdline::Cmdline;
use console::Console;
use facts::Facts;
use slipway_trust::Role;

/// How long to look for an address before reporting why there is none.
const NETWORK_PATIENCE: Duration = Duration::from_secs(90);

fn main() -> ExitCode {
    if std::process::id() != 1 {
        // The initramfs has this program under that name too: the kernel runs it when it needs a module.
        let mut words = std::env::args();
        if words.next().is_some_and(|name| name.ends_with("/modprobe")) {
            return modules::modprobe(words);
        }
        eprintln!(
            "slipway-agent is PID 1 of an initramfs: it would take over and power off this machine. Nothing was done."
        );
        return ExitCode::from(2);
    }
    power::halt_on_panic();
    let mounted = mounts::mount_all();
    let console = Console::open();
    for fault in mounted.into_iter().chain(modules::load_listed()).chain(modules::follow_devices()) {
        console.say(&fault);
    }
    // EFI variables are a module's in many kernels, so they come after the modules.
    if let Some(fault) = mounts::mount_efivars() {
        console.say(&fault);
    }
    mounts::mount_securityfs();
    let cmdline = Cmdline::read();
    match role::read() {
        Ok(None) => {
            if let Err(reason) = report(&console, &cmdline) {
                console.say(&format!("not reported: {reason}"));
            }
        }
        Ok(Some(role)) => {
            let ended = match role {
                Role::Bootstrap => bootstrap::run(&console, &cmdline),
                Role::Preboot => preboot::run(&console, &cmdline),
                Role::Generation => generation::run(&console, &cmdline),
            };
            if let Err(reason) = ended {
                console.say(&format!("[!!] {role}: {reason}; nothing more can be done here"));
            }
        }
        Err(reason) => console.say(&format!("[!!] {reason}; nothing more can be done here")),
    }
    if cmdline.poweroff() {
        console.say("powering off, as the command line asks");
        power::off();
    }
    if cmdline.reboot() {
        console.say("restarting, as the command line asks");
        power::restart();
    }
    power::reap_forever()
}

/// Brings the network up, says what booted, reports.
fn report(console: &Console, cmdline: &Cmdline) -> Result<(), String> {
    let kernel = facts::kernel_release();
    let up = net::up(cmdline.boot_interface(), cmdline.report_url(), NETWORK_PATIENCE);
    let network = up.inspect_err(|_| booted(console, "none", "none", &kernel, cmdline))?;
    booted(console, &network.link.mac.to_string(), &network.ip.to_string(), &kernel, cmdline);
    let url = network.report_url.clone();
    let url = url.ok_or("no DHCP server told where to report, and slipway.report= is not on the command line")?;
    let facts = Facts::gather(&network, kernel, cmdline);
    http::post(&url, &facts.to_string()).map_err(|reason| format!("{url}: {reason}"))?;
    console.say(&format!("reported to {url}"));
    if let Some(url) = cmdline.done_url().filter(|_| cmdline.installed()) {
        http::post(url, "").map_err(|reason| format!("{url}: {reason}"))?;
        console.say("said that this machine is installed");
    }
    Ok(())
}

/// The line that says a machine is up. The lab waits for it: its form is fixed.
fn booted(console: &Console, mac: &str, ip: &str, kernel: &str, cmdline: &Cmdline) {
    console.say(&format!("booted mac={mac} ip={ip} kernel={kernel} cmdline=\"{}\"", cmdline.text()));
}
