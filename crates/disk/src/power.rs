//! Power cuts, for tests: a disk in memory that a list of steps is carried out on, and that loses power at every point of it.
//!
//! The model is a disk's with a volatile cache: what was written since the last flush is there or not, sector by sector, in any mixture;
//! what was written before it is there. A sector itself is old or new.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::step::Step;

const SECTOR: usize = 512;

/// A disk that is zero where nothing was written: what is shared with other disks, and what is written over it.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    base: Rc<BTreeMap<u64, [u8; SECTOR]>>,
    over: BTreeMap<u64, [u8; SECTOR]>,
}

impl Disk {
    /// The bytes of a place.
    pub(crate) fn read(&self, at: u64, len: u64) -> Vec<u8> {
        assert_eq!((at % 512, len % 512), (0, 0));
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        let range = at / 512..(at + len) / 512;
        for (number, sector) in self.base.range(range.clone()).chain(self.over.range(range)) {
            let start = usize::try_from(number * 512 - at).unwrap();
            bytes[start..start + SECTOR].copy_from_slice(sector);
        }
        bytes
    }

    /// The numbers of all sectors that were ever written.
    pub(crate) fn sectors(&self) -> impl Iterator<Item = u64> {
        self.base.keys().chain(self.over.keys()).copied()
    }

    /// The disk after all steps.
    pub(crate) fn after(&self, steps: &[Step]) -> Self {
        let mut base = (*self.base).clone();
        base.extend(self.over.clone());
        base.extend(steps.iter().flat_map(written));
        Self { base: Rc::new(base), over: BTreeMap::new() }
    }

    /// Every disk that a power cut during these steps can leave: each beginning of what was written since a flush, in the order of
    /// writing; and of each such stretch some mixtures, drawn from `seed`.
    pub(crate) fn cuts(&self, steps: &[Step], seed: u64) -> Vec<Self> {
        let mut random = seed | 1;
        let mut draw = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let mut durable = self.after(&[]);
        let mut cuts = vec![durable.clone()];
        for stretch in steps.split_inclusive(|step| *step == Step::Flush) {
            let written: Vec<_> = stretch.iter().flat_map(written).collect();
            // Of a long stretch some ends are enough; all of a short one.
            let stride = written.len() / 24 + 1;
            for end in (0..written.len()).step_by(stride) {
                let mut cut = durable.clone();
                cut.over.extend(written[..end].iter().copied());
                cuts.push(cut);
            }
            for _ in 0..8 {
                let mut cut = durable.clone();
                cut.over.extend(written.iter().filter(|_| draw() % 2 == 0).copied());
                cuts.push(cut);
            }
            let mut base = (*durable.base).clone();
            base.extend(written);
            durable = Self { base: Rc::new(base), over: BTreeMap::new() };
            cuts.push(durable.clone());
        }
        cuts
    }
}

fn written(step: &Step) -> Vec<(u64, [u8; SECTOR])> {
    let (at, data) = match step {
        Step::Write { at, data } => (*at, data.clone()),
        Step::Zero { at, len } => (*at, vec![0; usize::try_from(*len).unwrap()]),
        Step::Flush => return Vec::new(),
    };
    assert_eq!((at % 512, data.len() % SECTOR), (0, 0), "whole sectors");
    (at / 512..).zip(data.chunks_exact(SECTOR).map(|sector| sector.try_into().unwrap())).collect()
}
