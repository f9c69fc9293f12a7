//! M3 in, M4 or M6 out; M5 in, M6 out.

use super::hello::Challenged;
use super::proven::Proven;
use super::tpm::{self, TpmProof};
use super::{recovery, ticket};
use crate::frames::{Activated, Evidence, Intent, Reply};
use crate::id::Digest;
use crate::node::{Answer, Fresh, Heard, Note, Peer, Step, View};
use crate::refusal::Refusal;
use crate::registry::Pen;
use crate::seal::{Bound, Domain};
use crate::transcript::Transcript;
use crate::{encode, words};

/// M4 is sent: M5 is due.
#[derive(Debug)]
pub struct Activating {
    proven: Proven,
    /// th4.
    transcript: Transcript,
    tpm: TpmProof,
}

impl Challenged {
    /// M3.
    pub(crate) fn on_evidence(
        self,
        evidence: Evidence,
        heard: &Heard<'_>,
        view: &View<'_>,
        peer: &Peer,
        fresh: &Fresh,
    ) -> (Option<Activating>, Step) {
        let invite = self.hello.invite.map(|invite| format!("with the invite {invite}")).unwrap_or_default();
        let note = Note { what: "evidence", subject: evidence.key.to_string(), detail: invite, ..Note::default() };
        let pen = Pen::new(view.registry, view.now);
        match self.prove(evidence, heard, view, peer, fresh) {
            Err(why) => (None, Step::refuse(pen, why, note)),
            Ok((proven, None)) => (None, finish(proven, view, peer, fresh, note)),
            Ok((proven, Some(tpm))) => {
                let reply = encode(&Reply::Activate(tpm.activate.clone()));
                let transcript = proven.transcript.then(&reply);
                let step = Step::Draft(pen.draft(Answer { frame: reply, note }));
                (Some(Activating { proven, transcript, tpm }), step)
            }
        }
    }

    /// Everything that can be checked of M3.
    fn prove(
        self,
        evidence: Evidence,
        heard: &Heard<'_>,
        view: &View<'_>,
        peer: &Peer,
        fresh: &Fresh,
    ) -> Result<(Proven, Option<TpmProof>), Refusal> {
        self.is_commitment(&evidence.reveal)?;
        let th2 = *self.transcript.hash();
        let bound = Bound::Moment { transcript: &th2, channel: &peer.channel };
        if heard.signed.signers(Domain::Frame, bound, &[evidence.key]).is_empty() {
            return Err(Refusal::BadSignature);
        }
        let key = evidence.key.digest();
        if view.registry.denied(&key).is_some() {
            return Err(Refusal::Revoked);
        }
        let use_of = evidence.invite.map(|signature| (encode(&evidence.key), signature));
        let invited = match (self.hello.intent, self.hello.invite) {
            // Who recovers has an identity: he needs no invite.
            (Intent::Recover, _) | (_, None) => None,
            (_, Some(id)) => Some(super::policy::check_invite(id, use_of, bound, view)?),
        };
        let qualifying = Digest::of_all(&[&th2.0, &peer.channel]);
        let tpm =
            evidence.tpm.as_ref().map(|tpm| tpm::check(tpm, &evidence.key, &qualifying, view, fresh)).transpose()?;
        let words = words::six(&th2, &evidence.reveal, &evidence.key, &view.org.ca_spki).join(" ");
        let mut inventory = evidence.inventory;
        inventory.tidy();
        let proven = Proven {
            hello: self.hello,
            key: evidence.key,
            inventory,
            words,
            invited,
            transcript: self.transcript.then(heard.frame),
            tpm: None,
            assurance: crate::Assurance::Claimed,
        };
        Ok((proven, tpm))
    }
}

impl Activating {
    /// M5.
    pub(crate) fn on_activated(
        self,
        activated: &Activated,
        heard: &Heard<'_>,
        view: &View<'_>,
        peer: &Peer,
        fresh: &Fresh,
    ) -> Step {
        let Self { mut proven, transcript, tpm } = self;
        let note = Note { what: "activated", subject: proven.key.to_string(), ..Note::default() };
        let th4 = transcript.hash();
        let bound = Bound::Moment { transcript: th4, channel: &peer.channel };
        let refuse = |why| Step::refuse(Pen::new(view.registry, view.now), why, note.clone());
        if heard.signed.signers(Domain::Frame, bound, &[proven.key]).is_empty() {
            return refuse(Refusal::BadSignature);
        }
        match tpm.finish(activated, th4, &proven, view) {
            Err(why) => refuse(why),
            Ok((facts, assurance)) => {
                proven.tpm = Some(facts);
                proven.assurance = assurance;
                proven.transcript = transcript.then(heard.frame);
                finish(proven, view, peer, fresh, note)
            }
        }
    }
}

/// Everything is proved that can be: a ticket is made.
fn finish(proven: Proven, view: &View<'_>, peer: &Peer, fresh: &Fresh, note: Note) -> Step {
    let mut pen = Pen::new(view.registry, view.now);
    let known = view.registry.machine_of_key(&proven.key.digest());
    let ticket = match known {
        Some(machine) => recovery::decide(&proven, machine, &mut pen, view, peer, fresh),
        None if proven.hello.intent == Intent::Recover => Err(Refusal::Unknown),
        None => ticket::decide(&proven, &mut pen, view, peer, fresh),
    };
    match ticket {
        Err(why) => Step::refuse(pen, why, note),
        Ok(ticket) => {
            let note = Note { subject: format!("ticket {}", ticket.id), ends: true, ..note };
            let reply = Reply::Ticket(ticket::tell(&ticket, view));
            Step::answer(pen, &reply, note)
        }
    }
}
