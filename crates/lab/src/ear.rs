//! What sits between a machine's card and its wire, and keeps some packets from the card: so real firmware can be made to take one kind of
//! answer and not another, and nobody can tell that from firmware which ignores it.
//!
//! QEMU hands over each frame that is on its way to the card, and takes back what the card is to hear: each with its length in four
//! bytes before it. What the card sends passes as ever.

use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::pcap::{Frame, Packet};

/// Whether a card hears a packet.
pub type Hears = fn(&Packet) -> bool;

/// An ear between wire and card: what QEMU is to be told, until it is told.
#[derive(Debug)]
pub(crate) struct Ear {
    /// Where frames come from, and where they go to.
    paths: [PathBuf; 2],
}

impl Ear {
    /// Puts it there: QEMU will find it when it starts. `name` is unique within the scenario.
    pub(crate) fn open(name: &str, hears: Hears) -> Result<Self> {
        let paths = ["heard", "hears"].map(|end| Path::new("/run").join(format!("{name}.{end}")));
        let [wire, card] = &paths;
        let listen =
            |path: &PathBuf| UnixListener::bind(path).with_context(|| format!("cannot make {}", path.display()));
        let (wire, card) = (listen(wire)?, listen(card)?);
        std::thread::spawn(move || {
            // It ends with the machine.
            let _ = pass(&wire, &card, hears);
        });
        Ok(Self { paths })
    }

    /// QEMU's arguments, for the network device `lan`.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let [wire, card] = &self.paths;
        let socket = |id: &str, path: &Path| format!("socket,id={id},path={}", path.display());
        let filter = "filter-redirector,id=ear,netdev=lan,queue=tx,outdev=ear-wire,indev=ear-card";
        ["-chardev", &socket("ear-wire", wire), "-chardev", &socket("ear-card", card), "-object", filter]
            .map(str::to_owned)
            .to_vec()
    }
}

fn pass(wire: &UnixListener, card: &UnixListener, hears: Hears) -> io::Result<()> {
    let (wire, _) = wire.accept()?;
    let (mut card, _): (UnixStream, _) = card.accept()?;
    let mut wire = BufReader::new(wire);
    loop {
        let mut len = [0; 4];
        wire.read_exact(&mut len)?;
        let size = usize::try_from(u32::from_be_bytes(len)).map_err(io::Error::other)?;
        let mut bytes = vec![0; size];
        wire.read_exact(&mut bytes)?;
        let frame = Frame { at: SystemTime::now(), len: bytes.len(), bytes };
        if frame.packet().is_none_or(|packet| hears(&packet)) {
            card.write_all(&[&len[..], &frame.bytes].concat())?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcap::tests::udp;

    #[test]
    fn what_is_not_to_be_heard_does_not_reach_the_card() {
        let folder = tempfile::tempdir().unwrap();
        let [wire, card] = ["wire", "card"].map(|name| UnixListener::bind(folder.path().join(name)).unwrap());
        let [mut from, mut to] = ["wire", "card"].map(|name| UnixStream::connect(folder.path().join(name)).unwrap());
        let passing = std::thread::spawn(move || pass(&wire, &card, |packet| packet.from.port() != 67));
        let frames = [
            udp("10.0.0.1:67", "10.0.0.2:68", b"offer").bytes,
            udp("10.0.0.1:69", "10.0.0.2:4000", b"data").bytes,
            b"neither UDP nor TCP".to_vec(),
        ];
        for frame in &frames {
            from.write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes()).unwrap();
            from.write_all(frame).unwrap();
        }
        drop(from);
        assert!(passing.join().unwrap().is_err(), "it ends with the machine");
        let mut heard = Vec::new();
        to.read_to_end(&mut heard).unwrap();
        let wanted = frames[1..]
            .iter()
            .flat_map(|frame| [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], frame].concat());
        assert_eq!(heard, wanted.collect::<Vec<u8>>());
    }
}
