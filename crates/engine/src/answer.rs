//! What a machine is given.

use core::net::IpAddr;

/// A decision in the machine's favour: what it is given, and the rule that said so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The rule that matched.
    pub rule: String,
    /// The image in the end, `name@version`, where there is one.
    pub image: Option<String>,
    /// The next step of this machine's boot.
    pub step: Step,
}

/// The next step of a boot, in the terms of the program that asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Load this NBP over TFTP from us: a path in our namespace without a leading `/`, at most 127 bytes.
    Tftp {
        /// Path in the namespace.
        path: String,
    },
    /// Load this URL: a boot file (UEFI HTTP Boot) or a script (iPXE).
    Url {
        /// Absolute URL with an IP literal.
        url: String,
    },
    /// Run this iPXE script.
    Script {
        /// The rendered script, starting with `#!ipxe`.
        text: String,
    },
    /// Boot from the machine's own disk: silence in DHCP, a script that exits in iPXE.
    Local,
}

/// Where a machine reaches us: what URLs and `siaddr` are made of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ServerAddr {
    /// Our address on the interface (or towards the relay) that the machine asked on.
    pub ip: IpAddr,
    /// The HTTP boot server's port.
    pub http_port: u16,
}
