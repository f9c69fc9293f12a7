//! The one command.

mod ask;
mod ca;
mod check;
mod cli;
mod client;
#[cfg(test)]
mod docs;
mod enrol;
mod image;
mod init;
mod intent;
mod machines;
mod org;
mod secureboot;
mod status;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser};
use cli::{Cli, Command, Global, Machine, Serve};
use client::Client;
use slipway_server::config::{Level, LogFormat};
use slipway_server::places::{Surroundings, config_file, load};
use slipway_server::serve::{Options, Start};
use slipway_server::{logging, serve};
use slipway_trust::record::Verb;

fn main() -> ExitCode {
    // A reader that has seen enough (`slipway machines | head`) ends this program quietly, as it ends others.
    // SAFETY: called before there is a second thread, with a constant.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let cli = Cli::parse();
    match obey(cli) {
        Ok(code) => code,
        Err(error) => {
            let text = format!("{error:#}");
            // Many lines are a configuration's faults: each starts with its place, where editors look for it.
            let sentence =
                if text.contains('\n') { "slipway: the configuration cannot be used:\n" } else { "slipway: " };
            eprintln!("{sentence}{text}");
            ExitCode::FAILURE
        }
    }
}

fn obey(Cli { global, command }: Cli) -> Result<ExitCode> {
    let _flush = match command {
        Command::Serve(_) => None,
        _ => Some(logging::init(Level::Warn, LogFormat::Text)),
    };
    match command {
        Command::Serve(serve) => serve_until_stopped(&global, serve),
        Command::Init(init) => init::run(&init),
        Command::Check(check) => check::run(&global, &check),
        Command::Image(command) => change_images(&global, command),
        Command::Ca(ca) => ca::run(&global, &ca),
        Command::SecureBoot(command) => secureboot::run(&global, &command),
        Command::Org(command) => org::run(&global, &command),
        Command::Machines(machines) => machines::list(&global, &machines),
        Command::Machine(Machine::Show(show)) => machines::show(&global, &show),
        Command::Machine(Machine::Boot(boot)) => intent::boot(&global, &boot),
        Command::Machine(Machine::Release(which)) => intent::release(&global, &which),
        Command::Machine(Machine::Forget(which)) => intent::forget(&global, &which),
        Command::Machine(Machine::Reset(reset)) => machines::reset(&global, &reset),
        Command::Machine(Machine::Suspend(words)) => enrol::acts::run(&global, Verb::Suspend, &words),
        Command::Machine(Machine::Resume(words)) => enrol::acts::run(&global, Verb::Resume, &words),
        Command::Machine(Machine::Retire(words)) => enrol::acts::run(&global, Verb::Retire, &words),
        Command::Machine(Machine::Revoke(words)) => enrol::acts::run(&global, Verb::Revoke, &words),
        Command::Machine(Machine::Open(words)) => enrol::escrow::run(&global, &words),
        Command::Machine(Machine::Unban(words)) => enrol::acts::run(&global, Verb::Unban, &words),
        Command::Window(command) => enrol::window::run(&global, &command),
        Command::Invite(command) => enrol::invite::run(&global, &command),
        Command::Requests(words) => enrol::requests::run(&global, &words),
        Command::Approve(words) => enrol::approve::approve(&global, &words),
        Command::Deny(words) => enrol::approve::deny(&global, &words),
        Command::EkList(command) => enrol::ek_list::run(&global, &command),
        Command::Audit(command) => enrol::audit::run(&global, &command),
        Command::Status => status::status(&global),
        Command::Reload => status::reload(&global),
        Command::Lab(lab) => slipway_lab::cli::run(lab, &["lab"]),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "slipway", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn change_images(global: &Global, command: image::ImageCommand) -> Result<ExitCode> {
    let config = load(config_file(global.config.as_deref()).as_deref()).ok();
    let data = Surroundings::read().data(global.data.as_deref(), config.as_ref());
    let changes = command.changes_what_is_served();
    image::run(command, &data, global.json)?;
    if changes {
        // So that it can be booted by the time this returns. A server that does not run, or not for us, sees it by itself later.
        let _ = Client::of(global).post::<slipway_api::Images>("/images/refresh");
    }
    Ok(ExitCode::SUCCESS)
}

fn serve_until_stopped(global: &Global, words: Serve) -> Result<ExitCode> {
    let options = Options { config: global.config.clone(), data: global.data.clone(), interfaces: words.interface };
    let start = Start::read(options, &Surroundings::read())?;
    let (level, configured) = (start.config.log_level, start.config.log_format);
    // Before the first thread, which is the log's.
    let prepared = start.prepare()?;
    let format = if global.json { LogFormat::Json } else { configured };
    let _flush = logging::init(level, format);
    // A broken standard output is no reason not to serve: SIGPIPE must not end a server.
    // SAFETY: as in `main`.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    serve::serve(prepared, &|line| {
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), "{line}");
    })?;
    Ok(ExitCode::SUCCESS)
}
