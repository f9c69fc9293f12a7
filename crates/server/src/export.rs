//! The operator's own folder, read-only beside the namespace: a name can never lead out of it.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};

/// Opens a regular file in the folder for reading; `path` is normalised ([`slipway_engine::namespace::normalise`]). Symbolic links
/// are followed as long as they stay inside. The kernel sees to that (`openat2`, Linux 5.6), so nothing can change in between.
///
/// # Errors
/// The file system's: `NotFound` also for folders and devices, `CrossesDevices` for what leads out.
pub fn open_beneath(folder: &Path, path: &str) -> io::Result<File> {
    let folder = open(folder, OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::PATH, Mode::empty())?;
    // Without NONBLOCK, opening a named pipe would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = openat2(&folder, path, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS)?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(File::from(file))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use rustix::fs::CWD;

    use super::*;

    #[test]
    fn files_in_the_folder_are_opened_and_nothing_else() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "secret").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("sub/file"), "inside").unwrap();
        symlink("sub/file", at("inner")).unwrap();
        symlink(outside.path().join("secret"), at("absolute")).unwrap();
        symlink("../../../../../../../../etc/hostname", at("relative")).unwrap();
        symlink(outside.path(), at("folder")).unwrap();
        rustix::fs::mkfifoat(CWD, at("pipe"), Mode::RUSR).unwrap();
        for name in ["sub/file", "inner"] {
            let mut text = String::new();
            open_beneath(folder.path(), name).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "inside", "{name}");
        }
        for name in
            ["absolute", "relative", "folder/secret", "sub", "pipe", "none", "sub/file/x", "", "/etc/hostname", ".."]
        {
            assert!(open_beneath(folder.path(), name).is_err(), "{name}");
        }
    }
}
