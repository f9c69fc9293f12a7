//! Every configuration that the documents show must be one that the program accepts: `slipway check` reads each of them.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::programs::Programs;
use crate::sh;

const FILES: &[&str] = &["README.md", "docs/configuration.md"];

/// Hands each ```` ```toml ```` block of the documents to `slipway check`.
///
/// # Errors
/// What the program said against each block that it refuses.
pub(crate) fn check(programs: Programs) -> Result<()> {
    programs.build()?;
    let scratch = sh::root().join("target/documented-configuration");
    fs::create_dir_all(&scratch)?;
    // A check that accepts everything would prove nothing.
    if refusal(&scratch, 0, "no-such-key = 1\n")?.is_none() {
        bail!("`slipway check` accepts a key that does not exist");
    }
    let mut faults = Vec::new();
    let mut seen = 0_usize;
    for file in FILES {
        let text = fs::read_to_string(sh::root().join(file)).with_context(|| format!("no {file}"))?;
        for (line, block) in blocks(&text) {
            seen += 1;
            let config = scratch.join(format!("{seen}.toml"));
            fs::write(&config, block)?;
            let mut slipway = sh::command(sh::root().join("target/debug/slipway"));
            slipway
                .arg("--data")
                .arg(scratch.join("data"))
                .arg("check")
                .arg("--file-only")
                .arg("--config")
                .arg(&config);
            let output = slipway.stdin(Stdio::null()).output().context("cannot start slipway")?;
            if !output.status.success() {
                let said = [output.stdout, output.stderr].concat();
                faults.push(format!("{file}:{line}: `slipway check` refuses it:\n{}", String::from_utf8_lossy(&said)));
            }
        }
    }
    if seen == 0 {
        bail!("no configuration is documented");
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

/// What `slipway check` says against a configuration, if anything.
fn refusal(scratch: &Path, number: usize, text: &str) -> Result<Option<String>> {
    let config = scratch.join(format!("{number}.toml"));
    fs::write(&config, text)?;
    let mut slipway = sh::command(sh::root().join("target/debug/slipway"));
    slipway.arg("--data").arg(scratch.join("data")).args(["check", "--file-only", "--config"]).arg(&config);
    let output = slipway.stdin(Stdio::null()).output().context("cannot start slipway")?;
    let said = [output.stdout, output.stderr].concat();
    Ok((!output.status.success()).then(|| String::from_utf8_lossy(&said).into_owned()))
}

/// TOML blocks with the line on which each starts.
fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        match open.take() {
            None if line.trim_end() == "```toml" => open = Some((index + 2, String::new())),
            None => {}
            Some(block) if line.starts_with("```") => blocks.push(block),
            Some((start, mut block)) => {
                block.push_str(line);
                block.push('\n');
                open = Some((start, block));
            }
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_blocks_are_found_with_their_lines() {
        let text = "a\n```toml\nx = 1\n```\n```sh\nls\n```\n```toml\ny = 2\nz = 3\n```\n";
        assert_eq!(blocks(text), [(3, "x = 1\n".to_owned()), (9, "y = 2\nz = 3\n".to_owned())]);
    }
}
