//! From an option area to options: RFC 2132 §2 framing, RFC 3396 joining, lengths that firmware checks too.

use super::{OptionCode, Options, RelayInfo};
use crate::{DecodeError, Fault, Field};

/// Gathers options from one area after the other.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) options: Options,
    pub(super) faults: Vec<DecodeError>,
    /// Where the first instance of each option is.
    places: Vec<(OptionCode, usize)>,
}

impl Reader {
    /// Reads one option area (the `options` field, or an overloaded `file` or `sname`) that starts at byte `at` of the message.
    /// What cannot be read is a fault; what was read before it is kept. The END mark's absence is a fault and nothing more.
    pub(super) fn area(&mut self, bytes: &[u8], at: usize) {
        let mut rest = bytes;
        while let Some((code, tail)) = rest.split_first() {
            let here = at + (bytes.len() - rest.len());
            match OptionCode(*code) {
                OptionCode::PAD => rest = tail,
                OptionCode::END => return,
                code => {
                    let value = tail.split_first().and_then(|(len, tail)| tail.split_at_checked(usize::from(*len)));
                    let Some((value, tail)) = value else {
                        self.faults.push(DecodeError::new(Field::Option(code.0), here, Fault::Truncated));
                        return;
                    };
                    self.options.append(code, value);
                    self.places.push((code, here));
                    rest = tail;
                }
            }
        }
        self.faults.push(DecodeError::new(Field::OptionArea, at + bytes.len(), Fault::Unterminated));
    }

    /// Takes option 52 out: whether `file` and whether `sname` hold options too (RFC 2132 §9.3).
    pub(super) fn overload(&mut self) -> (bool, bool) {
        let value = self.options.remove(OptionCode::OVERLOAD).unwrap_or_default();
        match value.as_slice() {
            [] => (false, false),
            [1] => (true, false),
            [2] => (false, true),
            [3] => (true, true),
            _ => {
                self.fault(OptionCode::OVERLOAD, Fault::Value);
                (false, false)
            }
        }
    }

    /// Names the options whose length their meaning forbids. They stay in the list as they are; their typed readers say None.
    pub(super) fn check_lengths(&mut self) {
        let wrong = self.options.iter().filter(|(code, value)| !length_is_legal(*code, value.len()));
        let wrong: Vec<OptionCode> = wrong.map(|(code, _)| code).collect();
        wrong.into_iter().for_each(|code| self.fault(code, Fault::Length));
        if let Some(fault) = self.options.relay_info().and_then(RelayInfo::fault) {
            let start = self.places.iter().find(|(have, _)| *have == OptionCode::RELAY_INFO).map_or(0, |(_, at)| *at);
            self.faults.push(DecodeError { at: start.saturating_add(2).saturating_add(fault.at), ..fault });
        }
    }

    fn fault(&mut self, code: OptionCode, fault: Fault) {
        let at = self.places.iter().find(|(have, _)| *have == code).map_or(0, |(_, at)| *at);
        self.faults.push(DecodeError::new(Field::Option(code.0), at, fault));
    }
}

fn length_is_legal(code: OptionCode, len: usize) -> bool {
    match code {
        OptionCode::MESSAGE_TYPE => len == 1,
        OptionCode::MAX_SIZE | OptionCode::BOOT_FILE_SIZE | OptionCode::MTU => len == 2,
        OptionCode::CLIENT_NII => len == 3,
        OptionCode::SUBNET_MASK
        | OptionCode::REQUESTED_IP
        | OptionCode::LEASE_TIME
        | OptionCode::SERVER_ID
        | OptionCode::RENEWAL_TIME
        | OptionCode::REBINDING_TIME
        | OptionCode::BROADCAST => len == 4,
        OptionCode::ROUTER | OptionCode::DNS => len > 0 && len.is_multiple_of(4),
        OptionCode::CLIENT_ARCH => len > 0 && len.is_multiple_of(2),
        OptionCode::MACHINE_ID => len == 17,
        OptionCode::CLIENT_ID => len >= 2,
        _ => true,
    }
}
