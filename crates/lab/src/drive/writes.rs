//! What a machine wrote to a disk, in order, and what of it a disk with a cache of its own may still have after a power cut.
//!
//! QEMU's `blklogwrites` keeps the log, in the form of Linux's dm-log-writes (Documentation/admin-guide/device-mapper/log-writes.rst): a
//! sector about the whole, then for each request a sector about it, and its data. Numbers are of 64 bits, the lowest byte first.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::loadgen::Random;

/// "rhswfsj": what a log begins with.
const MAGIC: u64 = 0x006a_7366_7773_6872;
/// The data of these requests is not in the log: what was flushed, what was discarded.
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;
/// Places and lengths are counted in sectors of so many bytes.
const SECTOR: u64 = 512;

/// How many of the last writes were not flushed yet, and how many of those are gone, whole or in part.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub(crate) struct Lost {
    pub(crate) gone: usize,
    pub(crate) of: usize,
}

/// A request in the log. All in bytes.
#[derive(Clone, Copy, Debug)]
struct Request {
    flags: u64,
    start: u64,
    len: u64,
    /// Where in the log its data is.
    data: u64,
}

/// Makes of a disk as it was when its machine was switched on what the power cut left of it: what was flushed is there; of what was written
/// since, some is, some is not, and some is there in part, up to the end of a sector.
pub(crate) fn replay(log: &Path, disk: &Path, random: &mut Random) -> Result<Lost> {
    let log = File::open(log).with_context(|| format!("cannot read {}", log.display()))?;
    let disk = File::options().write(true).open(disk).with_context(|| format!("cannot write {}", disk.display()))?;
    let requests = requests(&log)?;
    let flushed = requests.iter().rposition(|request| request.flags & FLUSH != 0).map_or(0, |last| last + 1);
    let (sure, unsure) = requests.split_at(flushed);
    for request in sure {
        copy(&log, &disk, request, request.len)?;
    }
    let mut lost = Lost::default();
    for request in unsure.iter().filter(|request| request.len > 0 && request.flags & DISCARD == 0) {
        let kept = match random.below(3) {
            0 => 0,
            1 => SECTOR * random.below(request.len.div_ceil(SECTOR)),
            _ => request.len,
        };
        copy(&log, &disk, request, kept)?;
        lost.of += 1;
        lost.gone += usize::from(kept < request.len);
    }
    Ok(lost)
}

fn requests(log: &File) -> Result<Vec<Request>> {
    let [magic, version, count, sector] = numbers(log, 0)?;
    // The last is of 32 bits.
    let sector = sector & u64::from(u32::MAX);
    ensure!(magic == MAGIC && version == 1 && sector >= SECTOR, "it is no log of writes");
    let end = log.metadata().context("cannot tell how long the log of writes is")?.len();
    let mut at = sector;
    let mut requests = Vec::new();
    for _ in 0..count {
        // A request counts before it stands in the log: the last ones may have been under way, and so were never on the disk.
        if at + sector > end {
            break;
        }
        let [start, sectors, flags, _] = numbers(log, at)?;
        let len = SECTOR * if flags & DISCARD == 0 { sectors } else { 0 };
        if at + sector + len > end {
            break;
        }
        requests.push(Request { flags, start: SECTOR * start, len, data: at + sector });
        at += sector + len.next_multiple_of(sector);
    }
    Ok(requests)
}

fn numbers(log: &File, at: u64) -> Result<[u64; 4]> {
    let mut head = [0; 32];
    log.read_exact_at(&mut head, at).context("the log of writes is cut short")?;
    let (numbers, _) = head.as_chunks::<8>();
    let mut numbers = numbers.iter().map(|bytes| u64::from_le_bytes(*bytes));
    Ok(std::array::from_fn(|_| numbers.next().unwrap_or_default()))
}

/// Writes the first bytes of a request to the disk.
fn copy(log: &File, disk: &File, request: &Request, len: u64) -> Result<()> {
    let mut data = vec![0; usize::try_from(len)?];
    log.read_exact_at(&mut data, request.data).context("the log of writes is cut short")?;
    disk.write_all_at(&data, request.start).context("cannot write to the disk")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of writes, each at a sector with a byte so many sectors long; none is a flush.
    fn log(requests: &[Option<(u64, u8, usize)>]) -> Vec<u8> {
        let head = |numbers: [u64; 4]| {
            let mut sector: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            sector.resize(512, 0);
            sector
        };
        let mut log = head([MAGIC, 1, u64::try_from(requests.len()).unwrap(), 512]);
        for request in requests {
            match *request {
                Some((at, byte, sectors)) => {
                    log.extend(head([at, u64::try_from(sectors).unwrap(), 0, 0]));
                    log.extend(vec![byte; 512 * sectors]);
                }
                None => log.extend(head([0, 0, FLUSH, 0])),
            }
        }
        log
    }

    #[test]
    fn what_was_flushed_is_there_and_what_was_not_is_there_in_whole_in_part_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, kept) = (folder.path().join("disk"), folder.path().join("log"));
        std::fs::write(&kept, log(&[Some((0, 1, 2)), Some((4, 2, 1)), None, Some((4, 3, 1)), Some((8, 4, 4))]))
            .unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..64 {
            std::fs::write(&disk, vec![0; 512 * 16]).unwrap();
            let lost = replay(&kept, &disk, &mut Random::new(seed)).unwrap();
            let now = std::fs::read(&disk).unwrap();
            assert_eq!(now[..1024], [1; 1024]);
            let sectors = |byte: u8| now.chunks(512).filter(|sector| **sector == [byte; 512]).count();
            assert_eq!((sectors(2) + sectors(3), lost.of), (1, 2));
            assert_eq!(lost.gone, usize::from(sectors(3) == 0) + usize::from(sectors(4) < 4));
            seen.insert((sectors(3), sectors(4)));
        }
        assert!(
            seen.contains(&(0, 0)) && seen.contains(&(1, 4)) && seen.iter().any(|(_, part)| *part == 2),
            "{seen:?}"
        );
    }

    #[test]
    fn what_is_no_log_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, kept) = (folder.path().join("disk"), folder.path().join("log"));
        std::fs::write(&disk, "").unwrap();
        for bytes in [vec![0; 4096], log(&[Some((0, 1, 2))])[..20].to_vec(), Vec::new()] {
            std::fs::write(&kept, bytes).unwrap();
            assert!(replay(&kept, &disk, &mut Random::new(1)).is_err());
        }
    }

    #[test]
    fn a_write_that_was_under_way_was_never_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, kept) = (folder.path().join("disk"), folder.path().join("log"));
        let whole = log(&[Some((0, 1, 1)), None, Some((1, 2, 2))]);
        for cut in [513, 1024, 1500] {
            std::fs::write(&disk, vec![0; 512 * 4]).unwrap();
            std::fs::write(&kept, &whole[..whole.len() - cut]).unwrap();
            assert_eq!(replay(&kept, &disk, &mut Random::new(1)).unwrap(), Lost::default(), "{cut}");
            assert_eq!(std::fs::read(&disk).unwrap(), [vec![1; 512], vec![0; 512 * 3]].concat());
        }
    }
}
