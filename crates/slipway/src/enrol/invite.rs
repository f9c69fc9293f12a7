//! `slipway invite`: the right to ask, or to be let in.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{Table, presets};
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use serde_json::json;
use slipway_api::org::{Invite as Shown, Invites};
use slipway_trust::invite::{ApprovalMode, Invite, Kind as InviteKind, Match, Token};
use slipway_trust::record::InviteRevoke;
use slipway_trust::{Arch, Assurance, Digest, InviteId};

use super::which::the_one;
use crate::cli::Global;
use crate::client::Client;
use crate::machines::print_json;
use crate::org::place::{Org, create, data, now, random};
use crate::org::sheet::{Kind, Sheet, Signing, complete, put_aside, settle, signer, submit};
use crate::org::words::{cidr, mac, seconds};

/// `slipway invite …`
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum InviteCommand {
    /// Make an invite, and print its token: once, here, and never again
    ///
    /// The org keeps the public half alone: a token that is lost is made anew, and one that is stolen is revoked.
    Create(Box<Create>),
    /// List the invites
    List,
    /// Show one
    Show {
        /// Which: its label, its id or the beginning of it
        #[arg(value_name = "INVITE")]
        invite: String,
    },
    /// Revoke one; machines that came in by it stay
    Revoke {
        /// Which: its label, its id or the beginning of it
        #[arg(value_name = "INVITE")]
        invite: String,
        #[command(flatten)]
        signing: Signing,
    },
}

/// `slipway invite create`
#[derive(Args, Clone, Debug)]
pub(crate) struct Create {
    /// What people call it: lists and machines' consoles show it
    #[arg(long, value_name = "TEXT", default_value = "invite")]
    label: String,
    /// What kind it is
    #[arg(long, value_enum, default_value_t = KindWord::Secret)]
    kind: KindWord,
    /// How many machines it lets in
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    uses: u32,
    /// How long it holds, such as 2h or 7d; 30 days at most, a cloud invite 24 hours [default: 24h, a cloud invite 15m]
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    span: Option<u64>,
    /// The role that machines get: they run the generation of that name, or the only one that there is
    #[arg(long, value_name = "ROLE", default_value = "machine")]
    role: String,
    /// Who decides on a machine that comes with it [default: manual, for a cloud invite auto]
    #[arg(long, value_enum)]
    approval: Option<ApprovalWord>,
    /// The least that must be known of a machine: claimed, invited, approved, vtpm, tpm, tpm-chain or tpm-boot
    #[arg(long, value_name = "ASSURANCE", default_value = "claimed")]
    min_assurance: Assurance,
    /// The machine's disk may be wiped
    #[arg(long)]
    wipe: bool,
    #[command(flatten)]
    only: Only,
    /// An open invite lets machines in by their TPM's maker alone: whoever is on the LAN with such a TPM comes in
    #[arg(long)]
    i_trust_this_lan: bool,
    /// What machines claim of themselves is enough: anybody can claim it; their role gets no secret
    #[arg(long)]
    insecure_match: bool,
    /// Write the token into this file, readable by you alone, instead of printing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Show the token as a QR code, too
    #[arg(long)]
    qr: bool,
    #[command(flatten)]
    signing: Signing,
}

/// Which machines an invite is for.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Only machines with (each may be repeated)")]
pub(crate) struct Only {
    /// this MAC address; anybody can claim one
    #[arg(long, value_name = "MAC", value_parser = mac)]
    mac: Vec<String>,
    /// this SMBIOS UUID; anybody can claim one
    #[arg(long, value_name = "UUID")]
    uuid: Vec<String>,
    /// this serial number; anybody can claim one
    #[arg(long, value_name = "TEXT")]
    serial: Vec<String>,
    /// this TPM: SHA-256 of its endorsement key's public area; it is proved
    #[arg(long, value_name = "SHA256")]
    ek: Vec<Digest>,
    /// an address of this network
    #[arg(long, value_name = "NETWORK", value_parser = cidr)]
    cidr: Vec<String>,
    /// this processor: x64 or arm64
    #[arg(long, value_name = "ARCH")]
    arch: Vec<Arch>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum KindWord {
    /// Public, as in a netboot image: no more than the right to ask
    Open,
    /// Given out of band: a USB stick, a QR code, typed
    Secret,
    /// In a virtual machine's user-data, where its provider can read it; one use, 15 minutes
    Cloud,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum ApprovalWord {
    /// A person, who compares six words
    Manual,
    /// The invite is enough
    #[value(alias = "automatic")]
    Auto,
}

pub(crate) fn run(global: &Global, command: &InviteCommand) -> Result<ExitCode> {
    match command {
        InviteCommand::Create(words) => make(global, words),
        InviteCommand::List => list(global),
        InviteCommand::Show { invite } => show(global, invite),
        InviteCommand::Revoke { invite, signing } => {
            let org = Org::open(&data(global))?;
            let known: Invites = Client::of(global).get("/org/invites")?;
            let record = InviteRevoke { invite: found(invite, &known)?.id.parse()?, at: now() };
            settle(global, &org, Sheet::new(Kind::InviteRevoke, org.id(), &record), signing)
        }
    }
}

/// Fifteen minutes, in seconds.
const CLOUD: u64 = 15 * 60;
/// A day, in seconds.
const DAY: u64 = 24 * 3600;

fn invite(words: &Create, org: &Org) -> Result<(Invite, Option<Token>)> {
    let (kind, usual, decides) = match words.kind {
        KindWord::Open => (InviteKind::Open, DAY, ApprovalMode::Manual),
        KindWord::Secret => (InviteKind::Secret, DAY, ApprovalMode::Manual),
        KindWord::Cloud => (InviteKind::Cloud, CLOUD, ApprovalMode::Automatic),
    };
    let approval = match words.approval {
        Some(ApprovalWord::Manual) => ApprovalMode::Manual,
        Some(ApprovalWord::Auto) => ApprovalMode::Automatic,
        None => decides,
    };
    let (id, not_before) = (InviteId(random()?), now());
    let token = match kind {
        InviteKind::Open => None,
        _ => Some(Token::new(org.id(), id, random()?, org.manifest.ca_spki)),
    };
    let Only { mac, uuid, serial, ek, cidr, arch } = words.only.clone();
    let uuid = uuid.iter().map(|uuid| uuid.to_ascii_lowercase()).collect();
    let invite = Invite {
        id,
        label: words.label.clone(),
        key: token.as_ref().map(|token| token.key().public()),
        kind,
        max_uses: words.uses,
        not_before,
        expires: not_before.plus(words.span.unwrap_or(usual)),
        role: words.role.clone(),
        only: Match { mac, uuid, serial, ek, cidr, arch },
        approval,
        min_assurance: words.min_assurance,
        wipe: words.wipe,
        created_by: signer(&words.signing, org)?,
        trusts_lan: words.i_trust_this_lan,
        insecure_match: words.insecure_match,
    };
    invite.check()?;
    Ok((invite, token))
}

fn make(global: &Global, words: &Create) -> Result<ExitCode> {
    let org = Org::open(&data(global))?;
    let (invite, token) = invite(words, &org)?;
    if let Some(file) = words.out.as_ref().filter(|file| file.exists()) {
        bail!("{} exists already, and is never replaced", file.display());
    }
    if words.signing.sheet.is_some() && words.out.is_none() && token.is_some() {
        bail!(
            "nobody may use the token before every admin has signed: say where it is kept until then with `--out FILE`"
        );
    }
    let text = token.as_ref().map(|token| zeroize::Zeroizing::new(token.reveal()));
    let sheet = complete(&org, Sheet::new(Kind::Invite, org.id(), &invite), &words.signing)?;
    if let (Some(file), Some(text)) = (&words.out, &text) {
        // Before it is handed in: an invite whose token could not be kept would be of no use to anybody.
        create(file, 0o600, zeroize::Zeroizing::new(format!("{}\n", text.as_str())).as_bytes())?;
    }
    if let Some(file) = &words.signing.sheet {
        return put_aside(global, &sheet, &org, file);
    }
    let submitted = submit(global, &org, &sheet).inspect_err(|_| {
        words.out.iter().for_each(|file| drop(std::fs::remove_file(file)));
    })?;
    let printed = text.filter(|_| words.out.is_none());
    let (id, expires) = (invite.id.to_string(), crate::org::show::time(invite.expires));
    if global.json {
        let token = printed.as_ref().map(|text| text.as_str());
        return print_json(&json!({ "id": id, "label": invite.label, "expires": expires, "token": token }));
    }
    eprintln!("{} (invite {id}, until {expires})", submitted.summary);
    if let Some(text) = printed {
        println!("{}", text.as_str());
    }
    if let (Some(token), true) = (&token, words.qr) {
        eprintln!("{}", picture(&token.reveal())?);
    }
    Ok(ExitCode::SUCCESS)
}

/// The token as a QR code, in half blocks. In capital letters, which a QR code packs closer; a token is read either way.
fn picture(token: &str) -> Result<String> {
    let capitals = zeroize::Zeroizing::new(token.to_ascii_uppercase());
    let code =
        QrCode::with_error_correction_level(capitals.as_bytes(), EcLevel::L).context("the token fits no QR code")?;
    Ok(code.render::<Dense1x2>().build())
}

fn found<'a>(word: &str, known: &'a Invites) -> Result<&'a Shown> {
    // Of several with that label, one that still holds is meant.
    let mut valid = known.invites.iter().filter(|invite| invite.label == word && invite.state == "valid");
    if let (Some(one), None) = (valid.next(), valid.next()) {
        return Ok(one);
    }
    let names = |invite: &Shown| vec![invite.id.clone(), invite.label.clone()];
    the_one(word, &known.invites, "invite", "slipway invite list", names)
}

fn list(global: &Global) -> Result<ExitCode> {
    let known: Invites = Client::of(global).get("/org/invites")?;
    if global.json {
        return print_json(&known);
    }
    println!("{}", table(&known.invites));
    Ok(ExitCode::SUCCESS)
}

fn table(invites: &[Shown]) -> String {
    if invites.is_empty() {
        return "there is no invite: `slipway invite create` makes one".to_owned();
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).force_no_tty();
    table.set_header(["INVITE", "LABEL", "KIND", "APPROVAL", "USES", "ROLE", "UNTIL", "STATE"]);
    for invite in invites {
        table.add_row([
            invite.id.clone(),
            invite.label.clone(),
            invite.kind.clone(),
            invite.approval.clone(),
            format!("{} of {}", invite.uses, invite.max_uses),
            invite.role.clone(),
            invite.expires.clone(),
            invite.state.clone(),
        ]);
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

fn show(global: &Global, word: &str) -> Result<ExitCode> {
    let known: Invites = Client::of(global).get("/org/invites")?;
    let invite = found(word, &known)?;
    if global.json {
        return print_json(invite);
    }
    let Shown {
        id,
        label,
        kind,
        approval,
        uses,
        max_uses,
        not_before,
        expires,
        role,
        min_assurance,
        only,
        wipe,
        created_by,
        state,
    } = invite;
    println!("invite     {id} `{label}`, {state}\nkind       {kind}, {approval} approval");
    println!("uses       {uses} of {max_uses}\nvalid      {not_before} to {expires}");
    println!("machines   in the role `{role}`, known at least by `{min_assurance}`");
    only.iter().for_each(|line| println!("only       {line}"));
    println!("disks      {}", if *wipe { "may be wiped" } else { "are not wiped" });
    println!("made by    admin {created_by}");
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_picture_that_fits_a_terminal() {
        let token = Token::new(slipway_trust::OrgId([1; 16]), InviteId([2; 8]), [3; 32], Digest([4; 32]));
        let picture = picture(&token.reveal()).unwrap();
        let width = picture.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(width <= 60 && picture.lines().count() <= 30, "{width} x {}", picture.lines().count());
    }

    #[test]
    fn invites_read_like_this() {
        let invite = Shown {
            id: "00aa11bb22cc33dd".to_owned(),
            label: "rack 7".to_owned(),
            kind: "secret".to_owned(),
            approval: "automatic".to_owned(),
            max_uses: 8,
            uses: 3,
            expires: "2026-11-24T03:00:00.000Z".to_owned(),
            role: "machine".to_owned(),
            state: "valid".to_owned(),
            ..Shown::default()
        };
        assert_eq!(
            table(&[invite]),
            " INVITE            LABEL   KIND    APPROVAL   USES    ROLE     UNTIL                     STATE
 00aa11bb22cc33dd  rack 7  secret  automatic  3 of 8  machine  2026-11-24T03:00:00.000Z  valid"
        );
    }
}
