//! One server on two networks at once, in both of its modes; what changes while it runs, and how it ends.
//!
//! No machine boots here: two hosts ask as a UEFI PXE ROM and as iPXE would, because what is asked for is what the server says.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use slipway_wire::MacAddr;
use slipway_wire::dhcp4::{Message, MessageType, OptionCode};

use crate::lab::Lab;
use crate::net::Host;
use crate::peers;
use crate::server::Server;

const INTERFACES: &str = r#"
[[interface]]
name = "eth0"
mode = "dhcp"

[[interface]]
name = "eth1"
mode = "proxy"

[[subnet]]
network = "10.77.0.0/24"
pool = ["10.77.0.100-10.77.0.200"]
"#;
const LAB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const OFFICE: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);

fn boots(image: &str) -> String {
    format!("{INTERFACES}\n[[rule]]\nname = \"everything\"\nboot = \"{image}\"\n")
}

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, office) = (lab.lan("lan")?, lab.lan("office")?);
    let router = lab.host("router", &[(&office, "10.78.0.1/24")])?;
    let dnsmasq = peers::dnsmasq_dhcp(&router, "10.78.0.100", "10.78.0.200")?;
    lab.keep(&dnsmasq);
    let host = lab.host("server", &[(&lan, "10.77.0.1/24"), (&office, "10.78.0.2/24")])?;
    let node1 = lab.host("node1", &[(&lan, "10.77.0.50/24")])?;
    let node2 = lab.host("node2", &[(&office, "10.78.0.50/24")])?;
    let server = lab.slipway(&host, &boots("first"))?;
    server.start()?;

    see_few_privileges(&server)?;
    lab.say("an image that is added while the server runs can be booted at once");
    ensure!(!script(&node1, LAB)?.contains("first greeting"), "a script of an image that is not there");
    add_script(lab, &server, "first")?;
    see_script(&node1, LAB, "first greeting")?;

    lab.say("addresses and boot on one network, boot alone beside dnsmasq on the other");
    see_full_dhcp(&node1)?;
    see_proxy_dhcp(&node2, router.ip()?)?;
    see_script(&node2, OFFICE, "first greeting")?;

    lab.say("a new rule takes effect on SIGHUP");
    add_script(lab, &server, "second")?;
    see_script(&node1, LAB, "first greeting")?;
    server.configure(&boots("second"))?;
    server.reload()?;
    see_script(&node1, LAB, "second greeting")?;

    lab.say("an interface is left alone, and served again, without a restart");
    server.configure(&boots("second").replace("\"proxy\"", "\"off\""))?;
    server.reload()?;
    ensure!(
        offers(&node2, 2)?.iter().all(|offer| offer.options.server_id() != Some(OFFICE)),
        "offered where mode is off"
    );
    server.configure(&boots("second"))?;
    server.reload()?;
    see_proxy_dhcp(&node2, router.ip()?)?;

    see_faults_refused(lab, &server, &node1)?;
    see_machines(&server, &node1)?;
    see_clean_end(lab, &server, &node1)
}

/// No thread of the server has more than the capabilities 10, 12 and 13: to bind low ports, to tie sockets to interfaces, to enlarge their buffers.
fn see_few_privileges(server: &Server) -> Result<()> {
    const KEPT: u64 = 1 << 10 | 1 << 12 | 1 << 13;
    let tasks = format!("/proc/{}/task", server.process()?.id());
    for task in std::fs::read_dir(tasks)? {
        let status = std::fs::read_to_string(task?.path().join("status"))?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
            let held = u64::from_str_radix(field(set).context("no capabilities are told")?, 16)?;
            ensure!(held & !KEPT == 0, "{set} {held:x} is more than {KEPT:x}:\n{status}");
        }
        ensure!(field("NoNewPrivs:") == Some("1"), "a thread can gain privileges:\n{status}");
    }
    Ok(())
}

/// A file with faults changes nothing; all of them are told, in the log and to whoever asked.
fn see_faults_refused(lab: &Lab, server: &Server, node: &Host) -> Result<()> {
    lab.say("a configuration with faults is told about and changes nothing");
    server.configure(&format!("{}\ncolour = \"blue\"\n[[rule]]\nbooot = \"first\"\n", boots("first")))?;
    let log = server.log()?;
    let mark = log.mark();
    server.reload()?;
    for fault in ["unknown key", "booot", "the one before stays in force"] {
        log.wait_from(mark, fault, Duration::from_secs(60))?;
    }
    see_script(node, LAB, "second greeting")?;
    let Err(error) = server.cli(["reload"]) else { bail!("`slipway reload` took a configuration with faults") };
    let told = format!("{error:#}");
    ensure!(told.contains("slipway.toml:") && told.contains("did you mean `boot`?"), "not told where: {told}");
    server.configure(&boots("second"))?;
    server.cli(["reload"]).map(drop)
}

/// The machines that asked are listed while the server runs.
fn see_machines(server: &Server, node: &Host) -> Result<()> {
    let mac = node.mac("eth0")?;
    let list = server.cli(["machines"])?;
    ensure!(list.contains(&mac.to_string()), "{mac} is not listed:\n{list}");
    let shown = server.cli(["machine", "show", &mac.to_string(), "--events"])?;
    ensure!(shown.contains("DISCOVER"), "its DHCP is not told:\n{shown}");
    let status = server.cli(["status"])?;
    for fact in ["eth0 dhcp 10.77.0.1/24", "eth1 proxy 10.78.0.2/24", "10.77.0.0/24", "everything", "first@1, second@1"]
    {
        ensure!(status.contains(fact), "the status does not say {fact:?}:\n{status}");
    }
    Ok(())
}

/// SIGTERM ends the server within five seconds and with success; what it knew of the machines is known to the next one.
fn see_clean_end(lab: &Lab, server: &Server, node: &Host) -> Result<()> {
    lab.say("SIGTERM ends it cleanly, and the next one remembers the machines");
    let asked = Instant::now();
    server.stop()?;
    let took = asked.elapsed();
    ensure!(took < Duration::from_secs(5), "the end took {took:?}");
    let Err(error) = server.cli(["machines"]) else { bail!("a server that has ended still answers") };
    ensure!(format!("{error:#}").contains("no server answers on"), "not told that nobody serves: {error:#}");
    server.start()?;
    let list = server.cli(["machines"])?;
    let mac = node.mac("eth0")?.to_string();
    ensure!(list.contains(&mac), "{mac} was forgotten:\n{list}");
    server.stop()
}

fn add_script(lab: &Lab, server: &Server, name: &str) -> Result<()> {
    let file = lab.folder().join(format!("{name}.ipxe"));
    std::fs::write(&file, format!("#!ipxe\necho {name} greeting\n"))?;
    server.cli(["image".as_ref(), "add".as_ref(), name.as_ref(), "--ipxe".as_ref(), file.as_os_str()]).map(drop)
}

/// The script that iPXE is given on this host, with the script behind it where it leads to one.
fn script(node: &Host, server: Ipv4Addr) -> Result<String> {
    let mac = node.mac("eth0")?;
    let root = format!("http://{server}:8067");
    let url = format!("{root}/boot.ipxe?mac={mac}&uuid=00000000-0000-4000-8000-000000000001&arch=x86_64&platform=efi");
    let script = node.run("curl", ["-sS", "--max-time", "10", &url])?;
    let next = script.lines().find_map(|line| line.split_whitespace().find(|word| word.contains("/image/")));
    match next {
        Some(next) => Ok(script.clone() + &node.run("curl", ["-sS", "--max-time", "10", next])?),
        None => Ok(script),
    }
}

fn see_script(node: &Host, server: Ipv4Addr, text: &str) -> Result<()> {
    let script = script(node, server)?;
    ensure!(script.contains(text), "iPXE is not told {text:?} but:\n{script}");
    Ok(())
}

fn see_full_dhcp(node: &Host) -> Result<()> {
    let offers = offers(node, 1)?;
    let offer = offers.first().context("no offer where we give addresses")?;
    let [a, b, c, d] = offer.yiaddr.octets();
    ensure!((a, b, c) == (10, 77, 0) && (100..=200).contains(&d), "{} is not from the pool", offer.yiaddr);
    let file = boot_file(offer);
    ensure!(file.ends_with("snponly.efi"), "the boot file is {file:?}, not iPXE");
    ensure!(offer.siaddr == LAB, "the boot file is on {}, not on us", offer.siaddr);
    Ok(())
}

fn see_proxy_dhcp(node: &Host, router: Ipv4Addr) -> Result<()> {
    let offers = offers(node, 2)?;
    let by = |server| offers.iter().find(|offer| offer.options.server_id() == Some(server));
    let ours = by(OFFICE).context("no offer of ours beside dnsmasq's")?;
    ensure!(ours.yiaddr == Ipv4Addr::UNSPECIFIED, "we offer {} where another server gives addresses", ours.yiaddr);
    let theirs = by(router).context("dnsmasq's offer is gone")?;
    ensure!(theirs.yiaddr != Ipv4Addr::UNSPECIFIED, "dnsmasq offers no address");
    Ok(())
}

fn boot_file(offer: &Message) -> String {
    let name = offer.options.boot_file().unwrap_or_else(|| offer.file_name());
    String::from_utf8_lossy(name).trim_end_matches('\0').to_owned()
}

/// Asks as a UEFI PXE ROM does, and collects the offers until there are `enough` of them, for at most five seconds.
fn offers(node: &Host, enough: usize) -> Result<Vec<Message>> {
    // The host has an address, so its kernel wants to know where everybody is.
    let _ = node.run("ip", ["route", "replace", "255.255.255.255/32", "dev", "eth0"])?;
    let mac = node.mac("eth0")?;
    node.inside(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 68))?;
        socket.set_broadcast(true)?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        let ask = discover(mac);
        let bytes = ask.encode(1472)?;
        let end = Instant::now() + Duration::from_secs(5);
        let mut offers = Vec::new();
        let mut buffer = [0; 2048];
        while offers.len() < enough && Instant::now() < end {
            if offers.is_empty() {
                socket.send_to(&bytes, (Ipv4Addr::BROADCAST, 67))?;
            }
            match socket.recv(&mut buffer) {
                Ok(read) => {
                    let offer = Message::decode(buffer.get(..read).unwrap_or_default())?;
                    let servers = |offer: &Message| offer.options.server_id();
                    let known = offers.iter().any(|before| servers(before) == servers(&offer));
                    let is_offer = offer.options.message_type() == Some(MessageType::OFFER);
                    if offer.xid == ask.xid && is_offer && !known {
                        offers.push(offer);
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(offers)
    })
}

fn discover(mac: MacAddr) -> Message {
    let mut message = Message::request(0x5157_0001, mac);
    message.set_broadcast(true);
    let options = &mut message.options;
    options.set_message_type(MessageType::DISCOVER);
    options.set(OptionCode::PARAMETER_LIST, [1, 3, 43, 54, 60, 66, 67, 97]);
    options.set(OptionCode::CLIENT_ARCH, [0, 7]);
    options.set(OptionCode::CLIENT_NII, [1, 3, 16]);
    options.set(OptionCode::VENDOR_CLASS, *b"PXEClient:Arch:00007:UNDI:003016");
    message
}
