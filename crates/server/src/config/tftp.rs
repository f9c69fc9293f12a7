//! `[tftp]`: the files that firmware asks for.

use std::path::PathBuf;

use super::fault::At;
use super::reader::Section;
use super::{DEFAULT_TFTP_PORT, values};
use crate::site::TftpSettings;

const KEYS: [&str; 5] = ["port", "export", "blksize-max", "single-port", "allow"];
/// The largest block, in bytes (RFC 2348).
const LARGEST_BLOCK: u16 = 65464;
/// UDP ports that this server has another use for.
const TAKEN: [(u16, &str); 3] = [(67, "DHCP"), (547, "DHCPv6"), (4011, "the PXE boot server")];

/// TFTP as the operator chose it.
#[derive(Debug)]
pub(super) struct Tftp {
    pub(super) port: u16,
    pub(super) settings: TftpSettings,
    pub(super) export: Option<At<PathBuf>>,
}

pub(super) fn read(top: &Section<'_>) -> Tftp {
    let section = top.table("tftp", &KEYS);
    let section = section.as_ref();
    let allow = section.map_or(Vec::new(), |t| t.texts("allow", values::net));
    for (section, at) in section.into_iter().flat_map(|t| allow.iter().map(move |at| (t, at))) {
        if at.value.prefix == 0 {
            let reason = "serves everybody on the internet, and has packets sent to whom others name";
            section.error(at.span.clone(), "allow", reason, "name the networks that your machines are in");
        }
    }
    Tftp {
        port: section.and_then(read_port).unwrap_or(DEFAULT_TFTP_PORT),
        settings: TftpSettings {
            blksize_max: section.and_then(|t| t.number("blksize-max", 512, LARGEST_BLOCK)).unwrap_or(LARGEST_BLOCK),
            single_port: section.and_then(|t| t.flag("single-port")).is_some_and(|at| at.value),
            allow: allow.into_iter().map(|at| at.value).collect(),
        },
        export: section.and_then(|t| t.text("export", values::folder)),
    }
}

fn read_port(section: &Section<'_>) -> Option<u16> {
    let port = section.number("port", 1, u16::MAX)?;
    if let Some((_, owner)) = TAKEN.iter().find(|(taken, _)| *taken == port) {
        let reason = format!("{port} is the port of {owner}");
        section.error(section.span_of("port"), "port", reason, "firmware asks on 69: remove the key");
    }
    Some(port)
}
