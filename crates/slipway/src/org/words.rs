//! Words of the command line: addresses, lengths of time.

use core::net::{IpAddr, SocketAddr};

use slipway_trust::org::PORT;

/// `10.0.0.1`, `10.0.0.1:8444`, `fd00::1`, `[fd00::1]:8444`: where a trust plane is.
pub(crate) fn gateway(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = text.parse().ok().or_else(|| Some(SocketAddr::new(bare.parse::<IpAddr>().ok()?, PORT)));
    let address: SocketAddr = address.ok_or(
        "this is no address: write 10.0.0.1, 10.0.0.1:8444 or [fd00::1]:8444; a name would have machines trust DNS",
    )?;
    if address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast() {
        return Err("no machine can connect to that address".to_owned());
    }
    Ok(address.to_string())
}

/// `10.0.0.0/8`, `fd00::/8`: a network.
pub(crate) fn cidr(text: &str) -> Result<String, String> {
    let wrong = || "write a network such as 10.0.0.0/8 or fd00::/8".to_owned();
    let (address, length) = text.split_once('/').ok_or_else(wrong)?;
    let (address, length): (IpAddr, u8) = (address.parse().map_err(|_| wrong())?, length.parse().map_err(|_| wrong())?);
    let most = if address.is_ipv4() { 32 } else { 128 };
    if length > most { Err(wrong()) } else { Ok(format!("{address}/{length}")) }
}

/// A MAC address, as records spell it.
pub(crate) fn mac(text: &str) -> Result<String, String> {
    text.parse::<slipway_wire::MacAddr>().map(|mac| mac.to_string()).map_err(|error| error.to_string())
}

/// `90s`, `15m`, `2h`, `1h30m`, `7d`: a length of time, in seconds.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || "write a length of time such as 15m, 2h, 1h30m or 7d".to_owned();
    let (mut total, mut rest) = (0_u64, text.trim());
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let mut after = unit.chars();
        let each = match after.next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            _ => return Err(wrong()),
        };
        total = number.checked_mul(each).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = after.as_str().trim_start();
    }
    Ok(total)
}

/// A length of time, in seconds, as it is written.
pub(crate) fn length(seconds: u64) -> String {
    let parts =
        [(seconds / 86_400, "d"), (seconds % 86_400 / 3600, "h"), (seconds % 3600 / 60, "m"), (seconds % 60, "s")];
    let shown: Vec<String> =
        parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if shown.is_empty() { "0s".to_owned() } else { shown.concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_an_address_with_a_port() {
        let rows = [
            ("10.0.0.1", Some("10.0.0.1:8444")),
            ("10.0.0.1:443", Some("10.0.0.1:443")),
            ("fd00::1", Some("[fd00::1]:8444")),
            ("[fd00::1]", Some("[fd00::1]:8444")),
            ("[fd00::1]:443", Some("[fd00::1]:443")),
            ("gw.example.net", None),
            ("10.0.0.1:0", None),
            ("0.0.0.0", None),
            ("224.0.0.1", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(gateway(text).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_length_of_time_is_written_as_people_say_it() {
        let rows = [
            ("90s", Some(90), "1m30s"),
            ("15m", Some(900), "15m"),
            ("2h", Some(7200), "2h"),
            ("1h30m", Some(5400), "1h30m"),
            ("1h 30m", Some(5400), "1h30m"),
            ("7d", Some(604_800), "7d"),
            ("0s", Some(0), "0s"),
            ("", None, ""),
            ("2", None, ""),
            ("h", None, ""),
            ("2w", None, ""),
            ("-2h", None, ""),
            ("2é", None, ""),
            ("99999999999999999999d", None, ""),
        ];
        for (text, expected, again) in rows {
            assert_eq!(seconds(text).ok(), expected, "{text}");
            assert!(expected.is_none_or(|seconds| length(seconds) == again), "{text}");
        }
    }
}
