//! What passes on a LAN: written to a pcap file, and readable while it happens.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::log::Log;
use crate::net::Lan;
use crate::pcap::{Packet, Payload, Reader};

/// Enough for every DHCP message and HTTP head; file contents are not kept.
const SNAP_BYTES: &str = "1024";

/// A running capture of one LAN. Dropping it ends it.
#[derive(Debug)]
pub struct Capture {
    tcpdump: Child,
    path: PathBuf,
    packets: Packets,
}

/// The packets of a capture so far. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Packets(Arc<(Mutex<Vec<Packet>>, Condvar)>);

impl Capture {
    /// Starts capturing, and returns when packets are being seen.
    ///
    /// # Errors
    /// `tcpdump` can't be started or says nothing within ten seconds.
    pub(crate) fn start(lan: &Lan, folder: &Path) -> Result<Self> {
        let path = folder.join(format!("{}.pcap", lan.name()));
        let mut command = Command::new("tcpdump");
        command.args([
            "-i",
            lan.name(),
            "-n",
            "-U",
            "--immediate-mode",
            "-B",
            "32768",
            "-s",
            SNAP_BYTES,
            "-Z",
            "root",
            "-w",
            "-",
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut tcpdump = command.spawn().context("cannot start tcpdump (package tcpdump)")?;
        let (Some(stdout), Some(stderr)) = (tcpdump.stdout.take(), tcpdump.stderr.take()) else {
            bail!("tcpdump without its output");
        };
        let log = Log::new("tcpdump");
        log.follow(stderr, &folder.join(format!("{}.tcpdump.log", lan.name())))?;
        let file = File::create(&path).with_context(|| format!("{}: cannot write the capture", path.display()))?;
        let packets = Packets::default();
        let sink = packets.clone();
        std::thread::spawn(move || sink.read_all(BufReader::with_capacity(65536, Tee { source: stdout, file })));
        log.wait_for("listening on", Duration::from_secs(10))?;
        Ok(Self { tcpdump, path, packets })
    }

    /// The pcap file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was seen so far.
    #[must_use]
    pub fn packets(&self) -> &Packets {
        &self.packets
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _gone = self.tcpdump.kill();
        let _reaped = self.tcpdump.wait();
    }
}

impl Packets {
    /// A copy of all packets so far, in the order they passed.
    #[must_use]
    pub fn all(&self) -> Vec<Packet> {
        self.locked().clone()
    }

    /// Waits for the first packet that `wanted` accepts, also among those that have passed.
    ///
    /// # Errors
    /// None came `within` that time; `what` says in the error what was awaited.
    pub fn wait_for(&self, what: &str, within: Duration, mut wanted: impl FnMut(&Packet) -> bool) -> Result<Packet> {
        let deadline = Instant::now() + within;
        let mut next = 0;
        let mut packets = self.locked();
        loop {
            if let Some(found) = packets.iter().skip(next).find(|packet| wanted(packet)) {
                return Ok(found.clone());
            }
            next = packets.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("no {what} was seen on the LAN within {} s ({next} packets passed)", within.as_secs());
            }
            packets = self.0.1.wait_timeout(packets, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn read_all(&self, stream: impl Read) {
        let Ok(mut reader) = Reader::new(stream) else { return };
        while let Ok(Some(frame)) = reader.next_frame() {
            if let Some(packet) = frame.packet() {
                self.locked().push(packet.trimmed());
                self.0.1.notify_all();
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Packet>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Packet {
    /// The packet with only the head of its content where that is the content of a file.
    fn trimmed(mut self) -> Self {
        match &mut self.payload {
            // TFTP DATA (RFC 1350 §5): opcode 3 and the block number.
            Payload::Udp { data, .. } if data.starts_with(&[0, 3]) => data.truncate(4),
            Payload::Tcp { data, .. } if !looks_like_http(data) => data.clear(),
            _ => {}
        }
        self
    }
}

/// Whether a TCP segment begins an HTTP request or response.
pub(crate) fn looks_like_http(data: &[u8]) -> bool {
    [&b"GET "[..], b"HEAD ", b"POST ", b"HTTP/1."].iter().any(|head| data.starts_with(head))
}

struct Tee<R> {
    source: R,
    file: File,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.file.write_all(buffer.get(..read).unwrap_or_default())?;
        Ok(read)
    }
}
