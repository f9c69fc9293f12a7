//! Packages that the lab downloads and unpacks without installing them: kernels for machines to boot, and for machines with
//! another processor everything that they run.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::fs::FlockOperation;

use crate::process::run;

/// Where packages come from.
#[derive(Clone, Debug)]
pub(crate) struct Apt {
    /// Of a private apt; none is this computer's own.
    config: Option<PathBuf>,
    /// The architecture, as Debian calls it.
    arch: &'static str,
}

/// Debian for another processor: the release that is fetched, whatever this computer runs, so that it is the same everywhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreign {
    /// The architecture, as Debian calls it.
    pub(crate) arch: &'static str,
    /// The release.
    pub(crate) release: &'static str,
    /// Whether packages of this computer's own kind are fetched beside them, and updates for security.
    pub(crate) with_own: bool,
    /// systemd's EFI stub there.
    pub(crate) stub: &'static str,
    /// The console that a virtual machine's serial line is.
    pub(crate) console: &'static str,
}

/// Debian 12 for 64-bit ARM.
pub(crate) const ARM64: Foreign =
    Foreign { arch: "arm64", release: "bookworm", with_own: false, stub: "linuxaa64.efi.stub", console: "ttyAMA0" };

/// Debian 13 for 64-bit ARM: the first with iPXE for it.
pub(crate) const ARM64_NEWER: Foreign = Foreign { release: "trixie", ..ARM64 };

/// Debian 12's Rust compiler for this computer, with its standard library for 64-bit ARM: it is kept new for Firefox.
pub(crate) const ARM64_RUST: Foreign = Foreign { with_own: true, ..ARM64 };

/// Where Debian is when this computer is none that knows a nearer mirror.
const MIRROR: &str = "http://deb.debian.org/debian";
/// This computer's own architecture, as Debian calls it: the lab's machines are emulated, but its compiler runs here.
const OWN: &str = "amd64";
/// The keys that Debian's releases are signed with.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

impl Apt {
    /// This computer's own apt.
    pub(crate) const fn own() -> Self {
        Self { config: None, arch: "amd64" }
    }

    /// A private apt for packages of another architecture, with its lists in `cache`: this computer's own knows nothing of it, and
    /// stays as it is. The lists are fetched when there are none.
    ///
    /// # Errors
    /// Debian's keys are not here, or its lists can't be fetched.
    pub(crate) fn foreign(debian: Foreign, cache: &Path) -> Result<Self> {
        let folder = Self::folder(debian, cache);
        let apt = Self { config: Some(folder.join("apt.conf")), arch: debian.arch };
        fs::create_dir_all(folder.join("lists")).with_context(|| format!("cannot make {}", folder.display()))?;
        let _alone = lock(&folder.join("lab.lock"))?;
        if !folder.join("complete").exists() {
            if !Path::new(KEYRING).exists() {
                bail!(
                    "{KEYRING} is missing, with which Debian signs its packages: install the package debian-archive-keyring"
                );
            }
            fs::create_dir_all(folder.join("cache"))?;
            fs::write(folder.join("status"), "")?;
            fs::write(folder.join("debian.sources"), sources(debian, &mirror()))?;
            fs::write(folder.join("apt.conf"), config(debian, &folder))?;
            run(apt.get().arg("update")).with_context(|| {
                format!("cannot fetch Debian's package lists for {} from {}", debian.arch, mirror())
            })?;
            fs::write(folder.join("complete"), "")?;
        }
        Ok(apt)
    }

    fn folder(debian: Foreign, cache: &Path) -> PathBuf {
        let own = if debian.with_own { "-own" } else { "" };
        cache.join(format!("apt-{}-{}{own}", debian.arch, debian.release))
    }

    fn get(&self) -> Command {
        self.command("apt-get", &["-q", "-o", "APT::Update::Error-Mode=any"])
    }

    fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        if let Some(config) = &self.config {
            command.arg("-c").arg(config);
        }
        command.args(words);
        command
    }

    /// The versioned package behind the first of these names that the distribution knows.
    ///
    /// # Errors
    /// apt knows none.
    fn kernel_package(&self, names: &[String]) -> Result<String> {
        for name in names {
            // Not known to this distribution is no error; the list has others.
            let depends = run(&mut self.command("apt-cache", &["depends", name])).unwrap_or_default();
            if let Some(package) = versioned_kernel(&depends) {
                return Ok(package);
            }
        }
        bail!("apt knows no kernel package ({}): run apt-get update", names.join(", "))
    }

    /// The first package that this one depends on and whose name begins so, and goes on with a digit.
    ///
    /// # Errors
    /// apt does not know the package, or it depends on none.
    pub(crate) fn depends(&self, package: &str, begins: &str) -> Result<String> {
        let text = run(&mut self.command("apt-cache", &["depends", package]))?;
        let names = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        let mut found = names.filter(|name| {
            name.strip_prefix(begins).is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        });
        let found = found.next().with_context(|| format!("{package} depends on no {begins}…"))?;
        Ok(found.split(':').next().unwrap_or(found).to_owned())
    }

    /// The package of the distribution's smallest kernel for virtual machines, and those of its modules where they have their own.
    ///
    /// # Errors
    /// apt knows no kernel.
    pub(crate) fn kernel_packages(&self) -> Result<Vec<String>> {
        let arch = self.arch;
        let smallest = [format!("linux-image-cloud-{arch}"), "linux-image-virtual".to_owned()];
        Ok(self.with_modules(self.kernel_package(&[&smallest[..], &whole(arch)].concat())?, &["linux-modules-"]))
    }

    /// The same for the distribution's kernel for every machine, with all of its modules.
    ///
    /// # Errors
    /// apt knows no kernel.
    pub(crate) fn whole_kernel_packages(&self) -> Result<Vec<String>> {
        let package = self.kernel_package(&whole(self.arch))?;
        Ok(self.with_modules(package, &["linux-modules-", "linux-modules-extra-"]))
    }

    fn with_modules(&self, package: String, kinds: &[&str]) -> Vec<String> {
        let apart = |kind| package.replacen("linux-image-", kind, 1).replacen("unsigned-", "", 1);
        let known = |name: &String| run(&mut self.command("apt-cache", &["show", name])).is_ok();
        let apart: Vec<String> = kinds.iter().map(|kind| apart(kind)).filter(known).collect();
        std::iter::once(package).chain(apart).collect()
    }

    /// Downloads packages and unpacks them all into one folder of `cache`, once. Returns the folder, whose name is theirs.
    ///
    /// # Errors
    /// One can't be downloaded or unpacked.
    pub(crate) fn fetch(&self, packages: &[String], cache: &Path) -> Result<PathBuf> {
        // The first few tell them apart, for a file's name has an end; a colon would end a path in a list of paths.
        let name = packages.iter().take(4).map(String::as_str).collect::<Vec<_>>().join("+").replace(':', "_");
        let root = cache.join(&name);
        let _alone = lock(&cache.join(format!("{name}.lock")))?;
        if !root.join("complete").exists() {
            self.unpack(packages, &root).with_context(|| format!("cannot get the packages {name} ({})", self.arch))?;
        }
        Ok(root)
    }

    fn unpack(&self, packages: &[String], root: &Path) -> Result<()> {
        // Beside the final place: an interrupted download leaves nothing that looks whole.
        let mut fresh = root.as_os_str().to_owned();
        fresh.push(".new");
        let fresh = PathBuf::from(fresh);
        if fresh.exists() {
            fs::remove_dir_all(&fresh)?;
        }
        fs::create_dir_all(&fresh)?;
        for package in packages {
            run(self.get().args(["download", package]).current_dir(&fresh))?;
        }
        for entry in fs::read_dir(&fresh)? {
            let deb = entry?.path();
            if deb.extension().is_some_and(|extension| extension == "deb") {
                run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&fresh))?;
                fs::remove_file(&deb)?;
            }
        }
        fs::write(fresh.join("complete"), "")?;
        if root.exists() {
            fs::remove_dir_all(root)?;
        }
        fs::rename(&fresh, root)?;
        Ok(())
    }
}

/// Fetches packages of another architecture, unpacked into one folder: those that `which` chooses among what there is.
///
/// # Errors
/// Debian's keys are not here, or a package can't be had.
pub(crate) fn fetch_foreign(
    debian: Foreign,
    which: impl Fn(&Apt) -> Result<Vec<String>>,
    cache: &Path,
) -> Result<PathBuf> {
    let once = || {
        let apt = Apt::foreign(debian, cache)?;
        apt.fetch(&which(&apt)?, cache)
    };
    // Lists that were fetched long ago may name versions that are gone: a second try has new ones.
    once().or_else(|first| {
        fs::remove_dir_all(Apt::folder(debian, cache)).map_err(|_| first)?;
        once()
    })
}

/// Waits until no other lab is at it, for as long as the file is open.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive)
        .with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// The distributions' names for the kernel for every machine: Debian's, Ubuntu's.
fn whole(arch: &str) -> [String; 2] {
    [format!("linux-image-{arch}"), "linux-image-generic".to_owned()]
}

fn versioned_kernel(depends: &str) -> Option<String> {
    let names = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    names
        .map(str::trim)
        .find(|name| name.starts_with("linux-image-") && name.contains(|c: char| c.is_ascii_digit()))
        .map(str::to_owned)
}

/// The mirror that this computer takes Debian from, if it takes Debian: it may be the only one in reach.
fn mirror() -> String {
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages"]);
    let known = run(&mut targets).unwrap_or_default();
    let mut debian = known.lines().filter_map(|line| line.strip_prefix("Debian "));
    let main = debian.find(|uri| uri.trim_end_matches('/').ends_with("/debian"));
    main.unwrap_or(MIRROR).trim_end_matches('/').to_owned()
}

fn sources(debian: Foreign, mirror: &str) -> String {
    let Foreign { release, arch, with_own, .. } = debian;
    let archs = if with_own { format!("{OWN} {arch}") } else { arch.to_owned() };
    let source = |uri: &str, suite: &str| {
        format!(
            "Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\nArchitectures: {archs}\nSigned-By: {KEYRING}\n"
        )
    };
    let main = source(mirror, release);
    if with_own {
        format!("{main}\n{}", source(&format!("{mirror}-security"), &format!("{release}-security")))
    } else {
        main
    }
}

/// apt's configuration on top of this computer's own, whose proxies it keeps and whose hooks it does not run.
fn config(debian: Foreign, folder: &Path) -> String {
    let Foreign { arch, with_own, .. } = debian;
    let (first, second) = if with_own { (OWN, format!(" \"{arch}\";")) } else { (arch, String::new()) };
    let folder = folder.display();
    format!(
        r#"#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Update::Post-Invoke-Stats;
#clear APT::Architectures;
#clear Acquire::IndexTargets::deb::DEP-11;
#clear Acquire::IndexTargets::deb::CNF;
APT::Architecture "{first}";
APT::Architectures {{ "{first}";{second} }};
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::State "{folder}";
Dir::State::lists "{folder}/lists/";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Etc::SourceList "{folder}/debian.sources";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_package_is_the_versioned_one() {
        let debian = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n";
        assert_eq!(versioned_kernel(debian).as_deref(), Some("linux-image-6.1.0-56-cloud-amd64"));
        let ubuntu =
            "linux-image-virtual\n  Depends: linux-image-6.8.0-45-generic\n    linux-image-unsigned-6.8.0-45-generic\n";
        assert_eq!(versioned_kernel(ubuntu).as_deref(), Some("linux-image-6.8.0-45-generic"));
        assert_eq!(versioned_kernel("N: Unable to locate package\n"), None);
    }

    #[test]
    fn a_private_apt_keeps_its_hands_off_this_computers_own() {
        let text = config(ARM64, Path::new("/cache/apt-arm64"));
        for place in
            ["Dir::State \"/cache", "Dir::Cache \"/cache", "SourceParts \"/dev/null\"", "#clear APT::Update::Post"]
        {
            assert!(text.contains(place), "{place} in\n{text}");
        }
        let text = sources(ARM64, "http://mirror.example/debian");
        assert!(text.contains("Suites: bookworm\n") && text.contains("URIs: http://mirror.example/debian\n"), "{text}");
    }
}
