//! Journeys: what the journal's entries about one machine say of its boots. Pure: entries in, boots out.

mod refused;
mod state;

pub use state::State;

use refused::{Refusals, Sign};

use core::borrow::Borrow;
use core::ops::Range;
use core::time::Duration;

use slipway_wire::RootPath;

use crate::catalog::Image;
use crate::journal::{About, DhcpMessage, Entry, Given, Outcome, Proto};
use crate::request::Loader;
use crate::{Timestamp, Why};

/// Silence that separates two boots, if firmware speaks first after it; and after which a boot on its way counts as silent.
pub(crate) const GAP: Duration = Duration::from_secs(120);
/// This many loaders within [`LOOP_WINDOW`], with no word from iPXE, is a loop.
const LOOP_COUNT: usize = 3;
const LOOP_WINDOW: Duration = Duration::from_secs(60);

/// One boot, from the first request of the firmware as far as it came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Boot {
    /// Its entries, as a range of those that were given to [`boots`]. Together the boots' ranges are all of them.
    pub entries: Range<usize>,
    /// When its first entry was.
    pub started: Timestamp,
    /// When its last entry was.
    pub last: Timestamp,
    /// How it stands.
    pub state: State,
    /// The image, `name@version`, where one was named.
    pub image: Option<String>,
    /// The rule that decided last.
    pub rule: Option<String>,
    /// The stages in the order in which they were reached.
    pub stages: Vec<Stage>,
    /// What an operator should know although no entry says it by itself: iPXE is loaded over and over, and never speaks; the
    /// firmware asks again when it has all of what it was to start.
    pub notice: Option<String>,
}

/// One stage of a boot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stage {
    /// Its name: `dhcp`, `pxe-4011`, `nbp`, `ipxe`, `script`, `kernel`, `initrd`, `disk`, `file`, `agent`, `report`,
    /// `done`.
    pub name: &'static str,
    /// When it began.
    pub at: Timestamp,
    /// How long it took, as far as we saw: from its first entry to its last, for a file its transfer.
    pub took: Duration,
    /// What happened.
    pub what: String,
}

impl Boot {
    fn starting(at: usize, started: Timestamp) -> Self {
        Self {
            entries: at..at,
            started,
            last: started,
            state: State::Idle,
            image: None,
            rule: None,
            stages: Vec::new(),
            notice: None,
        }
    }

    /// How it stands at this time, in a word for programs: the state's, or `silent` for a boot that was on its way and has not
    /// been heard of for two minutes.
    #[must_use]
    pub fn word(&self, now: Timestamp) -> &'static str {
        if self.is_silent(now) { "silent" } else { self.state.word() }
    }

    /// The same in a sentence.
    #[must_use]
    pub fn summary(&self, now: Timestamp) -> String {
        let mut text = self.state.to_string();
        if self.is_silent(now) {
            text.push_str(&format!(", but nothing was heard for {} min", now.since(self.last).as_secs() / 60));
            if self.state.waits_for_https() {
                text.push_str(" (firmware in which no CA is enrolled does not even connect: `slipway ca export`)");
            }
        }
        if let Some(notice) = &self.notice {
            text.push_str(&format!("; {notice}"));
        }
        text
    }

    fn is_silent(&self, now: Timestamp) -> bool {
        self.state.is_on_its_way() && now.since(self.last) >= GAP
    }
}

/// Reads the boots of one machine out of its entries, oldest first.
#[must_use]
pub fn boots<E: Borrow<Entry>>(entries: &[E]) -> Vec<Boot> {
    let mut boots: Vec<Boot> = Vec::new();
    let (mut loops, mut refusals) = (Loops::default(), Refusals::default());
    for (at, entry) in entries.iter().enumerate() {
        let entry = entry.borrow();
        let sign = refusals.take(entry);
        if let (Sign::Refused(why), Some(boot)) = (&sign, boots.last_mut()) {
            boot.notice = Some(why.clone());
        }
        if boots.last().is_none_or(|boot| begins(boot, entry)) {
            boots.push(Boot::starting(at, began(entry)));
        }
        if let Some(boot) = boots.last_mut() {
            boot.take(entry);
            boot.entries.end = at.saturating_add(1);
            let before = match sign {
                Sign::None => boot.notice.take(),
                // Still so as long as nothing else is heard.
                Sign::Refused(why) => Some(why),
                Sign::Alive => None,
            };
            boot.notice = loops.take(entry).or(before);
        }
    }
    boots
}

/// When what an entry is about began: an entry about a transfer is written at its end.
fn began(entry: &Entry) -> Timestamp {
    match &entry.about {
        About::File { took, .. } => Timestamp(entry.at.0.saturating_sub(millis(*took))),
        _ => entry.at,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Whether an entry is the first of another boot: firmware (or iPXE out of nowhere) asks for everything from the start, although the
/// boot had come further, or after a long silence.
fn begins(boot: &Boot, entry: &Entry) -> bool {
    let About::Dhcp { message: DhcpMessage::Discover, loader, .. } = &entry.about else { return false };
    let silent = entry.at.since(boot.last) >= GAP;
    match loader {
        Loader::Os | Loader::Agent => false,
        Loader::Grub => false,
        Loader::Ipxe => silent || boot.state == State::Idle || boot.is_past_ipxe(),
        Loader::Pxe | Loader::UefiHttp | Loader::UBoot => {
            silent
                || boot.state == State::Idle
                || boot.stages.iter().any(|stage| !matches!(stage.name, "dhcp" | "pxe-4011"))
        }
    }
}

impl Boot {
    /// Whether iPXE has had its script, or something that it does not load: if it asks again then, it has started again.
    fn is_past_ipxe(&self) -> bool {
        let past = ["script", "kernel", "initrd", "disk", "agent", "report"];
        self.stages.iter().any(|stage| past.contains(&stage.name))
            || matches!(self.state, State::Started { .. } | State::Attached { .. })
    }

    fn take(&mut self, entry: &Entry) {
        self.last = self.last.max(entry.at);
        match &entry.about {
            About::Dhcp { message, loader, arch, boot, refused, .. } => {
                self.take_dhcp(entry, *message, *loader, &arch.to_string(), boot.as_ref());
                // It was given an address, and nothing else.
                if let Some(why) = refused.as_ref().filter(|_| matches!(entry.outcome, Outcome::Answered(_))) {
                    self.state = State::of_why("DHCP", why);
                }
            }
            About::File { path, sent, took, whole } => self.take_file(entry, path, *sent, *took, *whole),
            About::Script(given) => self.take_script(entry, given.as_ref()),
            About::Report => {
                let from_the_start = self.stages.iter().any(|stage| matches!(stage.name, "dhcp" | "ipxe"));
                let after = from_the_start.then(|| entry.at.since(self.started));
                self.stage("report", entry.at, entry.at, entry.asked.clone());
                self.state = State::Booted { after };
            }
            About::Done => {
                self.stage("done", entry.at, entry.at, entry.outcome.to_string());
            }
            About::Org => {
                self.stage("org", entry.at, entry.at, format!("{}: {}", entry.asked, entry.outcome));
                // Its answers are steps of what has booted; a refusal is where it stops.
                if !matches!(entry.outcome, Outcome::Answered(_)) {
                    self.state = State::of_fault("the org", &entry.outcome);
                }
            }
            About::Handshake => self.state = State::of_fault("the TLS handshake", &entry.outcome),
            About::Other => {}
        }
    }

    fn take_dhcp(&mut self, entry: &Entry, message: DhcpMessage, loader: Loader, arch: &str, boot: Option<&Given>) {
        // Beside another DHCP server a machine's REQUEST is for that one: no step of ours, and no fault.
        let for_another = matches!(entry.outcome, Outcome::Declined(Why::NotForUs | Why::OtherServer));
        if loader == Loader::Os || message == DhcpMessage::Other || for_another {
            return;
        }
        let name = match (loader, entry.proto) {
            (Loader::Ipxe, _) => "ipxe",
            (Loader::Agent, _) => "agent",
            (_, Proto::BootServer4) => "pxe-4011",
            _ => "dhcp",
        };
        // The agent tells no architecture.
        let who = if loader == Loader::Agent { loader.to_string() } else { format!("{arch} {loader}") };
        let what = match (&entry.outcome, boot) {
            (Outcome::Answered(_), Some(given)) => {
                let footing = given.footing.map(|footing| footing.to_string()).unwrap_or_default();
                format!("{who}: {}{footing}", given.what)
            }
            (outcome, _) => format!("{who}: {outcome}"),
        };
        self.stage(name, entry.at, entry.at, what);
        if loader == Loader::Agent {
            return;
        }
        self.keep(boot);
        match (&entry.outcome, boot) {
            (Outcome::Answered(_), Some(Given { what, .. })) if is_root_path(what) => {
                self.state = State::Attached { root: what.clone() };
            }
            (Outcome::Answered(_), Some(given)) => {
                let what = given.what.clone();
                self.state =
                    if message == DhcpMessage::Discover { State::Offered { what } } else { State::Loading { what } };
            }
            (Outcome::Answered(_), None) => {}
            (outcome, _) => self.state = State::of_fault("DHCP", outcome),
        }
    }

    fn take_file(&mut self, entry: &Entry, path: &str, sent: u64, took: Duration, whole: bool) {
        let over = match entry.proto {
            Proto::Tftp => "TFTP",
            Proto::Https => "HTTPS",
            _ => "HTTP",
        };
        let was_told_to =
            matches!(&self.state, State::Offered { what } | State::Loading { what } if what.ends_with(path));
        if whole {
            let (name, next) = kind(path);
            let what = format!("{path} over {over}, {} in {:.2} s", size(sent), took.as_secs_f64());
            self.stage(name, began(entry), entry.at, what);
            self.keep_image(path);
            if let Some(next) = next {
                self.state = next;
            }
        } else if sent > 0 && matches!(entry.outcome, Outcome::Answered(_)) {
            // Part after part, as a disk is read.
            self.stage("disk", began(entry), entry.at, format!("{path} over {over}, read in parts"));
            self.keep_image(path);
            if !matches!(self.state, State::Booted { .. }) {
                self.state = State::Started { what: path.to_owned() };
            }
        } else if matches!(entry.outcome, Outcome::Answered(_)) {
            // HEAD, or a size probe: nothing has happened yet.
        } else if sent > 0 || (was_told_to && matches!(entry.outcome, Outcome::Declined(_) | Outcome::Ourselves(_))) {
            // Firmware and loaders probe for many files that need not be there; only what was promised is missed.
            self.state = State::of_fault(&format!("{path} over {over}"), &entry.outcome);
        }
    }

    fn take_script(&mut self, entry: &Entry, given: Option<&Given>) {
        self.keep(given);
        let what = match (&entry.outcome, given) {
            (Outcome::Answered(_), Some(Given { image: Some(image), .. })) => format!("script for {image}"),
            (Outcome::Answered(_), _) => "script".to_owned(),
            (outcome, _) => outcome.to_string(),
        };
        self.stage("script", entry.at, entry.at, what.clone());
        self.state = match (&entry.outcome, given) {
            (Outcome::Answered(_), Some(Given { what: root, .. })) if is_root_path(root) => {
                State::Attached { root: root.clone() }
            }
            (Outcome::Answered(_), _) => State::Loading { what },
            (outcome, _) => State::of_fault("the script", outcome),
        };
    }

    fn keep(&mut self, given: Option<&Given>) {
        let Some(given) = given else { return };
        self.rule = Some(given.rule.clone());
        if given.image.is_some() {
            self.image.clone_from(&given.image);
        }
    }

    /// A menu's image is only known by what is loaded in the end.
    fn keep_image(&mut self, path: &str) {
        if self.image.is_none()
            && let Some((image, _)) = path.strip_prefix("image/").and_then(|rest| rest.split_once('/'))
        {
            self.image = Some(image.to_owned());
        }
    }

    /// Notes a stage. What repeats itself, as DHCP does with each message, is one stage that takes longer.
    fn stage(&mut self, name: &'static str, began: Timestamp, ended: Timestamp, what: String) {
        let repeats = matches!(name, "dhcp" | "pxe-4011" | "ipxe" | "agent" | "disk");
        match self.stages.last_mut() {
            Some(last) if last.name == name && repeats => {
                last.took = ended.since(last.at);
                last.what = what;
            }
            _ => self.stages.push(Stage { name, at: began, took: ended.since(began), what }),
        }
    }
}

fn is_root_path(what: &str) -> bool {
    what.parse::<RootPath>().is_ok()
}

/// The stage that a file is, and how a boot stands when the machine has all of it.
fn kind(path: &str) -> (&'static str, Option<State>) {
    let file = path.rsplit('/').next().unwrap_or(path);
    let started = || Some(State::Started { what: path.to_owned() });
    if ["loader/", "pxelinux/", "shim/", "u-boot/"].iter().any(|folder| path.starts_with(folder))
        || path == "boot.scr.uimg"
    {
        return ("nbp", Some(State::Chained { loader: path.to_owned() }));
    }
    match file {
        "linux" => ("kernel", started()),
        _ if Image::is_initrd(file) => ("initrd", started()),
        _ if file.ends_with(".efi") => ("nbp", started()),
        // A Raspberry Pi's: `kernel.img`, `kernel7l.img`, `kernel8.img`.
        _ if file.starts_with("kernel") && file.ends_with(".img") => ("kernel", started()),
        _ if file.ends_with(".iso") || file.ends_with(".img") => ("disk", started()),
        _ => ("file", None),
    }
}

/// Whether a file of an image is one that runs: a kernel, an EFI program.
pub(crate) fn starts_linux_or_efi(path: &str) -> bool {
    matches!(kind(path).0, "kernel" | "nbp")
}

/// A size for people: `17.3 MB`.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

/// Looks out for a machine that loads iPXE again and again without iPXE ever asking for anything.
#[derive(Default)]
struct Loops {
    sent: Vec<Timestamp>,
}

impl Loops {
    fn take(&mut self, entry: &Entry) -> Option<String> {
        match &entry.about {
            About::Dhcp { loader: Loader::Ipxe, .. } | About::Script(_) | About::Report => self.sent.clear(),
            About::File { path, whole: true, .. } if path.starts_with("loader/") => {
                self.sent.push(entry.at);
                self.sent.retain(|sent| entry.at.since(*sent) <= LOOP_WINDOW);
                if self.sent.len() >= LOOP_COUNT {
                    return Some(format!(
                        "{path} was sent {} times within a minute, but iPXE never asked for anything: it does not start here",
                        self.sent.len()
                    ));
                }
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests;
