use super::*;
use crate::rules::Path;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

fn enrol(open_discovery: bool) -> Enrol {
    let boot = Boot { image: "bootstrap".into(), version: None, path: Path::Auto, append: None };
    Enrol { boot, open_discovery, recover_after: Enrol::RECOVER_AFTER }
}

fn standing(state: State) -> Standing {
    Standing { state, uuid: Some(Uuid::from_u128(7)), heard: Timestamp(1_000) }
}

fn said(standings: &Standings, enrol: &Enrol) -> &'static str {
    standings.verdict(MAC, None, enrol).map_or_else(|why| why.code(), |()| "image")
}

#[test]
fn an_unknown_machine_is_let_ask_while_a_window_is_open_or_discovery_is() {
    for (window, discovery, wanted) in
        [(false, false, "no-window"), (true, false, "image"), (false, true, "image"), (true, true, "image")]
    {
        let mut standings = Standings::default();
        standings.set_window(window);
        assert_eq!(said(&standings, &enrol(discovery)), wanted, "{window} {discovery}");
    }
}

#[test]
fn each_state_has_its_answer_and_no_window_changes_it() {
    for (state, wanted) in [
        (State::Asking, "image"),
        (State::Awaited, "image"),
        (State::Enrolled, "enrolled"),
        (State::Suspended, "suspended"),
        (State::Revoked, "revoked"),
    ] {
        for open in [false, true] {
            let mut standings = Standings::default();
            standings.set_window(open);
            standings.put(MAC, Some(standing(state)));
            assert_eq!(said(&standings, &enrol(open)), wanted, "{state:?}");
        }
    }
}

#[test]
fn a_machine_that_was_sent_to_its_disk_and_not_heard_has_lost_its_way_after_two_minutes() {
    let mut standings = Standings::default();
    standings.put(MAC, Some(standing(State::Enrolled)));
    let seconds = |n: u64| Timestamp(n * 1_000);
    // Long after it was heard last: it was switched off. The first question only tells that it starts.
    assert!(!standings.tick(seconds(90_000)));
    assert_eq!(said(&standings, &enrol(false)), "enrolled");
    assert!(standings.sent(MAC, seconds(90_000)));
    // The same boot asks in another way.
    assert!(!standings.sent(MAC, seconds(90_060)));
    assert!(standings.tick(seconds(90_119)));
    assert_eq!(said(&standings, &enrol(false)), "enrolled");
    standings.tick(seconds(90_120));
    assert_eq!(said(&standings, &enrol(false)), "image");
    // It is heard: all is well again.
    standings.put(MAC, Some(Standing { heard: seconds(90_121), ..standing(State::Enrolled) }));
    assert!(!standings.waits());
    assert_eq!(said(&standings, &enrol(false)), "enrolled");
}

#[test]
fn news_of_a_machine_that_was_not_heard_leave_its_waiting_as_it_is() {
    let mut standings = Standings::default();
    standings.put(MAC, Some(standing(State::Enrolled)));
    standings.sent(MAC, Timestamp(5_000));
    standings.put(MAC, Some(standing(State::Enrolled)));
    assert!(standings.waits());
    standings.put(MAC, None);
    assert!(!standings.waits());
    assert_eq!(said(&standings, &enrol(false)), "no-window");
}

#[test]
fn a_machine_that_tells_another_uuid_is_another_machine() {
    let mut standings = Standings::default();
    standings.put(MAC, Some(standing(State::Revoked)));
    for (uuid, revoked) in [(Some(7), true), (None, true), (Some(8), false)] {
        assert_eq!(standings.is_revoked(MAC, uuid.map(Uuid::from_u128)), revoked, "{uuid:?}");
    }
}

#[test]
fn only_an_enrolled_machine_can_lose_its_way() {
    for state in [State::Suspended, State::Revoked, State::Asking, State::Awaited] {
        let mut standings = Standings::default();
        standings.put(MAC, Some(standing(state)));
        assert!(!standings.sent(MAC, Timestamp(2_000)), "{state:?}");
    }
}
