//! TPMs of machines: swtpm, each with a state of its own that outlives the machine's being switched off, made by a maker of the
//! scenario's own, whose certificates are in it.
//!
//! Nothing of it touches this computer's own settings of swtpm: tools are told where everything is.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::lab::Lab;
use crate::log::indent;
use crate::parts::{SWTPM, SWTPM_SETUP, require};
use crate::process::{Frozen, Running, run};

mod talk;

/// How long swtpm may take to end when its machine is gone.
const END: Duration = Duration::from_secs(10);
/// Where the endorsement key's certificate is: RSA 2048, the TCG's EK Credential Profile 2.6, §2.2.1.4.
const EK_CERTIFICATE: u32 = 0x01c0_0002;
/// Where makers put the endorsement key itself: the same key, TCG's TPM v2.0 Provisioning Guidance, §7.8.
const EK: u32 = 0x8101_0001;

/// A TPM 2.0. Clones are the same chip.
#[derive(Clone, Debug)]
pub struct Tpm {
    name: String,
    /// The folder of its maker.
    maker: PathBuf,
    state: PathBuf,
    socket: PathBuf,
    logs: PathBuf,
    running: Arc<Mutex<Option<Running>>>,
}

impl Lab {
    /// Makes a TPM by the scenario's usual maker.
    ///
    /// # Errors
    /// swtpm is missing, or does not make it.
    pub fn tpm(&self, name: &str) -> Result<Tpm> {
        self.tpm_by("maker", name)
    }

    /// Makes a TPM by a maker of this name, which has a CA of its own.
    ///
    /// # Errors
    /// As [`tpm`](Self::tpm).
    pub fn tpm_by(&self, maker: &str, name: &str) -> Result<Tpm> {
        Tpm::make(self.folder(), maker, name, Path::new("/run"))
    }
}

impl Tpm {
    /// Makes it in a scenario's folder; its socket will be in `run`.
    fn make(folder: &Path, maker: &str, name: &str, run_folder: &Path) -> Result<Self> {
        require(&[SWTPM, SWTPM_SETUP])?;
        let maker = folder.join("tpm").join(maker);
        let state = folder.join("tpm").join(name);
        for place in [&maker, &state] {
            std::fs::create_dir_all(place).with_context(|| format!("cannot make {}", place.display()))?;
        }
        let setup = settings(&maker)?;
        let log = folder.join(format!("{name}-swtpm_setup.log"));
        let mut command = Command::new(SWTPM_SETUP.program);
        command.args(["--tpm2", "--create-ek-cert", "--pcr-banks", "sha256", "--tpmstate"]).arg(&state);
        command.arg("--config").arg(setup).arg("--logfile").arg(&log).env("TMPDIR", &state).env("HOME", &state);
        run(&mut command).with_context(|| {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<String> = said.lines().map(|line| line.chars().take(200).collect()).collect();
            format!("swtpm_setup made no TPM; {}:\n{}", log.display(), indent(&lines))
        })?;
        let socket = run_folder.join(format!("tpm-{name}"));
        Ok(Self { name: name.to_owned(), maker, state, socket, logs: folder.to_owned(), running: Arc::default() })
    }
}

/// Writes what swtpm's tools read instead of this computer's settings.
fn settings(maker: &Path) -> Result<PathBuf> {
    let at = |name: &str| maker.join(name).display().to_string();
    let write = |name: &str, text: String| {
        std::fs::write(maker.join(name), text).with_context(|| format!("cannot write {}", at(name)))
    };
    let ca = format!(
        "statedir = {}\nsigningkey = {}\nissuercert = {}\ncertserial = {}\n",
        maker.display(),
        at("signkey.pem"),
        at("issuercert.pem"),
        at("certserial")
    );
    write("localca.conf", ca)?;
    write("localca.options", "--platform-manufacturer Slipway\n--platform-version 1\n--platform-model Lab\n".into())?;
    let setup = format!(
        "create_certs_tool = swtpm_localca\ncreate_certs_tool_config = {}\ncreate_certs_tool_options = {}\nactive_pcr_banks = sha256\n",
        at("localca.conf"),
        at("localca.options")
    );
    write("setup.conf", setup)?;
    Ok(maker.join("setup.conf"))
}

impl Tpm {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The certificates of its maker, as PEM files: the root, and the CA below it that signed this TPM's.
    #[must_use]
    pub fn makers_certificates(&self) -> [PathBuf; 2] {
        ["swtpm-localca-rootca-cert.pem", "issuercert.pem"].map(|name| self.maker.join(name))
    }

    /// The certificate of its endorsement key, in DER, as it stands in the TPM. Its machine is off.
    ///
    /// # Errors
    /// The machine is on, or the TPM has none.
    pub fn ek_certificate(&self) -> Result<Vec<u8>> {
        self.while_off(|talk| talk.nv_read(EK_CERTIFICATE))
    }

    /// What its purchase papers would say: SHA-256 of its endorsement key's public area, in hexadecimal. Its machine is off.
    ///
    /// # Errors
    /// The machine is on, or the TPM does not tell.
    pub fn ek_digest(&self) -> Result<String> {
        let public = self.while_off(|talk| talk.read_public(EK))?;
        Ok(Sha256::digest(public).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Clears it, as a person in the firmware's setup would: all keys of its owner are others from now on, the maker's stay. Its machine
    /// is off.
    ///
    /// # Errors
    /// The machine is on, or the TPM refuses.
    pub fn clear(&self) -> Result<()> {
        self.while_off(talk::Talk::clear)
    }

    /// QEMU's arguments for it, once it runs.
    pub(crate) fn arguments(&self, device: &str) -> Vec<String> {
        let chardev = format!("socket,id=tpm,path={}", self.socket.display());
        ["-chardev", &chardev, "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", &format!("{device},tpmdev=tpm0")]
            .map(str::to_owned)
            .to_vec()
    }

    /// Starts it. It ends by itself when its machine is switched off.
    pub(crate) fn start(&self) -> Result<()> {
        self.rest()?;
        let mut command = Command::new(SWTPM.program);
        command.args(["socket", "--tpm2", "--terminate", "--ctrl", "type=unixio,fd=0", "--tpmstate"]);
        command.arg(format!("dir={}", self.state.display()));
        let socket = &self.socket;
        // Listening already when it is handed over: QEMU finds it, however slowly it starts.
        let _gone = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket).with_context(|| format!("cannot make {}", socket.display()))?;
        let input = Stdio::from(OwnedFd::from(listener));
        let running = Running::start_with(&format!("{}-swtpm", self.name), command, &self.logs, input)?;
        *self.running() = Some(running);
        Ok(())
    }

    /// Waits until it has ended with its machine.
    pub(crate) fn rest(&self) -> Result<()> {
        let Some(running) = self.running().take() else { return Ok(()) };
        let Err(error) = running.wait_exit(END) else { return Ok(()) };
        running.kill()?;
        Err(error.context(format!("the TPM {} did not end with its machine: is it on?", self.name)))
    }

    /// Freezes it, if its machine is on.
    pub(crate) fn freeze(&self) -> Result<Option<Frozen>> {
        self.running().as_ref().map(Running::freeze).transpose()
    }

    /// What it said, for a report.
    pub(crate) fn last_words(&self) -> Vec<String> {
        let path = self.logs.join(format!("{}-swtpm.log", self.name));
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().rev().take(10).map(str::to_owned).collect::<Vec<_>>().into_iter().rev().collect()
    }

    fn while_off<T>(&self, work: impl FnOnce(&mut talk::Talk) -> Result<T>) -> Result<T> {
        self.start()?;
        let done = talk::Talk::begin(&self.socket).and_then(|mut talk| work(&mut talk));
        let done = done.with_context(|| format!("the TPM {} (its log: {}-swtpm.log)", self.name, self.name));
        self.rest()?;
        done
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fails unless the reply says that its command was done.
fn done(reply: &[u8]) -> Result<()> {
    let code = reply.get(6..10).context("the TPM's reply is cut short")?;
    if code != [0; 4] {
        bail!("the TPM refuses: response code {code:02x?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tpm_has_its_makers_certificate_and_keeps_it_when_it_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name| Tpm::make(folder.path(), "maker", name, folder.path()).unwrap();
        let [one, two] = [make("one"), make("two")];
        let certificates = [&one, &two].map(|tpm| tpm.ek_certificate().unwrap());
        assert!(certificates.iter().all(|der| der.starts_with(&[0x30, 0x82])) && certificates[0] != certificates[1]);
        let digest = one.ek_digest().unwrap();
        assert!(digest.len() == 64 && digest != two.ek_digest().unwrap(), "{digest}");
        one.clear().unwrap();
        assert_eq!(one.ek_certificate().unwrap(), certificates[0]);
        assert!(one.makers_certificates().iter().all(|path| path.exists()));
    }

    #[test]
    fn a_tpm_that_cannot_be_made_says_why() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("tpm/maker/signkey.pem")).unwrap();
        let error = format!("{:#}", Tpm::make(folder.path(), "maker", "one", folder.path()).unwrap_err());
        assert!(error.contains("swtpm_setup made no TPM") && error.contains("one-swtpm_setup.log"), "{error}");
    }
}
