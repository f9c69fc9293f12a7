//! A FAT file system with files in it (Microsoft, "FAT32 File System Specification" 1.03), as one value.

use std::collections::{BTreeMap, BTreeSet};

use super::{File, put};

/// The kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fat {
    /// 16 bits: for boot images on discs, as firmware has always known them.
    Fat16,
    /// 32 bits: for EFI system partitions of disks.
    Fat32,
}

/// Why there is no such file system.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FatError {
    /// A name that is none of 8 and 3 characters, each of one case.
    #[error("the name {0:?} does not fit a FAT: 8 letters or digits, and 3 behind a dot, all large or all small")]
    Name(String),
    /// More than it can hold.
    #[error("that is more than the file system can hold")]
    TooLarge,
}

const SECTOR: usize = 512;
const ENTRY: usize = 32;
/// Entries of a FAT16's root folder.
const ROOT_ENTRIES: u16 = 512;
/// 1 January 1980, the first day there is: a real one would make each image another.
const DAY: [u8; 2] = [0x21, 0x00];
const FOLDER: u8 = 0x10;
const ARCHIVE: u8 = 0x20;
const LABEL: u8 = 0x08;
const NAME: &[u8; 11] = b"SLIPWAY    ";

/// Where things are, in sectors of 512 bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Geometry {
    fat: Fat,
    per_cluster: usize,
    reserved: usize,
    fat_sectors: usize,
    root_sectors: usize,
    clusters: usize,
}

impl Geometry {
    /// For so many bytes of clusters' content: the smallest clusters that do.
    fn for_content(fat: Fat, least: usize, files: &[usize]) -> Option<Self> {
        // Of FAT32, 512 bytes up to 260 MiB, 4 KiB above (Microsoft's own table); of FAT16, what keeps the number of clusters within.
        let sizes: &[usize] = match fat {
            Fat::Fat16 => &[4, 8, 16, 32, 64],
            Fat::Fat32 => &[1, 8, 16, 32, 64],
        };
        sizes.iter().find_map(|per_cluster| Self::with(fat, *per_cluster, least, files))
    }

    fn with(fat: Fat, per_cluster: usize, least: usize, files: &[usize]) -> Option<Self> {
        let size = per_cluster.checked_mul(SECTOR)?;
        let used: usize = files.iter().map(|length| length.div_ceil(size)).sum();
        let (bits, least_clusters, most) = match fat {
            Fat::Fat16 => (16, 4_085, 65_524),
            Fat::Fat32 => (32, 65_525, if per_cluster == 1 { 532_480 } else { 0x0fff_fff4 }),
        };
        let (reserved, root_sectors) = match fat {
            // With the root folder's 32 sectors, and FATs of a multiple of four, clusters begin at a multiple of 2 KiB.
            Fat::Fat16 => (4, usize::from(ROOT_ENTRIES) * ENTRY / SECTOR),
            Fat::Fat32 => (32, 0),
        };
        // A few more than needed: some firmware takes a full file system for a broken one.
        let clusters = used.checked_add(64)?.max(least_clusters + 16).max(least.div_ceil(size));
        let fat_bytes = clusters.checked_add(2)?.checked_mul(bits / 8)?;
        let fat_sectors = fat_bytes.div_ceil(SECTOR).checked_next_multiple_of(4)?;
        (clusters <= most).then_some(Self { fat, per_cluster, reserved, fat_sectors, root_sectors, clusters })
    }

    fn data(&self) -> usize {
        self.reserved.saturating_add(self.fat_sectors.saturating_mul(2)).saturating_add(self.root_sectors)
    }

    fn total(&self) -> usize {
        self.data().saturating_add(self.clusters.saturating_mul(self.per_cluster))
    }

    fn cluster_bytes(&self) -> usize {
        self.per_cluster.saturating_mul(SECTOR)
    }
}

/// Clusters that follow each other.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: usize,
    count: usize,
}

/// Makes the file system, at least so many bytes large.
///
/// # Errors
/// A name that does not fit, or too much content.
pub fn image(fat: Fat, least: u64, serial: u32, files: &[File<'_>]) -> Result<Vec<u8>, FatError> {
    let tree = Tree::of(files)?;
    let folders = tree.folders.iter().map(|path| tree.entries(path).saturating_add(2).saturating_mul(ENTRY));
    let lengths: Vec<usize> = folders.chain(files.iter().map(|(_, content)| content.len())).collect();
    let least = usize::try_from(least).map_err(|_| FatError::TooLarge)?;
    let geometry = Geometry::for_content(fat, least, &lengths).ok_or(FatError::TooLarge)?;
    let mut made =
        Image { bytes: vec![0; geometry.total().saturating_mul(SECTOR)], geometry, next: 2, chains: Vec::new() };
    made.fill(&tree)?;
    made.tables();
    made.head(serial)?;
    Ok(made.bytes)
}

/// Files by their folder and name, and all folders, parents first.
struct Tree<'a> {
    folders: BTreeSet<&'a str>,
    files: BTreeMap<&'a str, &'a [u8]>,
}

impl<'a> Tree<'a> {
    fn of(files: &[File<'a>]) -> Result<Self, FatError> {
        let mut tree = Self { folders: BTreeSet::new(), files: BTreeMap::new() };
        for (path, content) in files {
            for part in path.split('/') {
                short_name(part)?;
            }
            let slashes = path.match_indices('/');
            tree.folders.extend(slashes.filter_map(|(slash, _)| path.get(..slash)));
            tree.files.insert(path, content);
        }
        Ok(tree)
    }

    /// What is in a folder; the empty path is the root.
    fn within(&self, folder: &str) -> Vec<&'a str> {
        let all = self.folders.iter().chain(self.files.keys());
        all.copied().filter(|path| path.rsplit_once('/').map_or("", |(parent, _)| parent) == folder).collect()
    }

    fn entries(&self, folder: &str) -> usize {
        self.within(folder).len()
    }
}

struct Image {
    bytes: Vec<u8>,
    geometry: Geometry,
    /// The next free cluster.
    next: usize,
    chains: Vec<Run>,
}

impl Image {
    fn fill(&mut self, tree: &Tree<'_>) -> Result<(), FatError> {
        // A FAT32's root folder is a chain like any other, and the first one.
        let root_entries = tree.entries("").saturating_add(1).saturating_mul(ENTRY);
        let root = (self.geometry.fat == Fat::Fat32).then(|| self.take(root_entries));
        let mut places: BTreeMap<&str, Run> = BTreeMap::new();
        for path in &tree.folders {
            let length = tree.entries(path).saturating_add(2).saturating_mul(ENTRY);
            let run = self.take(length);
            places.insert(path, run);
        }
        for (path, content) in &tree.files {
            let run = self.take(content.len());
            self.write_at(self.offset(run.first), content);
            places.insert(path, run);
        }
        for path in &tree.folders {
            let parent = path.rsplit_once('/').and_then(|(parent, _)| places.get(parent)).map_or(0, |run| run.first);
            let own = places.get(path).map_or(0, |run| run.first);
            let mut content = dots(own, parent);
            content.extend(listing(tree, path, &places)?);
            self.write_at(self.offset(own), &content);
        }
        let mut content = entry(NAME, 0, LABEL, 0, 0).to_vec();
        content.extend(listing(tree, "", &places)?);
        let root_at = match root {
            Some(run) => self.offset(run.first),
            None => self.geometry.data().saturating_sub(self.geometry.root_sectors).saturating_mul(SECTOR),
        };
        put(&mut self.bytes, root_at, &content);
        Ok(())
    }

    /// Takes clusters for so many bytes. An empty file has none.
    fn take(&mut self, length: usize) -> Run {
        let count = length.div_ceil(self.geometry.cluster_bytes());
        let run = Run { first: if count == 0 { 0 } else { self.next }, count };
        self.next = self.next.saturating_add(count);
        self.chains.push(run);
        run
    }

    fn write_at(&mut self, at: usize, content: &[u8]) {
        put(&mut self.bytes, at, content);
    }

    fn offset(&self, cluster: usize) -> usize {
        let before = cluster.saturating_sub(2).saturating_mul(self.geometry.per_cluster);
        self.geometry.data().saturating_add(before).saturating_mul(SECTOR)
    }

    /// Both copies of the table of clusters.
    fn tables(&mut self) {
        let (width, end) = match self.geometry.fat {
            Fat::Fat16 => (2, 0xffff),
            Fat::Fat32 => (4, 0x0fff_ffff_u32),
        };
        let mut table = vec![0; self.geometry.fat_sectors.saturating_mul(SECTOR)];
        let mut set = |cluster: usize, value: u32| {
            let value = value.to_le_bytes();
            put(&mut table, cluster.saturating_mul(width), value.get(..width).unwrap_or_default());
        };
        // The medium's byte, and "clean".
        set(0, end & 0xffff_fff8);
        set(1, end);
        for run in self.chains.iter().filter(|run| run.count > 0) {
            let last = run.first.saturating_add(run.count).saturating_sub(1);
            for cluster in run.first..last {
                set(cluster, u32::try_from(cluster.saturating_add(1)).unwrap_or(end));
            }
            set(last, end);
        }
        for copy in 0..2_usize {
            let at = self.geometry.reserved.saturating_add(copy.saturating_mul(self.geometry.fat_sectors));
            put(&mut self.bytes, at.saturating_mul(SECTOR), &table);
        }
    }

    /// The boot sector, and of a FAT32 the information sector and the copies of both.
    fn head(&mut self, serial: u32) -> Result<(), FatError> {
        let boot = self.boot_sector(serial)?;
        put(&mut self.bytes, 0, &boot);
        if self.geometry.fat == Fat::Fat32 {
            let used = self.next.saturating_sub(2);
            let free = u32::try_from(self.geometry.clusters.saturating_sub(used)).map_err(|_| FatError::TooLarge)?;
            let mut info = vec![0; SECTOR];
            put(&mut info, 0, b"RRaA");
            put(&mut info, 484, b"rrAa");
            put(&mut info, 488, &free.to_le_bytes());
            put(&mut info, 492, &u32::try_from(self.next).map_err(|_| FatError::TooLarge)?.to_le_bytes());
            put(&mut info, 510, &[0x55, 0xaa]);
            for at in [1, 7] {
                put(&mut self.bytes, at * SECTOR, &info);
            }
            put(&mut self.bytes, 6 * SECTOR, &boot);
        }
        Ok(())
    }

    fn boot_sector(&self, serial: u32) -> Result<Vec<u8>, FatError> {
        let Geometry { fat, per_cluster, reserved, fat_sectors, .. } = self.geometry;
        let word = |value: usize| u16::try_from(value).map(u16::to_le_bytes).map_err(|_| FatError::TooLarge);
        let long = |value: usize| u32::try_from(value).map(u32::to_le_bytes).map_err(|_| FatError::TooLarge);
        let total = self.geometry.total();
        let mut boot = vec![0; SECTOR];
        put(&mut boot, 0, &[0xeb, 0x58, 0x90]);
        put(&mut boot, 3, b"SLIPWAY ");
        put(&mut boot, 11, &word(SECTOR)?);
        put(&mut boot, 13, &[u8::try_from(per_cluster).map_err(|_| FatError::TooLarge)?]);
        put(&mut boot, 14, &word(reserved)?);
        put(&mut boot, 16, &[2]);
        put(&mut boot, 21, &[0xf8]);
        // Sectors and heads: nobody asks any more, and some look.
        put(&mut boot, 24, &word(63)?);
        put(&mut boot, 26, &word(255)?);
        let place = match fat {
            Fat::Fat16 => {
                put(&mut boot, 17, &ROOT_ENTRIES.to_le_bytes());
                put(&mut boot, 22, &word(fat_sectors)?);
                // A number of sectors that has 16 bits stands in the field of that width.
                match u16::try_from(total) {
                    Ok(total) => put(&mut boot, 19, &total.to_le_bytes()),
                    Err(_) => put(&mut boot, 32, &long(total)?),
                }
                36
            }
            Fat::Fat32 => {
                put(&mut boot, 32, &long(total)?);
                put(&mut boot, 36, &long(fat_sectors)?);
                // The root folder's cluster, the information sector, the copy.
                put(&mut boot, 44, &long(2)?);
                put(&mut boot, 48, &word(1)?);
                put(&mut boot, 50, &word(6)?);
                64
            }
        };
        put(&mut boot, place, &[0x80, 0, 0x29]);
        put(&mut boot, place + 3, &serial.to_le_bytes());
        put(&mut boot, place + 7, NAME);
        put(&mut boot, place + 18, if fat == Fat::Fat16 { b"FAT16   " } else { b"FAT32   " });
        put(&mut boot, 510, &[0x55, 0xaa]);
        Ok(boot)
    }
}

/// The entries of what is in a folder.
fn listing(tree: &Tree<'_>, folder: &str, places: &BTreeMap<&str, Run>) -> Result<Vec<u8>, FatError> {
    let mut content = Vec::new();
    for path in tree.within(folder) {
        let (name, case) = short_name(path.rsplit('/').next().unwrap_or(path))?;
        let first = places.get(path).map_or(0, |run| run.first);
        let (kind, length) = tree.files.get(path).map_or((FOLDER, 0), |content| (ARCHIVE, content.len()));
        content.extend(entry(&name, case, kind, first, u32::try_from(length).map_err(|_| FatError::TooLarge)?));
    }
    Ok(content)
}

/// The entries of a folder for itself and its parent, of which the root is cluster 0.
fn dots(own: usize, parent: usize) -> Vec<u8> {
    [entry(b".          ", 0, FOLDER, own, 0), entry(b"..         ", 0, FOLDER, parent, 0)].concat()
}

fn entry(name: &[u8; 11], case: u8, kind: u8, cluster: usize, length: u32) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    let cluster = u32::try_from(cluster).unwrap_or(0).to_le_bytes();
    put(&mut entry, 0, name);
    put(&mut entry, 11, &[kind, case]);
    for at in [16, 18, 24] {
        put(&mut entry, at, &DAY);
    }
    put(&mut entry, 20, cluster.get(2..).unwrap_or_default());
    put(&mut entry, 26, cluster.get(..2).unwrap_or_default());
    put(&mut entry, 28, &length.to_le_bytes());
    entry
}

/// A name as folders have it, in capitals; and the bits by which Windows NT and Linux know that it is to be shown in small letters.
fn short_name(name: &str) -> Result<([u8; 11], u8), FatError> {
    let bad = || FatError::Name(name.to_owned());
    let (base, extension) = name.split_once('.').unwrap_or((name, ""));
    let fits = |part: &str, most: usize| {
        part.len() <= most && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    if base.is_empty() || !fits(base, 8) || !fits(extension, 3) {
        return Err(bad());
    }
    let mut field = [b' '; 11];
    let mut case = 0;
    for (part, at, bit) in [(base, 0, 0x08), (extension, 8, 0x10)] {
        let small = part.bytes().any(|byte| byte.is_ascii_lowercase());
        if small && part.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(bad());
        }
        case |= if small { bit } else { 0 };
        put(&mut field, at, part.to_ascii_uppercase().as_bytes());
    }
    Ok((field, case))
}
