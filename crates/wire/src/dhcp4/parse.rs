//! From an option area to options: RFC 2132 §2 framing, RFC 3396 joining, lengths that firmware checks too.

use super::{OptionCode, Options};
use crate::{DecodeError, Fault, Field};

/// Reads one option area (the `options` field, or an overloaded `file` or `sname`) that starts at byte `at` of the message.
/// What cannot be read is a fault; what was read before it is kept. The END mark's absence is a fault and nothing more.
pub(super) fn area(bytes: &[u8], at: usize, options: &mut Options, faults: &mut Vec<DecodeError>) {
    let mut rest = bytes;
    while let Some((code, tail)) = rest.split_first() {
        let here = at + (bytes.len() - rest.len());
        match OptionCode(*code) {
            OptionCode::PAD => rest = tail,
            OptionCode::END => return,
            code => {
                let value = tail.split_first().and_then(|(len, tail)| tail.split_at_checked(usize::from(*len)));
                let Some((value, tail)) = value else {
                    faults.push(DecodeError::new(Field::Option(code.0), here, Fault::Truncated));
                    return;
                };
                options.append(code, value);
                rest = tail;
            }
        }
    }
    faults.push(DecodeError::new(Field::OptionArea, at + bytes.len(), Fault::Unterminated));
}

/// Names the options whose length their meaning forbids. They stay in the list as they are; their typed accessors say None.
pub(super) fn check_lengths(options: &Options, at: usize, faults: &mut Vec<DecodeError>) {
    for (code, value) in options.iter() {
        if !length_is_legal(code, value.len()) {
            faults.push(DecodeError::new(Field::Option(code.0), at, Fault::Length));
        }
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
