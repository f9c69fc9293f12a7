//! Questions to the person at the terminal.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Result, bail};

/// Whether somebody is there to ask.
pub(crate) fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks; only `yes` is yes. The question goes to the standard error, so that the standard output stays what it is.
pub(crate) fn agreed(question: &str) -> Result<bool> {
    if !is_possible() {
        bail!("{question} Nobody is there to ask: `--yes` says it beforehand");
    }
    eprint!("{question} [yes/no] ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().eq_ignore_ascii_case("yes"))
}
