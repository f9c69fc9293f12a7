//! Which refusals stand in the audit log: those of machines that the org knows, and what a person should hear of whoever it was. The journal
//! has them all. A machine is told of once an hour for each reason; and of keys that the org does not know there are few entries an hour: anybody can make them.

use std::collections::{BTreeMap, VecDeque};

use super::{Answer, Note, Peer, View};
use crate::audit::Said;
use crate::id::{MachineId, Time};
use crate::key::PublicKey;
use crate::refusal::Refusal;
use crate::registry::{Change, Draft, Registry, name_of};

const HOUR: u64 = 3600;
/// The most entries an hour about keys that are no machine's of the org.
const STRANGERS: usize = 20;

/// What was written in the last hour.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    /// At most one entry for each reason.
    machines: BTreeMap<(MachineId, Refusal), Time>,
    strangers: VecDeque<(String, Refusal, Time)>,
}

/// Whom a refusal is about.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Whom {
    /// A machine, by its own key.
    Machine(MachineId),
    /// Somebody else, by the key that he has.
    Stranger(String),
}

/// Writes a refusal into the audit log, if it belongs there.
pub(crate) fn write(draft: &mut Draft<Answer>, view: &View<'_>, peer: &Peer, written: &mut Written) {
    let stands = draft.changes().iter().any(|change| matches!(change, Change::Audit(_)));
    let note = &draft.reply.note;
    let Some((why, whom)) = note.refused.and_then(|why| Some((why, whom(note, why, view.registry)?))) else { return };
    if stands || !written.may(&whom, why, view.now) {
        return;
    }
    let subject = match whom {
        Whom::Machine(machine) => name_of(&machine),
        Whom::Stranger(subject) => subject,
    };
    let more = if note.detail.is_empty() { String::new() } else { format!(", {}", note.detail) };
    let detail = format!("{} from {}: {} ({why}){more}", note.what, peer.address, why.code());
    draft.say(
        view.registry,
        view.now,
        Said { actor: "policy".to_owned(), event: "refused", subject, detail, ..Said::default() },
    );
}

/// Whom it is about, if it is worth an entry.
fn whom(note: &Note, why: Refusal, registry: &Registry) -> Option<Whom> {
    let by_any_key = matches!(why, Refusal::BadBootLog | Refusal::InviteUsed | Refusal::Revoked);
    match note.subject.split_once(' ') {
        _ if proves_nothing(why) => None,
        Some(("machine", id)) => Some(Whom::Machine(registry.machine(&id.parse().ok()?)?.id)),
        Some(("ticket", id)) => {
            let ticket = registry.ticket(&id.parse().ok()?)?;
            ticket.granted.or(ticket.recovers).map(Whom::Machine)
        }
        _ => {
            let key = note.subject.parse::<PublicKey>().ok()?.digest();
            let known = registry.machine_of_key(&key).map(|machine| machine.id);
            // Of a revoked machine the deny list knows.
            let known = known.or_else(|| registry.denied(&key).map(|denied| denied.machine));
            known.map(Whom::Machine).or_else(|| by_any_key.then(|| Whom::Stranger(note.subject.clone())))
        }
    }
}

/// Whether it passes, is said before who speaks was proved, or of what stands in the log already: a ticket's end.
fn proves_nothing(why: Refusal) -> bool {
    let before = matches!(
        why,
        Refusal::Malformed | Refusal::Version | Refusal::WrongOrg | Refusal::BadSignature | Refusal::BadCommitment
    );
    why.passes() || before || matches!(why, Refusal::Denied | Refusal::Expired)
}

impl Written {
    /// Whether one more entry may be written; then it counts.
    fn may(&mut self, whom: &Whom, why: Refusal, now: Time) -> bool {
        self.machines.retain(|_, at| now.since(*at) < HOUR);
        self.strangers.retain(|(_, _, at)| now.since(*at) < HOUR);
        match whom {
            Whom::Machine(machine) => self.machines.insert((*machine, why), now).is_none_or(|at| {
                // The hour is counted from the entry that was written.
                self.machines.insert((*machine, why), at);
                false
            }),
            Whom::Stranger(subject) => {
                let again = self.strangers.iter().any(|(other, reason, _)| other == subject && *reason == why);
                if again || self.strangers.len() >= STRANGERS {
                    return false;
                }
                self.strangers.push_back((subject.clone(), why, now));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_told_of_once_an_hour_for_each_reason() {
        let mut written = Written::default();
        let machine = Whom::Machine(MachineId([1; 16]));
        assert!(written.may(&machine, Refusal::Suspended, Time(0)));
        for now in 1..HOUR {
            assert!(!written.may(&machine, Refusal::Suspended, Time(now)), "{now}");
        }
        assert!(written.may(&machine, Refusal::Replayed, Time(5)), "another reason");
        assert!(written.may(&Whom::Machine(MachineId([2; 16])), Refusal::Suspended, Time(5)), "another machine");
        assert!(written.may(&machine, Refusal::Suspended, Time(HOUR)));
    }

    #[test]
    fn strangers_cannot_fill_the_log_nor_hide_a_machine_in_it() {
        let mut written = Written::default();
        let key = |n: u32| Whom::Stranger(format!("key {n}"));
        let count =
            (0..10_000).filter(|n| written.may(&key(*n), Refusal::BadBootLog, Time(u64::from(*n) / 100))).count();
        assert_eq!(count, STRANGERS);
        assert!(written.may(&Whom::Machine(MachineId([1; 16])), Refusal::Revoked, Time(100)));
        assert!(written.strangers.len() <= STRANGERS && written.machines.len() == 1);
        assert!(written.may(&key(0), Refusal::BadBootLog, Time(100 + HOUR)));
        assert!(!written.may(&key(0), Refusal::BadBootLog, Time(101 + HOUR)), "the same again");
    }
}
