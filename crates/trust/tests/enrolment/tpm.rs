//! A real TPM: swtpm, with a firmware that measures what a test boots.

use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use slipway_tpm::{Credential, EkKind, PcrSet, Tpm};
use slipway_trust::frames::{Quote, TpmEvidence};
use slipway_trust::{Digest, OrgId, PublicKey};
use tempfile::TempDir;

type Transport = Box<dyn FnMut(&[u8]) -> io::Result<Vec<u8>>>;

/// A TPM on a machine's board.
pub(crate) struct Chip {
    folder: TempDir,
    tpm: Option<Tpm<Transport>>,
    log: Vec<u8>,
    /// What the machine sends instead of the log.
    pub(crate) told_log: Option<Vec<u8>>,
    public: Option<PublicKey>,
}

const KIND: EkKind = EkKind::P256;

impl Chip {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut chip = Self { folder, tpm: None, log: Vec::new(), told_log: None, public: None };
        chip.restart();
        chip
    }

    /// Powers the machine on: PCRs are reset, all else is kept.
    pub(crate) fn restart(&mut self) {
        self.tpm = None;
        let mut wire = Wire::new(&self.folder);
        let transport: Transport = Box::new(move |command: &[u8]| wire.exchange(command));
        let mut tpm = Tpm::new(transport);
        tpm.start().unwrap();
        self.tpm = Some(tpm);
        self.log = head();
        self.measure(0, 0x8, Digest::of(b"firmware"), b"firmware");
        self.measure(4, 0x8000_0007, Digest::of(APPLICATION), APPLICATION);
        self.measure(4, 0x4, Digest::of(&[0; 4]), &[0; 4]);
    }

    /// Boots: powers on and starts an image, with the kernel inside it.
    pub(crate) fn boots(&mut self, image: &slipway_trust::image::ImageManifest) {
        self.restart();
        self.runs(image.authenticode);
        self.runs(image.kernel_authenticode.unwrap());
    }

    /// Firmware starts a program.
    pub(crate) fn runs(&mut self, authenticode: Digest) {
        self.measure(4, 0x8000_0003, authenticode, b"a file");
    }

    /// Firmware, or whoever runs, measures something.
    pub(crate) fn measure(&mut self, pcr: u8, kind: u32, digest: Digest, data: &[u8]) {
        self.tpm().extend(pcr, &digest.0).unwrap();
        self.log.extend(event(pcr, kind, &digest, data));
    }

    /// Whoever runs measures something and keeps it from the log.
    pub(crate) fn measures_secretly(&mut self, pcr: u8, digest: Digest) {
        self.tpm().extend(pcr, &digest.0).unwrap();
    }

    /// Somebody clears it, in the firmware's setup.
    pub(crate) fn clear(&mut self) {
        self.tpm().clear().unwrap();
        self.public = None;
    }

    pub(crate) fn tpm(&mut self) -> &mut Tpm<Transport> {
        self.tpm.as_mut().unwrap()
    }

    pub(crate) fn public(&mut self, org: &OrgId) -> PublicKey {
        if self.public.is_none() {
            let point = self.tpm().identity(&org.0).unwrap().identity.p256_point().unwrap();
            self.public = PublicKey::p256(&point);
        }
        self.public.unwrap()
    }

    pub(crate) fn sign(&mut self, org: &OrgId, message: &[u8]) -> [u8; 64] {
        self.tpm().sign(&org.0, &Digest::of(message).0).unwrap()
    }

    pub(crate) fn ek(&mut self) -> Digest {
        Digest(self.tpm().ek_public(KIND).unwrap().hash())
    }

    pub(crate) fn evidence(&mut self, org: &OrgId, qualifying: &[u8; 32]) -> TpmEvidence {
        let ek = self.tpm().ek_public(KIND).unwrap().encode();
        let keys = self.tpm().identity(&org.0).unwrap();
        let certified = self.tpm().certify(&org.0, qualifying).unwrap();
        TpmEvidence {
            ek,
            certificates: Vec::new(),
            ak: keys.attestation.encode(),
            identity: keys.identity.encode(),
            certified: certified.attest,
            signature: certified.signature,
        }
    }

    /// The secret, if the TPM opens it.
    pub(crate) fn activate(&mut self, org: &OrgId, blob: &[u8], secret: &[u8]) -> Option<[u8; 32]> {
        let credential = Credential { blob: blob.to_vec(), secret: secret.to_vec() };
        self.tpm().activate(KIND, &org.0, &credential).ok().map(|secret| *secret)
    }

    pub(crate) fn quote(&mut self, org: &OrgId, qualifying: &[u8; 32]) -> Quote {
        let statement = self.tpm().quote(&org.0, PcrSet::BOOT, qualifying).unwrap();
        let log = self.told_log.clone().unwrap_or_else(|| self.log.clone());
        Quote { attest: statement.attest, signature: statement.signature, log }
    }

    pub(crate) fn log(&self) -> &[u8] {
        &self.log
    }
}

const APPLICATION: &[u8] = b"Calling EFI Application from Boot Option";

/// The first event of a log: it has one bank, of SHA-256.
fn head() -> Vec<u8> {
    let mut inside = b"Spec ID Event03\0".to_vec();
    inside.extend([0, 0, 0, 0, 0, 2, 0, 2]);
    inside.extend(1_u32.to_le_bytes());
    inside.extend(0x000b_u16.to_le_bytes());
    inside.extend(32_u16.to_le_bytes());
    inside.push(0);
    let mut log = Vec::new();
    log.extend(0_u32.to_le_bytes());
    log.extend(3_u32.to_le_bytes());
    log.extend([0; 20]);
    log.extend(u32::try_from(inside.len()).unwrap().to_le_bytes());
    log.extend(inside);
    log
}

/// One event of a log.
pub(crate) fn event(pcr: u8, kind: u32, digest: &Digest, data: &[u8]) -> Vec<u8> {
    let mut event = Vec::new();
    event.extend(u32::from(pcr).to_le_bytes());
    event.extend(kind.to_le_bytes());
    event.extend(1_u32.to_le_bytes());
    event.extend(0x000b_u16.to_le_bytes());
    event.extend(digest.0);
    event.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    event.extend(data);
    event
}

/// The process, and the line to it. It ends with the line.
struct Wire {
    child: Child,
    line: Option<UnixStream>,
}

impl Wire {
    fn new(folder: &TempDir) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        // swtpm takes no descriptor below 3.
        let script =
            r#"exec 3<&0 </dev/null; exec swtpm socket --tpm2 --fd 3 --flags not-need-init --tpmstate "dir=$1""#;
        let mut command = Command::new("sh");
        command.args(["-c", script, "swtpm"]).arg(folder.path());
        let child = command.stdin(Stdio::from(OwnedFd::from(theirs))).spawn().unwrap();
        drop(command);
        Self { child, line: Some(ours) }
    }

    fn exchange(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        let missing = || io::Error::other("swtpm does not answer; is it installed? apt install swtpm");
        let line = self.line.as_mut().unwrap();
        line.write_all(command).map_err(|_| missing())?;
        let mut head = [0; 10];
        line.read_exact(&mut head).map_err(|_| missing())?;
        let size = u32::from_be_bytes(head[2..6].try_into().unwrap());
        let mut reply = head.to_vec();
        reply.resize(size.try_into().unwrap(), 0);
        line.read_exact(&mut reply[10..])?;
        Ok(reply)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        drop(self.line.take());
        self.child.wait().unwrap();
    }
}
