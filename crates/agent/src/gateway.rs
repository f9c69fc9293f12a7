//! The org's servers: found, tried in turn, and spoken to in frames.

use std::fmt;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use slipway_trust::frames::{LARGEST, MEDIA_TYPE, PATH};
use slipway_trust::{OrgFacts, org};

use crate::h1;
use crate::http::Url;
use crate::identity::Identity;
use crate::tls::{self, Channel, Expected};

/// Where servers of the org may be, the first tried first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Gateways(pub(crate) Vec<SocketAddr>);

impl Gateways {
    /// Those that the image knows, then those that `told` names, then the server that answered our DHCP client.
    pub(crate) fn new(facts: &OrgFacts, told: &[String], report_url: Option<&str>) -> Self {
        let mut list: Vec<SocketAddr> = Vec::new();
        let boot_server = report_url.and_then(Url::parse).map(|url| SocketAddr::new(url.address.ip(), org::PORT));
        let known = told.iter().chain(&facts.gateways).filter_map(|text| address(text));
        for gateway in known.chain(boot_server) {
            if !list.contains(&gateway) {
                list.push(gateway);
            }
        }
        Self(list)
    }

    /// Connects to the first that is there and is the org's.
    ///
    /// # Errors
    /// In words, for each of them.
    pub(crate) fn connect(&self, expected: &Expected, me: Option<(&Arc<Identity>, &[u8])>) -> Result<Line, String> {
        let mut reasons = Vec::new();
        for gateway in &self.0 {
            match tls::connect(*gateway, expected, me.map(|(key, certificate)| (key, certificate.to_vec()))) {
                Ok(channel) => {
                    return Ok(Line {
                        peer: *gateway,
                        channel,
                        host: org::server_name(&expected.org),
                        buffer: Vec::new(),
                    });
                }
                Err(reason) => reasons.push(format!("{gateway}: {reason}")),
            }
        }
        if reasons.is_empty() {
            return Err("no gateway is known: the image names none, and no DHCP server told of one".to_owned());
        }
        Err(reasons.join(", "))
    }

    /// The one that was tried first is now last: another may decide what this one does not.
    pub(crate) fn rotate(&mut self) {
        if !self.0.is_empty() {
            self.0.rotate_left(1);
        }
    }
}

impl fmt::Display for Gateways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&list.join(", "))
    }
}

/// `address:port`, or an address alone, with the usual port. There is no name service here.
fn address(text: &str) -> Option<SocketAddr> {
    let alone = || text.trim_matches(['[', ']']).parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, org::PORT));
    text.parse().ok().or_else(alone)
}

/// A connection to one of them.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) peer: SocketAddr,
    pub(crate) channel: Channel,
    host: String,
    buffer: Vec<u8>,
}

impl Line {
    /// Says a frame, and hears the answer.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn ask(&mut self, frame: &[u8]) -> Result<Vec<u8>, String> {
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nHost: {}\r\nUser-Agent: slipway-agent/{}\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {}\r\n\r\n",
            self.host,
            env!("CARGO_PKG_VERSION"),
            frame.len(),
        );
        let request = [head.as_bytes(), frame].concat();
        let sent = self.channel.write_all(&request).and_then(|()| self.channel.flush());
        sent.map_err(|error| h1::in_words(&error))?;
        let head = h1::read_head(&mut self.channel, &mut self.buffer)?;
        let length = head.length.and_then(|length| usize::try_from(length).ok()).filter(|length| *length <= LARGEST);
        let length = length.ok_or_else(|| format!("the server answers {}, without a frame", head.status))?;
        let body = h1::read_body(&mut self.channel, &mut self.buffer, length)?;
        if body.is_empty() {
            return Err(format!("the server answers {}, without a frame", head.status));
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_trust::{PublicKey, Time};

    #[test]
    fn gateways_are_tried_in_the_order_of_who_knows_best() {
        let facts = OrgFacts {
            root: PublicKey::Ed25519([0; 32]),
            name: "x".to_owned(),
            ca_spki: None,
            gateways: vec!["10.0.0.1:8444".to_owned(), "fd00::1".to_owned(), "gw.example:8444".to_owned()],
            invite: None,
            version: 1,
            built: Time(0),
        };
        let told = ["10.0.0.9:1".to_owned(), "10.0.0.1:8444".to_owned()];
        let all = Gateways::new(&facts, &told, Some("http://10.0.0.2:8067/agent/report"));
        assert_eq!(all.to_string(), "10.0.0.9:1, 10.0.0.1:8444, [fd00::1]:8444, 10.0.0.2:8444");
        assert_eq!(Gateways::new(&facts, &[], None).0.len(), 2);
    }
}
