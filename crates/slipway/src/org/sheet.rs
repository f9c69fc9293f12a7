//! What is to be signed, as a file: it goes from hand to hand, gathers signatures, and is handed in at the end.
//!
//! Whoever signs needs nothing but this file and his key, so a machine without a network will do, and a hardware token, too: `slipway org
//! bytes` says what to sign, `slipway org attach` puts the signature in.

use core::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde_json::json;
use slipway_api::org::{Submit, Submitted};
pub(crate) use slipway_trust::desk::Kind;
use slipway_trust::keyfile::{KeyFile, Kind as KeyKind, PrivateKey};
use slipway_trust::seal::{Bound, signed_bytes};
use slipway_trust::{Kid, OrgId, PublicKey, Signed};

use super::place::{Org, data, private_key, replace};
use super::told;
use crate::cli::Global;
use crate::client::Client;
use crate::machines::print_json;

/// How an act of an admin is signed.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Signing")]
pub(crate) struct Signing {
    /// The private key to sign with [default: admin.key in ~/.config/slipway/org/ORG]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Write what is signed into a file instead of handing it in: for the signature of another admin (`slipway org cosign`)
    #[arg(long, value_name = "FILE")]
    pub(crate) sheet: Option<PathBuf>,
    /// Do not sign: every signature comes from elsewhere, such as a hardware token (`slipway org bytes`)
    #[arg(long, requires = "sheet", conflicts_with = "key")]
    pub(crate) unsigned: bool,
}

/// Whose signature on it counts.
const fn signs(kind: Kind) -> KeyKind {
    match kind {
        Kind::Manifest => KeyKind::Root,
        _ => KeyKind::Admin,
    }
}

/// A record with the signatures that it has so far.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Sheet {
    pub(crate) kind: Kind,
    pub(crate) org: OrgId,
    pub(crate) signed: Signed,
}

const HEAD: &str = "slipway-record 1";

impl Sheet {
    /// A record that nobody has signed yet.
    pub(crate) fn new<T: minicbor::Encode<()>>(kind: Kind, org: OrgId, record: &T) -> Self {
        Self { kind, org, signed: Signed::unsigned(slipway_trust::encode(record)) }
    }

    /// What is signed.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        signed_bytes(self.kind.domain(), Bound::Org(&self.org), &self.signed.payload)
    }

    /// Adds a signature.
    pub(crate) fn sign(&mut self, key: &PrivateKey) {
        self.signed.attach(key.public().kid(), key.sign(&self.bytes()));
    }

    /// Those of these keys that have signed it.
    pub(crate) fn signers<'k>(&self, keys: &'k [PublicKey]) -> Vec<&'k PublicKey> {
        self.signed.signers(self.kind.domain(), Bound::Org(&self.org), keys)
    }

    /// How many signatures it needs.
    pub(crate) fn needed(&self, org: &Org) -> usize {
        self.kind.needed(&self.signed, org.manifest.admins.threshold)
    }

    fn render(&self) -> String {
        let mut text = String::from(
            "# Read it with `slipway org cosign FILE`, which signs it; `slipway org submit FILE` hands it in.\n",
        );
        told::lines(self).iter().for_each(|line| _ = writeln!(text, "# {line}"));
        let (kind, record) = (self.kind.name(), HEXLOWER.encode(&slipway_trust::encode(&self.signed)));
        let _ = writeln!(text, "{HEAD}\nkind: {kind}\norg: {}\nrecord: {record}", self.org);
        text
    }

    /// Writes it into a file that goes from hand to hand.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        replace(file, 0o644, self.render().as_bytes())
    }

    /// Reads a file. Nothing of it but the record counts: what stands beside it for people is made anew.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let shown = file.display();
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        if lines.next() != Some(HEAD) {
            bail!("{shown} is no record to be signed: such a file is made by `--sheet FILE`");
        }
        let fields: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
        let field = |name: &str| fields.iter().find(|(key, _)| *key == name).map(|(_, value)| value.trim());
        let damaged = || format!("{shown} is damaged: make it anew, or have it sent again");
        let kind = field("kind").and_then(|name| Kind::ALL.into_iter().find(|kind| kind.name() == name));
        let kind = kind.with_context(|| format!("{shown} is of a kind that this version does not know"))?;
        let org = field("org").and_then(|org| org.parse().ok()).with_context(damaged)?;
        let record =
            field("record").and_then(|text| HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()).with_context(damaged)?;
        let signed = slipway_trust::decode(&record).ok().with_context(damaged)?;
        Ok(Self { kind, org, signed })
    }
}

/// Signs a record of this org and hands it in, or writes it into a file, as the command line says.
pub(crate) fn settle(global: &Global, org: &Org, sheet: Sheet, signing: &Signing) -> Result<ExitCode> {
    let sheet = complete(org, sheet, signing)?;
    match &signing.sheet {
        Some(file) => put_aside(global, &sheet, org, file),
        None => hand_in(global, org, &sheet),
    }
}

/// Signs a record, as the command line says. What is not to be put aside must have all the signatures that it needs.
pub(crate) fn complete(org: &Org, mut sheet: Sheet, signing: &Signing) -> Result<Sheet> {
    if !signing.unsigned {
        sheet.sign(&private_key(signing.key.as_deref(), signs(sheet.kind), org)?);
    }
    if signing.sheet.is_none() {
        let (count, needed) = (sheet.signers(keys_that_count(sheet.kind, org)).len(), sheet.needed(org));
        if count == 0 {
            bail!("this key is none of the org's: `slipway org show` lists those that are; `--key FILE` names another");
        }
        if count < needed {
            bail!(
                "{needed} admins must sign this: add `--sheet FILE`, have them sign it (`slipway org cosign FILE`), then `slipway org \
                 submit FILE`"
            );
        }
    }
    Ok(sheet)
}

/// The short name of the admin who signs; zeros if the signature comes from elsewhere.
pub(crate) fn signer(signing: &Signing, org: &Org) -> Result<Kid> {
    if signing.unsigned {
        return Ok(Kid([0; 8]));
    }
    Ok(private_key(signing.key.as_deref(), KeyKind::Admin, org)?.public().kid())
}

fn keys_that_count(kind: Kind, org: &Org) -> &[PublicKey] {
    match signs(kind) {
        KeyKind::Root => core::slice::from_ref(&org.root),
        _ => &org.manifest.admins.keys,
    }
}

/// Writes a record into a file that goes from hand to hand, and says so.
pub(crate) fn put_aside(global: &Global, sheet: &Sheet, org: &Org, file: &Path) -> Result<ExitCode> {
    sheet.write(file)?;
    let signers = sheet.signers(keys_that_count(sheet.kind, org));
    let kids: Vec<String> = signers.iter().map(|key| key.kid().to_string()).collect();
    let shown = file.display();
    if global.json {
        return print_json(&json!({ "sheet": shown.to_string(), "kind": sheet.kind.name(), "signed_by": kids }));
    }
    told::lines(sheet).iter().for_each(|line| println!("{line}"));
    println!("signed by {}", if kids.is_empty() { "nobody yet".to_owned() } else { kids.join(", ") });
    println!("written to {shown}; next: `slipway org cosign {shown}` by others, then `slipway org submit {shown}`");
    Ok(ExitCode::SUCCESS)
}

/// Hands a record in. The org's manifest can be put in place without a server, too: it is read at the start.
pub(crate) fn hand_in(global: &Global, org: &Org, sheet: &Sheet) -> Result<ExitCode> {
    let submitted = submit(global, org, sheet)?;
    if global.json {
        return print_json(&submitted);
    }
    println!("{}", submitted.summary);
    Ok(ExitCode::SUCCESS)
}

/// Hands a record in, and says what came of it.
pub(crate) fn submit(global: &Global, org: &Org, sheet: &Sheet) -> Result<Submitted> {
    let client = Client::of(global);
    if sheet.kind == Kind::Manifest && !client.is_running()? {
        let manifest = slipway_trust::OrgManifest::open(&sheet.signed, &org.root, org.manifest.epoch)?;
        org.install(&sheet.signed)?;
        return Ok(Submitted {
            event: "manifest-installed".to_owned(),
            subject: format!("epoch {}", manifest.epoch),
            summary: format!("the manifest has epoch {} now; no server runs, the next one takes it", manifest.epoch),
        });
    }
    let record = HEXLOWER.encode(&slipway_trust::encode(&sheet.signed));
    client.send("/org/records", &Submit { kind: sheet.kind.name().to_owned(), record })
}

/// `slipway org cosign`
#[derive(Args, Clone, Debug)]
pub(crate) struct Cosign {
    /// The file, as `--sheet` made it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The private key to sign with [default: admin.key or root.key in ~/.config/slipway/org/ORG]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Sign without asking
    #[arg(long)]
    yes: bool,
}

pub(crate) fn cosign(global: &Global, words: &Cosign) -> Result<ExitCode> {
    let mut sheet = Sheet::read(&words.file)?;
    let kind = signs(sheet.kind);
    let path = match &words.key {
        Some(path) => path.clone(),
        None => super::place::keys_folder(&Org::open(&data(global))?.manifest.name)?.join(kind.file()),
    };
    let key = super::place::read_key(&path, kind)?;
    if key.org.is_some_and(|org| org != sheet.org) {
        bail!("{} is a key of another org", path.display());
    }
    let Some(private) = key.private else { bail!("{} has no private key in it", path.display()) };
    if !global.json {
        told::lines(&sheet).iter().for_each(|line| println!("{line}"));
    }
    if !words.yes && !crate::ask::agreed("sign this?")? {
        bail!("not signed");
    }
    sheet.sign(&private);
    sheet.write(&words.file)?;
    let (kid, count) = (private.public().kid(), sheet.signed.signatures.len());
    if global.json {
        return print_json(
            &json!({ "sheet": words.file.display().to_string(), "signed_by": kid.to_string(), "signatures": count }),
        );
    }
    println!("signed by {kid}; it has {count} signature{} now", if count == 1 { "" } else { "s" });
    Ok(ExitCode::SUCCESS)
}

/// `slipway org bytes`
#[derive(Args, Clone, Debug)]
pub(crate) struct Bytes {
    /// The file, as `--sheet` made it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write the bytes themselves into this file, instead of printing them in hexadecimal digits
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn print_bytes(words: &Bytes) -> Result<ExitCode> {
    let message = Sheet::read(&words.file)?.bytes();
    match &words.output {
        Some(file) => replace(file, 0o644, &message)?,
        None => println!("{}", HEXLOWER.encode(&message)),
    }
    Ok(ExitCode::SUCCESS)
}

/// `slipway org attach`
#[derive(Args, Clone, Debug)]
pub(crate) struct Attach {
    /// The file, as `--sheet` made it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The public key whose signature it is: a file, or text such as ed25519:…
    #[arg(long, value_name = "KEY")]
    public: String,
    /// The signature: 128 hexadecimal digits
    #[arg(long, value_name = "HEX")]
    signature: String,
}

pub(crate) fn attach(global: &Global, words: &Attach) -> Result<ExitCode> {
    let mut sheet = Sheet::read(&words.file)?;
    let key = public_key(&words.public, signs(sheet.kind))?;
    let signature = slipway_trust::id::bytes_of_hex::<64>(words.signature.trim());
    let signature = signature.context("a signature is 128 hexadecimal digits")?;
    if !key.verifies(&sheet.bytes(), &signature) {
        bail!("that is not this key's signature of what `slipway org bytes {}` prints", words.file.display());
    }
    sheet.signed.attach(key.kid(), signature);
    sheet.write(&words.file)?;
    if global.json {
        return print_json(&json!({ "sheet": words.file.display().to_string(), "signed_by": key.kid().to_string() }));
    }
    println!("the signature by {} is valid, and in {}", key.kid(), words.file.display());
    Ok(ExitCode::SUCCESS)
}

/// A public key, as text or in a file.
pub(crate) fn public_key(text: &str, kind: KeyKind) -> Result<PublicKey> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let path = Path::new(text);
    if !path.exists() {
        bail!("{text:?} is neither a public key (ed25519:…) nor a file with one");
    }
    let content = zeroize::Zeroizing::new(fs::read_to_string(path).with_context(|| format!("cannot read {text}"))?);
    let file: KeyFile = content.parse().with_context(|| format!("{text} is no usable key"))?;
    if file.kind != kind {
        bail!("{text} is the {} key, the {kind} key is needed here", file.kind);
    }
    Ok(file.public)
}

/// `slipway org submit`
#[derive(Args, Clone, Debug)]
pub(crate) struct SubmitFile {
    /// The file, with all signatures that it needs
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(crate) fn submit_file(global: &Global, words: &SubmitFile) -> Result<ExitCode> {
    let (sheet, org) = (Sheet::read(&words.file)?, Org::open(&data(global))?);
    if sheet.org != org.id() {
        bail!("{} is for another org than {}", words.file.display(), org.manifest.name);
    }
    hand_in(global, &org, &sheet)
}
