//! What machines may run.

use std::collections::BTreeSet;

use crate::id::{Digest, Time};
use crate::image::{self, Arch, ImageManifest, Rejected, Role, Wanted};
use crate::org::OrgManifest;
use crate::seal::Signed;

/// What machines may run: the manifests of images, and boot loaders that may have run before them.
#[derive(Clone, Debug, Default)]
pub struct Images {
    known: Vec<Known>,
    loaders: BTreeSet<Digest>,
}

/// An image whose manifest is signed as the org demands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Known {
    /// As it is signed.
    pub signed: Signed,
    /// The same, read.
    pub manifest: ImageManifest,
}

impl Images {
    /// Those of these manifests that the org's image keys have signed, with the Authenticode digests (SHA-256) of boot loaders that are allowed; and
    /// why others are not among them.
    #[must_use]
    pub fn new(
        org: &OrgManifest,
        manifests: impl IntoIterator<Item = Signed>,
        loaders: impl IntoIterator<Item = Digest>,
    ) -> (Self, Vec<Rejected>) {
        let (mut known, mut rejected) = (Vec::new(), Vec::new());
        for signed in manifests {
            match admit(&signed, org) {
                Ok(manifest) => known.push(Known { signed, manifest }),
                Err(why) => rejected.push(why),
            }
        }
        (Self { known, loaders: loaders.into_iter().collect() }, rejected)
    }

    /// All of them.
    #[must_use]
    pub fn known(&self) -> &[Known] {
        &self.known
    }

    /// The newest image that a machine may be given for this.
    #[must_use]
    pub fn newest(&self, org: &OrgManifest, wanted: &Wanted) -> Option<&Known> {
        let allowed = self.known.iter().filter(|known| image::admit(&known.signed, org, wanted).is_ok());
        allowed.max_by_key(|known| known.manifest.version)
    }

    /// The newest generation for a machine of this role: of those that are named like the role, or else of all, if they share one name.
    #[must_use]
    pub fn generation(&self, org: &OrgManifest, role: &str, arch: Arch, now: Time) -> Option<&Known> {
        let wanted = Wanted { role: Role::Generation, arch, floor: 0, now };
        let allowed = self.known.iter().filter(|known| image::admit(&known.signed, org, &wanted).is_ok());
        let allowed: Vec<&Known> = allowed.collect();
        let own = allowed.iter().filter(|known| known.manifest.name == role).max_by_key(|known| known.manifest.version);
        let names: BTreeSet<&str> = allowed.iter().map(|known| known.manifest.name.as_str()).collect();
        let any = allowed.iter().filter(|_| names.len() == 1).max_by_key(|known| known.manifest.version);
        own.or(any).copied()
    }

    /// The image of this version.
    #[must_use]
    pub fn find(&self, role: Role, arch: Arch, version: u64) -> Option<&Known> {
        let same = |known: &&Known| {
            (known.manifest.role, known.manifest.arch, known.manifest.version) == (role, arch, version)
        };
        self.known.iter().find(same)
    }

    /// What firmware may have started when it measured this digest.
    pub(crate) fn started(&self, org: &OrgManifest, digest: &Digest, floor: u64) -> Option<Started<'_>> {
        if self.loaders.contains(digest) {
            return Some(Started::Loader);
        }
        let fresh = |known: &&Known| {
            let manifest = &known.manifest;
            let own = if manifest.role == Role::Preboot { floor } else { 0 };
            manifest.version >= org.floor(manifest.role, manifest.arch).max(own)
        };
        let mut fresh = self.known.iter().filter(fresh);
        fresh.find(|known| known.manifest.authenticode == *digest).map(Started::Image)
    }
}

/// What firmware started.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Started<'a> {
    /// A boot loader that is allowed.
    Loader,
    /// One of our images.
    Image(&'a Known),
}

fn admit(signed: &Signed, org: &OrgManifest) -> Result<ImageManifest, Rejected> {
    let manifest: ImageManifest = signed.peek()?;
    let wanted = Wanted { role: manifest.role, arch: manifest.arch, floor: 0, now: Time(0) };
    match image::admit(signed, org, &wanted) {
        // An image below the floor is known: a machine that still runs it may be told of the next one.
        Err(Rejected::BelowFloor { .. }) => Ok(manifest),
        other => other,
    }
}
