//! From a blank machine to a trusted one, and out again.

use std::sync::Arc;

use slipway_engine::enrol::State;
use slipway_engine::journal::{About, Entry, Outcome, Proto};
use slipway_trust::Refusal;
use slipway_trust::desk::Kind;
use slipway_trust::frames::{Intent, Refused, Reply};
use slipway_trust::machine::{self, Answered, BootProof, Running, Start, Stop};
use slipway_trust::record::Verb;
use tokio::task::JoinSet;

use crate::kit::{Connection, Machine, Org, tls};

fn refused(reply: &[u8]) -> Refusal {
    match slipway_trust::decode(reply).unwrap() {
        Reply::Refused(Refused { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

/// Where the machine stands for the boot planes.
fn standing(org: &Org, machine: &Machine) -> Option<State> {
    let known = org.journal.machines().known();
    known.standings().of(machine.mac.parse().unwrap(), None).map(|standing| standing.state)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_without_a_tpm_enrols_boots_and_is_revoked_and_restarts_lose_nothing() {
    let mut org = Org::new().await;
    let machine = Machine::new(1);
    assert!(matches!(machine.ask(&org, None).await, Err(Stop::Refused(Refused { why: Refusal::NoWindow, .. }))));
    org.open_window(10);
    assert!(org.journal.machines().known().standings().window_open());

    let mut waiting = machine.ask(&org, None).await.unwrap();
    assert!(matches!(machine.poll(&org, &mut waiting).await, Answered::Wait(_)));
    let ticket = org.plane().tickets(false).tickets.remove(0);
    assert_eq!((ticket.words.as_str(), ticket.state.as_str()), (waiting.words(), "requested"));
    assert_eq!((ticket.assurance.as_str(), ticket.address.as_str()), ("claimed", "127.0.0.1"));
    assert_eq!(standing(&org, &machine), Some(State::Asking));

    org.restart().await;
    org.plane().submit(Kind::Approval, &org.approval(&machine)).unwrap();
    org.restart().await;
    let granted = machine.granted(&org, &mut waiting).await;
    assert_eq!(granted.grant().sources, ["http://127.0.0.1:8067", "http://10.77.0.1:8067"]);
    assert_eq!((granted.grant().name.as_str(), granted.grant().recovery), ("web1", false));
    // The same again to the same key, which may have lost the answer: it is the same machine, and shows the newer nonce.
    org.restart().await;
    let again = machine.granted(&org, &mut waiting).await;
    assert_eq!(again.grant().machine, granted.grant().machine);
    let granted = again;
    assert_eq!(org.plane().org_machines().machines.len(), 1);
    assert_eq!(standing(&org, &machine), Some(State::Awaited));
    assert_eq!(machine::on_noted(&machine.install(&org, &mut waiting, &granted).await), Ok(()));
    assert_eq!(standing(&org, &machine), Some(State::Enrolled), "there is something on its disk to be sent to");

    let material = boot(&org, &machine, &granted).await.unwrap();
    assert_eq!((material.material.role.as_str(), material.material.shares.len()), ("worker", 1));
    assert_eq!(standing(&org, &machine), Some(State::Enrolled));

    // M13 over a connection with the certificate; and again after the machine is revoked, on the connection that lives.
    let certificate = material.material.certificate.clone();
    let config = tls(&org, Some((certificate.clone(), machine.private())));
    let mut connection = Connection::with(&org, config.clone()).await.unwrap();
    let healthy = machine::healthy(material.generation.sha256);
    assert_eq!(machine::on_noted(&connection.frame(&healthy).await), Ok(()));
    let id = granted.grant().machine.to_string();
    assert_eq!(org.plane().org_machines().machines[0].state, "active");
    let mut live = Connection::with(&org, config.clone()).await.unwrap();
    org.plane().submit(Kind::Act, &org.act(&id, Verb::Revoke)).unwrap();
    assert_eq!(refused(&live.frame(&healthy).await), Refusal::Revoked);
    let mut anew = Connection::with(&org, config).await.unwrap();
    assert_eq!(refused(&anew.frame(&healthy).await), Refusal::Revoked);
    assert!(matches!(boot(&org, &machine, &granted).await, Err(Stop::Refused(Refused { why: Refusal::Revoked, .. }))));
    assert_eq!(standing(&org, &machine), Some(State::Revoked));

    // All of it is in the audit log, whose chain holds after another start.
    org.restart().await;
    let audit = org.plane().audit(1).unwrap();
    let events: Vec<&str> = audit.entries.iter().map(|entry| entry.event.as_str()).collect();
    for event in ["manifest-installed", "window-opened", "ticket-opened", "ticket-approved", "machine-revoked"] {
        assert!(events.contains(&event), "{event} in {events:?}");
    }
    assert_eq!(u64::try_from(events.len()).unwrap(), audit.count);
    assert_eq!(standing(&org, &machine), Some(State::Revoked), "told again at the start");
}

async fn boot(org: &Org, machine: &Machine, granted: &machine::Granted) -> Result<machine::Admitted, Stop> {
    let mut connection = Connection::open(org).await;
    let start = machine.start(org, Intent::Boot, None);
    let (greeted, hello) = Start { machine: Some(granted.grant().machine), ..start }.hello();
    let challenged = greeted.on_challenge(&connection.frame(&hello).await, &connection.channel)?;
    let proof = BootProof {
        key: machine.public(),
        machine: granted.grant().machine,
        confirm: Some(granted.grant().confirm),
        quote: None,
        generation: None,
        counter: 1,
        volume: None,
        ca_spki: org.ca_spki,
    };
    let (booting, frame) = challenged.boot(proof).sign(&machine.key).unwrap();
    let root = org.root.public();
    let running = Running { root: &root, now: org.clock.now(), epoch: 1, floor: 0 };
    booting.on_material(&connection.frame(&frame).await, &running)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_machines_with_one_invite_exactly_one_is_let_in() {
    let limits = slipway_server::trust::Limits { per_source: 256, ..Default::default() };
    let door = slipway_trust::node::DoorLimits { hellos_a_minute: 1000, ..Default::default() };
    let org = Arc::new(Org::with(limits, door).await);
    org.open_window(1000);
    let token = org.invite(1);
    let mut racing = JoinSet::new();
    for n in 0..100 {
        let (org, token) = (Arc::clone(&org), token.clone());
        racing.spawn(async move {
            let machine = Machine::new(n);
            match machine.ask(&org, Some(&token)).await {
                Ok(mut waiting) => match machine.poll(&org, &mut waiting).await {
                    Answered::Granted(_) => None,
                    Answered::Refused(refused) => Some(refused.why),
                    Answered::Wait(_) => panic!("the invite decides"),
                },
                Err(Stop::Refused(refused)) => Some(refused.why),
                Err(Stop::Misled(why)) => panic!("{why}"),
            }
        });
    }
    let fates = racing.join_all().await;
    let refused = |fate: &&Option<Refusal>| **fate == Some(Refusal::InviteUsed);
    assert_eq!(fates.iter().filter(|fate| fate.is_none()).count(), 1, "{fates:?}");
    assert_eq!(fates.iter().filter(refused).count(), 99, "{fates:?}");
    assert_eq!((org.plane().org_machines().machines.len(), org.plane().invites().invites[0].uses), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_machines_journey_tells_its_enrolment_with_the_reasons() {
    let org = Org::new().await;
    let machine = Machine::new(1);
    org.journal.note(known("127.0.0.1", &machine.mac));
    assert!(machine.ask(&org, None).await.is_err());
    org.open_window(1);
    machine.ask(&org, None).await.unwrap();
    // What it was refused before it told who it is, is known by its address alone.
    let entries = org.journal.machine(machine.mac.parse().unwrap()).unwrap();
    let told: Vec<(Proto, String, String)> = entries
        .iter()
        .skip(1)
        .map(|entry| {
            let why = match &entry.outcome {
                Outcome::Declined(why) => why.code().to_owned(),
                other => other.to_string(),
            };
            (entry.proto, entry.asked.split(' ').next().unwrap().to_owned(), why)
        })
        .collect();
    let row = |asked: &str, outcome: &str| (Proto::Trust, asked.to_owned(), outcome.to_owned());
    assert_eq!(told[..2], [row("hello", "no-window"), row("hello", "answered")]);
    assert_eq!((told[2].0, told[2].1.as_str()), (Proto::Trust, "evidence"), "{told:?}");
    assert_eq!(told.len(), 3);
}

/// What DHCP would tell.
fn known(ip: &str, mac: &str) -> Entry {
    Entry {
        at: slipway_server::journal::now(),
        proto: Proto::Dhcp4,
        mac: mac.parse().ok(),
        ip: ip.parse().ok(),
        uuid: None,
        interface: "lo".to_owned(),
        asked: "REQUEST".to_owned(),
        about: About::Other,
        outcome: Outcome::Answered("ACK".to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_whose_address_is_known_by_nobody_has_its_journey_by_what_it_says_of_itself() {
    let org = Org::new().await;
    org.open_window(1);
    let machine = Machine::new(1);
    machine.ask(&org, None).await.unwrap();
    let entries = org.journal.machine(machine.mac.parse().unwrap()).unwrap();
    assert_eq!(entries.len(), 1, "its hello told nothing of it: {entries:?}");
}
