//! `slipway window`: when new machines may join at all.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde_json::json;
use slipway_api::org::{Invites, Window as Shown, Windows};
use slipway_trust::InviteId;
use slipway_trust::record::WindowClose;
use slipway_trust::window::Window;

use super::which::the_one;
use crate::cli::Global;
use crate::client::Client;
use crate::machines::{ago, print_json};
use crate::org::place::{Org, data, now, random};
use crate::org::sheet::{Kind, Sheet, Signing, settle};
use crate::org::words::seconds;

/// `slipway window …`
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum WindowCommand {
    /// Open one: only while it is open are machines granted an identity
    Open(Open),
    /// Close the one that is open, before its time
    Close(Close),
    /// Show the windows, the newest first
    #[command(alias = "list")]
    Show,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Open {
    /// How long, such as 30m or 2h; 8 hours at most
    #[arg(long = "for", value_name = "TIME", default_value = "2h", value_parser = seconds)]
    span: u64,
    /// How many machines may be granted an identity in it
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    machines: u32,
    /// Only by this invite, by its label or id; may be repeated
    #[arg(long, value_name = "INVITE")]
    invite: Vec<String>,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Close {
    /// Which, by its id [default: the one that is open]
    #[arg(value_name = "WINDOW")]
    window: Option<String>,
    #[command(flatten)]
    signing: Signing,
}

pub(crate) fn run(global: &Global, command: &WindowCommand) -> Result<ExitCode> {
    match command {
        WindowCommand::Open(words) => open(global, words),
        WindowCommand::Close(words) => close(global, words),
        WindowCommand::Show => show(global),
    }
}

fn open(global: &Global, words: &Open) -> Result<ExitCode> {
    let org = Org::open(&data(global))?;
    let key = crate::org::sheet::signer(&words.signing, &org)?;
    let mut invites = Vec::new();
    if !words.invite.is_empty() {
        let known: Invites = Client::of(global).get("/org/invites")?;
        for word in &words.invite {
            let names = |invite: &slipway_api::org::Invite| vec![invite.id.clone(), invite.label.clone()];
            let found = the_one(word, &known.invites, "invite", "slipway invite list", names)?;
            invites.push(found.id.parse::<InviteId>()?);
        }
    }
    let opens = now();
    let (id, expires) = (InviteId(random()?), opens.plus(words.span));
    let window = Window { id, opens, expires, max_machines: words.machines, invites, opened_by: key };
    window.check()?;
    let sheet = Sheet::new(Kind::Window, org.id(), &window);
    settle(global, &org, sheet, &words.signing)
}

fn close(global: &Global, words: &Close) -> Result<ExitCode> {
    let org = Org::open(&data(global))?;
    let known: Windows = Client::of(global).get("/org/windows")?;
    let found = match &words.window {
        Some(word) => the_one(word, &known.windows, "window", "slipway window show", |window| vec![window.id.clone()])?,
        None => match known.windows.iter().filter(|window| window.open).collect::<Vec<_>>().as_slice() {
            [one] => one,
            [] => bail!("no window is open (`slipway window show`)"),
            _ => bail!("several windows are open: say which (`slipway window show`)"),
        },
    };
    let record = WindowClose { window: found.id.parse()?, at: now() };
    settle(global, &org, Sheet::new(Kind::WindowClose, org.id(), &record), &words.signing)
}

fn show(global: &Global) -> Result<ExitCode> {
    let windows: Windows = Client::of(global).get("/org/windows")?;
    if global.json {
        return print_json(&json!(windows));
    }
    println!("{}", table(&windows.windows, jiff::Timestamp::now()));
    Ok(ExitCode::SUCCESS)
}

fn table(windows: &[Shown], now: jiff::Timestamp) -> String {
    if windows.is_empty() {
        return "no window was opened yet: `slipway window open`".to_owned();
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).force_no_tty();
    table.set_header(["WINDOW", "OPENED", "UNTIL", "MACHINES", "BY", "STATE"]);
    for window in windows {
        let only = if window.invites.is_empty() { "" } else { ", only by some invites" };
        table.add_row([
            window.id.clone(),
            ago(&window.opens, now),
            window.expires.clone(),
            format!("{} of {}", window.machines, window.max_machines),
            window.opened_by.clone(),
            format!("{}{only}", if window.open { "open" } else { "over" }),
        ]);
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_read_like_this() {
        let window = Shown {
            id: "00aa11bb22cc33dd".to_owned(),
            opens: "2026-11-23T03:00:00.000Z".to_owned(),
            expires: "2026-11-23T05:00:00.000Z".to_owned(),
            max_machines: 10,
            machines: 3,
            invites: Vec::new(),
            opened_by: "ebe84be5dd345c5a".to_owned(),
            open: true,
        };
        let over = Shown { open: false, invites: vec!["x".to_owned()], ..window.clone() };
        assert_eq!(
            table(&[window, over], "2026-11-23T04:00:00Z".parse().unwrap()),
            " WINDOW            OPENED         UNTIL                     MACHINES  BY                STATE
 00aa11bb22cc33dd  1 h 0 min ago  2026-11-23T05:00:00.000Z  3 of 10   ebe84be5dd345c5a  open
 00aa11bb22cc33dd  1 h 0 min ago  2026-11-23T05:00:00.000Z  3 of 10   ebe84be5dd345c5a  over, only by some invites"
        );
    }
}
