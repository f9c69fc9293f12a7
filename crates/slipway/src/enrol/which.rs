//! Which ticket, invite or machine is meant: by id, by the beginning of one, by name.

use anyhow::{Result, bail};

/// The one of these that is meant. `names` tells of each by what names it may be called; its first is its id, of which the beginning is
/// enough where no other begins the same.
pub(crate) fn the_one<'a, T>(
    word: &str,
    of_all: &'a [T],
    what: &str,
    list: &str,
    names: impl Fn(&T) -> Vec<String>,
) -> Result<&'a T> {
    let word = word.trim().to_ascii_lowercase();
    let called: Vec<&T> =
        of_all.iter().filter(|thing| names(thing).iter().any(|name| name.eq_ignore_ascii_case(&word))).collect();
    let begins = |thing: &&T| word.len() >= 4 && names(thing).first().is_some_and(|id| id.starts_with(&word));
    let found = if called.is_empty() { of_all.iter().filter(begins).collect() } else { called };
    match found.as_slice() {
        [one] => Ok(one),
        [] => bail!("there is no {what} {word:?}: `{list}` shows those that there are"),
        more => bail!("{} {what}s are called {word:?}: write more of the id (`{list}`)", more.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_found_by_its_id_the_beginning_of_it_or_its_name() {
        let machines = [("00aa11bb", "web-1"), ("00aa22cc", "web-2"), ("ffee0011", "web-2"), ("dddd0000", "00aa11bb")];
        let find = |word: &str| {
            let names = |(id, name): &(&str, &str)| vec![(*id).to_owned(), (*name).to_owned()];
            the_one(word, &machines, "machine", "slipway machines", names)
                .map(|(id, _)| *id)
                .map_err(|error| error.to_string())
        };
        assert_eq!(find("web-1").as_deref(), Ok("00aa11bb"));
        assert_eq!(find("FFEE").as_deref(), Ok("ffee0011"));
        assert_eq!(find("00aa2").as_deref(), Ok("00aa22cc"));
        assert_eq!(
            find("ffe").unwrap_err(),
            "there is no machine \"ffe\": `slipway machines` shows those that there are",
            "three digits are too few"
        );
        for ambiguous in ["00aa", "web-2", "00aa11bb"] {
            assert!(find(ambiguous).unwrap_err().contains("write more of the id"), "{ambiguous}");
        }
    }
}
