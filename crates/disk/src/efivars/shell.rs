//! efivarfs: a file is a variable, its first four bytes are the attributes, and each write is the whole variable.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use rustix::io::Errno;
use uuid::Uuid;

use super::GLOBAL;
use super::boot::{Change, Variables};

/// Why the firmware's variables cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EfiError {
    /// There are none: the machine was not started by UEFI, or efivarfs is not mounted.
    #[error("this machine shows no EFI variables at {0}: firmware can only start \\EFI\\BOOT of its disk by itself")]
    None(PathBuf),
    /// Writing is not possible.
    #[error(
        "EFI variables cannot be written: {0} is mounted read-only, or the firmware runs without run-time services"
    )]
    ReadOnly(String),
    /// The firmware has no room left.
    #[error("the firmware has no room left for {0}: remove boot entries that nobody needs in its setup")]
    Full(String),
    /// The firmware takes it for malformed.
    #[error("the firmware or the kernel refuses the value of {0}")]
    Refused(String),
    /// Anything else.
    #[error("EFI variable {0}: {1}")]
    Io(String, io::Error),
}

/// Reads what boot is made of. `efivars` is `/sys/firmware/efi/efivars`.
///
/// # Errors
/// There are no variables.
pub fn read(efivars: &Path) -> Result<Variables, EfiError> {
    let none = |_| EfiError::None(efivars.to_owned());
    let mut variables = Variables::default();
    let mut any = false;
    for entry in fs::read_dir(efivars).map_err(none)? {
        let file = entry.map_err(none)?.file_name().to_string_lossy().into_owned();
        any = true;
        let Some(name) = file.strip_suffix(GLOBAL).and_then(|name| name.strip_suffix('-')) else { continue };
        if !name.starts_with("Boot") {
            continue;
        }
        // A variable that cannot be read is left alone, as any that is not ours.
        if let Ok(value) = value(&efivars.join(&file)) {
            variables.0.insert(name.to_owned(), value);
        }
    }
    if any { Ok(variables) } else { Err(EfiError::None(efivars.to_owned())) }
}

/// The vendor GUID of what the loader and the UKI's stub tell about how the system was started.
const LOADER: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

/// The partition that this system was loaded from, if it was loaded from one: a stub that was loaded over the network does not say.
#[must_use]
pub fn loader_partition(efivars: &Path) -> Option<Uuid> {
    Uuid::try_parse(&loader_says(efivars, "LoaderDevicePartUUID")?).ok()
}

/// The file on that partition that this system was loaded from, with backslashes: [`crate::esp::Kind::slot_of`] tells its slot.
#[must_use]
pub fn loader_file(efivars: &Path) -> Option<String> {
    loader_says(efivars, "LoaderImageIdentifier").filter(|file| !file.is_empty())
}

fn loader_says(efivars: &Path, name: &str) -> Option<String> {
    let value = value(&efivars.join(format!("{name}-{LOADER}"))).ok()?;
    let units = value.chunks_exact(2).filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)));
    Some(char::decode_utf16(units.take_while(|unit| *unit != 0)).filter_map(Result::ok).collect())
}

/// What is behind the attributes.
fn value(file: &Path) -> io::Result<Vec<u8>> {
    // With one read: the kernel asks the firmware for each.
    let mut bytes = vec![0; 64 * 1024];
    let got = File::open(file)?.read(&mut bytes)?;
    bytes.truncate(got);
    bytes.get(4..).map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Writes the changes, each as one variable, and reads each back.
///
/// # Errors
/// The first that fails; those before it are done.
pub fn apply(efivars: &Path, changes: &[Change]) -> Result<(), EfiError> {
    for change in changes {
        let path = efivars.join(change.file());
        let name = || change.name().to_owned();
        match change.content() {
            Some(content) => {
                write(&path, &content).map_err(|error| in_words(name(), error))?;
                let back = value(&path).map_err(|error| EfiError::Io(name(), error))?;
                if Some(back.as_slice()) != content.get(4..) {
                    return Err(EfiError::Refused(name()));
                }
            }
            None => match remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(in_words(name(), error)),
                Ok(()) | Err(_) => {}
            },
        }
    }
    Ok(())
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    make_mutable(path)?;
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    match file.write(content)? {
        written if written == content.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    make_mutable(path)?;
    fs::remove_file(path)
}

/// Takes the immutable flag away, which efivarfs puts on every variable that it does not know to be harmless.
fn make_mutable(path: &Path) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    match ioctl_getflags(&file) {
        Ok(flags) if flags.contains(IFlags::IMMUTABLE) => Ok(ioctl_setflags(&file, flags - IFlags::IMMUTABLE)?),
        // A file system without such flags, as a test's.
        Ok(_) | Err(Errno::NOTTY | Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn in_words(name: String, error: io::Error) -> EfiError {
    match Errno::from_io_error(&error) {
        Some(Errno::ROFS | Errno::PERM | Errno::ACCESS) => EfiError::ReadOnly(name),
        Some(Errno::NOSPC) => EfiError::Full(name),
        Some(Errno::INVAL) => EfiError::Refused(name),
        _ => EfiError::Io(name, error),
    }
}
