//! `[https]`: the boot server over TLS.

use super::fault::Span;
use super::reader::Section;
use super::{ConfiguredRule, DEFAULT_HTTPS_PORT, values};
use crate::site::HttpsSettings;

const KEYS: [&str; 3] = ["port", "names", "offer"];

/// The section, as far as the file has one.
#[derive(Clone, Debug)]
pub(super) struct Https {
    /// Where its port stands, or the section.
    port_at: Option<Span>,
    settings: HttpsSettings,
    /// Whether rules that say nothing of it send firmware to `https`.
    offer: bool,
}

pub(super) fn read(top: &Section<'_>) -> Https {
    let section = top.table("https", &KEYS);
    let section = section.as_ref();
    let port = section.and_then(|t| t.number("port", 1, u16::MAX)).unwrap_or(DEFAULT_HTTPS_PORT);
    let names = section.map_or(Vec::new(), |t| t.texts("names", values::hostname));
    let offer = section.and_then(|t| t.flag("offer")).is_some_and(|at| at.value);
    let settings = HttpsSettings { port, names: names.into_iter().map(|at| at.value).collect() };
    Https { port_at: section.map(|t| t.span_of("port")), settings, offer }
}

impl Https {
    /// Where a rule sends UEFI HTTP Boot: as it says itself, else as the section does.
    pub(super) fn of_rule(&self, said: Option<bool>) -> Option<u16> {
        said.unwrap_or(self.offer).then_some(self.settings.port)
    }

    /// What is served: for whoever asked for it.
    pub(super) fn wanted(self, top: &Section<'_>, rules: &[ConfiguredRule], http_port: u16) -> Option<HttpsSettings> {
        let asked = rules.iter().any(|configured| configured.rule.https.is_some());
        if self.port_at.is_none() && !asked {
            return None;
        }
        if self.settings.port == http_port {
            let place = self.port_at.unwrap_or(top.span_of("http"));
            let reason = format!("{http_port} is the port of plain HTTP, too");
            top.error(place, "https.port", reason, "give `port` in [http] and in [https] different numbers");
        }
        Some(self.settings)
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
