//! U-Boot's legacy image format ("uImage"), as far as a script goes: a header of 64 bytes, then for a script the length of the text,
//! a zero, and the text. All numbers big-endian; checksums are CRC-32 (ISO-HDLC).

/// The magic number of a legacy image.
const MAGIC: u32 = 0x2705_1956;
/// Operating system Linux, any architecture's (ARM's number), type script, not compressed.
const LINUX_ARM_SCRIPT: [u8; 4] = [5, 2, 6, 0];
/// Bytes of the header.
const HEADER: usize = 64;
/// Bytes of the name in the header.
const NAME: usize = 32;

/// A script as U-Boot's `source` command takes it. Of the name, what has no room is left out.
///
/// U-Boot compares neither the architecture nor the operating system of a script with its own.
#[must_use]
pub fn script(name: &str, text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let mut body: Vec<u8> = Vec::with_capacity(text.len().saturating_add(8));
    body.extend(length.to_be_bytes());
    body.extend([0; 4]);
    body.extend(text.as_bytes());
    let size = u32::try_from(body.len()).unwrap_or(u32::MAX);
    // Without its own checksum first; then with it.
    let mut out = header(0, size, crc32fast::hash(&body), name);
    out = header(crc32fast::hash(&out), size, crc32fast::hash(&body), name);
    out.extend(body);
    out
}

fn header(own: u32, size: u32, data: u32, name: &str) -> Vec<u8> {
    // Magic, checksum of the header, time, size, load address, entry point, checksum of the data.
    let numbers = [MAGIC, own, 0, size, 0, 0, data];
    let mut out: Vec<u8> = numbers.into_iter().flat_map(u32::to_be_bytes).collect();
    out.extend(LINUX_ARM_SCRIPT);
    // The last byte of the name stays a NUL.
    out.extend(name.bytes().take(NAME - 1));
    out.resize(HEADER, 0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_has_a_header_that_vouches_for_itself_and_for_the_text() {
        let image = script("a name that is longer than its thirty-two bytes", "echo hello\n");
        assert_eq!(image[..4], [0x27, 0x05, 0x19, 0x56]);
        assert_eq!(image.len(), HEADER + 8 + 11);
        assert_eq!(&image[28..32], &LINUX_ARM_SCRIPT);
        assert_eq!(&image[32..63], b"a name that is longer than its ");
        assert_eq!(image[63], 0, "the name ends");
        assert_eq!(image[HEADER..HEADER + 8], [0, 0, 0, 11, 0, 0, 0, 0]);
        assert_eq!(&image[HEADER + 8..], b"echo hello\n");
        let said = u32::from_be_bytes(image[4..8].try_into().unwrap());
        let mut bare = image[..HEADER].to_vec();
        bare[4..8].fill(0);
        assert_eq!(crc32fast::hash(&bare), said, "the header's checksum is taken over a header without it");
        assert_eq!(image[24..28], crc32fast::hash(&image[HEADER..]).to_be_bytes());
    }
}
