//! `slipway init`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use slipway_server::config::sample;
use slipway_server::interfaces;

use crate::cli::Init;

pub(crate) fn run(init: &Init) -> Result<ExitCode> {
    let (found, route) = interfaces::read().context("cannot read the network interfaces")?;
    let lan = interfaces::lan(&found, route.as_deref());
    let text = sample(lan.as_ref().ok().map(|found| &found.interface));
    if init.output.as_os_str() == "-" {
        std::io::stdout().write_all(text.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    write(&init.output, &text, init.force)?;
    let path = init.output.display();
    match lan {
        Ok(found) => println!("wrote {path} for {}, as ProxyDHCP", found.interface.name),
        Err(error) => println!("wrote {path}; put your interface's name in: {error}"),
    }
    println!("next: edit it, `slipway check`, then `slipway serve` or `systemctl start slipway`");
    Ok(ExitCode::SUCCESS)
}

/// Writes the whole file beside its place first, so that a full disk never leaves half a configuration.
fn write(path: &Path, text: &str, force: bool) -> Result<()> {
    if !force && path.symlink_metadata().is_ok() {
        bail!("{} exists already: `--force` replaces it, `--output FILE` writes elsewhere", path.display());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let mut name = path.file_name().with_context(|| format!("{} names no file", path.display()))?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = folder.join(name);
    let result = OpenOptions::new().write(true).create_new(true).open(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    });
    if let Err(error) = result {
        let _ = std::fs::remove_file(&beside);
        let remedy =
            if error.kind() == ErrorKind::PermissionDenied { " (as root, or with `--output FILE`?)" } else { "" };
        return Err(error).with_context(|| format!("cannot write {}{remedy}", path.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_only_replaced_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/slipway.toml");
        write(&path, "one", false).unwrap();
        let error = write(&path, "two", false).unwrap_err().to_string();
        assert!(error.contains("exists already") && error.contains("--force"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        write(&path, "two", true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(std::fs::read_dir(folder.path().join("new")).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_is_written_on_this_machine_passes_the_check() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slipway.toml");
        run(&Init { output: path.clone(), force: false }).unwrap();
        let config = slipway_server::places::load(Some(&path)).unwrap();
        assert_eq!(config.warnings, []);
        assert_eq!(config.interfaces.len(), 1);
    }
}
