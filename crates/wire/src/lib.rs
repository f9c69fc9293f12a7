//! Bytes to meaning and back, for everything a booting machine says: DHCPv4 with the PXE and iPXE options, DHCPv6,
//! router advertisements, TFTP packets, hardware addresses and machine identities.
//!
//! This crate is pure: it opens no socket, reads no clock, writes no log. A codec error is `{field, at, fault}`, copyable and
//! without text of its own; numbers on the wire are newtypes, so that a value without a name here survives.

pub mod dhcp4;
pub mod dhcp6;
pub mod efi;
pub mod esl;
pub mod http;
pub mod ipxe;
pub mod ndp;
pub mod pxe;
pub mod tftp;
pub mod uimage;

mod agent_id;
mod arch;
mod error;
mod mac;
mod named;
mod root_path;
mod sub_options;

pub use agent_id::{AgentId, ParseAgentIdError};
pub use arch::{ClientArch, Cpu};
pub use error::{DecodeError, Fault, Field};
pub use mac::{MacAddr, ParseMacError};
pub use root_path::{Iscsi, RootPath, RootPathError, is_iscsi_name};
pub use sub_options::SubOptions;
