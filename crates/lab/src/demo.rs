//! The demo.
use crate::lab::Lab;
use crate::runner::Plan;
use crate::scenarios::Scenario;
use anyhow::Result;
use std::process::ExitCode;

pub(crate) const SCENARIO: Scenario = Scenario { name: "demo", about: "", boots: true, tools: &[], run };

fn run(_lab: &mut Lab) -> Result<()> {
    Ok(())
}

pub(crate) fn show(_plan: &Plan) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
