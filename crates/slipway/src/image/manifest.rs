//! Image manifests: what the build host says of an image, signed by as many image keys as the org asks for.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use slipway_engine::catalog::{Digest as StoreDigest, Image};
use slipway_store::images::{Built, Images, Stored, Writer};
use slipway_tpm::policy::approved_policy;
use slipway_trust::keyfile::{Kind, PrivateKey};
use slipway_trust::seal::{Bound, signed_bytes};
use slipway_trust::{Digest, Domain, ImageManifest, PublicKey, Role, Signed, Time};
use slipway_wire::Cpu;

use super::output::label;
use crate::org::place::{Org, private_key, usual_key};

/// A version's manifest, and who of the org's image keys has signed it.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) manifest: ImageManifest,
    signers: Vec<PublicKey>,
    needed: usize,
    keys: usize,
}

impl Standing {
    /// Of an image in the store. None if it has no manifest.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub(super) fn of(images: &Images, stored: &Stored, org: &Org) -> Result<Option<Self>> {
        let Some(bytes) = images.manifest(&stored.image.name, &stored.image.version)? else { return Ok(None) };
        Self::read(&open(&bytes, stored)?, org).map(Some)
    }

    fn read(signed: &Signed, org: &Org) -> Result<Self> {
        let keys = &org.manifest.images;
        let manifest: ImageManifest =
            signed.peek().context("the image's manifest is damaged: build the image again")?;
        let signers = signed.signers(Domain::ImageManifest, Bound::Org(&org.id()), &keys.keys);
        let signers = signers.into_iter().copied().collect();
        Ok(Self { manifest, signers, needed: usize::from(keys.threshold).max(1), keys: keys.keys.len() })
    }

    /// In a line.
    pub(super) fn line(&self) -> String {
        let kids: Vec<String> = self.signers.iter().map(|key| key.kid().to_string()).collect();
        let Self { needed, keys, .. } = self;
        let left = needed.saturating_sub(kids.len());
        let of = match (needed, keys) {
            (1, 1) => String::new(),
            _ => format!(" ({needed} of {keys} image keys are needed)"),
        };
        match (kids.as_slice(), left) {
            ([], _) => {
                format!("manifest not signed{of}: machines refuse it until `slipway image sign NAME --with KEY`")
            }
            (_, 0) => format!("manifest signed by {}{of}", kids.join(", ")),
            _ => format!(
                "manifest signed by {}, {left} more needed{of}: `slipway image sign NAME --with KEY`",
                kids.join(", ")
            ),
        }
    }

    /// Whether machines' TPMs unseal to it, of an image that unseals.
    pub(super) fn about_disks(&self) -> Option<String> {
        match (self.manifest.role, self.manifest.pcr_policy) {
            (Role::Preboot, Some(_)) => Some("TPMs unseal to it: approved by the org's PCR policy key".to_owned()),
            (Role::Preboot, None) => Some(
                "warning: TPMs do not unseal to it: the PCR policy key is not here (--pcr-policy-key names it)"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// For programs.
    pub(super) fn value(&self) -> Value {
        json!({
            "org": self.manifest.org.to_string(),
            "signers": self.signers.iter().map(|key| key.kid().to_string()).collect::<Vec<_>>(),
            "needed": self.needed,
            "enough": self.signers.len() >= self.needed,
            "created": self.manifest.created.0,
            "not_after": self.manifest.not_after.map(|time| time.0),
            "pcr_policy": self.manifest.pcr_policy.is_some(),
            "secure_boot": self.manifest.secure_boot,
        })
    }
}

/// What a manifest says that the image itself does not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) created: Time,
    pub(super) not_after: Option<Time>,
    pub(super) secure_boot: bool,
}

/// Gives an image that was built here its manifest, signed by these keys.
///
/// # Errors
/// It was not built here; a key cannot be used; the store fails.
/// `policy` is the key that lets TPMs unseal to the image, where the image is one that unseals.
pub(super) fn give(
    writer: &Writer<'_>,
    stored: &Stored,
    org: &Org,
    terms: Terms,
    policy: Option<&PrivateKey>,
    keys: &[PrivateKey],
) -> Result<Standing> {
    let mut manifest = describe(stored, org, terms)?;
    // ECDSA over the policy, which is hashed once more: `slipway_tpm::policy::approval_digest` with no reference.
    let approve = |pcr11: Digest| policy.map(|key| key.sign(&approved_policy(&pcr11.0)));
    manifest.pcr_policy = manifest.pcr11.and_then(approve);
    let mut signed = Signed::unsigned(slipway_trust::encode(&manifest));
    for key in keys {
        sign(&mut signed, org, key)?;
    }
    writer.put_manifest(&stored.image.name, &stored.image.version, &slipway_trust::encode(&signed))?;
    Standing::read(&signed, org)
}

/// Adds a signature to an image's manifest: for a second person, who answers for it too.
///
/// # Errors
/// It has no manifest; the manifest is not about what is stored; the key is none of the org's.
pub(super) fn add_signature(images: &Images, stored: &Stored, org: &Org, key: &PrivateKey) -> Result<Standing> {
    let (name, version) = (&stored.image.name, &stored.image.version);
    let writer = images.writer()?;
    let bytes = images.manifest(name, version)?;
    let bytes = bytes
        .with_context(|| format!("{} has no manifest: only images of `slipway image build` have", label(stored)))?;
    let mut signed = open(&bytes, stored)?;
    let said: ImageManifest = signed.peek().context("the image's manifest is damaged: build the image again")?;
    // Who signs answers for the file that is here, not for the words that came with it.
    let terms = Terms { created: said.created, not_after: said.not_after, secure_boot: said.secure_boot };
    let own = ImageManifest { pcr_policy: said.pcr_policy, ..describe(stored, org, terms)? };
    if own != said {
        bail!("the manifest of {} is not about the file that is stored: build the image again", label(stored));
    }
    sign(&mut signed, org, key)?;
    writer.put_manifest(name, version, &slipway_trust::encode(&signed))?;
    Standing::read(&signed, org)
}

/// The keys to sign with: those that were named; else the org's image key from its usual place, if it is there.
///
/// # Errors
/// A key that was named, or is there, cannot be used.
pub(super) fn keys(named: &[PathBuf], org: &Org) -> Result<Vec<PrivateKey>> {
    if named.is_empty() {
        return Ok(usual_key(Kind::Image, org)?.into_iter().collect());
    }
    named.iter().map(|path| key(path, org)).collect()
}

/// The key whose word lets TPMs unseal to an image: the one that was named, else the org's from its usual place, if it is there and is
/// still the org's.
///
/// # Errors
/// The key that was named, or is there, cannot be used; or the named one is not the org's.
pub(super) fn policy_key(named: Option<&Path>, org: &Org) -> Result<Option<PrivateKey>> {
    let key = match named {
        Some(path) => Some(private_key(Some(path), Kind::PcrPolicy, org)?),
        None => usual_key(Kind::PcrPolicy, org)?,
    };
    let is_the_orgs = |key: &PrivateKey| org.manifest.pcr_policy == Some(key.public());
    match key {
        Some(key) if is_the_orgs(&key) => Ok(Some(key)),
        Some(key) if named.is_some() => {
            bail!("{} is not the PCR policy key of {}: `slipway org show` names it", key.public(), org.manifest.name)
        }
        _ => Ok(None),
    }
}

/// One key to sign with.
///
/// # Errors
/// It cannot be used.
pub(super) fn key(path: &Path, org: &Org) -> Result<PrivateKey> {
    private_key(Some(path), Kind::Image, org)
}

fn open(bytes: &[u8], stored: &Stored) -> Result<Signed> {
    slipway_trust::decode(bytes)
        .with_context(|| format!("the manifest of {} is damaged: build it again", label(stored)))
}

fn sign(signed: &mut Signed, org: &Org, key: &PrivateKey) -> Result<()> {
    let public = key.public();
    if !org.manifest.images.keys.contains(&public) {
        bail!("{public} is none of the image keys of {}: `slipway org show` lists them", org.manifest.name);
    }
    let bytes = signed_bytes(Domain::ImageManifest, Bound::Org(&org.id()), &signed.payload);
    signed.attach(public.kid(), key.sign(&bytes));
    Ok(())
}

fn describe(stored: &Stored, org: &Org, terms: Terms) -> Result<ImageManifest> {
    let not_ours =
        || format!("{} was not built here: `slipway image build` makes images with a manifest", label(stored));
    let built = stored.built.as_ref().with_context(not_ours)?;
    let uki = stored.image.files.get(Image::UKI).with_context(not_ours)?;
    let Built { role, version, floor, authenticode, kernel_authenticode, pcr11, .. } = built;
    let digest = |digest: StoreDigest| Digest(digest.0);
    Ok(ImageManifest {
        org: org.id(),
        name: stored.image.name.clone(),
        role: role.parse()?,
        arch: stored.image.cpu.map_or("", Cpu::name).parse()?,
        version: *version,
        floor: *floor,
        size: uki.size,
        sha256: digest(uki.digest),
        authenticode: digest(*authenticode),
        kernel_authenticode: kernel_authenticode.map(digest),
        pcr11: pcr11.map(digest),
        pcr_policy: None,
        created: terms.created,
        not_after: terms.not_after,
        secure_boot: terms.secure_boot,
    })
}
