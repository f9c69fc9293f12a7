//! curl over TLS: versions old and new, a large file, and a server that gains HTTPS, addresses and loses HTTPS while it runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::lab::Lab;
use crate::net::Host;

const INTERFACE: &str = "[[interface]]\nname = \"eth0\"\nmode = \"off\"\n";
const FILE: &str = "loader/ipxe.efi";

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let lan = lab.lan("lan")?;
    let host = lab.host("server", &[(&lan, "10.77.0.1/24")])?;
    let node = lab.host("node", &[(&lan, "10.77.0.50/24")])?;
    let server = lab.slipway(&host, INTERFACE)?;
    server.start()?;
    let client = Client { node, folder: lab.folder().to_owned() };
    let plain = client.get("http://10.77.0.1:8067", &[])?;
    ensure!(client.get("https://10.77.0.1:8443", &[]).is_err(), "HTTPS is served although nobody asked for it");

    lab.say("[https] on a reload: each version and key exchange gets the same file, and nobody without the CA");
    let with_https = format!("{INTERFACE}[https]\nnames = [\"boot.example\"]\n");
    server.configure(&with_https)?;
    server.reload()?;
    let ca = lab.folder().join("ca.pem");
    server.cli(["ca", "export", "--format", "pem", "--output", &ca.display().to_string()])?;
    let ca = ca.display().to_string();
    let trust = ["--cacert", ca.as_str()];
    for options in [
        &["--tlsv1.3"][..],
        &["--tls-max", "1.2"],
        &["--tls-max", "1.2", "--ciphers", "DHE-RSA-AES256-GCM-SHA384"],
        &["--tls-max", "1.2", "--ciphers", "AES128-SHA"],
    ] {
        let got = client.get("https://10.77.0.1:8443", &[&trust, options].concat())?;
        ensure!(got == plain, "{options:?}: {} bytes instead of {}", got.len(), plain.len());
    }
    let named = ["--resolve", "boot.example:8443:10.77.0.1"];
    ensure!(client.get("https://boot.example:8443", &[&trust[..], &named].concat())? == plain, "by name");
    let Err(error) = client.get("https://10.77.0.1:8443", &[]) else { bail!("curl trusts us without our CA") };
    ensure!(format!("{error:#}").contains("certificate"), "{error:#}");
    server.log()?.wait_for("why=\"unknown-ca\"", Duration::from_secs(60))?;

    lab.say("a new address is in the certificate without a restart");
    host.run("ip", ["address", "add", "10.77.0.9/24", "dev", "eth0"])?;
    ensure!(client.get("https://10.77.0.9:8443", &trust)? == plain, "at the new address");

    lab.say("another port, and no HTTPS any more");
    server.configure(&format!("{INTERFACE}[https]\nport = 443\n"))?;
    server.reload()?;
    ensure!(client.get("https://10.77.0.1", &trust)? == plain, "at the new port");
    server.configure(INTERFACE)?;
    server.reload()?;
    ensure!(client.get("https://10.77.0.1", &trust).is_err(), "HTTPS is served although it was taken away");
    ensure!(client.get("http://10.77.0.1:8067", &[])? == plain, "plain HTTP is as it was");
    server.stop()
}

struct Client {
    node: Host,
    folder: PathBuf,
}

impl Client {
    /// What curl gets of one file.
    fn get(&self, root: &str, options: &[&str]) -> Result<Vec<u8>> {
        let output = self.folder.join("got");
        let target = format!("{root}/{FILE}");
        let place = output.display().to_string();
        let fixed = ["--silent", "--show-error", "--fail", "--max-time", "20", "--output", &place, &target];
        let words: Vec<&str> = fixed.iter().chain(options).copied().collect();
        self.node.run("curl", words)?;
        read_and_remove(&output)
    }
}

fn read_and_remove(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path)?;
    std::fs::remove_file(path)?;
    Ok(bytes)
}
