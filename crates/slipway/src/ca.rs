//! `slipway ca`: the boot CA that firmware must know before it boots over HTTPS.

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use slipway_server::places::{Surroundings, config_file, load};
use slipway_server::tls::Authority;

use crate::cli::Global;
use crate::machines::print_json;

/// `slipway ca …`
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Ca {
    /// Show the CA's name, fingerprint and validity
    Show,
    /// Write the CA's certificate, for the firmware of machines
    ///
    /// Firmware's setup takes `der` (as a file on a FAT medium), vendor tools often `pem`. `esl` is an EFI signature list: what the
    /// variable TlsCaCertificate holds, and QEMU's -fw_cfg name=etc/edk2/https/cacerts,file=FILE.
    Export(Export),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Export {
    /// How the certificate is written
    #[arg(long, value_enum, default_value_t = Format::Der)]
    format: Format,
    /// Where to write it; - is the standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    /// Binary, as firmware's setup reads it
    Der,
    /// Text
    Pem,
    /// EFI signature list
    Esl,
}

pub(crate) fn run(global: &Global, ca: &Ca) -> Result<ExitCode> {
    // A configuration with a fault elsewhere is no reason to keep the CA back.
    let config = load(config_file(global.config.as_deref()).as_deref()).ok();
    let data = Surroundings::read().data(global.data.as_deref(), config.as_ref());
    fs::create_dir_all(&data).with_context(|| format!("cannot make the folder {}", data.display()))?;
    let authority = Authority::open(&data, jiff::Timestamp::now().as_second())?;
    match ca {
        Ca::Show => show(&authority, global.json),
        Ca::Export(Export { format, output }) => {
            let bytes = match format {
                Format::Der => authority.der()?,
                Format::Pem => authority.pem()?,
                Format::Esl => authority.esl()?,
            };
            write(output, &bytes, *format == Format::Pem)
        }
    }
}

fn show(authority: &Authority, json: bool) -> Result<ExitCode> {
    let facts = authority.facts()?;
    let file = facts.file.display();
    if json {
        return print_json(&json!({
            "subject": facts.subject,
            "sha256": facts.sha256,
            "from": facts.from,
            "until": facts.until,
            "file": file.to_string(),
        }));
    }
    println!("name      {}\nSHA-256   {}\nvalid     {} to {}", facts.subject, facts.sha256, facts.from, facts.until);
    println!(
        "file      {file}\nenrol it  `slipway ca export --format der --output slipway-ca.cer`, then in each firmware's setup"
    );
    Ok(ExitCode::SUCCESS)
}

fn write(output: &Path, bytes: &[u8], is_text: bool) -> Result<ExitCode> {
    if output.as_os_str() != "-" {
        fs::write(output, bytes).with_context(|| format!("cannot write {}", output.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = std::io::stdout();
    if out.is_terminal() && !is_text {
        bail!("these bytes are not for a terminal: `--output FILE`, or `--format pem`");
    }
    out.write_all(bytes)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_is_the_same_certificate() {
        let data = tempfile::tempdir().unwrap();
        let global = Global { data: Some(data.path().to_owned()), ..Global::default() };
        let export = |format, name: &str| {
            let output = data.path().join(name);
            run(&global, &Ca::Export(Export { format, output: output.clone() })).unwrap();
            fs::read(output).unwrap()
        };
        let (der, pem, esl) = (export(Format::Der, "a"), export(Format::Pem, "b"), export(Format::Esl, "c"));
        assert!(pem.starts_with(b"-----BEGIN CERTIFICATE-----\n"));
        assert_eq!(&esl[44..], der);
        run(&global, &Ca::Show).unwrap();
    }
}
