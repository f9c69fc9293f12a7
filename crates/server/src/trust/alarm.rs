//! What the org's log says that a person must look at, for the server's own log.

use slipway_trust::Change;

/// The alarms among these changes, a line each.
pub(super) fn among(changes: &[Change]) -> Vec<String> {
    let alarm = |change: &Change| match change {
        Change::Audit(entry) if entry.is_alarm() => Some(format!(
            "alarm ({}): {}: {}; `slipway audit show` tells what was done",
            entry.event, entry.subject, entry.detail
        )),
        _ => None,
    };
    changes.iter().filter_map(alarm).collect()
}

#[cfg(test)]
mod tests {
    use slipway_trust::audit::Entry;
    use slipway_trust::{Digest, Time};

    use super::*;

    #[test]
    fn the_second_use_of_a_cloud_invite_is_an_alarm_and_what_follows_from_it_is_none() {
        let entry = |event: &str| {
            Change::Audit(Entry {
                number: 1,
                before: Digest([0; 32]),
                at: Time(0),
                actor: "policy".to_owned(),
                event: event.to_owned(),
                subject: "invite 0a".to_owned(),
                from: None,
                to: None,
                detail: "machine 0b used it, and the key 0c comes with it too".to_owned(),
                evidence: None,
            })
        };
        let told = among(&["ticket-approved", "invite-second-use", "machine-suspended"].map(entry));
        assert_eq!(
            told,
            ["alarm (invite-second-use): invite 0a: machine 0b used it, and the key 0c comes with it too; \
              `slipway audit show` tells what was done"]
        );
    }
}
