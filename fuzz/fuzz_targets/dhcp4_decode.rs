//! Any UDP payload to port 67: read without panic; what could be read is written and read the same, and the client's size limit holds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slipway_wire::dhcp4::{Message, reply_limit};

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = Message::decode(bytes) else { return };
    let _ = message.describe();
    let options = &message.options;
    let _ = (options.user_classes(), options.client_archs(), options.machine_id().and_then(|id| id.uuid()));
    assert!((548..=1472).contains(&reply_limit(options.max_size(), 1500)));

    let written = message.encode(usize::MAX).expect("no limit was given");
    assert_eq!(written.len(), message.encoded_len());
    assert!(message.encode(written.len() - 1).is_err());
    let again = Message::decode(&written).expect("we read what we write");
    assert_eq!(again.options.len(), options.len());
    for (code, value) in options.iter() {
        assert_eq!(again.options.get(code), Some(value), "{code}");
    }
    assert_eq!(again.encode(usize::MAX).as_ref(), Ok(&written));

    let reply = Message::reply_to(&message);
    assert_eq!((reply.xid, reply.mac()), (message.xid, message.mac()));
});
