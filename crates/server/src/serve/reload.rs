//! What a new configuration changes in a running server: pure.

use std::fmt::Debug;

use crate::config::Config;

/// A new configuration, made to fit the running server.
#[derive(Clone, Debug)]
pub struct Reload {
    /// The new configuration, with what takes a restart left as it was.
    pub config: Config,
    /// What is different now, in a line each.
    pub changes: Vec<String>,
    /// What differs in the file, but takes a restart.
    pub restart_needed: Vec<String>,
}

/// Compares the running configuration with a new one.
#[must_use]
pub fn plan(old: &Config, mut new: Config) -> Reload {
    let restart_needed = pin(old, &mut new);
    let mut changes = Vec::new();
    listed("rule", &old.rules, &new.rules, |rule| rule.rule.name.clone(), |a, b| a.rule == b.rule, &mut changes);
    listed(
        "subnet",
        &old.subnets,
        &new.subnets,
        |at| format!("{}/{}", at.value.network, at.value.prefix),
        |a, b| a.value == b.value,
        &mut changes,
    );
    listed(
        "subnet6",
        &old.subnets6,
        &new.subnets6,
        |at| format!("{}/{}", at.value.network, at.value.prefix),
        |a, b| a.value == b.value,
        &mut changes,
    );
    listed(
        "interface",
        &old.interfaces,
        &new.interfaces,
        |choice| choice.name.value.clone(),
        |a, b| (a.mode, a.ipv6) == (b.mode, b.ipv6),
        &mut changes,
    );
    if old.tftp != new.tftp {
        changes.push("[tftp] changed".to_owned());
    }
    let https = |config: &Config| {
        config
            .https
            .as_ref()
            .map(|https| (https.port, https.names.clone(), https.files.as_ref().map(|at| at.value.clone())))
    };
    if https(old) != https(&new) {
        changes.push("[https] changed".to_owned());
    }
    let export = |config: &Config| config.export.as_ref().map(|at| at.value.clone());
    if export(old) != export(&new) {
        changes.push("the exported folder changed".to_owned());
    }
    Reload { config: new, changes, restart_needed }
}

/// Keeps what sockets, files and threads were made from at the start; names what the file has otherwise.
fn pin(old: &Config, new: &mut Config) -> Vec<String> {
    let mut needed = Vec::new();
    keep("data", &old.data, &mut new.data, &mut needed);
    let user = |config: &Config| config.user.as_ref().map(|at| at.value.clone());
    if user(old) != user(new) {
        new.user.clone_from(&old.user);
        needed.push("user".to_owned());
    }
    keep("control.socket", &old.control_socket, &mut new.control_socket, &mut needed);
    keep("log.level", &old.log_level, &mut new.log_level, &mut needed);
    keep("log.format", &old.log_format, &mut new.log_format, &mut needed);
    keep("http.port", &old.http_port, &mut new.http_port, &mut needed);
    keep("org", &old.org, &mut new.org, &mut needed);
    keep("tftp.port", &old.tftp_port, &mut new.tftp_port, &mut needed);
    keep("tftp.single-port", &old.tftp.single_port, &mut new.tftp.single_port, &mut needed);
    needed
}

fn keep<T: Clone + Debug + PartialEq>(key: &str, old: &T, new: &mut T, needed: &mut Vec<String>) {
    if old != new {
        new.clone_from(old);
        needed.push(key.to_owned());
    }
}

fn listed<T>(
    noun: &str,
    old: &[T],
    new: &[T],
    name: impl Fn(&T) -> String,
    same: impl Fn(&T, &T) -> bool,
    changes: &mut Vec<String>,
) {
    for item in new {
        match old.iter().find(|before| name(before) == name(item)) {
            None => changes.push(format!("{noun} {} added", name(item))),
            Some(before) if !same(before, item) => changes.push(format!("{noun} {} changed", name(item))),
            Some(_) => {}
        }
    }
    let gone = old.iter().filter(|before| !new.iter().any(|item| name(before) == name(item)));
    changes.extend(gone.map(|before| format!("{noun} {} removed", name(before))));
    let order = |list: &[T], other: &[T]| -> Vec<String> {
        list.iter().map(&name).filter(|n| other.iter().any(|item| name(item) == *n)).collect()
    };
    if order(old, new) != order(new, old) {
        changes.push(format!("{noun}s are in another order"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn config(text: &str) -> Config {
        parse(text, "t.toml").unwrap_or_else(|faults| panic!("{faults}"))
    }

    #[test]
    fn each_change_is_told_and_what_takes_a_restart_stays_as_it_is() {
        let old = config(
            "[http]\nport = 8067\n[[rule]]\nname = \"a\"\nwhen = { uefi = true }\nboot = \"x\"\n[[rule]]\nname = \"b\"\nwhen = { uefi = false }\nmenu = true\n",
        );
        let new = config(
            "data = \"/elsewhere\"\n[http]\nport = 80\n[tftp]\nblksize-max = 1468\n[[rule]]\nname = \"c\"\nwhen = { cpu = \"x64\" }\nlocal = true\n[[rule]]\nname = \"a\"\nwhen = { uefi = true }\nboot = \"y\"\n",
        );
        let reload = plan(&old, new);
        assert_eq!(reload.changes, ["rule c added", "rule a changed", "rule b removed", "[tftp] changed"]);
        assert_eq!(reload.restart_needed, ["data", "http.port"]);
        assert_eq!((reload.config.http_port, reload.config.data), (8067, None));
    }

    #[test]
    fn the_same_file_changes_nothing() {
        let text = "[[interface]]\nname = \"eth1\"\n[[rule]]\nname = \"a\"\nboot = \"x\"\n";
        let reload = plan(&config(text), config(&format!("# a comment moves every place\n{text}")));
        assert_eq!((reload.changes, reload.restart_needed), (vec![], vec![]));
    }

    #[test]
    fn the_order_of_rules_is_a_change_because_the_first_match_wins() {
        let rule =
            |name: &str, cpu: &str| format!("[[rule]]\nname = \"{name}\"\nwhen = {{ cpu = \"{cpu}\" }}\nmenu = true\n");
        let (a, b) = (rule("a", "x64"), rule("b", "arm64"));
        let reload = plan(&config(&format!("{a}{b}")), config(&format!("{b}{a}")));
        assert_eq!(reload.changes, ["rules are in another order"]);
    }
}
