//! What admins do: they sign a record, the desk decides whether it is taken. A server approves nothing by itself, except what an admin has
//! signed beforehand: an invite that lets machines in, a list of TPMs, the org's policy for recoveries.

mod act;
mod grants;
mod objection;
mod sweep;
mod ticket;

use minicbor::Decode;

use crate::id::{Digest, Time};
use crate::key::{Kid, PublicKey};
use crate::org::OrgManifest;
use crate::registry::{Draft, Pen, Registry};
use crate::seal::{Bound, Domain, Signed, Unproven};

pub(crate) use act::deny;
pub use objection::Objection;

/// Decides on what admins submit.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// What is known.
    pub registry: &'a Registry,
    /// The org's manifest: whose word counts.
    pub org: &'a OrgManifest,
    /// The org's root.
    pub root: &'a PublicKey,
    /// Now.
    pub now: Time,
}

/// What came of a record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Taken {
    /// What happened, as the audit log names it: `window-opened`, `machine-revoked`.
    pub event: &'static str,
    /// To what: a window, an invite, a ticket, a machine.
    pub subject: String,
    /// The same in a sentence.
    pub summary: String,
}

/// What kind of record it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// [`crate::window::Window`].
    Window,
    /// [`crate::record::WindowClose`].
    WindowClose,
    /// [`crate::invite::Invite`].
    Invite,
    /// [`crate::record::InviteRevoke`].
    InviteRevoke,
    /// [`crate::record::Approval`].
    Approval,
    /// [`crate::record::Act`].
    Act,
    /// [`crate::record::EkList`].
    EkList,
    /// [`OrgManifest`], by the root.
    Manifest,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Window,
        Self::WindowClose,
        Self::Invite,
        Self::InviteRevoke,
        Self::Approval,
        Self::Act,
        Self::EkList,
        Self::Manifest,
    ];

    /// Its name on the control socket.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::WindowClose => "window-close",
            Self::Invite => "invite",
            Self::InviteRevoke => "invite-revocation",
            Self::Approval => "approval",
            Self::Act => "act",
            Self::EkList => "ek-list",
            Self::Manifest => "manifest",
        }
    }
}

/// A clock may be this far ahead of ours, in seconds.
const SKEW: u64 = 300;

impl Desk<'_> {
    /// Decides on a record of this kind.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn take(&self, kind: Kind, signed: &Signed) -> Result<Draft<Taken>, Objection> {
        match kind {
            Kind::Window => self.open_window(signed),
            Kind::WindowClose => self.close_window(signed),
            Kind::Invite => self.create_invite(signed),
            Kind::InviteRevoke => self.revoke_invite(signed),
            Kind::Approval => self.decide_ticket(signed),
            Kind::Act => self.act(signed),
            Kind::EkList => self.import_ek_list(signed),
            Kind::Manifest => self.install_manifest(signed),
        }
    }

    /// Reads a record that grants something: as many admins must have signed it as the org demands.
    fn read<'b, T: Decode<'b, ()>>(&self, signed: &'b Signed, domain: Domain) -> Result<(T, String), Objection> {
        self.read_by(signed, domain, usize::from(self.org.admins.threshold))
    }

    /// Reads a record that only takes something away: one admin is enough.
    fn read_stop<'b, T: Decode<'b, ()>>(&self, signed: &'b Signed, domain: Domain) -> Result<(T, String), Objection> {
        self.read_by(signed, domain, 1)
    }

    fn read_by<'b, T: Decode<'b, ()>>(
        &self,
        signed: &'b Signed,
        domain: Domain,
        needed: usize,
    ) -> Result<(T, String), Objection> {
        let bound = Bound::Org(&self.org.org);
        let record = signed.open(domain, bound, &self.org.admins.keys, needed).map_err(|why| match why {
            Unproven::TooFew { valid, needed } => Objection::Unsigned { valid, needed },
            Unproven::Malformed => Objection::Malformed,
        })?;
        let signers = signed.signers(domain, bound, &self.org.admins.keys);
        Ok((record, actor(signers.iter().map(|key| key.kid()))))
    }

    fn pen(&self) -> Pen {
        Pen::new(self.registry, self.now)
    }

    /// Whether a record was signed after what it follows, and not in the future.
    fn is_timely(&self, at: Time, after: Time) -> Result<(), Objection> {
        if at <= after {
            return Err(Objection::Used);
        }
        if at > self.now.plus(SKEW) { Err(Objection::Future) } else { Ok(()) }
    }
}

/// How the audit log names admins.
fn actor(kids: impl Iterator<Item = Kid>) -> String {
    let names: Vec<String> = kids.map(|kid| format!("admin {kid}")).collect();
    names.join(", ")
}

/// What the audit log shows a record by.
fn evidence(signed: &Signed) -> Option<Digest> {
    Some(Digest::of(&crate::encode(signed)))
}

/// A name or a role is a plain word: it stands in certificates, lists and file names.
fn is_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    !text.is_empty() && text.len() <= 63 && text.bytes().all(plain) && !text.starts_with(['-', '.'])
}
