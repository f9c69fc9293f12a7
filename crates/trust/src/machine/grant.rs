//! M8, held against everything that the machine knows.

use super::stop::Misled;
use super::wait::{Expect, Waiting};
use crate::frames::Grant;
use crate::image::{self, ImageManifest, Role, Wanted};
use crate::org::OrgManifest;
use crate::seal::{Bound, Domain, Signed};

/// A grant that may be acted on. There is no other way to one than its checks.
#[derive(Clone, Debug)]
pub struct Granted {
    grant: Grant,
    org: OrgManifest,
    image: ImageManifest,
}

/// A machine's clock may run ahead of the org's this far, in seconds: a day.
const CLOCKS_APART: u64 = 24 * 3600;

impl Granted {
    /// How long from now it may be acted on, in seconds.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        self.grant.expires.since(self.grant.time)
    }

    /// The grant.
    #[must_use]
    pub const fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The org's manifest.
    #[must_use]
    pub const fn org(&self) -> &OrgManifest {
        &self.org
    }

    /// The preboot image's manifest.
    #[must_use]
    pub const fn image(&self) -> &ImageManifest {
        &self.image
    }

    /// Checks a grant: the root has signed the manifest, an enroller of that manifest the grant, for this conversation; it is for this key and this
    /// TPM; it has not expired; its image may be installed; it wipes nothing that this machine did not tell of.
    pub(crate) fn open(signed: &Signed, waiting: &Waiting, expect: &Expect<'_>) -> Result<Self, Misled> {
        // What it says of its org is read first: who may sign it stands there. Nothing is believed before that is checked.
        let claimed: Grant = signed.peek().map_err(|_| Misled::Malformed)?;
        let org = OrgManifest::open(&claimed.org, expect.root, expect.epoch)?;
        if org.org != waiting.org {
            return Err(Misled::WrongOrg);
        }
        if org.ca_spki != waiting.ca_spki {
            return Err(Misled::OtherCa);
        }
        let bound = Bound::Transcript(&waiting.transcript);
        let grant: Grant = signed.open(Domain::Grant, bound, &org.enrollers, 1).map_err(|_| Misled::Grant)?;
        if grant.key != waiting.key {
            return Err(Misled::OtherGrant("key"));
        }
        if grant.ek != waiting.ek {
            return Err(Misled::OtherGrant("TPM"));
        }
        // The grant's time is signed, and the grant is for this very conversation: a machine's clock that runs ahead does not void it.
        if grant.expires <= grant.time || expect.now.since(grant.expires) > CLOCKS_APART {
            return Err(Misled::ExpiredGrant);
        }
        let now = expect.now.max(grant.time);
        check_plan(&grant, waiting)?;
        let wanted = Wanted { role: Role::Preboot, arch: waiting.arch, floor: expect.floor, now };
        let image = image::admit(&grant.image, &org, &wanted).map_err(Misled::Image)?;
        Ok(Self { grant, org, image })
    }
}

fn check_plan(grant: &Grant, waiting: &Waiting) -> Result<(), Misled> {
    let named = grant.plan.disk.as_ref();
    let told = named.is_none_or(|disk| waiting.disks.contains(disk));
    let wipes = grant.plan.wipe && (named.is_none() || grant.recovery);
    if told && !wipes { Ok(()) } else { Err(Misled::Plan) }
}
