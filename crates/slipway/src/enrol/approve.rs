//! `slipway approve` and `slipway deny`: a person's word on who asks.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use slipway_api::org::{OrgMachines, Ticket, Tickets};
use slipway_trust::record::{Approval, DiskPlan};

use super::which::the_one;
use super::{acts, escrow, requests};
use crate::cli::Global;
use crate::client::Client;
use crate::org::parts::escrow_key;
use crate::org::place::{Org, data, now};
use crate::org::sheet::{Kind, Sheet, Signing, settle};

/// `slipway approve`
#[derive(Args, Clone, Debug)]
pub(crate) struct Approve {
    /// Who: the request's id or the beginning of it, or the machine's MAC address
    #[arg(value_name = "REQUEST")]
    request: String,
    /// The machine's name [default: m- and its MAC address]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The machine's role: it runs the generation of that name, or the only one that there is
    #[arg(long, value_name = "ROLE", default_value = "machine")]
    role: String,
    /// The disk that it is installed on, as the request lists it [default: the one that has our ESP, or the only one]
    #[arg(long, value_name = "DISK")]
    disk: Option<String>,
    /// Everything on that disk may go
    #[arg(long)]
    wipe: bool,
    /// Make no encrypted data partition
    #[arg(long)]
    no_data: bool,
    /// The size of the ESP, where one must be made, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(128..=16384))]
    esp: u32,
    /// The machine that this one takes the place of, because it lost its key: that one is retired in the same act, or, if it had another TPM,
    /// revoked
    #[arg(long, value_name = "MACHINE")]
    replaces: Option<String>,
    /// Open that machine's data partition for this one, by its key in escrow: the escrow key's file, or its parts; may be repeated
    #[arg(long, value_name = "FILE", requires = "replaces", conflicts_with = "wipe")]
    escrow: Vec<PathBuf>,
    /// The six words on the machine's console, as you read them there: they are compared here
    #[arg(long, value_name = "WORDS")]
    words: Option<String>,
    /// Do not ask; only with --words
    #[arg(long, requires = "words")]
    yes: bool,
    #[command(flatten)]
    signing: Signing,
}

/// `slipway deny`
#[derive(Args, Clone, Debug)]
pub(crate) struct Deny {
    /// Who: the request's id or the beginning of it, or the machine's MAC address
    #[arg(value_name = "REQUEST")]
    request: String,
    #[command(flatten)]
    signing: Signing,
}

fn ticket(global: &Global, word: &str) -> Result<Ticket> {
    let known: Tickets = Client::of(global).get("/org/tickets")?;
    let names = |ticket: &Ticket| {
        let mut names = vec![ticket.id.clone()];
        names.extend(ticket.inventory.macs.iter().cloned());
        names
    };
    the_one(word, &known.tickets, "request", "slipway requests", names).cloned()
}

pub(crate) fn approve(global: &Global, words: &Approve) -> Result<ExitCode> {
    let org = Org::open(&data(global))?;
    let ticket = ticket(global, &words.request)?;
    if let Some(told) = &words.words {
        compare(told, &ticket.words)?;
    }
    let plan = plan(words, &ticket)?;
    if !global.json {
        print!("{}", requests::told(&ticket, jiff::Timestamp::now()));
        println!("{:12} {}", "disk plan", crate::org::told::plan(&plan));
    }
    confirm(words, &ticket)?;
    let (mut replaces, mut opening) = (None, None);
    if let Some(word) = &words.replaces {
        let known: OrgMachines = Client::of(global).get("/org/machines")?;
        let old = acts::machine(word, &known.machines)?;
        replaces = Some(old.id.parse()?);
        if !words.escrow.is_empty() {
            opening = Some(escrow::opening(&org, old, ticket.tpm.as_deref(), &escrow_key(&words.escrow, &org)?)?);
        }
    }
    let approval = Approval {
        ticket: ticket.id.parse()?,
        key: ticket.key.parse()?,
        ek: ticket.ek.as_ref().map(|ek| ek.parse()).transpose()?,
        transcript: ticket.transcript.parse()?,
        yes: true,
        name: words.name.clone().unwrap_or_else(|| usual_name(&ticket)),
        role: words.role.clone(),
        plan,
        at: now(),
        replaces,
        opening,
    };
    settle(global, &org, Sheet::new(Kind::Approval, org.id(), &approval), &words.signing)
}

/// Compares what a person read on the console with what we know: word by word, since a typing error in one is worth a second look.
fn compare(told: &str, ours: &str) -> Result<()> {
    let split = |text: &str| text.split_whitespace().map(str::to_ascii_lowercase).collect::<Vec<_>>();
    let (told, ours) = (split(told), split(ours));
    if told == ours {
        return Ok(());
    }
    let same = told.iter().zip(&ours).filter(|(told, ours)| told == ours).count();
    bail!(
        "the words differ ({same} of {} are the same): if you read them right, this is not the machine before you, or somebody stands \
         between it and this server; do not approve it",
        ours.len()
    );
}

fn confirm(words: &Approve, ticket: &Ticket) -> Result<()> {
    if words.words.is_some() && (words.yes || !crate::ask::is_possible()) {
        return Ok(());
    }
    if !crate::ask::is_possible() {
        bail!("nobody is there to compare the six words: give those on the machine's console with `--words \"…\"`");
    }
    let question = format!("\nDoes the machine's console show these six words?\n    {}\nApprove it?", ticket.words);
    let question = if words.words.is_some() { "The words are the same. Approve it?" } else { &question };
    if !crate::ask::agreed(question)? {
        bail!("not approved; `slipway deny {}` tells the machine so", ticket.id);
    }
    Ok(())
}

/// What the machine is to do with its disk. A disk is wiped only by its name; where there is but one, that one is meant.
fn plan(words: &Approve, ticket: &Ticket) -> Result<DiskPlan> {
    let disks = &ticket.inventory.disks;
    let ids = || disks.iter().map(|disk| disk.id.as_str()).collect::<Vec<_>>().join(", ");
    let disk = match (&words.disk, disks.as_slice()) {
        (Some(id), _) if disks.iter().any(|disk| disk.id == *id) => Some(id.clone()),
        (Some(id), _) => bail!("the machine has no disk {id:?}; it has {}", ids()),
        (None, [only]) if words.wipe => Some(only.id.clone()),
        (None, []) if words.wipe => bail!("the machine tells of no disk that could be wiped"),
        (None, _) if words.wipe => bail!("which disk is to be wiped? Say `--disk` with one of {}", ids()),
        (None, _) => None,
    };
    Ok(DiskPlan { disk, wipe: words.wipe, esp_mib: words.esp, data: !words.no_data })
}

/// A name that nobody had to think of.
fn usual_name(ticket: &Ticket) -> String {
    let mac = ticket.inventory.macs.first().map(|mac| mac.replace(':', ""));
    let word = mac.unwrap_or_else(|| ticket.id.chars().take(12).collect());
    format!("m-{}", word.to_ascii_lowercase())
}

pub(crate) fn deny(global: &Global, words: &Deny) -> Result<ExitCode> {
    let org = Org::open(&data(global))?;
    let ticket = ticket(global, &words.request)?;
    let denial = Approval {
        ticket: ticket.id.parse()?,
        key: ticket.key.parse()?,
        ek: ticket.ek.as_ref().map(|ek| ek.parse()).transpose()?,
        transcript: ticket.transcript.parse()?,
        yes: false,
        name: String::new(),
        role: String::new(),
        plan: DiskPlan { disk: None, wipe: false, esp_mib: 0, data: false },
        at: now(),
        replaces: None,
        opening: None,
    };
    settle(global, &org, Sheet::new(Kind::Approval, org.id(), &denial), &words.signing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_api::org::Disk;

    fn words() -> Approve {
        Approve {
            request: String::new(),
            name: None,
            role: "machine".to_owned(),
            disk: None,
            wipe: false,
            no_data: false,
            esp: 512,
            replaces: None,
            escrow: Vec::new(),
            words: None,
            yes: false,
            signing: Signing::default(),
        }
    }

    #[test]
    fn words_are_compared_exactly() {
        let ours = "measure spice veteran shock sense garage";
        assert!(compare("measure  spice veteran shock sense garage\n", ours).is_ok());
        assert!(compare("Measure Spice Veteran Shock Sense Garage", ours).is_ok());
        for told in
            ["", "measure", "measure spice veteran shock garage sense", "measure spice veteran shock sense garages"]
        {
            let error = compare(told, ours).unwrap_err().to_string();
            assert!(error.contains("do not approve"), "{error}");
        }
    }

    #[test]
    fn a_disk_is_wiped_only_where_it_is_clear_which() {
        let mut ticket = requests::tests::ticket();
        let wipe = Approve { wipe: true, ..words() };
        assert_eq!(plan(&words(), &ticket).unwrap().disk, None);
        assert_eq!(plan(&wipe, &ticket).unwrap().disk.as_deref(), Some("virtio-disk0"));
        ticket.inventory.disks.push(Disk { id: "nvme-1".to_owned(), ..Disk::default() });
        assert!(plan(&wipe, &ticket).unwrap_err().to_string().contains("virtio-disk0, nvme-1"));
        let named = Approve { disk: Some("nvme-1".to_owned()), ..wipe.clone() };
        assert_eq!(plan(&named, &ticket).unwrap().disk.as_deref(), Some("nvme-1"));
        let wrong = Approve { disk: Some("sda".to_owned()), ..wipe.clone() };
        assert!(plan(&wrong, &ticket).unwrap_err().to_string().contains("no disk \"sda\""));
        ticket.inventory.disks.clear();
        assert!(plan(&wipe, &ticket).is_err());
    }

    #[test]
    fn a_machine_has_a_name_that_nobody_had_to_think_of() {
        let mut ticket = requests::tests::ticket();
        assert_eq!(usual_name(&ticket), "m-525400123456");
        ticket.inventory.macs.clear();
        assert_eq!(usual_name(&ticket), "m-00aa11bb22cc");
    }
}
