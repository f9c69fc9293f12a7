//! M11 out, M12 in; M13 out.

use super::greet::Challenged;
use super::sign::{NeedsSignature, Sent};
use super::stop::{Misled, Stop, read};
use crate::encode;
use crate::frames::{Ask, Boot, Healthy, Material, Quote, Reply, Volume};
use crate::id::{Digest, MachineId, Time};
use crate::image::{self, Arch, ImageManifest, Role, Wanted};
use crate::key::PublicKey;
use crate::org::OrgManifest;
use crate::seal::Signed;

/// What a preboot proves itself with.
#[derive(Clone, Debug)]
pub struct BootProof {
    /// Its identity key.
    pub key: PublicKey,
    /// Who it is.
    pub machine: MachineId,
    /// The grant's nonce, until a boot was answered.
    pub confirm: Option<[u8; 32]>,
    /// What booted, if it has a TPM, with [`Challenged::quote_qualifying`].
    pub quote: Option<Quote>,
    /// The generation that it has in its cache.
    pub generation: Option<Digest>,
    /// Higher than at every boot before since the last grant; the first is 1.
    pub counter: u64,
    /// What its data partition says of itself.
    pub volume: Option<Volume>,
    /// The pin of the machine CA that this connection was checked with.
    pub ca_spki: Digest,
}

/// M11 is sent.
#[derive(Clone, Copy, Debug)]
pub struct Booting {
    arch: Arch,
    version: u64,
    ca_spki: Digest,
}

/// What a preboot holds its material against.
#[derive(Clone, Copy, Debug)]
pub struct Running<'a> {
    /// The org's root, as its image has it.
    pub root: &'a PublicKey,
    /// Now, as [`super::clock`] has it.
    pub now: Time,
    /// The highest epoch of the org's manifest that it remembers.
    pub epoch: u64,
    /// The lowest generation version that it remembers.
    pub floor: u64,
}

/// Material that may be used. There is no other way to it than its checks.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// What the gateway gave. Its shares are secret.
    pub material: Material,
    /// The org's manifest.
    pub org: OrgManifest,
    /// The generation's manifest.
    pub generation: ImageManifest,
    /// A newer preboot's manifest, for the other slot.
    pub preboot: Option<ImageManifest>,
    /// The running preboot's manifest.
    pub running: Option<ImageManifest>,
}

impl Sent for Booting {
    fn sent(&mut self, _: &[u8]) {}
}

impl Challenged {
    /// M11.
    #[must_use]
    pub fn boot(self, proof: BootProof) -> NeedsSignature<Booting> {
        let boot = Boot {
            machine: proof.machine,
            confirm: proof.confirm,
            quote: proof.quote,
            generation: proof.generation,
            counter: proof.counter,
            reveal: self.start.reveal,
            volume: proof.volume,
        };
        let (arch, version) = (self.start.arch, self.start.image_version);
        let booting = Booting { arch, version, ca_spki: proof.ca_spki };
        NeedsSignature::new(proof.key, &Ask::Boot(Box::new(boot)), self.transcript.hash(), &self.channel, booting)
    }
}

impl Booting {
    /// M12.
    ///
    /// # Errors
    /// The server refuses, or it is not believed.
    pub fn on_material(self, reply: &[u8], running: &Running<'_>) -> Result<Admitted, Stop> {
        let Reply::Material(material) = read(reply)? else { return Err(Misled::NotDue.into()) };
        let org = OrgManifest::open(&material.org, running.root, running.epoch).map_err(Misled::Manifest)?;
        // Whoever has the key of another CA than the manifest's is not the gateway, even where the image was built without a pin.
        if org.ca_spki != self.ca_spki {
            return Err(Misled::OtherCa.into());
        }
        let admit = |signed: &Signed, role, floor, now| {
            let wanted = Wanted { role, arch: self.arch, floor, now };
            image::admit(signed, &org, &wanted).map_err(|why| Stop::Misled(Misled::Image(why)))
        };
        let generation = admit(&material.generation, Role::Generation, running.floor, running.now)?;
        let newer = |signed| admit(signed, Role::Preboot, self.version.saturating_add(1), running.now);
        let preboot = material.preboot.as_ref().map(newer).transpose()?;
        // An image that must not be installed any more runs on where it is installed.
        let own = |signed| admit(signed, Role::Preboot, self.version, Time(0));
        let own = material.running.as_ref().map(own).transpose()?;
        if own.as_ref().is_some_and(|manifest| manifest.version != self.version) {
            return Err(Misled::NotDue.into());
        }
        Ok(Admitted { material: *material, org, generation, preboot, running: own })
    }
}

/// M13: the operating system is well. It goes over TLS with the machine's certificate.
#[must_use]
pub fn healthy(generation: Digest) -> Vec<u8> {
    encode(&Signed::unsigned(encode(&Ask::Healthy(Healthy { generation }))))
}

/// The answer to M10 and M13.
///
/// # Errors
/// The server refuses, or it is not believed.
pub fn on_noted(reply: &[u8]) -> Result<(), Stop> {
    if read(reply)? == Reply::Noted { Ok(()) } else { Err(Misled::NotDue.into()) }
}
