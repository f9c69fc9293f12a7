//! `journal.jsonl`: one JSON object a line, written by a thread of its own.
//!
//! A file of lines and not a table of the lease database, because entries are only ever appended and read back whole, because the
//! commits of leases must not wait for them, and because `grep` and `jq` read it. It is not synced: a power cut costs the last
//! moments of the story, never a lease.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use slipway_engine::journal::Entry;

use super::record;

const NAME: &str = "journal.jsonl";
/// The file before the last rotation.
const OLD: &str = "journal.jsonl.1";
/// Size in bytes at which the file is rotated: with the old one, at most twice this is kept.
const ROTATE_AT: u64 = 16 << 20;
/// Entries that may wait for the disk.
const QUEUE: usize = 8192;
/// A line longer than this was not written by us.
const LINE_MAX: usize = 64 << 10;

#[derive(Debug)]
enum Job {
    Write(Arc<Entry>),
    Flush(SyncSender<()>),
}

/// The queue to the writing thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Writer(SyncSender<Job>);

impl Writer {
    pub(super) fn spawn(data: &Path) -> io::Result<Self> {
        let lines = Lines::open(data, ROTATE_AT)?;
        let (sender, receiver) = sync_channel(QUEUE);
        thread::Builder::new().name("journal".to_owned()).spawn(move || run(lines, &receiver))?;
        Ok(Self(sender))
    }

    /// Queues an entry; `false` if there is no room.
    pub(super) fn send(&self, entry: Arc<Entry>) -> bool {
        self.0.try_send(Job::Write(entry)).is_ok()
    }

    /// Waits until everything queued is written.
    pub(super) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.0.send(Job::Flush(done)).is_ok() {
            let _ = wait.recv();
        }
    }
}

fn run(mut lines: Lines, jobs: &Receiver<Job>) {
    let mut failing = false;
    while let Ok(first) = jobs.recv() {
        let mut waiting = Vec::new();
        let mut result = Ok(());
        for job in core::iter::once(first).chain(jobs.try_iter().take(QUEUE)) {
            match job {
                Job::Write(entry) => result = result.and_then(|()| lines.append(&entry)),
                Job::Flush(done) => waiting.push(done),
            }
        }
        let result = result.and_then(|()| lines.flush());
        for done in waiting {
            let _ = done.send(());
        }
        match result {
            Err(error) if !failing => {
                tracing::error!(%error, file = %lines.path.display(), "the journal cannot be written: boots go on, their story is lost on restart");
                failing = true;
            }
            Ok(()) if failing => {
                tracing::info!(file = %lines.path.display(), "the journal is written again");
                failing = false;
            }
            Err(_) | Ok(()) => {}
        }
    }
}

/// The open file.
#[derive(Debug)]
struct Lines {
    path: PathBuf,
    old: PathBuf,
    file: BufWriter<File>,
    size: u64,
    rotate_at: u64,
}

impl Lines {
    fn open(data: &Path, rotate_at: u64) -> io::Result<Self> {
        let (path, old) = (data.join(NAME), data.join(OLD));
        let (file, size) = open_append(&path)?;
        Ok(Self { path, old, file, size, rotate_at })
    }

    fn append(&mut self, entry: &Entry) -> io::Result<()> {
        if self.size >= self.rotate_at {
            self.file.flush()?;
            std::fs::rename(&self.path, &self.old)?;
            let (file, size) = open_append(&self.path)?;
            (self.file, self.size) = (file, size);
        }
        let mut line = record::encode(entry);
        line.push('\n');
        self.file.write_all(line.as_bytes())?;
        self.size += u64::try_from(line.len()).unwrap_or(0);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Opens for appending; a last line that was cut off is ended, so that the next one stands for itself.
fn open_append(path: &Path) -> io::Result<(BufWriter<File>, u64)> {
    use std::io::{Read, Seek, SeekFrom};
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = OpenOptions::new().create(true).append(true).read(true).mode(0o640).open(path)?;
    let size = file.metadata()?.len();
    if size > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok((BufWriter::new(file), size))
}

/// Reads what is kept, oldest first. Gives the number of entries, and of lines that could not be read.
pub(super) fn load(data: &Path, mut take: impl FnMut(Entry)) -> io::Result<(u64, u64)> {
    let (mut read, mut skipped) = (0, 0);
    for name in [OLD, NAME] {
        let file = match File::open(data.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for line in BufReader::new(file).split(b'\n') {
            let line = line?;
            if line.is_empty() {
                continue;
            }
            let text = core::str::from_utf8(&line).ok().filter(|text| text.len() <= LINE_MAX);
            match text.and_then(record::decode) {
                Some(entry) => {
                    read += 1;
                    take(entry);
                }
                None => skipped += 1,
            }
        }
    }
    Ok((read, skipped))
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_engine::Timestamp;
    use slipway_engine::journal::{About, Outcome, Proto};

    fn entry(n: u64) -> Entry {
        Entry {
            at: Timestamp(n),
            proto: Proto::Http,
            mac: None,
            ip: None,
            uuid: None,
            interface: "eth0".to_owned(),
            asked: format!("GET /{n}"),
            about: About::Other,
            outcome: Outcome::Answered("200".to_owned()),
        }
    }

    fn loaded(data: &Path) -> (Vec<u64>, u64) {
        let mut all = Vec::new();
        let (_, skipped) = load(data, |entry| all.push(entry.at.0)).unwrap();
        (all, skipped)
    }

    #[test]
    fn the_file_is_rotated_and_read_back_in_order() {
        let data = tempfile::tempdir().unwrap();
        let mut lines = Lines::open(data.path(), 1000).unwrap();
        for n in 0..20 {
            lines.append(&entry(n)).unwrap();
        }
        lines.flush().unwrap();
        assert!(data.path().join(OLD).exists());
        assert!(std::fs::metadata(data.path().join(NAME)).unwrap().len() < 1300);
        let (all, skipped) = loaded(data.path());
        assert_eq!((all.last(), skipped), (Some(&19), 0));
        assert!(all.is_sorted() && all.len() >= 4, "{all:?}");
    }

    #[test]
    fn a_line_cut_off_by_a_crash_costs_only_itself() {
        let data = tempfile::tempdir().unwrap();
        let whole = record::encode(&entry(1));
        let cut = &whole[..whole.len() / 2];
        std::fs::write(data.path().join(NAME), format!("{whole}\n\u{0}garbage\n{cut}")).unwrap();
        let mut lines = Lines::open(data.path(), 1000).unwrap();
        lines.append(&entry(2)).unwrap();
        lines.flush().unwrap();
        assert_eq!(loaded(data.path()), (vec![1, 2], 2));
    }
}
