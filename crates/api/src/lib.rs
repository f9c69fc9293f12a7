//! The public shapes of the control socket: HTTP over a Unix socket, JSON bodies, paths under `/v1/`.
//!
//! Times are RFC 3339 in UTC with milliseconds (`2026-11-23T03:35:25.123Z`). A field without a value is left out. Within `v1` fields
//! are only ever added.

use serde::{Deserialize, Serialize};

/// Path prefix of this version.
pub const PREFIX: &str = "/v1";

/// `GET /v1/status`: the server itself.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub started: String,
    /// The configuration file; none is the embedded default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// When the configuration was last taken over.
    pub configured: String,
    /// The data folder.
    pub data: String,
    /// The interfaces that are served.
    pub interfaces: Vec<Interface>,
    /// Port of the HTTP boot server.
    pub http_port: u16,
    /// Port of HTTPS, where it is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https_port: Option<u16>,
    /// Port of TFTP.
    pub tftp_port: u16,
    /// Networks that addresses are given in.
    pub subnets: Vec<String>,
    /// The rules, in the order in which they are tried.
    pub rules: Vec<String>,
    /// Images that can be booted, `name@version`.
    pub images: Vec<String>,
    /// Boot loaders that were found.
    pub loaders: Vec<String>,
    /// Machines that are remembered.
    pub machines: usize,
    /// Journal entries that could not be written to disk in time.
    pub journal_unwritten: u64,
    /// What is odd about the configuration, as `slipway check` says it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One interface of [`Status`].
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// `dhcp`, `proxy` or `off`.
    pub mode: String,
    /// Its addresses with prefix lengths.
    pub addresses: Vec<String>,
}

/// `GET /v1/machines`: every machine that is remembered, the one last seen first.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Machines {
    /// The machines.
    pub machines: Vec<Machine>,
}

/// What is known of one machine.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Machine {
    /// Its hardware address.
    pub mac: String,
    /// When it was last heard of.
    pub last_seen: String,
    /// Its address, as far as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Its SMBIOS UUID, where it told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Its architecture, as its firmware told: `x64 UEFI`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// The program that asked last: `pxe`, `uefi-http`, `ipxe`, `agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loader: Option<String>,
    /// Our interface that heard it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The image of its last boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// How its last boot stands: a word for programs.
    pub state: String,
    /// The same in a sentence, with the reason if it went wrong.
    pub summary: String,
}

/// `GET /v1/machines/{mac}`: a machine and its boots.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct MachineStory {
    /// What is known of it.
    pub machine: Machine,
    /// Its boots, oldest first.
    pub boots: Vec<Boot>,
}

/// One boot, from the first request to the report of the booted system, or as far as it came.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Boot {
    /// When it started.
    pub started: String,
    /// From the first entry to the last, in milliseconds.
    pub took_ms: u64,
    /// How it stands: a word for programs.
    pub state: String,
    /// The same in a sentence.
    pub summary: String,
    /// The image, `name@version`, where one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The rule that decided, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Its stages, in the order in which they were reached.
    pub stages: Vec<Stage>,
    /// Everything that happened in it, oldest first.
    pub events: Vec<Event>,
}

/// One stage of a boot.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// When it was reached, in milliseconds since the boot's start.
    pub at_ms: u64,
    /// How long it took, as far as the server saw.
    pub took_ms: u64,
    /// What happened.
    pub what: String,
}

/// One packet's or transfer's outcome.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Event {
    /// When.
    pub at: String,
    /// The protocol: `dhcp4`, `proxy-dhcp4`, `pxe-4011`, `tftp`, `http`, `https`, `agent`.
    pub proto: String,
    /// Our interface.
    pub interface: String,
    /// What was asked.
    pub asked: String,
    /// What came of it.
    pub outcome: String,
    /// `answered`, `declined`, `peer` (the peer's fault) or `ourselves` (ours).
    pub kind: String,
    /// Why it was declined: a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// `POST /v1/reload`: what became of the configuration.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reloaded {
    /// What is different now, in a line each.
    pub changes: Vec<String>,
    /// What differs in the file, but takes a restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restart_needed: Vec<String>,
    /// What is odd about the configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// `POST /v1/images/refresh`: the image store is looked at now; the images that are served then, `name@version`.
pub type Images = Vec<String>;

/// The body of every answer that is not 200.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Failure {
    /// What is wrong, for people.
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_value_is_left_out_and_read_back_as_absent() {
        let machine = Machine { mac: "52:54:00:12:34:56".to_owned(), state: "booted".to_owned(), ..Machine::default() };
        let text = serde_json::to_string(&machine).unwrap();
        assert_eq!(text, r#"{"mac":"52:54:00:12:34:56","last_seen":"","state":"booted","summary":""}"#);
        assert_eq!(serde_json::from_str::<Machine>(&text).unwrap(), machine);
    }

    #[test]
    fn a_field_added_later_does_not_break_an_older_reader() {
        let text = r#"{"changes":["rule `lab` added"],"colour":"blue"}"#;
        let read: Reloaded = serde_json::from_str(text).unwrap();
        assert_eq!(read.changes, ["rule `lab` added"]);
    }
}
