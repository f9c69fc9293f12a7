//! Who is let in by whom: the approval modes.

use super::proven::{Invited, Proven};
use crate::assurance::Assurance;
use crate::id::InviteId;
use crate::invite::{ApprovalMode, Invite, Kind};
use crate::key::SignatureBytes;
use crate::net::is_within;
use crate::node::{Peer, View};
use crate::refusal::Refusal;
use crate::seal::{Bound, Domain, signed_bytes};

/// What the org's policy says of a machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Verdict {
    /// How well it is known.
    pub(crate) assurance: Assurance,
    /// Who lets it in; none: a person must decide.
    pub(crate) automatic: Option<Automatic>,
}

/// It is let in by what an admin has signed beforehand.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Automatic {
    /// By what, for the audit log.
    pub(crate) by: String,
    pub(crate) name: Option<String>,
    pub(crate) role: String,
    pub(crate) wipe: bool,
}

/// The invite, if it holds and the machine proved what it can prove of it; `used` is the machine's key, encoded, and the invite's signature of it.
pub(crate) fn check_invite(
    id: InviteId,
    used: Option<(Vec<u8>, SignatureBytes)>,
    bound: Bound<'_>,
    view: &View<'_>,
) -> Result<Invited, Refusal> {
    let record = view.registry.invite(&id).ok_or(Refusal::BadInvite)?;
    if record.revoked.is_some() || !record.invite.is_valid(view.now) {
        return Err(Refusal::BadInvite);
    }
    let proved = match (record.invite.key, used) {
        (None, _) => false,
        (Some(_), None) => return Err(Refusal::BadInvite),
        (Some(key), Some((machine, signature))) => {
            if !key.verifies(&signed_bytes(Domain::InviteUse, bound, &machine), &signature) {
                return Err(Refusal::BadInvite);
            }
            true
        }
    };
    Ok(Invited { id, proved })
}

/// What the org's policy says of a machine that asks for an identity.
pub(crate) fn judge(proven: &Proven, view: &View<'_>, peer: &Peer) -> Result<Verdict, Refusal> {
    let mut verdict = Verdict { assurance: proven.assurance, automatic: None };
    let mut needs = view.org.policy.min_assurance;
    if let Some(invited) = proven.invited {
        let record = view.registry.invite(&invited.id).ok_or(Refusal::BadInvite)?;
        let invite = &record.invite;
        if !is_for(invite, proven, peer) {
            return Err(Refusal::BadInvite);
        }
        if invited.proved {
            verdict.assurance = verdict.assurance.max(Assurance::Invited);
        }
        if invite.kind == Kind::Cloud {
            verdict.assurance = verdict.assurance.min(Assurance::VirtualTpm);
        }
        needs = needs.max(invite.min_assurance);
        let known = if invite.believes_claims() { Assurance::Claimed } else { verdict.assurance };
        verdict.automatic = by_invite(invite, known, needs);
        if verdict.automatic.is_some() {
            verdict.assurance = known;
        }
    }
    if verdict.automatic.is_none() {
        verdict.automatic = by_ek_list(proven, view).filter(|_| verdict.assurance >= needs);
    }
    // A person's word makes `approved` of less; if that is not enough either, nobody need be asked.
    if verdict.assurance.max(Assurance::Approved) < needs { Err(Refusal::Assurance) } else { Ok(verdict) }
}

fn by_invite(invite: &Invite, known: Assurance, needs: Assurance) -> Option<Automatic> {
    let enough = known >= needs && invite.approval == ApprovalMode::Automatic;
    enough.then(|| Automatic {
        by: format!("policy: invite {}", invite.id),
        name: None,
        role: invite.role.clone(),
        wipe: invite.wipe,
    })
}

fn by_ek_list(proven: &Proven, view: &View<'_>) -> Option<Automatic> {
    let ek = proven.tpm.as_ref()?.ek;
    let entry = view.registry.ek_list()?.entries.iter().find(|entry| entry.ek == ek)?;
    Some(Automatic {
        by: "policy: ek-list".to_owned(),
        name: entry.name.clone(),
        role: entry.role.clone(),
        wipe: entry.wipe,
    })
}

/// Whether an invite is for this machine: each list that is not empty must hold one of the machine's.
fn is_for(invite: &Invite, proven: &Proven, peer: &Peer) -> bool {
    let only = &invite.only;
    let told = |list: &[String], value: &Option<String>| {
        list.is_empty() || value.as_ref().is_some_and(|value| list.iter().any(|one| one.eq_ignore_ascii_case(value)))
    };
    let macs = &proven.inventory.macs;
    let mac = only.mac.is_empty() || only.mac.iter().any(|one| macs.iter().any(|mac| mac.eq_ignore_ascii_case(one)));
    let ek = only.ek.is_empty() || proven.tpm.as_ref().is_some_and(|tpm| only.ek.contains(&tpm.ek));
    let cidr = only.cidr.is_empty() || only.cidr.iter().any(|network| is_within(peer.address, network));
    let arch = only.arch.is_empty() || only.arch.contains(&proven.hello.arch);
    mac && ek
        && cidr
        && arch
        && told(&only.uuid, &proven.inventory.uuid)
        && told(&only.serial, &proven.inventory.serial)
}
