//! A certificate of the operator's own: by a CA that the machines' firmware knows already.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::pkey::{Id, PKey};
use openssl::ssl::SslContext;
use openssl::x509::{X509, X509Ref};

use super::settings;
use crate::config::CertificateFiles;

/// A certificate that was read from files, ready for handshakes.
#[derive(Clone, Debug)]
pub struct Own {
    pub(super) context: SslContext,
    ips: BTreeSet<IpAddr>,
    dns: BTreeSet<String>,
    is_rsa: bool,
}

impl Own {
    /// Reads certificate and key, at this time in seconds since 1970.
    ///
    /// # Errors
    /// What is wrong with them, in words that go into the configuration's fault.
    pub fn read(files: &CertificateFiles, now: i64) -> Result<Self, String> {
        let text = |path: &Path| {
            fs::read(path).map_err(|error| format!("{} cannot be read by the server's user: {error}", path.display()))
        };
        let (certificate, key) = (files.certificate.display(), files.key.display());
        let chain = X509::stack_from_pem(&text(&files.certificate)?).unwrap_or_default();
        let Some((first, issuers)) = chain.split_first() else {
            return Err(format!("{certificate} holds no certificate in PEM"));
        };
        let secret = PKey::private_key_from_pem_callback(&text(&files.key)?, |_| Ok(0));
        let Ok(secret) = secret else { return Err(format!("{key} holds no key in PEM that opens without a password")) };
        if !first.public_key().is_ok_and(|public| public.public_eq(&secret)) {
            return Err(format!("{key} is not the key of {certificate}"));
        }
        if Asn1Time::from_unix(now).is_ok_and(|now| first.not_after() <= now.as_ref()) {
            return Err(format!("{certificate} was valid until {}", first.not_after()));
        }
        let unusable = |error: ErrorStack| format!("OpenSSL cannot use {certificate}: {error}");
        let context = settings::context(first, issuers, &secret).map_err(unusable)?;
        let (ips, dns) = names(first);
        Ok(Self { context, ips, dns, is_rsa: secret.id() == Id::RSA })
    }

    /// Whether it is for this address.
    #[must_use]
    pub fn is_for(&self, ip: IpAddr) -> bool {
        self.ips.contains(&ip)
    }

    /// Whether its key is RSA: what firmware without elliptic curves needs.
    #[must_use]
    pub const fn is_rsa(&self) -> bool {
        self.is_rsa
    }

    /// Whether it is for this name, itself or by a `*` for the first label (RFC 9525 §6.3).
    pub(super) fn is_for_name(&self, name: &str) -> bool {
        let any = name.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        let mut known = self.dns.iter();
        known.any(|known| {
            known.eq_ignore_ascii_case(name) || any.as_ref().is_some_and(|any| known.eq_ignore_ascii_case(any))
        })
    }
}

fn names(certificate: &X509Ref) -> (BTreeSet<IpAddr>, BTreeSet<String>) {
    let (mut ips, mut dns) = (BTreeSet::new(), BTreeSet::new());
    for name in certificate.subject_alt_names().iter().flatten() {
        dns.extend(name.dnsname().map(str::to_owned));
        let octets = name.ipaddress().unwrap_or_default();
        ips.extend(<[u8; 4]>::try_from(octets).map(IpAddr::from));
        ips.extend(<[u8; 16]>::try_from(octets).map(IpAddr::from));
    }
    (ips, dns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;
    use crate::interfaces::Found;
    use crate::site::{Facts, Interface, Ipv6, Mode, NoSite, build};
    use crate::tls::authority::{Authority, new_key};
    use crate::tls::credentials::Names;
    use std::path::PathBuf;

    const NOW: i64 = 1_795_000_000;

    /// Files with a certificate for these addresses, valid for a day.
    fn files(folder: &Path, ips: &[&str]) -> CertificateFiles {
        let authority = Authority::open(folder, NOW).unwrap();
        let names = Names {
            ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
            dns: ["*.boot.example".to_owned()].into(),
        };
        let key = new_key().unwrap();
        let leaf = authority.issue(&key, &names, NOW + 86_400).unwrap();
        let files = CertificateFiles { certificate: folder.join("own.pem"), key: folder.join("own.key") };
        let chain = [leaf.to_pem().unwrap(), authority.pem().unwrap()].concat();
        fs::write(&files.certificate, chain).unwrap();
        fs::write(&files.key, key.private_key_to_pem_pkcs8().unwrap()).unwrap();
        files
    }

    #[test]
    fn a_certificate_is_read_with_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let own = Own::read(&files(folder.path(), &["10.77.0.1", "fd00::1"]), NOW).unwrap();
        assert!(own.is_rsa() && own.is_for("fd00::1".parse().unwrap()) && !own.is_for("10.77.0.2".parse().unwrap()));
        let rows =
            [("a.boot.example", true), ("A.BOOT.example", true), ("boot.example", false), ("a.b.boot.example", false)];
        for (name, known) in rows {
            assert_eq!(own.is_for_name(name), known, "{name}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_files_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let good = files(folder.path(), &["10.77.0.1"]);
        let other = folder.path().join("other.key");
        fs::write(&other, new_key().unwrap().private_key_to_pem_pkcs8().unwrap()).unwrap();
        let with = |certificate: &Path, key: &Path| CertificateFiles {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        for (files, now, fault) in [
            (
                with(&folder.path().join("none"), &good.key),
                NOW,
                "none cannot be read by the server's user: No such file",
            ),
            (with(&good.key, &good.key), NOW, "own.key holds no certificate in PEM"),
            (
                with(&good.certificate, &good.certificate),
                NOW,
                "own.pem holds no key in PEM that opens without a password",
            ),
            (with(&good.certificate, &other), NOW, "other.key is not the key of "),
            (good, NOW + 86_400, "own.pem was valid until "),
        ] {
            let said = Own::read(&files, now).unwrap_err();
            assert!(said.contains(fault), "{said}");
        }
    }

    /// What `slipway check` says of a certificate, on a machine with one address.
    fn told(offer: bool, certificate: Result<Own, String>) -> String {
        let text = format!(
            "[[interface]]\nname = \"eth1\"\n[https]\noffer = {offer}\ncertificate = \"/own.pem\"\nkey = \"/own.key\"\n"
        );
        let config = parse(&text, "t.toml").unwrap_or_else(|faults| panic!("{faults}"));
        let interface = Interface {
            name: "eth1".to_owned(),
            index: 2,
            mac: [2, 0, 0, 0, 0, 1],
            v4: vec![([10, 77, 0, 1].into(), 24)],
            v6: Vec::new(),
            mtu: 1500,
            mode: Mode::Off,
            ipv6: Ipv6::default(),
        };
        let facts = Facts {
            interfaces: vec![Found { interface, up: true, loopback: false, ethernet: true }],
            default_route: None,
            chosen: Vec::new(),
            catalog: slipway_engine::catalog::Catalog::default(),
            blobs: slipway_store::Blobs::under(Path::new("/nonexistent")),
            data: PathBuf::from("/nonexistent"),
            certificate: Some(certificate),
            exported: None,
            secrets: crate::config::Secrets::default(),
        };
        match build(&config, &facts) {
            Ok(built) => {
                assert!(built.site.https.is_some_and(|https| https.own.is_some()));
                String::new()
            }
            Err(NoSite::Faults(list)) => config.faults(list).to_string(),
            Err(other) => other.to_string(),
        }
    }

    #[test]
    fn a_certificate_without_the_address_that_machines_are_sent_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let read = |ips: &[&str]| Own::read(&files(folder.path(), ips), NOW);
        assert_eq!(told(true, read(&["10.77.0.1"])), "");
        assert_eq!(told(false, read(&[])), "", "nobody is sent there");
        let expected = "t.toml:5:15: error: https.certificate: is not for 10.77.0.1, where machines are sent to\n    \
                        5 | certificate = \"/own.pem\"\n      |               ^^^^^^^^^^\n        \
                        URLs hold addresses: have it made with these as IP addresses in subjectAltName\n\
                        t.toml: 1 error, 0 warnings";
        assert_eq!(told(true, read(&["10.77.0.2"])), expected);
        assert!(told(true, Err("it is broken".to_owned())).contains("https.certificate: it is broken"));
    }
}
