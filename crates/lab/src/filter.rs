//! A DHCP relay that passes on only the options that it knows: with it in between, iPXE looks like any PXE ROM, and cannot help it.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use slipway_wire::dhcp4::{Message, Op, OptionCode};

use crate::net::{Host, Lan};

/// What it does not know: the user class, and iPXE's own options.
const UNKNOWN: [OptionCode; 2] = [OptionCode::USER_CLASS, OptionCode::IPXE];
/// The size that every DHCP message fits in here.
const LARGEST: usize = 1472;

/// A relay on a host of the lab, which runs until the scenario's process ends.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    passes_all: Arc<AtomicBool>,
}

impl Filter {
    /// Relays between the machines on `lan` and the server.
    ///
    /// # Errors
    /// The host has no address on that LAN, or its ports cannot be had.
    pub(crate) fn start(host: &Host, lan: &Lan, server: Ipv4Addr) -> Result<Self> {
        let own = host.address_on(lan)?;
        // What is sent to everybody is heard on one; what is sent from the other leaves by the interface that has its address.
        let (heard, sent) = host.inside(|| Ok((listen(Ipv4Addr::UNSPECIFIED)?, listen(own)?)))?;
        let filter = Self { passes_all: Arc::default() };
        let (upwards, passes_all) = (sent.try_clone()?, Arc::clone(&filter.passes_all));
        let up = SocketAddrV4::new(server, 67);
        std::thread::spawn(move || {
            relay(&heard, &upwards, up, |message| {
                message.giaddr = own;
                message.hops = message.hops.saturating_add(1);
                if !passes_all.load(Ordering::Acquire) {
                    UNKNOWN.iter().for_each(|code| drop(message.options.remove(*code)));
                }
                message.op == Op::REQUEST
            });
        });
        let downwards = sent.try_clone()?;
        let down = SocketAddrV4::new(Ipv4Addr::BROADCAST, 68);
        std::thread::spawn(move || relay(&sent, &downwards, down, |message| message.op == Op::REPLY));
        Ok(filter)
    }

    /// From now on it passes on everything.
    pub(crate) fn pass_all(&self) {
        self.passes_all.store(true, Ordering::Release);
    }
}

/// Passes messages on, as `edit` leaves them and where it says so.
fn relay(from: &UdpSocket, by: &UdpSocket, to: SocketAddrV4, mut edit: impl FnMut(&mut Message) -> bool) {
    let mut buffer = [0_u8; 4096];
    while let Ok(read) = from.recv(&mut buffer) {
        let Ok(mut message) = Message::decode(buffer.get(..read).unwrap_or_default()) else { continue };
        if edit(&mut message)
            && let Ok(bytes) = message.encode(LARGEST)
        {
            // A lost packet is sent again by whoever waits for an answer.
            let _lost = by.send_to(&bytes, to);
        }
    }
}

fn listen(ip: Ipv4Addr) -> Result<UdpSocket> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_broadcast(&socket, true)?;
    bind(&socket, &SocketAddrV4::new(ip, 67)).with_context(|| format!("cannot relay on {ip}:67"))?;
    Ok(socket.into())
}
