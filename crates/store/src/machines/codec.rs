//! A memory as bytes: one JSON object with its version in `v`. Within a version fields are only ever added, each with a default that means
//! "nothing known".

use serde::{Deserialize, Serialize};
use slipway_engine::Timestamp;
use slipway_engine::ladder::{Ground, Ignored, Rung, Worked};
use slipway_engine::machine::{Aim, Held, Installs, Intent, LoaderLoop, Memory, Past};
use slipway_engine::rules::{Boot, Path};

const VERSION: u32 = 1;

#[derive(Debug, Deserialize, Serialize)]
struct Row {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uuid: Option<String>,
    changed: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    intent: Option<Wish>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    past: Option<Ended>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    installs: Option<Installer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offers: Option<Takes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    looping: Option<Looping>,
}

/// A [`Worked`].
#[derive(Debug, Deserialize, Serialize)]
struct Takes {
    ground: String,
    rung: String,
    because: String,
    since: u64,
}

/// A [`LoaderLoop`].
#[derive(Debug, Deserialize, Serialize)]
struct Looping {
    loader: String,
    loads: usize,
    since: u64,
}

/// An [`Intent`].
#[derive(Debug, Deserialize, Serialize)]
struct Wish {
    aim: Target,
    once: bool,
    since: u64,
    #[serde(default)]
    attempts: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    taken: Option<u64>,
}

/// A [`Past`].
#[derive(Debug, Deserialize, Serialize)]
struct Ended {
    aim: Target,
    at: u64,
    fulfilled: bool,
}

/// An [`Installs`].
#[derive(Debug, Deserialize, Serialize)]
struct Installer {
    image: String,
    boots: Vec<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    done: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tripped: Option<u64>,
    passes: u32,
}

/// An [`Aim`].
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Target {
    Boot {
        image: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        path: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        append: Option<String>,
    },
    Menu,
    Local,
}

const PATHS: [(Path, &str); 3] = [(Path::Auto, "auto"), (Path::Direct, "direct"), (Path::Ipxe, "ipxe")];

pub(super) fn encode(memory: &Memory) -> Vec<u8> {
    let row = Row {
        v: VERSION,
        uuid: memory.uuid.map(|uuid| uuid.to_string()),
        changed: memory.changed.0,
        intent: memory.intent.as_ref().map(wish),
        past: memory.past.as_ref().map(|past| Ended {
            aim: target(&past.aim),
            at: past.at.0,
            fulfilled: past.fulfilled,
        }),
        installs: memory.installs.as_ref().map(installer),
        offers: memory.offers.as_ref().map(takes),
        looping: memory.looping.as_ref().map(|held| Looping {
            loader: held.loader.clone(),
            loads: held.loads,
            since: held.since.0,
        }),
    };
    // Strings, numbers and no maps with keys of their own: this cannot fail.
    serde_json::to_vec(&row).unwrap_or_default()
}

/// The memory of these bytes, or what is wrong with them.
pub(super) fn decode(bytes: &[u8]) -> Result<Memory, &'static str> {
    let row: Row = serde_json::from_slice(bytes).map_err(|_| "a memory that cannot be read")?;
    if row.v != VERSION {
        return Err("a memory of a version that this program does not know");
    }
    Ok(Memory {
        uuid: row.uuid.map(|uuid| uuid.parse()).transpose().map_err(|_| "a UUID that is none")?,
        changed: Timestamp(row.changed),
        intent: row.intent.map(intent).transpose()?,
        past: row.past.map(past).transpose()?,
        installs: row.installs.map(installs),
        offers: row.offers.as_ref().map(worked).transpose()?,
        looping: row.looping.map(|Looping { loader, loads, since }| LoaderLoop {
            loader,
            loads,
            since: Timestamp(since),
        }),
    })
}

fn takes(worked: &Worked) -> Takes {
    Takes {
        ground: worked.ground.name().to_owned(),
        rung: worked.rung.name().to_owned(),
        because: worked.because.code().to_owned(),
        since: worked.since.0,
    }
}

fn worked(takes: &Takes) -> Result<Worked, &'static str> {
    let ground = Ground::ALL.into_iter().find(|ground| ground.name() == takes.ground);
    let rung = Rung::ALL.into_iter().find(|rung| rung.name() == takes.rung);
    let because = Ignored::ALL.into_iter().find(|why| why.code() == takes.because);
    Ok(Worked {
        ground: ground.ok_or("a kind of client that is none")?,
        rung: rung.ok_or("a kind of offer that is none")?,
        because: because.ok_or("a reason that is none")?,
        since: Timestamp(takes.since),
    })
}

fn target(aim: &Aim) -> Target {
    match aim {
        Aim::Boot(boot) => Target::Boot {
            image: boot.image.clone(),
            version: boot.version.clone(),
            path: PATHS.iter().find(|(path, _)| *path == boot.path).map_or("auto", |(_, name)| name).to_owned(),
            append: boot.append.clone(),
        },
        Aim::Menu => Target::Menu,
        Aim::Local => Target::Local,
    }
}

fn aim(target: Target) -> Result<Aim, &'static str> {
    Ok(match target {
        Target::Boot { image, version, path, append } => {
            let (path, _) = PATHS.iter().find(|(_, name)| *name == path).ok_or("a path that is none")?;
            Aim::Boot(Boot { image, version, path: *path, append })
        }
        Target::Menu => Aim::Menu,
        Target::Local => Aim::Local,
    })
}

fn wish(intent: &Intent) -> Wish {
    Wish {
        aim: target(&intent.aim),
        once: intent.once,
        since: intent.since.0,
        attempts: intent.attempts,
        taken: intent.taken.map(|taken| taken.0),
    }
}

fn intent(wish: Wish) -> Result<Intent, &'static str> {
    Ok(Intent {
        aim: aim(wish.aim)?,
        once: wish.once,
        since: Timestamp(wish.since),
        attempts: wish.attempts,
        taken: wish.taken.map(Timestamp),
    })
}

fn past(ended: Ended) -> Result<Past, &'static str> {
    Ok(Past { aim: aim(ended.aim)?, at: Timestamp(ended.at), fulfilled: ended.fulfilled })
}

fn installer(installs: &Installs) -> Installer {
    let (done, tripped) = match installs.held {
        Some(Held::Done { at }) => (Some(at.0), None),
        Some(Held::Tripped { at }) => (None, Some(at.0)),
        None => (None, None),
    };
    let boots = installs.boots.iter().map(|at| at.0).collect();
    Installer { image: installs.image.clone(), boots, done, tripped, passes: installs.passes }
}

fn installs(row: Installer) -> Installs {
    let done = row.done.map(|at| Held::Done { at: Timestamp(at) });
    let held = done.or(row.tripped.map(|at| Held::Tripped { at: Timestamp(at) }));
    Installs { image: row.image, boots: row.boots.into_iter().map(Timestamp).collect(), held, passes: row.passes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_engine::machine::Change;

    fn memories() -> Vec<Memory> {
        let boot = Boot {
            image: "debian".into(),
            version: Some("12.1".into()),
            path: Path::Ipxe,
            append: Some("quiet \"x\"".into()),
        };
        let aims = [Aim::Boot(boot), Aim::Menu, Aim::Local];
        let wanting = aims.map(|aim| Memory::NOTHING.after(Change::Boot { aim, once: true }, Timestamp(9)));
        let done = Memory::NOTHING.after(Change::Done { image: "debian".into() }, Timestamp(9));
        let mut tripped = done.after(Change::Release, Timestamp(10));
        let (boots, held) = (vec![Timestamp(1), Timestamp(2)], Some(Held::Tripped { at: Timestamp(2) }));
        tripped.installs = Some(Installs { image: "debian".into(), boots, held, passes: 3 });
        tripped.past = Some(Past { aim: Aim::Menu, at: Timestamp(4), fulfilled: true });
        let mut tried = Memory::NOTHING.after(Change::Boot { aim: Aim::Menu, once: true }, Timestamp(9));
        tried.intent.iter_mut().for_each(|intent| (intent.attempts, intent.taken) = (2, Some(Timestamp(8))));
        let (since, because) = (Timestamp(8), Ignored::NoFile);
        let taking = Ground::ALL.into_iter().zip(Rung::ALL).map(|(ground, rung)| {
            let worked = Worked { ground, rung, because, since };
            Memory::NOTHING.after(Change::Offers(Some(worked)), Timestamp(9))
        });
        let with = wanting.into_iter().chain(taking).chain([Memory::NOTHING, done, tripped, tried]);
        with.map(|memory| Memory { uuid: Some("00112233-4455-6677-8899-aabbccddeeff".parse().unwrap()), ..memory })
            .collect()
    }

    #[test]
    fn every_memory_comes_back_as_it_was_and_no_truncation_does() {
        for memory in memories() {
            let bytes = encode(&memory);
            assert_eq!(decode(&bytes), Ok(memory));
            for len in 0..bytes.len() {
                assert_eq!(decode(&bytes[..len]), Err("a memory that cannot be read"));
            }
        }
    }

    #[test]
    fn a_field_added_later_is_no_fault_and_a_later_version_is() {
        assert_eq!(decode(br#"{"v":1,"changed":3,"colour":"blue"}"#).map(|memory| memory.changed), Ok(Timestamp(3)));
        let later = decode(br#"{"v":2,"changed":3}"#);
        assert_eq!(later, Err("a memory of a version that this program does not know"));
    }
}
