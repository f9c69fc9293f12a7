//! M1 in, M2 out.

use crate::encode;
use crate::frames::{Challenge, Hello, Intent, Reply, VERSION};
use crate::id::Digest;
use crate::image::Role;
use crate::node::{Answer, Fresh, Heard, Note, Step, View};
use crate::refusal::Refusal;
use crate::registry::Pen;
use crate::transcript::Transcript;

/// M2 is sent: M3 is due, or M11 after a hello with the intent to boot.
#[derive(Debug)]
pub struct Challenged {
    pub(crate) hello: Hello,
    /// th2.
    pub(crate) transcript: Transcript,
    pub(crate) quote_nonce: [u8; 32],
}

/// PCRs that a quote must cover: firmware, its settings, what was started, Secure Boot, the parts of a UKI, what it was given from outside.
pub(crate) const PCRS: [u8; 6] = [0, 2, 4, 7, 11, 12];

impl Challenged {
    /// Whether M11 is due.
    pub(crate) fn boots(&self) -> bool {
        self.hello.intent == Intent::Boot
    }

    /// Whether what was committed to in M1 is this.
    pub(crate) fn is_commitment(&self, reveal: &[u8; 32]) -> Result<(), Refusal> {
        if Digest::of(reveal) == self.hello.commitment { Ok(()) } else { Err(Refusal::BadCommitment) }
    }
}

/// M1.
pub(crate) fn on_hello(hello: Hello, heard: &Heard<'_>, view: &View<'_>, fresh: &Fresh) -> (Option<Challenged>, Step) {
    let pen = Pen::new(view.registry, view.now);
    let note = Note { what: "hello", ..Note::default() };
    if let Err(why) = check(&hello, view) {
        return (None, Step::refuse(pen, why, note));
    }
    let challenge = Challenge {
        nonce: fresh.nonce,
        org: view.org.org,
        quote_nonce: fresh.quote_nonce,
        pcrs: PCRS.to_vec(),
        time: view.now,
    };
    let reply = encode(&Reply::Challenge(challenge));
    let transcript = Transcript::new(&view.org.org).then(heard.frame).then(&reply);
    let next = Challenged { hello, transcript, quote_nonce: fresh.quote_nonce };
    (Some(next), Step::Draft(pen.draft(Answer { frame: reply, note })))
}

fn check(hello: &Hello, view: &View<'_>) -> Result<(), Refusal> {
    if !hello.versions.contains(&VERSION) {
        return Err(Refusal::Version);
    }
    if hello.org != view.org.org {
        return Err(Refusal::WrongOrg);
    }
    let role = if hello.intent == Intent::Boot { Role::Preboot } else { Role::Bootstrap };
    match hello.intent {
        Intent::Enrol if view.enroller.is_none() => return Err(Refusal::NotHere),
        Intent::Recover if !view.gateway || view.enroller.is_none() => return Err(Refusal::NotHere),
        Intent::Boot if !view.gateway => return Err(Refusal::NotHere),
        Intent::Enrol => check_window(hello, view)?,
        Intent::Recover | Intent::Boot => {}
    }
    if hello.image_version < view.org.floor(role, hello.arch) { Err(Refusal::OldImage) } else { Ok(()) }
}

/// Nobody new gets in outside of a window; a window may be for some invites only.
fn check_window(hello: &Hello, view: &View<'_>) -> Result<(), Refusal> {
    let window = &view.registry.open_window(view.now).ok_or(Refusal::NoWindow)?.window;
    if window.admits(hello.invite.as_ref()) { Ok(()) } else { Err(Refusal::BadInvite) }
}
