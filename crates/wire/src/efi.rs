//! Updates of authenticated UEFI variables (UEFI 2.10 §8.2): how keys are put into firmware by signature.

/// `EFI_GLOBAL_VARIABLE`: whose `PK` and `KEK` are.
pub const GLOBAL: uuid::Uuid = uuid::uuid!("8be4df61-93ca-11d2-aa0d-00e098032b8c");
/// `EFI_IMAGE_SECURITY_DATABASE`: whose `db` and `dbx` are.
pub const IMAGE_SECURITY: uuid::Uuid = uuid::uuid!("d719b2cb-3d3a-4596-a3bc-dad00e67656f");
/// `EFI_CERT_TYPE_PKCS7_GUID`.
const PKCS7: uuid::Uuid = uuid::uuid!("4aafd29d-68df-49ee-8aa9-347d375665a7");

/// Non-volatile, for boot services and at run time, written with a time-based signature.
const ATTRIBUTES: u32 = 0x27;
/// `WIN_CERTIFICATE_UEFI_GUID` without its data: length, revision, type, GUID.
const CERTIFICATE_HEADER: usize = 24;
const REVISION: u16 = 0x0200;
const TYPE_EFI_GUID: u16 = 0x0ef1;

/// `EFI_TIME` as updates have it: to the second, in UTC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Time {
    /// The year, 1900-9999.
    pub year: u16,
    /// The month, 1-12.
    pub month: u8,
    /// The day, 1-31.
    pub day: u8,
    /// The hour, 0-23.
    pub hour: u8,
    /// The minute, 0-59.
    pub minute: u8,
    /// The second, 0-59.
    pub second: u8,
}

impl Time {
    fn encode(self) -> [u8; 16] {
        let mut out = [0; 16];
        let [low, high] = self.year.to_le_bytes();
        for (place, byte) in out.iter_mut().zip([low, high, self.month, self.day, self.hour, self.minute, self.second])
        {
            *place = byte;
        }
        out
    }
}

/// The bytes that are signed for an update: the variable's name without a NUL, its owner, its attributes, the time, the new content.
#[must_use]
pub fn update_to_sign(name: &str, owner: uuid::Uuid, time: Time, content: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    out.extend(owner.to_bytes_le());
    out.extend(ATTRIBUTES.to_le_bytes());
    out.extend(time.encode());
    out.extend(content);
    out
}

/// The update: time, signature (a bare PKCS#7 `SignedData`), content. None if the signature is longer than 4 GiB.
#[must_use]
pub fn encode_update(time: Time, signed_data: &[u8], content: &[u8]) -> Option<Vec<u8>> {
    let mut out: Vec<u8> = time.encode().into();
    out.extend(u32::try_from(signed_data.len().checked_add(CERTIFICATE_HEADER)?).ok()?.to_le_bytes());
    out.extend(REVISION.to_le_bytes());
    out.extend(TYPE_EFI_GUID.to_le_bytes());
    out.extend(PKCS7.to_bytes_le());
    out.extend(signed_data);
    out.extend(content);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Time = Time { year: 2026, month: 11, day: 23, hour: 7, minute: 5, second: 59 };

    #[test]
    fn an_update_has_its_fields_where_the_standard_has_them() {
        let update = encode_update(TIME, b"SIGNED", b"LIST").unwrap();
        assert_eq!(&update[..16], [0xea, 7, 11, 23, 7, 5, 59, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&update[16..24], [30, 0, 0, 0, 0, 2, 0xf1, 0x0e]);
        assert_eq!(&update[24..28], [0x9d, 0xd2, 0xaf, 0x4a], "a GUID's first field is little-endian");
        assert_eq!(&update[40..], b"SIGNEDLIST");
        let signed = update_to_sign("db", IMAGE_SECURITY, TIME, b"LIST");
        assert_eq!(&signed[..8], [b'd', 0, b'b', 0, 0xcb, 0xb2, 0x19, 0xd7]);
        assert_eq!(&signed[20..24], [0x27, 0, 0, 0]);
        assert_eq!(&signed[40..], b"LIST");
    }
}
