//! Every command that the documentation tells people to type is one: the words are given to the command line's own parser.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};

use crate::cli::Cli;

/// What stands for a value in the texts, and a value of its kind.
const STANDS_FOR: &[(&str, &str)] = &[
    ("HEAD", "9f3c9f3c9f3c9f3c9f3c9f3c9f3c9f3c9f3c9f3c9f3c9f3c9f3c9f3c9f3c9f3c"),
    ("MAC", "52:54:00:12:34:56"),
    ("9f3c…", "9f3c9f3c9f3c9f3c9f3c9f3c9f3c9f3c9f3c9f3c9f3c9f3c9f3c9f3c9f3c9f3c"),
];

/// A command as it stands in a text.
#[derive(Debug, Eq, PartialEq)]
struct Told {
    line: usize,
    words: Vec<String>,
    /// In a block of code: it can be typed as it stands. In a sentence it may only be named.
    whole: bool,
}

fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let of = |folder: PathBuf| {
        let entries = std::fs::read_dir(&folder).unwrap();
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "md"))
    };
    let mut all: Vec<PathBuf> = of(root.join("docs")).chain([root.join("README.md")]).collect();
    all.retain(|path| path.exists());
    all.sort();
    all
}

/// The commands of a text: lines of its blocks of code, and spans of code in its sentences, that begin with the program's name.
fn told(text: &str) -> Vec<Told> {
    let mut all = Vec::new();
    let (mut block, mut begun) = (false, String::new());
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            block = !block;
            continue;
        }
        if !block {
            let spans = line.split('`').skip(1).step_by(2);
            all.extend(spans.flat_map(commands).map(|words| Told { line: number, words, whole: false }));
            continue;
        }
        begun.push_str(line.trim_end_matches('\\'));
        if !line.ends_with('\\') {
            let whole = commands(&core::mem::take(&mut begun));
            all.extend(whole.into_iter().map(|words| Told { line: number, words, whole: true }));
        }
    }
    all
}

/// The commands of ours in a line of a shell.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let (mut word, mut quote): (Option<String>, Option<char>) = (None, None);
    for letter in line.chars().chain([' ']) {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ' | ';' | '|' | '&' | '<' | '>' | '#') => {
                if letter == '#' && word.is_some() {
                    word.get_or_insert_default().push('#');
                    continue;
                }
                all.last_mut().unwrap().extend(word.take());
                match letter {
                    ' ' => {}
                    '#' => break,
                    _ => all.push(Vec::new()),
                }
            }
            _ => word.get_or_insert_default().push(letter),
        }
    }
    for command in &mut all {
        if command.first().is_some_and(|first| ["sudo", "$"].contains(&first.as_str())) {
            command.remove(0);
        }
    }
    all.retain(|command| command.first().is_some_and(|first| first == "slipway") && command.len() > 1);
    all
}

/// What is wrong with a command.
fn fault(told: &Told) -> Option<String> {
    let value = |word: &String| {
        let known = STANDS_FOR.iter().find(|(name, _)| word == name);
        known.map_or_else(|| word.clone(), |(_, value)| (*value).to_owned())
    };
    let words: Vec<String> = told.words.iter().map(value).collect();
    let ends = |so: fn(&str) -> bool| words.last().is_some_and(|word| so(word));
    let error = Cli::try_parse_from(&words).err()?;
    let fine = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => !told.whole,
        // `slipway machine …` names a whole family of commands, and `slipway org policy --min-assurance` an option.
        ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument => !told.whole && ends(|word| word == "…"),
        ErrorKind::InvalidValue => !told.whole && ends(|word| word == "…" || word.starts_with("--")),
        _ => false,
    };
    (!fine).then(|| error.to_string().lines().next().unwrap_or_default().to_owned())
}

#[test]
fn every_command_that_the_documentation_tells_is_one() {
    Cli::command().debug_assert();
    let mut faults = Vec::new();
    let (mut count, mut drill) = (0, 0);
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for command in told(&text) {
            count += 1;
            drill += usize::from(name == "recovery-drill.md" && command.whole);
            if let Some(fault) = fault(&command) {
                faults.push(format!("{name}:{}: `{}`: {fault}", command.line, command.words.join(" ")));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 100 && drill > 15, "only {count} commands were found, {drill} of them in the drill");
}

#[test]
fn commands_are_found_where_they_stand() {
    let text = "\
Say `slipway machines` or `slipway image …`, not `slip`.
```sh
sudo slipway machine revoke web-1 --reason \"stolen, case #4711\"   # for ever
install -m 600 a b && slipway check; systemctl restart slipway
slipway org key new enroller \\
  --output /root/enroller.new > /dev/null
```
";
    let found: Vec<(usize, String, bool)> =
        told(text).into_iter().map(|told| (told.line, told.words.join(" "), told.whole)).collect();
    let of = |line, words: &str, whole| (line, words.to_owned(), whole);
    assert_eq!(
        found,
        [
            of(1, "slipway machines", false),
            of(1, "slipway image …", false),
            of(3, "slipway machine revoke web-1 --reason stolen, case #4711", true),
            of(4, "slipway check", true),
            of(6, "slipway org key new enroller --output /root/enroller.new", true),
        ]
    );
}

#[test]
fn a_command_that_is_none_is_told() {
    let of = |words: &str, whole| fault(&Told { line: 1, words: commands(words).remove(0), whole });
    for (words, whole, wrong) in [
        ("slipway machine revoke web-1 --reason x", true, false),
        ("slipway machine revoke web-1", true, true),
        ("slipway machine revoke web-1", false, false),
        ("slipway machine forget web-1", false, true),
        ("slipway machine …", false, false),
        ("slipway org policy --min-assurance", false, false),
        ("slipway audit verify --head HEAD", true, false),
        ("slipway audit verify --head TAIL", true, true),
        ("slipway audit show --since 3", true, true),
        ("slipway audit show --since", false, true),
    ] {
        assert_eq!(of(words, whole).is_some(), wrong, "{words}");
    }
}
