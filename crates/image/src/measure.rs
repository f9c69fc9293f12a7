//! What a TPM will hold once firmware and systemd's stub have started a UKI, computed from its file.
//!
//! The stub extends PCR 11 twice for each section that it knows and the image has: by the section's name with its terminating zero,
//! then by its content (systemd, `src/boot/efi/stub.c`; `systemd-measure(1)`). The order is the stub's own list, not the image's.

use sha2::{Digest as _, Sha256};

use crate::authenticode::{self, AuthenticodeError};
use crate::bytes::until_nul;
use crate::pe::{Pe, Section};
use crate::uki::{Uki, UkiError};

/// The sections that stubs measure, in their order. A stub measures those whose names it knows: 252 knows neither `.uname` nor `.sbat`.
/// `.pcrsig`, which holds signatures of the outcome, is measured by none.
const MEASURED: [&str; 13] = [
    ".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat", ".pcrpkey", ".profile",
    ".dtbauto", ".hwids",
];

/// What a UKI is told by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// Its size, in bytes.
    pub size: u64,
    /// SHA-256 over the file.
    pub sha256: [u8; 32],
    /// Its Authenticode digest (SHA-256), which firmware measures into PCR 4. A signature does not change it.
    pub authenticode: [u8; 32],
    /// That of the kernel inside, which firmware measures too when the stub has it start the kernel. None for a kernel that is no PE
    /// image.
    pub kernel_authenticode: Option<[u8; 32]>,
    /// PCR 11 of the SHA-256 bank, once the stub has measured the sections. None for a stub that measures none.
    pub pcr11: Option<[u8; 32]>,
    /// What the stub calls itself, such as `systemd-stub 252.39-1~deb12u2`.
    pub stub: Option<String>,
}

/// Why a file has no such facts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FactsError {
    /// It is no UKI.
    #[error(transparent)]
    Uki(#[from] UkiError),
    /// Its digest cannot be had.
    #[error(transparent)]
    Authenticode(#[from] AuthenticodeError),
}

impl Facts {
    /// Those of a UKI.
    ///
    /// # Errors
    /// It is no UKI, or its table of signatures is damaged.
    pub fn of(image: &[u8]) -> Result<Self, FactsError> {
        let uki = Uki::parse(image)?;
        let kernel = image.get(uki.linux).unwrap_or_default();
        Ok(Self {
            size: u64::try_from(image.len()).unwrap_or(u64::MAX),
            sha256: Sha256::digest(image).into(),
            authenticode: authenticode::digest(image)?,
            kernel_authenticode: authenticode::digest(kernel).ok(),
            pcr11: pcr11(image),
            stub: stub(image),
        })
    }
}

/// PCR 11 of the SHA-256 bank after the stub of this UKI, of one profile, has measured its sections. None where it measures none, and
/// where it is no UKI.
#[must_use]
pub fn pcr11(image: &[u8]) -> Option<[u8; 32]> {
    let pe = Pe::parse(image).ok()?;
    let mut pcr = [0_u8; 32];
    let mut measured = false;
    for name in MEASURED.into_iter().filter(|name| knows(image, &pe, name)) {
        let Some(section) = pe.sections.iter().find(|section| section.is(name)) else { continue };
        let content = image.get(section.data()?)?;
        let mut label = name.as_bytes().to_vec();
        label.push(0);
        pcr = extended(pcr, &label);
        pcr = extended(pcr, content);
        measured = true;
    }
    measured.then_some(pcr)
}

/// What a PCR holds after it was extended by this event.
fn extended(pcr: [u8; 32], event: &[u8]) -> [u8; 32] {
    let event: [u8; 32] = Sha256::digest(event).into();
    Sha256::new().chain_update(pcr).chain_update(event).finalize().into()
}

/// Whether the stub has this name in the list that it measures by: as a text of its own among its code and data, between zero bytes.
fn knows(image: &[u8], pe: &Pe, name: &str) -> bool {
    let mut text = vec![0];
    text.extend_from_slice(name.as_bytes());
    text.push(0);
    let own = |section: &&Section| !MEASURED.iter().any(|name| section.is(name));
    let contents = pe.sections.iter().filter(own).filter_map(|section| image.get(section.data()?));
    contents.into_iter().any(|content| content.windows(text.len()).any(|window| window == text))
}

/// What the stub calls itself (Boot Loader Interface, `StubInfo`): `#### LoaderInfo: systemd-stub 252 ####` in a section of its own.
fn stub(image: &[u8]) -> Option<String> {
    let pe = Pe::parse(image).ok()?;
    let section = pe.sections.iter().find(|section| section.is(".sdmagic"))?;
    let text = core::str::from_utf8(until_nul(image.get(section.data()?)?)).ok()?;
    Some(text.strip_prefix("#### LoaderInfo: ")?.strip_suffix(" ####")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uki::{Parts, build};

    const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";

    fn image(cmdline: &str) -> (Vec<u8>, Vec<u8>) {
        let stub = std::fs::read(STUB).expect("the package systemd-boot-efi must be installed for this test");
        let parts = Parts { linux: &stub, initrd: b"initrd", cmdline, osrel: "ID=x\n", uname: "6.1" };
        (build(&stub, &parts).unwrap(), stub)
    }

    #[test]
    fn a_uki_is_told_by_its_digests_and_its_kernels() {
        let (image, kernel) = image("quiet");
        let facts = Facts::of(&image).unwrap();
        assert_eq!(facts.size, u64::try_from(image.len()).unwrap());
        assert_eq!(facts.authenticode, authenticode::digest(&image).unwrap());
        assert_eq!(facts.kernel_authenticode, authenticode::digest(&kernel).ok());
        assert!(facts.stub.as_deref().is_some_and(|stub| stub.starts_with("systemd-stub ")), "{:?}", facts.stub);
        assert_ne!(facts.pcr11, Facts::of(&self::image("").0).unwrap().pcr11, "the command line counts");
        assert!(Facts::of(&kernel).is_err());
    }

    #[test]
    fn a_register_is_extended_by_name_and_content_of_what_the_stub_knows() {
        let (image, stub) = image("quiet");
        let mut pcr = [0; 32];
        let mut sections: Vec<(&str, &[u8])> =
            vec![(".linux", &stub), (".osrel", b"ID=x\n"), (".cmdline", b"quiet"), (".initrd", b"initrd")];
        if stub.windows(8).any(|bytes| bytes == b"\0.uname\0") {
            sections.push((".uname", b"6.1"));
        }
        let pe = Pe::parse(&stub).unwrap();
        if stub.windows(7).any(|bytes| bytes == b"\0.sbat\0") {
            let sbat = pe.sections.iter().find(|section| section.is(".sbat")).unwrap();
            sections.push((".sbat", &stub[sbat.data().unwrap()]));
        }
        for (name, content) in sections {
            pcr = extended(pcr, format!("{name}\0").as_bytes());
            pcr = extended(pcr, content);
        }
        assert_eq!(pcr11(&image), Some(pcr));
    }

    #[test]
    fn no_truncation_makes_measuring_panic() {
        let (image, _) = image("quiet");
        for end in (0..image.len()).step_by(509) {
            let _ = pcr11(&image[..end]);
            let _ = Facts::of(&image[..end]);
        }
    }
}
