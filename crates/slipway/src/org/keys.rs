//! `slipway org key`: keys of one's own, for admins, build hosts and servers that join later.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use slipway_trust::OrgId;
use slipway_trust::keyfile::{KeyFile, Kind};

use super::place::{create, make_folder, new_key};
use crate::cli::Global;
use crate::machines::print_json;

/// `slipway org key …`
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Key {
    /// Make a key, on the machine of whoever will hold it; the org's root then adds its public half
    New(New),
    /// Split the escrow key into parts for several persons, of whom some must come together to use it
    Split(super::parts::Split),
    /// Show what a key file is, without what is secret in it
    Show {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct New {
    /// What it is for
    #[arg(value_enum)]
    kind: KindWord,
    /// Where to write the private key; the public half goes beside it, with .pub behind its name
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// The org that it is for, as `slipway org show` tells: 32 digits
    #[arg(long, value_name = "ID")]
    org: Option<OrgId>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum KindWord {
    /// A person's
    Admin,
    /// A build host's, for what machines may run
    Image,
    /// A build host's, for what TPMs unseal to
    PcrPolicy,
    /// A server's
    Enroller,
    /// Persons', for disks whose TPM is lost
    Escrow,
}

pub(crate) fn run(global: &Global, command: &Key) -> Result<ExitCode> {
    match command {
        Key::New(words) => new(global, words),
        Key::Split(words) => super::parts::run(global, words),
        Key::Show { file } => {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            let text = zeroize::Zeroizing::new(text);
            let key: KeyFile = text.parse().with_context(|| format!("{} is no usable key", file.display()))?;
            told(global, &key, file)
        }
    }
}

fn new(global: &Global, words: &New) -> Result<ExitCode> {
    let kind = match words.kind {
        KindWord::Admin => Kind::Admin,
        KindWord::Image => Kind::Image,
        KindWord::PcrPolicy => Kind::PcrPolicy,
        KindWord::Enroller => Kind::Enroller,
        KindWord::Escrow => Kind::Escrow,
    };
    let public = beside(&words.output);
    if let Some(taken) = [&words.output, &public].into_iter().find(|path| path.exists()) {
        bail!("{} exists already, and is never replaced", taken.display());
    }
    let folder = words.output.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.filter(|folder| !folder.exists()).map_or(Ok(()), make_folder)?;
    let key = KeyFile::new(kind, words.org, new_key(kind)?);
    let whose = words.org.map_or_else(|| "an org".to_owned(), |org| format!("the org {org}"));
    create(&words.output, 0o600, key.render(&whose).as_bytes())?;
    create(&public, 0o644, key.public_half().render(&whose).as_bytes())?;
    told(global, &key, &words.output)?;
    if !global.json {
        let command = match kind {
            Kind::Image => "image-key add",
            Kind::Enroller => "enroller add",
            Kind::PcrPolicy => "policy --pcr-policy-key",
            Kind::Escrow => "policy --escrow-key",
            Kind::Admin | Kind::Root => "admin add",
        };
        println!("next    where the root's key is: `slipway org {command} {}`", key.public);
    }
    Ok(ExitCode::SUCCESS)
}

/// The same name with `.pub` behind it.
fn beside(file: &std::path::Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

fn told(global: &Global, key: &KeyFile, file: &std::path::Path) -> Result<ExitCode> {
    let (kid, org) = (key.public.kid().to_string(), key.org.map(|org| org.to_string()));
    if global.json {
        return print_json(&json!({
            "kind": key.kind.name(), "kid": kid, "public": key.public.to_string(), "org": org,
            "private": key.private.is_some(), "file": file.display().to_string(),
        }));
    }
    let half = if key.private.is_some() { "private key and its public half" } else { "public half alone" };
    println!("kind    {} ({half})\nname    {kid}\npublic  {}", key.kind, key.public);
    org.iter().for_each(|org| println!("org     {org}"));
    println!("file    {}", file.display());
    Ok(ExitCode::SUCCESS)
}
