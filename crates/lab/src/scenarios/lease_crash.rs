//! The server is killed at random moments under load, again and again on the same data, and every promise holds.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::lab::Lab;
use crate::loadgen::{Crowd, Plan, Random};

const ROUNDS: usize = 50;
/// A minute's lease and few addresses beyond those in use, so that addresses change hands all the time. Not authoritative: then a
/// lease that was forgotten is not made good in silence when its client renews it.
const CONFIG: &str = r#"
[[interface]]
name = "eth0"
mode = "dhcp"

[[subnet]]
network = "10.77.0.0/16"
pool = ["10.77.16.1-10.77.17.170"]
lease = "1m"
authoritative = false
"#;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let lan = lab.lan("lan")?;
    let host = lab.host("server", &[(&lan, "10.77.0.1/16")])?;
    let crowd_host = lab.host("crowd", &[(&lan, "10.77.0.2/16")])?;
    let server = lab.slipway(&host, CONFIG)?;
    let seed = Random::seed()?;
    lab.say(&format!("seed {seed} (SLIPWAY_SEED={seed} repeats it)"));
    let plan = Plan {
        server: SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 1), 67),
        relay: Ipv4Addr::new(10, 77, 0, 2),
        clients: 250,
        idle: Duration::from_millis(120),
        seed,
    };
    let mut random = Random::new(seed ^ 0xdead);
    let report = crowd_host.inside(|| {
        let mut crowd = Crowd::new(&plan)?;
        server.start()?;
        for round in 1..=ROUNDS {
            // Somewhere in the next few hundred exchanges, whatever the server is doing then.
            let before = crowd.report();
            let enough = before.leases + before.renewals + usize::try_from(1 + random.below(300))?;
            let late = Instant::now() + Duration::from_secs(20);
            crowd.act_until(|seen| seen.leases + seen.renewals >= enough || Instant::now() > late)?;
            let moment = random.part_of(Duration::from_millis(8));
            crowd.act_for(moment)?;
            server.kill9()?;
            crowd.drain()?;
            server.start().with_context(|| format!("start after kill {round}"))?;
            crowd.confirm()?;
            let report = crowd.report();
            let told = report.faults.iter().map(|fault| format!("\n  {fault}")).collect::<String>();
            ensure!(report.faults.is_empty(), "after kill {round} of seed {seed}: {report}{told}");
            ensure!(report.renewals > before.renewals, "nobody had anything to lose in round {round}: {report}");
        }
        Ok(crowd.report())
    })?;
    lab.say(&format!("{ROUNDS} kills: {report}"));
    ensure!(report.leases > ROUNDS * 5 && report.renewals > ROUNDS * 50, "hardly any load: {report}");
    server.stop()
}
