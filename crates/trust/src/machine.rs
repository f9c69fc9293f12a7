//! The machine's end of enrolment, recovery and boot. One struct per state, consumed by its message.
//!
//! ```text
//! Start::hello ─► Greeted ─ on_challenge ─► Challenged ─ evidence ─► NeedsSignature ─► Proving ─ on_reply ─► Waiting, or NeedsActivation
//!                                              │                     NeedsActivation ─ activated ─► NeedsSignature ─► Proving
//!                                              └ boot ─► NeedsSignature ─► Booting ─ on_material ─► Admitted
//! Waiting ─ poll, on_reply ─► Granted;  Waiting ─ installed, on_noted
//! ```
//!
//! What a TPM or a key file must do is asked for as a value: a message to sign, a blob to activate, data for a quote. Each connection's channel
//! (the exporter of [`crate::frames::EXPORTER`]) comes in as 32 bytes.

mod boot;
mod clock;
mod grant;
mod greet;
mod prove;
mod sign;
mod stop;
mod wait;

pub use boot::{Admitted, BootProof, Booting, Running, healthy, on_noted};
pub use clock::{Clock, clock};
pub use grant::Granted;
pub use greet::{Challenged, Greeted, Start};
pub use prove::{NeedsActivation, Next, Proof, Proving};
pub use sign::NeedsSignature;
pub use stop::{Misled, Stop};
pub use wait::{Answered, Expect, Waiting};
