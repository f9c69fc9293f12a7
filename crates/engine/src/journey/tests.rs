use slipway_wire::{ClientArch, MacAddr};

use super::*;
use crate::Why;
use crate::answer::Lead;

/// A machine's entries, written down as they come.
#[derive(Default)]
struct Story {
    now: u64,
    entries: Vec<Entry>,
}

impl Story {
    fn note(&mut self, proto: Proto, about: About, outcome: Outcome) -> &mut Self {
        self.entries.push(Entry {
            at: Timestamp(1_000_000 + self.now),
            proto,
            mac: Some(MacAddr([2; 6])),
            ip: None,
            uuid: None,
            interface: "eth1".into(),
            asked: "asked".into(),
            about,
            outcome,
        });
        self
    }

    fn after(&mut self, millis: u64) -> &mut Self {
        self.now += millis;
        self
    }

    fn dhcp(
        &mut self,
        proto: Proto,
        message: DhcpMessage,
        loader: Loader,
        given: Option<(&str, Option<&str>)>,
    ) -> &mut Self {
        let boot = given.map(|(what, image)| Given {
            what: what.into(),
            rule: "lab".into(),
            image: image.map(str::to_owned),
            footing: None,
            lead: Lead::default(),
        });
        let about = About::Dhcp {
            message,
            loader,
            arch: ClientArch::X64_UEFI,
            relay: None,
            place: Box::default(),
            boot,
            refused: None,
        };
        self.note(proto, about, Outcome::Answered("OFFER".into()))
    }

    fn pxe(&mut self, what: &str, image: Option<&str>) -> &mut Self {
        self.dhcp(Proto::Dhcp4, DhcpMessage::Discover, Loader::Pxe, Some((what, image))).after(4100).dhcp(
            Proto::Dhcp4,
            DhcpMessage::Request,
            Loader::Pxe,
            Some((what, image)),
        )
    }

    fn ipxe(&mut self) -> &mut Self {
        let given = Some(("http://10.0.0.1/boot.ipxe?mac=x", Some("debian@1")));
        self.dhcp(Proto::Dhcp4, DhcpMessage::Discover, Loader::Ipxe, given).after(4).dhcp(
            Proto::Dhcp4,
            DhcpMessage::Request,
            Loader::Ipxe,
            given,
        )
    }

    fn file(&mut self, proto: Proto, path: &str, sent: u64, took: u64) -> &mut Self {
        let about = About::File { path: path.into(), sent, took: Duration::from_millis(took), whole: true };
        self.note(proto, about, Outcome::Answered("200".into()))
    }

    fn failed(&mut self, proto: Proto, path: &str, sent: u64, outcome: Outcome) -> &mut Self {
        let about = About::File { path: path.into(), sent, took: Duration::ZERO, whole: false };
        self.note(proto, about, outcome)
    }

    fn script(&mut self) -> &mut Self {
        let given = Given {
            what: "script".into(),
            rule: "lab".into(),
            image: Some("debian@1".into()),
            footing: None,
            lead: Lead::default(),
        };
        self.note(Proto::Http, About::Script(Some(given)), Outcome::Answered("200".into()))
    }

    fn report(&mut self) -> &mut Self {
        self.note(Proto::Agent, About::Report, Outcome::Answered("204".into()))
    }

    fn boots(&self) -> Vec<Boot> {
        boots(&self.entries)
    }

    /// The last boot's state, as words at the time of its last entry.
    fn stands(&self) -> String {
        let boots = self.boots();
        let boot = boots.last().unwrap();
        format!("{}: {}", boot.word(boot.last), boot.summary(boot.last))
    }

    fn told(&self) -> String {
        let mut text = String::new();
        for boot in self.boots() {
            text.push_str(&format!("{} {:?} {:?}\n", boot.summary(boot.last), boot.image, boot.rule));
            for stage in &boot.stages {
                let at = stage.at.since(boot.started).as_millis();
                text.push_str(&format!(
                    "  {at:>5} ms {:8} {} ({} ms)\n",
                    stage.name,
                    stage.what,
                    stage.took.as_millis()
                ));
            }
        }
        text
    }
}

#[test]
fn a_direct_boot_is_told_from_dhcp_to_the_report() {
    let mut story = Story::default();
    story.pxe("image/debian/uki.efi", Some("debian@1"));
    story.after(100).failed(Proto::Tftp, "image/debian/uki.efi", 0, Outcome::Answered("size probe".into()));
    story.after(1500).file(Proto::Tftp, "image/debian/uki.efi", 17_301_504, 1400);
    story.after(6000).dhcp(
        Proto::Dhcp4,
        DhcpMessage::Discover,
        Loader::Agent,
        Some(("http://10.0.0.1/agent/report", None)),
    );
    story.after(300).report();
    insta::assert_snapshot!(story.told(), @r#"
    booted: reported in 12.0 s after its first request Some("debian@1") Some("lab")
          0 ms dhcp     x64 UEFI pxe: image/debian/uki.efi (4100 ms)
       4300 ms nbp      image/debian/uki.efi over TFTP, 17.3 MB in 1.40 s (1400 ms)
      11700 ms agent    agent: http://10.0.0.1/agent/report (0 ms)
      12000 ms report   asked (0 ms)
    "#);
}

#[test]
fn a_boot_through_ipxe_is_one_boot() {
    let mut story = Story::default();
    story.dhcp(Proto::Proxy4, DhcpMessage::Discover, Loader::Pxe, Some(("loader/snponly.efi", Some("debian@1"))));
    story.after(4000).dhcp(
        Proto::BootServer4,
        DhcpMessage::Request,
        Loader::Pxe,
        Some(("loader/snponly.efi", Some("debian@1"))),
    );
    story.after(200).file(Proto::Tftp, "loader/snponly.efi", 200_000, 150);
    story.after(3000).ipxe().after(20).script();
    story.after(400).file(Proto::Http, "image/debian@1/linux", 8_000_000, 300);
    story.after(100).file(Proto::Http, "image/debian@1/initrd", 900, 10);
    story.after(4000).report();
    insta::assert_snapshot!(story.told(), @r#"
    booted: reported in 11.7 s after its first request Some("debian@1") Some("lab")
          0 ms dhcp     x64 UEFI pxe: loader/snponly.efi (0 ms)
       4000 ms pxe-4011 x64 UEFI pxe: loader/snponly.efi (0 ms)
       4050 ms nbp      loader/snponly.efi over TFTP, 200.0 kB in 0.15 s (150 ms)
       7200 ms ipxe     x64 UEFI ipxe: http://10.0.0.1/boot.ipxe?mac=x (4 ms)
       7224 ms script   script for debian@1 (0 ms)
       7324 ms kernel   image/debian@1/linux over HTTP, 8.0 MB in 0.30 s (300 ms)
       7714 ms initrd   image/debian@1/initrd over HTTP, 900 bytes in 0.01 s (10 ms)
      11724 ms report   asked (0 ms)
    "#);
}

#[test]
fn each_point_of_the_way_has_its_words() {
    let mut story = Story::default();
    let mut seen = Vec::new();
    story.dhcp(Proto::Dhcp4, DhcpMessage::Discover, Loader::Os, None);
    seen.push(story.stands());
    story.dhcp(Proto::Dhcp4, DhcpMessage::Discover, Loader::Pxe, Some(("loader/snponly.efi", None)));
    seen.push(story.stands());
    story.after(4000).dhcp(Proto::Dhcp4, DhcpMessage::Request, Loader::Pxe, Some(("loader/snponly.efi", None)));
    seen.push(story.stands());
    story.after(200).file(Proto::Tftp, "loader/snponly.efi", 200_000, 150);
    seen.push(story.stands());
    story.after(2000).ipxe();
    seen.push(story.stands());
    story.after(20).failed(Proto::Http, "autoexec.ipxe", 0, Outcome::Declined(Why::NotFound));
    story.after(20).script();
    seen.push(story.stands());
    story.after(20).file(Proto::Http, "image/debian@1/linux", 8_000_000, 300);
    seen.push(story.stands());
    insta::assert_snapshot!(seen.join("\n"), @"
    idle: has not asked to be booted
    offered: was offered loader/snponly.efi
    loading: loading loader/snponly.efi
    chained: has loaded loader/snponly.efi, which has not asked for anything yet
    loading: loading http://10.0.0.1/boot.ipxe?mac=x
    loading: loading script for debian@1
    started: has loaded image/debian@1/linux
    ");
}

#[test]
fn a_boot_that_stops_says_where_and_why() {
    let declined = |why| Outcome::Declined(why);
    let discover = |outcome| {
        let mut story = Story::default();
        let about = About::Dhcp {
            message: DhcpMessage::Discover,
            loader: Loader::Pxe,
            arch: ClientArch::BIOS,
            relay: None,
            place: Box::default(),
            boot: None,
            refused: None,
        };
        story.note(Proto::Dhcp4, about, outcome);
        story.stands()
    };
    let loading = |path: &str, sent, outcome| {
        let mut story = Story::default();
        story.pxe("image/debian/uki.efi", None).after(100).failed(Proto::Tftp, path, sent, outcome);
        story.stands()
    };
    let seen = [
        discover(declined(Why::NoRule)),
        discover(declined(Why::LocalBoot { rule: "disk".into() })),
        loading("image/debian/uki.efi", 0, declined(Why::NotFound)),
        loading("image/debian/uki.efi", 4096, Outcome::Peer("no ACK for block 3".into())),
        loading("image/debian/uki.efi", 0, Outcome::Peer("ERROR 8: aborted".into())),
        loading("revocations.efi", 0, declined(Why::NotFound)),
        loading("image/debian/uki.efi", 0, Outcome::Ourselves("disk".into())),
    ];
    insta::assert_snapshot!(seen.join("\n"), @"
    stopped: stopped at DHCP: declined (no-rule): no rule matches this machine
    local: left to its own disk by rule `disk`
    stopped: stopped at image/debian/uki.efi over TFTP: declined (not-found): no such file
    stopped: stopped at image/debian/uki.efi over TFTP: peer's fault: no ACK for block 3
    loading: loading image/debian/uki.efi
    loading: loading image/debian/uki.efi
    stopped: stopped at image/debian/uki.efi over TFTP: failed: disk
    ");
}

#[test]
fn a_restart_is_another_boot_and_a_repeated_discover_is_not() {
    let mut story = Story::default();
    let discover = |story: &mut Story| {
        story.dhcp(Proto::Dhcp4, DhcpMessage::Discover, Loader::Pxe, Some(("image/a/uki.efi", None)));
    };
    discover(&mut story);
    discover(story.after(4000));
    discover(story.after(8000));
    assert_eq!(story.boots().len(), 1);
    story.after(100).file(Proto::Tftp, "image/a/uki.efi", 1000, 50);
    discover(story.after(3000));
    assert_eq!(story.boots().len(), 2, "firmware asks although it had its file");
    discover(story.after(GAP.as_secs() * 1000));
    assert_eq!(story.boots().len(), 3, "after a long silence");
    story.after(10).report();
    story.after(5000).ipxe();
    assert_eq!(story.boots().len(), 4, "iPXE in ROM after a boot that reported");
    story.after(100).script().after(1000).ipxe();
    assert_eq!(story.boots().len(), 5, "iPXE again after its script");
    let boots = story.boots();
    assert!(boots.windows(2).all(|pair| pair[0].entries.end == pair[1].entries.start));
    assert_eq!((boots[0].entries.start, boots[4].entries.end), (0, story.entries.len()));
}

#[test]
fn a_loader_that_never_speaks_is_noticed() {
    let mut story = Story::default();
    for _ in 0..2 {
        story.after(1000).pxe("loader/snponly.efi", None).after(500).file(
            Proto::Tftp,
            "loader/snponly.efi",
            200_000,
            100,
        );
    }
    let notice = story.boots().last().unwrap().notice.clone().unwrap_or_default();
    assert!(notice.contains("likely refused by Secure Boot") && !notice.contains("times"), "{notice}");
    story.after(1000).pxe("loader/snponly.efi", None).after(500).file(Proto::Tftp, "loader/snponly.efi", 200_000, 100);
    insta::assert_snapshot!(story.stands(), @"chained: has loaded loader/snponly.efi, which has not asked for anything yet; loader/snponly.efi was sent 3 times within a minute, but iPXE never asked for anything: it does not start here");
    story.after(1000).ipxe();
    for _ in 0..2 {
        story.after(60_000).pxe("loader/snponly.efi", None).after(500).file(
            Proto::Tftp,
            "loader/snponly.efi",
            200_000,
            100,
        );
    }
    assert_eq!(story.boots().last().unwrap().notice, None, "iPXE spoke, and the rest is slow");
}

#[test]
fn a_request_for_another_server_changes_nothing_about_our_offer() {
    let mut story = Story::default();
    story.dhcp(Proto::Proxy4, DhcpMessage::Discover, Loader::Pxe, Some(("loader/snponly.efi", None))).after(4000);
    let about = About::Dhcp {
        message: DhcpMessage::Request,
        loader: Loader::Pxe,
        arch: ClientArch::X64_UEFI,
        relay: None,
        place: Box::default(),
        boot: None,
        refused: None,
    };
    story.note(Proto::Proxy4, about, Outcome::Declined(Why::NotForUs));
    let boot = story.boots().remove(0);
    assert_eq!((boot.stages.len(), boot.word(boot.last)), (1, "offered"));
    assert!(boot.stages[0].what.contains("loader/snponly.efi"), "{}", boot.stages[0].what);
}

#[test]
fn silence_on_the_way_is_told_and_silence_after_it_is_peace() {
    let mut story = Story::default();
    story.pxe("image/a/uki.efi", None);
    let boot = story.boots().remove(0);
    let later = boot.last.plus(Duration::from_secs(180));
    assert_eq!(
        (boot.word(later), boot.summary(later).as_str()),
        ("silent", "loading image/a/uki.efi, but nothing was heard for 3 min")
    );
    story.report();
    let boot = story.boots().remove(0);
    assert_eq!(boot.word(later), "booted");
}

#[test]
fn a_report_from_nowhere_is_a_boot_whose_start_nobody_saw() {
    let mut story = Story::default();
    story.report();
    assert_eq!(story.stands(), "booted: booted: reported in");
    assert_eq!(boots::<Entry>(&[]), []);
}

#[test]
fn a_machine_that_the_org_refuses_stops_there_with_the_reason() {
    let mut story = Story::default();
    story.pxe("image/bootstrap/uki.efi", Some("bootstrap@1"));
    story.after(500).file(Proto::Tftp, "image/bootstrap/uki.efi", 17_301_504, 400);
    story.after(5000).note(Proto::Trust, About::Org, Outcome::Answered("answered".into()));
    let answered = boots(&story.entries);
    assert!(!answered[0].summary(Timestamp(1_020_000)).contains("the org"), "{:?}", answered[0]);
    let why = Why::Refused { code: "no-window", told: "no enrolment window is open" };
    story.after(500).note(Proto::Trust, About::Org, Outcome::Declined(why));
    let boots = boots(&story.entries);
    let said = boots[0].summary(Timestamp(1_020_000));
    assert!(said.contains("the org") && said.contains("no enrolment window is open"), "{said}");
    assert_eq!(boots[0].stages.iter().filter(|stage| stage.name == "org").count(), 2);
}

#[test]
fn a_machine_that_does_not_know_our_ca_stops_at_the_handshake() {
    let mut story = Story::default();
    let given = Some(("https://10.0.0.1:8443/image/debian/uki.efi", Some("debian@1")));
    story.dhcp(Proto::Dhcp4, DhcpMessage::Discover, Loader::UefiHttp, given);
    story.after(4000).dhcp(Proto::Dhcp4, DhcpMessage::Request, Loader::UefiHttp, given);
    let silent = boots(&story.entries);
    let said = silent[0].summary(Timestamp(1_000_000 + 4000 + 180_000));
    assert!(said.contains("nothing was heard for 3 min (firmware in which no CA is enrolled"), "{said}");
    story.after(300).note(Proto::Https, About::Handshake, Outcome::Declined(Why::UnknownCa));
    let boots = boots(&story.entries);
    let said = boots[0].summary(Timestamp(1_010_000));
    assert!(
        said.starts_with("stopped at the TLS handshake: declined (unknown-ca): the machine does not know"),
        "{said}"
    );
    assert_eq!(boots[0].word(Timestamp(1_010_000)), "stopped");
}

#[test]
fn a_machine_with_a_network_disk_is_not_heard_any_more_and_need_not_be() {
    const ROOT: &str = "iscsi:10.0.0.5::::iqn.2026-01.example:disk1";
    let mut story = Story::default();
    story.ipxe().after(20);
    let given = Given {
        what: ROOT.into(),
        rule: "lab".into(),
        image: Some("disk1".into()),
        footing: None,
        lead: crate::answer::Lead::default(),
    };
    story.note(Proto::Http, About::Script(Some(given)), Outcome::Answered("200".into()));
    let attached = format!("attached: was given the network disk {ROOT}, and what it does there is not heard here");
    assert_eq!(story.stands(), attached);
    let boot = story.boots().pop().unwrap();
    assert_eq!(boot.word(Timestamp(boot.last.0 + 600_000)), "attached", "silence is no fault");
    story.after(9000).report();
    assert!(story.stands().starts_with("booted"), "{}", story.stands());

    let mut told_in_dhcp = Story::default();
    told_in_dhcp.dhcp(Proto::Dhcp4, DhcpMessage::Request, Loader::Ipxe, Some((ROOT, Some("disk1"))));
    assert_eq!(told_in_dhcp.stands(), attached);
}

#[test]
fn an_iso_that_is_read_in_parts_is_one_stage() {
    let mut story = Story::default();
    story.ipxe().after(20).script();
    story.after(100).file(Proto::Http, "image/live@1/boot.iso", 2048, 1);
    for _ in 0..3 {
        let about = |path: &str| About::File {
            path: path.into(),
            sent: 9_000_000,
            took: Duration::from_millis(500),
            whole: false,
        };
        story.after(1000).note(Proto::Http, about("image/live@1/boot.iso"), Outcome::Answered("206".into()));
    }
    insta::assert_snapshot!(story.told(), @r#"
    has loaded image/live@1/boot.iso Some("debian@1") Some("lab")
          0 ms ipxe     x64 UEFI ipxe: http://10.0.0.1/boot.ipxe?mac=x (4 ms)
         24 ms script   script for debian@1 (0 ms)
        123 ms disk     image/live@1/boot.iso over HTTP, read in parts (3001 ms)
    "#);
}

#[test]
fn firmware_that_asks_again_with_all_of_it_in_hand_has_likely_refused_it() {
    for (path, remedy) in [
        ("image/debian/uki.efi", "slipway image sign"),
        ("loader/snponly.efi", "shim and GRUB"),
        ("shim/shimx64.efi", "Microsoft's UEFI CA"),
    ] {
        let mut story = Story::default();
        story.pxe(path, Some("debian@1"));
        story.after(1500).file(Proto::Tftp, path, 17_301_504, 1400);
        let quiet = story.stands();
        assert!(!quiet.contains("Secure Boot"), "{quiet}");
        let url = "http://10.0.0.1/image/debian/uki.efi";
        let again = Some((url, Some("debian@1")));
        story.after(2000).dhcp(Proto::Dhcp4, DhcpMessage::Discover, Loader::UefiHttp, again);
        let told: Vec<String> = story.boots().iter().map(|boot| boot.summary(boot.last)).collect();
        let wanted = format!("had all of {path} and asked again 2 s later: likely refused by Secure Boot");
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told.iter().all(|boot| boot.contains(&wanted) && boot.contains(remedy)), "{told:?}");
    }
}

#[test]
fn what_has_spoken_was_not_refused() {
    let mut story = Story::default();
    story.pxe("image/debian/uki.efi", Some("debian@1"));
    story.after(1500).file(Proto::Tftp, "image/debian/uki.efi", 17_301_504, 1400);
    story.after(9000).dhcp(Proto::Dhcp4, DhcpMessage::Discover, Loader::Os, None);
    story.after(9000).pxe("image/debian/uki.efi", Some("debian@1"));
    assert!(!story.stands().contains("Secure Boot"), "{}", story.stands());
    let mut story = Story::default();
    story.pxe("image/debian/uki.efi", Some("debian@1"));
    story.after(1500).file(Proto::Tftp, "image/debian/uki.efi", 17_301_504, 1400);
    story.after(61_000).pxe("image/debian/uki.efi", Some("debian@1"));
    assert!(!story.stands().contains("Secure Boot"), "a reboot: {}", story.stands());
}

#[test]
fn a_boot_through_shim_and_grub_is_one_boot() {
    let mut story = Story::default();
    story.pxe("shim/shimx64.efi", Some("debian@1"));
    story.after(500).file(Proto::Tftp, "shim/shimx64.efi", 1_048_504, 400);
    let waiting = story.stands();
    story.after(900).file(Proto::Tftp, "shim/grubx64.efi", 1_900_000, 600);
    story.after(100).failed(Proto::Tftp, "grub/x86_64-efi/command.lst", 0, Outcome::Declined(Why::NotFound));
    let image = Some("debian@1".into());
    let given = Given { what: "configuration".into(), rule: "lab".into(), image, footing: None, lead: Lead::default() };
    story.after(10).note(Proto::Tftp, About::Script(Some(given)), Outcome::Answered("configuration".into()));
    story.after(900).file(Proto::Tftp, "image/debian@1/linux", 8_000_000, 800);
    story.after(300).file(Proto::Tftp, "image/debian@1/initrd", 600_000, 100);
    story.after(9000).report();
    insta::assert_snapshot!(format!("{waiting}\n{}", story.told()));
}
