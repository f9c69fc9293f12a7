//! Changes of the org's manifest: each is a new manifest, one epoch on, that the root signs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use slipway_trust::image::{Arch, Role};
use slipway_trust::keyfile::Kind as KeyKind;
use slipway_trust::org::{Floor, RecoveryPolicy, Signers};
use slipway_trust::{Assurance, OrgManifest, PublicKey};

use super::place::{Org, data, now};
use super::sheet::{Kind, Sheet, Signing, public_key, settle};
use super::words::gateway;
use crate::cli::Global;

/// How a change of the manifest is signed.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Signing")]
pub(crate) struct RootSigning {
    /// The root's private key [default: root.key in ~/.config/slipway/org/ORG]
    #[arg(long, value_name = "FILE")]
    root_key: Option<PathBuf>,
    /// Write the new manifest into a file instead of installing it: to be signed where the root's key is (`slipway org cosign`)
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    /// Do not sign: the signature comes from elsewhere
    #[arg(long, requires = "sheet", conflicts_with = "root_key")]
    unsigned: bool,
}

/// `slipway org gateway …`
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Gateway {
    /// Add addresses, after those that there are
    Add(Addresses),
    /// Take addresses out
    Remove(Addresses),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Addresses {
    /// Where machines reach a trust plane
    #[arg(value_name = "IP[:PORT]", required = true, value_parser = gateway)]
    addresses: Vec<String>,
    #[command(flatten)]
    signing: RootSigning,
}

/// `slipway org floor`
#[derive(Args, Clone, Debug)]
pub(crate) struct FloorWords {
    /// bootstrap, preboot or generation
    #[arg(value_name = "ROLE")]
    role: Role,
    /// x64 or arm64
    #[arg(value_name = "ARCH")]
    arch: Arch,
    /// The oldest version that is still allowed
    #[arg(value_name = "VERSION")]
    version: u64,
    #[command(flatten)]
    signing: RootSigning,
}

/// `slipway org admin …`, `slipway org image-key …`
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum SignersCommand {
    /// Add a key
    Add(OneKey),
    /// Take a key out: what it signs from now on is refused
    Remove(OneKey),
    /// Say how many must sign together
    Threshold(Threshold),
}

/// `slipway org enroller …`
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Enroller {
    /// Add a server's key
    Add(OneKey),
    /// Take a server's key out: what it grants from now on is refused
    Remove(OneKey),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct OneKey {
    /// The public key: a file, or text such as ed25519:…; to remove one, its short name does, too
    #[arg(value_name = "KEY")]
    key: String,
    #[command(flatten)]
    signing: RootSigning,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Threshold {
    /// How many
    #[arg(value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..))]
    number: u8,
    #[command(flatten)]
    signing: RootSigning,
}

/// `slipway org policy`
#[derive(Args, Clone, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true)
    .args(["min_assurance", "recovery", "offline_days", "pcr_policy_key", "escrow_key"]))]
pub(crate) struct PolicyWords {
    /// The least that a machine must be known by to be granted an identity: claimed, invited, approved, vtpm, tpm, tpm-chain or tpm-boot
    #[arg(long, value_name = "ASSURANCE")]
    min_assurance: Option<Assurance>,
    /// Who decides on a recovery: the machine's own proof, or a person on each
    #[arg(long, value_enum)]
    recovery: Option<Recovery>,
    /// How many days a machine may start its last generation without the org; 0 forbids it. Revocation does not bite before
    #[arg(long, value_name = "DAYS")]
    offline_days: Option<u16>,
    /// The public key whose word on PCR 11 lets TPMs unseal: a file, or text such as p256:…
    #[arg(long, value_name = "KEY")]
    pcr_policy_key: Option<String>,
    /// The public key that the keys of escrow slots are sealed to: a file, or text such as p256:…; `none`: no new slots are made. Machines renew
    /// theirs at their next start
    #[arg(long, value_name = "KEY")]
    escrow_key: Option<String>,
    #[command(flatten)]
    signing: RootSigning,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Recovery {
    Automatic,
    Manual,
}

/// Makes the next manifest out of the one that holds, has it signed, and puts it in place.
fn edit(
    global: &Global,
    signing: &RootSigning,
    change: impl FnOnce(&mut OrgManifest) -> Result<()>,
) -> Result<ExitCode> {
    let org = Org::open(&data(global))?;
    let mut manifest = org.manifest.clone();
    change(&mut manifest)?;
    if manifest == org.manifest {
        bail!("that is how it is already (`slipway org show`)");
    }
    manifest.epoch = manifest.epoch.saturating_add(1);
    manifest.created = now();
    let sheet = Sheet::new(Kind::Manifest, org.id(), &manifest);
    let RootSigning { root_key, sheet: file, unsigned } = signing.clone();
    settle(global, &org, sheet, &Signing { key: root_key, sheet: file, unsigned })
}

pub(crate) fn gateways(global: &Global, command: &Gateway) -> Result<ExitCode> {
    match command {
        Gateway::Add(Addresses { addresses, signing }) => edit(global, signing, |manifest| {
            for address in addresses {
                if !manifest.gateways.contains(address) {
                    manifest.gateways.push(address.clone());
                }
            }
            Ok(())
        }),
        Gateway::Remove(Addresses { addresses, signing }) => edit(global, signing, |manifest| {
            for address in addresses {
                if !manifest.gateways.contains(address) {
                    bail!("{address} is no gateway of the org; there are {}", manifest.gateways.join(", "));
                }
            }
            manifest.gateways.retain(|gateway| !addresses.contains(gateway));
            Ok(())
        }),
    }
}

pub(crate) fn floor(global: &Global, words: &FloorWords) -> Result<ExitCode> {
    let FloorWords { role, arch, version, signing } = words;
    edit(global, signing, |manifest| {
        let before = manifest.floor(*role, *arch);
        if *version < before {
            bail!("the floor of {role} images for {arch} is {before}: a floor never falls");
        }
        manifest.floors.retain(|floor| floor.role != *role || floor.arch != *arch);
        manifest.floors.push(Floor { role: *role, arch: *arch, version: *version });
        Ok(())
    })
}

pub(crate) fn admins(global: &Global, command: &SignersCommand) -> Result<ExitCode> {
    signers(global, command, KeyKind::Admin, |manifest| &mut manifest.admins)
}

pub(crate) fn image_keys(global: &Global, command: &SignersCommand) -> Result<ExitCode> {
    signers(global, command, KeyKind::Image, |manifest| &mut manifest.images)
}

fn signers(
    global: &Global,
    command: &SignersCommand,
    kind: KeyKind,
    of: impl FnOnce(&mut OrgManifest) -> &mut Signers,
) -> Result<ExitCode> {
    let signing = match command {
        SignersCommand::Add(words) | SignersCommand::Remove(words) => &words.signing,
        SignersCommand::Threshold(words) => &words.signing,
    };
    edit(global, signing, |manifest| {
        let signers = of(manifest);
        match command {
            SignersCommand::Add(words) => add(&mut signers.keys, public_key(&words.key, kind)?),
            SignersCommand::Remove(words) => remove(&mut signers.keys, &words.key, kind)?,
            SignersCommand::Threshold(words) => signers.threshold = words.number,
        }
        if signers.keys.len() < usize::from(signers.threshold) {
            bail!(
                "{} must sign, and there would be {} {kind} keys: nobody could sign any more; add keys, or lower the threshold first",
                signers.threshold,
                signers.keys.len()
            );
        }
        Ok(())
    })
}

pub(crate) fn enrollers(global: &Global, command: &Enroller) -> Result<ExitCode> {
    let (Enroller::Add(words) | Enroller::Remove(words)) = command;
    edit(global, &words.signing, |manifest| {
        match command {
            Enroller::Add(words) => add(&mut manifest.enrollers, public_key(&words.key, KeyKind::Enroller)?),
            Enroller::Remove(words) => remove(&mut manifest.enrollers, &words.key, KeyKind::Enroller)?,
        }
        Ok(())
    })
}

fn add(keys: &mut Vec<PublicKey>, key: PublicKey) {
    if !keys.contains(&key) {
        keys.push(key);
    }
}

/// Takes out the key that is meant by its text, its file or the beginning of its short name.
fn remove(keys: &mut Vec<PublicKey>, word: &str, kind: KeyKind) -> Result<()> {
    let named: Vec<PublicKey> = match public_key(word, kind) {
        Ok(key) => keys.iter().copied().filter(|other| *other == key).collect(),
        Err(_) if word.len() >= 4 => {
            keys.iter().copied().filter(|key| key.kid().to_string().starts_with(word)).collect()
        }
        Err(error) => return Err(error),
    };
    match named.as_slice() {
        [key] => keys.retain(|other| other != key),
        [] => bail!("{word:?} is no {kind} key of the org (`slipway org show`)"),
        _ => bail!("{word:?} could be any of {} {kind} keys: write more of it", named.len()),
    }
    Ok(())
}

pub(crate) fn policy(global: &Global, words: &PolicyWords) -> Result<ExitCode> {
    edit(global, &words.signing, |manifest| {
        if let Some(assurance) = words.min_assurance {
            manifest.policy.min_assurance = assurance;
        }
        match words.recovery {
            Some(Recovery::Automatic) => manifest.policy.recovery = RecoveryPolicy::Automatic,
            Some(Recovery::Manual) => manifest.policy.recovery = RecoveryPolicy::Manual,
            None => {}
        }
        if let Some(days) = words.offline_days {
            manifest.policy.offline_days = days;
        }
        if let Some(key) = &words.pcr_policy_key {
            match public_key(key, KeyKind::PcrPolicy)? {
                key @ PublicKey::P256(_) => manifest.pcr_policy = Some(key),
                PublicKey::Ed25519(_) => bail!("TPMs know no Ed25519: the PCR policy key is a P-256 key"),
            }
        }
        if let Some(key) = &words.escrow_key {
            manifest.escrow = match key.as_str() {
                "none" => None,
                key => match public_key(key, KeyKind::Escrow)? {
                    key @ PublicKey::P256(_) => Some(key),
                    PublicKey::Ed25519(_) => bail!("nothing is sealed to Ed25519: the escrow key is a P-256 key"),
                },
            };
        }
        Ok(())
    })
}
