//! What a record says, in words: for whoever is about to sign it, and does not believe the file's own words.

use slipway_trust::OrgManifest;
use slipway_trust::invite::{ApprovalMode, Invite, Kind as InviteKind, Match};
use slipway_trust::record::{Act, Approval, DiskPlan, EkList, InviteRevoke, WindowClose};
use slipway_trust::window::Window;

use super::sheet::{Kind, Sheet};
use super::show;
use super::words::length;

/// The record in lines, read from what is signed.
pub(crate) fn lines(sheet: &Sheet) -> Vec<String> {
    let signed = &sheet.signed;
    let read = match sheet.kind {
        Kind::Window => signed.peek().ok().map(|record| window(&record)),
        Kind::WindowClose => {
            signed.peek().ok().map(|record: WindowClose| vec![format!("close the window {}", record.window)])
        }
        Kind::Invite => signed.peek().ok().map(|record| invite(&record)),
        Kind::InviteRevoke => {
            signed.peek().ok().map(|record: InviteRevoke| vec![format!("revoke the invite {}", record.invite)])
        }
        Kind::Approval => signed.peek().ok().map(|record| approval(&record)),
        Kind::Act => signed.peek().ok().map(|record| act(&record)),
        Kind::EkList => signed.peek().ok().map(|record| ek_list(&record)),
        Kind::Manifest => signed.peek().ok().map(|record| manifest(&record)),
    };
    read.unwrap_or_else(|| vec!["a record that this version cannot read: do not sign it".to_owned()])
}

fn window(window: &Window) -> Vec<String> {
    let span = length(window.expires.since(window.opens));
    let mut lines = vec![
        format!("open the enrolment window {} for {span}, until {}", window.id, show::time(window.expires)),
        format!("at most {} machines may be granted an identity in it", window.max_machines),
    ];
    if !window.invites.is_empty() {
        let invites: Vec<String> = window.invites.iter().map(ToString::to_string).collect();
        lines.push(format!("only by the invites {}", invites.join(", ")));
    }
    lines
}

/// An invite's kind, in a word.
pub(crate) const fn kind(kind: InviteKind) -> &'static str {
    match kind {
        InviteKind::Open => "open",
        InviteKind::Secret => "secret",
        InviteKind::Cloud => "cloud",
    }
}

fn invite(invite: &Invite) -> Vec<String> {
    let (kind, span) = (kind(invite.kind), length(invite.expires.since(invite.not_before)));
    let decides = match invite.approval {
        ApprovalMode::Manual => "a person decides on each, by six words",
        ApprovalMode::Automatic => "THE INVITE ALONE LETS THEM IN",
    };
    let mut lines = vec![
        format!("the {kind} invite {} `{}` for {span}, until {}", invite.id, invite.label, show::time(invite.expires)),
        format!(
            "for {} machine(s) in the role `{}`, known at least by `{}`",
            invite.max_uses, invite.role, invite.min_assurance
        ),
        decides.to_owned(),
    ];
    lines.extend(only(&invite.only).into_iter().map(|line| format!("only {line}")));
    if invite.wipe {
        lines.push("THEIR DISKS MAY BE WIPED".to_owned());
    }
    if invite.trusts_lan {
        lines.push("anybody on the LAN with a TPM of a maker that we trust may come in".to_owned());
    }
    if invite.insecure_match {
        lines.push("what machines claim of themselves is enough; their role gets no secret".to_owned());
    }
    lines
}

fn only(only: &Match) -> Vec<String> {
    let texts = |list: &[String]| list.join(", ");
    let eks = only.ek.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let archs = only.arch.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let rows = [
        ("MAC", texts(&only.mac)),
        ("UUID", texts(&only.uuid)),
        ("serial number", texts(&only.serial)),
        ("TPM", eks),
        ("network", texts(&only.cidr)),
        ("processor", archs),
    ];
    let rows = rows.into_iter().filter(|(_, list)| !list.is_empty());
    rows.map(|(what, list)| format!("{what} {list}")).collect()
}

/// What a machine is to do with its disk, in words.
pub(crate) fn plan(plan: &DiskPlan) -> String {
    let disk = plan.disk.as_deref().unwrap_or("the disk that has our ESP, or the only one");
    let wipe = if plan.wipe { "WIPE" } else { "keep what is on" };
    let data = if plan.data { "an encrypted data partition" } else { "no data partition" };
    format!("{wipe} {disk}; an ESP of {} MiB where there is none; {data}", plan.esp_mib)
}

fn approval(approval: &Approval) -> Vec<String> {
    if !approval.yes {
        return vec![format!("deny the ticket {}", approval.ticket)];
    }
    let mut lines = vec![
        format!("approve the ticket {} as `{}` in the role `{}`", approval.ticket, approval.name, approval.role),
        format!(
            "its key {}, its TPM {}",
            approval.key,
            approval.ek.map_or_else(|| "none".to_owned(), |ek| ek.to_string())
        ),
        plan(&approval.plan),
    ];
    if let Some(old) = approval.replaces {
        lines.push(format!("it takes the place of the machine {old}, which is retired; revoked if it had another TPM"));
    }
    if approval.opening.is_some() {
        lines.push("IT OPENS THAT MACHINE'S DATA PARTITION, by its key in escrow".to_owned());
    }
    lines
}

fn act(act: &Act) -> Vec<String> {
    vec![format!("{} the machine {}", act.verb.name(), act.machine), format!("because: {}", act.reason)]
}

fn ek_list(list: &EkList) -> Vec<String> {
    let mut lines = vec![format!(
        "{} TPMs may enrol by themselves while a window is open; the list before is replaced",
        list.entries.len()
    )];
    lines.extend(list.entries.iter().map(|entry| {
        let name = entry.name.as_deref().unwrap_or("(a name is made)");
        let wipe = if entry.wipe { ", ITS DISK MAY BE WIPED" } else { "" };
        format!("{} {name} in the role `{}`{wipe}", entry.ek, entry.role)
    }));
    lines
}

fn manifest(manifest: &OrgManifest) -> Vec<String> {
    let signers = |signers: &slipway_trust::org::Signers| {
        let kids: Vec<String> = signers.keys.iter().map(|key| key.to_string()).collect();
        format!("{} of {}", signers.threshold, kids.join(", "))
    };
    let enrollers: Vec<String> = manifest.enrollers.iter().map(ToString::to_string).collect();
    let floors: Vec<String> =
        manifest.floors.iter().map(|floor| format!("{} {} {}", floor.role, floor.arch, floor.version)).collect();
    vec![
        format!("the manifest of {} ({}), epoch {}", manifest.name, manifest.org, manifest.epoch),
        format!("admins: {}", signers(&manifest.admins)),
        format!("image keys: {}", signers(&manifest.images)),
        format!("enrollers: {}", enrollers.join(", ")),
        format!("machine CA: {}", manifest.ca_spki),
        format!("gateways: {}", manifest.gateways.join(", ")),
        format!("floors: {}", floors.join(", ")),
        format!(
            "policy: at least {}, recovery {}, {} days without the org",
            manifest.policy.min_assurance,
            show::recovery(manifest.policy.recovery),
            manifest.policy.offline_days
        ),
        format!("escrow key: {}", manifest.escrow.map_or_else(|| "none".to_owned(), |key| key.to_string())),
    ]
}
