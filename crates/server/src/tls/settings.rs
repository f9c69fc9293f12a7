//! What we offer in a handshake.

use openssl::bn::BigNum;
use openssl::dh::Dh;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Params, Private};
use openssl::ssl::{SslContext, SslMethod, SslMode, SslOptions, SslSessionCacheMode, SslVersion};
use openssl::x509::X509;

/// TLS 1.2, best first: forward secrecy, then AES-128 before AES-256, because firmware computes without the processor's help. From
/// `DHE-RSA` on it is what firmware has that knows no elliptic curves (edk2 before 2025), from `AES128` on what is left to firmware
/// that knows no ephemeral keys either.
const TLS_1_2: &str = "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305:\
    DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-SHA256:DHE-RSA-AES256-SHA256:\
    DHE-RSA-AES128-SHA:DHE-RSA-AES256-SHA:\
    AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA";
const TLS_1_3: &str = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
const GROUPS: &str = "X25519:P-256:P-384:ffdhe2048:ffdhe3072";

/// 112 bits of security: RSA-2048 and FFDHE-2048, which is the most that all firmware knows. Said here, so that a distribution's
/// `openssl.cnf` makes no difference.
const SECURITY_LEVEL: u32 = 2;

/// ffdhe2048's prime (RFC 7919 §A.1): 2^2048 - 2^1984 + (floor(2^1918 * e) + 560316) * 2^64 - 1.
const FFDHE2048: &str = "\
    FFFFFFFFFFFFFFFFADF85458A2BB4A9AAFDC5620273D3CF1D8B9C583CE2D3695A9E13641146433FBCC939DCE249B3EF97D2FE363630C75D8\
    F681B202AEC4617AD3DF1ED5D5FD65612433F51F5F066ED0856365553DED1AF3B557135E7F57C935984F0C70E0E68B77E2A689DAF3EFE872\
    1DF158A136ADE73530ACCA4F483A797ABC0AB182B324FB61D108A94BB2C8E3FBB96ADAB760D7F4681D4F42A3DE394DF4AE56EDE76372BB19\
    0B07A7C8EE0A6D709E02FCE1CDF7E2ECC03404CD28342F619172FE9CE98583FF8E4F1232EEF28183C3FE3B1B4C6FAD733BB5FCBC2EC22005\
    C58EF1837D1683B2C6F34A26C1B2EFFA886B423861285C97FFFFFFFFFFFFFFFF";

/// Everything about a handshake but the connection. `issuers` are the CAs between the certificate and the one that machines know.
pub(super) fn context(certificate: &X509, issuers: &[X509], key: &PKey<Private>) -> Result<SslContext, ErrorStack> {
    let mut builder = SslContext::builder(SslMethod::tls_server())?;
    builder.set_security_level(SECURITY_LEVEL);
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    builder.set_max_proto_version(None)?;
    builder.set_cipher_list(TLS_1_2)?;
    builder.set_ciphersuites(TLS_1_3)?;
    builder.set_groups_list(GROUPS)?;
    builder.set_tmp_dh(ffdhe2048()?.as_ref())?;
    builder.set_options(
        SslOptions::CIPHER_SERVER_PREFERENCE
            | SslOptions::NO_COMPRESSION
            | SslOptions::NO_RENEGOTIATION
            | SslOptions::NO_TICKET,
    );
    // No session is ever taken up again: each boot is a stranger's.
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_num_tickets(0)?;
    builder.set_mode(SslMode::ACCEPT_MOVING_WRITE_BUFFER | SslMode::ENABLE_PARTIAL_WRITE | SslMode::RELEASE_BUFFERS);
    builder.set_certificate(certificate)?;
    for issuer in issuers {
        builder.add_extra_chain_cert(issuer.clone())?;
    }
    builder.set_private_key(key)?;
    builder.check_private_key()?;
    Ok(builder.build())
}

fn ffdhe2048() -> Result<Dh<Params>, ErrorStack> {
    let prime = || BigNum::from_hex_str(FFDHE2048);
    let mut half = BigNum::new()?;
    half.rshift1(prime()?.as_ref())?;
    Dh::from_pqg(prime()?, Some(half), BigNum::from_u32(2)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::bn::BigNumContext;

    /// A misprint in it would make every DHE handshake weak and nobody would see it.
    #[test]
    fn the_prime_is_a_safe_prime_of_the_form_that_the_rfc_says() {
        let dh = ffdhe2048().unwrap();
        let (p, mut context) = (dh.prime_p(), BigNumContext::new().unwrap());
        assert!(p.is_prime(8, &mut context).unwrap() && dh.prime_q().unwrap().is_prime(8, &mut context).unwrap());
        // p + 1 = 2^2048 - 2^1984 + (floor(2^1918 * e) + 560316) * 2^64: its middle begins with e's digits.
        let hex = p.to_hex_str().unwrap().to_string();
        assert_eq!(hex.len(), 512);
        let (high, rest) = hex.split_at(16);
        let (middle, low) = rest.split_at(480);
        assert_eq!((high, low), ("FFFFFFFFFFFFFFFF", "FFFFFFFFFFFFFFFF"));
        let digits = u32::from_str_radix(&middle[..8], 16).unwrap();
        let (e, read) = (core::f64::consts::E, f64::from(digits) / 2_f64.powi(30));
        assert!((e - read).abs() < 1e-9, "{e} {read}");
    }
}
