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
}
