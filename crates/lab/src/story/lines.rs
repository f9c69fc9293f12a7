//! The story in words.

use std::net::Ipv4Addr;
use std::time::SystemTime;

use slipway_wire::dhcp4::{Message, OptionCode};

use super::{Dhcp, Dhcp6, Request, Story, Transfer};

impl Story {
    /// The story as lines, one for each DHCP message, transfer and request, with the seconds since the capture's first packet.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<(SystemTime, String)> = Vec::new();
        lines.extend(self.dhcp.iter().map(|dhcp| (dhcp.at, dhcp.line())));
        lines.extend(self.dhcp6.iter().map(|dhcp| (dhcp.at, dhcp.line())));
        lines.extend(self.transfers.iter().map(|transfer| (transfer.at, transfer.line())));
        lines.extend(self.requests.iter().map(|request| (request.at, request.line())));
        lines.sort_by_key(|(at, _)| *at);
        let start = self.start.unwrap_or(SystemTime::UNIX_EPOCH);
        let since = |at: SystemTime| at.duration_since(start).unwrap_or_default().as_secs_f64();
        lines.into_iter().map(|(at, line)| format!("{:8.3}  {line}", since(at))).collect()
    }
}

impl Dhcp {
    fn line(&self) -> String {
        let Message { yiaddr, siaddr, giaddr, options, .. } = &self.message;
        let kind = options.message_type().map_or_else(|| "BOOTP".to_owned(), |kind| kind.to_string());
        let who = self.message.mac().map_or_else(|| "?".to_owned(), |mac| mac.to_string());
        let mut line = format!("{kind:8} {who} {} > {}", self.from, self.to);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        for (name, address) in [("yiaddr", yiaddr), ("siaddr", siaddr), ("giaddr", giaddr)] {
            if *address != Ipv4Addr::UNSPECIFIED {
                line += &format!(" {name}={address}");
            }
        }
        if let Some(server) = options.server_id() {
            line += &format!(" server={server}");
        }
        for arch in options.client_archs() {
            line += &format!(" arch={}", arch.0);
        }
        if let Some(class) = options.vendor_class() {
            line += &format!(" class={}", text(class));
        }
        for class in options.user_classes() {
            line += &format!(" user-class={}", text(class));
        }
        if !self.message.file_name().is_empty() {
            line += &format!(" file={}", text(self.message.file_name()));
        }
        if let Some(file) = options.boot_file().filter(|file| *file != self.message.file_name()) {
            line += &format!(" 67={}", text(file));
        }
        for (name, code) in [("43", OptionCode(43)), ("175", OptionCode(175))] {
            if let Some(value) = options.get(code) {
                line += &format!(" {name}={} bytes", value.len());
            }
        }
        line
    }
}

impl Dhcp6 {
    fn line(&self) -> String {
        let told = self.packet.describe();
        let mut lines = told.lines();
        let first = lines.next().unwrap_or_default();
        format!("{first} {} > {}: {}", self.from, self.to, lines.collect::<Vec<_>>().join("; "))
    }
}

impl Transfer {
    fn line(&self) -> String {
        let mut line = format!("TFTP     {} {} RRQ {}", self.mac, self.client, self.file);
        for option in &self.asked {
            line += &format!(" {option}");
        }
        let granted: Vec<String> = self.granted.iter().map(|option| format!("{}={option}", option.name())).collect();
        if !granted.is_empty() {
            line += &format!(" | OACK {}", granted.join(" "));
        }
        if self.bytes > 0 {
            let took = self.end.duration_since(self.at).unwrap_or_default().as_secs_f64();
            line += &format!(" | {} bytes in {took:.3} s, {} blocks at once", self.bytes, self.widest);
        }
        if let Some((from, code, text)) = &self.error {
            line += &format!(" | ERROR {code} {text:?} from {}", from.ip());
        }
        line
    }
}

impl Request {
    fn line(&self) -> String {
        let Self { mac, client, method, target, bytes, .. } = self;
        let took = self.end.duration_since(self.at).unwrap_or_default().as_secs_f64();
        let status = self.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        format!("HTTP     {mac} {client} {method} {target} | {status}, {bytes} bytes in {took:.3} s")
    }
}
