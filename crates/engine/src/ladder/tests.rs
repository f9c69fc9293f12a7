use core::net::IpAddr;

use slipway_wire::MacAddr;

use super::*;
use crate::answer::Lead;
use crate::journal::Given;
use crate::request::Place;

const FILE: &str = "image/debian/uki.efi";

/// One machine and the server, with what is remembered of it.
#[derive(Default)]
struct Play {
    ladder: Ladder,
    worked: Option<Worked>,
    told: Vec<String>,
}

fn request(ground: Ground) -> BootRequest {
    let (arch, exchange) = match ground {
        Ground::Uefi => (ClientArch::X64_UEFI, Exchange::Dhcp),
        Ground::UefiBeside => (ClientArch::X64_UEFI, Exchange::ProxyDhcp),
        Ground::Bios => (ClientArch::BIOS, Exchange::Dhcp),
        Ground::BiosBeside => (ClientArch::BIOS, Exchange::ProxyDhcp),
    };
    BootRequest {
        exchange,
        loader: Loader::Pxe,
        arch,
        mac: MacAddr([2; 6]),
        uuid: None,
        interface: "eth0".into(),
        relay: None,
        place: Place::default(),
        client_ip: None::<IpAddr>,
        user_class: None,
        vendor_class: None,
        rung: Rung::Plain,
    }
}

impl Play {
    /// One event, `at` seconds: `D1` a DISCOVER with xid 1, `R` it takes our address, `O` another server's, `4` it asks port 4011, `P` it
    /// probes the boot file, `F` it has the whole of it, `X` it fetches something else.
    fn event(&mut self, ground: Ground, at: u64, what: &str) {
        let now = Timestamp(1_000_000 + 1000 * at);
        let asked = request(ground);
        let entry = |proto, about, outcome| Entry {
            at: now,
            proto,
            mac: Some(asked.mac),
            ip: None,
            uuid: None,
            interface: "eth0".into(),
            asked: String::new(),
            about,
            outcome,
        };
        let proto = if ground.gives_address() { Proto::Dhcp4 } else { Proto::Proxy4 };
        let worked = self.worked;
        let dhcp = |message, footing| About::Dhcp {
            message,
            loader: Loader::Pxe,
            arch: asked.arch,
            boot: Some(Given { what: FILE.into(), rule: "all".into(), image: None, footing, lead: Lead::default() }),
            refused: None,
            relay: None,
            place: Box::default(),
        };
        let file = |path: &str, whole| About::File { path: path.into(), sent: 1, took: Duration::ZERO, whole };
        let yes = || Outcome::Answered(String::new());
        let entry = match what.split_at(1) {
            ("D", xid) => {
                let footing = self.ladder.stand(&asked, xid.parse().unwrap(), worked.as_ref(), now).unwrap();
                let why = footing.climbed.map_or("", Ignored::code);
                self.told.push([footing.rung.name(), why].join(" ").trim().to_owned());
                entry(proto, dhcp(DhcpMessage::Discover, Some(footing)), yes())
            }
            ("R", _) => {
                let footing = self.ladder.stays(&asked, 0, worked.as_ref()).unwrap();
                assert_eq!(footing.rung, self.ladder.rung(), "what follows an offer is of its kind");
                entry(proto, dhcp(DhcpMessage::Request, Some(footing)), yes())
            }
            ("O", _) => {
                let why = if ground.gives_address() { Why::OtherServer } else { Why::NotForUs };
                entry(proto, dhcp(DhcpMessage::Request, None), Outcome::Declined(why))
            }
            ("4", _) => entry(Proto::BootServer4, dhcp(DhcpMessage::Request, None), yes()),
            ("P", _) => entry(Proto::Tftp, file(FILE, false), Outcome::Peer("aborted".into())),
            ("F", _) => entry(Proto::Tftp, file(FILE, true), yes()),
            ("X", _) => entry(Proto::Http, file("image/other/linux", true), yes()),
            _ => panic!("{what}"),
        };
        if let Some(news) = self.ladder.heed(&entry, worked.as_ref()) {
            self.worked = news;
            self.told.push(format!("keeps {}", news.map_or("nothing", |worked| worked.rung.name())));
        }
    }

    /// Events as `seconds event, seconds event`; what was answered to each DISCOVER, and what was kept.
    fn tell(&mut self, ground: Ground, events: &str) -> String {
        self.told.clear();
        for event in events.split(", ") {
            let (at, what) = event.split_once(' ').unwrap();
            self.event(ground, at.parse().unwrap(), what);
        }
        self.told.join(", ")
    }
}

#[test]
fn who_takes_the_offer_never_leaves_the_first_rung() {
    let ovmf = "0 D1, 4 R, 5 P, 5 F";
    for ground in Ground::ALL {
        let boot = if ground.gives_address() { ovmf } else { "0 D1, 4 O, 4 4, 5 P, 5 F" };
        for (what, events) in [
            ("a boot", boot.to_owned()),
            ("boots in a loop, each with its xid", format!("{boot}, 30 D2, 34 R, 35 F, 60 D3, 64 R, 65 F, 90 D4")),
            ("the same xid at each power-on", format!("{boot}, 60 D1, 64 R, 65 F, 120 D1, 124 R, 125 F, 180 D1")),
            ("four xids within a second", "0 D1, 0 D2, 1 D3, 1 D4, 2 R, 2 F, 60 D5, 60 D6, 61 D7, 61 D8".to_owned()),
            ("one offer lost", "0 D1, 4 D1, 8 R, 9 F, 60 D2".to_owned()),
            ("one boot lost", "0 D1, 60 D2, 64 R, 65 F, 120 D3, 180 D4, 184 R, 185 F".to_owned()),
            (
                "it comes, and the transfer breaks",
                "0 D1, 4 R, 5 P, 60 D2, 64 R, 65 P, 120 D3, 124 R, 125 P, 180 D4".to_owned(),
            ),
        ] {
            let told = Play::default().tell(ground, &events);
            assert!(told.split(", ").all(|answer| answer == "plain"), "{ground:?}: {what}: {told}");
        }
    }
}

#[test]
fn another_servers_client_is_left_alone() {
    let mut play = Play::default();
    let chose = "0 D1, 4 O, 60 D2, 64 O, 120 D3, 124 O, 180 D4";
    assert_eq!(
        play.tell(Ground::Uefi, chose),
        "plain, plain, plain, plain",
        "it has an address from another, and boots there"
    );
    // Where no server gives an address nobody can boot: it is not our offer that fails.
    let silent = "0 D1, 4 D1, 12 D1, 28 D1, 60 D2, 64 D2, 72 D2, 88 D2, 120 D3";
    for ground in [Ground::UefiBeside, Ground::BiosBeside] {
        let told = Play::default().tell(ground, silent);
        assert!(told.split(", ").all(|answer| answer == "plain"), "{told}");
    }
}

#[test]
fn an_ignored_offer_is_made_in_another_way_until_one_is_taken() {
    let mut play = Play::default();
    // edk2's windows of 4, 8, 16 and 32 s, then the next power-on.
    assert_eq!(
        play.tell(Ground::Uefi, "0 D1, 4 D1, 12 D1, 28 D1, 90 D2, 94 D2, 102 D2"),
        "plain, plain, boot-server asked-again, boot-server, this-file started-anew, this-file, other-loader asked-again"
    );
    assert_eq!(play.tell(Ground::Uefi, "106 R, 107 P, 108 F"), "keeps other-loader");
    assert_eq!(play.tell(Ground::Uefi, "300 D3, 304 R, 305 F, 600 D4"), "other-loader, other-loader", "remembered");
    let worked = play.worked;
    let mut restarted = Play { worked, ..Play::default() };
    assert_eq!(restarted.tell(Ground::Uefi, "0 D9, 4 R, 5 F"), "other-loader", "also by another process");
    assert_eq!(restarted.tell(Ground::UefiBeside, "60 D10"), "plain", "beside another server it stands elsewhere");
}

#[test]
fn each_ground_has_its_own_rungs_and_the_first_follows_the_last() {
    for (ground, events, expected) in [
        (
            Ground::Uefi,
            "0 D1, 60 D2, 120 D3, 180 D4, 240 D5, 300 D6, 360 D7, 420 D8, 480 D9",
            "plain, plain, boot-server started-anew, boot-server, this-file started-anew, this-file, \
             other-loader started-anew, other-loader, plain started-anew",
        ),
        (
            Ground::Bios,
            "0 D1, 4 R, 60 D2, 64 R, 120 D3, 124 R, 124 4, 180 D4, 184 4, 240 D5, 300 D6, 360 D7",
            "plain, plain, this-file address-only, this-file, boot-server no-file, boot-server, plain started-anew",
        ),
        (
            Ground::UefiBeside,
            "0 D1, 4 O, 60 D2, 64 O, 64 4, 120 D3, 124 O, 180 D4, 184 O, 240 D5, 244 O, 300 D6, 304 O, 360 D7",
            "plain, plain, this-file no-file, this-file, other-loader address-only, other-loader, plain address-only",
        ),
        (
            Ground::BiosBeside,
            "0 D1, 4 O, 60 D2, 64 O, 120 D3, 124 O, 180 D4, 184 O, 240 D5",
            "plain, plain, boot-server address-only, boot-server, plain address-only",
        ),
    ] {
        let mut play = Play::default();
        assert_eq!(play.tell(ground, events), expected, "{ground:?}");
        assert_eq!(play.ladder.rounds(), 1, "{ground:?}: every kind was in vain");
    }
}

#[test]
fn what_is_taken_again_at_the_first_rung_is_no_longer_remembered() {
    let known =
        Worked { ground: Ground::Uefi, rung: Rung::OtherLoader, because: Ignored::AskedAgain, since: Timestamp(1) };
    let mut play = Play { worked: Some(known), ..Play::default() };
    assert_eq!(
        play.tell(Ground::Uefi, "0 D1, 60 D2, 120 D3, 124 R, 125 X, 126 F"),
        "other-loader, other-loader, plain started-anew, keeps nothing"
    );
    assert_eq!((play.worked, play.ladder.rounds()), (None, 0));
}

#[test]
fn only_pxe_roms_climb() {
    let xid = 1;
    for loader in [Loader::Os, Loader::UefiHttp, Loader::Ipxe, Loader::UBoot, Loader::Agent] {
        let asked = BootRequest { loader, ..request(Ground::Uefi) };
        assert_eq!(Ladder::default().stand(&asked, xid, None, Timestamp(0)), None, "{loader}");
        assert_eq!(Ladder::default().stays(&asked, xid, None), None, "{loader}");
    }
    for arch in [ClientArch::RPIBOOT, ClientArch::ARM64_UBOOT, ClientArch(4711)] {
        assert_eq!(
            Ladder::default().stand(&BootRequest { arch, ..request(Ground::Uefi) }, xid, None, Timestamp(0)),
            None
        );
    }
}

#[test]
fn port_4011_stays_where_the_offer_was() {
    let worked =
        Worked { ground: Ground::Uefi, rung: Rung::OtherLoader, because: Ignored::AskedAgain, since: Timestamp(1) };
    let asked = BootRequest { exchange: Exchange::BootServer, ..request(Ground::Uefi) };
    let rung = |ladder: &Ladder, worked| ladder.stays(&asked, 1, worked).unwrap().rung;
    assert_eq!(rung(&Ladder::default(), None), Rung::Plain);
    assert_eq!(rung(&Ladder::default(), Some(&worked)), Rung::OtherLoader);
    let mut play = Play::default();
    play.tell(Ground::Uefi, "0 D1, 60 D2, 120 D3");
    assert_eq!(rung(&play.ladder, Some(&worked)), Rung::BootServer);
}

/// Whatever happens in whatever order: a rung is one of the ground's, what is kept is never the usual offer, nothing climbs within
/// a burst, and who fetched its file stays.
#[test]
fn no_order_of_events_leads_off_the_ladder() {
    use proptest::prelude::*;
    let event = prop_oneof![
        (1_u32..4).prop_map(|xid| format!("D{xid}")),
        prop_oneof![Just("R"), Just("O"), Just("4"), Just("P"), Just("F"), Just("X")].prop_map(str::to_owned),
    ];
    let ground =
        prop_oneof![Just(Ground::Uefi), Just(Ground::UefiBeside), Just(Ground::Bios), Just(Ground::BiosBeside),];
    let steps = proptest::collection::vec((0_u64..50, ground, event), 1..60);
    proptest!(|(steps in steps)| {
        let (mut play, mut now, mut discovered, mut fetched) = (Play::default(), 0, 0, None);
        for (pause, ground, event) in steps {
            now += pause;
            let before = play.ladder.clone();
            play.told.clear();
            if event.starts_with('R') && before.attempt.as_ref().is_none_or(|attempt| attempt.ground != ground) {
                continue;
            }
            play.event(ground, now, &event);
            let last = play.ladder.attempt.as_ref();
            if let Some(attempt) = last {
                prop_assert!(attempt.ground.rungs().contains(&play.ladder.rung()));
            }
            prop_assert!(play.worked.is_none_or(|worked| worked.rung != Rung::Plain));
            let climbed = play.told.first().is_some_and(|told| told.contains(' ') && !told.starts_with("keeps"));
            prop_assert!(!(climbed && now - discovered < 3), "within a burst");
            prop_assert!(!(climbed && fetched == Some(ground)), "it had just fetched its file");
            if event == "F" && last.is_some() {
                fetched = last.map(|attempt| attempt.ground);
            } else if event.starts_with('D') {
                (discovered, fetched) = (now, None);
            }
        }
    });
}

#[test]
fn a_flood_of_machines_is_bounded_and_who_asked_last_stays() {
    let mut ladders = Ladders::default();
    let asked = request(Ground::Uefi);
    let mac = |n: u32| {
        let [a, b, c, d] = n.to_be_bytes();
        MacAddr([2, 0, a, b, c, d])
    };
    for n in 0..10_000 {
        let footing = Some(Footing { rung: Rung::Plain, climbed: None, xid: n });
        let given = Given { what: FILE.into(), rule: "all".into(), image: None, footing, lead: Lead::default() };
        let entry = Entry {
            at: Timestamp(u64::from(n)),
            proto: Proto::Dhcp4,
            mac: Some(mac(n)),
            ip: None,
            uuid: None,
            interface: "eth0".into(),
            asked: String::new(),
            about: About::Dhcp {
                message: DhcpMessage::Discover,
                loader: Loader::Pxe,
                arch: asked.arch,
                relay: None,
                place: Box::default(),
                boot: Some(given),
                refused: None,
            },
            outcome: Outcome::Answered(String::new()),
        };
        assert!(Ladders::matters(&entry));
        assert_eq!(ladders.heed(&entry, None), None);
    }
    let followed = (0..10_000).filter(|n| ladders.get(mac(*n)).is_some()).count();
    assert!((Ladders::MOST / 2..=Ladders::MOST).contains(&followed), "{followed}");
    assert!(ladders.get(mac(9_999)).is_some() && ladders.get(mac(0)).is_none());
    ladders.forget(mac(9_999));
    assert!(ladders.get(mac(9_999)).is_none());
}
