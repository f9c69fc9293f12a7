//! `kexec_load(2)`: the running kernel is given pieces of memory, and where they go.

use core::ffi::{c_ulong, c_void};
use std::fs;
use std::io;

use rustix::rand::{GetRandomFlags, getrandom};
use zeroize::Zeroizing;

use super::arm64::{self, Given, Segment};
use super::{KexecError, Start, locked_down};
use crate::bytes::index;

/// `KEXEC_ARCH_AARCH64`: the ELF number of the processor, in the upper half of the flags.
const ARM64: c_ulong = 183 << 16;

/// `struct kexec_segment` of `kexec_load(2)`.
#[repr(C)]
struct Piece {
    buf: *const c_void,
    bufsz: usize,
    mem: *const c_void,
    memsz: usize,
}

/// Lays the next system out in memory, and hands it to the kernel.
pub(super) fn load(start: &Start<'_>) -> Result<(), KexecError> {
    let fault = |what| move |error| KexecError::Io(what, error);
    let memory = fs::read_to_string("/proc/iomem").map_err(fault("cannot read /proc/iomem"))?;
    let tree = fs::read("/sys/firmware/fdt").map_err(fault("cannot read /sys/firmware/fdt"))?;
    let mut initrd = Zeroizing::new(Vec::with_capacity(start.initrd().map(<[u8]>::len).sum()));
    start.initrd().for_each(|piece| initrd.extend_from_slice(piece));
    let given = Given {
        kernel: start.kernel,
        initrd: &initrd,
        cmdline: start.cmdline(),
        tree: &tree,
        memory: &memory,
        random: (random()?, random()?),
    };
    let layout = arm64::lay_out(given)?;
    hand_over(layout.entry, &layout.segments)
}

fn hand_over(entry: u64, segments: &[Segment<'_>]) -> Result<(), KexecError> {
    let piece = |segment: &Segment<'_>| Piece {
        buf: segment.bytes.as_ptr().cast(),
        bufsz: segment.bytes.len(),
        mem: core::ptr::without_provenance(index(segment.at)),
        memsz: index(segment.room),
    };
    let pieces: Vec<Piece> = segments.iter().map(piece).collect();
    let count = c_ulong::try_from(pieces.len()).unwrap_or(c_ulong::MAX);
    // SAFETY: as many pieces as said, each of as many bytes as it says; all are read during the call alone. Where they go is not this
    // program's memory.
    let result = unsafe { libc::syscall(libc::SYS_kexec_load, index(entry), count, pieces.as_ptr(), ARM64) };
    if result == 0 { Ok(()) } else { Err(in_words(io::Error::last_os_error(), locked_down())) }
}

fn random<const N: usize>() -> Result<[u8; N], KexecError> {
    let mut bytes = [0; N];
    // The kernel gives up to 256 bytes at once.
    match getrandom(&mut bytes, GetRandomFlags::empty()) {
        Ok(got) if got == N => Ok(bytes),
        Ok(_) => Err(KexecError::Io("no randomness", io::ErrorKind::UnexpectedEof.into())),
        Err(error) => Err(KexecError::Io("no randomness", error.into())),
    }
}

fn in_words(error: io::Error, locked_down: bool) -> KexecError {
    match error.raw_os_error() {
        Some(libc::EPERM) if locked_down => KexecError::LockedDown,
        Some(libc::EPERM) => KexecError::Denied,
        Some(libc::ENOSYS) => KexecError::Neither,
        _ => KexecError::Io("the kernel does not load the next one", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_to_do() {
        for (number, locked, words) in [
            (libc::EPERM, true, "CONFIG_KEXEC_FILE on"),
            (libc::EPERM, false, "kernel.kexec_load_disabled"),
            (libc::ENOSYS, false, "without kexec"),
            (libc::EINVAL, false, "does not load the next one"),
        ] {
            let refused = in_words(io::Error::from_raw_os_error(number), locked).to_string();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
