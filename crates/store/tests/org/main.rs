//! The org's database under `kill -9`: what was acknowledged is there, what was not is there whole or not at all.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "test code")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::{env, io};

use slipway_store::org::{Org, Row, Write};

const DATA: &str = "SLIPWAY_TEST_ORG";

/// What round `n` writes: two rows of one act and its audit entry.
fn batch(n: u64) -> Vec<Write> {
    let row = |table: &str| Row {
        table: table.to_owned(),
        key: (n % 16).to_be_bytes().to_vec(),
        value: n.to_be_bytes().to_vec(),
    };
    vec![
        Write::Put(row("machine")),
        Write::Put(row("ticket")),
        Write::Append { number: n, entry: n.to_be_bytes().to_vec() },
    ]
}

fn last(org: &Org) -> u64 {
    org.audit(1, usize::MAX).unwrap().len().try_into().unwrap()
}

/// The process that is killed: commits, and says so, until then.
#[test]
#[ignore = "run by `a_killed_process_loses_nothing_that_it_acknowledged`"]
fn victim() {
    let Ok(data) = env::var(DATA) else { return };
    let org = Org::open(data.as_ref()).unwrap();
    let mut said = io::stdout();
    for n in last(&org) + 1.. {
        org.commit(&batch(n)).unwrap();
        writeln!(said, "acknowledged {n}").unwrap();
        said.flush().unwrap();
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let data = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..10_u64 {
        let mut victim = Command::new(env::current_exe().unwrap())
            .args(["victim", "--exact", "--ignored", "--nocapture"])
            .env(DATA, data.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        // The test harness may have put its own words before it on the line.
        let told = |line: String| line.split_once("acknowledged ").and_then(|(_, n)| n.parse::<u64>().ok());
        let mut counts = lines.map_while(Result::ok).filter_map(told);
        for _ in 0..=round * 3 {
            acknowledged = counts.next().unwrap();
        }
        victim.kill().unwrap();
        acknowledged = counts.last().unwrap_or(acknowledged);
        victim.wait().unwrap();

        let org = Org::open(data.path()).unwrap();
        let entries = org.audit(1, usize::MAX).unwrap();
        let there: Vec<u64> = entries.iter().map(|entry| u64::from_be_bytes(entry[..].try_into().unwrap())).collect();
        assert!((1..).take(there.len()).eq(there.iter().copied()), "round {round}: {there:?}");
        assert!(last(&org) >= acknowledged, "round {round}: {acknowledged} was acknowledged, {} is there", last(&org));
        // A naive book of the same batches has the same rows.
        let mut book = std::collections::BTreeMap::new();
        for row in there.iter().flat_map(|n| batch(*n)) {
            if let Write::Put(row) = row {
                book.insert((row.table.clone(), row.key.clone()), row);
            }
        }
        assert!(org.rows().unwrap().iter().eq(book.values()), "round {round}");
    }
}
