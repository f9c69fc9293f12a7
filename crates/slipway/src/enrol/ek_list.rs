//! `slipway ek-list`: TPMs whose machines may enrol without a person, from purchase papers or from an earlier inventory.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{self, PemObject as _};
use slipway_api::org::{EkEntry as Shown, EkList as List};
use slipway_tpm::{ChainFault, ek_of_certificate};
use slipway_trust::Digest;
use slipway_trust::record::{EkEntry, EkList};

use super::which::the_one;
use crate::cli::Global;
use crate::client::Client;
use crate::machines::print_json;
use crate::org::place::{Org, data, now_after};
use crate::org::sheet::{Kind, Sheet, Signing, settle};

/// How a certificate in PEM begins.
const PEM: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// `slipway ek-list …`
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum EkListCommand {
    /// Add TPMs, by the SHA-256 of their endorsement keys' public areas, or by their certificates
    ///
    /// A FILE is a list, one TPM a line: the digest, and if you like the machine's name and role after it; lines that begin with # do
    /// not count. Or it is an endorsement key's certificate, as it came with the machine or as `tpm2_getekcertificate` reads it from the
    /// TPM: DER, or PEM with one or many; certificates of makers beside TPMs' are passed over. Or it is what `slipway machines --json` or
    /// `slipway requests --json` printed: every TPM in it is taken, with the machine's name and role.
    Add(Add),
    /// Take TPMs out of the list; machines that came in stay
    Remove(Remove),
    /// Show the list
    Show,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Add {
    /// A digest of 64 hexadecimal digits, or a file: a list, certificates, or what our commands print
    #[arg(value_name = "SHA256|FILE", required = true)]
    what: Vec<String>,
    /// The machine's name, where there is one digest or certificate [default: one is made]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The role of machines for which none is told
    #[arg(long, value_name = "ROLE", default_value = "machine")]
    role: String,
    /// Their disks may be wiped
    #[arg(long)]
    wipe: bool,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Remove {
    /// Which: the digest or the beginning of it, or the machine's name
    #[arg(value_name = "TPM", required = true)]
    what: Vec<String>,
    #[command(flatten)]
    signing: Signing,
}

pub(crate) fn run(global: &Global, command: &EkListCommand) -> Result<ExitCode> {
    let known: List = Client::of(global).get("/org/ek-list")?;
    match command {
        EkListCommand::Add(words) => {
            let mut entries = read(&known)?;
            let mut added = Vec::new();
            for what in &words.what {
                added.extend(from(what, words)?);
            }
            if words.name.is_some() && added.len() != 1 {
                bail!("--name is one machine's, and there are {} TPMs", added.len());
            }
            entries.retain(|entry| added.iter().all(|new: &EkEntry| new.ek != entry.ek));
            entries.extend(added);
            replace(global, entries, &known.at, &words.signing)
        }
        EkListCommand::Remove(words) => {
            let mut entries = read(&known)?;
            for word in &words.what {
                let names =
                    |entry: &Shown| [Some(entry.ek.clone()), entry.name.clone()].into_iter().flatten().collect();
                let gone: Digest = the_one(word, &known.entries, "TPM", "slipway ek-list show", names)?.ek.parse()?;
                entries.retain(|entry| entry.ek != gone);
            }
            replace(global, entries, &known.at, &words.signing)
        }
        EkListCommand::Show if global.json => print_json(&known),
        EkListCommand::Show => {
            if known.entries.is_empty() {
                println!("no TPM may enrol by itself: `slipway ek-list add`");
            }
            for Shown { ek, name, role, wipe } in &known.entries {
                let wipe = if *wipe { ", its disk may be wiped" } else { "" };
                println!("{ek} {} in the role `{role}`{wipe}", name.as_deref().unwrap_or("(a name is made)"));
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn replace(global: &Global, entries: Vec<EkEntry>, before: &str, signing: &Signing) -> Result<ExitCode> {
    let org = Org::open(&data(global))?;
    settle(global, &org, Sheet::new(Kind::EkList, org.id(), &EkList { entries, at: now_after(before) }), signing)
}

fn read(known: &List) -> Result<Vec<EkEntry>> {
    let entry = |shown: &Shown| {
        let Shown { ek, name, role, wipe } = shown.clone();
        Ok(EkEntry { ek: ek.parse()?, name, role, wipe })
    };
    known.entries.iter().map(entry).collect()
}

/// The TPMs that a word of the command line means.
fn from(what: &str, words: &Add) -> Result<Vec<EkEntry>> {
    let (role, wipe) = (words.role.clone(), words.wipe);
    if let Ok(ek) = what.parse() {
        return Ok(vec![EkEntry { ek, name: words.name.clone(), role, wipe }]);
    }
    let bytes = fs::read(PathBuf::from(what))
        .with_context(|| format!("{what:?} is no digest of 64 hexadecimal digits, and cannot be read as a file"))?;
    if let Some(eks) = certified(&bytes).with_context(|| format!("in {what}"))? {
        let entry = |ek| EkEntry { ek, name: words.name.clone(), role: role.clone(), wipe };
        return Ok(eks.into_iter().map(entry).collect());
    }
    let text = String::from_utf8(bytes).ok().with_context(|| {
        format!("{what} is neither a list of digests, nor a certificate, nor what our commands print")
    })?;
    let found = match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(value) => inventory(&value, &role, wipe),
        Err(_) => lines(&text, &role, wipe).with_context(|| format!("in {what}"))?,
    };
    if found.is_empty() {
        bail!("there is no TPM in {what}");
    }
    Ok(found)
}

/// The TPMs whose certificates these bytes are: DER, or PEM. Nothing if they are something else.
fn certified(bytes: &[u8]) -> Result<Option<Vec<Digest>>> {
    let certificates: Vec<Vec<u8>> = if bytes.starts_with(&[0x30, 0x82]) {
        vec![bytes.to_vec()]
    } else if bytes.windows(PEM.len()).any(|window| window == PEM) {
        let found =
            CertificateDer::pem_slice_iter(bytes).map(|one| Ok(one?.to_vec())).collect::<Result<_, pem::Error>>();
        found.ok().context("a certificate is damaged")?
    } else {
        return Ok(None);
    };
    // The certificates above those of TPMs are often in the same file.
    let is_tpms = |read: &Result<_, ChainFault>| !matches!(read, Err(ChainFault::Usage));
    let eks = certificates.iter().map(|one| ek_of_certificate(one)).filter(is_tpms);
    let eks = eks.map(|ek| Ok(Digest(ek?.hash()))).collect::<Result<Vec<_>>>()?;
    if eks.is_empty() {
        bail!("{}", ChainFault::Usage);
    }
    Ok(Some(eks))
}

fn lines(text: &str, role: &str, wipe: bool) -> Result<Vec<EkEntry>> {
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| {
            let mut words = line.split_whitespace();
            let ek = words.next().unwrap_or_default().parse();
            let ek = ek.with_context(|| format!("line {number} does not begin with 64 hexadecimal digits"))?;
            let name = words.next().map(str::to_owned);
            Ok(EkEntry { ek, name, role: words.next().unwrap_or(role).to_owned(), wipe })
        })
        .collect()
}

/// Every object with an `ek` in what one of our commands printed.
fn inventory(value: &serde_json::Value, role: &str, wipe: bool) -> Vec<EkEntry> {
    use serde_json::Value;
    match value {
        Value::Array(list) => list.iter().flat_map(|value| inventory(value, role, wipe)).collect(),
        Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
            let own = text("ek").and_then(|ek| ek.parse().ok()).map(|ek| EkEntry {
                ek,
                name: text("name"),
                role: text("role").unwrap_or_else(|| role.to_owned()),
                wipe,
            });
            own.into_iter().chain(fields.values().flat_map(|value| inventory(value, role, wipe))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
    use slipway_tpm::{EkKind, EkPublic, Kind};

    use super::*;

    #[test]
    fn tpms_are_read_from_their_certificates_and_those_above_are_passed_over() {
        let maker = Issuer::new(CertificateParams::default(), KeyPair::generate().unwrap());
        let certify = |usage: Option<&[u64]>| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::default();
            params.extended_key_usages =
                usage.map(|oid| ExtendedKeyUsagePurpose::Other(oid.to_vec())).into_iter().collect();
            let mut public = EkKind::P256.template();
            let Kind::Ecc { x, y, .. } = &mut public.kind else { panic!("P-256 is a curve") };
            // The point, uncompressed, without its tag.
            let point = rcgen::PublicKeyData::der_bytes(&key);
            (*x, *y) = (point[1..33].to_vec(), point[33..].to_vec());
            (params.signed_by(&key, &maker).unwrap(), Digest(EkPublic::new(public).unwrap().hash()))
        };
        let ek_usage: &[u64] = &[2, 23, 133, 8, 1];
        let ((first, one), (second, two)) = (certify(Some(ek_usage)), certify(Some(ek_usage)));
        let (above, _) = certify(None);
        assert_eq!(certified(first.der()).unwrap(), Some(vec![one]));
        let bundle = format!("rack 7\n{}{}{}", first.pem(), above.pem(), second.pem());
        assert_eq!(certified(bundle.as_bytes()).unwrap(), Some(vec![one, two]));
        for (bytes, reason) in [
            (above.der().to_vec(), "usage 2.23.133.8.1 is missing"),
            (first.der()[..300].to_vec(), "cannot be read"),
            (first.pem().replace("END", "AND").into_bytes(), "damaged"),
        ] {
            let error = certified(&bytes).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        for text in [one.to_string(), "# rack 7\n".to_owned(), "{}".to_owned()] {
            assert_eq!(certified(text.as_bytes()).unwrap(), None);
        }
    }

    #[test]
    fn tpms_are_read_from_lists_and_from_what_our_commands_print() {
        let ek = |byte: u8| Digest([byte; 32]);
        let entry = |byte, name: Option<&str>, role: &str| EkEntry {
            ek: ek(byte),
            name: name.map(str::to_owned),
            role: role.to_owned(),
            wipe: true,
        };
        let list = format!("# rack 7\n{}\n\n  {} web-2 web\n{} web-3\n", ek(1), ek(2), ek(3));
        assert_eq!(
            lines(&list, "machine", true).unwrap(),
            [entry(1, None, "machine"), entry(2, Some("web-2"), "web"), entry(3, Some("web-3"), "machine")]
        );
        let error = lines("# x\nweb-1 00", "machine", true).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
        let json = serde_json::json!({ "org": { "machines": [
            { "name": "web-1", "role": "web", "ek": ek(4).to_string() },
            { "name": "no-tpm", "role": "web" },
        ] } });
        assert_eq!(inventory(&json, "machine", true), [entry(4, Some("web-1"), "web")]);
    }
}
