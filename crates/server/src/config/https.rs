//! `[https]`: the boot server over TLS.

use std::path::PathBuf;

use slipway_engine::subnet::Subnet;

use super::fault::{At, Span};
use super::reader::Section;
use super::{ConfiguredRule, DEFAULT_HTTPS_PORT, values};

const KEYS: [&str; 5] = ["port", "names", "offer", "certificate", "key"];

/// HTTPS as the operator chose it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HttpsChoice {
    /// Its port.
    pub port: u16,
    /// Names by which machines ask for this server, beside its addresses.
    pub names: Vec<String>,
    /// A certificate of the operator's own.
    pub files: Option<At<CertificateFiles>>,
}

/// Where a certificate of the operator's own is, in PEM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateFiles {
    /// The server's certificate, then those of the CAs between it and the one that machines know.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// The section, as far as the file has one.
#[derive(Clone, Debug)]
pub(super) struct Https {
    /// Where its port stands, or the section.
    port_at: Option<Span>,
    /// Where its names stand, if there are any.
    names_at: Option<Span>,
    choice: HttpsChoice,
    /// Whether rules that say nothing of it send firmware to `https`.
    offer: bool,
}

pub(super) fn read(top: &Section<'_>) -> Https {
    let section = top.table("https", &KEYS);
    let section = section.as_ref();
    let port = section.and_then(|t| t.number("port", 1, u16::MAX)).unwrap_or(DEFAULT_HTTPS_PORT);
    let names = section.map_or(Vec::new(), |t| t.texts("names", values::certificate_name));
    let names_at = names.first().map(|at| at.span.clone());
    let names = names.into_iter().map(|at| at.value).collect();
    let offer = section.and_then(|t| t.flag("offer")).is_some_and(|at| at.value);
    let choice = HttpsChoice { port, names, files: section.and_then(read_files) };
    Https { port_at: section.map(|t| t.span_of("port")), names_at, choice, offer }
}

fn read_files(section: &Section<'_>) -> Option<At<CertificateFiles>> {
    let certificate = section.text("certificate", values::absolute);
    let key = section.text("key", values::absolute);
    for (one, other) in [("certificate", "key"), ("key", "certificate")] {
        if section.has(one) && !section.has(other) {
            let remedy = format!("add `{other} = \"/...\"`, or remove `{one}`");
            section.error(section.span_of(one), one, format!("is of no use without `{other}`"), remedy);
        }
    }
    if section.has("certificate") && section.has("names") {
        let remedy = "remove `names`: those in the certificate count";
        section.error(section.span_of("names"), "names", "is for certificates by our own CA", remedy);
    }
    let (certificate, key) = (certificate?, key?.value);
    Some(At { value: CertificateFiles { certificate: certificate.value, key }, span: certificate.span })
}

impl Https {
    /// Where a rule sends UEFI HTTP Boot: as it says itself, else as the section does.
    pub(super) fn of_rule(&self, said: Option<bool>) -> Option<u16> {
        said.unwrap_or(self.offer).then_some(self.choice.port)
    }

    /// A URL with a name is of no use to a machine that is told no DNS server: firmware does not even try it.
    pub(super) fn check_names(&self, top: &Section<'_>, subnets: &[At<Subnet>]) {
        let Some(span) = &self.names_at else { return };
        if let Some(At { value: subnet, .. }) = subnets.iter().find(|at| at.value.dns.is_empty()) {
            let reason =
                format!("machines of {}/{} are told no DNS server to ask for names", subnet.network, subnet.prefix);
            top.warning(span.clone(), "https.names", reason, "add `dns` to that subnet, or remove the names");
        }
    }

    /// What is served: for whoever asked for it.
    pub(super) fn wanted(self, top: &Section<'_>, rules: &[ConfiguredRule], http_port: u16) -> Option<HttpsChoice> {
        let asked = rules.iter().any(|configured| configured.rule.https.is_some());
        if self.port_at.is_none() && !asked {
            return None;
        }
        if self.choice.port == http_port {
            let place = self.port_at.unwrap_or(top.span_of("http"));
            let reason = format!("{http_port} is the port of plain HTTP, too");
            top.error(place, "https.port", reason, "give `port` in [http] and in [https] different numbers");
        }
        Some(self.choice)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, parse};

    fn config(text: &str) -> Config {
        parse(text, "t.toml").unwrap_or_else(|faults| panic!("{faults}"))
    }

    #[test]
    fn https_is_served_for_a_section_or_a_rule_and_offered_only_where_that_is_said() {
        let rules = "[[rule]]\nname = \"a\"\nwhen = { uefi = true }\nmenu = true\n";
        let rows: [(&str, Option<u16>, Option<u16>); 7] = [
            ("[http]\nport = 8443\n", None, None),
            ("[https]\n", Some(8443), None),
            ("[https]\nport = 443\noffer = true\n", Some(443), Some(443)),
            (rules, None, None),
            (&format!("{rules}scheme = \"https\"\n"), Some(8443), Some(8443)),
            (&format!("[https]\noffer = true\n{rules}scheme = \"http\"\n"), Some(8443), None),
            (&format!("[https]\nport = 9000\n{rules}scheme = \"https\"\n"), Some(9000), Some(9000)),
        ];
        for (text, port, sent_to) in rows {
            let config = config(text);
            assert_eq!(config.https.map(|https| https.port), port, "{text}");
            assert_eq!(config.rules[0].rule.https, sent_to, "{text}");
        }
    }
}
