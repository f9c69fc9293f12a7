//! `slipway image build`: the images of a machine's life, made here.

mod materials;
mod output;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use sha2::{Digest as _, Sha256};
use slipway_engine::catalog::{Digest, FileRef, Image, ImageKind};
use slipway_image::authenticode;
use slipway_image::drivers::Fleet;
use slipway_image::measure::Facts;
use slipway_image::recipe::{self, Recipe};
use slipway_image::uki::Uki;
use slipway_server::secureboot::Keys;
use slipway_store::StoreError;
use slipway_store::images::{Added, Built, Images, NewImage, Stored};
use slipway_trust::keyfile::PrivateKey;
use slipway_trust::{Arch, InviteId, OrgFacts, Role, Time};
use slipway_wire::Cpu;

use super::manifest::{self, Standing, Terms};
use crate::org::place::Org;
use materials::{Materials, Sources};
pub(super) use output::{facts, value};

/// `slipway image build`
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Build {
    /// What for: bootstrap (netbooted, enrols a machine or repairs it), preboot (on the machine's own disk, proves the machine at each
    /// boot) or generation (a small system that says hello and reports that it is healthy)
    #[arg(value_name = "ROLE", value_parser = ["bootstrap", "preboot", "generation"])]
    role: String,
    /// The image's name in the store [default: the role]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Its version, a number: a later one is greater [default: the time of the build, in seconds]
    #[arg(long, value_name = "NUMBER")]
    version: Option<u64>,
    /// Who runs it takes no version below this one from then on
    #[arg(long, value_name = "VERSION", default_value_t = 0)]
    floor: u64,
    /// The processor: x64 or arm64 [default: this computer's]
    #[arg(long, value_name = "ARCH", value_parser = ["x64", "arm64"])]
    arch: Option<String>,
    /// The machines: servers (and virtual machines), or virtual (machines alone, much smaller)
    #[arg(long, value_name = "FLEET", default_value = "servers")]
    drivers: Drivers,
    /// The kernel: a package (.deb) of a distribution's kernel, and those of its modules where they are apart [default: fetched by
    /// apt-get]
    #[arg(long, value_name = "FILE")]
    kernel_package: Vec<PathBuf>,
    /// The kernel that is installed here, with the highest release
    #[arg(long, conflicts_with = "kernel_package")]
    installed_kernel: bool,
    /// Our agent, linked statically [default: slipway-agent beside this program, or in /usr/lib/slipway]
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// systemd's EFI stub [default: that of the package systemd-boot-efi]
    #[arg(long, value_name = "FILE")]
    stub: Option<PathBuf>,
    /// Words to put after the kernel's command line
    #[arg(long, value_name = "TEXT")]
    cmdline: Option<String>,
    /// The time that is put in as the time of the build, in seconds since 1970 [default: SOURCE_DATE_EPOCH, or now]
    #[arg(long, value_name = "SECONDS")]
    time: Option<u64>,
    /// An open invite to put in: it says in which matter a machine that starts this image asks, and is no secret
    #[arg(long, value_name = "INVITE")]
    invite: Option<InviteId>,
    /// Sign the manifest with this image key; may be repeated [default: the org's image key, if it is in its usual place]
    #[arg(long, value_name = "FILE")]
    sign_with: Vec<PathBuf>,
    /// The org's PCR policy key, which lets the machines' TPMs unseal their disks' keys to a preboot image [default: from its usual
    /// place, if it is there]
    #[arg(long, value_name = "FILE")]
    pcr_policy_key: Option<PathBuf>,
    /// Machines do not install it after so many days
    #[arg(long, value_name = "DAYS")]
    expires_in: Option<u32>,
    /// Write the image into a file too
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Do not sign it for Secure Boot, though there are keys
    #[arg(long)]
    no_secure_boot: bool,
}

const EXAMPLES: &str = "\
Examples:
  slipway image build bootstrap                 what new machines are to boot over the network
  slipway image build preboot --floor 1795430000
  slipway image build generation --arch arm64 --agent slipway-agent-arm64";

/// Which drivers go in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Drivers {
    Servers,
    Virtual,
}

impl Drivers {
    const fn fleet(self) -> Fleet {
        match self {
            Self::Servers => Fleet::Servers,
            Self::Virtual => Fleet::Virtual,
        }
    }
}

/// What was asked for, with what it is made of.
struct Plan<'a> {
    build: &'a Build,
    role: Role,
    arch: Arch,
    name: String,
    time: u64,
    org: Option<Org>,
    keys: Option<Keys>,
    materials: Materials,
    cmdline: String,
}

/// What is told of a build.
struct Told {
    added: Added,
    missing: Vec<&'static str>,
    modules: usize,
    kernel: String,
    agent: PathBuf,
    standing: Option<Standing>,
}

/// Builds it, and puts it into the store.
pub(super) fn run(images: &Images, data: &Path, build: &Build, json: bool) -> Result<()> {
    let plan = Plan::make(data, build)?;
    let inputs = plan.inputs()?;
    let added = match there(images, &plan.name, build.version, inputs)? {
        Some(stored) => Added::Unchanged(stored),
        None => plan.add(images, inputs)?,
    };
    let standing = plan.manifest(images, &added)?;
    if let Some(path) = &build.output {
        let uki = stored_of(&added).image.files.get(Image::UKI).context("it has no UKI")?;
        fs::copy(images.blobs().path(&uki.digest), path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let Materials { missing, modules, release, agent_path, .. } = &plan.materials;
    let told = Told {
        added,
        missing: missing.clone(),
        modules: modules.len(),
        kernel: release.clone(),
        agent: agent_path.clone(),
        standing,
    };
    output::say(&told, images, data, plan.org.as_ref(), json)
}

const fn stored_of(added: &Added) -> &Stored {
    match added {
        Added::New(stored) | Added::Unchanged(stored) => stored,
    }
}

/// The newest version of the image, if it is made of the same: then there is nothing to build. Of a version that was asked for, that one.
fn there(images: &Images, name: &str, version: Option<u64>, inputs: Digest) -> Result<Option<Stored>> {
    let version = version.map(|version| version.to_string());
    let found = match images.find(name, version.as_deref()) {
        Err(StoreError::NoImage { .. } | StoreError::NoVersion { .. }) => return Ok(None),
        found => found?,
    };
    Ok(Some(found).filter(|stored| stored.built.as_ref().is_some_and(|built| built.inputs == inputs)))
}

impl<'a> Plan<'a> {
    fn make(data: &Path, build: &'a Build) -> Result<Self> {
        let role: Role = build.role.parse()?;
        let arch = match &build.arch {
            Some(arch) => arch.parse()?,
            None => Arch::own().context("images are built for x64 and arm64: give --arch")?,
        };
        let org = super::org::find(data)?;
        if org.is_none() && role != Role::Generation {
            bail!("a {role} image is an org's, and there is none yet: `slipway org init NAME` makes it");
        }
        let keys = match Keys::open(data) {
            Ok(keys) if !build.no_secure_boot => Some(keys),
            _ => None,
        };
        let sources = Sources {
            packages: &build.kernel_package,
            installed: build.installed_kernel,
            agent: build.agent.as_deref(),
            stub: build.stub.as_deref(),
            cache: &data.join("cache"),
        };
        let mut materials = sources.find(arch, build.drivers.fleet())?;
        if let Some(keys) = &keys {
            // kexec under Secure Boot asks for a signature of the kernel itself, one alone, by a key that the firmware knows.
            let bare = authenticode::unsigned(&materials.kernel).context("the kernel cannot be signed")?;
            materials.kernel = keys.sign(&bare).context("cannot sign the kernel")?;
        }
        Ok(Self {
            build,
            role,
            arch,
            name: build.name.clone().unwrap_or_else(|| role.name().to_owned()),
            time: build.time.map_or_else(time_of_build, Ok)?,
            org,
            keys,
            materials,
            cmdline: command_line(arch, build.cmdline.as_deref()),
        })
    }

    const fn version(&self) -> u64 {
        match self.build.version {
            Some(version) => version,
            None => self.time,
        }
    }

    /// What the image is to trust, with this version and time.
    fn org(&self, version: u64, built: u64) -> Option<OrgFacts> {
        let org = self.org.as_ref()?;
        Some(OrgFacts { invite: self.build.invite, ..org.facts(version, Time(built)) })
    }

    /// The digest over everything that it is made of but version and time.
    fn inputs(&self) -> Result<Digest> {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(bytes);
        };
        let Materials { stub, kernel, release, modules, agent, .. } = &self.materials;
        let texts = [self.role.name(), self.arch.name(), release, &self.cmdline, env!("CARGO_PKG_VERSION")];
        texts.into_iter().for_each(|text| add(text.as_bytes()));
        add(&self.build.floor.to_le_bytes());
        [stub, kernel, agent].into_iter().for_each(|bytes| add(bytes));
        for module in modules {
            add(module.name.as_bytes());
            add(&module.content);
        }
        add(&self.org(0, 0).map(|org| slipway_trust::encode(&org)).unwrap_or_default());
        add(self.keys.as_ref().map(Keys::fingerprint).transpose()?.unwrap_or_default().as_bytes());
        Ok(Digest(hash.finalize().into()))
    }

    /// Its manifest: the one that it has, or a new one. None without an org.
    fn manifest(&self, images: &Images, added: &Added) -> Result<Option<Standing>> {
        let (stored, Some(org)) = (stored_of(added), &self.org) else { return Ok(None) };
        let keys = manifest::keys(&self.build.sign_with, org)?;
        // Of all images only the preboot unseals anything.
        let policy = match self.role {
            Role::Preboot => manifest::policy_key(self.build.pcr_policy_key.as_deref(), org)?,
            Role::Bootstrap | Role::Generation => None,
        };
        // One that lacks an approval which can be given now is made anew.
        let there = Standing::of(images, stored, org)?;
        let there = there.filter(|there| there.manifest.pcr_policy.is_some() || policy.is_none());
        if let (Some(there), Added::Unchanged(_)) = (there, added) {
            let sign = |_, key: &PrivateKey| manifest::add_signature(images, stored, org, key);
            return keys.iter().try_fold(there, sign).map(Some);
        }
        let day = 86_400;
        let terms = Terms {
            created: Time(self.time),
            not_after: self.build.expires_in.map(|days| Time(self.time).plus(u64::from(days).saturating_mul(day))),
            secure_boot: self.keys.is_some(),
        };
        manifest::give(&images.writer()?, stored, org, terms, policy.as_ref(), &keys).map(Some)
    }

    /// Builds it and adds it to the store.
    fn add(&self, images: &Images, inputs: Digest) -> Result<Added> {
        let version = self.version();
        let org = self.org(version, self.time);
        let recipe = Recipe { role: self.role, version, org: org.as_ref(), cmdline: &self.cmdline };
        let bare = recipe::build(&recipe, &self.materials.borrowed())
            .with_context(|| format!("cannot build the {} image", self.role))?;
        let facts = Facts::of(&bare)?;
        let image = match &self.keys {
            Some(keys) => keys.sign(&bare).context("cannot sign the image for Secure Boot")?,
            None => bare,
        };
        let writer = images.writer()?;
        let uki = Uki::parse(&image)?;
        let part = |range| image.get(range).unwrap_or_default();
        let mut files: BTreeMap<String, FileRef> = BTreeMap::new();
        files.insert(Image::UKI.to_owned(), writer.put(image.as_slice(), &mut |_| {})?);
        files.insert(Image::LINUX.to_owned(), writer.put(part(uki.linux), &mut |_| {})?);
        if let Some(initrd) = uki.initrd {
            files.insert(Image::INITRD.to_owned(), writer.put(part(initrd), &mut |_| {})?);
        }
        let built = Built {
            role: self.role.name().to_owned(),
            version,
            floor: self.build.floor,
            authenticode: Digest(facts.authenticode),
            kernel_authenticode: facts.kernel_authenticode.map(Digest),
            pcr11: facts.pcr11.map(Digest),
            stub: facts.stub,
            inputs,
        };
        Ok(writer.add(NewImage {
            name: self.name.clone(),
            version: Some(version.to_string()),
            kind: ImageKind::Uki,
            cpu: Some(match self.arch {
                Arch::X64 => Cpu::X64,
                Arch::Arm64 => Cpu::Arm64,
            }),
            cmdline: uki.cmdline,
            source: Some(format!("slipway image build {}", self.role)),
            built: Some(built),
            files,
        })?)
    }
}

/// What `SOURCE_DATE_EPOCH` says (reproducible-builds.org), or the clock.
fn time_of_build() -> Result<u64> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text.parse().with_context(|| format!("SOURCE_DATE_EPOCH is {text:?}, not a number of seconds")),
        Err(_) => u64::try_from(jiff::Timestamp::now().as_second()).context("this computer's clock is before 1970"),
    }
}

/// Consoles: the screen, and the first serial port, which management controllers show. A kernel that dies restarts the machine.
fn command_line(arch: Arch, more: Option<&str>) -> String {
    let serial = match arch {
        Arch::X64 => "ttyS0,115200",
        Arch::Arm64 => "ttyAMA0",
    };
    let ours = format!("console=tty0 console={serial} quiet loglevel=4 panic=30");
    match more {
        Some(more) => format!("{ours} {more}"),
        None => ours,
    }
}
