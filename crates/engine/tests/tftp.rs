//! The TFTP machine on a bad network, in simulated time.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    unreachable_pub,
    reason = "test code"
)]

mod tftp_lan;

use std::fmt::Write;
use std::time::Duration;

use proptest::prelude::*;
use slipway_engine::tftp::{End, Input, Output, Transfer};
use slipway_wire::tftp::ErrorCode;
use tftp_lan::client::{Fate, Kind};
use tftp_lan::world::{CALM, Outcome, Weather, content, load, terms};

const LOSSES: [u64; 5] = [0, 1, 5, 10, 30];
const WINDOWS: [u16; 4] = [1, 4, 16, 64];

/// Seeds that the machine was not tuned by.
const SEEDS: core::ops::Range<u64> = 7000..7008;

/// The clients that differ from each other at this window: with one of 1, nobody tells gaps, and ROMs know no other.
fn kinds(window: u16) -> impl Iterator<Item = Kind> {
    let differs = move |kind: &Kind| match kind {
        Kind::Edk2 | Kind::Rfc7440 => true,
        Kind::Mute => window > 1,
        Kind::Rom => window == 1,
    };
    [Kind::Edk2, Kind::Rfc7440, Kind::Mute, Kind::Rom].into_iter().filter(differs)
}

/// What counts as a storm, in hundredths of the packets that a calm network takes: three times as many is none, where there are
/// enough blocks for luck to even out. A client that is mute about what it misses costs more, as does a short file with a large
/// window, whose first burst is lost in vain.
fn storm(kind: Kind, window: u16, blocks: usize) -> u64 {
    match (kind, window, blocks < 400) {
        (_, 1, _) | (Kind::Edk2 | Kind::Rfc7440 | Kind::Rom, _, false) => 300,
        (Kind::Mute, 64, true) => 750,
        (_, _, true) => 450,
        (Kind::Mute, 64, false) => 450,
        (Kind::Mute, _, false) => 350,
    }
}

/// Lets a client load a file, and demands what must hold whatever happens.
fn judge(kind: Kind, blksize: u16, window: u16, file: &[u8], weather: Weather, seed: u64) -> Outcome {
    let outcome = load(kind, &terms(blksize, window), file, weather, seed);
    let story = &outcome.story;
    assert!(outcome.outstanding <= u64::from(window), "more than a window at once:\n{story}");
    match outcome.fate {
        Fate::Booted => {
            assert!(outcome.whole, "the file differs:\n{story}");
            assert!(matches!(outcome.end, Some(End::Done { .. })), "the server does not know:\n{story}");
        }
        Fate::GaveUp => assert!(outcome.end.is_some(), "no reason:\n{story}"),
        Fate::Loading => panic!("neither end nor deadline:\n{story}"),
    }
    outcome
}

#[test]
fn every_transfer_on_a_bad_lan_arrives_whole_or_fails_with_a_reason_and_makes_no_storm() {
    let mut table = String::from(
        "packets sent against loss in each direction, in hundredths of a calm network: mean of 8 runs (worst); 1 % doubled, 2 % late\n",
    );
    let _ = writeln!(table, "{:31}{}", "", LOSSES.map(|loss| format!("{loss:>7} %   ")).concat());
    for (blocks, window) in [100, 400, 1000].into_iter().flat_map(|blocks| WINDOWS.map(|window| (blocks, window))) {
        for kind in kinds(window) {
            let costs = LOSSES.map(|loss| {
                let costs = costs(kind, window, blocks, loss);
                let worst = costs.iter().max().unwrap();
                format!("{:>5} ({worst:>3}) ", costs.iter().sum::<u64>() / 8)
            });
            let who = format!("{blocks:>4} blocks, {kind:?} window {window}");
            let _ = writeln!(table, "{who:31}{}", costs.concat().trim_end());
        }
    }
    insta::assert_snapshot!(table);
}

/// What a file costs, run by run, in hundredths of a calm network.
fn costs(kind: Kind, window: u16, blocks: usize, loss: u64) -> Vec<u64> {
    let file = content(512 * blocks + 100);
    let calm = judge(kind, 512, window, &file, CALM, 0).tally.packets;
    let cost = |seed| {
        let outcome = judge(kind, 512, window, &file, Weather { loss, doubled: 1, late: 2 }, seed);
        assert!(loss >= 30 || outcome.fate == Fate::Booted, "{}", outcome.story);
        let cost = outcome.tally.packets * 100 / calm;
        assert!(
            cost <= storm(kind, window, blocks),
            "a storm: {cost} % of the packets without loss\n{}",
            outcome.story
        );
        cost
    };
    SEEDS.map(cost).collect()
}

#[test]
fn larger_blocks_fare_no_worse() {
    for blksize in [1468, 8192] {
        let file = content(usize::from(blksize) * 300);
        for window in WINDOWS {
            for kind in kinds(window) {
                for loss in LOSSES {
                    for seed in 0..2 {
                        let weather = Weather { loss, doubled: 1, late: 2 };
                        let outcome = judge(kind, blksize, window, &file, weather, seed);
                        assert!(outcome.tally.packets <= 301 * 4, "{}", outcome.story);
                    }
                }
            }
        }
    }
}

#[test]
fn losses_alone_cost_little_time_where_the_round_trip_is_short() {
    // 1 ms there and back, 1 % lost in each direction, 1 MiB: a server that waits a second for each loss takes a minute.
    let file = content(1 << 20);
    for (window, limit) in [(1, 3), (4, 2), (16, 1), (64, 1)] {
        for seed in 0..8 {
            let weather = Weather { loss: 1, doubled: 0, late: 0 };
            let outcome = judge(Kind::Edk2, 1468, window, &file, weather, seed);
            assert!(outcome.took < Duration::from_secs(limit), "{:?}\n{}", outcome.took, outcome.story);
        }
    }
}

#[test]
fn block_numbers_wrap_from_65535_to_0() {
    let file = content(8 * 70_000 + 5);
    for window in WINDOWS {
        for kind in kinds(window) {
            for loss in [0, 1] {
                let outcome = judge(kind, 8, window, &file, Weather { loss, doubled: 0, late: 0 }, 1);
                assert_eq!(outcome.fate, Fate::Booted, "{}", outcome.story);
            }
        }
    }
}

#[test]
fn files_of_every_awkward_size_end_with_a_short_block() {
    for size in [0, 1, 511, 512, 513, 1023, 1024, 512 * 4, 512 * 16, 512 * 64, 512 * 64 + 1] {
        for window in WINDOWS {
            for kind in kinds(window) {
                let outcome = judge(kind, 512, window, &content(size), CALM, 0);
                let oack = u64::from(window > 1);
                assert_eq!(outcome.tally.packets, size as u64 / 512 + 1 + oack, "{}", outcome.story);
                assert_eq!(outcome.end, Some(End::Done { acknowledged: true }));
            }
        }
    }
}

/// A machine, and what it has said.
struct Bench {
    now: Duration,
    transfer: Transfer,
}

impl Bench {
    fn new(blksize: u16, window: u16, size: u64) -> Self {
        let transfer = Transfer::new(Duration::ZERO, &terms(blksize, window), size);
        Self { now: Duration::ZERO, transfer }
    }

    fn after(&mut self, ms: u64, input: Input) -> String {
        self.now += Duration::from_millis(ms);
        self.transfer.handle(self.now, input);
        self.said()
    }

    fn at_deadline(&mut self) -> String {
        self.now = self.transfer.deadline().unwrap();
        self.after(0, Input::Timer)
    }

    fn said(&mut self) -> String {
        let mut said = Vec::new();
        while let Some(output) = self.transfer.poll() {
            said.push(match output {
                Output::Oack => "OACK".to_owned(),
                Output::Data(blocks) => {
                    let numbers: Vec<u16> = blocks.iter().map(|block| block.number).collect();
                    format!("DATA {}-{}", numbers.first().unwrap(), numbers.last().unwrap())
                }
                Output::End(end) => format!("{end:?}"),
            });
        }
        said.join(", ")
    }
}

#[test]
fn a_repeated_ack_at_window_one_is_never_answered_with_data() {
    let mut bench = Bench::new(512, 1, 5000);
    assert_eq!(bench.said(), "DATA 1-1");
    assert_eq!(bench.after(1, Input::Ack(1)), "DATA 2-2");
    for _ in 0..1000 {
        assert_eq!(bench.after(0, Input::Ack(1)), "");
    }
    assert_eq!(bench.after(1, Input::Ack(2)), "DATA 3-3");
    assert_eq!(bench.after(0, Input::Ack(1)), "", "older still");
}

#[test]
fn a_gap_is_answered_once_however_often_edk2_tells_of_it() {
    let mut bench = Bench::new(1468, 16, 1_000_000);
    assert_eq!(bench.said(), "OACK");
    assert_eq!(bench.after(1, Input::Ack(0)), "DATA 1-16");
    assert_eq!(bench.after(1, Input::Ack(16)), "DATA 17-32");
    assert_eq!(bench.after(1, Input::Ack(16)), "DATA 17-32", "block 17 was lost, the others speak of it");
    for _ in 0..14 {
        assert_eq!(bench.after(0, Input::Ack(16)), "");
    }
    assert_eq!(bench.after(1, Input::Ack(20)), "DATA 21-36", "block 21 was lost");
    for _ in 0..11 {
        assert_eq!(bench.after(0, Input::Ack(20)), "");
    }
}

#[test]
fn acks_outside_the_window_are_ignored() {
    let mut bench = Bench::new(1468, 4, 1_000_000);
    assert_eq!(bench.said(), "OACK");
    for number in [1, 4, 65535, 32768] {
        assert_eq!(bench.after(1, Input::Ack(number)), "", "{number} before anything was sent");
    }
    assert_eq!(bench.after(1, Input::Ack(0)), "DATA 1-4");
    for number in [5, 6, 65535, 32768] {
        assert_eq!(bench.after(1, Input::Ack(number)), "", "{number} of 1-4");
    }
    assert_eq!(bench.after(1, Input::Ack(4)), "DATA 5-8");
    assert_eq!(bench.after(1, Input::Ack(3)), "", "older than the window");
}

#[test]
fn until_the_first_ack_one_packet_goes_out_at_a_time_and_few_of_them() {
    for (window, first) in [(64, "OACK"), (1, "DATA 1-1")] {
        let mut bench = Bench::new(512, window, 1_000_000);
        let mut said = vec![bench.said()];
        while bench.transfer.deadline().is_some() {
            said.push(bench.at_deadline());
        }
        said.retain(|said| !said.is_empty());
        assert_eq!(said, [first, first, first, first, "NoAnswer"]);
        assert_eq!(bench.now, Duration::from_secs(16));
    }
}

#[test]
fn the_same_request_again_is_answered_again_until_the_first_ack() {
    let mut bench = Bench::new(1468, 4, 1_000_000);
    assert_eq!(bench.said(), "OACK");
    assert_eq!(bench.after(500, Input::Request), "OACK");
    assert_eq!(bench.after(500, Input::Request), "OACK");
    assert_eq!(bench.after(1, Input::Ack(0)), "DATA 1-4");
    assert_eq!(bench.after(1, Input::Request), "", "it was under way when the OACK came");
}

#[test]
fn a_client_that_keeps_asking_is_not_given_up_while_it_does() {
    let mut bench = Bench::new(1468, 4, 1_000_000);
    for _ in 0..10 {
        assert!(bench.after(15_000, Input::Request).contains("OACK"));
    }
    assert_eq!(bench.after(1, Input::Ack(0)), "DATA 1-4");
}

#[test]
fn a_client_that_acknowledges_every_block_of_a_window_costs_less_than_two_packets_a_block() {
    let mut bench = Bench::new(1468, 16, 1_000_000);
    bench.after(1, Input::Ack(0));
    for block in 1..=682_u16 {
        bench.after(1, Input::Ack(block));
    }
    assert_eq!(bench.transfer.deadline(), None, "done");
    let tally = bench.transfer.tally(bench.now);
    assert!(tally.packets < 682 * 2, "{tally:?}");
}

#[test]
fn a_client_that_pauses_for_seconds_costs_a_few_windows_and_goes_on_at_full_speed() {
    let mut bench = Bench::new(1468, 16, 1_000_000);
    bench.after(1, Input::Ack(0));
    bench.after(1, Input::Ack(16));
    let before = bench.transfer.tally(bench.now).packets;
    while bench.transfer.deadline().unwrap() < Duration::from_secs(3) {
        bench.at_deadline();
    }
    let sent = bench.transfer.tally(bench.now).packets - before;
    assert!(sent <= 3 * 16, "{sent} packets in 3 s");
    bench.now = Duration::from_secs(3);
    assert_eq!(bench.after(1, Input::Ack(32)), "DATA 33-48");
}

#[test]
fn a_client_that_jumps_into_what_it_loaded_without_a_last_ack_is_no_failure() {
    let mut bench = Bench::new(512, 1, 600);
    bench.after(1, Input::Ack(1));
    let mut last = String::new();
    while bench.transfer.deadline().is_some() {
        last = bench.at_deadline();
    }
    assert_eq!(last, "Done { acknowledged: false }");
    assert!(bench.transfer.tally(bench.now).packets < 16, "{:?}", bench.transfer.tally(bench.now));
}

#[test]
fn a_client_that_falls_silent_or_never_takes_a_block_is_given_up() {
    let mut silent = Bench::new(512, 4, 1_000_000);
    silent.after(1, Input::Ack(0));
    let mut stalled = Bench::new(512, 4, 1_000_000);
    stalled.after(1, Input::Ack(0));
    let mut last = (String::new(), String::new());
    while silent.transfer.deadline().is_some() {
        last.0 = silent.at_deadline();
    }
    while stalled.transfer.deadline().is_some() {
        last.1 = stalled.at_deadline();
        stalled.after(0, Input::Ack(0));
    }
    assert_eq!(last, ("Silent".into(), "Stalled".into()));
    for bench in [silent, stalled] {
        assert!(bench.now < Duration::from_secs(90), "{:?}", bench.now);
    }
}

#[test]
fn a_client_may_end_it_at_any_time_as_size_probes_do() {
    let mut bench = Bench::new(1468, 4, 1_000_000);
    assert_eq!(bench.after(1, Input::Error(ErrorCode::OPTION)), "Aborted { code: ErrorCode(8) }");
    assert_eq!(bench.after(1, Input::Ack(0)), "");
    assert_eq!((bench.transfer.deadline(), bench.transfer.tally(bench.now).acknowledged), (None, 0));
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        8 => (0_u16..200).prop_map(Input::Ack),
        1 => any::<u16>().prop_map(Input::Ack),
        1 => any::<u16>().prop_map(|code| Input::Error(ErrorCode(code))),
        2 => Just(Input::Request),
        4 => Just(Input::Timer),
    ]
}

proptest! {
    #[test]
    fn nothing_that_happens_makes_it_panic_or_send_beyond_the_window(
        blksize in 8_u16..2000,
        window in 1_u16..=64,
        size in prop_oneof![0_u64..100_000, Just(u64::MAX)],
        inputs in proptest::collection::vec((0_u64..3000, input()), 0..200),
    ) {
        let mut transfer = Transfer::new(Duration::ZERO, &terms(blksize, window), size);
        let mut now = Duration::ZERO;
        for (ms, input) in inputs {
            now += Duration::from_millis(ms);
            transfer.handle(now, input);
            let before = transfer.tally(now).acknowledged;
            while let Some(output) = transfer.poll() {
                if let Output::Data(blocks) = output {
                    let bytes = blocks.bytes();
                    prop_assert!(blocks.iter().count() <= usize::from(window));
                    prop_assert!(bytes.start >= before && bytes.end <= size);
                    prop_assert!(bytes.end - before <= u64::from(window) * u64::from(blksize));
                }
            }
        }
    }
}
