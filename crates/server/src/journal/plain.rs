//! What machines send ends up on terminals and in log files: there, it must be text and nothing but text, and not much of it.

use std::borrow::Cow;

use slipway_engine::Why;
use slipway_engine::journal::{About, Entry, Outcome};

/// The longest text of an entry that is kept, in bytes: a stranger fills what is remembered, a thousand machines with hundreds of
/// entries each.
const LONGEST: usize = 1024;

/// Makes every text of an entry one that a terminal shows as it is: no line of its own, no colours, nothing turned around.
pub(super) fn make_plain(entry: &mut Entry) {
    plain(&mut entry.asked);
    match &mut entry.outcome {
        Outcome::Answered(text) | Outcome::Peer(text) | Outcome::Ourselves(text) => plain(text),
        Outcome::Declined(Why::NoImage { image }) => plain(image),
        // The other reasons carry what the operator or the program wrote.
        Outcome::Declined(_) => {}
    }
    if let About::File { path, .. } = &mut entry.about {
        plain(path);
    }
}

fn plain(text: &mut String) {
    if let Cow::Owned(changed) = cut(text) {
        *text = changed;
    }
}

fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST && !text.contains(is_unfit) {
        return Cow::Borrowed(text);
    }
    let fits = |&(at, c): &(usize, char)| at + c.len_utf8() <= LONGEST;
    let mut kept: String = text.char_indices().take_while(fits).map(|(_, c)| shown(c)).collect();
    if text.len() > LONGEST {
        kept.push('…');
    }
    Cow::Owned(kept)
}

fn shown(c: char) -> char {
    if is_unfit(c) { '?' } else { c }
}

/// Control characters, and those that end lines or turn the direction of writing.
fn is_unfit(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_forge_a_line_or_steer_a_terminal_is_shown_as_a_question_mark() {
        for (told, kept) in [
            ("GET /boot.ipxe", "GET /boot.ipxe"),
            ("x\x1b[2J\r\n2026-11-23 ERROR forged\u{9b}31m", "x?[2J??2026-11-23 ERROR forged?31m"),
            ("abc\u{202e}fdp.exe\u{2028}", "abc?fdp.exe?"),
            ("Ä…✓", "Ä…✓"),
        ] {
            assert_eq!(cut(told), kept);
        }
        let long = cut(&"ä".repeat(2000)).into_owned();
        assert_eq!((long.chars().count(), long.ends_with('…')), (LONGEST / 2 + 1, true));
    }
}
