//! What one round of the worker sends, gathered, so that it takes few system calls.

use std::io::{self, IoSlice};
use std::net::SocketAddr;

use slipway_engine::tftp::Blocks;
use slipway_netio::{Source, Train};
use slipway_wire::tftp::data_header;

use super::content::Piece;
use super::worker::Lane;

/// Packets that wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    letters: Vec<Letter>,
}

#[derive(Debug)]
struct Letter {
    lane: usize,
    to: SocketAddr,
    from: Source,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Packet(Vec<u8>),
    Data(Blocks, Piece),
}

impl Outbox {
    /// A whole packet.
    pub(super) fn packet(&mut self, lane: usize, to: SocketAddr, from: Source, packet: Vec<u8>) {
        self.letters.push(Letter { lane, to, from, body: Body::Packet(packet) });
    }

    /// Blocks of a file, with the bytes they are of.
    pub(super) fn data(&mut self, lane: usize, to: SocketAddr, from: Source, blocks: Blocks, piece: Piece) {
        self.letters.push(Letter { lane, to, from, body: Body::Data(blocks, piece) });
    }

    /// Sends everything; tells what could not be sent, and to whom.
    pub(super) fn flush(&mut self, lanes: &[Lane], mut failed: impl FnMut(SocketAddr, io::Error)) {
        for (place, lane) in lanes.iter().enumerate() {
            let letters: Vec<&Letter> = self.letters.iter().filter(|letter| letter.lane == place).collect();
            if !letters.is_empty() {
                send(lane, &letters, &mut failed);
            }
        }
        self.letters.clear();
    }
}

fn send(lane: &Lane, letters: &[&Letter], failed: &mut impl FnMut(SocketAddr, io::Error)) {
    let heads: Vec<[u8; 4]> = letters.iter().flat_map(|letter| letter.heads()).collect();
    let mut heads = heads.iter();
    let mut datagrams = Vec::with_capacity(heads.len() + letters.len());
    let mut counts = Vec::with_capacity(letters.len());
    for letter in letters {
        let before = datagrams.len();
        match &letter.body {
            Body::Packet(packet) => datagrams.push([IoSlice::new(packet), IoSlice::new(&[])]),
            Body::Data(blocks, piece) => {
                let bodies = blocks.iter().map(|block| piece.block(&block));
                datagrams.extend(bodies.zip(&mut heads).map(|(body, head)| [IoSlice::new(head), IoSlice::new(body)]));
            }
        }
        counts.push(datagrams.len() - before);
    }
    let mut rest = datagrams.as_slice();
    let mut trains = Vec::with_capacity(letters.len());
    for (letter, count) in letters.iter().zip(counts) {
        let (train, after) = rest.split_at(count.min(rest.len()));
        trains.push(Train { to: letter.to, from: letter.from, datagrams: train });
        rest = after;
    }
    lane.socket.send_trains(&trains, |train, error| {
        if let Some(letter) = letters.get(train) {
            failed(letter.to, error);
        }
    });
}

impl Letter {
    fn heads(&self) -> impl Iterator<Item = [u8; 4]> {
        let blocks = match &self.body {
            Body::Data(blocks, _) => Some(blocks.iter()),
            Body::Packet(_) => None,
        };
        blocks.into_iter().flatten().map(|block| data_header(block.number))
    }
}
