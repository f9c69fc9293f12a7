//! As much of DER (X.690) as it takes to find two things in a certificate: its public key and its key usages.

/// A value: its tag, its contents, and what follows it. Tags above 30 and indefinite lengths do not occur in certificates.
fn next(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((tag, contents, rest))
}

/// The first value of these bytes, with tag and length, if it is a sequence.
pub(crate) fn first(bytes: &[u8]) -> Option<&[u8]> {
    let (0x30, _, rest) = next(bytes)? else { return None };
    bytes.get(..bytes.len().checked_sub(rest.len())?)
}

/// The sequences in these bytes, one after the other, each with tag and length. What fills the room between them and behind them is passed over:
/// zeros, or what erased memory reads as.
pub(crate) fn sequences(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    core::iter::from_fn(move || {
        let filling = bytes.iter().take_while(|byte| matches!(byte, 0 | 0xff)).count();
        bytes = bytes.get(filling..)?;
        let one = first(bytes)?;
        bytes = bytes.get(one.len()..)?;
        Some(one)
    })
}

/// The contents of a value of this tag, and what follows it.
fn expect(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    next(bytes).filter(|(tag, ..)| *tag == wanted).map(|(_, contents, rest)| (contents, rest))
}

/// A key as a certificate holds it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Spki<'a> {
    /// Modulus and exponent, without leading zeros.
    Rsa(&'a [u8], &'a [u8]),
    /// A point, uncompressed, without its tag.
    Point(&'a [u8]),
}

/// Reads the contents of a `SubjectPublicKeyInfo`.
pub(crate) fn spki(bytes: &[u8]) -> Option<Spki<'_>> {
    let (_algorithm, rest) = expect(bytes, 0x30)?;
    let (bits, _) = expect(rest, 0x03)?;
    let (0, key) = bits.split_first().map(|(unused, key)| (*unused, key))? else { return None };
    match key.split_first()? {
        (4, point) => Some(Spki::Point(point)),
        _ => {
            let (numbers, _) = expect(key, 0x30)?;
            let (modulus, rest) = expect(numbers, 0x02)?;
            let (exponent, _) = expect(rest, 0x02)?;
            Some(Spki::Rsa(unpadded(modulus), unpadded(exponent)))
        }
    }
}

pub(crate) fn unpadded(number: &[u8]) -> &[u8] {
    number.get(number.iter().take_while(|byte| **byte == 0).count()..).unwrap_or_default()
}

/// The contents of a certificate's `SubjectPublicKeyInfo` and, where it has any, of its extensions.
pub(crate) fn key_and_extensions(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (certificate, _) = expect(certificate, 0x30)?;
    let (mut rest, _) = expect(certificate, 0x30)?;
    // version, serial number, signature algorithm, issuer, validity, subject
    if let Some((_, after)) = expect(rest, 0xa0) {
        rest = after;
    }
    for tag in [0x02, 0x30, 0x30, 0x30, 0x30] {
        (_, rest) = expect(rest, tag)?;
    }
    let (key, mut rest) = expect(rest, 0x30)?;
    while let Some((tag, contents, after)) = next(rest) {
        if tag == 0xa3 {
            return Some((key, expect(contents, 0x30)?.0));
        }
        rest = after;
    }
    Some((key, &[]))
}

/// The object identifiers of the extended key usage among these extensions; none where it is missing or cannot be read.
pub(crate) fn key_usages(mut extensions: &[u8]) -> Vec<&[u8]> {
    /// 2.5.29.37
    const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
    while let Some((extension, rest)) = expect(extensions, 0x30) {
        extensions = rest;
        let Some((EXTENDED_KEY_USAGE, after)) = expect(extension, 0x06) else { continue };
        let after = expect(after, 0x01).map_or(after, |(_critical, after)| after);
        let purposes = expect(after, 0x04).and_then(|(value, _)| expect(value, 0x30));
        let Some((mut purposes, _)) = purposes else { return Vec::new() };
        let mut found = Vec::new();
        while let Some((purpose, rest)) = expect(purposes, 0x06) {
            found.push(purpose);
            purposes = rest;
        }
        return found;
    }
    Vec::new()
}
