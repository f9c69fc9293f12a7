//! The kernel's command line, and the words in it that are for us.

use std::fs;

use slipway_wire::MacAddr;

/// The kernel's command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cmdline {
    text: String,
}

impl Cmdline {
    /// The running kernel's.
    pub(crate) fn read() -> Self {
        Self::new(&fs::read("/proc/cmdline").map(|raw| String::from_utf8_lossy(&raw).into_owned()).unwrap_or_default())
    }

    /// One line of text; control characters in it become spaces, so that it stays one line wherever it is printed.
    pub(crate) fn new(raw: &str) -> Self {
        Self { text: raw.trim_end().replace(char::is_control, " ") }
    }

    /// The whole of it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// `slipway.report=URL`.
    pub(crate) fn report_url(&self) -> Option<&str> {
        self.value("slipway.report=")
    }

    /// `slipway.poweroff`.
    pub(crate) fn poweroff(&self) -> bool {
        self.says("slipway.poweroff")
    }

    /// `slipway.reboot`.
    pub(crate) fn reboot(&self) -> bool {
        self.says("slipway.reboot")
    }

    /// `slipway.installed`.
    pub(crate) fn installed(&self) -> bool {
        self.says("slipway.installed")
    }

    /// `slipway.done=URL`, which the server puts there for installers.
    pub(crate) fn done_url(&self) -> Option<&str> {
        self.value("slipway.done=")
    }

    fn says(&self, word: &str) -> bool {
        self.text.split_whitespace().any(|said| said == word)
    }

    /// `BOOTIF=01-aa-bb-cc-dd-ee-ff` as pxelinux and iPXE scripts pass it, with or without the hardware type in front.
    pub(crate) fn boot_interface(&self) -> Option<MacAddr> {
        let text = self.value("BOOTIF=")?;
        text.strip_prefix("01-").filter(|rest| rest.len() == 17).unwrap_or(text).parse().ok()
    }

    /// The last of several wins, as for the kernel's own words.
    fn value(&self, key: &str) -> Option<&str> {
        self.text.split_whitespace().filter_map(|word| word.strip_prefix(key)).next_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_words_are_found_among_the_kernels() {
        let cmdline =
            Cmdline::new("console=ttyS0 slipway.report=http://a/x BOOTIF=01-52-54-00-12-34-56 slipway.poweroff\n");
        assert_eq!(cmdline.report_url(), Some("http://a/x"));
        assert!(cmdline.poweroff() && !cmdline.reboot() && !cmdline.installed());
        let installer = Cmdline::new("slipway.reboot slipway.installed slipway.done=http://a/done/x");
        assert!(installer.reboot() && installer.installed() && installer.done_url() == Some("http://a/done/x"));
        assert_eq!(cmdline.boot_interface(), "52:54:00:12:34:56".parse().ok());
    }

    #[test]
    fn words_that_only_look_like_ours_are_not() {
        let cmdline = Cmdline::new("slipway.poweroff=no xslipway.report=http://a/ BOOTIF=nonsense");
        assert!(!cmdline.poweroff());
        assert_eq!((cmdline.report_url(), cmdline.boot_interface()), (None, None));
    }

    #[test]
    fn the_last_word_wins_and_the_text_stays_one_line() {
        let cmdline = Cmdline::new("slipway.report=http://a/\nslipway.report=http://b/\n");
        assert_eq!(cmdline.report_url(), Some("http://b/"));
        assert_eq!(cmdline.text(), "slipway.report=http://a/ slipway.report=http://b/");
    }
}
