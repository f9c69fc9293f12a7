//! A TFTP transfer under any sequence of events: it asks only for blocks of the file and within its window, it ends, and having ended
//! it is silent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slipway_engine::tftp::{Input, Output, Terms, Transfer};
use slipway_wire::tftp::{ErrorCode, OptionKind};
use std::time::Duration;

/// Reads numbers off the fuzzer's bytes; zeros when they are used up.
struct Dice<'a>(&'a [u8]);

impl Dice<'_> {
    fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }
}

fn terms(dice: &mut Dice<'_>) -> Terms {
    let blksize = dice.word().clamp(8, 65464);
    let windowsize = u16::from(dice.byte()).clamp(1, 64);
    let seconds = dice.byte();
    let timeout = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
    let oack = if dice.byte().is_multiple_of(2) { vec![OptionKind::BlockSize(blksize)] } else { Vec::new() };
    Terms { blksize, windowsize, timeout, oack }
}

/// Takes what the transfer wants done; whether it has ended.
fn drain(transfer: &mut Transfer, terms: &Terms, size: u64, sent: &mut u64) -> bool {
    let mut ended = false;
    while let Some(output) = transfer.poll() {
        assert!(!ended, "nothing follows the end");
        match output {
            Output::Oack => assert!(!terms.oack.is_empty(), "an OACK only where something was agreed"),
            Output::Data(blocks) => {
                let range = blocks.bytes();
                assert!(range.start <= range.end && range.end <= size, "{range:?} of {size}");
                let mut at = range.start;
                let mut count = 0;
                for block in blocks.iter() {
                    let len = u64::try_from(block.len).expect("a block is small");
                    assert_eq!(block.at.min(size), at, "no hole");
                    assert!(block.len <= usize::from(terms.blksize));
                    at += len;
                    count += 1;
                    *sent = (*sent).max(block.at);
                }
                assert_eq!(at, range.end);
                assert!(count <= terms.windowsize, "{count} blocks in a window of {}", terms.windowsize);
            }
            Output::End(_) => ended = true,
        }
    }
    ended
}

fuzz_target!(|bytes: &[u8]| {
    let mut dice = Dice(bytes);
    let terms = terms(&mut dice);
    let size = (u64::from(dice.byte()) << 16) | u64::from(dice.word());
    let mut now = Duration::ZERO;
    let mut sent = 0;
    let mut transfer = Transfer::new(now, &terms, size);
    let mut ended = drain(&mut transfer, &terms, size, &mut sent);
    while !dice.0.is_empty() && !ended {
        let event = dice.byte();
        now += Duration::from_millis(u64::from(event >> 3) * 37);
        let input = match event & 7 {
            0..=3 => Input::Ack(dice.word()),
            4 => Input::Ack(dice.byte().into()),
            5 => Input::Request,
            6 if event > 250 => Input::Error(ErrorCode(dice.word())),
            _ => {
                now = now.max(transfer.deadline().unwrap_or(now));
                Input::Timer
            }
        };
        transfer.handle(now, input);
        ended = drain(&mut transfer, &terms, size, &mut sent);
    }
    // Left alone, it comes to an end by its timers, and soon.
    for _ in 0..200 {
        let Some(deadline) = transfer.deadline() else { break };
        now = now.max(deadline);
        transfer.handle(now, Input::Timer);
        ended |= drain(&mut transfer, &terms, size, &mut sent);
    }
    assert!(ended, "still waiting after 200 deadlines");
    transfer.handle(now, Input::Ack(1));
    assert!(transfer.poll().is_none() && transfer.deadline().is_none(), "silent after the end");
    assert!(transfer.tally(now).acknowledged <= size);
});
