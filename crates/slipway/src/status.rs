//! `slipway status` and `slipway reload`.

use std::process::ExitCode;

use anyhow::Result;
use slipway_api::org::OrgStatus;
use slipway_api::{Reloaded, Status};

use crate::cli::Global;
use crate::client::Client;
use crate::machines::{ago, print_json};

pub(crate) fn status(global: &Global) -> Result<ExitCode> {
    let client = Client::of(global);
    let status: Status = client.get("/status")?;
    let org: Option<OrgStatus> = client.find("/org")?;
    if global.json {
        return print_json(&Whole { status: &status, org: org.as_ref() });
    }
    print!("{}{}", told(&status, jiff::Timestamp::now()), org.as_ref().map(told_org).unwrap_or_default());
    Ok(ExitCode::SUCCESS)
}

/// The server in JSON, with the org that it serves.
#[derive(serde::Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    status: &'a Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    org: Option<&'a OrgStatus>,
}

fn told_org(org: &OrgStatus) -> String {
    let window = if org.window_open { "a window is open" } else { "no window is open" };
    let listen = if org.listen.is_empty() { "nowhere".to_owned() } else { org.listen.join(", ") };
    let mut lines = vec![
        ("org", format!("{}, manifest of epoch {}, {}, on {listen}", org.name, org.epoch, org.roles.join(" and "))),
        ("", format!("{window}, {} waiting (`slipway requests`), {} machines", org.waiting, org.machines)),
        ("", format!("images: {}", if org.images.is_empty() { "none".to_owned() } else { org.images.join(", ") })),
    ];
    lines.extend(org.warnings.iter().map(|warning| ("warning", warning.clone())));
    lines.into_iter().map(|(name, text)| format!("{name:14} {text}\n")).collect()
}

fn told(status: &Status, now: jiff::Timestamp) -> String {
    let mut lines = vec![
        (
            "server",
            format!("slipway {}, process {}, started {}", status.version, status.pid, ago(&status.started, now)),
        ),
        (
            "configuration",
            format!(
                "{}, taken over {}",
                status.config.as_deref().unwrap_or("built-in default (no file)"),
                ago(&status.configured, now)
            ),
        ),
        ("data", status.data.clone()),
    ];
    lines.extend(status.interfaces.iter().map(|interface| {
        (
            "interface",
            format!("{} {} {}", interface.name, interface.mode, interface.addresses.join(" ")).trim_end().to_owned(),
        )
    }));
    let https = status.https_port.map_or(String::new(), |port| format!(", HTTPS {port}"));
    lines.push(("ports", format!("TFTP {}, HTTP {}{https}", status.tftp_port, status.http_port)));
    for (name, list) in [
        ("subnets", &status.subnets),
        ("rules", &status.rules),
        ("images", &status.images),
        ("loaders", &status.loaders),
    ] {
        lines.push((name, if list.is_empty() { "none".to_owned() } else { list.join(", ") }));
    }
    lines.push(("machines", status.machines.to_string()));
    if status.journal_unwritten > 0 {
        lines.push(("journal", format!("{} entries were not written: the disk is too slow", status.journal_unwritten)));
    }
    lines.extend(status.warnings.iter().map(|warning| ("warning", warning.clone())));
    lines.into_iter().map(|(name, text)| format!("{name:14} {text}\n")).collect()
}

pub(crate) fn reload(global: &Global) -> Result<ExitCode> {
    let reloaded: Reloaded = Client::of(global).post("/reload")?;
    if global.json {
        return print_json(&reloaded);
    }
    if reloaded.changes.is_empty() {
        println!("nothing changed");
    }
    for change in &reloaded.changes {
        println!("{change}");
    }
    for key in &reloaded.restart_needed {
        println!("takes a restart: {key}");
    }
    for warning in &reloaded.warnings {
        println!("warning: {warning}");
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_api::Interface;

    #[test]
    fn the_status_reads_like_this() {
        let status = Status {
            version: "0.1.0".to_owned(),
            pid: 7,
            started: "2026-11-23T03:00:00.000Z".to_owned(),
            configured: "2026-11-23T04:00:00.000Z".to_owned(),
            data: "/var/lib/slipway".to_owned(),
            interfaces: vec![Interface {
                name: "eth1".to_owned(),
                mode: "dhcp".to_owned(),
                addresses: vec!["10.77.0.1/24".to_owned()],
            }],
            http_port: 8067,
            https_port: Some(8443),
            tftp_port: 69,
            rules: vec!["lab".to_owned(), "default".to_owned()],
            warnings: vec!["slipway.toml:8:8: rule.boot: image \"debian\" is not in the store".to_owned()],
            ..Status::default()
        };
        let now = "2026-11-23T04:00:05Z".parse().unwrap();
        assert_eq!(
            told(&status, now),
            "\
server         slipway 0.1.0, process 7, started 1 h 0 min ago
configuration  built-in default (no file), taken over 5 s ago
data           /var/lib/slipway
interface      eth1 dhcp 10.77.0.1/24
ports          TFTP 69, HTTP 8067, HTTPS 8443
subnets        none
rules          lab, default
images         none
loaders        none
machines       0
warning        slipway.toml:8:8: rule.boot: image \"debian\" is not in the store
"
        );
    }

    #[test]
    fn the_org_reads_like_this() {
        let org = OrgStatus {
            name: "acme".to_owned(),
            epoch: 3,
            listen: vec!["0.0.0.0:8444".to_owned()],
            roles: vec!["enroller".to_owned(), "gateway".to_owned()],
            window_open: true,
            waiting: 2,
            machines: 5,
            images: vec!["preboot preboot 7 x64".to_owned()],
            warnings: vec!["generation@7 has no manifest".to_owned()],
            ..OrgStatus::default()
        };
        assert_eq!(
            told_org(&org),
            "\
org            acme, manifest of epoch 3, enroller and gateway, on 0.0.0.0:8444
               a window is open, 2 waiting (`slipway requests`), 5 machines
               images: preboot preboot 7 x64
warning        generation@7 has no manifest
"
        );
    }
}
