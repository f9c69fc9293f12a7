//! The org: what its admins submit, and what they are shown. Paths under `/v1/org`.
//!
//! What an admin says is a record that he has signed; this socket only carries it. Names, digests and records are hexadecimal digits, in lower
//! case. Where no org exists under the data folder, each of these answers 404.

use serde::{Deserialize, Serialize};

/// `GET /v1/org`: the org, as this node sees it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct OrgStatus {
    /// Its id.
    pub org: String,
    /// What people call it.
    pub name: String,
    /// The epoch of its manifest.
    pub epoch: u64,
    /// The machine CA's pin: SHA-256 over its SubjectPublicKeyInfo.
    pub ca_spki: String,
    /// Where the trust plane listens, `address:port`.
    pub listen: Vec<String>,
    /// What this node does: `enroller`, `gateway`.
    pub roles: Vec<String>,
    /// The short name of the key that this node signs grants with, where it is an enroller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enroller: Option<String>,
    /// The names that the org's gateways are known by, as in its manifest.
    pub gateways: Vec<String>,
    /// Whether an enrolment window is open now.
    pub window_open: bool,
    /// Tickets that wait for somebody's decision.
    pub waiting: usize,
    /// Machines with an identity that lives.
    pub machines: usize,
    /// Images that machines may run, `role name version arch`.
    pub images: Vec<String>,
    /// The audit log's length.
    pub audit_entries: u64,
    /// The digest of its last entry.
    pub audit_head: String,
    /// What is wrong or odd: an image without a valid manifest, a certificate that cannot be made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// `POST /v1/org/records`: a record that an admin has signed; answered with [`Submitted`]. 422 says why it is not taken.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Submit {
    /// What it is: `window`, `window-close`, `invite`, `invite-revocation`, `approval`, `act`, `ek-list`, `manifest`.
    pub kind: String,
    /// The record with its signatures (a `Signed` in CBOR).
    pub record: String,
}

/// A record was taken, and is on disk.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Submitted {
    /// What came of it, as the audit log names it: `window-opened`, `machine-revoked`.
    pub event: String,
    /// To what: a window, an invite, a ticket, a machine.
    pub subject: String,
    /// The same in a sentence.
    pub summary: String,
}

/// `GET /v1/org/windows`: the newest first.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Windows {
    /// The windows.
    pub windows: Vec<Window>,
}

/// An enrolment window.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Window {
    /// Its name.
    pub id: String,
    /// From when.
    pub opens: String,
    /// Until when.
    pub expires: String,
    /// How many machines may be granted an identity in it.
    pub max_machines: u32,
    /// How many were.
    pub machines: u32,
    /// The invites that count in it; none: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invites: Vec<String>,
    /// The short name of the admin who opened it.
    pub opened_by: String,
    /// Whether it is open now.
    pub open: bool,
}

/// `GET /v1/org/invites`: the newest first.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Invites {
    /// The invites.
    pub invites: Vec<Invite>,
}

/// An invite.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Invite {
    /// Its name.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// `open`, `secret` or `cloud`.
    pub kind: String,
    /// `manual` or `automatic`.
    pub approval: String,
    /// How many machines it lets in.
    pub max_uses: u32,
    /// How many came in by it.
    pub uses: u32,
    /// From when.
    pub not_before: String,
    /// Until when.
    pub expires: String,
    /// The role that machines get.
    pub role: String,
    /// The least that must be known of a machine.
    pub min_assurance: String,
    /// Which machines it is for, in words; none: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Whether the machine's disk may be wiped.
    pub wipe: bool,
    /// The short name of the admin who made it.
    pub created_by: String,
    /// `valid`, `not-yet`, `expired`, `used` or `revoked`.
    pub state: String,
}

/// `GET /v1/org/tickets`: enrolments and recoveries that are under way, the best known first. `?all=true` lists those that ended, too.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Tickets {
    /// The tickets.
    pub tickets: Vec<Ticket>,
}

/// `GET /v1/org/tickets/{id}`, and one of [`Tickets`]: everything that an approval is signed over is here.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ticket {
    /// Its name.
    pub id: String,
    /// `requested`, `approved`, `denied` or `expired`.
    pub state: String,
    /// Since when.
    pub since: String,
    /// Whether it lasts longer than it should.
    pub stuck: bool,
    /// The six words, to be compared with the machine's console.
    pub words: String,
    /// How well the machine is known so far.
    pub assurance: String,
    /// The digest of the key that it proved.
    pub key: String,
    /// The TPM that it proved: SHA-256 of its endorsement key's public area.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ek: Option<String>,
    /// What is known of that TPM, its public keys among it: a `TpmFacts` in CBOR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<String>,
    /// The maker of the TPM, if its certificate was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm_maker: Option<String>,
    /// Whether Secure Boot was on, if a TPM told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<bool>,
    /// The transcript that an approval is bound to.
    pub transcript: String,
    /// What the machine says of itself.
    pub inventory: Inventory,
    /// `x64` or `arm64`.
    pub arch: String,
    /// The version of the image that it runs.
    pub image_version: u64,
    /// The invite that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
    /// For a recovery: the machine that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovers: Option<String>,
    /// What a person should look at: another machine with the same UUID, serial number or TPM.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Why it was refused: a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Where it asks from.
    pub address: String,
    /// The machine that was made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<String>,
}

/// What a machine says of itself. Nothing of it is proof.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Inventory {
    /// SMBIOS system UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// SMBIOS serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Maker and model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Hardware addresses of its network cards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub macs: Vec<String>,
    /// Its disks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<Disk>,
    /// Its memory, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// What its TPM is, in words, or why it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<String>,
}

/// A disk.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Disk {
    /// What a plan names it by.
    pub id: String,
    /// Its size, in bytes.
    pub size: u64,
    /// Its model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Whether something is on it.
    pub used: bool,
}

/// `GET /v1/org/machines`: machines that have an identity, or had one; by name.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct OrgMachines {
    /// The machines.
    pub machines: Vec<OrgMachine>,
}

/// A machine of the org. Its keys' secrets and our shares of its disk key are told to nobody.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct OrgMachine {
    /// The machine.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// `pending`, `confirmed`, `active`, `suspended`, `recovery`, `retired`, `revoked` or `expired`.
    pub state: String,
    /// Since when.
    pub since: String,
    /// Whether that lasts longer than it should.
    pub stuck: bool,
    /// How well it is known.
    pub assurance: String,
    /// The digest of its identity key.
    pub key: String,
    /// Its TPM: SHA-256 of the endorsement key's public area.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ek: Option<String>,
    /// What is known of that TPM, its public keys among it: a `TpmFacts` in CBOR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<String>,
    /// The maker of the TPM, if its certificate was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm_maker: Option<String>,
    /// Whether Secure Boot was on at the last proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<bool>,
    /// What it said of itself when it enrolled.
    pub inventory: Inventory,
    /// `x64` or `arm64`.
    pub arch: String,
    /// How often it proved itself at a boot.
    pub boots: u64,
    /// When it was last heard.
    pub heard: String,
    /// The lowest preboot version that it may run.
    pub floor: u64,
    /// The generation that it last said to be healthy in: its SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<String>,
    /// The invite that it came by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
    /// The newest epoch of its disk key; none where no share is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_epoch: Option<u64>,
    /// Until when it may start without the org, if a person has set a PIN at it: revoking it does not bite before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline_until: Option<String>,
    /// How many shares of its disk key are kept: two while it moves from one generation to the next.
    #[serde(default)]
    pub shares: usize,
    /// The key of its data partition's escrow slot, sealed to the org's escrow key: an `Escrow` in CBOR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escrow: Option<String>,
    /// Whether it will open its data partition through escrow at its next start.
    #[serde(default)]
    pub opening: bool,
    /// When the last act of an admin on it was signed: the next one must be later, if only by a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acted: Option<String>,
}

/// `GET /v1/org/audit?from=N`: the audit log, at most 1000 entries from number N (1 is the first).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Audit {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// How many there are in all.
    pub count: u64,
    /// The digest of the last of all.
    pub head: String,
}

/// One entry, in words and as it is chained.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct AuditEntry {
    /// Its place, from 1.
    pub number: u64,
    /// When.
    pub at: String,
    /// Who.
    pub actor: String,
    /// What happened: a stable word.
    pub event: String,
    /// To what.
    pub subject: String,
    /// The state before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The state after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// More, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The entry as it is stored: who verifies the chain hashes these bytes and believes no other field.
    pub bytes: String,
}

/// `GET /v1/org/ek-list`: the TPMs whose machines may enrol without a person, while a window is open.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct EkList {
    /// When the list was signed; empty where there is none.
    pub at: String,
    /// The TPMs.
    pub entries: Vec<EkEntry>,
}

/// A TPM that may enrol.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct EkEntry {
    /// SHA-256 of its endorsement key's public area.
    pub ek: String,
    /// The machine's name, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its role.
    pub role: String,
    /// Whether its disk may be wiped.
    #[serde(default)]
    pub wipe: bool,
}
