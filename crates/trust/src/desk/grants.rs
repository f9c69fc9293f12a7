//! Windows, invites, lists of TPMs, the org's manifest: what an admin allows beforehand.

use core::fmt::Display;

use super::{Desk, Kind, Objection, Taken, evidence};
use crate::audit::Said;
use crate::id::Time;
use crate::invite::{ApprovalMode, Invite};
use crate::org::OrgManifest;
use crate::record::{EkList, InviteRecord, InviteRevoke, WindowClose, WindowRecord};
use crate::registry::{Change, Draft, Registry};
use crate::seal::Signed;
use crate::window::Window;

impl Desk<'_> {
    /// Opens a window; one that is open ends with it.
    ///
    /// # Errors
    /// Why not.
    pub fn open_window(&self, signed: &Signed) -> Result<Draft<Taken>, Objection> {
        let (window, actor): (Window, _) = self.read(Kind::Window, signed)?;
        window.check()?;
        if window.expires <= self.now {
            return Err(Objection::Over);
        }
        if window.opens > self.now.plus(Time::SKEW) {
            return Err(Objection::Future);
        }
        if let Some(last) = self.registry.window()
            && (last.window.id == window.id || window.opens < last.window.opens)
        {
            return Err(Objection::Used);
        }
        let (event, subject) = ("window-opened", format!("window {}", window.id));
        let detail = format!("until {} for {}", window.expires, machines(window.max_machines));
        let before = self.registry.open_window(self.now).map(|before| before.window.id);
        let ended = before.map(|id| format!("; the window {id}, which was open, ended with that")).unwrap_or_default();
        let summary = format!("the enrolment window {} is open {detail}{ended}", window.id);
        let mut pen = self.pen();
        let record = WindowRecord { signed: signed.clone(), window, closed: None, granted: Vec::new() };
        pen.write(Change::Window(Box::new(record)));
        pen.say(Said { actor, event, subject: subject.clone(), detail, evidence: evidence(signed), ..Said::default() });
        Ok(pen.draft(Taken { event, subject, summary }))
    }

    /// Closes a window before its time.
    ///
    /// # Errors
    /// Why not.
    pub fn close_window(&self, signed: &Signed) -> Result<Draft<Taken>, Objection> {
        let (close, actor): (WindowClose, _) = self.read(Kind::WindowClose, signed)?;
        let open = self.registry.open_window(self.now).filter(|record| record.window.id == close.window);
        let mut record = open.ok_or(Objection::NoWindow)?.clone();
        record.closed = Some(self.now);
        let (event, subject) = ("window-closed", format!("window {}", close.window));
        let summary = format!("the enrolment window is closed; {} came in by it", machines(record.granted.len()));
        let mut pen = self.pen();
        pen.write(Change::Window(Box::new(record)));
        pen.say(Said { actor, event, subject: subject.clone(), evidence: evidence(signed), ..Said::default() });
        Ok(pen.draft(Taken { event, subject, summary }))
    }

    /// Takes an invite.
    ///
    /// # Errors
    /// Why not.
    pub fn create_invite(&self, signed: &Signed) -> Result<Draft<Taken>, Objection> {
        let (invite, actor): (Invite, _) = self.read(Kind::Invite, signed)?;
        invite.check()?;
        if invite.expires <= self.now {
            return Err(Objection::Over);
        }
        if !super::is_word(&invite.role) {
            return Err(Objection::Name(invite.role));
        }
        if self.registry.invite(&invite.id).is_some() {
            return Err(Objection::Used);
        }
        if self.registry.invites().count() >= Registry::MOST_INVITES {
            return Err(Objection::TooManyInvites);
        }
        let (event, subject) = ("invite-created", format!("invite {}", invite.id));
        let detail = format!("{}: for {} until {}", invite.label, machines(invite.max_uses), invite.expires);
        let what = match invite.approval {
            ApprovalMode::Manual => "ask",
            ApprovalMode::Automatic => "in without a person",
        };
        let summary = format!("the invite `{}` lets {} {what}", invite.label, machines(invite.max_uses));
        let mut pen = self.pen();
        let record = InviteRecord { signed: signed.clone(), invite, uses: Vec::new(), revoked: None };
        pen.write(Change::Invite(Box::new(record)));
        pen.say(Said { actor, event, subject: subject.clone(), detail, evidence: evidence(signed), ..Said::default() });
        Ok(pen.draft(Taken { event, subject, summary }))
    }

    /// Revokes an invite. Machines that came in by it stay.
    ///
    /// # Errors
    /// Why not.
    pub fn revoke_invite(&self, signed: &Signed) -> Result<Draft<Taken>, Objection> {
        let (revoke, actor): (InviteRevoke, _) = self.read(Kind::InviteRevoke, signed)?;
        let mut record = self.registry.invite(&revoke.invite).ok_or(Objection::NoInvite)?.clone();
        if let Some(at) = record.revoked {
            return Err(Objection::InviteRevoked(at));
        }
        record.revoked = Some(self.now);
        let (event, subject) = ("invite-revoked", format!("invite {}", revoke.invite));
        let came = machines(record.uses.len());
        let summary = format!("the invite `{}` holds no more; {came} came in by it", record.invite.label);
        let mut pen = self.pen();
        pen.write(Change::Invite(Box::new(record)));
        pen.say(Said { actor, event, subject: subject.clone(), evidence: evidence(signed), ..Said::default() });
        Ok(pen.draft(Taken { event, subject, summary }))
    }

    /// Takes a list of TPMs that may enrol by themselves; it replaces the one before.
    ///
    /// # Errors
    /// Why not.
    pub fn import_ek_list(&self, signed: &Signed) -> Result<Draft<Taken>, Objection> {
        let (list, actor): (EkList, _) = self.read(Kind::EkList, signed)?;
        self.is_timely(list.at, self.registry.ek_list().map_or(Time(0), |before| before.at))?;
        let words = list.entries.iter().flat_map(|entry| entry.name.iter().chain([&entry.role]));
        if let Some(bad) = words.into_iter().find(|word| !super::is_word(word)) {
            return Err(Objection::Name(bad.clone()));
        }
        let (event, subject) = ("ek-list-imported", "ek-list".to_owned());
        let detail = counted(list.entries.len(), "TPM");
        let summary = format!("{detail} may enrol without a person while a window is open");
        let mut pen = self.pen();
        pen.write(Change::EkList(signed.clone(), list));
        pen.say(Said { actor, event, subject: subject.clone(), detail, evidence: evidence(signed), ..Said::default() });
        Ok(pen.draft(Taken { event, subject, summary }))
    }

    /// Takes the org's manifest. Its epoch never falls.
    ///
    /// # Errors
    /// Why not.
    pub fn install_manifest(&self, signed: &Signed) -> Result<Draft<Taken>, Objection> {
        let before = self.registry.org();
        let seen = before.map_or(0, |(epoch, _)| epoch).max(self.org.epoch);
        let manifest = OrgManifest::open(signed, self.root, seen)?;
        if before.is_some_and(|(epoch, old)| epoch == manifest.epoch && old.payload != signed.payload) {
            return Err(Objection::SameEpoch(manifest.epoch));
        }
        let (event, subject) = ("manifest-installed", format!("epoch {}", manifest.epoch));
        let summary = format!("the org's manifest of epoch {} holds", manifest.epoch);
        let actor = format!("root {}", self.root.kid());
        let mut pen = self.pen();
        pen.write(Change::Org(manifest.epoch, signed.clone()));
        pen.say(Said { actor, event, subject: subject.clone(), evidence: evidence(signed), ..Said::default() });
        Ok(pen.draft(Taken { event, subject, summary }))
    }
}

fn machines(number: impl Display + PartialEq + From<u8>) -> String {
    counted(number, "machine")
}

/// `1 machine`, `2 machines`.
fn counted<N: Display + PartialEq + From<u8>>(number: N, what: &str) -> String {
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {what}{plural}")
}
