//! A few words with a TPM whose machine is off: what a person in the firmware's setup, or its maker, would do.
//!
//! swtpm's control channel (its manual page `swtpm_ioctls`) takes a socket for the commands, and starts the TPM; the commands are those of
//! TPM 2.0 Library, Part 3.

use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::done;

const CMD_INIT: u32 = 2;
const CMD_SET_DATAFD: u32 = 16;
/// How long swtpm may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The platform's handle, and the empty password that it has while the machine is off.
const PLATFORM: [u8; 4] = [0x40, 0, 0, 0x0c];
const NO_PASSWORD: [u8; 13] = [0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0];
/// Bytes of NV memory read at once.
const PIECE: u16 = 512;

pub(super) struct Talk {
    data: UnixStream,
    /// The TPM ends when it is closed.
    _control: UnixStream,
}

impl Talk {
    pub(super) fn begin(socket: &Path) -> Result<Self> {
        let mut control = UnixStream::connect(socket).context("cannot reach it")?;
        let (data, its) = UnixStream::pair()?;
        for end in [&control, &data] {
            end.set_read_timeout(Some(PATIENCE))?;
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut passed = SendAncillaryBuffer::new(&mut space);
        let fds = [its.as_fd()];
        ensure!(passed.push(SendAncillaryMessage::ScmRights(&fds)), "no room for a descriptor");
        let word = CMD_SET_DATAFD.to_be_bytes();
        sendmsg(&control, &[IoSlice::new(&word)], &mut passed, SendFlags::empty())?;
        obeyed(&mut control, "take a socket")?;
        control.write_all(&[CMD_INIT.to_be_bytes(), [0; 4]].concat())?;
        obeyed(&mut control, "start")?;
        let mut talk = Self { data, _control: control };
        // TPM2_Startup(CLEAR).
        done(&talk.ask(&[0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0])?)?;
        Ok(talk)
    }

    /// `TPM2_Clear`, as the platform.
    pub(super) fn clear(&mut self) -> Result<()> {
        let reply = self.command(0x126, &[&PLATFORM, &NO_PASSWORD])?;
        done(&reply)
    }

    /// The content of an NV index, by `TPM2_NV_ReadPublic` and `TPM2_NV_Read`.
    pub(super) fn nv_read(&mut self, index: u32) -> Result<Vec<u8>> {
        let index = index.to_be_bytes();
        let public = self.ask(&[&[0x80, 1, 0, 0, 0, 14, 0, 0, 1, 0x69], index.as_slice()].concat())?;
        done(&public)?;
        // The public area's length, then index, algorithm, attributes, policy, and at its end the size.
        let area = public.get(10..12).and_then(|len| public.get(12..12 + number(len))).context("cut short")?;
        let size = area.last_chunk::<2>().map(|size| u16::from_be_bytes(*size)).context("cut short")?;
        let mut content = Vec::new();
        while content.len() < usize::from(size) {
            let at = u16::try_from(content.len())?;
            let piece = PIECE.min(size - at);
            let words = [&PLATFORM, index.as_slice(), &NO_PASSWORD, &piece.to_be_bytes(), &at.to_be_bytes()];
            let reply = self.command(0x14e, &words)?;
            done(&reply)?;
            content.extend(reply.get(16..16 + usize::from(piece)).context("a piece is cut short")?);
        }
        Ok(content)
    }

    /// The public area of a key that is kept in it, by `TPM2_ReadPublic`: a `TPMT_PUBLIC`.
    pub(super) fn read_public(&mut self, handle: u32) -> Result<Vec<u8>> {
        let reply = self.ask(&[&[0x80, 1, 0, 0, 0, 14, 0, 0, 1, 0x73], handle.to_be_bytes().as_slice()].concat())?;
        done(&reply)?;
        let area = reply.get(10..12).and_then(|len| reply.get(12..12 + number(len))).context("cut short")?;
        Ok(area.to_vec())
    }

    /// A command with a password.
    fn command(&mut self, code: u32, parts: &[&[u8]]) -> Result<Vec<u8>> {
        let body = parts.concat();
        let len = u32::try_from(body.len() + 10)?;
        self.ask(&[&[0x80, 2], len.to_be_bytes().as_slice(), &code.to_be_bytes(), &body].concat())
    }

    fn ask(&mut self, command: &[u8]) -> Result<Vec<u8>> {
        self.data.write_all(command)?;
        let mut reply = vec![0; 10];
        self.data.read_exact(&mut reply).context("it does not answer")?;
        let len = reply.get(2..6).map_or(0, number);
        reply.resize(len.max(10), 0);
        self.data.read_exact(reply.get_mut(10..).unwrap_or_default()).context("its answer is cut short")?;
        Ok(reply)
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

fn obeyed(control: &mut UnixStream, what: &str) -> Result<()> {
    let mut result = [0; 4];
    control.read_exact(&mut result).with_context(|| format!("swtpm does not {what}"))?;
    ensure!(result == [0; 4], "swtpm does not {what}: result {result:02x?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::thread::{self, JoinHandle};

    use super::*;

    const INDEX: u32 = 0x01c0_0002;

    /// Somebody who speaks as a TPM: expects these commands, gives each its answer, and is gone.
    fn speaks(script: Vec<(Vec<u8>, Vec<u8>)>) -> (Talk, JoinHandle<()>) {
        let (data, mut its) = UnixStream::pair().unwrap();
        let (control, _) = UnixStream::pair().unwrap();
        let tpm = thread::spawn(move || {
            for (expected, answer) in script {
                let mut command = vec![0; 10];
                its.read_exact(&mut command).unwrap();
                command.resize(number(&command[2..6]), 0);
                its.read_exact(&mut command[10..]).unwrap();
                assert_eq!(command, expected);
                its.write_all(&answer).unwrap();
            }
        });
        (Talk { data, _control: control }, tpm)
    }

    /// An answer with this code.
    fn answer(code: u32, body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(body.len() + 10).unwrap();
        [&[0x80, 2], len.to_be_bytes().as_slice(), &code.to_be_bytes(), body].concat()
    }

    fn read_public(size: u16) -> (Vec<u8>, Vec<u8>) {
        let command = [&[0x80, 1, 0, 0, 0, 14, 0, 0, 1, 0x69], INDEX.to_be_bytes().as_slice()].concat();
        // The index, SHA-256, attributes, no policy, the size; and then its name, which is of no interest.
        let area = [&INDEX.to_be_bytes(), [0, 11].as_slice(), &[2, 6, 0, 2], &[0, 0], &size.to_be_bytes()].concat();
        let body = [&[0, 14], area.as_slice(), &[0, 34], &[7; 34]].concat();
        (command, answer(0, &body))
    }

    fn read(size: u16, at: u16) -> Vec<u8> {
        let index = INDEX.to_be_bytes();
        let body = [&PLATFORM, index.as_slice(), &NO_PASSWORD, &size.to_be_bytes(), &at.to_be_bytes()];
        [&[0x80, 2, 0, 0, 0, 35, 0, 0, 1, 0x4e], body.concat().as_slice()].concat()
    }

    /// The answer to a reading: the parameters' length, the piece's, the piece, and an empty session.
    fn piece(content: &[u8]) -> Vec<u8> {
        let len = u16::try_from(content.len()).unwrap();
        let size = len.to_be_bytes();
        let body = [&(u32::from(len) + 2).to_be_bytes(), size.as_slice(), content, &[0, 0, 1, 0, 0]];
        answer(0, &body.concat())
    }

    #[test]
    fn an_index_is_read_in_pieces_to_its_end() {
        let content: Vec<u8> = (0..700_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let script =
            vec![read_public(700), (read(512, 0), piece(&content[..512])), (read(188, 512), piece(&content[512..]))];
        let (mut talk, tpm) = speaks(script);
        assert_eq!(talk.nv_read(INDEX).unwrap(), content);
        tpm.join().unwrap();
    }

    #[test]
    fn a_refusal_and_an_answer_that_is_cut_short_are_told_apart() {
        let public = read_public(700);
        for (reply, wanted) in [
            (answer(0x18b, &[]), "the TPM refuses: response code [00, 00, 01, 8b]"),
            (answer(0, &[0, 14, 1]), "cut short"),
            (answer(0, &[]), "cut short"),
            (public.1[..20].to_vec(), "its answer is cut short"),
            (public.1[..4].to_vec(), "it does not answer"),
            // A length below that of the head itself.
            ([0x80, 1, 0, 0, 0, 3, 0, 0, 0, 0].to_vec(), "cut short"),
        ] {
            let (mut talk, tpm) = speaks(vec![(public.0.clone(), reply.clone())]);
            let error = format!("{:#}", talk.nv_read(INDEX).unwrap_err());
            assert!(error.contains(wanted), "{reply:02x?}: {error}");
            tpm.join().unwrap();
        }
        let (mut talk, tpm) = speaks(vec![public, (read(512, 0), piece(&[1; 100]))]);
        assert_eq!(talk.nv_read(INDEX).unwrap_err().to_string(), "a piece is cut short");
        tpm.join().unwrap();
    }

    #[test]
    fn a_key_is_its_public_area_alone_and_clearing_is_the_platforms_word() {
        let command = [&[0x80, 1, 0, 0, 0, 14, 0, 0, 1, 0x73], 0x8101_0001_u32.to_be_bytes().as_slice()].concat();
        let key = answer(0, &[&[0, 3], b"key".as_slice(), &[0, 2], b"xx"].concat());
        let clear = [&[0x80, 2, 0, 0, 0, 27, 0, 0, 1, 0x26], PLATFORM.as_slice(), &NO_PASSWORD].concat();
        let done = answer(0, &[0, 0, 0, 0, 0, 0, 1, 0, 0]);
        let (mut talk, tpm) = speaks(vec![(command, key), (clear.clone(), done), (clear, answer(0x921, &[]))]);
        assert_eq!(talk.read_public(0x8101_0001).unwrap(), b"key");
        talk.clear().unwrap();
        assert!(talk.clear().unwrap_err().to_string().contains("response code"));
        tpm.join().unwrap();
    }

    #[test]
    fn what_swtpm_does_not_do_is_said() {
        for (result, wanted) in [(&[0, 0, 0, 9][..], "swtpm does not start: result"), (&[0, 0], "swtpm does not start")]
        {
            let (mut control, mut its) = UnixStream::pair().unwrap();
            its.write_all(result).unwrap();
            drop(its);
            let error = obeyed(&mut control, "start").unwrap_err().to_string();
            assert!(error.starts_with(wanted), "{error}");
        }
    }
}
