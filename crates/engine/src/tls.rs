//! What a TLS handshake that failed says about the machine: what our library saw in, a reason out.

use crate::Why;
use crate::journal::Outcome;

/// How a handshake failed, as our side saw it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// The machine sent this alert (RFC 8446 §6).
    Alert(u8),
    /// It offers no cipher suite, group or signature algorithm that we have.
    NothingInCommon,
    /// It offers only versions before 1.2.
    OldVersion,
    /// Its first byte is not TLS's.
    NotTls,
    /// It closed the connection without an alert.
    Left {
        /// Whether it had our certificate by then.
        after_certificate: bool,
    },
    /// It did not go on.
    Late,
    /// It broke the protocol in another way: in our library's words, where it has any.
    Broken(Option<&'static str>),
}

/// What the entry about it says. `named` is whether our certificate names the address that the machine asked.
#[must_use]
pub fn outcome(failure: Failure, named: bool) -> Outcome {
    match why(failure, named) {
        Some(why) => Outcome::Declined(why),
        None => Outcome::Peer(words(failure)),
    }
}

/// The reason, where it is one of those that an operator can do something about. The alerts are those that OpenSSL sends, which is
/// edk2's library too, and RFC 8446 §6.2 names.
fn why(failure: Failure, named: bool) -> Option<Why> {
    Some(match failure {
        Failure::Alert(48) => Why::UnknownCa,
        // certificate_expired; bad_certificate is what OpenSSL sends for one that is not valid yet, or not for this name.
        Failure::Alert(45) => Why::WrongClock,
        Failure::Alert(42) if named => Why::WrongClock,
        Failure::Alert(42) => Why::WrongName,
        // unsupported_certificate, certificate_revoked, certificate_unknown, access_denied.
        Failure::Alert(43 | 44 | 46 | 49) | Failure::Left { after_certificate: true } => Why::CertificateRefused,
        // handshake_failure, insufficient_security.
        Failure::Alert(40 | 71) | Failure::NothingInCommon => Why::NoCommonCipher,
        Failure::Alert(70) | Failure::OldVersion => Why::OldTls,
        Failure::NotTls => Why::NotTls,
        Failure::Alert(_) | Failure::Left { .. } | Failure::Late | Failure::Broken(_) => return None,
    })
}

fn words(failure: Failure) -> String {
    match failure {
        Failure::Alert(0) => "ended the handshake".to_owned(),
        Failure::Alert(code) => format!("broke the handshake off with TLS alert {code}"),
        Failure::Left { .. } => "closed the connection before the handshake".to_owned(),
        Failure::Late => "the handshake did not end in time".to_owned(),
        Failure::Broken(words) => words.unwrap_or("it broke TLS's rules").to_owned(),
        Failure::NothingInCommon | Failure::OldVersion | Failure::NotTls => "nothing in common".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_can_mend_is_a_reason_and_the_rest_is_the_peers_fault() {
        let rows = [
            (Failure::Alert(48), true, "declined (unknown-ca)"),
            (Failure::Alert(45), true, "declined (wrong-clock)"),
            (Failure::Alert(42), true, "declined (wrong-clock)"),
            (Failure::Alert(42), false, "declined (wrong-name)"),
            (Failure::Alert(46), true, "declined (certificate-refused)"),
            (Failure::Left { after_certificate: true }, true, "declined (certificate-refused)"),
            (Failure::Left { after_certificate: false }, true, "peer's fault: closed the connection before"),
            (Failure::Alert(40), true, "declined (no-common-cipher)"),
            (Failure::NothingInCommon, true, "declined (no-common-cipher)"),
            (Failure::OldVersion, true, "declined (old-tls)"),
            (Failure::NotTls, true, "declined (not-tls)"),
            (Failure::Alert(51), true, "peer's fault: broke the handshake off with TLS alert 51"),
            (Failure::Late, true, "peer's fault: the handshake did not end in time"),
            (Failure::Broken(Some("bad record mac")), true, "peer's fault: bad record mac"),
        ];
        for (failure, named, wanted) in rows {
            let said = outcome(failure, named).to_string();
            assert!(said.starts_with(wanted), "{failure:?}: {said}");
        }
    }
}
