//! TPM 2.0 as bytes: what a machine asks its TPM, what a server checks of the answers, and what a boot's event log says.
//!
//! This crate is pure: it opens no device, reads no clock and draws no random number. A transport is a function that the
//! caller gives; time and random bytes come in as values. "Part 1" to "part 3" cite the TPM 2.0 Library specification.

pub mod boot;
pub mod command;
pub mod eventlog;
pub mod policy;
pub mod template;

mod attest;
mod chain;
mod check;
mod cipher;
mod credential;
mod der;
mod driver;
mod error;
mod exchange;
mod hash;
mod numbers;
mod pcr;
mod public;
mod response;
mod session;
mod wire;

pub use attest::{Attest, Clock, Statement, Subject, decode_signature, encode_signature};
pub use boot::{Boot, BootFault};
pub use chain::{ChainFault, check_ek_chain, ek_of_certificate};
pub use check::{Quoted, Refusal, check_ak, check_certify, check_identity, check_quote, check_signature};
pub use credential::{Credential, EkFault, EkPublic, Entropy, Unusable, make_credential};
pub use driver::{Change, Ek, IdentityKeys, Inventory, Sealed, Standing, Switches, Tpm};
pub use error::{Closed, TpmError};
pub use eventlog::EventLog;
pub use numbers::{Algorithm, Attributes, CommandCode, Curve, Handle};
pub use pcr::PcrSet;
pub use policy::{Approval, PolicyKey};
pub use public::{Kind, Name, Public, Scheme, Symmetric};
pub use response::{ResponseCode, Subject as RefusalSubject};
pub use template::EkKind;
pub use wire::{DecodeError, Fault};
