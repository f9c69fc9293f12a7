//! The server certificate: for the addresses and names that we have now, and valid for a while; made anew when either changes.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::ssl::SslContext;

use super::authority::{Authority, Error, new_key};
use super::settings;
use crate::journal::now;
use crate::site::Site;

/// How long a server certificate is valid, in seconds: as far as a machine's clock may be ahead, and then some.
const LIFE: i64 = 30 * 86_400;
/// How long one is used before the next takes its place.
const USED: i64 = LIFE / 2;

/// What a certificate is for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Names {
    pub(super) ips: BTreeSet<IpAddr>,
    pub(super) dns: BTreeSet<String>,
}

impl Names {
    /// Those of the site: the addresses of all interfaces that are served, and the names that the operator gave us. `asked` is the
    /// address that a machine has just connected to, which is ours, too.
    pub(crate) fn of(site: &Site, asked: Option<IpAddr>) -> Self {
        let interfaces = || site.interfaces.iter();
        let v4 = interfaces().flat_map(|interface| interface.v4.iter().map(|(ip, _)| IpAddr::V4(*ip)));
        let v6 = interfaces().flat_map(|interface| interface.v6.iter().map(|(ip, _)| IpAddr::V6(*ip)));
        let ips = v4.chain(v6).chain(asked.map(|asked| asked.to_canonical())).collect();
        let dns = site.https.iter().flat_map(|https| https.names.iter().cloned()).collect();
        Self { ips, dns }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ips.is_empty() && self.dns.is_empty()
    }

    fn hold(&self, wanted: &Self) -> bool {
        self.ips.is_superset(&wanted.ips) && self.dns.is_superset(&wanted.dns)
    }

    fn with(&self, more: &Self) -> Self {
        Self { ips: &self.ips | &more.ips, dns: &self.dns | &more.dns }
    }
}

/// Where the certificates of handshakes come from: from our CA, once it is needed. One of the operator's own is in the site, and goes
/// before.
#[derive(Debug, Default)]
pub struct Certificates {
    ours: ArcSwapOption<Credentials>,
}

impl Certificates {
    /// Opens our CA, unless it is open or this site does without.
    ///
    /// # Errors
    /// It is needed and cannot be used.
    pub fn open(&self, data: &Path, site: &Site) -> Result<(), Error> {
        let has_own = site.https.as_ref().is_some_and(|https| https.own.is_some());
        if !has_own && self.ours.load().is_none() {
            self.ours.store(Some(Arc::new(Credentials::by(Authority::open(data, seconds())?))));
        }
        Ok(())
    }

    /// Those by our CA.
    pub(crate) fn ours(&self) -> Option<Arc<Credentials>> {
        self.ours.load_full()
    }
}

/// Gives each handshake its certificate.
#[derive(Debug)]
pub(crate) struct Credentials {
    authority: Authority,
    current: Mutex<Option<Current>>,
}

/// The certificate in use, ready for handshakes.
#[derive(Debug)]
struct Current {
    context: SslContext,
    key: PKey<Private>,
    names: Names,
    renew_at: i64,
}

impl Credentials {
    /// Certificates by this CA.
    pub(super) const fn by(authority: Authority) -> Self {
        Self { authority, current: Mutex::new(None) }
    }

    /// Makes the first certificate, so that the first machine does not wait for it. If that fails, the first machine's entry says why.
    pub(crate) fn prepare(&self, site: &Site) {
        let _ = self.made(&Names::of(site, None), seconds());
    }

    /// What a handshake at this time (in seconds since 1970), for these names, is made with, if it is at hand.
    pub(super) fn at_hand(&self, wanted: &Names, now: i64) -> Option<SslContext> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().filter(|current| current.serves(wanted, now)).map(|current| current.context.clone())
    }

    /// The same, made if need be: that takes a while, a second on a slow processor.
    pub(super) fn made(&self, wanted: &Names, now: i64) -> Result<SslContext, ErrorStack> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, names) = match current.as_ref() {
            Some(current) if current.serves(wanted, now) => return Ok(current.context.clone()),
            // What was asked for before is kept, or two addresses in turn would mean a new certificate each time.
            Some(current) if current.is_fresh(now) => (current.key.clone(), current.names.with(wanted)),
            Some(_) | None => (new_key()?, wanted.clone()),
        };
        let certificate = self.authority.issue(&key, &names, now.saturating_add(LIFE))?;
        let context = settings::context(&certificate, &[], &key)?;
        tracing::debug!(?names, until = %certificate.not_after(), "a server certificate was made");
        *current = Some(Current { context: context.clone(), key, names, renew_at: now.saturating_add(USED) });
        Ok(context)
    }
}

impl Current {
    fn serves(&self, wanted: &Names, now: i64) -> bool {
        self.is_fresh(now) && self.names.hold(wanted)
    }

    /// Not so after its time, nor before it began: then our own clock was set, and nothing is known.
    fn is_fresh(&self, now: i64) -> bool {
        (self.renew_at.saturating_sub(USED)..self.renew_at).contains(&now)
    }
}

/// The time now, in seconds since 1970.
#[must_use]
pub fn seconds() -> i64 {
    i64::try_from(now().0 / 1000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::x509::X509;

    const NOW: i64 = 1_795_000_000;

    fn names(ips: &[&str], dns: &[&str]) -> Names {
        Names {
            ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
            dns: dns.iter().map(|&dns| dns.to_owned()).collect(),
        }
    }

    fn certificate(context: &SslContext) -> X509 {
        context.certificate().unwrap().to_owned()
    }

    fn alternatives(certificate: &X509) -> Vec<String> {
        let list = certificate.subject_alt_names().unwrap();
        let one = |name: &openssl::x509::GeneralNameRef| match (name.dnsname(), name.ipaddress()) {
            (Some(dns), _) => dns.to_owned(),
            (None, Some(&[a, b, c, d])) => format!("{a}.{b}.{c}.{d}"),
            (None, ip) => format!("{} bytes", ip.unwrap_or_default().len()),
        };
        list.iter().map(one).collect()
    }

    #[test]
    fn a_certificate_names_every_address_and_is_used_again() {
        let data = tempfile::tempdir().unwrap();
        let credentials = Credentials::by(Authority::open(data.path(), NOW).unwrap());
        let wanted = names(&["10.77.0.1", "fd00::1"], &["boot.example"]);
        assert!(credentials.at_hand(&wanted, NOW).is_none());
        let first = certificate(&credentials.made(&wanted, NOW).unwrap());
        assert_eq!(alternatives(&first), ["10.77.0.1", "16 bytes", "boot.example"]);
        assert_eq!(first.public_key().unwrap().bits(), 2048);
        let again = certificate(&credentials.at_hand(&wanted, NOW + USED - 1).unwrap());
        assert_eq!(first.serial_number().to_bn().unwrap(), again.serial_number().to_bn().unwrap());
    }

    #[test]
    fn a_new_address_makes_a_new_certificate_with_the_same_key_and_time_makes_a_new_key() {
        let data = tempfile::tempdir().unwrap();
        let credentials = Credentials::by(Authority::open(data.path(), NOW).unwrap());
        let first = certificate(&credentials.made(&names(&["10.77.0.1"], &[]), NOW).unwrap());
        let moved = names(&["10.77.0.9"], &[]);
        assert!(credentials.at_hand(&moved, NOW).is_none());
        let second = certificate(&credentials.made(&moved, NOW).unwrap());
        assert_eq!(alternatives(&second), ["10.77.0.1", "10.77.0.9"]);
        assert!(first.public_key().unwrap().public_eq(&second.public_key().unwrap()));
        for later in [NOW + USED, NOW - 1] {
            assert!(credentials.at_hand(&moved, later).is_none());
        }
        let third = certificate(&credentials.made(&moved, NOW + USED).unwrap());
        assert_eq!(alternatives(&third), ["10.77.0.9"], "what is not ours any more is gone");
        assert!(!first.public_key().unwrap().public_eq(&third.public_key().unwrap()));
        assert!(third.not_after() > second.not_after());
    }
}
