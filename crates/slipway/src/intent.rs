//! `slipway machine boot`, `release` and `forget`: what an operator says of one machine.

use std::process::ExitCode;

use anyhow::Result;
use slipway_api::{Order, Remembered};

use crate::cli::{Boot, Global, Which};
use crate::client::Client;
use crate::machines::{aim, print_json, told_memory};

pub(crate) fn boot(global: &Global, words: &Boot) -> Result<ExitCode> {
    let order = order(words);
    let remembered: Remembered = Client::of(global).send(&format!("/machines/{}/boot", words.mac), &order)?;
    if global.json {
        return print_json(&remembered);
    }
    match &remembered.intent {
        Some(intent) if intent.once => println!("{} boots {} once, then by the rules again", words.mac, aim(intent)),
        Some(intent) => println!("{} boots {} from now on", words.mac, aim(intent)),
        None => println!("{} boots by the rules", words.mac),
    }
    Ok(ExitCode::SUCCESS)
}

fn order(words: &Boot) -> Order {
    let boot = match words {
        Boot { local: true, .. } => "local",
        Boot { menu: true, .. } => "menu",
        Boot { rules: true, .. } => "rules",
        _ => "image",
    };
    Order {
        boot: boot.to_owned(),
        image: words.image.clone(),
        path: words.path.clone(),
        append: words.append.clone(),
        once: words.once,
    }
}

pub(crate) fn release(global: &Global, which: &Which) -> Result<ExitCode> {
    let remembered: Remembered = Client::of(global).post(&format!("/machines/{}/release", which.mac))?;
    if global.json {
        return print_json(&remembered);
    }
    println!("{}: what was held back is given again", which.mac);
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn forget(global: &Global, which: &Which) -> Result<ExitCode> {
    let remembered: Remembered = Client::of(global).post(&format!("/machines/{}/forget", which.mac))?;
    if global.json {
        return print_json(&remembered);
    }
    told_memory(&remembered, jiff::Timestamp::now()).iter().for_each(|line| println!("{line}"));
    println!("{}: nothing is remembered of it beyond its boots", which.mac);
    Ok(ExitCode::SUCCESS)
}
