//! Secrets into the rules that need them.

use std::collections::BTreeSet;

use slipway_engine::rules::{Rules, Then};
use slipway_engine::san::Login;

use crate::config::{Config, Fault, Secrets};

/// A CHAP secret has at least 96 bits (RFC 7143 §12.1.3).
const SHORTEST_SECRET: usize = 12;

/// The rules, with the secrets that they need.
pub(super) fn rules(config: &Config, secrets: &Secrets, faults: &mut Vec<Fault>) -> Rules {
    const THING: &str = "san.secret-file";
    let mut rules = config.engine_rules();
    let mut told = BTreeSet::new();
    for (configured, rule) in config.rules.iter().zip(&mut rules.rules) {
        let (Some(at), Then::San(san)) = (&configured.secret_at, &mut rule.then) else { continue };
        let Login::Told { secret, .. } = &mut san.disk.login else { continue };
        let first = told.insert(at.span.start);
        match secrets.get(&at.value) {
            Some(Ok(read)) => {
                *secret = read.clone();
                if first && read.len() < SHORTEST_SECRET {
                    let reason =
                        format!("the secret is shorter than {SHORTEST_SECRET} bytes, which many targets refuse");
                    faults.push(Fault::warning(at.span.clone(), THING, reason, "choose a longer one (RFC 7143)"));
                }
            }
            Some(Err(fault)) if first => {
                let remedy = "it holds the secret in one line; the server's user must be able to read it and others must not \
                              (`chmod 600`, or 640 with the server's group)";
                faults.push(Fault::error(at.span.clone(), THING, fault.clone(), remedy));
            }
            _ => {}
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use slipway_engine::san::Secret;

    use super::*;
    use crate::config::parse;

    #[test]
    fn a_secret_that_cannot_be_had_is_told_once_and_one_that_can_is_in_the_rules() {
        let text = r#"
[[san]]
name = "disk1"
target = "iscsi:10.77.0.5::::iqn.2026-01.example:disk1"
username = "node1"
secret-file = "/etc/slipway/disk1.secret"
expose-secret = true
[[rule]]
when = { uefi = true }
san = "disk1"
[[rule]]
san = "disk1"
boot = "debian"
"#;
        let config = parse(text, "t.toml").unwrap();
        let with = |secret| -> (String, Rules) {
            let secrets = [(PathBuf::from("/etc/slipway/disk1.secret"), secret)].into();
            let mut faults = Vec::new();
            let rules = rules(&config, &secrets, &mut faults);
            (config.faults(faults).to_string(), rules)
        };
        let (missing, _) = with(Err("cannot read it".to_owned()));
        assert_eq!(missing.matches("t.toml:6:15: error: san.secret-file: cannot read it").count(), 1, "{missing}");
        let (short, _) = with(Ok(Secret::new("short").unwrap()));
        assert_eq!(short.matches("t.toml:6:15: warning: san.secret-file: the secret is shorter").count(), 1, "{short}");
        let good = Secret::new("correct horse battery").unwrap();
        let (nothing, rules) = with(Ok(good.clone()));
        assert_eq!(nothing, "t.toml: 0 errors, 0 warnings");
        for rule in &rules.rules {
            let Then::San(san) = &rule.then else { panic!("{rule:?}") };
            assert!(matches!(&san.disk.login, Login::Told { secret, .. } if *secret == good), "{rule:?}");
        }
        assert!(!format!("{rules:?}").contains("horse"), "a secret is not shown");
    }
}
