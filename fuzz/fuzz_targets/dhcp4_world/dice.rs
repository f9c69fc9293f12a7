//! Numbers and bytes off the fuzzer's input; zeros when it is used up.

use slipway_wire::dhcp4::{Message, OptionCode};

pub struct Dice<'a>(pub &'a [u8]);

impl<'a> Dice<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }

    /// The next byte, left where it is.
    pub fn peek(&self) -> u8 {
        self.0.first().copied().unwrap_or(0)
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// As many bytes as the first two of them say.
    pub fn take_some(&mut self) -> &'a [u8] {
        let len = self.word();
        self.take(len.into())
    }

    /// Options of any code and content, among them those that the engine reads.
    pub fn put_options(&mut self, message: &mut Message) {
        let known = [
            OptionCode::LEASE_TIME,
            OptionCode::PARAMETER_LIST,
            OptionCode::MAX_SIZE,
            OptionCode::CLIENT_ID,
            OptionCode::RELAY_INFO,
            OptionCode::MACHINE_ID,
            OptionCode::VENDOR,
            OptionCode::USER_CLASS,
            OptionCode(118),
        ];
        for _ in 0..self.byte() & 7 {
            let code = self.byte();
            let code = known.get(usize::from(code)).copied().unwrap_or(OptionCode(code));
            let len = self.byte();
            message.options.set(code, self.take(len.into()));
        }
    }

    /// Overwrites a few bytes, and cuts the end off, now and then.
    pub fn spoil(&mut self, data: &mut Vec<u8>) {
        let how = self.byte();
        if how & 0xc0 != 0xc0 {
            return;
        }
        for _ in 0..how & 7 {
            let (at, byte) = (usize::from(self.word()) % data.len(), self.byte());
            data[at] = byte;
        }
        if how & 8 != 0 {
            data.truncate(self.word().into());
        }
    }
}
