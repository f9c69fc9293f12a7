//! DHCPv4 messages (RFC 2131, options of RFC 2132 and its successors), as server, client and relay see them.
//!
//! [`Message::decode`] is tolerant where firmware is sloppy and says so in [`Message::faults`]; [`Message::encode`] is strict
//! where firmware is picky: END is always there, a PAD follows the boot file name, option 82 is last, nothing is overloaded.

mod code;
mod describe;
mod limit;
mod machine_id;
mod message;
mod options;
mod parse;
mod relay_info;

pub use code::{MessageType, Op, OptionCode};
pub use limit::{MIN_PAYLOAD, reply_limit};
pub use machine_id::MachineId;
pub use message::{EncodeError, HEADER_LEN, HTYPE_ETHERNET, MIN_MESSAGE, Message};
pub use options::Options;
pub use relay_info::RelayInfo;
