//! A record as bytes: `version (1) | until, ms since the epoch (8) | holder kind (1) | holder`, big-endian. The address is the key.

use std::net::Ipv4Addr;

use slipway_engine::Timestamp;
use slipway_engine::dhcp4::{ClientKey, Holder, Record};
use slipway_wire::MacAddr;

const VERSION: u8 = 1;
const STRANGER: u8 = 0;
const ETHERNET: u8 = 1;
const HARDWARE: u8 = 2;
const ID: u8 = 3;

pub(super) fn encode(record: &Record) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend(record.until.0.to_be_bytes());
    match &record.holder {
        Holder::Stranger => bytes.push(STRANGER),
        Holder::Client(ClientKey::Ethernet(mac)) => {
            bytes.push(ETHERNET);
            bytes.extend(mac.0);
        }
        Holder::Client(ClientKey::Hardware(htype, chaddr)) => {
            bytes.extend([HARDWARE, *htype]);
            bytes.extend(chaddr);
        }
        Holder::Client(ClientKey::Id(id)) => {
            bytes.push(ID);
            bytes.extend(id);
        }
    }
    bytes
}

/// The record of these bytes, or what is wrong with them.
pub(super) fn decode(ip: Ipv4Addr, bytes: &[u8]) -> Result<Record, &'static str> {
    let (&version, rest) = bytes.split_first().ok_or("an empty record")?;
    if version != VERSION {
        return Err("a record of a version that this program does not know");
    }
    let (until, rest) = rest.split_first_chunk::<8>().ok_or("a record cut short")?;
    let (&kind, holder) = rest.split_first().ok_or("a record cut short")?;
    let holder = match (kind, holder) {
        (STRANGER, []) => Holder::Stranger,
        (ETHERNET, octets) => Holder::Client(ClientKey::Ethernet(MacAddr(
            octets.try_into().map_err(|_| "a hardware address of wrong length")?,
        ))),
        (HARDWARE, [htype, chaddr @ ..]) if !chaddr.is_empty() => {
            Holder::Client(ClientKey::Hardware(*htype, chaddr.into()))
        }
        (ID, id) if !id.is_empty() => Holder::Client(ClientKey::Id(id.into())),
        _ => return Err("a record of a holder that this program does not know"),
    };
    Ok(Record { ip, holder, until: Timestamp(u64::from_be_bytes(*until)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
        let keys = [
            ClientKey::Ethernet(MacAddr([2, 0, 0, 0, 0, 1])),
            ClientKey::Hardware(32, [7; 16].into()),
            ClientKey::Id([255, 0, 1].into()),
        ];
        let ip = Ipv4Addr::new(10, 0, 0, 1);
        let holders = keys.map(Holder::Client).into_iter().chain([Holder::Stranger]);
        holders.map(|holder| Record { ip, holder, until: Timestamp(1_700_000_000_123) }).collect()
    }

    #[test]
    fn every_record_comes_back_as_it_was() {
        for record in records() {
            assert_eq!(decode(record.ip, &encode(&record)), Ok(record));
        }
    }

    #[test]
    fn every_truncation_is_refused_or_is_another_shorter_identifier() {
        for record in records() {
            let bytes = encode(&record);
            for len in 0..bytes.len() {
                match decode(record.ip, &bytes[..len]) {
                    Err(_) => {}
                    Ok(shorter) => {
                        assert!(matches!(shorter.holder, Holder::Client(ClientKey::Id(_) | ClientKey::Hardware(..))))
                    }
                }
            }
        }
    }

    #[test]
    fn a_later_version_is_refused_by_name() {
        assert_eq!(decode(Ipv4Addr::LOCALHOST, &[9]), Err("a record of a version that this program does not know"));
    }
}
