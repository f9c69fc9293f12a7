//! The boot plane's TLS: a CA of our own, a server certificate that follows our addresses, and handshakes that firmware of 2022 and
//! before can make. On OpenSSL, because such firmware offers nothing but DHE-RSA and RSA key exchange.

mod authority;
mod credentials;
mod handshake;
mod own;
mod settings;

pub use authority::{Authority, Error, Facts};
pub(crate) use authority::{LONG_AGO, begin, common_name, fingerprint, name, new_key, write};
pub use credentials::{Certificates, seconds};
pub(crate) use handshake::{Failed, accept};
pub use own::Own;
