//! Boot loaders that are loaded over and over, and never heard of.
//!
//! A boot loader that we hand out speaks next: iPXE asks DHCP in its own name, or for its script; others ask for their
//! configuration. One that hides what it is, or that some box on the way makes look like firmware, is handed itself again, and so for ever;
//! one that dies at once is handed out at every reset. So the loads are counted, as long as nothing else is heard between them.

use core::time::Duration;

use crate::journal::{About, Entry};
use crate::request::Loader;
use crate::{Timestamp, Why};

/// So many loads in a row are a loop. Real firmware gets there only if its loader has failed at each of five resets: any that
/// comes up says so, and counts anew.
const LOADS: usize = 5;
/// Within this time. A round of a loader that loads itself takes 5 to 45 s, by how long it waits for link, ProxyDHCP and IPv6; a
/// server's self-test alone takes longer than a minute.
const WINDOW: Duration = Duration::from_secs(300);
/// For so long the loader is not handed out then: longer than firmware goes on trying by itself, short enough for someone who has
/// changed something and waits.
const HOLD: Duration = Duration::from_secs(600);

/// A loader that a machine is not given, because it was loaded over and over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LoaderLoop {
    /// Its path in the namespace.
    pub loader: String,
    /// How often it was loaded in a row.
    pub loads: usize,
    /// When it was loaded last: ten minutes later it is given again.
    pub since: Timestamp,
}

impl LoaderLoop {
    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.since) >= HOLD
    }

    /// The same as a reason.
    #[must_use]
    pub fn why(&self) -> Why {
        Why::LoaderLoop { loader: self.loader.clone(), loads: self.loads }
    }

    /// Whether this path or URL leads to it.
    #[must_use]
    pub fn is_about(&self, what: &str) -> bool {
        loader_of(what) == Some(&self.loader)
    }
}

/// The loads of one machine in a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Loads {
    /// The loader that it was told to load last.
    told: Option<String>,
    /// When it has loaded it, as far as nothing else was heard since.
    loaded: Vec<Timestamp>,
}

/// What an entry says about a loop.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Sign {
    /// There is one.
    Loop(LoaderLoop),
    /// There is none: something else than firmware speaks.
    Life,
}

/// Whether an entry says anything about loops.
pub(super) const fn matters(entry: &Entry) -> bool {
    match &entry.about {
        About::Dhcp { loader, .. } => !matches!(loader, Loader::Os),
        About::File { whole, .. } => *whole,
        About::Script(_) | About::Report => true,
        _ => false,
    }
}

impl Loads {
    /// Counts.
    pub(super) fn take(&mut self, entry: &Entry) -> Option<Sign> {
        match &entry.about {
            About::Dhcp { loader: Loader::Pxe | Loader::UefiHttp, boot, .. } => {
                if let Some(given) = boot {
                    let told = loader_of(&given.what).map(str::to_owned);
                    if told != self.told {
                        self.loaded.clear();
                    }
                    self.told = told;
                }
                None
            }
            About::Dhcp { loader: Loader::Os, .. } => None,
            About::File { path, whole, .. } if path.starts_with("loader/") => {
                if *whole && self.told.as_ref() == Some(path) { self.count(path, entry.at) } else { None }
            }
            About::File { whole: false, .. } => None,
            About::Dhcp { .. } | About::File { .. } | About::Script(_) | About::Report => {
                *self = Self::default();
                Some(Sign::Life)
            }
            _ => None,
        }
    }

    fn count(&mut self, path: &str, at: Timestamp) -> Option<Sign> {
        self.loaded.retain(|loaded| at.since(*loaded) < WINDOW);
        self.loaded.push(at);
        let loads = self.loaded.len();
        (loads >= LOADS).then(|| {
            // Whoever is let go has all loads before it again.
            self.loaded.clear();
            Sign::Loop(LoaderLoop { loader: path.to_owned(), loads, since: at })
        })
    }
}

/// The path of a boot loader that a machine is told to load: of a path or URL, what begins with the namespace's folder.
fn loader_of(what: &str) -> Option<&str> {
    let start = what.rfind("loader/")?;
    let (before, path) = what.split_at_checked(start)?;
    (before.is_empty() || before.ends_with('/')).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Lead;
    use crate::journal::{DhcpMessage, Given, Outcome, Proto};
    use slipway_wire::{ClientArch, MacAddr};

    const LOADER: &str = "loader/undionly.kpxe";

    fn entry(seconds: u64, about: About) -> Entry {
        Entry {
            at: Timestamp(seconds * 1000),
            proto: Proto::Dhcp4,
            mac: Some(MacAddr([2, 0, 0, 0, 0, 1])),
            ip: None,
            uuid: None,
            interface: "eth0".into(),
            asked: String::new(),
            about,
            outcome: Outcome::Answered(String::new()),
        }
    }

    fn dhcp(loader: Loader, what: &str) -> About {
        let boot =
            Some(Given { what: what.into(), rule: "r".into(), image: None, footing: None, lead: Lead::default() });
        let (message, arch) = (DhcpMessage::Discover, ClientArch::BIOS);
        About::Dhcp { message, loader, arch, relay: None, place: Box::default(), boot, refused: None }
    }

    fn file(path: &str, whole: bool) -> About {
        About::File { path: path.into(), sent: 74213, took: Duration::from_millis(40), whole }
    }

    /// What came of these, each a number of seconds after the one before.
    fn signs(all: &[(u64, About)]) -> Vec<Option<Sign>> {
        let (mut loads, mut at) = (Loads::default(), 0);
        let mut take = |(after, about): &(u64, About)| {
            at += after;
            loads.take(&entry(at, about.clone()))
        };
        all.iter().map(&mut take).collect()
    }

    fn rounds(count: usize, apart: u64, what: &str) -> Vec<(u64, About)> {
        let round = [(apart, dhcp(Loader::Pxe, what)), (0, file(LOADER, false)), (0, file(LOADER, true))];
        round.into_iter().cycle().take(count * 3).collect()
    }

    fn loops(all: &[(u64, About)]) -> usize {
        signs(all).iter().filter(|sign| matches!(sign, Some(Sign::Loop(_)))).count()
    }

    #[test]
    fn five_loads_in_a_row_with_nothing_between_are_a_loop_told_once() {
        for what in [LOADER, "http://10.77.0.1:8067/loader/undionly.kpxe", "tftp://[fd77::1]/loader/undionly.kpxe"] {
            assert_eq!(loops(&rounds(4, 20, what)), 0, "{what}");
            assert_eq!(loops(&rounds(5, 20, what)), 1, "{what}");
            assert_eq!(loops(&rounds(9, 20, what)), 1, "{what}");
            assert_eq!(loops(&rounds(10, 20, what)), 2, "{what}");
        }
        let told = signs(&rounds(5, 20, LOADER)).pop().unwrap();
        assert_eq!(told, Some(Sign::Loop(LoaderLoop { loader: LOADER.into(), loads: 5, since: Timestamp(100_000) })));
    }

    #[test]
    fn a_machine_that_is_reset_again_and_again_and_comes_up_each_time_is_none() {
        let signs_of_life = [
            dhcp(Loader::Ipxe, "http://10.77.0.1/boot.ipxe"),
            About::Script(None),
            About::Report,
            file("grub.cfg", true),
        ];
        for life in signs_of_life {
            let all: Vec<_> =
                rounds(8, 1, LOADER).chunks(3).flat_map(|round| [round, &[(1, life.clone())]].concat()).collect();
            assert_eq!(loops(&all), 0, "{life:?}");
        }
    }

    #[test]
    fn slow_rounds_an_interrupted_load_and_another_loader_are_none() {
        assert_eq!(loops(&rounds(9, 75, LOADER)), 0, "75 s apart, no five are within five minutes");
        assert_eq!(loops(&rounds(5, 74, LOADER)), 1);
        let probes: Vec<_> =
            rounds(9, 1, LOADER).into_iter().filter(|(_, about)| *about != file(LOADER, true)).collect();
        assert_eq!(loops(&probes), 0);
        let turns: Vec<_> = rounds(4, 1, LOADER)
            .into_iter()
            .chain([(1, dhcp(Loader::Pxe, "loader/snponly.efi"))])
            .chain(rounds(4, 1, LOADER))
            .collect();
        assert_eq!(loops(&turns), 0);
        let unasked: Vec<_> = rounds(9, 1, "image/debian/uki.efi");
        assert_eq!(loops(&unasked), 0, "it was not told to load that");
    }

    #[test]
    fn a_loop_is_about_its_own_loader_and_ends_in_time() {
        let held = LoaderLoop { loader: LOADER.into(), loads: 5, since: Timestamp(1000) };
        for (what, is) in [
            (LOADER, true),
            ("http://10.77.0.1:8067/loader/undionly.kpxe", true),
            ("loader/snponly.efi", false),
            ("image/debian/uki.efi", false),
            ("http://10.77.0.1/bootloader/undionly.kpxe", false),
            ("script", false),
        ] {
            assert_eq!(held.is_about(what), is, "{what}");
        }
        assert!(!held.is_over(Timestamp(600_999)) && held.is_over(Timestamp(601_000)));
    }
}
