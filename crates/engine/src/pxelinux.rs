//! Configurations in pxelinux's format, rendered per machine: what pxelinux and U-Boot (`pxe get`) ask for.
//!
//! The format has no escaping at all: a line is a keyword and its argument. What could become more than an argument is refused,
//! so that nothing from outside is ever a keyword.

use core::fmt::Write as _;

use slipway_wire::MacAddr;

use crate::answer::ServerAddr;
use crate::script::Heading;

/// The longest command line, in bytes: pxelinux reads lines of 2 KiB, and Linux on x86 takes as much.
const LONGEST: usize = 2000;

/// Who reads a configuration.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Reader {
    /// pxelinux or lpxelinux, on a BIOS.
    Pxelinux,
    /// U-Boot's `pxe` command.
    UBoot,
}

/// How a configuration was fetched, which is how its reader fetches the rest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Over {
    /// TFTP: paths from the server's root.
    Tftp,
    /// HTTP: URLs of this server. Only lpxelinux does that.
    Http(ServerAddr),
}

/// One machine's configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    reader: Reader,
    /// The comment at its head: for whom, and by which rule.
    comment: String,
    act: Act,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Act {
    Linux(Linux),
    Local,
    Refuse(String),
}

/// A kernel and what belongs to it: paths in the namespace.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Linux {
    /// The kernel.
    pub kernel: String,
    /// Initrds, in order.
    pub initrds: Vec<String>,
    /// The command line.
    pub cmdline: String,
    /// The device tree (U-Boot only).
    pub devicetree: Option<String>,
    /// The folder of device trees, of which U-Boot takes its board's.
    pub devicetrees: Option<String>,
}

impl Config {
    /// Boots a kernel.
    ///
    /// # Errors
    /// What stands against it, see [`command_line`]; and U-Boot loads no second initrd.
    pub fn linux(reader: Reader, heading: Heading<'_>, linux: Linux) -> Result<Self, &'static str> {
        if reader == Reader::UBoot && linux.initrds.len() > 1 {
            return Err("U-Boot loads one initrd: put them together with `cat`");
        }
        let cmdline = command_line(reader, &linux.cmdline)?;
        Ok(Self { reader, comment: comment(heading), act: Act::Linux(Linux { cmdline, ..linux }) })
    }

    /// Goes on to the machine's own disk.
    #[must_use]
    pub fn local(reader: Reader, heading: Heading<'_>) -> Self {
        Self { reader, comment: comment(heading), act: Act::Local }
    }

    /// Says on the machine's console why it is not booted, and goes on to its next boot device.
    #[must_use]
    pub fn refusal(reader: Reader, mac: MacAddr, why: &str) -> Self {
        let comment = format!("# Slipway: nothing for {mac}");
        Self { reader, comment, act: Act::Refuse(harmless(why)) }
    }

    /// The file that its reader loads last: pxelinux the initrd; U-Boot (seen: 2023.01) the initrd first, then the kernel, then the
    /// device tree, of a folder of which there need not be one for its board.
    #[must_use]
    pub fn last(&self) -> Option<&str> {
        match (&self.act, self.reader) {
            (Act::Linux(linux), Reader::Pxelinux) => Some(linux.initrds.last().unwrap_or(&linux.kernel)),
            (Act::Linux(linux), Reader::UBoot) => Some(linux.devicetree.as_ref().unwrap_or(&linux.kernel)),
            (Act::Local | Act::Refuse(_), _) => None,
        }
    }

    /// Its text.
    #[must_use]
    pub fn text(&self, over: Over) -> String {
        let mut text = format!("{}\nDEFAULT slipway\nPROMPT 0\n", self.comment);
        match &self.act {
            Act::Linux(linux) => {
                text.push_str("LABEL slipway\n");
                put_linux(&mut text, self.reader, over, linux);
            }
            // 0: a normal boot from the local disk, the ROM being left in order.
            Act::Local => text.push_str("LABEL slipway\nLOCALBOOT 0\n"),
            Act::Refuse(why) => {
                let _ = write!(
                    text,
                    "SAY Slipway does not boot this machine: {why}\nTIMEOUT 50\nLABEL slipway\nLOCALBOOT 0\n"
                );
            }
        }
        text
    }
}

fn put_linux(text: &mut String, reader: Reader, over: Over, linux: &Linux) {
    let place = |path: &str| place(reader, over, path);
    let mut put = |keyword: &str, argument: &str| {
        let _ = writeln!(text, "{keyword} {argument}");
    };
    put("KERNEL", &place(&linux.kernel));
    let initrds: Vec<String> = linux.initrds.iter().map(|path| place(path)).collect();
    if !initrds.is_empty() {
        put("INITRD", &initrds.join(","));
    }
    match (reader, &linux.devicetree, &linux.devicetrees) {
        // A BIOS knows no device trees.
        (Reader::Pxelinux, ..) | (_, None, None) => {}
        (Reader::UBoot, Some(file), _) => put("FDT", &place(file)),
        (Reader::UBoot, None, Some(folder)) => put("FDTDIR", &place(folder)),
    }
    if !linux.cmdline.is_empty() {
        put("APPEND", &linux.cmdline);
    }
}

/// How this reader names a file, whatever folder it looks for its configuration in. pxelinux puts its prefix before everything but
/// URLs and what begins with `::`. U-Boot puts the folder of its boot file before everything, also before what begins with `/` (seen:
/// 2023.01), and [`normalise`](crate::namespace::normalise) takes that away again.
fn place(reader: Reader, over: Over, path: &str) -> String {
    match (reader, over) {
        (Reader::Pxelinux, Over::Tftp) => format!("::{path}"),
        (Reader::Pxelinux, Over::Http(server)) => server.url(path),
        (Reader::UBoot, _) => path.to_owned(),
    }
}

fn comment(heading: Heading<'_>) -> String {
    format!("# Slipway: {} for {} by rule {}", harmless(heading.what), heading.mac, harmless(heading.rule))
}

/// A kernel's command line as it can stand in a configuration: blanks and line ends collapsed to one space.
///
/// # Errors
/// What the reader would not pass on as it is: characters outside ASCII; `initrd=`, which pxelinux takes for files of its own; for
/// U-Boot `$`, quotes and backslashes, which it expands. And what is too long, or would not be an argument.
pub fn command_line(reader: Reader, text: &str) -> Result<String, &'static str> {
    let text = text.trim_matches(|c: char| c == '\0' || c.is_ascii_whitespace());
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    if words.iter().any(|word| !word.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err("its command line holds control characters, or others outside ASCII");
    }
    if words.iter().any(|word| word.starts_with("initrd=")) {
        return Err("pxelinux and U-Boot load what `initrd=` in the command line names: give initrds with the image");
    }
    if matches!(words.as_slice(), ["-"]) || words.first().is_some_and(|word| word.starts_with('#')) {
        return Err("a configuration of pxelinux cannot hold a command line that is `-` or begins with `#`");
    }
    if reader == Reader::UBoot && text.contains(['$', '\'', '"', '\\']) {
        return Err(
            "U-Boot would interpret `$`, quotes and backslashes in its command line instead of passing them on",
        );
    }
    let line = words.join(" ");
    if line.len() > LONGEST {
        return Err("its command line is longer than 2000 bytes, which pxelinux and U-Boot do not read");
    }
    Ok(line)
}

/// Text that is harmless in a comment and on a console: one line of ASCII, at most 200 bytes of it.
fn harmless(text: &str) -> String {
    let plain = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    text.chars().map(plain).take(200).collect()
}

#[cfg(test)]
mod tests;
