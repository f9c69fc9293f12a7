//! Giving up what the server does not need, before its first thread and its first packet.
//!
//! What stays, and why: `CAP_NET_BIND_SERVICE` binds ports 67 and 69, again after a reload; `CAP_NET_RAW` ties DHCP's sockets to
//! their interfaces (before Linux 5.7); `CAP_NET_ADMIN` gives them receive buffers beyond the system's limit, for a crowd at once.
//! Capabilities belong to threads: dropped before there are threads, they are dropped for all. Bound before or after makes no
//! difference then, because binding is among what stays.

use std::ffi::CString;
use std::io;
use std::path::Path;

use caps::{CapSet, Capability, CapsHashSet};

const KEPT: [Capability; 3] = [Capability::CAP_NET_BIND_SERVICE, Capability::CAP_NET_RAW, Capability::CAP_NET_ADMIN];

/// A user to run as.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
}

/// Why privileges could not be given up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such user.
    #[error("there is no user {0:?}: create it (`useradd --system --no-create-home {0}`), or remove `user`")]
    NoUser(String),
    /// Only root can become another user.
    #[error("`user = {0:?}` needs a start as root: remove it, or start with sudo or systemd")]
    NotRoot(String),
    /// The kernel refused.
    #[error("cannot {doing}")]
    Kernel {
        /// What was tried.
        doing: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

fn kernel(doing: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Kernel { doing, source }
}

/// Looks a user up.
///
/// # Errors
/// There is none, or the system's user database cannot be asked.
pub fn user(name: &str) -> Result<User, Error> {
    let missing = || Error::NoUser(name.to_owned());
    let c_name = CString::new(name).map_err(|_| missing())?;
    let mut buffer = vec![0; 16 << 10];
    // SAFETY: an all-zero `passwd` is a valid one.
    let mut entry: libc::passwd = unsafe { core::mem::zeroed() };
    let mut found = core::ptr::null_mut();
    // SAFETY: all pointers are valid for the call, and `buffer` is as long as said.
    let code =
        unsafe { libc::getpwnam_r(c_name.as_ptr(), &raw mut entry, buffer.as_mut_ptr(), buffer.len(), &raw mut found) };
    if code != 0 && code != libc::ENOENT {
        return Err(kernel("look the user up")(io::Error::from_raw_os_error(code)));
    }
    if found.is_null() {
        return Err(missing());
    }
    Ok(User { name: name.to_owned(), uid: entry.pw_uid, gid: entry.pw_gid })
}

/// Whether this process is root (in its user namespace).
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Gives a folder and all in it to a user. A link in it is given, never followed, even one that is put there meanwhile: whoever owned
/// the folder so far must not choose what else root gives away.
///
/// # Errors
/// The file system's.
pub fn give(folder: &Path, user: &User) -> io::Result<()> {
    use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid, chownat, fchown, open, openat, statat};
    let (uid, gid) = (Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)));
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut left = vec![open(folder, flags, Mode::empty())?];
    while let Some(folder) = left.pop() {
        fchown(&folder, uid, gid)?;
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let status = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
                left.push(openat(&folder, name, flags | OFlags::NOFOLLOW, Mode::empty())?);
            } else {
                chownat(&folder, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
            }
        }
    }
    Ok(())
}

/// Gives a folder that was just made in the data folder to the data folder's owner: the server may run as another user than root, who
/// asked for it at the command line.
///
/// # Errors
/// The file system's.
pub fn keep_owner(data: &Path, folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = std::fs::metadata(data)?;
    if !is_root() || owner.uid() == 0 {
        return Ok(());
    }
    give(folder, &User { name: String::new(), uid: owner.uid(), gid: owner.gid() })
}

/// Becomes `user`, if one is given, keeps three capabilities of those there are, and forbids to gain any by `execve`.
/// Must be called while there is one thread.
///
/// # Errors
/// The kernel refuses: then the server does not start.
pub fn give_up(user: Option<&User>) -> Result<Vec<String>, Error> {
    let cap_error = |error: caps::errors::CapsError| io::Error::other(error.to_string());
    rustix::thread::set_no_new_privs(true).map_err(io::Error::from).map_err(kernel("set no_new_privs"))?;
    let permitted = caps::read(None, CapSet::Permitted).map_err(cap_error).map_err(kernel("read the capabilities"))?;
    let kept: CapsHashSet = KEPT.into_iter().filter(|capability| permitted.contains(capability)).collect();
    if permitted.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::runtime::thread_all_supported().difference(&kept) {
            caps::drop(None, CapSet::Bounding, *capability)
                .map_err(cap_error)
                .map_err(kernel("drop a capability from the bounding set"))?;
        }
    }
    if let Some(user) = user {
        become_user(user)?;
    }
    for set in [CapSet::Effective, CapSet::Permitted] {
        // Effective first shrinks, so that it never exceeds permitted; after setuid it is empty and is raised again here.
        caps::set(None, set, &kept).map_err(cap_error).map_err(kernel("drop capabilities"))?;
    }
    caps::clear(None, CapSet::Inheritable).map_err(cap_error).map_err(kernel("clear inheritable capabilities"))?;
    let mut names: Vec<String> = kept.iter().map(ToString::to_string).collect();
    names.sort();
    Ok(names)
}

fn become_user(user: &User) -> Result<(), Error> {
    if !is_root() {
        return Err(Error::NotRoot(user.name.clone()));
    }
    caps::securebits::set_keepcaps(true)
        .map_err(|error| io::Error::other(error.to_string()))
        .map_err(kernel("keep capabilities across the change of user"))?;
    let check = |code: libc::c_int| if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // SAFETY: no pointers but a null one with length zero.
    check(unsafe { libc::setgroups(0, core::ptr::null()) }).map_err(kernel("leave root's groups"))?;
    // SAFETY: plain numbers.
    check(unsafe { libc::setresgid(user.gid, user.gid, user.gid) }).map_err(kernel("change the group"))?;
    // SAFETY: plain numbers.
    check(unsafe { libc::setresuid(user.uid, user.uid, user.uid) }).map_err(kernel("change the user"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name_or_the_remedy_is_told() {
        let root = user("root").unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        let message = user("no-such-user-here").unwrap_err().to_string();
        assert!(message.contains("useradd --system --no-create-home no-such-user-here"), "{message}");
        assert!(matches!(user("nul\0inside"), Err(Error::NoUser(_))));
    }

    #[test]
    fn a_folder_is_given_with_all_in_it_and_nothing_that_a_link_leads_to() {
        use std::os::unix::fs::{MetadataExt as _, symlink};
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("a/b")).unwrap();
        std::fs::write(at("a/b/file"), "").unwrap();
        symlink(outside.path(), at("a/link")).unwrap();
        let ours = std::fs::metadata(outside.path()).unwrap();
        // Another user where we may give to one, else ourselves.
        let uid = if is_root() { 12_345 } else { ours.uid() };
        give(folder.path(), &User { name: "x".to_owned(), uid, gid: ours.gid() }).unwrap();
        for name in ["", "a", "a/b", "a/b/file", "a/link"] {
            assert_eq!(std::fs::symlink_metadata(at(name)).unwrap().uid(), uid, "{name}");
        }
        assert_eq!(std::fs::metadata(outside.path()).unwrap().uid(), ours.uid());
    }

    /// Capabilities are a thread's own, so a thread can try what a process does.
    #[test]
    fn nothing_but_three_capabilities_is_left() {
        std::thread::spawn(|| {
            let kept = give_up(None).unwrap();
            assert!(kept.iter().all(|name| name.starts_with("CAP_NET_")), "{kept:?}");
            for set in [CapSet::Effective, CapSet::Permitted] {
                let left = caps::read(None, set).unwrap();
                assert!(left.iter().all(|capability| KEPT.contains(capability)), "{set:?}: {left:?}");
            }
            assert!(rustix::thread::no_new_privs().unwrap());
        })
        .join()
        .unwrap();
    }
}
