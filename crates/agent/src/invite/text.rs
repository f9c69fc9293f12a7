//! Invites in texts that hold other things too.

/// What an invite begins with.
const PREFIX: &str = "inv1-";
/// What stands before it in user-data.
const KEY: &str = "slipway-invite:";
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

/// The invite among the free texts of SMBIOS (structure type 11): a head of its length, the count of texts, and behind the structure the
/// texts, each ended by a zero.
pub(super) fn in_oem_strings(raw: &[u8]) -> Option<String> {
    let length = usize::from(*raw.get(1)?);
    let texts = raw.get(length..)?.split(|byte| *byte == 0).take_while(|text| !text.is_empty());
    let mut texts = texts.filter_map(|text| core::str::from_utf8(text).ok());
    texts.find_map(|text| text.trim().strip_prefix(OEM_KEY).filter(|value| begins(value)).map(str::to_owned))
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
        let raw = |texts: &[&str]| {
            let mut raw = vec![11, 5, 0, 1, u8::try_from(texts.len()).unwrap()];
            texts.iter().for_each(|text| raw.extend([text.as_bytes(), &[0]].concat()));
            raw.push(0);
            raw
        };
        assert_eq!(in_oem_strings(&raw(&["Dell System", "slipway.invite=inv1-abc"])).as_deref(), Some("inv1-abc"));
        assert_eq!(in_oem_strings(&raw(&["Dell System"])), None);
        assert_eq!(in_oem_strings(&raw(&["slipway.invite="])), None);
        let whole = raw(&["slipway.invite=inv1-abc"]);
        for length in 0..8 {
            assert_eq!(in_oem_strings(&whole[..length]), None, "cut at {length}");
        }
    }
}
