//! Physical memory, as `/proc/iomem` tells of it: what of the RAM is nobody's.

use core::ops::Range;

/// Where everything begins that is put into memory: the kernel asks for it of itself, and it is a multiple of every size of a page.
pub(super) const STEP: u64 = 2 << 20;

/// RAM in which nothing is: ranges of physical addresses in bytes, in rising order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Free(Vec<Range<u64>>);

impl Free {
    /// Reads the text of `/proc/iomem`: `System RAM`, but for all that stands indented below it, which is the running kernel, what it was
    /// started with, and what firmware and hardware keep for the next one. Who may not see addresses is told zeros: then nothing is free.
    pub(super) fn read(text: &str) -> Self {
        let mut free: Vec<Range<u64>> = Vec::new();
        let mut inside = false;
        for (indented, range, name) in text.lines().filter_map(entry) {
            match indented {
                false => {
                    inside = name == "System RAM";
                    free.extend(inside.then_some(range));
                }
                true if inside => free = free.into_iter().flat_map(|piece| without(piece, &range)).collect(),
                true => {}
            }
        }
        free.retain(|piece| piece.end - piece.start >= STEP);
        free.sort_by_key(|piece| piece.start);
        Self(free)
    }

    /// Whether there is any.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the lowest place within these bounds that has room for so many bytes and begins at a multiple of [`STEP`].
    pub(super) fn take(&mut self, size: u64, within: &Range<u64>) -> Option<Range<u64>> {
        let fits = |piece: &Range<u64>| {
            let start = piece.start.max(within.start).checked_next_multiple_of(STEP)?;
            let end = start.checked_add(size)?;
            (end <= piece.end.min(within.end)).then_some(start..end)
        };
        let taken = self.0.iter().find_map(fits)?;
        self.0 = core::mem::take(&mut self.0).into_iter().flat_map(|piece| without(piece, &taken)).collect();
        Some(taken)
    }
}

/// Whether a line is indented, its range, and its name: `  40210000-41f6ffff : Kernel code`, with the last address in it.
fn entry(line: &str) -> Option<(bool, Range<u64>, &str)> {
    let (range, name) = line.split_once(" : ")?;
    let (first, last) = range.trim_start().split_once('-')?;
    let address = |text: &str| u64::from_str_radix(text, 16).ok();
    let (first, last) = (address(first)?, address(last)?);
    (first <= last).then_some((range.starts_with(' '), first..last.checked_add(1)?, name.trim_end()))
}

/// What is left of a range.
fn without(piece: Range<u64>, taken: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let before = piece.start..piece.end.min(taken.start);
    let after = piece.start.max(taken.end)..piece.end;
    [before, after].into_iter().filter(|left| left.start < left.end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of an emulated ARM64 machine, shortened.
    const TEXT: &str = "\
09000000-09000fff : ARMH0011:00
  09000000-09000fff : ARMH0011:00 ARMH0011:00
40000000-41ffffff : System RAM
  40000000-40ffffff : reserved
44000000-47ffffff : reserved
48000000-5fffffff : System RAM
  4a210000-4bf6ffff : Kernel code
    4b000000-4b0fffff : something in it
  4c000000-4c5fffff : reserved
8000000000-ffffffffff : PCI Bus 0000:00
  8000000000-80000fffff : System RAM
";

    #[test]
    fn free_is_what_of_the_ram_is_nobodys() {
        let free = Free::read(TEXT);
        let wanted = [0x4100_0000..0x4200_0000, 0x4800_0000..0x4a21_0000, 0x4c60_0000..0x6000_0000];
        // What is left between code and the reserved piece is too little for anything.
        assert_eq!(free.0, wanted);
    }

    #[test]
    fn who_may_not_see_addresses_finds_nothing_free() {
        for text in ["", "00000000-00000000 : System RAM\n  00000000-00000000 : Kernel code\n", "no - such : text\n"] {
            assert!(Free::read(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn the_lowest_place_that_fits_is_taken_once() {
        let mut free = Free::read(TEXT);
        let anywhere = 0..u64::MAX;
        assert_eq!(free.take(0x100_0000, &anywhere), Some(0x4100_0000..0x4200_0000));
        assert_eq!(free.take(0x210_0000, &anywhere), Some(0x4800_0000..0x4a10_0000));
        assert_eq!(free.take(0x1, &(0x4b00_0000..0x5000_0000)), Some(0x4c60_0000..0x4c60_0001));
        assert_eq!(free.take(0x20_0000, &anywhere), Some(0x4c80_0000..0x4ca0_0000));
        assert_eq!(free.take(0x2000_0000, &anywhere), None);
        assert_eq!(free.take(u64::MAX, &anywhere), None);
    }

    proptest! {
        #[test]
        fn nothing_is_taken_twice_or_from_anybody(
            holes in proptest::collection::vec((0_u64..0x4000, 1_u64..0x400), 0..12),
            sizes in proptest::collection::vec(1_u64..0x400_0000, 0..12),
        ) {
            let ram = 0x4000_0000_u64..0x8000_0000;
            let hole = |&(at, pages): &(u64, u64)| {
                let start = ram.start + at * 0x1_0000;
                start..(start + pages * 0x1000).min(ram.end)
            };
            let holes: Vec<_> = holes.iter().map(hole).collect();
            let lines = holes.iter().map(|hole| format!("  {:x}-{:x} : reserved\n", hole.start, hole.end - 1));
            let text = format!("{:x}-{:x} : System RAM\n{}", ram.start, ram.end - 1, lines.collect::<String>());
            let mut free = Free::read(&text);
            let mut others = holes;
            for size in sizes {
                let Some(taken) = free.take(size, &ram) else { continue };
                prop_assert!(taken.start % STEP == 0 && taken.end - taken.start == size);
                prop_assert!(ram.start <= taken.start && taken.end <= ram.end);
                prop_assert!(others.iter().all(|other| other.end <= taken.start || taken.end <= other.start));
                others.push(taken);
            }
        }
    }
}
