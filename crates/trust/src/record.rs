//! What the org knows of machines, and what admins say of them.

mod list;
mod word;

use minicbor::{CborLen, Decode, Encode};

use crate::assurance::Assurance;
use crate::escrow::{Escrow, Opening};
use crate::id::{Digest, InviteId, MachineId, TicketId, Time};
use crate::image::Arch;
use crate::invite::Invite;
use crate::key::PublicKey;
use crate::life::State;
use crate::refusal::Refusal;
use crate::seal::Signed;
use crate::window::Window;

pub use list::{Denied, EkEntry, EkList};
pub use word::{Act, Approval, Verb};

/// What a machine says of itself. Nothing of it is proof.
#[derive(Clone, CborLen, Debug, Decode, Default, Encode, Eq, PartialEq)]
pub struct Inventory {
    /// SMBIOS system UUID, in lower case.
    #[n(0)]
    pub uuid: Option<String>,
    /// SMBIOS serial number.
    #[n(1)]
    pub serial: Option<String>,
    /// Maker and model.
    #[n(2)]
    pub model: Option<String>,
    /// Hardware addresses of its network cards, as `52:54:00:12:34:56`.
    #[n(3)]
    pub macs: Vec<String>,
    /// Its disks.
    #[n(4)]
    pub disks: Vec<Disk>,
    /// Its memory, in MiB.
    #[n(5)]
    pub memory_mib: Option<u64>,
    /// What its TPM is, in words, or why it has none.
    #[n(6)]
    pub tpm: Option<String>,
}

/// A disk.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Disk {
    /// What it is named by in a plan: stable over reboots.
    #[n(0)]
    pub id: String,
    /// Its size, in bytes.
    #[n(1)]
    pub size: u64,
    /// Its model.
    #[n(2)]
    pub model: Option<String>,
    /// Whether something is on it.
    #[n(3)]
    pub used: bool,
}

/// What the machine is to do with its disk.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct DiskPlan {
    /// The disk; none: the only one there is, or the one that has our ESP.
    #[n(0)]
    pub disk: Option<String>,
    /// Whether everything on it may go. Holds only if `disk` is named, and was in the machine's inventory.
    #[n(1)]
    pub wipe: bool,
    /// The ESP's size where one must be made, in MiB.
    #[n(2)]
    pub esp_mib: u32,
    /// Whether to make a data partition, encrypted, from the rest.
    #[n(3)]
    pub data: bool,
}

/// What is known of a machine's TPM.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct TpmFacts {
    /// SHA-256 of the endorsement key's public area.
    #[n(0)]
    pub ek: Digest,
    /// The attestation key's public area (TPMT_PUBLIC).
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub ak: Vec<u8>,
    /// The maker's name, if a chain to a root that we trust was verified.
    #[n(2)]
    pub chain: Option<String>,
    /// Whether Secure Boot was on at the last proof.
    #[n(3)]
    pub secure_boot: Option<bool>,
    /// The endorsement key's public area (TPMT_PUBLIC).
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    pub ek_public: Vec<u8>,
}

/// A machine with an identity: the authority on it.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct MachineRecord {
    /// The machine.
    #[n(0)]
    pub id: MachineId,
    /// Its name, unique among machines that live.
    #[n(1)]
    pub name: String,
    /// Its identity key.
    #[n(2)]
    pub key: PublicKey,
    /// Its TPM.
    #[n(3)]
    pub tpm: Option<TpmFacts>,
    /// Its role.
    #[n(4)]
    pub role: String,
    /// How well it is known.
    #[n(5)]
    pub assurance: Assurance,
    /// Where it stands.
    #[n(6)]
    pub state: State,
    /// Since when.
    #[n(7)]
    pub since: Time,
    /// What it said of itself when it enrolled.
    #[n(8)]
    pub inventory: Inventory,
    /// Its processor.
    #[n(9)]
    pub arch: Arch,
    /// The digest of the nonce that its next boot must show, until that is spent.
    #[n(10)]
    pub confirm: Option<Digest>,
    /// The highest boot counter that it showed.
    #[n(11)]
    pub boots: u64,
    /// When it was last heard.
    #[n(12)]
    pub heard: Time,
    /// Our share of its disk key, by epoch. Destroyed when it is retired or revoked. Never printed.
    #[n(13)]
    pub shares: Vec<Share>,
    /// Recoveries, at most the last three.
    #[n(14)]
    pub recoveries: Vec<Time>,
    /// The invite that it came by.
    #[n(15)]
    pub invite: Option<InviteId>,
    /// The approval of a person, as it was signed.
    #[n(16)]
    pub approval: Option<Signed>,
    /// The lowest preboot version that it may run: never falls.
    #[n(17)]
    pub floor: u64,
    /// The generation that it last said to be healthy in.
    #[n(18)]
    pub generation: Option<Digest>,
    /// Certificates of an epoch below this are void: rises when its identity ends.
    #[n(19)]
    pub epoch: u64,
    /// When the last act of an admin on it was signed: one that was signed before is void.
    #[n(20)]
    pub acted: Time,
    /// The version of the preboot that it was last started by.
    #[n(21)]
    pub preboot: Option<u64>,
    /// The same, once the system that it started has said that it is well; the next start spends it.
    #[n(22)]
    pub well: Option<u64>,
    /// When it said that its preboot is on its disk, since its last grant.
    #[n(23)]
    pub installed: Option<Time>,
    /// The generation that the newest share was made for.
    #[n(24)]
    pub keyed: Option<Digest>,
    /// The epoch of the last share that was made: no epoch comes twice, whatever became of its share.
    #[n(25)]
    pub epochs: u64,
    /// The key of its data partition's escrow slot, as the machine last told it.
    #[n(26)]
    pub escrow: Option<Escrow>,
    /// What opens its data partition through escrow, until that is done. Goes the way of the shares.
    #[n(27)]
    pub opening: Option<Opening>,
    /// Until when it may start without the org, by the policy that it was last told: revoking it does not bite before. None: it may not.
    #[n(28)]
    pub offline_until: Option<Time>,
}

/// Our share of a disk key.
#[derive(Clone, CborLen, Decode, Encode, Eq, PartialEq)]
pub struct Share {
    /// Which.
    #[n(0)]
    pub epoch: u64,
    /// The share.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub secret: [u8; 32],
}

impl core::fmt::Debug for Share {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Share(epoch {})", self.epoch)
    }
}

/// An enrolment, or a recovery, that is under way.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Ticket {
    /// Its name.
    #[n(0)]
    pub id: TicketId,
    /// Where it stands: requested, approved, denied or expired.
    #[n(1)]
    pub state: State,
    /// Since when.
    #[n(2)]
    pub since: Time,
    /// The key that the machine proved.
    #[n(3)]
    pub key: PublicKey,
    /// The TPM that it proved.
    #[n(4)]
    pub tpm: Option<TpmFacts>,
    /// What it says of itself.
    #[n(5)]
    pub inventory: Inventory,
    /// Its processor.
    #[n(6)]
    pub arch: Arch,
    /// The version of the image that it runs.
    #[n(7)]
    pub image_version: u64,
    /// The six words.
    #[n(8)]
    pub words: String,
    /// The transcript after its last proof: what a grant is bound to.
    #[n(9)]
    pub transcript: Digest,
    /// The highest poll counter.
    #[n(10)]
    pub polls: u64,
    /// How well it is known so far.
    #[n(11)]
    pub assurance: Assurance,
    /// The invite that it came with.
    #[n(12)]
    pub invite: Option<InviteId>,
    /// For a recovery: the machine that it is.
    #[n(13)]
    pub recovers: Option<MachineId>,
    /// What a person should look at: another machine with the same UUID, serial number or TPM.
    #[n(14)]
    pub flags: Vec<String>,
    /// Why it was refused.
    #[n(15)]
    pub refused: Option<Refusal>,
    /// Where it asks from.
    #[n(16)]
    pub address: String,
    /// The approval of a person, as it was signed.
    #[n(17)]
    pub approval: Option<Signed>,
    /// The machine that was made of it, once the grant was given: giving it again to the same key changes nothing.
    #[n(18)]
    pub granted: Option<MachineId>,
    /// The machine's name, once it is approved.
    #[n(19)]
    pub name: String,
    /// Its role, once it is approved.
    #[n(20)]
    pub role: String,
    /// What it is to do with its disk, once it is approved.
    #[n(21)]
    pub plan: Option<DiskPlan>,
    /// The image that it was told to install.
    #[n(22)]
    pub image: Option<Digest>,
    /// The machine whose identity ends when this one is granted: the same hardware, but for the key that it lost.
    #[n(23)]
    pub replaces: Option<MachineId>,
    /// What opens that machine's data partition for this one.
    #[n(24)]
    pub opening: Option<Opening>,
}

/// An invite as the org keeps it.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct InviteRecord {
    /// As the admin signed it.
    #[n(0)]
    pub signed: Signed,
    /// The same, read.
    #[n(1)]
    pub invite: Invite,
    /// Who was let in by it.
    #[n(2)]
    pub uses: Vec<Use>,
    /// When it was revoked.
    #[n(3)]
    pub revoked: Option<Time>,
}

/// One use of an invite: a grant.
#[derive(Clone, Copy, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Use {
    /// The digest of the machine's key.
    #[n(0)]
    pub key: Digest,
    /// The machine.
    #[n(1)]
    pub machine: MachineId,
    /// When.
    #[n(2)]
    pub at: Time,
}

impl InviteRecord {
    /// Whether it holds at this time, for a machine with this key: a use by the same key is the same use.
    ///
    /// # Errors
    /// Why not.
    pub fn admits(&self, key: &Digest, now: Time) -> Result<(), Refusal> {
        if self.revoked.is_some() || !self.invite.is_valid(now) {
            return Err(Refusal::BadInvite);
        }
        let most = usize::try_from(self.invite.max_uses).unwrap_or(usize::MAX);
        let again = self.uses.iter().any(|used| used.key == *key);
        if again || self.uses.len() < most { Ok(()) } else { Err(Refusal::InviteUsed) }
    }
}

/// An invite is revoked ([`crate::Domain::InviteRevoke`]).
#[derive(Clone, Copy, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct InviteRevoke {
    /// The invite.
    #[n(0)]
    pub invite: InviteId,
    /// When.
    #[n(1)]
    pub at: Time,
}

/// A window as the org keeps it.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct WindowRecord {
    /// As the admin signed it.
    #[n(0)]
    pub signed: Signed,
    /// The same, read.
    #[n(1)]
    pub window: Window,
    /// When it was closed before its time.
    #[n(2)]
    pub closed: Option<Time>,
    /// The digests of the keys of machines that were granted an identity in it.
    #[n(3)]
    pub granted: Vec<Digest>,
}

impl WindowRecord {
    /// Whether its time is over, and nothing says so yet.
    #[must_use]
    pub fn is_over(&self, now: Time) -> bool {
        self.closed.is_none() && self.window.expires <= now
    }

    /// Whether there is room in it for the machine with this key.
    #[must_use]
    pub fn has_room(&self, key: &Digest) -> bool {
        let most = usize::try_from(self.window.max_machines).unwrap_or(usize::MAX);
        self.granted.contains(key) || self.granted.len() < most
    }
}

/// A window is closed before its time ([`crate::Domain::WindowClose`]).
#[derive(Clone, Copy, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct WindowClose {
    /// The window.
    #[n(0)]
    pub window: InviteId,
    /// When.
    #[n(1)]
    pub at: Time,
}
