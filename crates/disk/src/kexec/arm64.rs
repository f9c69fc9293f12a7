//! Linux on 64-bit ARM, laid out in memory as a boot loader leaves it there (Linux, Documentation/arch/arm64/booting.rst): the kernel, its
//! initramfs, a device tree, and a few instructions that hand over.
//!
//! The kernel's `Image` begins with a header, little-endian:
//!
//! | At | Bytes | Field |
//! |---|---|---|
//! | 8 | 8 | how far behind a multiple of 2 MiB it is to be |
//! | 16 | 8 | the memory that it takes from its start, with what is not in the file; 0 before Linux 3.17 |
//! | 24 | 8 | flags; bit 0: big-endian |
//! | 56 | 4 | `ARM\x64` |

use core::ffi::CStr;
use core::ops::Range;
use std::borrow::Cow;

use dtoolkit::error::FdtParseError;

use super::memory::{Free, STEP};
use super::tree::{self, Chosen};
use crate::bytes::{length, slice, u64_at};

/// The largest page that these processors have: what is loaded is rounded up to it.
const PAGE: u64 = 64 << 10;
/// The initramfs lies in one window with the kernel, which begins at a multiple of the first and is as long as the second.
const WINDOW: (u64, u64) = (1 << 30, 32 << 30);
/// The most that a device tree may have.
const TREE: usize = 2 << 20;

/// Why a kernel cannot be laid out.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unfit {
    /// It is none for this processor.
    #[error("what the image holds is not a kernel for 64-bit ARM that this one can start")]
    Format,
    /// It unpacks itself, by a program for firmware.
    #[error(
        "the kernel in the image is packed (EFI zboot, {0}), which a kernel without kexec_file_load cannot start: build the generation with a kernel that has CONFIG_EFI_ZBOOT off, or the preboot with one that has CONFIG_KEXEC_FILE on"
    )]
    Packed(String),
    /// The running kernel does not tell of its memory.
    #[error("/proc/iomem tells of no memory that is free")]
    Untold,
    /// There is too little of it in one piece.
    #[error("no {size} bytes of free memory in one piece for the next system's {what}")]
    NoRoom {
        /// For what.
        what: &'static str,
        /// How much is needed.
        size: u64,
    },
    /// The running kernel's device tree cannot be read.
    #[error("the device tree in /sys/firmware/fdt cannot be read: {0}")]
    Tree(#[from] FdtParseError),
    /// The device tree is longer than a kernel takes.
    #[error("the device tree would be longer than 2 MiB")]
    LongTree,
}

/// What the next kernel is laid out from.
pub(super) struct Given<'a> {
    /// The kernel's `Image`.
    pub(super) kernel: &'a [u8],
    /// Its initramfs; empty if it has none.
    pub(super) initrd: &'a [u8],
    /// Its command line.
    pub(super) cmdline: &'a CStr,
    /// The running kernel's device tree.
    pub(super) tree: &'a [u8],
    /// What the running kernel tells of memory: `/proc/iomem`.
    pub(super) memory: &'a str,
    /// Randomness for the kernel's place, and to begin with.
    pub(super) random: ([u8; 8], [u8; 64]),
}

/// What goes where.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    /// Where the processor goes on, in physical memory.
    pub(super) entry: u64,
    /// What is put into memory.
    pub(super) segments: Vec<Segment<'a>>,
}

/// Bytes, and where they are put in physical memory.
pub(super) struct Segment<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) at: u64,
    /// How much memory is theirs from there: what they do not fill becomes zeros.
    pub(super) room: u64,
}

impl<'a> Segment<'a> {
    const fn new(bytes: Cow<'a, [u8]>, place: Range<u64>) -> Self {
        Self { bytes, at: place.start, room: place.end.saturating_sub(place.start) }
    }
}

impl core::fmt::Debug for Segment<'_> {
    /// Where, and not what: there may be a key in it.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} bytes at {:#x} in {:#x}", self.bytes.len(), self.at, self.room)
    }
}

/// What a kernel's header says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Header {
    /// How far behind a multiple of 2 MiB it is to be.
    offset: u64,
    /// The memory that it takes from its start.
    size: u64,
}

impl Header {
    fn read(kernel: &[u8]) -> Result<Self, Unfit> {
        if slice(kernel, 4, 4) == Some(b"zimg") {
            // The word for the way of packing ends with a NUL (Linux, header of an EFI zboot image).
            let word = slice(kernel, 24, 8).unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default();
            return Err(Unfit::Packed(String::from_utf8_lossy(word).into_owned()));
        }
        let fields = || Some((slice(kernel, 56, 4)?, u64_at(kernel, 8)?, u64_at(kernel, 16)?, u64_at(kernel, 24)?));
        match fields().ok_or(Unfit::Format)? {
            (b"ARM\x64", offset, size, flags) if offset < STEP && size > 0 && flags & 1 == 0 => {
                Ok(Self { offset, size })
            }
            _ => Err(Unfit::Format),
        }
    }
}

/// Lays it all out: the kernel lowest, for what lies below it an old one cannot use; then what it is given, in one window with it.
///
/// # Errors
/// Why it cannot be.
pub(super) fn lay_out(given: Given<'_>) -> Result<Layout<'_>, Unfit> {
    let header = Header::read(given.kernel)?;
    let mut free = Free::read(given.memory);
    if free.is_empty() {
        return Err(Unfit::Untold);
    }
    let mut take = |what, size: u64, within: &Range<u64>| {
        let size = size.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX);
        free.take(size, within).ok_or(Unfit::NoRoom { what, size })
    };
    let room = header.size.max(length(given.kernel.len())).saturating_add(header.offset);
    // Addresses have 48 bits at most.
    let kernel = take("kernel", room, &(0..1 << 48))?;
    let (step, span) = WINDOW;
    let start = kernel.start - kernel.start % step;
    let window = start..start.saturating_add(span);
    let entered = kernel.start.saturating_add(header.offset);
    let mut segments = vec![Segment::new(given.kernel.into(), entered..kernel.end)];
    let mut initrd = None;
    if !given.initrd.is_empty() {
        let size = length(given.initrd.len());
        let place = take("initramfs", size, &window)?;
        initrd = Some(place.start..place.start.saturating_add(size));
        segments.push(Segment::new(given.initrd.into(), place));
    }
    let (place, random) = given.random;
    let tree = tree::of_next(given.tree, &Chosen { cmdline: given.cmdline, initrd, place, random })?;
    if tree.len() > TREE {
        return Err(Unfit::LongTree);
    }
    let place = take("device tree", length(tree.len()), &window)?;
    let code = hand_over(entered, place.start);
    segments.push(Segment::new(tree.into(), place));
    let place = take("first instructions", length(code.len()), &window)?;
    let entry = place.start;
    segments.push(Segment::new(code.into(), place));
    Ok(Layout { entry, segments })
}

/// The instructions that the processor goes on with, at a multiple of 8: `kexec_load` enters with nothing in the registers, and the kernel wants
/// to find the device tree's address in x0, and zeros in x1 to x3 (Arm Architecture Reference Manual, C6.2).
fn hand_over(kernel: u64, tree: u64) -> Vec<u8> {
    let instructions: [u32; 6] = [
        0x5800_00d1, // ldr x17, .+24: the first of the addresses below
        0x5800_00e0, // ldr x0, .+28: the second
        0xaa1f_03e1, // mov x1, xzr
        0xaa1f_03e2, // mov x2, xzr
        0xaa1f_03e3, // mov x3, xzr
        0xd61f_0220, // br x17
    ];
    let code = instructions.into_iter().flat_map(u32::to_le_bytes);
    code.chain([kernel, tree].into_iter().flat_map(u64::to_le_bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::{properties, stub};
    use super::*;

    const MEMORY: &str = "\
40000000-7fffffff : System RAM
  40000000-401fffff : reserved
  48000000-4bffffff : Kernel code
c0000000-8ffffffff : System RAM
";

    /// A kernel of so many bytes that asks for this place and room.
    fn kernel(length: usize, offset: u64, size: u64) -> Vec<u8> {
        let mut kernel = vec![7; length];
        crate::bytes::put(&mut kernel, 0, b"MZ\x40\xfa\0\0\0\0");
        for (at, value) in [(8, offset), (16, size), (24, 0b1010)] {
            crate::bytes::put(&mut kernel, at, &value.to_le_bytes());
        }
        crate::bytes::put(&mut kernel, 56, b"ARM\x64");
        kernel
    }

    fn given<'a>(kernel: &'a [u8], initrd: &'a [u8], tree: &'a [u8], memory: &'a str) -> Given<'a> {
        Given { kernel, initrd, cmdline: c"quiet", tree, memory, random: ([1; 8], [2; 64]) }
    }

    #[test]
    fn everything_goes_where_the_kernel_looks_for_it() {
        let (tree, initrd) = (stub(), [9; 70_000]);
        for (offset, size) in [(0, 0x1aa_0000), (0x8_0000, 0x1aa_0000), (0, 4096)] {
            let kernel = kernel(100_000, offset, size);
            let layout = lay_out(given(&kernel, &initrd, &tree, MEMORY)).unwrap();
            let [first, second, third, fourth] = layout.segments.as_slice() else { panic!("{layout:?}") };
            assert_eq!((first.at, &first.bytes), (0x4020_0000 + offset, &Cow::from(&kernel)));
            assert!(first.room >= size && first.room >= 100_000);
            assert_eq!((&second.bytes, second.room), (&Cow::from(&initrd[..]), 0x2_0000));
            let told = properties(&third.bytes, "/chosen");
            let says = |name: &str, value: u64| told.contains(&(name.to_owned(), value.to_be_bytes().to_vec()));
            assert!(says("linux,initrd-start", second.at) && says("linux,initrd-end", second.at + 70_000), "{told:?}");
            assert_eq!(layout.entry, fourth.at);
            assert_eq!(*fourth.bytes, hand_over(first.at, third.at));
            let mut ends = 0x4020_0000;
            for segment in &layout.segments {
                assert!(segment.at >= ends && segment.room >= length(segment.bytes.len()), "{layout:?}");
                assert!(segment.at == first.at || segment.at % STEP == 0, "{layout:?}");
                assert_eq!(segment.room % PAGE, 0, "{layout:?}");
                ends = segment.at + segment.room;
            }
            assert!(ends <= 0x4800_0000, "{layout:?}");
        }
    }

    #[test]
    fn without_an_initramfs_there_is_none_to_tell_of() {
        let (kernel, tree) = (kernel(4096, 0, 4096), stub());
        let layout = lay_out(given(&kernel, &[], &tree, MEMORY)).unwrap();
        assert_eq!(layout.segments.len(), 3);
    }

    #[test]
    fn the_instructions_load_the_two_addresses_and_go_to_the_first() {
        let code = hand_over(0x4020_0000, 0x4a00_0000);
        let word = |at: usize| u32::from_le_bytes(code[at..at + 4].try_into().unwrap());
        // LDR (literal), 64 bits: the register in bits 0 to 4, the distance in words in bits 5 to 23.
        for (at, register, address) in [(0, 17, 0x4020_0000_u64), (4, 0, 0x4a00_0000)] {
            assert_eq!((word(at) >> 24, word(at) & 31), (0x58, register));
            let from = at + 4 * usize::try_from((word(at) >> 5) & 0x7_ffff).unwrap();
            assert_eq!((from % 8, &code[from..from + 8]), (0, &address.to_le_bytes()[..]));
        }
        assert_eq!(code.len(), 40);
    }

    #[test]
    fn what_cannot_be_laid_out_is_refused_in_words() {
        let (tree, good) = (stub(), kernel(4096, 0, 0x20_0000));
        let mut packed = vec![0; 64];
        crate::bytes::put(&mut packed, 0, b"MZ\0\0zimg");
        crate::bytes::put(&mut packed, 24, b"gzip\0");
        let mut big_endian = good.clone();
        big_endian[24] |= 1;
        let rows: [(&[u8], &[u8], &str, &str); 8] = [
            (&packed, &tree, MEMORY, "is packed (EFI zboot, gzip)"),
            (b"MZ", &tree, MEMORY, "not a kernel for 64-bit ARM"),
            (&big_endian, &tree, MEMORY, "not a kernel for 64-bit ARM"),
            (&kernel(4096, 0, 0), &tree, MEMORY, "not a kernel for 64-bit ARM"),
            (&kernel(4096, STEP, 1), &tree, MEMORY, "not a kernel for 64-bit ARM"),
            (&kernel(4096, 0, u64::MAX), &tree, MEMORY, "free memory in one piece for the next system's kernel"),
            (&good, &tree, "00000000-00000000 : System RAM\n", "tells of no memory"),
            (&good, b"none", MEMORY, "/sys/firmware/fdt cannot be read"),
        ];
        for (kernel, tree, memory, words) in rows {
            let refused = lay_out(given(kernel, b"initrd", tree, memory)).unwrap_err().to_string();
            assert!(refused.contains(words), "{refused}");
        }
        let small = "40000000-405fffff : System RAM\n";
        let refused = lay_out(given(&good, &[0; 0x40_0001], &tree, small)).unwrap_err();
        assert_eq!(refused, Unfit::NoRoom { what: "initramfs", size: 0x41_0000 });
    }
}
