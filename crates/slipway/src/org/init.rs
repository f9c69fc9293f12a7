//! `slipway org init`: the keys of an org, its first manifest, its machine CA.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use serde_json::json;
use slipway_server::privileges::keep_owner;
use slipway_trust::keyfile::{KeyFile, Kind, PrivateKey, place};
use slipway_trust::org::{Policy, Signers};
use slipway_trust::seal::{Bound, signed_bytes};
use slipway_trust::{Assurance, Digest, Domain, OrgId, OrgManifest, Signed, Time};

use super::place::{Org, create, data, keys_folder, make_folder, new_key, now, random};
use super::words::gateway;
use crate::cli::Global;
use crate::machines::print_json;

/// `slipway org init`
#[derive(Args, Clone, Debug)]
pub(crate) struct Init {
    /// What people call the org: letters, digits, '.', '_', '-'
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// Folder for the private keys of persons and of the build host [default: ~/.config/slipway/org/NAME]
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Where machines reach this server's trust plane; may be repeated, the first is tried first
    #[arg(long, value_name = "IP[:PORT]", value_parser = gateway)]
    gateway: Vec<String>,
}

fn name(text: &str) -> Result<String, String> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    let starts = text.starts_with(|first: char| first.is_ascii_alphanumeric());
    if !starts || text.len() > 63 || !text.chars().all(allowed) {
        return Err(
            "a name has 1 to 63 letters, digits, '.', '_' and '-', and begins with a letter or digit".to_owned()
        );
    }
    Ok(text.to_owned())
}

/// The kinds of keys that persons and build hosts hold, with what is to become of each.
const HELD: [(Kind, &str); 5] = [
    (
        Kind::Root,
        "MOVE IT OFFLINE NOW: onto two USB sticks in two safes. It signs manifests, a few times in its life; who has it \
         has the org, and lost it cannot be replaced",
    ),
    (Kind::Admin, "yours: it opens windows, makes invites, approves and revokes machines"),
    (Kind::Image, "for the build host: it says what machines may run"),
    (Kind::PcrPolicy, "for the build host: it says what TPMs unseal disks to"),
    (
        Kind::Escrow,
        "MOVE IT OFFLINE, TOO: it opens disks whose TPM is lost. `slipway org key split` makes parts of it for several \
         persons",
    ),
];

pub(crate) fn run(global: &Global, words: &Init) -> Result<ExitCode> {
    let data = data(global);
    let folder = words.keys.clone().map_or_else(|| keys_folder(&words.name), Ok)?;
    if data.join(place::FOLDER).exists() {
        bail!(
            "{} belongs to an org already (`slipway org show`): a server has one; `--data DIR` names another data folder",
            data.display()
        );
    }
    let taken: Vec<String> =
        HELD.iter().map(|(kind, _)| kind.file()).filter(|file| folder.join(file).exists()).collect();
    if !taken.is_empty() {
        bail!("{} has keys already ({}): name another folder with `--keys DIR`", folder.display(), taken.join(", "));
    }
    let born = Born::new(&words.name, &words.gateway, now())?;
    fs::create_dir_all(&data).with_context(|| format!("cannot make the folder {}", data.display()))?;
    born.write_keys(&folder)?;
    if let Err(error) = born.write_server(&data) {
        // Keys of an org that nobody knows would only be in the way of the next attempt.
        HELD.iter().for_each(|(kind, _)| drop(fs::remove_file(folder.join(kind.file()))));
        return Err(error);
    }
    tell(global, &Org::open(&data)?, &folder)
}

/// An org that was just made, in memory.
struct Born {
    name: String,
    keys: Vec<KeyFile>,
    ca_key: KeyPair,
    ca: rcgen::Certificate,
    manifest: Signed,
}

impl Born {
    fn new(name: &str, gateways: &[String], now: Time) -> Result<Self> {
        let root = new_key(Kind::Root)?;
        let id = OrgId::of(&root.public());
        let pair = |kind| new_key(kind).map(|key| (kind, key));
        let (admin, image) = (pair(Kind::Admin)?, pair(Kind::Image)?);
        let (pcr_policy, enroller) = (pair(Kind::PcrPolicy)?, pair(Kind::Enroller)?);
        let escrow = pair(Kind::Escrow)?;
        let ca_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("cannot make the machine CA's key")?;
        let ca = certificate(name, &ca_key, now).context("cannot make the machine CA's certificate")?;
        let one = |key: &PrivateKey| Signers { threshold: 1, keys: vec![key.public()] };
        let manifest = OrgManifest {
            org: id,
            epoch: 1,
            name: name.to_owned(),
            admins: one(&admin.1),
            images: one(&image.1),
            enrollers: vec![enroller.1.public()],
            ca_certificate: ca.der().to_vec(),
            ca_spki: Digest::of(&ca_key.subject_public_key_info()),
            pcr_policy: Some(pcr_policy.1.public()),
            gateways: gateways.to_vec(),
            floors: Vec::new(),
            policy: Policy { min_assurance: Assurance::Invited, ..Policy::default() },
            created: now,
            escrow: Some(escrow.1.public()),
        };
        let mut signed = Signed::unsigned(slipway_trust::encode(&manifest));
        let bytes = signed_bytes(Domain::OrgManifest, Bound::Org(&id), &signed.payload);
        signed.attach(root.public().kid(), root.sign(&bytes));
        let keys = [(Kind::Root, root), admin, image, pcr_policy, enroller, escrow];
        let keys = keys.into_iter().map(|(kind, key)| KeyFile::new(kind, Some(id), key)).collect();
        Ok(Self { name: name.to_owned(), keys, ca_key, ca, manifest: signed })
    }

    fn text(&self, key: &KeyFile) -> zeroize::Zeroizing<String> {
        key.render(&format!("the org {}", self.name))
    }

    /// The keys of persons and of the build host.
    fn write_keys(&self, folder: &Path) -> Result<()> {
        make_folder(folder)?;
        for key in self.keys.iter().filter(|key| key.kind != Kind::Enroller) {
            create(&folder.join(key.kind.file()), 0o600, self.text(key).as_bytes())?;
        }
        Ok(())
    }

    /// The server's part: made beside its place, which it takes by one rename.
    fn write_server(&self, data: &Path) -> Result<()> {
        let beside = data.join(format!("{}.{}.new", place::FOLDER, std::process::id()));
        let result = self.write_beside(data, &beside);
        if result.is_err() {
            let _ = fs::remove_dir_all(&beside);
        }
        result
    }

    fn write_beside(&self, data: &Path, beside: &Path) -> Result<()> {
        let at = || format!("cannot make {}", beside.display());
        DirBuilder::new().mode(0o755).create(beside).with_context(at)?;
        for key in &self.keys {
            match key.kind {
                Kind::Enroller => create(&beside.join(place::ENROLLER), 0o600, self.text(key).as_bytes())?,
                Kind::Root => {
                    create(&beside.join(place::ROOT), 0o644, self.text(&key.public_half()).as_bytes())?;
                }
                Kind::Admin | Kind::Image | Kind::PcrPolicy | Kind::Escrow => {}
            }
        }
        let pem = zeroize::Zeroizing::new(self.ca_key.serialize_pem());
        create(&beside.join(place::CA_KEY), 0o600, pem.as_bytes())?;
        create(&beside.join(place::CA), 0o644, self.ca.pem().as_bytes())?;
        create(&beside.join(place::MANIFEST), 0o644, &slipway_trust::encode(&self.manifest))?;
        keep_owner(data, beside).with_context(|| format!("cannot give {} to its owner", beside.display()))?;
        File::open(beside).and_then(|folder| folder.sync_all()).with_context(at)?;
        let folder = data.join(place::FOLDER);
        fs::rename(beside, &folder).with_context(|| format!("cannot make {}", folder.display()))?;
        File::open(data).and_then(|data| data.sync_all()).with_context(|| format!("cannot write {}", data.display()))
    }
}

/// The machine CA: P-256, ten years, at most one CA below it (an enroller's intermediate). Part of its key's digest is in its name.
fn certificate(org: &str, key: &KeyPair, now: Time) -> Result<rcgen::Certificate> {
    let mut params = CertificateParams::new(Vec::new())?;
    let mark: String = Digest::of(&key.subject_public_key_info()).to_string().chars().take(8).collect();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, format!("Slipway machine CA {org} {mark}"));
    params.distinguished_name = subject;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(random::<16>()?.to_vec().into());
    // A clock that is a day behind must not refuse it.
    let day = jiff::Timestamp::from_second(i64::try_from(now.0)?)?.to_zoned(jiff::tz::TimeZone::UTC).date();
    let (from, until) = (day.yesterday()?, day.checked_add(jiff::Span::new().years(10))?);
    let date = |date: jiff::civil::Date| -> Result<_> {
        let (month, day) = (u8::try_from(date.month())?, u8::try_from(date.day())?);
        Ok(rcgen::date_time_ymd(i32::from(date.year()), month, day))
    };
    (params.not_before, params.not_after) = (date(from)?, date(until)?);
    Ok(params.self_signed(key)?)
}

fn tell(global: &Global, org: &Org, folder: &Path) -> Result<ExitCode> {
    let server = org.data.join(place::FOLDER);
    if global.json {
        return print_json(&json!({
            "org": super::show::shown(org),
            "keys": folder.display().to_string(),
            "server": server.display().to_string(),
        }));
    }
    print!("{}", super::show::told(org));
    println!("\nprivate keys, in {}:", folder.display());
    for (kind, advice) in HELD {
        println!("  {:<15} {advice}", kind.file());
    }
    println!("\nthe server's part, in {}: keep it in the backup of the data folder", server.display());
    if org.manifest.gateways.is_empty() {
        println!(
            "machines look for the gateway at the server that booted them; `slipway org gateway add IP` says another"
        );
    }
    println!(
        "next: `slipway reload` or start the server, `slipway image build bootstrap`, `slipway window open` (docs/org.md)"
    );
    Ok(ExitCode::SUCCESS)
}
