//! A packet told in text: for fixtures, packet stories and whoever reads a log at level trace.

use core::fmt::{self, Write};

use super::{Duid, Ia, Message, OptionCode, Options, Packet};

impl Packet {
    /// The whole packet, a line for each envelope and option. For eyes: the form may change.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.tell(&mut out);
        out
    }

    fn tell(&self, out: &mut String) -> fmt::Result {
        for relay in &self.relays {
            writeln!(out, "{} hops {} link {} peer {}", relay.kind, relay.hops, relay.link, relay.peer)?;
            tell_options(out, &relay.options)?;
        }
        let Message { kind, xid, options, faults } = &self.message;
        writeln!(out, "{kind} xid {xid:06x}")?;
        tell_options(out, options)?;
        faults.iter().try_for_each(|fault| writeln!(out, "fault: {fault}"))
    }
}

fn tell_options(out: &mut String, options: &Options) -> fmt::Result {
    let mut ias = options.ias();
    for (code, value) in options.iter() {
        let text = match code {
            OptionCode::IA_NA | OptionCode::IA_TA => ias.next().map_or_else(|| hex(value), |ia| association(&ia)),
            code => option(options, code, value),
        };
        writeln!(out, "{code}: {text}")?;
    }
    Ok(())
}

fn option(options: &Options, code: OptionCode, value: &[u8]) -> String {
    let typed = match code {
        OptionCode::CLIENT_ID | OptionCode::SERVER_ID => Duid::new(value).map(|duid| match duid.mac() {
            Some(mac) => format!("{duid} ({mac})"),
            None => duid.to_string(),
        }),
        OptionCode::OPTION_REQUEST => Some(join(options.requested().iter().map(|code| code.0.to_string()))),
        OptionCode::PREFERENCE => options.preference().map(|preference| preference.to_string()),
        OptionCode::ELAPSED_TIME => {
            options.array(code).map(|time| format!("{} ms", u64::from(u16::from_be_bytes(time)) * 10))
        }
        OptionCode::STATUS => {
            options.status().map(|status| format!("{} \"{}\"", status.code, status.text.escape_ascii()))
        }
        OptionCode::USER_CLASS => Some(quoted(&options.user_classes())),
        OptionCode::VENDOR_CLASS => {
            options.vendor_class().map(|class| format!("enterprise {} {}", class.enterprise, quoted(&class.classes)))
        }
        OptionCode::CLIENT_ARCH => Some(join(options.client_archs().iter().map(|arch| format!("{} ({arch})", arch.0)))),
        OptionCode::CLIENT_NII => {
            options.array(code).map(|[kind, major, minor]: [u8; 3]| format!("type {kind}, version {major}.{minor}"))
        }
        OptionCode::DNS => Some(join(options.ips(code).iter().map(ToString::to_string))),
        OptionCode::BOOT_FILE_URL => Some(quoted(&[value])),
        OptionCode::INTERFACE_ID => options.interface_id().map(|id| id.to_string()),
        OptionCode::REMOTE_ID => options.remote_id().map(|id| id.to_string()),
        OptionCode::LINK_LAYER_ADDRESS => options.link_layer_address().map(|mac| mac.to_string()),
        _ => None,
    };
    typed.filter(|text| !text.is_empty()).unwrap_or_else(|| hex(value))
}

fn association(ia: &Ia) -> String {
    let mut text = format!("iaid {:08x} t1 {} t2 {}", ia.iaid, ia.t1, ia.t2);
    for address in ia.addresses() {
        // Writing to a String cannot fail.
        let _ = write!(text, ", {} preferred {} valid {}", address.ip, address.preferred, address.valid);
    }
    if let Some(status) = ia.options.status() {
        let _ = write!(text, ", {} \"{}\"", status.code, status.text.escape_ascii());
    }
    text
}

fn quoted(texts: &[&[u8]]) -> String {
    join(texts.iter().map(|text| format!("\"{}\"", text.escape_ascii())))
}

fn hex(value: &[u8]) -> String {
    value.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}
