//! The demo: one blank machine, from power-on to Linux, through a Slipway that was not configured at all. Watched live.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use slipway_wire::MacAddr;
use slipway_wire::dhcp4::{Message, MessageType};

use crate::firmware::{Boots, IPXE, OVMF};
use crate::lab::Lab;
use crate::machine::{Firmware, Order};
use crate::parts::DNSMASQ;
use crate::pcap::{Packet, Payload};
use crate::peers;
use crate::record::Record;
use crate::runner::{self, Plan};
use crate::scenarios::Scenario;

/// The demo as the lab runs it. It is not listed with the others: the scenarios test what it shows.
pub(crate) const SCENARIO: Scenario = Scenario {
    name: "demo",
    about: "a blank machine, watched",
    boots: Boots::x64(&[OVMF, IPXE], "PXE beside another DHCP server, no configuration: iPXE, menu, UKI"),
    tools: &[DNSMASQ],
    run,
};

/// How long each step may take.
const STEP: Duration = Duration::from_secs(180);
/// Begins a line that tells of a step that was reached.
const REACHED: &str = "reached\t";

fn run(lab: &mut Lab) -> Result<()> {
    let lan = lab.lan("lan")?;
    let router = lab.host("router", &[(&lan, "10.77.0.1/24")])?;
    let dnsmasq = peers::dnsmasq_dhcp(&router, "10.77.0.100", "10.77.0.200")?;
    lab.keep(&dnsmasq);
    let host = lab.host("server", &[(&lan, "10.77.0.2/24")])?;
    let server = lab.slipway_by_default(&host)?;
    let uki = lab.uki(&lab.cmdline())?;
    server.cli(["image".as_ref(), "add".as_ref(), "debian".as_ref(), "--uki".as_ref(), uki.as_os_str()])?;
    server.start()?;
    lab.say("network   a LAN of its own; a DHCP server that knows nothing of booting (dnsmasq, 10.77.0.1)");
    lab.say("server    slipway image add debian --uki linux.efi; slipway serve: no configuration (10.77.0.2)");
    lab.say(&format!("machine   UEFI, blank: no disk, no system; to boot Linux {}", lab.linux()?.release));

    let machine = lab.power_on(Order::new("node1", 1, Firmware::UefiPxe).cpus(2), &lan)?;
    let (mac, packets) = (machine.mac(), lab.packets(&lan)?);
    let reached = |lab: &Lab, what: &str| lab.say(&format!("{REACHED}{what}"));
    reached(lab, "power on");
    packets.wait_for("DISCOVER", STEP, |packet| is_dhcp(packet, mac, MessageType::DISCOVER, 67))?;
    reached(lab, "firmware asks the network who boots it");
    packets.wait_for("answer on port 4011", STEP, |packet| is_dhcp(packet, mac, MessageType::ACK, 4011))?;
    reached(lab, "has an address from the router, and a boot file from slipway (ProxyDHCP)");
    packets.wait_for("iPXE's script", STEP, |packet| asks_http(packet, mac, "/boot.ipxe"))?;
    reached(lab, "has loaded iPXE by TFTP; iPXE asks for its script");
    packets.wait_for("the image", STEP, |packet| asks_http(packet, mac, "/image/"))?;
    reached(lab, "menu shown for ten seconds; loading the first entry by HTTP");
    machine.console().wait_for("Linux version ", STEP)?;
    reached(lab, "Linux starts");
    let booted = machine.wait_booted()?;
    reached(lab, &format!("Linux {} runs, on {}", booted.kernel, booted.ip));
    machine.wait_reported()?;
    reached(lab, "the machine has reported to slipway");
    machine.wait_off()?;
    ensure!(
        booted.cmdline == lab.cmdline(),
        "the UKI's own command line was {:?}, not {:?}",
        lab.cmdline(),
        booted.cmdline
    );
    lab.say("");
    lab.say(&format!("$ slipway machine show {mac}"));
    lab.say(server.cli(["machine", "show", &mac.to_string()])?.trim_end());
    Ok(())
}

/// Whether this is a DHCP message of this type, of or for this machine, from or to this port.
fn is_dhcp(packet: &Packet, mac: MacAddr, kind: MessageType, port: u16) -> bool {
    let Payload::Udp { data, .. } = &packet.payload else { return false };
    let here = packet.from.port() == port || packet.to.port() == port;
    here && Message::decode(data)
        .is_ok_and(|message| message.mac() == Some(mac) && message.options.message_type() == Some(kind))
}

/// Whether this is the machine's request for a resource that begins so.
fn asks_http(packet: &Packet, mac: MacAddr, target: &str) -> bool {
    let Payload::Tcp { data, .. } = &packet.payload else { return false };
    packet.source == mac && data.strip_prefix(b"GET ").is_some_and(|rest| rest.starts_with(target.as_bytes()))
}

/// Runs the demo, and shows it on the terminal as it goes.
pub(crate) fn show(plan: &Plan) -> Result<ExitCode> {
    println!("Slipway boots a blank machine:");
    let screen = Screen::new();
    let over = AtomicBool::new(false);
    let record = std::thread::scope(|scope| {
        let ticker = scope.spawn(|| screen.tick_until(&over));
        let mut records = runner::run_all(&[&SCENARIO], plan, &|line| screen.tell(line));
        over.store(true, Ordering::Release);
        ticker.thread().unpark();
        records.pop()
    });
    screen.finish();
    let Some(record) = record else { return Ok(ExitCode::FAILURE) };
    Ok(sum_up(&record, &plan.parts.work.join(SCENARIO.name)))
}

fn sum_up(record: &Record, folder: &std::path::Path) -> ExitCode {
    println!();
    if let Some(error) = &record.error {
        println!("The demo failed: {error}");
        println!("What went on is in {}", folder.join("report.txt").display());
        return ExitCode::FAILURE;
    }
    let total: f64 = record.stages.iter().map(|stage| stage.seconds).sum();
    for stage in &record.stages {
        println!("  {:>6.1} s  {}", stage.seconds, stage.name);
    }
    println!("  {total:>6.1} s  from power-on to a machine that has reported in");
    println!("Console, capture and logs are in {}", folder.display());
    ExitCode::SUCCESS
}

/// The terminal while the demo runs: steps that were reached, and a clock behind the one under way.
struct Screen {
    live: bool,
    state: Mutex<ScreenState>,
}

struct ScreenState {
    /// When the machine was switched on.
    start: Option<Instant>,
    /// When the last step was reached.
    last: Instant,
}

impl Screen {
    fn new() -> Self {
        let live = std::io::stdout().is_terminal();
        Self { live, state: Mutex::new(ScreenState { start: None, last: Instant::now() }) }
    }

    /// Shows a line of the demo's process.
    fn tell(&self, line: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let line = line.strip_prefix("demo: ").unwrap_or(line);
        self.clear();
        if let Some(step) = line.strip_prefix(REACHED) {
            let now = Instant::now();
            let start = *state.start.get_or_insert(now);
            println!("  {:>6.1} s  {step}", now.duration_since(start).as_secs_f64());
            state.last = now;
        } else if !line.starts_with("pass  ") && !line.starts_with("FAIL  ") {
            println!("  {line}");
        }
    }

    /// Moves the clock on, ten times a second, until it is `over`.
    fn tick_until(&self, over: &AtomicBool) {
        while self.live && !over.load(Ordering::Acquire) {
            std::thread::park_timeout(Duration::from_millis(100));
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(start) = state.start {
                let since = |moment: Instant| moment.elapsed().as_secs_f64();
                print!("\r  {:>6.1} s  … {:.1} s\x1b[K", since(start), since(state.last));
                // A terminal that is gone is no reason to stop.
                let _gone = std::io::stdout().flush();
            }
        }
    }

    fn clear(&self) {
        if self.live {
            print!("\r\x1b[K");
        }
    }

    fn finish(&self) {
        self.clear();
    }
}
