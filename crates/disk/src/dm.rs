//! Device mapper: a LUKS volume's data as a block device, by the ioctls of `/dev/mapper/control` (Linux `dm-ioctl.h`, version 4).

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use crate::bytes::{index, length, put, u64_at};
use crate::luks::VolumeKey;

/// What the names of our mappings begin with.
pub const PREFIX: &str = "slipway-";

/// How a volume's data is mapped, in sectors of 512 bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Crypt {
    /// Length of the data.
    pub sectors: u64,
    /// Where it begins on the partition.
    pub offset: u64,
    /// What is added to a sector's number for its initialisation vector.
    pub tweak: u64,
    /// Bytes that are encrypted at once.
    pub sector: u32,
}

impl Crypt {
    /// The parameters of dm-crypt's table. `device` is `major:minor`.
    #[must_use]
    pub fn parameters(&self, key: &VolumeKey, device: &str) -> Zeroizing<String> {
        let hex = Zeroizing::new(HEXLOWER.encode(key.bytes()));
        let options = match self.sector {
            512 => "1 allow_discards".to_owned(),
            size => format!("2 allow_discards sector_size:{size}"),
        };
        Zeroizing::new(format!("aes-xts-plain64 {} {} {device} {} {options}", *hex, self.tweak, self.offset))
    }
}

/// Bytes of `struct dm_ioctl`.
const HEAD: usize = 312;
/// Bytes of `struct dm_target_spec`.
const SPEC: usize = 40;
/// Room for the kernel's answer.
const ROOM: usize = 16 * 1024;
/// The kernel's copy of the request is cleared after use.
const SECURE_DATA: u32 = 1 << 15;
/// Numbers of the requests.
const CREATE: u8 = 3;
const REMOVE: u8 = 4;
const RESUME: u8 = 6;
const LOAD: u8 = 9;

/// Maps a volume: `/dev/mapper` knows it by `slipway-<name>`; says where it is opened, `/dev/dm-0`.
///
/// # Errors
/// No device mapper, no dm-crypt, a name that is taken, the cipher is not there: in words.
pub fn open(name: &str, partition: &Path, crypt: &Crypt, key: &VolumeKey) -> io::Result<PathBuf> {
    let control = control()?;
    let rdev = fs::metadata(partition)?.rdev();
    let device = format!("{}:{}", libc::major(rdev), libc::minor(rdev));
    let name = format!("{PREFIX}{name}");
    let in_words =
        |what: &'static str| move |error: io::Error| io::Error::new(error.kind(), format!("{what}: {error}"));
    let created = request(&control, CREATE, &name, None).map_err(in_words("cannot make the mapping"))?;
    let loaded = request(&control, LOAD, &name, Some((crypt.sectors, &crypt.parameters(key, &device))))
        .map_err(in_words("the kernel does not take the table (are dm-crypt, xts and aes there?)"))
        .and_then(|_| request(&control, RESUME, &name, None).map_err(in_words("cannot start the mapping")));
    if let Err(error) = loaded {
        // The refusal is what matters; an empty mapping does no harm.
        let _ = request(&control, REMOVE, &name, None);
        return Err(error);
    }
    let number = u64_at(&created, 40).unwrap_or_default();
    Ok(PathBuf::from(format!("/dev/dm-{}", libc::minor(number))))
}

/// Removes a mapping: the kernel forgets its key. One that is not there is removed already.
///
/// # Errors
/// It is in use.
pub fn close(name: &str) -> io::Result<()> {
    match request(&control()?, REMOVE, &format!("{PREFIX}{name}"), None) {
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(()),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

fn control() -> io::Result<File> {
    let path = "/dev/mapper/control";
    File::options().read(true).write(true).open(path).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("the kernel has no device mapper ({path}: {error}); is the module dm-mod loaded?"),
        )
    })
}

/// One request; its answer's bytes.
fn request(control: &File, number: u8, name: &str, table: Option<(u64, &str)>) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(encode(name, table));
    // _IOWR(0xfd, number, struct dm_ioctl)
    let code = rustix::ioctl::opcode::read_write::<[u8; HEAD]>(0xfd, number);
    // SAFETY: the kernel reads and writes at most as many bytes as the request's `data_size` says, which is the buffer's length.
    let result = unsafe { libc::ioctl(control.as_raw_fd(), libc::Ioctl::from(code), bytes.as_mut_ptr()) };
    if result == 0 { Ok(bytes) } else { Err(io::Error::last_os_error()) }
}

fn encode(name: &str, table: Option<(u64, &str)>) -> Vec<u8> {
    let parameters = table.map_or(0, |(_, parameters)| SPEC + parameters.len() + 1);
    let size = HEAD.saturating_add(parameters).next_multiple_of(8).max(ROOM);
    let mut bytes = vec![0; size];
    put(&mut bytes, 0, &4_u32.to_le_bytes());
    put(&mut bytes, 12, &u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
    put(&mut bytes, 16, &312_u32.to_le_bytes());
    put(&mut bytes, 28, &SECURE_DATA.to_le_bytes());
    // 127 bytes and a NUL.
    put(&mut bytes, 48, name.as_bytes().get(..name.len().min(127)).unwrap_or_default());
    if let Some((sectors, parameters)) = table {
        put(&mut bytes, 20, &1_u32.to_le_bytes());
        put(&mut bytes, HEAD + 8, &sectors.to_le_bytes());
        let next = u32::try_from(index(length(size)).saturating_sub(HEAD)).unwrap_or(0);
        put(&mut bytes, HEAD + 20, &next.to_le_bytes());
        put(&mut bytes, HEAD + 24, b"crypt");
        put(&mut bytes, HEAD + SPEC, parameters.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_what_dmsetup_would_load() {
        let key = VolumeKey(Zeroizing::new([0xab; 64]));
        let rows = [
            (512, "aes-xts-plain64 KEY 0 259:1 32768 1 allow_discards"),
            (4096, "aes-xts-plain64 KEY 0 259:1 32768 2 allow_discards sector_size:4096"),
        ];
        for (sector, wanted) in rows {
            let crypt = Crypt { sectors: 100, offset: 32_768, tweak: 0, sector };
            assert_eq!(*crypt.parameters(&key, "259:1"), wanted.replace("KEY", &"ab".repeat(64)));
        }
    }

    #[test]
    fn a_request_is_laid_out_as_the_kernel_reads_it() {
        let bytes = encode("slipway-data", Some((2048, "abc")));
        assert_eq!(bytes.len() % 8, 0);
        assert_eq!(bytes[48..61], *b"slipway-data\0");
        assert_eq!(u64_at(&bytes, 320), Some(2048), "the target's length");
        assert_eq!(bytes[336..342], *b"crypt\0");
        assert_eq!(bytes[352..356], *b"abc\0");
    }
}
