//! iPXE that cannot say that it is iPXE: a relay takes out what it would be known by. So undionly.kpxe is loaded, asks like any ROM, is
//! given undionly.kpxe, and would load itself for ever. We notice, stop, and say so, where somebody looks.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::boot;
use crate::filter::Filter;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

const PATIENCE: Duration = Duration::from_secs(400);
const LOADER: &str = "undionly.kpxe";

const CONFIG: &str = r#"
[[interface]]
name = "eth0"
mode = "dhcp"

[[subnet]]
network = "10.77.1.0/24"
pool = ["10.77.1.100-10.77.1.200"]
router = "10.77.1.1"

[[rule]]
name = "everything"
boot = "debian"
"#;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let core = lab.lan("core")?;
    let rack = lab.lan("rack")?;
    let host = lab.host("server", &[(&core, "10.77.0.1/24")])?;
    let relay = lab.host("relay", &[(&rack, "10.77.1.1/24"), (&core, "10.77.0.2/24")])?;
    relay.forward()?;
    host.route_through(relay.address_on(&core)?)?;
    let filter = Filter::start(&relay, &rack, host.ip()?)?;
    let server = lab.slipway(&host, CONFIG)?;
    boot::add_linux(lab, &server)?;
    server.start()?;

    // The ROM is iPXE too, and as hidden: the first loads the second, the second the third.
    let machine = lab.power_on(Order::new("node1", 1, Firmware::Bios), &rack)?;
    server.log()?.wait_for("loader-loop", PATIENCE)?;
    // The last one is told no file, and ends there.
    machine.console().wait_for("Nothing to boot", PATIENCE)?;
    let story = boot::story(lab, &rack, &machine)?;
    let loads = story.loaded(LOADER).count();
    ensure!(loads == 5, "{LOADER} was loaded {loads} times, not five and no more");

    let shown = boot::last_boot(&server, &machine)?;
    let said = |key: &str| shown.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    ensure!(said("state") == "stopped", "the boot is {:?}: {shown}", said("state"));
    ensure!(said("summary").contains("was loaded 5 times in a row"), "the journal does not say why: {shown}");
    ensure!(boot::requests(&story).is_empty(), "iPXE was not hidden: it found its script");

    // The remedy: what is said comes through. Then the machine is given its loader again, at once.
    filter.pass_all();
    server.cli(["machine", "release", &machine.mac().to_string()])?;
    machine.process().kill()?;
    let again = lab.power_on(Order::new("node1", 1, Firmware::Bios), &rack)?;
    boot::see_it_boot(lab, &server, &again).map(drop)
}
