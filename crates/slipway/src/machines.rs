//! `slipway machines` and `slipway machine show`.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use comfy_table::{Attribute, Cell, Color, Table, presets};
use slipway_api::org::OrgMachine;
use slipway_api::{Boot, Intent, Machine, MachineStory, Machines as List, Remembered};
use slipway_wire::MacAddr;

use crate::cli::{Global, Machines, Show, Which};
use crate::client::Client;
use crate::enrol::{acts, identity};

pub(crate) fn list(global: &Global, words: &Machines) -> Result<ExitCode> {
    let client = Client::of(global);
    loop {
        let list: List = client.get("/machines")?;
        let org = identity::all(&client)?;
        if global.json {
            return print_json(&Listed { machines: &list.machines, org: org.as_deref() });
        }
        let mut out = std::io::stdout().lock();
        if words.watch && out.is_terminal() {
            // Home and clear: what every terminal since the VT100 does.
            write!(out, "\x1b[H\x1b[2J")?;
        }
        let known = org.unwrap_or_default();
        writeln!(out, "{}", table(&list.machines, &known, jiff::Timestamp::now(), colours()))?;
        if !words.watch {
            return Ok(ExitCode::SUCCESS);
        }
        out.flush()?;
        drop(out);
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// The list in JSON: what was heard of machines, and what the org knows of them.
#[derive(serde::Serialize)]
struct Listed<'a> {
    machines: &'a [Machine],
    #[serde(skip_serializing_if = "Option::is_none")]
    org: Option<&'a [OrgMachine]>,
}

/// Colours on a terminal, unless `NO_COLOR` says no.
fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Anything as JSON on the standard output.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<ExitCode> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(ExitCode::SUCCESS)
}

/// How long ago, as people say it.
pub(crate) fn ago(time: &str, now: jiff::Timestamp) -> String {
    let Ok(then) = time.parse::<jiff::Timestamp>() else { return time.to_owned() };
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..=119 => format!("{seconds} s ago"),
        120..=3599 => format!("{} min ago", seconds / 60),
        3600..=172_799 => format!("{} h {} min ago", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

fn table(machines: &[Machine], known: &[OrgMachine], now: jiff::Timestamp, colours: bool) -> String {
    let unheard: Vec<Machine> = identity::unheard(machines, known);
    if machines.is_empty() && unheard.is_empty() {
        return "no machine has asked yet".to_owned();
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let of_org: &[&str] = if known.is_empty() { &[] } else { &["NAME", "IDENTITY"] };
    let heads = ["MAC", "LAST SEEN", "ADDRESS", "ARCHITECTURE", "LOADER", "IMAGE", "STATE"];
    table.set_header(heads.iter().chain(of_org));
    if !colours {
        table.force_no_tty();
    }
    for machine in machines.iter().chain(&unheard) {
        let or_dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let mut row = vec![
            Cell::new(&machine.mac),
            Cell::new(if machine.last_seen.is_empty() { "never".to_owned() } else { ago(&machine.last_seen, now) }),
            Cell::new(or_dash(&machine.ip)),
            Cell::new(or_dash(&machine.arch)),
            Cell::new(or_dash(&machine.loader)),
            Cell::new(or_dash(&machine.image)),
            state(&machine.state, &summary(machine), colours),
        ];
        if !known.is_empty() {
            let words = identity::of(machine, known).map(identity::words);
            row.extend(words.unwrap_or_else(|| ["-", "-"].map(str::to_owned)).map(Cell::new));
        }
        table.add_row(row);
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// How its last boot stands, and what its next one is to be.
fn summary(machine: &Machine) -> String {
    let intent = machine.remembered.as_ref().and_then(|remembered| remembered.intent.as_ref());
    let next = intent.map(|intent| format!("next: {}{}", aim(intent), if intent.once { " once" } else { "" }));
    match (machine.summary.as_str(), next) {
        (summary, None) => summary.to_owned(),
        ("", Some(next)) => next,
        (summary, Some(next)) => format!("{summary}; {next}"),
    }
}

fn state(state: &str, summary: &str, colours: bool) -> Cell {
    let cell = Cell::new(summary);
    if !colours {
        return cell;
    }
    match state {
        "booted" => cell.fg(Color::Green),
        "stopped" | "silent" | "guarded" => cell.fg(Color::Red).add_attribute(Attribute::Bold),
        _ => cell,
    }
}

pub(crate) fn show(global: &Global, words: &Show) -> Result<ExitCode> {
    let (client, now) = (Client::of(global), jiff::Timestamp::now());
    let org = identity::all(&client)?.unwrap_or_default();
    let mac = words.machine.parse::<MacAddr>().ok();
    let named = match mac {
        Some(_) => None,
        None if org.is_empty() => bail!(
            "{:?} is no MAC address (six octets, such as 52:54:00:12:34:56), and no machine has a name here",
            words.machine
        ),
        None => Some(acts::machine(&words.machine, &org)?),
    };
    let macs = match (mac, named) {
        (Some(mac), _) => vec![mac.to_string()],
        (None, named) => named.map(|named| named.inventory.macs.clone()).unwrap_or_default(),
    };
    let stories = macs.iter().map(|mac| client.find::<MachineStory>(&format!("/machines/{mac}")));
    let stories: Vec<MachineStory> = stories.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    let heard = macs.first().map(|mac| Machine { mac: mac.clone(), ..Machine::default() });
    let named = named.or_else(|| identity::of(heard.as_ref()?, &org));
    if let (None, None) = (stories.first(), named) {
        // The server says what to look at, then.
        let story: MachineStory = client.get(&format!("/machines/{}", words.machine))?;
        return print_json(&story);
    }
    if global.json {
        return print_json(&Known {
            story: stories.first(),
            others: stories.get(1..).unwrap_or_default(),
            identity: named,
        });
    }
    named.iter().for_each(|named| print!("{}", identity::told(named, now)));
    for (number, story) in stories.iter().enumerate() {
        let gap = if number == 0 && named.is_none() { "" } else { "\n" };
        print!("{gap}{}", told(story, words, now));
    }
    Ok(ExitCode::SUCCESS)
}

/// One machine in JSON: its boots by the network card that booted, and what the org knows of it.
#[derive(serde::Serialize)]
struct Known<'a> {
    #[serde(flatten)]
    story: Option<&'a MachineStory>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    others: &'a [MachineStory],
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<&'a OrgMachine>,
}

pub(crate) fn reset(global: &Global, words: &Which) -> Result<ExitCode> {
    let done: slipway_api::Reset = Client::of(global).post(&format!("/machines/{}/reset", words.mac))?;
    if global.json {
        return print_json(&done);
    }
    match &done.was {
        Some(was) => println!("{} is made the usual offer again; it was made `{}` ({})", done.mac, was.rung, was.about),
        None => println!("{} is made the usual offer, as before", done.mac),
    }
    Ok(ExitCode::SUCCESS)
}

/// The kind of offer that a machine is made, and why.
fn told_offers(machine: &Machine) -> String {
    let Some(offers) = &machine.offers else { return String::new() };
    let mut text = format!("offers: `{}` ({})", offers.rung, offers.about);
    match &offers.works_since {
        Some(since) => text.push_str(&format!(", by which it has booted since {since}")),
        None => text.push_str(", not known to work yet"),
    }
    if let Some(because) = &offers.because {
        text.push_str(&format!("; {because}"));
    }
    if offers.rounds > 0 {
        text.push_str(&format!(
            "; it ignored every kind {} times: can it reach UDP ports 67, 69 and 4011 here?",
            offers.rounds
        ));
    }
    text.push_str(&format!(" (`slipway machine reset {}` starts again)\n", machine.mac));
    text
}

fn told(story: &MachineStory, words: &Show, now: jiff::Timestamp) -> String {
    let machine = &story.machine;
    let mut text = machine.mac.clone();
    let facts = [&machine.arch, &machine.ip, &machine.interface];
    for fact in facts.into_iter().flatten() {
        text.push_str(&format!(", {fact}"));
    }
    let told = [("via", &machine.relay), ("circuit", &machine.circuit_id), ("remote", &machine.remote_id)];
    for (word, fact) in told.into_iter().filter_map(|(word, fact)| Some((word, fact.as_ref()?))) {
        text.push_str(&format!(" {word} {fact}"));
    }
    if let Some(uuid) = &machine.uuid {
        text.push_str(&format!(", uuid {uuid}"));
    }
    match machine.last_seen.as_str() {
        "" => text.push_str(", never heard of yet\n"),
        at => text.push_str(&format!(", last seen {}\n", ago(at, now))),
    }
    if let Some(remembered) = &machine.remembered {
        told_memory(remembered, now).iter().for_each(|line| text.push_str(&format!("{line}\n")));
    }
    text.push_str(&told_offers(machine));
    let skip = if words.all { 0 } else { story.boots.len().saturating_sub(1) };
    if skip > 0 {
        text.push_str(&format!("{skip} earlier boot{} not shown (`--all`)\n", if skip == 1 { "" } else { "s" }));
    }
    for boot in story.boots.iter().skip(skip) {
        text.push_str(&told_boot(boot, words.events));
    }
    text
}

/// What is remembered of a machine, in sentences.
pub(crate) fn told_memory(remembered: &Remembered, now: jiff::Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(intent) = &remembered.intent {
        let mut line = format!("is to boot {}", aim(intent));
        line.push_str(if intent.once { " once" } else { ", whatever the rules say" });
        line.push_str(&format!(" (said {})", ago(&intent.since, now)));
        if intent.attempts > 0 {
            line.push_str(&format!("; tried in {} of at most 3 boots", intent.attempts));
        }
        lines.push(line);
    }
    if let Some(past) = &remembered.past_intent {
        let (boot, when) = (&past.boot, ago(&past.at, now));
        lines.push(if past.fulfilled {
            format!("booted {boot} once, as it was told ({when}); the rules hold again")
        } else {
            format!("was to boot {boot} once, which was given up ({when}); the rules hold again")
        });
    }
    if let Some(installer) = &remembered.installer {
        let (image, when) = (&installer.image, installer.since.as_ref().map_or(String::new(), |at| ago(at, now)));
        lines.push(match installer.state.as_str() {
            "done" => format!("installer {image} said that it is done ({when}): boots its own disk"),
            "guarded" => format!(
                "REINSTALL GUARD: installer {image} was booted {} times and never said that it is done ({when}): boots its own disk \
                 until `slipway machine release`",
                installer.boots.len()
            ),
            _ => format!("installer {image}: booted {} times by now", installer.boots.len()),
        });
    }
    if let Some(looping) = &remembered.looping {
        lines.push(format!(
            "LOADER LOOP: {} was loaded {} times in a row, and nothing else was heard ({}): not given for ten minutes or until \
             `slipway machine release`",
            looping.loader,
            looping.loads,
            ago(&looping.since, now)
        ));
    }
    lines
}

/// What an intent is for, as the command line says it.
pub(crate) fn aim(intent: &Intent) -> String {
    match (&intent.image, intent.boot.as_str()) {
        (Some(image), _) => image.clone(),
        (None, "local") => "its own disk".to_owned(),
        (None, other) => format!("the {other}"),
    }
}

fn told_boot(boot: &Boot, events: bool) -> String {
    let mut text = format!("\nboot of {}: {}\n", boot.started, boot.summary);
    if let Some(image) = &boot.image {
        let rule = boot.rule.as_ref().map_or(String::new(), |rule| format!(" by rule `{rule}`"));
        text.push_str(&format!("  image {image}{rule}\n"));
    }
    for stage in &boot.stages {
        text.push_str(&format!("  {:>11}  {:9} {}\n", after(stage.at_ms), stage.name, stage.what));
    }
    if events {
        text.push_str("  packets and transfers:\n");
        for event in &boot.events {
            text.push_str(&format!(
                "    {} {} {}: {} -> {}\n",
                event.at, event.interface, event.proto, event.asked, event.outcome
            ));
        }
    }
    text
}

/// `+1.234 s`, with minutes where there are any.
fn after(ms: u64) -> String {
    let (seconds, rest) = (ms / 1000, ms % 1000);
    match seconds {
        0..=59 => format!("+{seconds}.{rest:03} s"),
        _ => format!("+{} min {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_api::{Event, Installer, LoaderLoop, PastIntent, Stage};

    fn machine() -> Machine {
        Machine {
            mac: "52:54:00:12:34:56".to_owned(),
            last_seen: "2026-11-23T03:59:55.000Z".to_owned(),
            ip: Some("10.77.0.100".to_owned()),
            arch: Some("x64 UEFI".to_owned()),
            loader: Some("pxe".to_owned()),
            interface: Some("eth1".to_owned()),
            image: Some("debian@1".to_owned()),
            state: "booted".to_owned(),
            summary: "booted in 21 s".to_owned(),
            ..Machine::default()
        }
    }

    fn now() -> jiff::Timestamp {
        "2026-11-23T04:00:00Z".parse().unwrap()
    }

    #[test]
    fn the_list_reads_like_this() {
        let bare = Machine {
            mac: "52:54:00:00:00:01".to_owned(),
            last_seen: "2026-11-20T00:00:00.000Z".to_owned(),
            summary: "no rule matches this machine".to_owned(),
            ..Machine::default()
        };
        let intent =
            Intent { boot: "image".to_owned(), image: Some("rescue".to_owned()), once: true, ..Intent::default() };
        let remembered = Some(Remembered { intent: Some(intent), ..Remembered::default() });
        let told = Machine { mac: "52:54:00:00:00:02".to_owned(), remembered, ..Machine::default() };
        assert_eq!(
            table(&[machine(), bare, told], &[], now(), false),
            " MAC                LAST SEEN   ADDRESS      ARCHITECTURE  LOADER  IMAGE     STATE
 52:54:00:12:34:56  5 s ago     10.77.0.100  x64 UEFI      pxe     debian@1  booted in 21 s
 52:54:00:00:00:01  3 days ago  -            -             -       -         no rule matches this machine
 52:54:00:00:00:02  never       -            -             -       -         next: rescue once"
        );
        assert_eq!(table(&[], &[], now(), false), "no machine has asked yet");
        let known = OrgMachine {
            name: "web-1".to_owned(),
            state: "active".to_owned(),
            assurance: "tpm-boot".to_owned(),
            inventory: slipway_api::org::Inventory { macs: vec![machine().mac], ..Default::default() },
            ..OrgMachine::default()
        };
        let mut unheard = OrgMachine { name: "web-2".to_owned(), state: "suspended".to_owned(), ..known.clone() };
        unheard.inventory.macs = vec!["52:54:00:00:00:09".to_owned()];
        assert_eq!(
            table(&[machine()], &[known, unheard], now(), false),
            " MAC                LAST SEEN  ADDRESS      ARCHITECTURE  LOADER  IMAGE     STATE           NAME   IDENTITY
 52:54:00:12:34:56  5 s ago    10.77.0.100  x64 UEFI      pxe     debian@1  booted in 21 s  web-1  active, tpm-boot
 52:54:00:00:00:09  never      -            -             -       -                         web-2  suspended, tpm-boot"
        );
    }

    #[test]
    fn what_is_remembered_reads_like_this() {
        let at = || "2026-11-23T03:59:55.000Z".to_owned();
        let remembered = Remembered {
            uuid: None,
            intent: Some(Intent {
                boot: "local".to_owned(),
                since: at(),
                attempts: 1,
                once: true,
                ..Intent::default()
            }),
            past_intent: Some(PastIntent { boot: "rescue".to_owned(), at: at(), fulfilled: false }),
            installer: Some(Installer {
                image: "debian".to_owned(),
                boots: vec![at(), at(), at()],
                state: "guarded".to_owned(),
                since: Some(at()),
            }),
            looping: Some(LoaderLoop { loader: "loader/undionly.kpxe".to_owned(), loads: 5, since: at() }),
        };
        assert_eq!(
            told_memory(&remembered, now()),
            [
                "is to boot its own disk once (said 5 s ago); tried in 1 of at most 3 boots",
                "was to boot rescue once, which was given up (5 s ago); the rules hold again",
                "REINSTALL GUARD: installer debian was booted 3 times and never said that it is done (5 s ago): boots its own disk \
                 until `slipway machine release`",
                "LOADER LOOP: loader/undionly.kpxe was loaded 5 times in a row, and nothing else was heard (5 s ago): not given for ten \
                 minutes or until `slipway machine release`",
            ]
        );
    }

    #[test]
    fn the_kind_of_offer_is_told_where_it_is_not_the_usual_one() {
        assert_eq!(told_offers(&machine()), "");
        let offers = slipway_api::Offers {
            rung: "this-file".to_owned(),
            about: "option 60 with 43.6 = 8".to_owned(),
            because: Some("it went on asking although it was answered".to_owned()),
            works_since: Some("2026-11-23T03:00:00.000Z".to_owned()),
            rounds: 0,
        };
        let works = Machine { offers: Some(offers.clone()), ..machine() };
        assert_eq!(
            told_offers(&works),
            "offers: `this-file` (option 60 with 43.6 = 8), by which it has booted since 2026-11-23T03:00:00.000Z; \
             it went on asking although it was answered (`slipway machine reset 52:54:00:12:34:56` starts again)\n"
        );
        let vain = slipway_api::Offers { works_since: None, rounds: 2, ..offers };
        let told = told_offers(&Machine { offers: Some(vain), ..machine() });
        assert!(told.contains("not known to work yet") && told.contains("ignored every kind 2 times"), "{told}");
    }

    #[test]
    fn a_story_reads_like_this() {
        let stage =
            |name: &str, at_ms, what: &str| Stage { name: name.to_owned(), at_ms, took_ms: 0, what: what.to_owned() };
        let boot = Boot {
            started: "2026-11-23T03:59:34.000Z".to_owned(),
            summary: "booted in 21 s".to_owned(),
            image: Some("debian@1".to_owned()),
            rule: Some("lab".to_owned()),
            stages: vec![
                stage("dhcp", 0, "x64 UEFI pxe: image/debian/uki.efi"),
                stage("nbp", 4210, "image/debian/uki.efi over TFTP, 17.3 MB in 1.20 s"),
                stage("report", 75_000, "kernel 6.1.0"),
            ],
            events: vec![Event {
                at: "2026-11-23T03:59:34.000Z".to_owned(),
                proto: "dhcp4".to_owned(),
                interface: "eth1".to_owned(),
                asked: "DISCOVER x64 UEFI pxe".to_owned(),
                outcome: "OFFER 10.77.0.100".to_owned(),
                ..Event::default()
            }],
            ..Boot::default()
        };
        let story = MachineStory { machine: machine(), boots: vec![Boot::default(), boot] };
        let words = Show { machine: "52:54:00:12:34:56".to_owned(), all: false, events: true };
        assert_eq!(
            told(&story, &words, now()),
            "\
52:54:00:12:34:56, x64 UEFI, 10.77.0.100, eth1, last seen 5 s ago
1 earlier boot not shown (`--all`)

boot of 2026-11-23T03:59:34.000Z: booted in 21 s
  image debian@1 by rule `lab`
     +0.000 s  dhcp      x64 UEFI pxe: image/debian/uki.efi
     +4.210 s  nbp       image/debian/uki.efi over TFTP, 17.3 MB in 1.20 s
  +1 min 15 s  report    kernel 6.1.0
  packets and transfers:
    2026-11-23T03:59:34.000Z eth1 dhcp4: DISCOVER x64 UEFI pxe -> OFFER 10.77.0.100
"
        );
    }
}
