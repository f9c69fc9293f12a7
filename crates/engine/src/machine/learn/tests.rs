//! Boots as their entries, and what is remembered after them.

use slipway_wire::{ClientArch, MacAddr};

use super::*;
use crate::answer::Lead;
use crate::journal::Proto;
use crate::machine::{Change, Guard, Held};
use crate::rules::{Boot, Path};

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const UKI: &str = "image/debian/uki.efi";

/// A machine with its memory, and a clock.
struct Machine {
    memory: Memory,
    course: Course,
    now: u64,
    /// The rule that answers while there is no intent.
    install: Option<Guard>,
}

fn aim(image: &str) -> Aim {
    Aim::Boot(Boot { image: image.into(), version: None, path: Path::Auto, append: None })
}

impl Machine {
    fn new() -> Self {
        Self { memory: Memory::NOTHING, course: Course::default(), now: 1_000_000, install: None }
    }

    fn wanting(aim: Aim, once: bool) -> Self {
        let memory = Memory::NOTHING.after(Change::Boot { aim, once }, Timestamp(1));
        Self { memory, ..Self::new() }
    }

    fn installing(boots: u8) -> Self {
        Self { install: Some(Guard { boots, ..Guard::default() }), ..Self::new() }
    }

    fn told(&mut self, change: Change) {
        self.memory = self.memory.after(change, Timestamp(self.now));
    }

    fn wait(&mut self, seconds: u64) -> &mut Self {
        self.now += seconds * 1000;
        if let Some(after) = expire(&self.memory, Timestamp(self.now)) {
            self.memory = after;
        }
        self
    }

    fn hear(&mut self, proto: Proto, about: About, outcome: Outcome) {
        self.now += 100;
        let entry = Entry {
            at: Timestamp(self.now),
            proto,
            mac: Some(MAC),
            ip: None,
            uuid: Some(uuid::Uuid::from_u128(7)),
            interface: "eth1".into(),
            asked: String::new(),
            about,
            outcome,
        };
        if !matters(&entry, !self.memory.is_nothing()) {
            return;
        }
        if let Some(after) = learn(&self.memory, &mut self.course, &entry) {
            self.memory = after;
        }
    }

    fn answer(&self, last: Last) -> Given {
        let intended = self.memory.intent.is_some();
        Given {
            what: "what".into(),
            rule: if intended { INTENT.into() } else { "rule".into() },
            image: Some("debian@1".into()),
            footing: None,
            lead: Lead { last, install: self.install },
        }
    }

    fn dhcp(&mut self, message: DhcpMessage, loader: Loader, last: Last) {
        let arch = ClientArch::X64_UEFI;
        let local = matches!(self.memory.intent.as_ref().map(|intent| &intent.aim), Some(Aim::Local));
        let refused = local.then(|| Why::LocalBoot { rule: INTENT.into() });
        let boot = (!local).then(|| self.answer(last));
        let about = About::Dhcp { message, loader, arch, relay: None, place: Box::default(), boot, refused };
        self.hear(Proto::Dhcp4, about, Outcome::Answered("OFFER".into()));
    }

    fn file(&mut self, path: &str, whole: bool) {
        let about = About::File { path: path.into(), sent: 9, took: Duration::from_secs(1), whole };
        self.hear(Proto::Tftp, about, if whole { Outcome::Answered("9".into()) } else { Outcome::Peer("gone".into()) });
    }

    /// Firmware asks and gets what it is to load.
    fn asks(&mut self) -> &mut Self {
        for message in [DhcpMessage::Discover, DhcpMessage::Request] {
            self.dhcp(message, Loader::Pxe, Last::File(UKI.into()));
        }
        self
    }

    /// A boot of firmware that loads the image itself.
    fn boots(&mut self) -> &mut Self {
        self.asks().file(UKI, true);
        self
    }

    /// A boot through iPXE in ROM.
    fn boots_by_ipxe(&mut self, last: Last) {
        self.dhcp(DhcpMessage::Discover, Loader::Ipxe, Last::Later);
        self.hear(Proto::Http, About::Script(Some(self.answer(last))), Outcome::Answered("200".into()));
        self.file("image/debian@1/linux", true);
        self.file("image/debian@1/initrd", true);
    }

    fn wants(&self) -> bool {
        self.memory.intent.is_some()
    }

    fn fulfilled(&self) -> Option<bool> {
        self.memory.past.as_ref().map(|past| past.fulfilled)
    }

    fn tripped(&self) -> bool {
        matches!(self.memory.installs.as_ref().and_then(|installs| installs.held), Some(Held::Tripped { .. }))
    }
}

#[test]
fn an_intent_for_one_boot_ends_when_the_machine_has_the_image_and_not_before() {
    let mut machine = Machine::wanting(aim("debian"), true);
    machine.asks().file(UKI, false);
    assert!(machine.wants(), "a transfer that broke off");
    machine.file("loader/snponly.efi", true);
    assert!(machine.wants(), "the loader is not the image");
    machine.file(UKI, true);
    assert_eq!((machine.wants(), machine.fulfilled()), (false, Some(true)));
    assert_eq!(machine.memory.uuid, Some(uuid::Uuid::from_u128(7)), "it learnt whose memory it is");
}

#[test]
fn an_intent_that_stands_is_not_used_up() {
    let mut machine = Machine::wanting(aim("debian"), false);
    for _ in 0..9 {
        machine.boots().wait(300);
    }
    assert!(machine.wants());
}

#[test]
fn through_ipxe_the_last_file_of_the_image_counts() {
    let mut machine = Machine::wanting(aim("debian"), true);
    machine.dhcp(DhcpMessage::Discover, Loader::Ipxe, Last::Later);
    let script = About::Script(Some(machine.answer(Last::File("image/debian@1/initrd".into()))));
    machine.hear(Proto::Http, script, Outcome::Answered("200".into()));
    machine.file("image/debian@1/linux", true);
    assert!(machine.wants(), "the initrd is missing");
    machine.file("image/debian@1/initrd", true);
    assert!(!machine.wants());

    let mut scripted = Machine::wanting(aim("debian"), true);
    scripted.boots_by_ipxe(Last::Here);
    assert!(!scripted.wants(), "what the operator's own script loads is not ours to know");
}

#[test]
fn a_report_of_the_booted_system_ends_it_although_no_file_was_seen() {
    let mut machine = Machine::wanting(aim("debian"), true);
    machine.asks();
    machine.hear(Proto::Agent, About::Report, Outcome::Answered("204".into()));
    assert!(!machine.wants());
    // A system that runs when the word is given, and reports late.
    let mut running = Machine::wanting(aim("debian"), true);
    running.hear(Proto::Agent, About::Report, Outcome::Answered("204".into()));
    assert!(running.wants());
}

#[test]
fn an_intent_whose_image_never_starts_is_given_up_after_three_boots() {
    let mut machine = Machine::wanting(aim("debian"), true);
    for boot in 1..=3 {
        // Firmware that asks again in the same boot does not use up another attempt.
        machine.asks().asks().asks();
        assert!(machine.wants(), "boot {boot}");
        machine.wait(300);
    }
    machine.asks();
    assert_eq!((machine.wants(), machine.fulfilled()), (false, Some(false)));
}

#[test]
fn the_local_disk_once_holds_until_the_machine_has_been_quiet_for_two_minutes() {
    let mut machine = Machine::wanting(Aim::Local, true);
    machine.asks().wait(60).asks().wait(100);
    assert!(machine.wants(), "firmware still tries its other ways");
    machine.asks().wait(130);
    assert_eq!((machine.wants(), machine.fulfilled()), (false, Some(true)));
    let mut always = Machine::wanting(Aim::Local, false);
    always.asks().wait(500);
    assert!(always.wants());
}

#[test]
fn the_guard_trips_at_the_third_boot_of_an_installer() {
    let mut machine = Machine::installing(3);
    for _ in 0..2 {
        machine.boots().wait(30);
        assert!(!machine.tripped());
    }
    // The same boot loads its image again: it counts once.
    machine.file(UKI, true);
    assert!(!machine.tripped());
    machine.boots();
    assert!(machine.tripped());
    let why = machine.memory.installs.as_ref().unwrap().holds_back("debian");
    assert_eq!(why, Some(Why::ReinstallGuard { image: "debian".into(), boots: 3 }));
    assert_eq!(machine.memory.installs.as_ref().unwrap().holds_back("other"), None);
}

#[test]
fn what_is_no_installer_is_booted_as_often_as_it_likes_and_nothing_is_remembered() {
    let mut machine = Machine::new();
    for _ in 0..9 {
        machine.boots().wait(30);
    }
    assert_eq!(machine.memory, Memory::NOTHING);
}

#[test]
fn another_image_leaves_the_guard_as_it_is() {
    let mut machine = Machine::installing(1);
    machine.boots();
    machine.install = None;
    machine.boots().wait(300).boots();
    assert!(machine.tripped());
}

#[test]
fn boots_outside_the_window_do_not_count() {
    let mut machine = Machine::installing(3);
    for _ in 0..5 {
        machine.boots().wait(13 * 3600);
        assert!(!machine.tripped());
    }
    machine.boots().boots();
    assert!(machine.tripped());
}

#[test]
fn what_starts_an_image_is_known_by_its_name_where_the_answer_could_not_tell() {
    let mut machine = Machine::installing(1);
    machine.dhcp(DhcpMessage::Discover, Loader::Pxe, Last::Later);
    machine.file("image/debian-other/linux", true);
    machine.file("image/debian@1/a.txt", true);
    assert!(!machine.tripped());
    machine.file("image/debian/linux", true);
    assert!(machine.tripped());
}

#[test]
fn a_word_of_the_operator_releases_and_the_installers_own_word_holds_back_at_once() {
    let held = |machine: &Machine| machine.memory.installs.as_ref().and_then(|installs| installs.holds_back("debian"));
    for release in [Change::Release, Change::Rules, Change::Boot { aim: aim("debian"), once: false }, Change::Forget] {
        let mut machine = Machine::installing(1);
        machine.boots();
        assert!(machine.tripped());
        machine.told(release);
        assert_eq!(held(&machine), None);
    }
    let mut machine = Machine::installing(3);
    machine.boots().told(Change::Done { image: "debian".into() });
    assert_eq!(held(&machine), Some(Why::Installed { image: "debian".into() }));
    // It does not trip afterwards, whatever else happens.
    machine.boots().boots();
    assert_eq!(held(&machine), Some(Why::Installed { image: "debian".into() }));
    machine.told(Change::Release);
    assert_eq!(held(&machine), None);
    assert_eq!(machine.memory.installs.as_ref().map(|installs| installs.passes), Some(1), "its pass stays used up");
}

#[test]
fn an_installer_that_is_done_ends_the_intent_that_booted_it() {
    let mut machine = Machine::wanting(aim("debian"), false);
    machine.told(Change::Done { image: "other".into() });
    assert!(machine.wants());
    machine.told(Change::Done { image: "debian".into() });
    assert!(!machine.wants());
}

#[test]
fn a_loader_that_loads_itself_is_held_back_until_a_release_some_time_or_another_voice() {
    const LOADER: &str = "loader/undionly.kpxe";
    let looping = || {
        let mut machine = Machine::new();
        for _ in 0..5 {
            let boot = Some(Given { what: LOADER.into(), ..machine.answer(Last::Later) });
            let (message, arch) = (DhcpMessage::Discover, ClientArch::BIOS);
            let (relay, place) = (None, Box::default());
            let about = About::Dhcp { message, loader: Loader::Pxe, arch, relay, place, boot, refused: None };
            machine.hear(Proto::Dhcp4, about, Outcome::Answered("OFFER".into()));
            machine.wait(20).file(LOADER, true);
        }
        assert!(machine.memory.looping.as_ref().is_some_and(|held| held.is_about(LOADER)), "{:?}", machine.memory);
        machine
    };
    let mut machine = looping();
    assert!(machine.wait(599).memory.looping.is_some() && machine.wait(1).memory.looping.is_none());
    for release in [Change::Release, Change::Rules, Change::Forget] {
        let mut machine = looping();
        machine.told(release);
        assert_eq!(machine.memory.looping, None);
        machine.file(LOADER, true);
        assert_eq!(machine.memory.looping, None, "it has five loads before it again");
    }
    let mut machine = looping();
    machine.dhcp(DhcpMessage::Discover, Loader::Ipxe, Last::Later);
    assert_eq!(machine.memory.looping, None);
}
