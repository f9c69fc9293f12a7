//! Another kernel started from this one: a UKI taken apart, files added to its initramfs, `kexec_file_load`; on 64-bit ARM `kexec_load`, where
//! the running kernel has nothing else.

mod arm64;
mod classic;
mod memory;
mod tree;

use core::ops::Range;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;

use rustix::fs::MemfdFlags;
use rustix::system::{RebootCommand, reboot};
use slipway_image::{Initramfs, Uki, uki::UkiError};
use zeroize::Zeroizing;

pub use arm64::Unfit;

use crate::bytes::length;

/// A file for the next system alone, such as the key of its disk: it is never on a disk, and in memory until that system drops it.
pub struct Handed {
    /// Where the next system finds it, without a slash before it: `run/slipway/disk.key`.
    pub path: String,
    /// Its permissions.
    pub mode: u32,
    /// What is in it.
    pub content: Zeroizing<Vec<u8>>,
}

/// What is handed to the kernel.
pub struct Start<'a> {
    /// The kernel, in the image's bytes.
    kernel: &'a [u8],
    /// The initramfs: the UKI's own, and then what is added.
    initrd: [&'a [u8]; 2],
    added: Zeroizing<Vec<u8>>,
    /// The command line.
    cmdline: CString,
}

/// How a kernel was loaded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// As files, by `kexec_file_load`: the running kernel looked at its signature, if it looks at any.
    Files,
    /// As pieces of memory, by `kexec_load`.
    Segments,
}

/// Why no other kernel is started.
#[derive(Debug, thiserror::Error)]
pub enum KexecError {
    /// The image is not a UKI.
    #[error("the generation is not a UKI: {0}")]
    Uki(UkiError),
    /// The command line, or a file that is handed over, cannot be given.
    #[error("{0}")]
    Unfit(&'static str),
    /// This kernel lets nobody do it, or only with a signature.
    #[error(
        "the kernel refuses to load another one: it is locked down (Secure Boot) and the kernel in the image is not signed by a key that it knows (build the image with the Secure Boot keys that this machine's firmware has), or kexec is switched off (kernel.kexec_load_disabled)"
    )]
    Denied,
    /// The kernel in the image carries no signature, a wrong one, or one of an unknown key.
    #[error(
        "the kernel in the image has no signature that this kernel accepts, which Secure Boot asks for: build the image with the Secure Boot keys that this machine's firmware has"
    )]
    Signature,
    /// This kernel cannot do it.
    #[error("this kernel was built without kexec_file_load")]
    Missing,
    /// This kernel can do it in a way that lets nobody check a signature, and will not.
    #[error(
        "this kernel was built without kexec_file_load, and refuses kexec_load, which checks no signature: it is locked down (Secure Boot), so that the preboot needs a kernel with CONFIG_KEXEC_FILE on"
    )]
    LockedDown,
    /// This kernel has neither way.
    #[error("this kernel was built without kexec")]
    Neither,
    /// Without `kexec_file_load` the kernel's work is ours, and it cannot be done.
    #[error("{0}")]
    Unplaced(#[from] Unfit),
    /// What the image holds is not a kernel that this one can load.
    #[error("what the image holds is not a kernel that this one can start")]
    Format,
    /// Anything else.
    #[error("{0}: {1}")]
    Io(&'static str, io::Error),
}

impl<'a> Start<'a> {
    /// Takes a UKI apart. `words` go behind its own command line, `files` are laid over its initramfs.
    ///
    /// # Errors
    /// It is not a UKI, or what is added cannot be.
    pub fn from_uki(image: &'a [u8], words: &str, files: &[Handed]) -> Result<Self, KexecError> {
        let uki = Uki::parse(image).map_err(KexecError::Uki)?;
        let part = |range: Range<usize>| image.get(range).unwrap_or_default();
        let own = uki.cmdline.unwrap_or_default();
        let line = [own.as_str(), words]
            .into_iter()
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        // x86 takes 2,047 bytes, ARM64 as many; the NUL counts.
        if line.len() > 2047 {
            return Err(KexecError::Unfit("the command line is longer than 2,047 bytes"));
        }
        let cmdline = CString::new(line).map_err(|_| KexecError::Unfit("the command line has a NUL in it"))?;
        let first = uki.initrd.map(part).unwrap_or_default();
        Ok(Self { kernel: part(uki.linux), initrd: [first, padding(first.len())], added: appended(files)?, cmdline })
    }

    /// The initramfs that the next kernel unpacks, piece by piece: its own archive, zeros up to a multiple of four, as the kernel asks for
    /// between archives, then the archive of what is added.
    pub fn initrd(&self) -> impl Iterator<Item = &[u8]> {
        self.initrd.into_iter().chain([self.added.as_slice()])
    }

    /// The command line.
    #[must_use]
    pub fn cmdline(&self) -> &CString {
        &self.cmdline
    }

    /// Hands all of it to the kernel, which checks it. The machine goes on as before until [`go`].
    ///
    /// Distributions build their kernels for 64-bit ARM without `kexec_file_load`: there the older call is taken, which checks nothing, and
    /// which a kernel that is locked down refuses.
    ///
    /// # Errors
    /// The kernel's refusal, in words.
    pub fn load(&self) -> Result<Way, KexecError> {
        match self.load_files() {
            Err(KexecError::Missing) if cfg!(target_arch = "aarch64") => classic::load(self).map(|()| Way::Segments),
            loaded => loaded.map(|()| Way::Files),
        }
    }

    fn load_files(&self) -> Result<(), KexecError> {
        let kernel = in_memory(c"kernel", [self.kernel].into_iter())?;
        let initrd = in_memory(c"initrd", self.initrd())?;
        let cmdline = self.cmdline.as_bytes_with_nul();
        // SAFETY: both files are open, and the command line is as long as said, with its NUL.
        let result = unsafe {
            libc::syscall(
                libc::SYS_kexec_file_load,
                kernel.as_raw_fd(),
                initrd.as_raw_fd(),
                cmdline.len(),
                cmdline.as_ptr(),
                0_u64,
            )
        };
        if result == 0 { Ok(()) } else { Err(in_words(io::Error::last_os_error())) }
    }
}

/// Whether this kernel is locked down, as distributions' kernels are under Secure Boot: then it loads no kernel that is not signed by a key
/// that it knows. `false` where it does not tell.
#[must_use]
pub fn locked_down() -> bool {
    std::fs::read_to_string("/sys/kernel/security/lockdown").is_ok_and(|modes| in_force(&modes))
}

/// The mode in force stands in brackets among the others.
fn in_force(modes: &str) -> bool {
    !modes.contains("[none]")
}

/// Starts the kernel that was loaded. File systems must be unmounted and mappings removed before: nothing of this system goes on.
///
/// # Errors
/// Nothing is loaded.
pub fn go() -> KexecError {
    rustix::fs::sync();
    match reboot(RebootCommand::Kexec) {
        Ok(()) => KexecError::Io("kexec", io::Error::other("the kernel came back")),
        Err(error) => KexecError::Io("cannot start the loaded kernel", error.into()),
    }
}

/// Zeros that fill a length up to a multiple of four.
fn padding(length: usize) -> &'static [u8] {
    ZEROS.get(..length.next_multiple_of(4).saturating_sub(length)).unwrap_or_default()
}

static ZEROS: [u8; 3] = [0; 3];

/// An archive of these files, uncompressed. The kernel unpacks archives one after another, the later over the earlier.
fn appended(files: &[Handed]) -> Result<Zeroizing<Vec<u8>>, KexecError> {
    if files.is_empty() {
        return Ok(Zeroizing::default());
    }
    let mut archive = Initramfs::new();
    for Handed { path, mode, content } in files {
        if path.is_empty() || path.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(KexecError::Unfit("a file that is handed over has no plain path"));
        }
        archive.file(path, *mode, content);
    }
    let bytes = archive.archive().map_err(|_| KexecError::Unfit("a file that is handed over is 4 GiB or more"))?;
    Ok(Zeroizing::new(bytes))
}

fn in_memory<'a>(name: &std::ffi::CStr, pieces: impl Iterator<Item = &'a [u8]>) -> Result<File, KexecError> {
    let fault = |error| KexecError::Io("no memory for the next kernel", error);
    let mut file =
        File::from(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC).map_err(|error| fault(error.into()))?);
    let mut done = 0;
    for piece in pieces {
        file.write_all(piece).map_err(fault)?;
        done += length(piece.len());
    }
    file.set_len(done).map_err(fault)?;
    Ok(file)
}

fn in_words(error: io::Error) -> KexecError {
    match error.raw_os_error() {
        Some(libc::EPERM) => KexecError::Denied,
        Some(libc::EKEYREJECTED | libc::ENODATA | libc::ENOKEY | libc::EBADMSG) => KexecError::Signature,
        Some(libc::ENOSYS) => KexecError::Missing,
        Some(libc::ENOEXEC) => KexecError::Format,
        _ => KexecError::Io("the kernel does not load the next one", error),
    }
}

#[cfg(test)]
mod tests {
    use slipway_image::uki::{Parts, build};

    use super::*;

    /// The smallest PE that a UKI can be built on: headers with room for sections, and one section.
    fn stub() -> Vec<u8> {
        let mut stub = vec![0; 0x600];
        crate::bytes::put(&mut stub, 0, b"MZ");
        crate::bytes::put(&mut stub, 0x3c, &0x80_u32.to_le_bytes());
        crate::bytes::put(&mut stub, 0x80, b"PE\0\0");
        crate::bytes::put(&mut stub, 0x84, &0x8664_u16.to_le_bytes());
        crate::bytes::put(&mut stub, 0x86, &1_u16.to_le_bytes());
        crate::bytes::put(&mut stub, 0x94, &240_u16.to_le_bytes());
        crate::bytes::put(&mut stub, 0x98, &0x20b_u16.to_le_bytes());
        for (place, value) in [(32, 0x1000_u32), (36, 0x200), (56, 0x2000), (60, 0x400), (108, 16)] {
            crate::bytes::put(&mut stub, 0x98 + place, &value.to_le_bytes());
        }
        crate::bytes::put(&mut stub, 0x98 + 68, &10_u16.to_le_bytes());
        crate::bytes::put(&mut stub, 0x188, b".text");
        for (place, value) in [(8, 16_u32), (12, 0x1000), (16, 0x200), (20, 0x400)] {
            crate::bytes::put(&mut stub, 0x188 + place, &value.to_le_bytes());
        }
        stub
    }

    fn image(initrd: &[u8]) -> Vec<u8> {
        let parts = Parts { linux: b"the kernel", initrd, cmdline: "quiet panic=5", osrel: "ID=x", uname: "6.1" };
        build(&stub(), &parts).unwrap()
    }

    fn key() -> Handed {
        Handed { path: "run/slipway/disk.key".to_owned(), mode: 0o400, content: Zeroizing::new(vec![7; 32]) }
    }

    #[test]
    fn a_uki_comes_apart_and_files_are_laid_over_its_initramfs() {
        for length in 0..9 {
            let own = vec![b'i'; length];
            let bytes = image(&own);
            let start = Start::from_uki(&bytes, " slipway.role=generation ", &[key()]).unwrap();
            assert_eq!(start.kernel, b"the kernel");
            assert_eq!(start.cmdline().to_str().unwrap(), "quiet panic=5 slipway.role=generation");
            let initrd: Vec<u8> = start.initrd().flatten().copied().collect();
            let (first, added) = initrd.split_at(length.next_multiple_of(4));
            assert!(first.starts_with(&own) && first[length..].iter().all(|byte| *byte == 0));
            let names: Vec<String> = cpio::newc_names(added);
            assert_eq!(names, ["run", "run/slipway", "run/slipway/disk.key", "TRAILER!!!"]);
        }
    }

    #[test]
    fn nothing_is_added_if_nothing_is_handed_over() {
        let bytes = image(b"0707");
        let start = Start::from_uki(&bytes, "", &[]).unwrap();
        assert_eq!(start.initrd().flatten().copied().collect::<Vec<u8>>(), b"0707");
        assert_eq!(start.cmdline().as_bytes_with_nul().last(), Some(&0));
    }

    #[test]
    fn a_kernel_tells_whether_it_is_locked_down() {
        for (modes, locked) in [
            ("[none] integrity confidentiality\n", false),
            ("none [integrity] confidentiality\n", true),
            ("none integrity [confidentiality]\n", true),
        ] {
            assert_eq!(in_force(modes), locked, "{modes}");
        }
    }

    #[test]
    fn what_cannot_be_started_is_refused_in_words() {
        let bytes = image(b"");
        let long = "x".repeat(2048);
        let rows = [
            (Start::from_uki(b"MZ", "", &[]), "the generation is not a UKI: "),
            (Start::from_uki(&bytes, "a\0b", &[]), "the command line has a NUL in it"),
            (Start::from_uki(&bytes, &long, &[]), "the command line is longer than 2,047 bytes"),
            (
                Start::from_uki(&bytes, "", &[Handed { path: "a/../b".to_owned(), ..key() }]),
                "a file that is handed over has no plain path",
            ),
        ];
        for (start, words) in rows {
            let refused = start.err().unwrap().to_string();
            assert!(refused.starts_with(words), "{refused}");
        }
        for (number, words) in
            [(libc::EPERM, "locked down"), (libc::ENOSYS, "without kexec_file_load"), (libc::EKEYREJECTED, "signature")]
        {
            assert!(in_words(io::Error::from_raw_os_error(number)).to_string().contains(words));
        }
    }

    /// Names in an archive, read with nothing of what wrote it.
    mod cpio {
        pub(super) fn newc_names(mut archive: &[u8]) -> Vec<String> {
            let mut names = Vec::new();
            while archive.starts_with(b"070701") {
                let field = |at: usize| {
                    let text = std::str::from_utf8(&archive[6 + 8 * at..14 + 8 * at]).unwrap();
                    usize::from_str_radix(text, 16).unwrap()
                };
                let (size, name) = (field(6), field(11));
                names.push(String::from_utf8(archive[110..110 + name - 1].to_vec()).unwrap());
                let data = (110 + name).next_multiple_of(4);
                archive = &archive[(data + size).next_multiple_of(4).min(archive.len())..];
            }
            names
        }
    }
}
