//! A stranger on the LAN answers first, with the org's own bootstrap image, which is public; and he stands where its gateway should be, with an
//! org of his own that has the same name. The image refuses him and says why. The org hears nothing of it.

use anyhow::{Result, ensure};

use super::enrol::{self, Home};
use crate::lab::Lab;
use crate::machine::{Firmware, Order};
use crate::org::GATEWAY;
use crate::pcap::Packet;

/// Where the org's server is: not where its machines look for it.
const ELSEWHERE: &str = "10.77.0.2";

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let lan = lab.lan("lan")?;
    let host = lab.host("server", &[(&lan, &format!("{ELSEWHERE}/24"))])?;
    let org = lab.org(&host, "")?;
    let host = lab.host("stranger", &[(&lan, &format!("{GATEWAY}/24"))])?;
    let stranger = lab.impostor(&host)?;
    for side in [&org, &stranger] {
        side.server().start()?;
        side.open_window()?;
    }

    let order = Order::new("node1", 1, Firmware::UefiPxe).hearing(too_late);
    let home = Home::without_tpm(lab, order)?;
    let machine = lab.power_on(home.order.clone(), &lan)?;
    let refused = machine.wait_failure(0, "tls connected")?.text;
    ensure!(refused.contains(GATEWAY), "it does not say who: {refused}");
    ensure!(refused.contains("the server does not show the CA of this org"), "it does not say why: {refused}");
    machine.pull_plug()?;

    // Neither server has heard a word of the machine, and nothing was written to its disk.
    for side in [&org, &stranger] {
        enrol::ensure_nobody_in(side)?;
        let heard = side.server().log()?.find("hello -> ");
        ensure!(heard.is_none(), "{} heard {heard:?}", side.server().host().name());
    }
    enrol::ensure_untouched(&home.disk)
}

/// The org's own DHCP server is too late for everything.
fn too_late(packet: &Packet) -> bool {
    packet.from.port() != 67 || packet.from.ip().to_string() != ELSEWHERE
}
