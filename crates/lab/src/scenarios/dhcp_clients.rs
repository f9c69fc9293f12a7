//! Foreign DHCP clients get a lease, renew it and give it back, each on a host of its own.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::lab::Lab;
use crate::net::Host;
use crate::process::Running;
use crate::server::Server;

/// The longest that any step of a client may take: more than half of the shortest lease.
const SOON: Duration = Duration::from_secs(50);

/// Puts the address on the interface for clients that leave this to a script; nothing of the computer's is touched.
const SCRIPT: &str = r#"#!/bin/sh
case "$1$reason" in
bound|renew) ip addr replace "$ip/$mask" dev "$interface" ;;
BOUND|RENEW|REBIND|REBOOT) ip addr replace "$new_ip_address/24" dev "$interface" ;;
esac
exit 0
"#;

/// A foreign client: how it is started, made to renew, and made to go.
struct Client {
    name: &'static str,
    start: fn(&Host, &Path) -> Result<Running>,
    renew: fn(&Host, &Running) -> Result<()>,
    release: fn(&Host, &Path, &Running) -> Result<()>,
}

const CLIENTS: &[Client] = &[
    Client {
        name: "udhcpc",
        start: |host, folder| {
            let script = script(folder)?;
            host.start("udhcpc", "udhcpc", ["-f", "-i", "eth0", "-R", "-s", &script.to_string_lossy()])
        },
        renew: |_, client| client.signal(Signal::USR1),
        release: |_, _, client| client.stop(),
    },
    Client {
        name: "dhclient",
        start: |host, folder| {
            let (script, config) = (script(folder)?, folder.join("dhclient.conf"));
            // It renews when its time has come, and by this that is soon.
            fs::write(&config, "supersede dhcp-renewal-time 2;\n")?;
            let mut words = dhclient_files(folder);
            words.extend(["-d".into(), "-sf".into(), script, "-cf".into(), config, "eth0".into()]);
            host.start("dhclient", "dhclient", words)
        },
        renew: |_, _| Ok(()),
        release: |host, folder, client| {
            let mut words = dhclient_files(folder);
            words.extend(["-r".into(), "-sf".into(), script(folder)?, "eth0".into()]);
            host.run("dhclient", words)?;
            client.wait_exit(SOON).map(drop)
        },
    },
    Client {
        name: "dhcpcd",
        start: |host, _| {
            // Its memory is at a fixed place: in the lab, one of the lab's own.
            host.run("mount", ["-t", "tmpfs", "tmpfs", "/var/lib/dhcpcd"])?;
            let quiet = ["-B", "-4", "--nohook", "resolv.conf", "--script", "/bin/true", "-f", "/dev/null"];
            host.start("dhcpcd", "dhcpcd", quiet.into_iter().chain(["--leasetime", "60", "eth0"]))
        },
        // The process that we started is its guardian; only its own command reaches the one that does DHCP, and dhcpcd 9.4 loses
        // one now and then ("ps_ctl_recv: read"). Then it renews after half of its lease, which is why that is short.
        renew: |host, _| host.run("dhcpcd", ["-4", "-N", "eth0"]).map(drop),
        release: |host, _, client| {
            for patience in [SOON / 4, SOON / 4, SOON] {
                host.run("dhcpcd", ["-4", "-k", "eth0"])?;
                if client.wait_exit(patience).is_ok() {
                    return Ok(());
                }
            }
            bail!("it does not end")
        },
    },
];

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let lan = lab.lan("lan")?;
    let host = lab.host("server", &[(&lan, "10.77.0.1/24")])?;
    let nodes: Vec<Host> = CLIENTS.iter().map(|client| lab.host(client.name, &[(&lan, "")])).collect::<Result<_>>()?;
    let first = nodes.first().context("no clients")?.mac("eth0")?;
    let config = format!(
        r#"
[[interface]]
name = "eth0"
mode = "dhcp"
[[subnet]]
network = "10.77.0.0/24"
pool = ["10.77.0.100-10.77.0.200"]
router = "10.77.0.1"
dns = ["10.77.0.1"]
[[subnet.reservation]]
mac = "{first}"
ip = "10.77.0.10"
hostname = "node1"
"#
    );
    let server = lab.slipway(&host, &config)?;
    server.start()?;
    for (client, node) in CLIENTS.iter().zip(&nodes) {
        lab.say(&format!("{} gets, renews and returns a lease", client.name));
        let folder = lab.folder().join(client.name);
        fs::create_dir_all(&folder)?;
        serve(&server, client, node, &folder).with_context(|| client.name)?;
    }
    server.stop()
}

fn serve(server: &Server, client: &Client, node: &Host, folder: &Path) -> Result<()> {
    let (mac, log) = (node.mac("eth0")?, server.log()?);
    let mark = log.mark();
    let running = (client.start)(node, folder)?;
    let line = log.wait_from(mark, "-> ACK ", SOON)?.text;
    ensure!(line.contains("REQUEST selecting") && line.contains(&mac.to_string()), "not its first lease: {line}");
    let ip: Ipv4Addr = line
        .split("-> ACK ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("no address in {line}"))?;
    let wanted = if client.name == "udhcpc" { ip == Ipv4Addr::new(10, 77, 0, 10) } else { ip.octets()[3] >= 100 };
    ensure!(wanted, "{ip} is neither the reserved address nor one of the pool");

    running.log().wait_for(client_says(client), SOON)?;
    let mark = log.mark();
    (client.renew)(node, &running)?;
    log.wait_from(mark, &format!("REQUEST renewing {ip} os -> ACK {ip}"), SOON)?;
    let has = node.run("ip", ["-4", "-o", "addr", "show", "dev", "eth0"])?;
    ensure!(has.contains(&format!("{ip}/24")), "{ip} is not on its interface:\n{has}");

    let mark = log.mark();
    (client.release)(node, folder, &running)?;
    log.wait_from(mark, &format!("RELEASE os -> {ip} released"), SOON)?;
    let shown = server.journal_json(mac)?.to_string();
    ensure!(shown.contains("REQUEST renewing"), "its renewal is not in the journal: {shown}");
    Ok(())
}

/// What a client says once it has configured its address: only then can it renew it.
fn client_says(client: &Client) -> &'static str {
    match client.name {
        "udhcpc" => "lease of",
        "dhclient" => "bound to",
        _ => "leased",
    }
}

/// A script that puts an address on the interface, for clients that leave this to one.
pub(super) fn script(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("script");
    fs::write(&path, SCRIPT)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// Where dhclient is told to keep what it knows.
pub(super) fn dhclient_files(folder: &Path) -> Vec<PathBuf> {
    vec!["-v".into(), "-lf".into(), folder.join("leases"), "-pf".into(), folder.join("pid")]
}
