//! The smallest PE image that firmware would call an EFI program: what tests build on, so that they need no package installed.

pub const TRAILER: &[u8] = b"a symbol table, left behind the last section";

/// A stub with one `.text` section, a symbol table behind it, and room for `room` more section table entries.
pub fn stub(machine: u16, subsystem: u16, room: usize) -> Vec<u8> {
    let pe_at = 0x40;
    let optional_size: u16 = 112 + 16 * 8;
    let table = pe_at + 24 + usize::from(optional_size);
    let headers = table + 40 * (1 + room);
    let text_at = headers.next_multiple_of(8);
    let mut bytes = vec![0; text_at];
    put(&mut bytes, 0, b"MZ");
    put(&mut bytes, 0x3c, &(pe_at as u32).to_le_bytes());
    put(&mut bytes, pe_at, b"PE\0\0");
    put(&mut bytes, pe_at + 4, &machine.to_le_bytes());
    put(&mut bytes, pe_at + 6, &1_u16.to_le_bytes());
    put(&mut bytes, pe_at + 12, &((text_at + 16) as u32).to_le_bytes()); // symbol table
    put(&mut bytes, pe_at + 16, &3_u32.to_le_bytes()); // symbols
    put(&mut bytes, pe_at + 20, &optional_size.to_le_bytes());
    let optional = pe_at + 24;
    put(&mut bytes, optional, &0x20b_u16.to_le_bytes());
    put(&mut bytes, optional + 32, &0x1000_u32.to_le_bytes()); // section alignment
    put(&mut bytes, optional + 36, &8_u32.to_le_bytes()); // file alignment
    put(&mut bytes, optional + 56, &0x2000_u32.to_le_bytes()); // image size
    put(&mut bytes, optional + 60, &(text_at as u32).to_le_bytes());
    put(&mut bytes, optional + 68, &subsystem.to_le_bytes());
    put(&mut bytes, optional + 108, &16_u32.to_le_bytes());
    put(&mut bytes, optional + 112 + 32, &[0xee; 8]); // a signature, which would not hold any more
    put(&mut bytes, table, b".text\0\0\0");
    put(&mut bytes, table + 8, &13_u32.to_le_bytes());
    put(&mut bytes, table + 12, &0x1000_u32.to_le_bytes());
    put(&mut bytes, table + 16, &16_u32.to_le_bytes());
    put(&mut bytes, table + 20, &(text_at as u32).to_le_bytes());
    bytes.extend_from_slice(b"code goes here..");
    bytes.extend_from_slice(TRAILER);
    bytes
}

pub fn x64_stub() -> Vec<u8> {
    stub(0x8664, 10, 7)
}

pub fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}
