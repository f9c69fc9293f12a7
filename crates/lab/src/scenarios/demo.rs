//! The demo: the whole story of one machine, watched. A blank machine joins the org, and starts from its own disk; its ESP is wiped; it comes
//! back as the same machine. What it says on its console is told in plain words.

use anyhow::{Result, ensure};

use super::enrol::{self, Home};
use super::{JOINING, Scenario};
use crate::demo::{chapter, reached};
use crate::firmware::{Boots, OVMF};
use crate::lab::Lab;
use crate::machine::{Firmware, Machine, Order};
use crate::net::Lan;

/// The demo as the lab runs it. It is not listed with the others: they test what it shows.
pub(crate) const SCENARIO: Scenario = Scenario {
    name: "demo",
    about: "a blank machine joins the org, loses its ESP and comes back, watched",
    boots: Boots::joining(slipway_wire::Cpu::X64, &[OVMF], "PXE: bootstrap image; its own disk; recovery"),
    tools: JOINING,
    run,
};

fn run(lab: &mut Lab) -> Result<()> {
    let (lan, org) = enrol::org(lab, "")?;
    let order = Order::new("node1", 1, Firmware::UefiPxe);
    let mac = order.mac();
    let home = Home::with_tpm(lab, order)?;
    lab.say("org       keys, a machine CA, three images: slipway org init; slipway image build");
    lab.say("server    slipway serve: gives addresses, boots machines, lets them join (10.77.0.1, a LAN of its own)");
    lab.say(&format!("machine   UEFI and a TPM, its disk blank; nobody has seen it before ({mac})"));

    chapter("A blank machine joins the org");
    org.open_window()?;
    watch(lab, &lan, &home, |machine| enrol::join(&org, machine, &["--name", "web-1"]).map(drop))?;
    org.close_window()?;
    enrol::ensure_told(&org, mac, "state", "active")?;
    let identity = enrol::identity(&org, mac)?;
    let data = enrol::data_digest(&home.disk)?;

    chapter("Its ESP is wiped, every byte of it");
    home.disk.zero(&home.disk.esp()?)?;
    watch(lab, &lan, &home, |machine| enrol::find_nothing(&org, machine))?;

    chapter("It is switched on again, and comes back");
    watch(lab, &lan, &home, |machine| enrol::install(machine).map(drop))?;
    let now = enrol::identity(&org, mac)?;
    ensure!(now == identity, "it is another machine now: {identity:?}, {now:?}");
    ensure!(enrol::data_digest(&home.disk)? == data, "the data partition has changed");
    reached("the same machine: its number, its key and its data are what they were");

    for words in [&["machines"][..], &["audit", "verify"]] {
        lab.say(&format!("\n$ slipway {}", words.join(" ")));
        lab.say(org.server().cli(words)?.trim_end());
    }
    Ok(())
}

/// Switches the machine on, tells what it says while the story goes on, and pulls its plug.
fn watch(lab: &mut Lab, lan: &Lan, home: &Home, story: impl FnOnce(&Machine) -> Result<()>) -> Result<()> {
    let machine = lab.power_on(home.order.clone(), lan)?;
    reached("power on");
    let console = machine.console().clone();
    let teller = std::thread::spawn(move || {
        let mut teller = Teller::default();
        console.for_each(|line| {
            if let Some(told) = teller.tell(&line.text) {
                reached(&told);
            }
        });
    });
    story(&machine)?;
    machine.pull_plug()?;
    ensure!(teller.join().is_ok(), "whoever tells of the machine panicked");
    Ok(())
}

/// What firmware says, and what that means.
const FIRMWARE: [(&str, &str); 5] = [
    ("preboot-a.efi: Not Found", "its preboot is gone"),
    (">>Start PXE over IPv4", "its firmware finds nothing to start on the disk, and asks the network (PXE)"),
    ("NBP file downloaded successfully", "it has loaded the bootstrap image, which is public (TFTP)"),
    ("PXE-E21", "the server knows this machine, has heard it just now, and sends it to its disk"),
    ("\"UEFI HTTPv4 (", "nothing starts there, nor does the network give it anything by HTTP"),
];

/// What our agent says of a step that is done, what that means, and whether its own detail is worth telling.
const STEPS: [(&str, &str, bool); 12] = [
    ("tls connected", "Linux runs; the server is the org's: its CA vouches for it", false),
    ("identity proved", "it has proved who it is", true),
    ("preboot.efi downloaded", "it has loaded its preboot", true),
    ("written to the esp", "the preboot is on its own disk", true),
    ("boot order updated", "its firmware is told", true),
    ("rebooting", "it restarts", false),
    ("gateway reachable", "the preboot runs, from its own disk, and asks the gateway", false),
    ("generation match", "the gateway has said what it is to run, and it is there", true),
    ("disk key derived", "the key of its data is there", true),
    ("disk unlocked", "its data is open", true),
    ("kexec into the generation", "the preboot hands over (kexec)", false),
    ("reported healthy", "it has told the org that it is well", false),
];

/// Tells in plain words what a machine says on its console, from one power-on to the next.
#[derive(Debug, Default)]
struct Teller {
    /// Whether the org knows the machine, so that nobody is asked.
    known: bool,
    /// The six words that it showed.
    words: Option<String>,
}

impl Teller {
    /// What a line means; most mean nothing to somebody who watches.
    fn tell(&mut self, line: &str) -> Option<String> {
        if let Some((_, meaning)) = FIRMWARE.iter().find(|(text, _)| line.contains(text)) {
            return Some((*meaning).to_owned());
        }
        let (_, said) = line.split_once("slipway-agent: ")?;
        if let Some(words) = said.strip_prefix("words: ") {
            let news = self.words.replace(words.to_owned()).is_none();
            return (news && !self.known).then(|| format!("it shows six words: {words}"));
        }
        if said.starts_with("hello from generation ") {
            return Some(said.to_owned());
        }
        let done = said.strip_prefix("[ok] ")?;
        self.known |= done.contains("this machine is known");
        if let Some(detail) = done.strip_prefix("approval") {
            return Some(match &self.words {
                Some(words) if !self.known => {
                    format!("an admin compares and approves: slipway approve --words \"{words}\"{detail}")
                }
                _ => format!("the org knows it by its TPM: no window is open, and nobody is asked{detail}"),
            });
        }
        let (step, meaning, detailed) = STEPS.iter().find(|(step, ..)| done.starts_with(step))?;
        let detail = done.strip_prefix(step).filter(|_| *detailed).unwrap_or_default();
        // Digests are for those who compare them.
        let detail = detail.split_once(", SHA-256 ").map_or(detail.to_owned(), |(before, _)| format!("{before})"));
        Some(format!("{meaning}{detail}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_machine_says_is_told_in_plain_words() {
        let mut teller = Teller::default();
        let mut tell = |line: &str| teller.tell(line).unwrap_or_default();
        assert!(tell(">>Start PXE over IPv4.").contains("asks the network"));
        assert_eq!(tell("[    1.2] some driver"), "");
        assert_eq!(tell("slipway-agent: [..] approval (ticket 1)"), "");
        assert_eq!(tell("slipway-agent: words: a b c d e f"), "it shows six words: a b c d e f");
        assert_eq!(tell("slipway-agent: words: a b c d e f"), "", "said once");
        let approved = tell("slipway-agent: [ok] approval (machine web-1)");
        assert_eq!(approved, "an admin compares and approves: slipway approve --words \"a b c d e f\" (machine web-1)");
        let loaded = tell("slipway-agent: [ok] preboot.efi downloaded (11.1 MiB, SHA-256 04028c, downloaded)");
        assert_eq!(loaded, "it has loaded its preboot (11.1 MiB)");
        assert_eq!(tell("slipway-agent: [ok] rebooting"), "it restarts");
        assert!(
            tell("slipway-agent: hello from generation g version 7 on web-1").starts_with("hello from generation g")
        );
    }

    #[test]
    fn nobody_compares_the_words_of_a_machine_that_the_org_knows() {
        let mut teller = Teller::default();
        let mut tell = |line: &str| teller.tell(line).unwrap_or_default();
        tell("slipway-agent: [ok] invite verified (none is needed: this machine is known)");
        assert_eq!(tell("slipway-agent: words: a b c d e f"), "");
        let known = tell("slipway-agent: [ok] approval (machine web-1, its ESP may be written again)");
        assert!(known.contains("nobody is asked (machine web-1, its ESP"), "{known}");
    }
}
