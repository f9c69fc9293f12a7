//! What machines are made of: Linux and the org's images, for each processor. They are made while scenarios run that need nothing of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use slipway_wire::Cpu;

use crate::agent;
use crate::linux::Linux;
use crate::org::Made;
use crate::parts::Parts;
use crate::scenarios::Scenario;

/// Where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The agent of x64 machines that was named.
    pub(crate) agent: Option<PathBuf>,
    /// The source tree, if there is one: agents are built from it.
    pub(crate) workspace: Option<PathBuf>,
    /// The program under test, which makes the org.
    pub(crate) slipway: PathBuf,
    /// Where it is kept for the next time.
    pub(crate) cache: PathBuf,
}

/// What is there by now: each, or why it can't be had; then only the scenarios that need it fail.
#[derive(Debug, Default)]
pub(crate) struct Stock {
    linux: BTreeMap<Cpu, Result<Linux, String>>,
    orgs: BTreeMap<Cpu, Result<Made, String>>,
}

/// One more thing that is there.
#[derive(Debug)]
pub(crate) enum Item {
    /// What machines of this processor boot.
    Linux(Cpu, Result<Linux, String>),
    /// The org that they join.
    Org(Cpu, Result<Made, String>),
}

impl Source {
    /// Makes what machines of this processor need, and hands it over piece by piece. `tell` hears how long each takes.
    pub(crate) fn make(&self, cpu: Cpu, org: bool, tell: &(dyn Fn(&str) + Sync), hand_over: &dyn Fn(Item)) {
        let start = Instant::now();
        let took = |what: &str| tell(&format!("made  {what} for {cpu}  {:.1} s", start.elapsed().as_secs_f64()));
        let told = |error| format!("cannot make a Linux for machines of the kind {cpu}: {error:#}");
        let agent = self.agent(cpu).map_err(told);
        let linux = agent.clone().and_then(|agent| {
            let make = if cpu == Cpu::Arm64 { Linux::arm64 } else { Linux::make };
            make(&agent, &self.cache).map_err(told)
        });
        took("Linux");
        hand_over(Item::Linux(cpu, linux));
        if org {
            let told = |error| format!("cannot make an org for machines of the kind {cpu}: {error:#}");
            let made = agent.and_then(|agent| Made::make(&self.slipway, &agent, cpu, &self.cache).map_err(told));
            took("the org");
            hand_over(Item::Org(cpu, made));
        }
    }

    /// The agent for machines with this processor.
    fn agent(&self, cpu: Cpu) -> Result<PathBuf> {
        if let Some(agent) = self.agent.as_ref().filter(|_| cpu == Cpu::X64) {
            return agent.canonicalize().with_context(|| format!("no agent at {}", agent.display()));
        }
        if let Some(workspace) = &self.workspace {
            return agent::build(cpu, workspace, &self.cache);
        }
        let name = if cpu == Cpu::Arm64 { "slipway-agent-arm64" } else { "slipway-agent" };
        let places = [self.slipway.with_file_name(name), Path::new("/usr/lib/slipway").join(name)];
        let found = places.iter().find(|path| path.exists()).cloned();
        found.with_context(|| format!("no {name} beside slipway or in /usr/lib/slipway: name it with --agent"))
    }
}

impl Stock {
    /// Puts it there.
    pub(crate) fn put(&mut self, item: Item) {
        match item {
            Item::Linux(cpu, linux) => drop(self.linux.insert(cpu, linux)),
            Item::Org(cpu, org) => drop(self.orgs.insert(cpu, org)),
        }
    }

    /// What this scenario is made of: `parts` with what its machines need. Nothing, if that is not all there yet.
    pub(crate) fn parts(&self, scenario: &Scenario, parts: &Parts) -> Option<Result<Parts, String>> {
        let Some(boots) = scenario.boots else { return Some(Ok(parts.clone())) };
        let linux = self.linux.get(&boots.cpu)?.as_ref();
        let org = if boots.org { Some(self.orgs.get(&boots.cpu)?.as_ref()) } else { None };
        let with = |linux: &Linux, org: Option<&Made>| Parts {
            linux: Some(linux.clone()),
            org: org.cloned(),
            ..parts.clone()
        };
        let both = linux.and_then(|linux| org.transpose().map(|org| with(linux, org)));
        Some(both.map_err(Clone::clone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios::SCENARIOS;

    #[test]
    fn a_scenario_waits_for_what_its_machines_need_and_for_nothing_else() {
        let named = |name| SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
        let [client, boots, joins] = ["tftp-clients", "uefi-pxe-uki", "recover-esp"].map(named);
        let parts = Parts { slipway: "/s".into(), work: "/w".into(), linux: None, org: None };
        let mut stock = Stock::default();
        assert!(stock.parts(client, &parts).unwrap().is_ok());
        assert!(stock.parts(boots, &parts).is_none());
        stock.put(Item::Linux(Cpu::Arm64, Err("no compiler".to_owned())));
        assert!(stock.parts(boots, &parts).is_none());
        stock.put(Item::Linux(Cpu::X64, Err("no network".to_owned())));
        assert_eq!(stock.parts(boots, &parts).unwrap().unwrap_err(), "no network");
        assert!(stock.parts(joins, &parts).is_none());
        stock.put(Item::Org(Cpu::X64, Err("no keys".to_owned())));
        assert_eq!(stock.parts(joins, &parts).unwrap().unwrap_err(), "no network");
    }
}
