//! Menus in iPXE's own words: one script holds a menu and all that can be reached from it.

use core::fmt::Write as _;
use core::time::Duration;

use super::{Heading, local_commands, plain};

/// A menu as one machine is shown it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page {
    /// Its headline.
    pub title: String,
    /// How long a person may think; none is as long as they like.
    pub timeout: Option<Duration>,
    /// The line that is taken when the time is over, by its number; none leaves to the local disk.
    pub default: Option<usize>,
    /// What can be chosen.
    pub lines: Vec<Line>,
}

/// A line of a page.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// Its number: unique on its page.
    pub number: usize,
    /// What the person reads.
    pub title: String,
    /// What it does.
    pub does: Does,
}

/// What a line does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Does {
    /// Runs the script at this URL.
    Chain(String),
    /// Shows another page, by its place among the pages.
    Page(usize),
    /// Boots from the machine's own disk.
    Local,
    /// Opens iPXE's command line.
    Shell,
    /// Starts the machine again.
    Reboot,
    /// Switches it off.
    PowerOff,
    /// Leaves to the firmware's next boot device.
    Exit,
    /// Nothing.
    Text,
}

/// What the line is called that leads on without iPXE, where a page has none of its own.
const LEAVE: &str = "Boot from the local disk";
/// That line's label.
const LEAVE_LABEL: &str = "leave";

/// Shows the first page. The default is taken once: what comes back, be it a boot that failed or a program that has ended, leaves the
/// local disk as the default, so that an unattended machine does not go round for ever. Escape leads back, and from the first page to
/// the local disk.
#[must_use]
pub fn pages(heading: Heading<'_>, pages: &[Page], uefi: bool) -> String {
    let mut text = heading.lines();
    for (n, page) in pages.iter().enumerate() {
        page.mark(n, page.default, &mut text);
    }
    for (n, page) in pages.iter().enumerate() {
        page.show(n, &mut text);
        for line in &page.lines {
            line.act(n, uefi, &mut text);
        }
        put(&mut text, format_args!(":again{n}"));
        page.mark(n, None, &mut text);
        put(&mut text, format_args!("goto m{n}"));
    }
    text.push_str(":leave\n");
    text.push_str(local_commands(uefi));
    text
}

impl Page {
    /// The label that leads on without iPXE.
    fn leave(&self, n: usize) -> String {
        let own = self.lines.iter().find(|line| line.does == Does::Local);
        own.map_or_else(|| LEAVE_LABEL.to_owned(), |line| format!("m{n}i{}", line.number))
    }

    /// Marks the line that is taken when the time is over. A page without a line of its own that leads on gets one when that is it.
    fn mark(&self, n: usize, default: Option<usize>, text: &mut String) {
        let leave = self.leave(n);
        let marked = default.map_or_else(|| leave.clone(), |line| format!("m{n}i{line}"));
        put(text, format_args!("set default{n} {marked}"));
        if leave == LEAVE_LABEL {
            put(text, format_args!("set leave{n} {}", if marked == leave { "yes" } else { "no" }));
        }
    }

    fn show(&self, n: usize, text: &mut String) {
        put(text, format_args!(":m{n}\nmenu -- {}", plain(&self.title)));
        for Line { number, title, does } in &self.lines {
            match does {
                Does::Text => put(text, format_args!("item --gap -- {}", plain(title))),
                _ => put(text, format_args!("item -- m{n}i{number} {}", plain(title))),
            }
        }
        if self.leave(n) == LEAVE_LABEL {
            put(text, format_args!("iseq ${{leave{n}}} yes && item -- leave {LEAVE} ||"));
        }
        if n > 0 {
            put(text, format_args!("item -- back{n} Back"));
        }
        let timeout = self.timeout.map_or_else(String::new, |time| format!(" --timeout {}", time.as_millis()));
        let escape = if n > 0 { format!("back{n}") } else { "leave".to_owned() };
        put(text, format_args!("choose --default ${{default{n}}}{timeout} target || goto {escape}\ngoto ${{target}}"));
        if n > 0 {
            put(text, format_args!(":back{n}\ngoto ${{from{n}}}"));
        }
    }
}

impl Line {
    fn act(&self, n: usize, uefi: bool, text: &mut String) {
        if self.does == Does::Text {
            return;
        }
        put(text, format_args!(":m{n}i{}", self.number));
        match &self.does {
            Does::Chain(url) => put(text, format_args!("chain --autofree {url} || sleep 3\ngoto again{n}")),
            Does::Page(page) => put(text, format_args!("set from{page} m{n}\ngoto m{page}")),
            Does::Local => text.push_str(local_commands(uefi)),
            Does::Shell => {
                put(
                    text,
                    format_args!("echo Slipway: the command exit leads back to the menu\nshell ||\ngoto again{n}"),
                );
            }
            Does::Reboot => put(text, format_args!("reboot ||\ngoto again{n}")),
            Does::PowerOff => {
                let sorry = "echo Slipway: this build of iPXE cannot switch the machine off";
                put(text, format_args!("poweroff || {sorry}\nsleep 3\ngoto again{n}"));
            }
            Does::Exit => put(text, format_args!("exit 1")),
            Does::Text => {}
        }
    }
}

fn put(text: &mut String, line: core::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}
