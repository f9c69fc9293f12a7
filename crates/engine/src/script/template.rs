//! The operator's own iPXE scripts: templates with a few variables, and no way to smuggle a line into them.

use core::fmt;
use core::net::IpAddr;

use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value, context};
use slipway_wire::{ClientArch, MacAddr};

use crate::answer::ServerAddr;

/// What a template may say. A fact that is not known is the empty string there, as in iPXE's own settings; a variable that does not
/// exist is an error.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Values {
    /// `machine.mac`.
    pub mac: MacAddr,
    /// `machine.uuid`.
    pub uuid: Option<uuid::Uuid>,
    /// `machine.arch`: the processor's name; and `machine.uefi`.
    pub arch: ClientArch,
    /// `machine.ip`.
    pub ip: Option<IpAddr>,
    /// `machine.interface`: ours.
    pub interface: String,
    /// `server.url`, `server.ip`, `server.port`.
    pub server: ServerAddr,
    /// `image.name`.
    pub image: String,
    /// `image.version`; `image.url` is the folder of this version's files.
    pub version: String,
    /// `cmdline`: the image's.
    pub cmdline: Option<String>,
    /// `append`: the rule's.
    pub append: Option<String>,
    /// `done_url`: where an installer says that it is done; only where the rule has `install = true`.
    pub done: Option<String>,
}

/// A template that cannot be rendered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TemplateError {
    /// The line in the template, from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub fault: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line} of the script's template: {}", self.fault),
            None => write!(f, "the script's template: {}", self.fault),
        }
    }
}

impl core::error::Error for TemplateError {}

/// Renders an operator's template. Every value put into it is refused if it holds a control character, which could end the line
/// and begin another command.
///
/// # Errors
/// The line and what is wrong there: syntax, an undefined variable, a value with control characters, no `#!ipxe` at the start.
pub fn from_template(source: &str, values: &Values) -> Result<String, TemplateError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_formatter(|out, state, value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if text.contains(char::is_control) {
            return Err(minijinja::Error::new(ErrorKind::InvalidOperation, "the value holds control characters"));
        }
        minijinja::escape_formatter(out, state, value)
    });
    let mut text = environment.render_str(source, variables(values)).map_err(|error| TemplateError {
        line: error.line(),
        fault: error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind())),
    })?;
    text.push('\n');
    if text.starts_with("#!ipxe\n") || text.starts_with("#!ipxe\r\n") {
        return Ok(text);
    }
    Err(TemplateError { line: Some(1), fault: "the script does not start with the line `#!ipxe`".to_owned() })
}

fn variables(values: &Values) -> Value {
    let known = |fact: Option<String>| fact.unwrap_or_default();
    context! {
        machine => context! {
            mac => values.mac.to_string(),
            uuid => known(values.uuid.map(|uuid| uuid.to_string())),
            arch => known(values.arch.cpu().map(|cpu| cpu.name().to_owned())),
            uefi => values.arch.is_uefi(),
            ip => known(values.ip.map(|ip| ip.to_string())),
            interface => values.interface.clone(),
        },
        server => context! {
            url => values.server.root(),
            ip => values.server.ip.to_string(),
            port => values.server.http_port,
        },
        image => context! {
            name => values.image.clone(),
            version => values.version.clone(),
            url => values.server.url(&format!("image/{}@{}", values.image, values.version)),
        },
        cmdline => known(values.cmdline.clone()),
        append => known(values.append.clone()),
        done_url => known(values.done.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        Values {
            mac: MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]),
            uuid: None,
            arch: ClientArch::X64_UEFI,
            ip: Some([10, 77, 0, 100].into()),
            interface: "eth1".into(),
            server: ServerAddr { ip: [10, 77, 0, 1].into(), http_port: 8067, https: false },
            image: "talos".into(),
            version: "1.9".into(),
            cmdline: Some("console=ttyS0".into()),
            append: None,
            done: Some("http://10.77.0.1:8067/done/x/talos/y".into()),
        }
    }

    #[test]
    fn every_variable_is_there() {
        let source = "#!ipxe\n\
            echo {{ machine.mac }} {{ machine.uuid }} {{ machine.arch }} {{ machine.uefi }} {{ machine.ip }} {{ machine.interface }}\n\
            kernel {{ image.url }}/vmlinuz {{ cmdline }} {{ append }}\n\
            {% if machine.uuid %}echo known{% else %}echo ${uuid}{% endif %}\n\
            echo {{ image.name }} {{ image.version }} {{ server.url }} {{ server.ip }} {{ server.port }} {{ done_url }}\n";
        insta::assert_snapshot!(from_template(source, &values()).unwrap(), @"
        #!ipxe
        echo 52:54:00:12:34:56  x64 True 10.77.0.100 eth1
        kernel http://10.77.0.1:8067/image/talos@1.9/vmlinuz console=ttyS0 
        echo ${uuid}
        echo talos 1.9 http://10.77.0.1:8067 10.77.0.1 8067 http://10.77.0.1:8067/done/x/talos/y
        ");
    }

    #[test]
    fn faults_name_their_line() {
        let cases = [
            "#!ipxe\necho {{ machine.mca }}\n",
            "#!ipxe\n\necho {{ nothing }}\n",
            "#!ipxe\n{% if %}\n",
            "#!ipxe\n{% include 'x' %}\n",
            "#!ipxe\necho {{ cmdline }}\n",
            "echo hello\n",
            " #!ipxe\n",
        ];
        let values = Values { cmdline: Some("quiet\nreboot".into()), ..values() };
        let faults: Vec<String> =
            cases.iter().map(|source| from_template(source, &values).unwrap_err().to_string()).collect();
        insta::assert_snapshot!(faults.join("\n"), @"
        line 2 of the script's template: undefined value
        line 3 of the script's template: undefined value
        line 2 of the script's template: syntax error: unexpected end of block
        line 2 of the script's template: syntax error: unknown statement include
        line 2 of the script's template: invalid operation: the value holds control characters
        line 1 of the script's template: the script does not start with the line `#!ipxe`
        line 1 of the script's template: the script does not start with the line `#!ipxe`
        ");
    }
}
