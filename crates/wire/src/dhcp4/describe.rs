//! A message told in text: for fixtures, packet stories and whoever reads a log at level trace.

use super::{Message, MessageType, Op, OptionCode, RelayInfo};
use crate::ipxe::IpxeOptions;
use crate::pxe::VendorOptions;
use core::fmt::{self, Write};
use core::net::Ipv4Addr;

impl Message {
    /// The whole message, a line for each field and option that says something. For eyes: the form may change.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.tell(&mut out);
        out
    }

    fn tell(&self, out: &mut String) -> fmt::Result {
        match self.options.message_type() {
            Some(kind) => write!(out, "{kind}")?,
            None => write!(out, "BOOTP {}", self.op.0)?,
        }
        let verb = if self.op == Op::REPLY { "to" } else { "from" };
        match self.mac() {
            Some(mac) => writeln!(out, " {verb} {mac}")?,
            None => writeln!(out, " {verb} hardware type {} length {}", self.htype, self.hlen)?,
        }
        let flags = if self.wants_broadcast() { "broadcast" } else { "unicast" };
        writeln!(out, "xid {:08x}, secs {}, hops {}, replies by {flags}", self.xid, self.secs, self.hops)?;
        for (name, ip) in
            [("ciaddr", self.ciaddr), ("yiaddr", self.yiaddr), ("siaddr", self.siaddr), ("giaddr", self.giaddr)]
        {
            if !ip.is_unspecified() {
                writeln!(out, "{name} {ip}")?;
            }
        }
        for (name, text) in [("sname", self.server_name()), ("file", self.file_name())] {
            if !text.is_empty() {
                writeln!(out, "{name} \"{}\"", text.escape_ascii())?;
            }
        }
        for (code, value) in self.options.iter() {
            writeln!(out, "{code}: {}", self.option_text(code, value))?;
        }
        for fault in &self.faults {
            writeln!(out, "fault: {fault}")?;
        }
        Ok(())
    }

    fn option_text(&self, code: OptionCode, value: &[u8]) -> String {
        self.number(code)
            .or_else(|| self.identity(code))
            .or_else(|| encapsulated(code, value))
            .unwrap_or_else(|| text_or_hex(code, value))
    }

    fn number(&self, code: OptionCode) -> Option<String> {
        Some(match code {
            OptionCode::MESSAGE_TYPE => self.options.array(code).map(|[kind]| MessageType(kind))?.to_string(),
            OptionCode::MAX_SIZE | OptionCode::MTU | OptionCode::BOOT_FILE_SIZE => {
                u16::from_be_bytes(self.options.array(code)?).to_string()
            }
            OptionCode::LEASE_TIME | OptionCode::RENEWAL_TIME | OptionCode::REBINDING_TIME => {
                format!("{} s", u32::from_be_bytes(self.options.array(code)?))
            }
            OptionCode::SUBNET_MASK
            | OptionCode::REQUESTED_IP
            | OptionCode::SERVER_ID
            | OptionCode::BROADCAST
            | OptionCode::ROUTER
            | OptionCode::DNS => {
                let ips = self.options.ips(code);
                (!ips.is_empty()).then(|| join(ips.iter().map(Ipv4Addr::to_string)))?
            }
            OptionCode::PARAMETER_LIST => join(self.options.parameter_list().iter().map(u8::to_string)),
            _ => return None,
        })
    }

    fn identity(&self, code: OptionCode) -> Option<String> {
        match code {
            OptionCode::CLIENT_ARCH => {
                let archs = self.options.client_archs();
                (!archs.is_empty()).then(|| join(archs.iter().map(|arch| format!("{} ({arch})", arch.0))))
            }
            OptionCode::CLIENT_NII => {
                self.options.client_nii().map(|[kind, major, minor]| format!("type {kind}, version {major}.{minor}"))
            }
            OptionCode::MACHINE_ID => self.options.machine_id()?.uuid().map(|uuid| uuid.to_string()),
            OptionCode::USER_CLASS => {
                let classes = self.options.user_classes();
                Some(join(classes.iter().map(|class| format!("\"{}\"", class.escape_ascii()))))
            }
            _ => None,
        }
    }
}

fn encapsulated(code: OptionCode, value: &[u8]) -> Option<String> {
    match code {
        OptionCode::VENDOR => VendorOptions::decode(value).ok().map(|options| pxe(&options)),
        OptionCode::IPXE => IpxeOptions::decode(value).ok().map(|options| ipxe(&options)),
        OptionCode::RELAY_INFO => {
            Some(RelayInfo(value).to_string()).filter(|_| RelayInfo(value).fault().is_none() && !value.is_empty())
        }
        _ => None,
    }
}

fn pxe(options: &VendorOptions) -> String {
    let known = [
        options.discovery_control().map(|bits| format!("discovery control {bits:#04x}")),
        options.multicast().map(|ip| format!("multicast {ip}")),
        options.boot_item().map(|item| format!("boot item {} layer {}", item.kind, item.layer)),
        options.prompt().map(|prompt| format!("prompt \"{}\" {} s", prompt.text.escape_ascii(), prompt.timeout)),
    ];
    let servers = options
        .boot_servers()
        .into_iter()
        .map(|server| format!("server type {} at {}", server.kind, join(server.ips.iter().map(Ipv4Addr::to_string))));
    let menu =
        options.menu().into_iter().map(|item| format!("menu item {} \"{}\"", item.kind, item.text.escape_ascii()));
    let rest = options.0.iter().filter(|(code, _)| !matches!(code, 6..=10 | 71));
    let rest = rest.map(|(code, value)| format!("{code} = {}", hex(value)));
    join(known.into_iter().flatten().chain(servers).chain(menu).chain(rest))
}

fn ipxe(options: &IpxeOptions) -> String {
    let version = options.version().map(|[major, minor, patch]| format!("version {major}.{minor}.{patch}"));
    let bus = options.bus_id().map(|id| format!("bus {} device {:04x}:{:04x}", id.bus, id.vendor, id.device));
    let quiet = options.is_no_pxedhcp().then(|| "no-pxedhcp".to_owned());
    let features: Vec<String> = options.features().map(|feature| feature.to_string()).collect();
    let features = (!features.is_empty()).then(|| format!("features {}", features.join(" ")));
    join([version, bus, quiet, features].into_iter().flatten())
}

fn text_or_hex(code: OptionCode, value: &[u8]) -> String {
    let text = matches!(
        code,
        OptionCode::HOST_NAME
            | OptionCode::DOMAIN_NAME
            | OptionCode::ROOT_PATH
            | OptionCode::MESSAGE
            | OptionCode::VENDOR_CLASS
            | OptionCode::TFTP_SERVER
            | OptionCode::BOOT_FILE
            | OptionCode::CONFIG_FILE
            | OptionCode::PATH_PREFIX
    );
    if text { format!("\"{}\"", value.escape_ascii()) } else { hex(value) }
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
