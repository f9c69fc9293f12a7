//! Option 60: what kind of client speaks.

use crate::ClientArch;

/// Who sends this vendor class, by its prefix. Firmware varies in what follows, so nothing else decides.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ClassFamily {
    /// `PXEClient`: a PXE ROM, UEFI PXE, iPXE, or the Raspberry Pi's boot loader.
    Pxe,
    /// `HTTPClient`: UEFI HTTP Boot.
    Http,
    /// `U-Boot`, alone or with the architecture.
    UBoot,
    /// Anything else: an operating system, a telephone, our agent.
    Other,
}

/// A parsed vendor class, such as `PXEClient:Arch:00007:UNDI:003016` or `HTTPClient:Arch:00016:UNDI:003001`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct VendorClass {
    /// Who speaks.
    pub family: ClassFamily,
    /// The architecture in its decimal digits, or in U-Boot's word for it, where they are there. Option 93 goes before it.
    pub arch: Option<ClientArch>,
    /// UNDI major and minor version, where they are there.
    pub undi: Option<(u16, u16)>,
}

impl VendorClass {
    /// What a reply to a PXE client says in option 60.
    pub const PXE: &'static [u8] = b"PXEClient";
    /// What a reply to UEFI HTTP Boot says in option 60: without it edk2 never considers the offer.
    pub const HTTP: &'static [u8] = b"HTTPClient";

    /// Reads the value of option 60. Never fails: what is not understood is None, or [`ClassFamily::Other`].
    #[must_use]
    pub fn parse(value: &[u8]) -> Self {
        let family = [
            (Self::PXE, ClassFamily::Pxe),
            (Self::HTTP, ClassFamily::Http),
            (b"U-Boot".as_slice(), ClassFamily::UBoot),
        ]
        .into_iter()
        .find_map(|(prefix, family)| value.starts_with(prefix).then_some(family))
        .unwrap_or(ClassFamily::Other);
        let netboot = matches!(family, ClassFamily::Pxe | ClassFamily::Http);
        let part = |label: &[u8]| netboot.then(|| after(value, label)).flatten();
        let digits = part(b"Arch").and_then(number).map(ClientArch);
        let word = (family == ClassFamily::UBoot).then(|| u_boot_arch(value)).flatten();
        Self { family, arch: digits.or(word), undi: part(b"UNDI").and_then(versions) }
    }
}

/// `U-Boot.armv8` and the like: what U-Boot says that is built without a type for option 93.
fn u_boot_arch(value: &[u8]) -> Option<ClientArch> {
    match value.strip_prefix(b"U-Boot.")?.trim_ascii_end() {
        b"armv8" => Some(ClientArch::ARM64_UBOOT),
        b"arm" | b"armv7" => Some(ClientArch::ARM32_UBOOT),
        _ => None,
    }
}

/// The part that follows the part with this label, parts being separated by colons.
fn after<'a>(value: &'a [u8], label: &[u8]) -> Option<&'a [u8]> {
    let mut parts = value.split(|byte| *byte == b':');
    parts.find(|part| part.eq_ignore_ascii_case(label))?;
    parts.next()
}

fn number(digits: &[u8]) -> Option<u16> {
    let digits = digits.trim_ascii_end();
    let digits = digits.split(|byte| *byte == 0).next()?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// `003016`: three digits major, three digits minor.
fn versions(digits: &[u8]) -> Option<(u16, u16)> {
    let (major, minor) = digits.split_first_chunk::<3>()?;
    let minor = minor.get(..3)?;
    Some((number(major)?, number(minor)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_decides_and_the_digits_help() {
        use ClassFamily::{Http, Other, Pxe, UBoot};
        type Row = (&'static [u8], ClassFamily, Option<u16>, Option<(u16, u16)>);
        let rows: [Row; 15] = [
            (b"PXEClient:Arch:00007:UNDI:003016", Pxe, Some(7), Some((3, 16))),
            (b"PXEClient:Arch:00000:UNDI:002001", Pxe, Some(0), Some((2, 1))),
            (b"HTTPClient:Arch:00016:UNDI:003001", Http, Some(16), Some((3, 1))),
            (b"PXEClient", Pxe, None, None),
            (b"PXEClient:Arch:00007:UNDI:003016\0", Pxe, Some(7), Some((3, 16))),
            (b"PXEClient:Arch:70000:UNDI:00301", Pxe, None, None),
            (b"PXEClient:Arch:+0007:UNDI:abcdef", Pxe, None, None),
            (b"PXEClient:Arch", Pxe, None, None),
            (b"U-Boot.armv8", UBoot, Some(22), None),
            (b"U-Boot.armv7", UBoot, Some(21), None),
            (b"U-Boot.mips", UBoot, None, None),
            (b"U-Boot", UBoot, None, None),
            (b"MSFT 5.0", Other, None, None),
            (b"pxeclient", Other, None, None),
            (b"", Other, None, None),
        ];
        for (value, family, arch, undi) in rows {
            let parsed = VendorClass { family, arch: arch.map(ClientArch), undi };
            assert_eq!(VendorClass::parse(value), parsed, "{}", value.escape_ascii());
        }
    }
}
