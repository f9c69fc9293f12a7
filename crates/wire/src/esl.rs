//! EFI signature lists (UEFI 2.10 §32.4.1): how firmware keeps certificates, in `TlsCaCertificate` as in `db`.

/// `EFI_CERT_X509_GUID`, a5c059a1-94e4-4aa7-87b5-ab155c2bf072, as it stands in memory: its first three fields little-endian.
const X509: [u8; 16] = [0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72];
/// Type, list size, header size, signature size.
const HEADER: usize = 16 + 3 * 4;

/// A list with one certificate in DER. `owner` is the GUID of whoever enrols it, in text order; firmware shows it and gives it no
/// meaning. None if the certificate is longer than a list can say (4 GiB).
#[must_use]
pub fn encode_x509(owner: uuid::Uuid, der: &[u8]) -> Option<Vec<u8>> {
    let signature = der.len().checked_add(16)?;
    let list = u32::try_from(signature.checked_add(HEADER)?).ok()?;
    let mut out = Vec::with_capacity(signature.saturating_add(HEADER));
    out.extend(X509);
    out.extend(list.to_le_bytes());
    out.extend(0_u32.to_le_bytes());
    out.extend(u32::try_from(signature).ok()?.to_le_bytes());
    out.extend(owner.to_bytes_le());
    out.extend(der);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The golden file is what `cert-to-efi-sig-list -g 51709a7e-3b3c-4f0e-9a4e-6d2f8c1b7e55` (efitools 1.9.2) made of the certificate.
    #[test]
    fn a_list_is_byte_for_byte_what_efitools_writes() {
        let der = include_bytes!("../../../fixtures/efi/certificate.der");
        let golden = include_bytes!("../../../fixtures/efi/certificate.esl");
        let owner = "51709a7e-3b3c-4f0e-9a4e-6d2f8c1b7e55".parse().unwrap();
        assert_eq!(encode_x509(owner, der).unwrap(), golden);
    }
}
