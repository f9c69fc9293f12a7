//! `slipway org show`: the org as its root has signed it.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};
use slipway_trust::org::{RecoveryPolicy, Signers};
use slipway_trust::{PublicKey, Time};

use super::place::{Org, data};
use crate::cli::Global;
use crate::machines::print_json;

pub(crate) fn run(global: &Global) -> Result<ExitCode> {
    let org = Org::open(&data(global))?;
    if global.json {
        return print_json(&shown(&org));
    }
    print!("{}", told(&org));
    Ok(ExitCode::SUCCESS)
}

/// A time, as programs and people read it.
pub(crate) fn time(time: Time) -> String {
    let second = i64::try_from(time.0).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
    second.map_or_else(|| "never".to_owned(), |at| at.to_string())
}

/// What a policy says of recoveries, in a word.
pub(crate) const fn recovery(policy: RecoveryPolicy) -> &'static str {
    match policy {
        RecoveryPolicy::Automatic => "automatic",
        RecoveryPolicy::Manual => "manual",
    }
}

/// The org in JSON.
pub(crate) fn shown(org: &Org) -> Value {
    let manifest = &org.manifest;
    let keys = |keys: &[PublicKey]| -> Vec<Value> {
        keys.iter().map(|key| json!({ "kid": key.kid().to_string(), "public": key.to_string() })).collect()
    };
    let signers = |signers: &Signers| json!({ "threshold": signers.threshold, "keys": keys(&signers.keys) });
    let floor = |floor: &slipway_trust::org::Floor| json!({ "role": floor.role.name(), "arch": floor.arch.name(), "version": floor.version });
    json!({
        "id": manifest.org.to_string(),
        "name": manifest.name,
        "epoch": manifest.epoch,
        "created": time(manifest.created),
        "root": org.root.to_string(),
        "ca_spki": manifest.ca_spki.to_string(),
        "admins": signers(&manifest.admins),
        "images": signers(&manifest.images),
        "enrollers": keys(&manifest.enrollers),
        "escrow": manifest.escrow.map(|key| key.to_string()),
        "pcr_policy": manifest.pcr_policy.map(|key| key.to_string()),
        "gateways": manifest.gateways,
        "floors": manifest.floors.iter().map(floor).collect::<Vec<_>>(),
        "policy": {
            "min_assurance": manifest.policy.min_assurance.name(),
            "recovery": recovery(manifest.policy.recovery),
            "offline_days": manifest.policy.offline_days,
        },
    })
}

/// The org in lines.
pub(crate) fn told(org: &Org) -> String {
    let manifest = &org.manifest;
    let kids = |keys: &[PublicKey]| keys.iter().map(|key| key.kid().to_string()).collect::<Vec<_>>().join(", ");
    let signers = |signers: &Signers| {
        format!("{} of {} must sign: {}", signers.threshold, signers.keys.len(), kids(&signers.keys))
    };
    let policy = &manifest.policy;
    let offline = match policy.offline_days {
        0 => "never".to_owned(),
        1 => "for a day (revocation does not bite before)".to_owned(),
        days => format!("for {days} days (revocation does not bite before)"),
    };
    let mut lines = vec![
        ("org", format!("{} ({})", manifest.name, manifest.org)),
        ("manifest", format!("epoch {}, signed {}", manifest.epoch, time(manifest.created))),
        ("root", org.root.to_string()),
        ("machine CA", format!("pinned by SHA-256 {}", manifest.ca_spki)),
        ("admins", signers(&manifest.admins)),
        ("image keys", signers(&manifest.images)),
        ("enrollers", kids(&manifest.enrollers)),
        ("PCR policy", manifest.pcr_policy.map_or_else(|| "none".to_owned(), |key| key.kid().to_string())),
        (
            "gateways",
            if manifest.gateways.is_empty() {
                "the server that booted the machine".to_owned()
            } else {
                manifest.gateways.join(", ")
            },
        ),
    ];
    let floor = |floor: &slipway_trust::org::Floor| {
        ("floor", format!("{} {} from version {}", floor.role, floor.arch, floor.version))
    };
    lines.extend(manifest.floors.iter().map(floor));
    lines.push(("assurance", format!("at least {}", policy.min_assurance)));
    lines.push(("recovery", recovery(policy.recovery).to_owned()));
    lines.push(("without the org", offline));
    lines.into_iter().map(|(name, text)| format!("{name:15} {text}\n")).collect()
}
