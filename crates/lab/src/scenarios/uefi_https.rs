//! UEFI HTTPS Boot: with our CA enrolled the firmware boots over TLS; with somebody else's it refuses, and the journal says why.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};
use crate::process::run;
use crate::server::Server;

/// As long as a machine may take to boot.
const PATIENCE: Duration = Duration::from_secs(300);

fn server(lab: &mut Lab) -> Result<(crate::net::Lan, Server)> {
    let lan = lab.lan("lan")?;
    let host = lab.host("server", &[(&lan, "10.77.0.1/24")])?;
    let config = boot::full_dhcp("auto") + "\n[https]\noffer = true\n";
    let server = lab.slipway(&host, &config)?;
    boot::add_uki(lab, &server)?;
    Ok((lan, server))
}

/// The CA of a data folder, as QEMU hands it to the firmware.
fn authority(lab: &Lab, data: &Path, file: &str) -> Result<PathBuf> {
    let path = lab.folder().join(file);
    let mut command = Command::new(&lab.parts().slipway);
    command.arg("--data").arg(data).args(["ca", "export", "--format", "esl", "--output"]).arg(&path);
    run(&mut command)?;
    Ok(path)
}

pub(super) fn boots(lab: &mut Lab) -> Result<()> {
    let (lan, server) = server(lab)?;
    server.start()?;
    let ours = authority(lab, &server.data(), "ours.esl")?;
    let machine = lab.power_on(Order::new("node1", 1, Firmware::UefiHttp).trusting(&ours), &lan)?;
    let booted = boot::see_it_boot(lab, &server, &machine)?;
    boot::ensure_own_cmdline(lab, &booted)?;
    let told = boot::last_boot(&server, &machine)?.to_string();
    ensure!(told.contains("https://10.77.0.1:8443/image/debian/uki.efi"), "it was sent elsewhere: {told}");
    ensure!(told.contains("uki.efi over HTTPS, "), "the journal does not tell of HTTPS: {told}");
    let story = boot::story(lab, &lan, &machine)?;
    let plain = boot::requests(&story);
    ensure!(
        matches!(plain.as_slice(), [report] if report.starts_with("POST 204 ")),
        "nothing but the agent's report was to be readable on the wire: {plain:?}"
    );
    ensure!(story.transfers().is_empty(), "TFTP was used");
    Ok(())
}

pub(super) fn refused(lab: &mut Lab) -> Result<()> {
    let (lan, server) = server(lab)?;
    server.start()?;
    let elsewhere = lab.folder().join("elsewhere");
    let theirs = authority(lab, &elsewhere, "theirs.esl")?;
    let machine = lab.power_on(Order::new("node1", 1, Firmware::UefiHttp).trusting(&theirs), &lan)?;
    // The line about the handshake, with the machine that it is about.
    let line = server.log()?.wait_for("TLS handshake -> ", PATIENCE)?.text;
    // edk2 of 2022 closes without an alert; what sends one is known for sure.
    let named = ["unknown-ca", "certificate-refused"].iter().any(|why| line.contains(&format!("why=\"{why}\"")));
    ensure!(named && line.contains(&machine.mac().to_string()), "the log says: {line}");
    let told = boot::last_boot(&server, &machine)?;
    let summary = told.get("summary").map(ToString::to_string).unwrap_or_default();
    ensure!(
        summary.contains("stopped at the TLS handshake") && summary.contains("does not know our CA"),
        "the journal says: {summary}"
    );
    ensure!(!told.to_string().contains("over HTTPS"), "it was given something all the same: {told}");
    ensure!(machine.console().find("slipway-agent: booted").is_none(), "it booted");
    Ok(())
}
