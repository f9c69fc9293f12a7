//! Invites in texts that hold other things too.

/// What an invite begins with.
const PREFIX: &str = "inv1-";
/// What stands before it in user-data.
const KEY: &str = "slipway-invite:";
/// The type of the structure with a maker's free texts.
const OEM_STRINGS: u8 = 11;
/// What stands before it in the SMBIOS.
const OEM_KEY: &str = "slipway.invite=";

/// The invite in a virtual machine's user-data: the whole of it, or the value of `slipway-invite:` on a line of its own, which cloud-config
/// and other programs pass over.
pub(super) fn in_user_data(text: &str) -> Option<String> {
    let whole = text.trim();
    if begins(whole) {
        return Some(whole.split_whitespace().next()?.to_owned());
    }
    text.lines().find_map(|line| {
        let line = line.trim().trim_start_matches('#').trim_start();
        let value = line.strip_prefix(KEY)?.trim().trim_matches(['"', '\'']);
        begins(value).then(|| value.to_owned())
    })
}

/// The invite among the free texts of SMBIOS: its whole table, as the kernel shows it.
pub(super) fn in_smbios(mut table: &[u8]) -> Option<String> {
    while let Some((kind, texts, rest)) = structure(table) {
        let value =
            texts.split(|byte| *byte == 0).filter_map(|text| core::str::from_utf8(text).ok()).find_map(|text| {
                let value = text.trim().strip_prefix(OEM_KEY)?;
                (kind == OEM_STRINGS && begins(value)).then(|| value.to_owned())
            });
        if value.is_some() {
            return value;
        }
        table = rest;
    }
    None
}

/// The first structure of a table (SMBIOS 3.7 §6.1): its type, its texts, and what follows. Behind as many bytes as its head says stand its texts,
/// each ended by a zero, and one more zero.
fn structure(table: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (kind, length) = (*table.first()?, usize::from(*table.get(1)?));
    let texts = table.get(length.max(4)..)?;
    let end = texts.windows(2).position(|pair| pair == [0, 0])?;
    Some((kind, texts.get(..end)?, texts.get(end.checked_add(2)?..)?))
}

fn begins(text: &str) -> bool {
    text.get(..PREFIX.len()).is_some_and(|head| head.eq_ignore_ascii_case(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_may_be_an_invite_or_hold_one() {
        for (text, invite) in [
            ("inv1-abc\n", Some("inv1-abc")),
            ("  INV1-ABC", Some("INV1-ABC")),
            ("#cloud-config\nhostname: x\nslipway-invite: inv1-abc\n", Some("inv1-abc")),
            ("#cloud-config\n# slipway-invite: 'inv1-abc'\n", Some("inv1-abc")),
            ("#cloud-config\r\nslipway-invite: \"inv1-abc\"\r\n", Some("inv1-abc")),
            ("slipway-invite: nonsense", None),
            ("#!/bin/sh\necho inv1-abc", None),
            ("", None),
        ] {
            assert_eq!(in_user_data(text).as_deref(), invite, "{text:?}");
        }
    }

    #[test]
    fn the_smbios_may_hold_an_invite_among_other_texts() {
        let structure = |kind: u8, texts: &[&str]| {
            let mut raw = vec![kind, 5, 0, 1, u8::try_from(texts.len()).unwrap()];
            texts.iter().for_each(|text| raw.extend([text.as_bytes(), &[0]].concat()));
            raw.extend(if texts.is_empty() { vec![0, 0] } else { vec![0] });
            raw
        };
        let first = structure(1, &["QEMU", "slipway.invite=inv1-no"]);
        let table =
            |texts: &[&str]| [first.clone(), structure(4, &[]), structure(11, texts), structure(127, &[])].concat();
        assert_eq!(in_smbios(&table(&["Dell System", "slipway.invite=inv1-abc"])).as_deref(), Some("inv1-abc"));
        assert_eq!(in_smbios(&table(&["Dell System"])), None);
        assert_eq!(in_smbios(&table(&["slipway.invite=", "slipway.invite=x"])), None);
        let whole = table(&["slipway.invite=inv1-abc"]);
        for length in 0..whole.len() {
            let told = in_smbios(&whole[..length]);
            assert!(told.is_none() || told.as_deref() == Some("inv1-abc"), "cut at {length}");
        }
    }
}
