//! What a frame leads to.

use crate::encode;
use crate::frames::{Grant, Material, Refused, Reply};
use crate::id::{Digest, MachineId};
use crate::key::{PublicKey, SigningKey};
use crate::refusal::Refusal;
use crate::registry::{Draft, Pen};
use crate::seal::{Bound, Domain, Signed};

/// What a frame leads to.
#[must_use = "a step does nothing until its draft is settled"]
#[derive(Debug)]
pub enum Step {
    /// A draft: settle it, then send its answer.
    Draft(Draft<Answer>),
    /// The machine CA must sign a certificate first.
    Certificate(Box<NeedsCertificate>),
}

/// The answer to a frame.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The frame to send.
    pub frame: Vec<u8>,
    /// What the journal is told.
    pub note: Note,
}

/// What the journal is told of a frame.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Note {
    /// What the machine sent: `hello`, `evidence`, `boot`...
    pub what: &'static str,
    /// Who it is, as far as is known: a machine, a ticket.
    pub subject: String,
    /// Why it was refused.
    pub refused: Option<Refusal>,
    /// More, in words; never told to the machine.
    pub detail: String,
    /// Whether the connection should be closed after the answer.
    pub ends: bool,
}

/// A certificate that the machine CA is to sign.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CertificateWanted {
    /// For this key.
    pub key: PublicKey,
    /// Of this machine.
    pub machine: MachineId,
    /// Of this epoch.
    pub epoch: u64,
    /// How long it holds, in seconds.
    pub seconds: u64,
}

/// An answer that lacks a certificate.
#[derive(Debug)]
pub struct NeedsCertificate {
    wanted: CertificateWanted,
    answer: Unfinished,
    pen: Pen,
    note: Note,
}

/// What the certificate goes into.
#[derive(Debug)]
pub(crate) enum Unfinished {
    /// M8, to be signed for this transcript.
    Grant(Box<Grant>, Digest),
    /// M12.
    Material(Box<Material>),
}

impl NeedsCertificate {
    pub(crate) fn new(wanted: CertificateWanted, answer: Unfinished, pen: Pen, note: Note) -> Self {
        Self { wanted, answer, pen, note }
    }

    /// What to sign.
    #[must_use]
    pub const fn wanted(&self) -> &CertificateWanted {
        &self.wanted
    }

    /// Goes on with the certificate (DER). `enroller` signs grants; without it, none is given.
    pub fn with_certificate(self, certificate: Vec<u8>, enroller: Option<&SigningKey>) -> Draft<Answer> {
        let reply = match (self.answer, enroller) {
            (Unfinished::Grant(mut grant, transcript), Some(key)) => {
                grant.certificate = certificate;
                let bound = Bound::Transcript(&transcript);
                Reply::Grant(Signed::by(key, Domain::Grant, bound, encode(&*grant)))
            }
            (Unfinished::Grant(..), None) => Reply::Refused(Refused { why: Refusal::NotHere, again: None }),
            (Unfinished::Material(mut material), _) => {
                material.certificate = certificate;
                Reply::Material(material)
            }
        };
        self.pen.draft(Answer { frame: encode(&reply), note: self.note })
    }
}

impl Step {
    /// An answer that changes what `pen` wrote.
    pub(crate) fn answer(pen: Pen, reply: &Reply, note: Note) -> Self {
        Self::Draft(pen.draft(Answer { frame: encode(reply), note }))
    }

    /// A refusal, after which the conversation is over.
    pub(crate) fn refuse(pen: Pen, why: Refusal, note: Note) -> Self {
        let again = why.passes().then_some(AGAIN);
        let note = Note { refused: Some(why), ends: true, ..note };
        Self::answer(pen, &Reply::Refused(Refused { why, again }), note)
    }
}

/// When to try again after a refusal that passes, in seconds.
const AGAIN: u32 = 15;
