//! Where the org's files are, and how they are read and written.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use slipway_server::places::{Surroundings, config_file, load};
use slipway_server::privileges::keep_owner;
use slipway_trust::keyfile::{KeyFile, Kind, PrivateKey, place};
use slipway_trust::{OrgFacts, OrgId, OrgManifest, PublicKey, Signed, Time};

use crate::cli::Global;

/// The data folder that this command line, configuration and environment lead to.
pub(crate) fn data(global: &Global) -> PathBuf {
    let config = load(config_file(global.config.as_deref()).as_deref()).ok();
    Surroundings::read().data(global.data.as_deref(), config.as_ref())
}

/// Now.
pub(crate) fn now() -> Time {
    Time(u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0))
}

/// Now, or the second after that time if it is not over yet: what is signed must be later than what it follows.
pub(crate) fn now_after(time: &str) -> Time {
    let before = time.parse::<jiff::Timestamp>().ok().and_then(|at| u64::try_from(at.as_second()).ok());
    before.map_or_else(now, |before| Time(before).plus(1).max(now()))
}

/// Random bytes, from the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    // The kernel gives up to 256 bytes whole.
    let given = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    match given {
        Ok(given) if given == N => Ok(bytes),
        Ok(_) => bail!("the system gives too few random bytes"),
        Err(error) => Err(error).context("the system gives no random bytes"),
    }
}

/// The org that a data folder's server belongs to: its public part.
#[derive(Clone, Debug)]
pub(crate) struct Org {
    /// The data folder.
    pub(crate) data: PathBuf,
    /// The root's public key.
    pub(crate) root: PublicKey,
    /// The manifest.
    pub(crate) manifest: OrgManifest,
}

impl Org {
    /// Reads it from a data folder. The manifest is believed only with the root's signature.
    pub(crate) fn open(data: &Path) -> Result<Self> {
        let folder = data.join(place::FOLDER);
        let file = folder.join(place::MANIFEST);
        let bytes = fs::read(&file).map_err(|error| match error.kind() {
            ErrorKind::NotFound => anyhow!(
                "there is no org in {}: `slipway org init NAME` makes one, `--data DIR` names another data folder",
                data.display()
            ),
            ErrorKind::PermissionDenied => {
                anyhow!("you may not read {}: ask as the server's user (sudo?)", file.display())
            }
            _ => anyhow!("cannot read {}: {error}", file.display()),
        })?;
        let root = read_key(&folder.join(place::ROOT), Kind::Root)?.public;
        let damaged = || format!("{} cannot be used; restore {} from a backup", file.display(), folder.display());
        let signed: Signed = slipway_trust::decode(&bytes).with_context(damaged)?;
        let manifest = OrgManifest::open(&signed, &root, 0).with_context(damaged)?;
        Ok(Self { data: data.to_owned(), root, manifest })
    }

    /// Its id.
    pub(crate) fn id(&self) -> OrgId {
        self.manifest.org
    }

    /// What is baked into an image of this version that is built now.
    pub(crate) fn facts(&self, version: u64, built: Time) -> OrgFacts {
        OrgFacts {
            root: self.root,
            name: self.manifest.name.clone(),
            ca_spki: Some(self.manifest.ca_spki),
            gateways: self.manifest.gateways.clone(),
            invite: None,
            version,
            built,
        }
    }

    /// Puts another manifest in place on disk, by one rename.
    pub(crate) fn install(&self, signed: &Signed) -> Result<()> {
        let file = self.data.join(place::FOLDER).join(place::MANIFEST);
        replace(&file, 0o644, &slipway_trust::encode(signed))?;
        let folder = self.data.join(place::FOLDER);
        keep_owner(&self.data, &folder).with_context(|| format!("cannot give {} to its owner", folder.display()))
    }
}

/// Where a person's keys of an org are kept by default.
pub(crate) fn keys_folder(org: &str) -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")));
    let config = config.context("neither HOME nor XDG_CONFIG_HOME is set: say where the keys are with `--keys DIR`")?;
    Ok(config.join("slipway/org").join(org))
}

/// A key file's content, of the kind that is needed.
pub(crate) fn read_key(path: &Path, kind: Kind) -> Result<KeyFile> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = zeroize::Zeroizing::new(text);
    let file: KeyFile = text.parse().with_context(|| format!("{} is no usable key", path.display()))?;
    if file.kind != kind {
        bail!("{} is the {} key, the {kind} key is needed here", path.display(), file.kind);
    }
    if file.private.is_some() {
        warn_of_readers(path);
    }
    Ok(file)
}

/// A private key for this org, from the file that was named or from where keys of this kind are kept.
pub(crate) fn private_key(named: Option<&Path>, kind: Kind, org: &Org) -> Result<PrivateKey> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => keys_folder(&org.manifest.name)?.join(kind.file()),
    };
    if named.is_none() && !path.exists() {
        bail!(
            "the {kind} key is needed, and {} does not exist: `{} FILE` says where it is; with sudo, it is looked for in root's home",
            path.display(),
            option(kind)
        );
    }
    let file = read_key(&path, kind)?;
    if file.org.is_some_and(|other| other != org.id()) {
        bail!("{} is a key of another org, not of {}", path.display(), org.manifest.name);
    }
    file.private.with_context(|| format!("{} has no private key in it, only the public half", path.display()))
}

/// The same from where keys of this kind are kept, if one is there.
///
/// # Errors
/// One is there, and cannot be used.
pub(crate) fn usual_key(kind: Kind, org: &Org) -> Result<Option<PrivateKey>> {
    let Ok(folder) = keys_folder(&org.manifest.name) else { return Ok(None) };
    folder.join(kind.file()).exists().then(|| private_key(None, kind, org)).transpose()
}

/// The option that names a key file of this kind.
const fn option(kind: Kind) -> &'static str {
    match kind {
        Kind::Root => "--root-key",
        Kind::Image => "--sign-with",
        Kind::PcrPolicy => "--pcr-policy-key",
        Kind::Admin | Kind::Enroller => "--key",
        Kind::Escrow => "--escrow",
    }
}

/// A private key that others can read may be theirs too. It is used all the same: a stick may know no permissions.
fn warn_of_readers(path: &Path) {
    let mode = fs::metadata(path).map_or(0, |file| file.permissions().mode());
    if mode & 0o077 != 0 {
        let shown = path.display();
        eprintln!(
            "slipway: warning: {shown} is a private key, and others on this computer can read it: `chmod 600 {shown}`"
        );
    }
}

/// A new private key.
pub(crate) fn new_key(kind: Kind) -> Result<PrivateKey> {
    loop {
        let seed = zeroize::Zeroizing::new(random::<32>()?);
        if let Some(key) = PrivateKey::from_seed(kind, &seed) {
            return Ok(key);
        }
    }
}

/// A folder for secrets, if it is not there.
pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot make the folder {}", folder.display()))
}

/// A new file; one that is there stays as it is.
pub(crate) fn create(path: &Path, mode: u32, content: &[u8]) -> Result<()> {
    write_new(path, mode, content).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => anyhow!("{} exists already, and is never replaced", path.display()),
        ErrorKind::NotFound => anyhow!("cannot write {}: its folder does not exist", path.display()),
        _ => anyhow!("cannot write {}: {error}", path.display()),
    })
}

fn write_new(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// A file that replaces the one that is there, if there is one, by one rename.
pub(crate) fn replace(path: &Path, mode: u32, content: &[u8]) -> Result<()> {
    let mut name = path.file_name().with_context(|| format!("{} names no file", path.display()))?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let _ = fs::remove_file(&beside);
    write_new(&beside, mode, content).map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow!("cannot write {}: its folder does not exist", path.display()),
        _ => anyhow!("cannot write {}: {error}", path.display()),
    })?;
    if let Err(error) = fs::rename(&beside, path) {
        let _ = fs::remove_file(&beside);
        return Err(error).with_context(|| format!("cannot write {}", path.display()));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| format!("cannot write {}", path.display()))
}
