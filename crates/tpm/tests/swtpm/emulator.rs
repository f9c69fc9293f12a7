//! A TPM emulator of a test's own.

use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use slipway_tpm::{Entropy, Tpm};
use tempfile::TempDir;

/// One org, and another.
pub(crate) const ORG: [u8; 16] = *b"an org for tests";
pub(crate) const OTHER_ORG: [u8; 16] = *b"another org here";

/// A TPM that keeps its memory when the machine restarts.
pub(crate) struct Emulator {
    /// Kept as long as anybody speaks to it.
    folder: Arc<TempDir>,
}

/// What a transport is.
pub(crate) type Transport = Box<dyn FnMut(&[u8]) -> io::Result<Vec<u8>>>;

/// All that crossed the bus.
#[derive(Clone, Default)]
pub(crate) struct Bus(Arc<Mutex<Vec<u8>>>);

impl Bus {
    pub(crate) fn has(&self, bytes: &[u8]) -> bool {
        self.0.lock().unwrap().windows(bytes.len()).any(|window| window == bytes)
    }
}

impl Emulator {
    /// A TPM as it leaves a factory that puts no certificates into it.
    pub(crate) fn new() -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        std::fs::create_dir(folder.path().join("state")).unwrap();
        Self { folder }
    }

    /// A TPM with certificates for its RSA-2048 and P-384 endorsement keys, made by a CA of its own.
    pub(crate) fn certified() -> Self {
        Self::set_up(&["--create-ek-cert"])
    }

    /// A TPM that measures with SHA-1 alone.
    pub(crate) fn measuring_with_sha1() -> Self {
        Self::set_up(&["--pcr-banks", "sha1"])
    }

    fn set_up(options: &[&str]) -> Self {
        let tpm = Self::new();
        let path = |name: &str| tpm.folder.path().join(name).display().to_string();
        let ca = path("ca");
        std::fs::create_dir(&ca).unwrap();
        let write = |name: &str, text: String| std::fs::write(path(name), text).unwrap();
        write(
            "localca.conf",
            format!("statedir={ca}\nsigningkey={ca}/key.pem\nissuercert={ca}/issuer.pem\ncertserial={ca}/serial\n"),
        );
        let platform = "--platform-manufacturer Slipway\n--platform-version 1\n--platform-model test\n";
        write("localca.options", platform.to_owned());
        let (conf, localca_options) = (path("localca.conf"), path("localca.options"));
        write(
            "setup.conf",
            format!(
                "create_certs_tool=swtpm_localca\ncreate_certs_tool_config={conf}\ncreate_certs_tool_options={localca_options}\n"
            ),
        );
        let mut command = Command::new("swtpm_setup");
        command.args(["--tpm2", "--overwrite", "--tpmstate", &path("state"), "--config", &path("setup.conf")]);
        let done = command.args(options).env("XDG_CONFIG_HOME", path("config")).output();
        let done = done.expect("swtpm_setup is missing: apt install swtpm-tools");
        let said = [done.stdout, done.stderr].concat();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&said));
        tpm
    }

    /// The root certificate of its maker, and the one below it, in DER.
    pub(crate) fn maker(&self) -> (Vec<u8>, Vec<u8>) {
        let der = |name: &str| pem(&std::fs::read_to_string(self.folder.path().join("ca").join(name)).unwrap());
        (der("swtpm-localca-rootca-cert.pem"), der("issuer.pem"))
    }

    /// Powers the machine on: PCRs are reset, all else is kept.
    pub(crate) fn boot(&self) -> Tpm<Transport> {
        self.boot_with(&Bus::default(), &[])
    }

    /// The same with somebody on the bus.
    pub(crate) fn boot_listening(&self, bus: &Bus) -> Tpm<Transport> {
        self.boot_with(bus, &[])
    }

    /// The same after firmware has sent these commands, in hexadecimal.
    pub(crate) fn boot_after(&self, commands: &[&str]) -> Tpm<Transport> {
        self.boot_with(&Bus::default(), commands)
    }

    /// The line to it, for whoever wants to tamper with what crosses it.
    pub(crate) fn wire(&self) -> Wire {
        Wire::new(&self.folder)
    }

    fn boot_with(&self, bus: &Bus, commands: &[&str]) -> Tpm<Transport> {
        let mut wire = self.wire();
        if !commands.is_empty() {
            wire.exchange(&hex("80010000000c000001440000")).unwrap();
        }
        for command in commands {
            let reply = wire.exchange(&hex(command)).unwrap();
            assert_eq!(reply[6..10], [0; 4], "{command}");
        }
        let bus = bus.clone();
        let transport = move |command: &[u8]| {
            bus.0.lock().unwrap().extend_from_slice(command);
            let reply = wire.exchange(command)?;
            bus.0.lock().unwrap().extend_from_slice(&reply);
            Ok(reply)
        };
        let transport: Transport = Box::new(transport);
        let mut tpm = Tpm::new(transport);
        tpm.start().unwrap();
        tpm
    }
}

/// The process, and the line to it. It ends with the line.
pub(crate) struct Wire {
    child: Child,
    line: Option<UnixStream>,
    _folder: Arc<TempDir>,
}

impl Wire {
    fn new(folder: &Arc<TempDir>) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        // swtpm takes no descriptor below 3.
        let script =
            r#"exec 3<&0 </dev/null; exec swtpm socket --tpm2 --fd 3 --flags not-need-init --tpmstate "dir=$1""#;
        let mut command = Command::new("sh");
        command.args(["-c", script, "swtpm"]).arg(folder.path().join("state"));
        let child = command.stdin(Stdio::from(OwnedFd::from(theirs))).spawn().unwrap();
        drop(command);
        Self { child, line: Some(ours), _folder: folder.clone() }
    }

    pub(crate) fn exchange(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
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

/// Random bytes that are the same in each run.
pub(crate) fn entropy(seed: u8) -> Entropy {
    Entropy(std::array::from_fn(|at| seed.wrapping_mul(31).wrapping_add(u8::try_from(at).unwrap())))
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The first block of a PEM file.
fn pem(text: &str) -> Vec<u8> {
    let body: Vec<u8> = text
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN"))
        .skip(1)
        .take_while(|line| !line.starts_with("-----"))
        .flat_map(str::bytes)
        .collect();
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let bits =
        body.iter().filter(|byte| **byte != b'=').fold((Vec::new(), 0_u32, 0), |(mut out, word, count), byte| {
            let (word, count) = (word << 6 | u32::from(value(*byte)), count + 6);
            if count < 8 {
                return (out, word, count);
            }
            out.push((word >> (count - 8) & 0xff).try_into().unwrap());
            (out, word & 0xff, count - 8)
        });
    bits.0
}
