//! An IPv6 record as bytes: `version (1) | until, ms since the epoch (8) | holder kind (1) | holder`, big-endian. A client is
//! `IA kind (1) | IAID (4) | DUID`. The address is the key.

use std::net::Ipv6Addr;

use slipway_engine::Timestamp;
use slipway_engine::dhcp6::{ClientKey, Holder, Record};
use slipway_wire::dhcp6::{Duid, IaKind};

const VERSION: u8 = 1;
const STRANGER: u8 = 0;
const CLIENT: u8 = 1;
const NON_TEMPORARY: u8 = 3;
const TEMPORARY: u8 = 4;

pub(super) fn encode(record: &Record) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend(record.until.0.to_be_bytes());
    match &record.holder {
        Holder::Stranger => bytes.push(STRANGER),
        Holder::Client(ClientKey { duid, iaid, kind }) => {
            let kind = match kind {
                IaKind::NonTemporary => NON_TEMPORARY,
                IaKind::Temporary => TEMPORARY,
            };
            bytes.extend([CLIENT, kind]);
            bytes.extend(iaid.to_be_bytes());
            bytes.extend(duid.as_bytes());
        }
    }
    bytes
}

/// The record of these bytes, or what is wrong with them.
pub(super) fn decode(ip: Ipv6Addr, bytes: &[u8]) -> Result<Record, &'static str> {
    let (&version, rest) = bytes.split_first().ok_or("an empty record")?;
    if version != VERSION {
        return Err("a record of a version that this program does not know");
    }
    let (until, holder) = rest.split_first_chunk::<8>().ok_or("a record cut short")?;
    let holder = match holder {
        [STRANGER] => Holder::Stranger,
        [CLIENT, kind @ (NON_TEMPORARY | TEMPORARY), a, b, c, d, duid @ ..] => Holder::Client(ClientKey {
            duid: Duid::new(duid).ok_or("a DUID of impossible length")?,
            iaid: u32::from_be_bytes([*a, *b, *c, *d]),
            kind: if *kind == TEMPORARY { IaKind::Temporary } else { IaKind::NonTemporary },
        }),
        _ => return Err("a record of a holder that this program does not know"),
    };
    Ok(Record { ip, holder, until: Timestamp(u64::from_be_bytes(*until)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
        let duid = Duid::new(&[0, 4, 1, 2, 3]).unwrap();
        let client = |kind| Holder::Client(ClientKey { duid: duid.clone(), iaid: 0xdead_beef, kind });
        let holders = [client(IaKind::NonTemporary), client(IaKind::Temporary), Holder::Stranger];
        let record = |holder| Record { ip: Ipv6Addr::LOCALHOST, holder, until: Timestamp(1_700_000_000_123) };
        holders.into_iter().map(record).collect()
    }

    #[test]
    fn every_record_comes_back_as_it_was() {
        for record in records() {
            assert_eq!(decode(record.ip, &encode(&record)), Ok(record));
        }
    }

    #[test]
    fn every_truncation_is_refused_or_is_another_shorter_duid() {
        for record in records() {
            let bytes = encode(&record);
            for len in 0..bytes.len() {
                let cut = decode(record.ip, &bytes[..len]);
                assert!(cut.is_err() || (len > 17 && cut != Ok(record.clone())), "cut to {len}: {cut:?}");
            }
        }
    }

    #[test]
    fn a_later_version_is_refused_by_name() {
        assert_eq!(decode(Ipv6Addr::LOCALHOST, &[9]), Err("a record of a version that this program does not know"));
    }
}
