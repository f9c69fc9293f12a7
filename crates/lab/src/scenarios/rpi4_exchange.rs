//! A Raspberry Pi 4 and a Raspberry Pi 3, *played*: no such hardware is here, and QEMU does not emulate their boot loaders. The lab sends
//! what their documentation says that they send, byte for byte the packets under `fixtures/`, and holds the answers against what
//! that says they take.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use slipway_wire::MacAddr;
use slipway_wire::dhcp4::{Message, MessageType, OptionCode};

use super::boot;
use crate::lab::Lab;
use crate::net::{Host, Lan};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const PATIENCE: Duration = Duration::from_secs(30);
/// The serial number that the Pi 4's packet tells.
const SERIAL: &str = "9ffefdef";

const DISCOVER_4: &str = include_str!("../../../../fixtures/dhcp4/raspberrypi-4b-eeprom-discover.hex");
const DISCOVER_3: &str = include_str!("../../../../fixtures/dhcp4/raspberrypi-3b-rom-discover.hex");
const OFFER_4: &str = include_str!("../../../../fixtures/raspberrypi/4b-offer.hex");
const OFFER_3: &str = include_str!("../../../../fixtures/raspberrypi/3b-offer.hex");

/// The files of the boot partition, and whose content each is.
const FILES: &[(&str, &str)] = &[
    ("bootcode.bin", "the second stage of a Pi 3"),
    ("start.elf", "the firmware of a Pi 3"),
    ("start4.elf", "the firmware of a Pi 4"),
    ("fixup4.dat", "its memory layout"),
    ("config.txt", "arm_64bit=1\n"),
    ("cmdline.txt", "console=serial0,115200 root=/dev/nfs\n"),
    ("bcm2711-rpi-4-b.dtb", "the device tree of a Pi 4"),
    ("kernel8.img", "the kernel"),
    ("overlays/disable-bt.dtbo", "an overlay"),
    ("9ffefdef/cmdline.txt", "console=serial0,115200 root=/dev/nfs hostname=this-one\n"),
];

/// What a Pi 4 asks for, and whether it is there.
const ASKED_4: &[(&str, Option<&str>)] = &[
    ("9ffefdef/config.txt", Some("config.txt")),
    ("9ffefdef/pieeprom.sig", None),
    ("9ffefdef/recover4.elf", None),
    ("9ffefdef/start4.elf", Some("start4.elf")),
    ("9ffefdef/fixup4.dat", Some("fixup4.dat")),
    ("9ffefdef/bcm2711-rpi-4-b.dtb", Some("bcm2711-rpi-4-b.dtb")),
    ("9ffefdef/overlays/overlay_map.dtb", None),
    ("9ffefdef/overlays/disable-bt.dtbo", Some("overlays/disable-bt.dtbo")),
    // A folder with the serial number in the boot partition goes before everybody's files.
    ("9ffefdef/cmdline.txt", Some("9ffefdef/cmdline.txt")),
    ("9ffefdef/recovery8.img", None),
    ("9ffefdef/kernel8.img", Some("kernel8.img")),
    // TFTP_PREFIX=2 in its EEPROM.
    ("dc-a6-32-01-02-03/start4.elf", Some("start4.elf")),
];

/// What a Pi 3 asks for: its ROM at the root, what it loads then under its serial number, which it tells nowhere else.
const ASKED_3: &[(&str, Option<&str>)] = &[
    ("bootcode.bin", Some("bootcode.bin")),
    ("bootsig.bin", None),
    ("12345678/start.elf", Some("start.elf")),
    ("12345678/cmdline.txt", Some("cmdline.txt")),
];

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let lan = lab.lan("lan")?;
    let host = lab.host("server", &[(&lan, "10.77.0.1/24")])?;
    let config = boot::full_dhcp("auto").replace("\"debian\"", "\"pi\"");
    let server = lab.slipway(&host, &config)?;
    let partition = lab.folder().join("partition");
    make_files(&partition)?;
    server.cli(["image".as_ref(), "add".as_ref(), "pi".as_ref(), "--rpi".as_ref(), partition.as_os_str()])?;
    server.start()?;

    lab.say("a Raspberry Pi 4, played by the lab from its documentation");
    let four = Pi::plug_in(lab, &lan, "pi4", DISCOVER_4)?;
    let offer = four.ask(four.discover.clone())?;
    ensure!(hex(&offer) == digits(OFFER_4), "the offer to a Pi 4 is {}", hex(&offer));
    let offer = Message::decode(&offer)?;
    let mut request = Message::decode(&four.discover)?;
    request.options.set_message_type(MessageType::REQUEST);
    request.options.set_ip(OptionCode::REQUESTED_IP, offer.yiaddr).set_ip(OptionCode::SERVER_ID, SERVER);
    let ack = Message::decode(&four.ask(request.encode(1472)?)?)?;
    ensure!(ack.options.message_type() == Some(MessageType::ACK) && ack.yiaddr == offer.yiaddr, "no ACK: {ack:?}");
    four.has(offer.yiaddr)?;
    four.loads(ASKED_4)?;

    lab.say("a Raspberry Pi 3, played by the lab from its documentation: it never asks for what it was offered");
    let three = Pi::plug_in(lab, &lan, "pi3", DISCOVER_3)?;
    let offer = three.ask(three.discover.clone())?;
    ensure!(hex(&offer) == digits(OFFER_3), "the offer to a Pi 3 is {}", hex(&offer));
    three.has(Message::decode(&offer)?.yiaddr)?;
    three.loads(ASKED_3)?;

    lab.say("somebody else is not given a Pi's files");
    let other = lab.host("other", &[(&lan, "10.77.0.9/24")])?;
    ensure!(load(&other, "9ffefdef/start4.elf")?.is_none(), "they were given to anybody");

    // Files that are not there are what such a boot is made of: the journal makes nothing of them.
    let shown = server.journal_json(four.mac)?.to_string();
    ensure!(shown.contains("\"started\"") && shown.contains("pi@1"), "the journal tells another story: {shown}");
    ensure!(!shown.contains("\"stopped\""), "the journal finds fault with it: {shown}");
    ensure!(shown.contains(&format!("{SERIAL}/kernel8.img")), "the journal does not tell of the kernel: {shown}");
    Ok(())
}

fn make_files(folder: &Path) -> Result<()> {
    for (name, content) in FILES {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        std::fs::write(path, content)?;
    }
    Ok(())
}

/// A host that plays one.
struct Pi {
    host: Host,
    mac: MacAddr,
    discover: Vec<u8>,
}

impl Pi {
    fn plug_in(lab: &mut Lab, lan: &Lan, name: &str, discover: &str) -> Result<Self> {
        let discover = bytes(discover)?;
        let mac = Message::decode(&discover)?.mac().context("the packet names no card")?;
        let host = lab.host(name, &[(lan, "")])?;
        host.run("ip", ["link", "set", "eth0", "address", &mac.to_string()])?;
        // Without an address yet, a broadcast has to be told where to go.
        host.run("ip", ["route", "add", "255.255.255.255/32", "dev", "eth0"])?;
        Ok(Self { host, mac, discover })
    }

    /// Sends a DHCP message, and waits for the answer to it.
    fn ask(&self, message: Vec<u8>) -> Result<Vec<u8>> {
        self.host.inside(move || {
            let socket = UdpSocket::bind("0.0.0.0:68")?;
            socket.set_broadcast(true)?;
            // The DHCP_REQ_TIMEOUT of a Pi's settings.
            socket.set_read_timeout(Some(Duration::from_secs(4)))?;
            let mut buffer = [0; 1500];
            for _ in 0..5 {
                socket.send_to(&message, "255.255.255.255:67")?;
                match socket.recv_from(&mut buffer) {
                    Ok((len, from)) if from.port() == 67 => return Ok(buffer.get(..len).unwrap_or_default().to_vec()),
                    Ok((_, from)) => bail!("an answer from {from}"),
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            bail!("no answer to five attempts")
        })
    }

    fn has(&self, ip: Ipv4Addr) -> Result<()> {
        ensure!(ip.octets().starts_with(&[10, 77, 0]), "it was offered {ip}");
        self.host.run("ip", ["addr", "add", &format!("{ip}/24"), "dev", "eth0"]).map(drop)
    }

    fn loads(&self, asked: &[(&str, Option<&str>)]) -> Result<()> {
        for (name, there) in asked {
            let wanted =
                there.and_then(|file| FILES.iter().find(|(known, _)| *known == file)).map(|(_, content)| *content);
            let got = load(&self.host, name)?;
            ensure!(got.as_deref() == wanted.map(str::as_bytes), "{name} is {got:?}, not {wanted:?}");
        }
        Ok(())
    }
}

/// Loads a file by plain TFTP, as the ROM does: no options, blocks of 512 bytes. None if the server says that it is not there.
fn load(host: &Host, name: &str) -> Result<Option<Vec<u8>>> {
    let request = [&[0, 1], name.as_bytes(), b"\0octet\0"].concat();
    host.inside(move || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.send_to(&request, SocketAddr::from((SERVER, 69)))?;
        let (mut content, mut buffer) = (Vec::new(), [0; 600]);
        loop {
            let (len, from) = socket.recv_from(&mut buffer).with_context(|| format!("no answer about {name}"))?;
            match buffer.get(..len).unwrap_or_default() {
                [0, 3, high, low, data @ ..] => {
                    content.extend_from_slice(data);
                    socket.send_to(&[0, 4, *high, *low], from)?;
                    if data.len() < 512 {
                        return Ok(Some(content));
                    }
                }
                // rfc1350, error 1: file not found.
                [0, 5, 0, 1, ..] => return Ok(None),
                other => bail!("{name}: {}", hex(other)),
            }
        }
    })
}

fn digits(text: &str) -> String {
    text.split_ascii_whitespace().collect()
}

fn bytes(text: &str) -> Result<Vec<u8>> {
    let digits = digits(text);
    let pairs = digits.as_bytes().chunks(2).map(|pair| u8::from_str_radix(&String::from_utf8_lossy(pair), 16));
    pairs.collect::<Result<_, _>>().context("a fixture is not in hexadecimal")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
