//! How much memory a machine has, as iPXE of any age can tell: it has no setting for that, but reads any field of the SMBIOS tables.

use core::fmt::Write as _;

/// Memory slots that are asked for. A machine with more of them has its memory understated.
const SLOTS: u8 = 32;

/// A machine's memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ram {
    /// At least this much, in MiB.
    Mib(u64),
    /// It was asked, and could not tell.
    Unknown,
}

/// What a URL of ours ends in that asks for the memory: `ram=`, and the size of each memory device (SMBIOS type 17, offset 0x0c, 2
/// bytes) as bare hexadecimal digits. iPXE replaces a slot that is not there with nothing.
#[must_use]
pub fn ask_ram() -> String {
    let mut text = "ram=".to_owned();
    for slot in 0..SLOTS {
        let separator = if slot == 0 { "" } else { "-" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}${{smbios/{slot}.17.12.2:hexraw}}");
    }
    text
}

impl Ram {
    /// Reads what became of [`ask_ram`].
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mib: u64 = text.split('-').filter_map(slot).fold(0, u64::saturating_add);
        if mib == 0 { Self::Unknown } else { Self::Mib(mib) }
    }

    /// Whether it suffices, as far as is known: a machine that cannot tell is believed to have enough.
    #[must_use]
    pub fn suffices(self, least_mib: u64) -> bool {
        match self {
            Self::Mib(mib) => mib >= least_mib,
            Self::Unknown => true,
        }
    }
}

/// A memory device's size in MiB (DSP0134 7.18): little-endian; all ones is unknown; the top bit says that it is in KiB; 0x7fff that it
/// is larger and stands elsewhere.
fn slot(digits: &str) -> Option<u64> {
    let swapped = u16::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 4)?;
    match swapped.swap_bytes() {
        0xffff => None,
        size @ 0x8000.. => Some(u64::from(size & 0x7fff) / 1024),
        size => Some(u64::from(size)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_of_all_slots_are_added_up() {
        for (text, wanted) in [
            // QEMU with 1 GiB, as iPXE of 2019 expands it.
            ("0004-------------------------------", Ram::Mib(1024)),
            ("0004", Ram::Mib(1024)),
            ("0040-0000-0040-0000", Ram::Mib(32768)),
            ("ff7f-ff7f", Ram::Mib(65534)),
            ("0082", Ram::Unknown),
            ("0090-0001", Ram::Mib(4 + 256)),
            ("ffff-0010", Ram::Mib(4096)),
            ("ffff", Ram::Unknown),
            ("0000-0000", Ram::Unknown),
            ("", Ram::Unknown),
            ("-----", Ram::Unknown),
            ("00040004", Ram::Unknown),
            ("${x}-zzzz", Ram::Unknown),
        ] {
            assert_eq!(Ram::parse(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_machine_that_cannot_tell_is_believed_to_have_enough() {
        assert!(Ram::Mib(2048).suffices(2048) && !Ram::Mib(2047).suffices(2048) && Ram::Unknown.suffices(u64::MAX));
    }

    #[test]
    fn the_question_names_each_slot_and_stays_short_when_answered() {
        let asked = ask_ram();
        assert!(asked.starts_with("ram=${smbios/0.17.12.2:hexraw}-${smbios/1.17.12.2:hexraw}-"), "{asked}");
        assert_eq!((asked.matches("${").count(), asked.matches('-').count()), (32, 31));
    }
}
