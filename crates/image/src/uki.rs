//! Unified kernel images (UAPI "Unified Kernel Image"): one EFI program that carries kernel, initrd and command line as sections.

use core::ops::Range;

use crate::bytes::{index, until_nul};
use crate::pe::{Layout, Machine, Pe, PeError, SECTION_ENTRY, Section, checksum};

/// What a UKI holds. Ranges are offsets in its file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Uki {
    /// The processor it runs on.
    pub machine: Machine,
    /// The kernel.
    pub linux: Range<usize>,
    /// The initial RAM file system, if it carries one.
    pub initrd: Option<Range<usize>>,
    /// Its own command line without trailing white space, if it has one.
    pub cmdline: Option<String>,
    /// The text of its `os-release`, if it has one.
    pub osrel: Option<String>,
    /// The kernel's release (`uname -r`), if it says.
    pub uname: Option<String>,
}

/// Why bytes are not a UKI.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UkiError {
    /// Not a PE image at all.
    #[error("not a PE image: {0}")]
    Pe(PeError),
    /// A PE image for something else than UEFI.
    #[error("not an EFI program: its subsystem is {0}")]
    NotEfi(u16),
    /// An EFI program without a kernel in it.
    #[error("an EFI program, but not a UKI: it has no .linux section")]
    NoKernel,
    /// A section says it is longer than its data in the file.
    #[error("its {0} section is cut short")]
    Short(&'static str),
    /// A section of text that is not UTF-8.
    #[error("its {0} section is not UTF-8 text")]
    NotText(&'static str),
}

impl Uki {
    /// Reads a UKI. Of one with several profiles, what a plain start boots: the base with profile 0 laid over it.
    ///
    /// # Errors
    /// Why it is not a UKI, or which section is damaged.
    pub fn parse(data: &[u8]) -> Result<Self, UkiError> {
        let pe = Pe::parse(data).map_err(UkiError::Pe)?;
        if !pe.is_efi_program() {
            return Err(UkiError::NotEfi(pe.subsystem));
        }
        let text = |name| match part(&pe, name)? {
            Some(range) => {
                let bytes = until_nul(data.get(range).ok_or(UkiError::Short(name))?);
                let text = core::str::from_utf8(bytes).map_err(|_| UkiError::NotText(name))?;
                Ok(Some(text.trim_end().to_owned()))
            }
            None => Ok(None),
        };
        Ok(Self {
            machine: pe.machine,
            linux: part(&pe, ".linux")?.ok_or(UkiError::NoKernel)?,
            initrd: part(&pe, ".initrd")?,
            cmdline: text(".cmdline")?,
            osrel: text(".osrel")?,
            uname: text(".uname")?,
        })
    }
}

/// The part of the file that the named section of the default profile holds. `.profile` sections divide the table: before the first
/// one stand the base's sections, after each one those that its profile adds or replaces.
fn part(pe: &Pe, name: &'static str) -> Result<Option<Range<usize>>, UkiError> {
    let mut groups = pe.sections.split(|section| section.is(".profile"));
    let base = groups.next().unwrap_or_default();
    let first = groups.next().unwrap_or_default();
    let found = first.iter().chain(base).find(|section| section.is(name));
    found.map(|section| section.data().ok_or(UkiError::Short(name))).transpose()
}

/// What goes into a UKI.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The kernel: a bzImage or an arm64 `Image` with its EFI stub.
    pub linux: &'a [u8],
    /// The initial RAM file system.
    pub initrd: &'a [u8],
    /// The command line.
    pub cmdline: &'a str,
    /// The text of `os-release`: boot menus show its `PRETTY_NAME`.
    pub osrel: &'a str,
    /// The kernel's release (`uname -r`).
    pub uname: &'a str,
}

/// Why a UKI cannot be built on a stub.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BuildError {
    /// The stub is not a PE image.
    #[error("the stub is not a PE image: {0}")]
    Pe(PeError),
    /// The stub is a PE image for something else than UEFI.
    #[error("the stub is not an EFI program: its subsystem is {0}")]
    NotEfi(u16),
    /// The stub already carries one of the sections.
    #[error("the stub already has a {0} section: it is a UKI itself")]
    Occupied(&'static str),
    /// No room between the stub's section table and its first section.
    #[error("the stub's headers have room for {room} more sections, {needed} are needed")]
    NoRoom {
        /// Section table entries that fit.
        room: usize,
        /// Section table entries needed.
        needed: usize,
    },
    /// The stub's alignments are not powers of two.
    #[error("the stub's headers state an impossible alignment")]
    BadAlignment,
    /// The image would pass 4 GiB, which a PE image cannot.
    #[error("the image would be larger than a PE image can be (4 GiB)")]
    TooLarge,
}

/// Initialized data, readable.
const DATA: u32 = 0x4000_0040;
/// Code, readable and executable: kernels before 5.8 are entered in place (systemd's stub before version 258).
const CODE: u32 = 0x6000_0020;

/// Builds a UKI: the parts as sections behind those of systemd's stub. The same input gives the same bytes.
///
/// What the stub's file has behind its last section (a symbol table, for Debian's) is dropped, and no gap is left: Authenticode
/// tools disagree about the digest of files with bytes that belong to no section.
///
/// # Errors
/// What is wrong with the stub, or that the image would be too large.
pub fn build(stub: &[u8], parts: &Parts<'_>) -> Result<Vec<u8>, BuildError> {
    let pe = Pe::parse(stub).map_err(BuildError::Pe)?;
    if !pe.is_efi_program() {
        return Err(BuildError::NotEfi(pe.subsystem));
    }
    // The kernel comes last: an old one that is entered in place unpacks itself over what follows it.
    let added: [(&'static str, &[u8], u32); 5] = [
        (".osrel", parts.osrel.as_bytes(), DATA),
        (".cmdline", parts.cmdline.as_bytes(), DATA),
        (".uname", parts.uname.as_bytes(), DATA),
        (".initrd", parts.initrd, DATA),
        (".linux", parts.linux, CODE),
    ];
    for (name, ..) in &added {
        if pe.sections.iter().any(|section| section.is(name)) {
            return Err(BuildError::Occupied(name));
        }
    }
    let mut image = Image::from_stub(stub, &pe)?;
    let room = pe.sections.iter().filter(|section| section.raw_size > 0).map(|section| index(section.raw_offset)).min();
    let room = room.unwrap_or(0).saturating_sub(image.next_entry) / SECTION_ENTRY;
    if room < added.len() {
        return Err(BuildError::NoRoom { room, needed: added.len() });
    }
    for (name, data, flags) in added {
        image.append(name, data, flags)?;
    }
    image.finish(&pe)
}

/// An image that grows.
struct Image {
    bytes: Vec<u8>,
    layout: Layout,
    file_alignment: u32,
    section_alignment: u32,
    /// Where the next section table entry goes.
    next_entry: usize,
    /// The address behind the last section.
    next_address: u32,
    /// Initialized data added, as the header counts it.
    data_added: u32,
}

impl Image {
    fn from_stub(stub: &[u8], pe: &Pe) -> Result<Self, BuildError> {
        let layout = pe.layout;
        let alignment = |at: usize| {
            let value = crate::bytes::u32_at(stub, layout.optional.saturating_add(at)).unwrap_or(0);
            value.is_power_of_two().then_some(value).ok_or(BuildError::BadAlignment)
        };
        let (section_alignment, file_alignment) = (alignment(32)?, alignment(36)?);
        let raw_end = |section: &Section| index(section.raw_offset).saturating_add(index(section.raw_size));
        let end = pe.sections.iter().filter(|section| section.raw_size > 0).map(raw_end).max().unwrap_or(0);
        let memory_end =
            pe.sections.iter().map(|section| section.virtual_address.saturating_add(section.virtual_size)).max();
        let mut image = Self {
            bytes: stub.get(..end).unwrap_or(stub).to_vec(),
            layout,
            file_alignment,
            section_alignment,
            next_entry: layout.table.saturating_add(pe.sections.len().saturating_mul(SECTION_ENTRY)),
            next_address: memory_end.unwrap_or(0),
            data_added: 0,
        };
        image.pad()?;
        Ok(image)
    }

    fn pad(&mut self) -> Result<(), BuildError> {
        let length = u32::try_from(self.bytes.len()).map_err(|_| BuildError::TooLarge)?;
        let length = length.checked_next_multiple_of(self.file_alignment).ok_or(BuildError::TooLarge)?;
        self.bytes.resize(index(length), 0);
        Ok(())
    }

    fn append(&mut self, name: &str, data: &[u8], flags: u32) -> Result<(), BuildError> {
        let offset = u32::try_from(self.bytes.len()).map_err(|_| BuildError::TooLarge)?;
        let size = u32::try_from(data.len()).map_err(|_| BuildError::TooLarge)?;
        let address = self.next_address.checked_next_multiple_of(self.section_alignment).ok_or(BuildError::TooLarge)?;
        self.bytes.extend_from_slice(data);
        self.pad()?;
        let raw_size =
            u32::try_from(self.bytes.len()).ok().and_then(|end| end.checked_sub(offset)).ok_or(BuildError::TooLarge)?;

        let mut entry = [0_u8; SECTION_ENTRY];
        put(&mut entry, 0, name.as_bytes());
        put(&mut entry, 8, &size.to_le_bytes());
        put(&mut entry, 12, &address.to_le_bytes());
        put(&mut entry, 16, &raw_size.to_le_bytes());
        put(&mut entry, 20, &offset.to_le_bytes());
        put(&mut entry, 36, &flags.to_le_bytes());
        put(&mut self.bytes, self.next_entry, &entry);

        self.next_entry = self.next_entry.saturating_add(SECTION_ENTRY);
        self.next_address = address.checked_add(size).ok_or(BuildError::TooLarge)?;
        self.data_added = self.data_added.checked_add(raw_size).ok_or(BuildError::TooLarge)?;
        Ok(())
    }

    fn finish(mut self, pe: &Pe) -> Result<Vec<u8>, BuildError> {
        let Layout { coff, optional, directories, table } = self.layout;
        let at = |offset: usize| optional.saturating_add(offset);
        let count = self.next_entry.saturating_sub(table) / SECTION_ENTRY;
        let count = u16::try_from(count).map_err(|_| BuildError::TooLarge)?;
        let image_size =
            self.next_address.checked_next_multiple_of(self.section_alignment).ok_or(BuildError::TooLarge)?;
        let data_size = crate::bytes::u32_at(&self.bytes, at(8)).unwrap_or(0).saturating_add(self.data_added);
        debug_assert_eq!(self.bytes.len() % index(self.file_alignment.max(1)), 0, "{:?} is padded", pe.machine);

        put(&mut self.bytes, coff.saturating_add(2), &count.to_le_bytes());
        // The symbol table was dropped with the bytes behind the last section.
        put(&mut self.bytes, coff.saturating_add(8), &[0; 8]);
        put(&mut self.bytes, at(8), &data_size.to_le_bytes());
        put(&mut self.bytes, at(56), &image_size.to_le_bytes());
        // So was the stub's signature, if it had one: data directory 4.
        let (first, directory_count) = directories;
        if directory_count > 4 {
            put(&mut self.bytes, first.saturating_add(4 * 8), &[0; 8]);
        }
        let sum = checksum(&self.bytes, at(64));
        put(&mut self.bytes, at(64), &sum.to_le_bytes());
        Ok(self.bytes)
    }
}

/// Overwrites bytes at an offset that the parsed headers have shown to be inside.
fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(target) = bytes.get_mut(at..at.saturating_add(value.len())) {
        target.copy_from_slice(value);
    }
}
