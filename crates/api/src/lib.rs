//! The public shapes of the control socket: HTTP over a Unix socket, JSON bodies, paths under `/v1/`.
//!
//! Times are RFC 3339 in UTC with milliseconds (`2026-11-23T03:35:25.123Z`). A field without a value is left out. Within `v1` fields
//! are only ever added.

pub mod org;

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
    /// Port of the trust plane, where an org exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_port: Option<u16>,
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
    /// The relay that it was last heard through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<String>,
    /// The port that it was last heard on, as relays and switches tell: text, or `0x` with hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_id: Option<String>,
    /// The switch or relay that has that port, or the customer behind it, in the same form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<String>,
    /// The image of its last boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// How its last boot stands: a word for programs.
    pub state: String,
    /// The same in a sentence, with the reason if it went wrong.
    pub summary: String,
    /// What is remembered of it, where anything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remembered: Option<Remembered>,
    /// The kind of DHCP offer that it is made, where that is not the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offers: Option<Offers>,
}

/// `POST /v1/machines/{mac}/release` and `POST /v1/machines/{mac}/forget`, without a body; the answer to these and to an [`Order`]: what is
/// remembered of one machine beyond its boots.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Remembered {
    /// The UUID that it is known by beside its hardware address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// What it is to boot, before any rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// The last intent for one boot, after its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past_intent: Option<PastIntent>,
    /// Its installer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installer: Option<Installer>,
    /// The boot loader that it is not given for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looping: Option<LoaderLoop>,
}

/// `POST /v1/machines/{mac}/boot`: what a machine is to boot, before any rule; or by the rules again. Setting it lets the machine install
/// again, too.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Order {
    /// `image`, `menu`, `local` or `rules`.
    pub boot: String,
    /// The image, `name` or `name@version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The way there: `auto` (usual), `direct` or `ipxe`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Text to put after the image's own command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append: Option<String>,
    /// For one boot only.
    #[serde(default)]
    pub once: bool,
}

/// What a machine is to boot, before any rule.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Intent {
    /// `image`, `menu` or `local`.
    pub boot: String,
    /// The image, `name` or `name@version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What follows the image's own command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append: Option<String>,
    /// For one boot only.
    pub once: bool,
    /// When it was said.
    pub since: String,
    /// Of an intent for one boot: in how many boots it was answered by now.
    pub attempts: u8,
}

/// An intent for one boot, after its end.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct PastIntent {
    /// What it was, in words.
    pub boot: String,
    /// When it ended.
    pub at: String,
    /// Whether it was fulfilled; otherwise it was given up after several boots that did not come as far.
    pub fulfilled: bool,
}

/// A boot loader that a machine loaded over and over, with nothing else heard of it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct LoaderLoop {
    /// Its path.
    pub loader: String,
    /// How often it was loaded in a row.
    pub loads: usize,
    /// When last; ten minutes later it is given again.
    pub since: String,
}

/// A machine's installer.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Installer {
    /// The image's name.
    pub image: String,
    /// When it was booted, as far as that counts.
    pub boots: Vec<String>,
    /// `installing`, `done` (it said so) or `guarded` (the guard has tripped): in the last two the machine is told to boot its own disk.
    pub state: String,
    /// Since when it is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// The kind of DHCP offer that a machine is made whose firmware ignored the usual one.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Offers {
    /// `plain`, `boot-server`, `this-file` or `other-loader`.
    pub rung: String,
    /// What is different in it.
    pub about: String,
    /// What showed that the kind before was ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Since when it is known to boot by it; absent while it is only tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub works_since: Option<String>,
    /// How often it has ignored every kind, one after the other.
    #[serde(default)]
    pub rounds: u32,
}

/// `POST /v1/machines/{mac}/reset`: a machine is made the usual offer again.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reset {
    /// The machine.
    pub mac: String,
    /// What it was made before, if that was another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<Offers>,
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
