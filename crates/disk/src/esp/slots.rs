//! Two slots and what is known of them, as a value that fits in one sector.

use core::fmt::Write as _;

use data_encoding::HEXLOWER;

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// What is kept in two slots.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The UKI that firmware starts from the disk.
    Preboot,
    /// The UKI of an operating system, which the preboot starts by kexec.
    Generation,
}

/// One of two places.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// Both.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    fn letter(self) -> char {
        match self {
            Self::A => 'a',
            Self::B => 'b',
        }
    }
}

impl Kind {
    /// The file of a slot, from the ESP's root, without a slash before it.
    #[must_use]
    pub fn file(self, slot: Slot) -> String {
        format!("EFI/slipway/{}-{}.efi", self.word(), slot.letter())
    }

    /// The slot that a file is, as firmware or a loader writes its path: `\EFI\slipway\preboot-a.efi`.
    #[must_use]
    pub fn slot_of(self, path: &str) -> Option<Slot> {
        let path = path.replace('\\', "/");
        let path = path.trim_start_matches('/');
        Slot::ALL.into_iter().find(|slot| self.file(*slot).eq_ignore_ascii_case(path))
    }

    /// One of the two state files.
    #[must_use]
    pub fn state_file(self, which: StateFile) -> String {
        let number = match which {
            StateFile::One => 1,
            StateFile::Two => 2,
        };
        format!("EFI/slipway/{}.st{number}", self.word())
    }

    /// The name while it is written.
    pub(super) fn new_file(self) -> String {
        format!("EFI/slipway/{}.new", self.word())
    }

    fn word(self) -> &'static str {
        match self {
            Self::Preboot => "preboot",
            Self::Generation => "gen",
        }
    }
}

/// One of the two files that a state is written to in turn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StateFile {
    /// For odd sequence numbers.
    One,
    /// For even ones.
    Two,
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Filed {
    /// Where.
    pub slot: Slot,
    /// The image's version.
    pub version: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// What is known of two slots.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Book {
    /// Rises by one with each change.
    pub sequence: u64,
    /// The image that has shown itself to be good: it is neither changed nor removed.
    pub good: Option<Filed>,
    /// The image that is being tried.
    pub trial: Option<Filed>,
    /// Digests of the copies that we put at the firmware's fallback path: the last one, and one that may be being written.
    pub fallback: [Option<Digest>; 2],
}

/// Bytes of a state file: a sector of the smallest kind, so that a medium writes it whole or not at all.
pub(super) const LENGTH: usize = 512;
/// The first line.
const TITLE: &str = "slipway slots 1";

impl Book {
    /// Where the next image goes: never where the good one is.
    #[must_use]
    pub fn target(&self) -> Slot {
        self.good.map_or(Slot::A, |good| good.slot.other())
    }

    /// With the target slot emptied: nothing in it counts any more. Written before the slot is touched.
    #[must_use]
    pub fn cleared(&self) -> Self {
        Self { trial: None, ..self.next() }
    }

    /// With an image on trial.
    #[must_use]
    pub fn tried(&self, image: Filed) -> Self {
        Self { trial: Some(image), ..self.next() }
    }

    /// With the image on trial now good, if it is the one that runs from this slot. Another one that is on trial has not shown anything:
    /// it may be the one that did not come up, and the good one runs in its place.
    #[must_use]
    pub fn promoted(&self, running: Slot) -> Self {
        match self.trial {
            Some(trial) if trial.slot == running => Self { good: Some(trial), trial: None, ..self.next() },
            Some(_) | None => self.clone(),
        }
    }

    /// With this digest at the fallback path, or about to be.
    #[must_use]
    pub fn with_fallback(&self, digest: Digest) -> Self {
        let last = self.fallback.iter().flatten().find(|old| **old != digest).copied();
        Self { fallback: [Some(digest), last], ..self.next() }
    }

    /// The image of this digest, if a slot has it.
    #[must_use]
    pub fn holds(&self, sha256: &Digest) -> Option<Filed> {
        self.good.into_iter().chain(self.trial).find(|image| image.sha256 == *sha256)
    }

    /// The file that this state is written to. The one before it stays in the other file.
    #[must_use]
    pub fn state_file(&self) -> StateFile {
        if self.sequence % 2 == 1 { StateFile::One } else { StateFile::Two }
    }

    fn next(&self) -> Self {
        Self { sequence: self.sequence.saturating_add(1), ..self.clone() }
    }

    /// Its bytes: text that a person can read, filled up with line ends, and a checksum.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("{TITLE}\nsequence {}\n", self.sequence);
        for (word, image) in [("good", self.good), ("trial", self.trial)] {
            if let Some(Filed { slot, version, size, sha256 }) = image {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{word} {} {version} {size} {}", slot.letter(), HEXLOWER.encode(&sha256));
            }
        }
        for digest in self.fallback.iter().flatten() {
            let _ = writeln!(text, "fallback {}", HEXLOWER.encode(digest));
        }
        let mut bytes = text.into_bytes();
        bytes.resize(LENGTH - 9, b'\n');
        let sum = format!("{:08x}\n", crc32fast::hash(&bytes));
        bytes.extend_from_slice(sum.as_bytes());
        bytes
    }

    /// Reads a state file. `None`: it is torn, of another age, or not one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_at_checked(LENGTH - 9)?;
        if sum != format!("{:08x}\n", crc32fast::hash(body)).as_bytes() {
            return None;
        }
        let mut lines = str::from_utf8(body).ok()?.trim_end().lines();
        let mut book = (lines.next()? == TITLE).then(Self::default)?;
        let mut fallbacks = book.fallback.iter_mut();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["sequence", number] => book.sequence = number.parse().ok()?,
                ["good", image @ ..] => book.good = Some(filed(image)?),
                ["trial", image @ ..] => book.trial = Some(filed(image)?),
                ["fallback", hex] => *fallbacks.next()? = Some(digest(hex)?),
                _ => return None,
            }
        }
        Some(book)
    }
}

fn filed(words: &[&str]) -> Option<Filed> {
    let [slot, version, size, sha256] = words else { return None };
    let slot = match *slot {
        "a" => Slot::A,
        "b" => Slot::B,
        _ => return None,
    };
    Some(Filed { slot, version: version.parse().ok()?, size: size.parse().ok()?, sha256: digest(sha256)? })
}

fn digest(hex: &str) -> Option<Digest> {
    HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok()
}

/// What counts of what the two state files hold: the sound one that was written last. Nothing sound: an empty book.
#[must_use]
pub fn newest(files: [Option<&[u8]>; 2]) -> Book {
    files.into_iter().flatten().filter_map(Book::decode).max_by_key(|book| book.sequence).unwrap_or_default()
}
