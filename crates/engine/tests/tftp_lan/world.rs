//! The network between the machine and a client.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write;
use std::time::Duration;

use slipway_engine::tftp::{End, Input, Output, Tally, Terms, Transfer};
use slipway_wire::tftp::OptionKind;

use super::client::{Client, Fate, Heard, Kind, Said};

/// What the network does to packets.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Of a hundred packets, in each direction, so many are lost.
    pub loss: u64,
    /// Of a hundred, so many arrive twice.
    pub doubled: u64,
    /// Of a hundred, so many arrive up to 3 ms late.
    pub late: u64,
}

pub const CALM: Weather = Weather { loss: 0, doubled: 0, late: 0 };

/// One way, in microseconds.
const DELAY: u64 = 500;

/// How it went.
pub struct Outcome {
    pub fate: Fate,
    pub end: Option<End>,
    pub tally: Tally,
    pub whole: bool,
    pub took: Duration,
    /// The most blocks that were outstanding at once.
    pub outstanding: u64,
    pub story: String,
}

enum Event {
    ToClient(Heard),
    ToServer(Said),
}

pub struct World {
    seed: u64,
    weather: Weather,
    now: Duration,
    leaves: Duration,
    queue: BinaryHeap<Reverse<(Duration, u64)>>,
    events: Vec<Option<Event>>,
    story: Vec<String>,
}

impl World {
    fn chance(&mut self) -> u64 {
        // splitmix64
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) >> 8
    }

    fn tell(&mut self, text: String) {
        let at = self.now.as_micros();
        self.story.push(format!("{:>6}.{:03} ms  {text}", at / 1000, at % 1000));
    }

    fn travel(&mut self, what: &str, make: impl Fn() -> Event) {
        let Weather { loss, doubled, late } = self.weather;
        if self.chance() % 100 < loss {
            return self.tell(format!("{what}  (lost)"));
        }
        self.tell(what.to_owned());
        let copies = if self.chance() % 100 < doubled { 2 } else { 1 };
        for _ in 0..copies {
            let detour = if self.chance() % 100 < late { self.chance() % 3000 } else { 0 };
            // What leaves at one moment arrives in order, one behind the other.
            self.leaves = self.leaves.max(self.now) + Duration::from_micros(1);
            let at = self.leaves + Duration::from_micros(DELAY + detour);
            self.queue.push(Reverse((at, self.events.len() as u64)));
            self.events.push(Some(make()));
        }
    }
}

pub fn terms(blksize: u16, windowsize: u16) -> Terms {
    let mut oack = Vec::new();
    if blksize != 512 {
        oack.push(OptionKind::BlockSize(blksize));
    }
    if windowsize != 1 {
        oack.push(OptionKind::WindowSize(windowsize));
    }
    Terms { blksize, windowsize, timeout: None, oack }
}

/// A file of this size that differs in every block.
pub fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at ^ (at >> 7) ^ (at >> 15)) as u8).collect()
}

/// Lets one client load one file.
pub fn load(kind: Kind, terms: &Terms, file: &[u8], weather: Weather, seed: u64) -> Outcome {
    let mut world = World {
        seed,
        weather,
        now: Duration::ZERO,
        leaves: Duration::ZERO,
        queue: BinaryHeap::new(),
        events: Vec::new(),
        story: Vec::new(),
    };
    let mut client = Client::new(kind, terms);
    let mut transfer: Option<Transfer> = None;
    let mut outcome = (None, 0);
    say(&mut world, Said::Request);
    while let Some(due) = next(&world, &client, transfer.as_ref()) {
        world.now = due.at.max(world.now);
        assert!(world.now < Duration::from_secs(3600), "still going after an hour:\n{}", world.story.join("\n"));
        match due.what {
            Due::Packet => {
                let Some(Reverse((_, place))) = world.queue.pop() else { break };
                match world.events[place as usize].take() {
                    Some(Event::ToClient(heard)) => {
                        if let Some(said) = client.hear(world.now, heard) {
                            say(&mut world, said);
                        }
                    }
                    Some(Event::ToServer(said)) => match (&mut transfer, said) {
                        (None, Said::Request) => transfer = Some(Transfer::new(world.now, terms, file.len() as u64)),
                        (None, Said::Ack(_)) => {}
                        (Some(transfer), Said::Request) => transfer.handle(world.now, Input::Request),
                        (Some(transfer), Said::Ack(n)) => transfer.handle(world.now, Input::Ack(n)),
                    },
                    None => {}
                }
            }
            Due::Server => {
                if let Some(transfer) = &mut transfer {
                    transfer.handle(world.now, Input::Timer);
                }
            }
            Due::Client => {
                world.tell("client's timer".into());
                if let Some(said) = client.wake(world.now) {
                    say(&mut world, said);
                }
            }
        }
        if let Some(transfer) = &mut transfer {
            obey(&mut world, transfer, file, &mut outcome);
        }
    }
    let tally = transfer.as_ref().map_or_else(Tally::default, |transfer| transfer.tally(world.now));
    let mut story = String::new();
    let skipped = world.story.len().saturating_sub(120);
    let _ = writeln!(story, "{kind:?} {terms:?} {weather:?} seed {seed}\n… {skipped} earlier packets …");
    let _ = writeln!(story, "{}", world.story.split_off(skipped).join("\n"));
    let _ = writeln!(story, "server: {:?} {tally:?}; client: {:?} {} blocks", outcome.0, client.fate, client.blocks);
    Outcome {
        fate: client.fate,
        end: outcome.0,
        tally,
        whole: client.file == file,
        took: world.now,
        outstanding: outcome.1,
        story,
    }
}

fn say(world: &mut World, said: Said) {
    world.travel(&format!("          <- {said:?}"), || Event::ToServer(said));
}

/// Does what the machine says.
fn obey(world: &mut World, transfer: &mut Transfer, file: &[u8], outcome: &mut (Option<End>, u64)) {
    while let Some(output) = transfer.poll() {
        match output {
            Output::Oack => world.travel("-> Oack", || Event::ToClient(Heard::Oack)),
            Output::Data(blocks) => {
                outcome.1 = outcome.1.max(blocks.iter().count() as u64);
                for block in blocks.iter() {
                    let data = &file[block.at as usize..][..block.len];
                    let what = format!("-> Data {} ({} bytes)", block.number, block.len);
                    world.travel(&what, || Event::ToClient(Heard::Data(block.number, data.to_vec())));
                }
            }
            Output::End(end) => {
                world.tell(format!("server: {end:?}"));
                outcome.0 = Some(end);
            }
        }
    }
}

struct Next {
    at: Duration,
    what: Due,
}

enum Due {
    Packet,
    Server,
    Client,
}

/// What happens next; nothing once both sides are through and the wire is empty.
fn next(world: &World, client: &Client, transfer: Option<&Transfer>) -> Option<Next> {
    let packet = world.queue.peek().map(|Reverse((at, _))| Next { at: *at, what: Due::Packet });
    let server = transfer.and_then(Transfer::deadline).map(|at| Next { at, what: Due::Server });
    let client = (client.fate == Fate::Loading).then_some(Next { at: client.deadline, what: Due::Client });
    [packet, server, client].into_iter().flatten().min_by_key(|next| next.at)
}
