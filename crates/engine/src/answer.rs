//! What a machine is given.

use core::fmt::{self, Write as _};
use core::net::IpAddr;

use slipway_wire::AgentId;

use crate::catalog::FileRef;
use crate::machine::{Guard, Pass};
use crate::pxelinux::Config;
use crate::request::BootRequest;
use crate::rules::Rules;
use crate::san::Root;
use crate::script::Values;
use slipway_wire::MacAddr;

/// A decision in the machine's favour: what it is given, and the rule that said so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The rule that matched.
    pub rule: String,
    /// The image in the end, `name@version`, or the network disk, where there is one.
    pub image: Option<String>,
    /// The next step of this machine's boot.
    pub step: Step,
    /// What the machine's memory learns by it.
    pub lead: Lead,
}

/// What an answer leads to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lead {
    /// What is the last that we see of the boot before its image runs.
    pub last: Last,
    /// The image installs a system, and this guards against that happening again and again.
    pub install: Option<Guard>,
}

/// The last that we see of a boot before its image runs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Last {
    /// Another answer will say.
    #[default]
    Later,
    /// The whole of this file: a path in our namespace.
    File(String),
    /// This answer: what the operator's script loads, it alone knows.
    Here,
}

/// The next step of a boot, in the terms of the program that asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Load this NBP over TFTP from us: a path in our namespace without a leading `/`, at most 127 bytes.
    Tftp {
        /// Path in the namespace.
        path: String,
    },
    /// Load this URL: a boot file (UEFI HTTP Boot), a script (iPXE), or the place to report to (the agent). At most 255 bytes;
    /// a script's over IPv4 hardly ever more than 127, and iPXE reads option 67 anyway.
    Url {
        /// Absolute URL with an IP literal.
        url: String,
    },
    /// Boot from the disk at this root path. Only in DHCP.
    Root(Root),
    /// Run this iPXE script, which boots from the disk at a root path. Only in [`Exchange::Script`](crate::request::Exchange::Script).
    San {
        /// The rendered script.
        text: String,
        /// The root path.
        root: String,
    },
    /// Load this program over TFTP; it then looks for its configuration by name: pxelinux, and U-Boot, whose "program" is a script.
    Configured {
        /// The program's path in the namespace, at most 127 bytes; its configuration is looked for in the same folder.
        path: String,
        /// The configuration to look for first: option 209.
        config: String,
        /// Where it and everything else is loaded from instead of the program's folder: option 210.
        prefix: Option<String>,
    },
    /// Look for files by name, as a Raspberry Pi does: those of this image.
    Files {
        /// The image's name.
        image: String,
        /// The version of it that the rule names.
        version: Option<String>,
    },
    /// Boot by this configuration in pxelinux's format. Only in [`Exchange::Script`](crate::request::Exchange::Script).
    Config(Box<Config>),
    /// Run this iPXE script. Only in [`Exchange::Script`](crate::request::Exchange::Script).
    Script {
        /// The rendered script, starting with `#!ipxe`.
        text: String,
    },
    /// Boot by this configuration of GRUB's. Only in [`Exchange::Script`](crate::request::Exchange::Script).
    Grub {
        /// The rendered configuration.
        text: String,
    },
    /// Run the operator's own script. Only in [`Exchange::Script`](crate::request::Exchange::Script).
    Template {
        /// The template's file: whoever answers reads it and has [`script::from_template`](crate::script::from_template) render it.
        file: FileRef,
        /// What it may say.
        values: Box<Values>,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tftp { path } => f.write_str(path),
            Self::Url { url } => f.write_str(url),
            Self::Root(Root { path: root, .. }) | Self::San { root, .. } => f.write_str(root),
            Self::Configured { path, .. } => f.write_str(path),
            Self::Files { image, .. } => write!(f, "the files of {image}"),
            Self::Config(_) | Self::Grub { .. } => f.write_str("configuration"),
            Self::Script { .. } => f.write_str("script"),
            Self::Template { .. } => f.write_str("script of the operator"),
        }
    }
}

/// Where a machine reaches us: what URLs and `siaddr` are made of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ServerAddr {
    /// Our address on the interface (or towards the relay) that the machine asked on.
    pub ip: IpAddr,
    /// The HTTP boot server's port.
    pub http_port: u16,
    /// Whether TLS is spoken on that port.
    pub https: bool,
}

impl ServerAddr {
    fn host(&self) -> String {
        match self.ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        }
    }

    /// The URL of a path in the namespace over TFTP: what DHCPv6 says where DHCPv4 has a server and a file name.
    #[must_use]
    pub fn tftp_url(&self, path: &str) -> String {
        let mut url = format!("tftp://{}/", self.host());
        percent_encode(path, &mut url);
        url
    }

    /// The HTTP boot server's root, with an IP literal (firmware then needs no DNS) and no `/` at the end.
    #[must_use]
    pub fn root(&self) -> String {
        let host = self.host();
        let (scheme, usual) = if self.https { ("https", 443) } else { ("http", 80) };
        if self.http_port == usual {
            format!("{scheme}://{host}")
        } else {
            format!("{scheme}://{host}:{}", self.http_port)
        }
    }

    /// The URL of a path in the namespace, percent-encoded (RFC 3986 §3.3).
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let mut url = self.root();
        url.push('/');
        percent_encode(path, &mut url);
        url
    }

    /// The URL where iPXE gets its script. All that the rules look at and that HTTP does not show again is in its query, spelt out,
    /// because iPXE would expand nothing in a URL that comes by DHCP.
    #[must_use]
    pub fn script_url(&self, request: &BootRequest) -> String {
        let mut url = format!("{}/boot.ipxe?mac={}", self.root(), request.mac.hyphenated());
        if let Some(uuid) = request.uuid {
            url.push_str(&format!("&uuid={uuid}"));
        }
        url.push_str(&format!("&arch={}", request.arch.0));
        if let Some(relay) = request.relay {
            url.push_str(&format!("&relay={relay}"));
        }
        let place = &request.place;
        if let Some(link) = place.link {
            url.push_str(&format!("&link={link}"));
        }
        for (key, id) in [("circuit", &place.circuit_id), ("remote", &place.remote_id)] {
            if let Some(id) = id {
                url.push_str(&format!("&{key}="));
                push_agent_id(id, &mut url);
            }
        }
        url
    }

    /// The URL where an installer says that it is done. It holds nothing that a shell or iPXE would take for more than a word.
    #[must_use]
    pub fn done_url(&self, mac: MacAddr, image: &str, pass: &Pass) -> String {
        self.url(&format!("done/{}/{image}/{pass}", mac.hyphenated()))
    }

    /// The URL that a booted agent reports to.
    #[must_use]
    pub fn report_url(&self) -> String {
        format!("{}/agent/report", self.root())
    }
}

/// The most characters that a circuit or remote id may have in a URL: with two of them it is still at most 255 bytes over IPv4.
const LONGEST_ID: usize = 40;

/// Appends a circuit or remote id as [`agent_id`] reads it: spelt out where that is short, else by its digest.
fn push_agent_id(id: &AgentId, out: &mut String) {
    let mut spelt = String::new();
    percent_encode(&id.to_string(), &mut spelt);
    if spelt.len() <= LONGEST_ID {
        out.push_str(&spelt);
    } else {
        out.push_str(&format!("~{:016x}", id.digest()));
    }
}

/// Reads a circuit or remote id out of a script URL's query. One that is told by its digest is one that some rule names, or none.
#[must_use]
pub fn agent_id(told: &str, rules: &Rules) -> Option<AgentId> {
    match told.strip_prefix('~') {
        Some(digest) => rules.agent_id(u64::from_str_radix(digest, 16).ok()?).cloned(),
        None => told.parse().ok(),
    }
}

/// Appends text with all but RFC 3986's unreserved characters, `/` and `@` percent-encoded.
fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'@' => {
                out.push(char::from(byte))
            }
            // Writing to a String cannot fail.
            other => drop(write!(out, "%{other:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_hold_ip_literals_and_encoded_paths() {
        let v4 = ServerAddr { ip: [10, 77, 0, 1].into(), http_port: 8067, https: false };
        let v6 = ServerAddr { ip: "fd00::1".parse().unwrap(), http_port: 80, https: false };
        let tls = ServerAddr { https: true, ..v4 };
        for (url, wanted) in [
            (tls.url("loader/ipxe.efi"), "https://10.77.0.1:8067/loader/ipxe.efi"),
            (ServerAddr { http_port: 443, ..tls }.report_url(), "https://10.77.0.1/agent/report"),
            (v4.url("image/debian@12.1/uki.efi"), "http://10.77.0.1:8067/image/debian@12.1/uki.efi"),
            (v6.url("loader/ipxe.efi"), "http://[fd00::1]/loader/ipxe.efi"),
            (v4.url("a b/${x}?#%ä\n"), "http://10.77.0.1:8067/a%20b/%24%7Bx%7D%3F%23%25%C3%A4%0A"),
            (v6.report_url(), "http://[fd00::1]/agent/report"),
            (v6.tftp_url("image/debian@1/uki.efi"), "tftp://[fd00::1]/image/debian@1/uki.efi"),
        ] {
            assert_eq!(url, wanted);
        }
    }
}
