//! What a person sees on the console, one line for each step, in a form that programs find too:
//!
//! ```text
//! slipway-agent: [ok] dhcp acquired (10.0.2.15/24, router 10.0.2.2)
//! slipway-agent: [..] approval (ticket 1f0c…: nobody has decided yet)
//! slipway-agent: [!!] tls connected: 10.0.2.2:8444: no answer in time; trying again in 5 s
//! ```

use core::fmt;

/// A step of a boot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Checkpoint {
    /// An interface has a link.
    LinkUp,
    /// The machine has an address.
    Dhcp,
    /// The gateway's network can be reached.
    Route,
    /// A server proved that it is the org's.
    Tls,
    /// The invite that the machine comes with is sound.
    Invite,
    /// The server has the machine's proofs.
    Identity,
    /// The org lets the machine in.
    Approval,
    /// The preboot image is here, and is the one that was promised.
    Downloaded,
    /// It is on the ESP, and was read back.
    Written,
    /// The firmware will start it.
    BootOrder,
    /// The machine starts over.
    Rebooting,
    /// The gateway answers.
    Gateway,
    /// The generation is here.
    Generation,
    /// The manifest, and the bytes, are as the org's image keys signed them.
    Signature,
    /// Both halves of the disk key are here.
    DiskKey,
    /// The data partition opens.
    Unlocked,
    /// The generation's kernel is started.
    Kexec,
    /// A newer preboot is on the ESP, for the next start.
    Update,
    /// The org was told that this system is well.
    Healthy,
}

impl Checkpoint {
    /// Its words: they do not change.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::LinkUp => "link up",
            Self::Dhcp => "dhcp acquired",
            Self::Route => "route",
            Self::Tls => "tls connected",
            Self::Invite => "invite verified",
            Self::Identity => "identity proved",
            Self::Approval => "approval",
            Self::Downloaded => "preboot.efi downloaded",
            Self::Written => "written to the esp",
            Self::BootOrder => "boot order updated",
            Self::Rebooting => "rebooting",
            Self::Gateway => "gateway reachable",
            Self::Generation => "generation match",
            Self::Signature => "image signature verified",
            Self::DiskKey => "disk key derived",
            Self::Unlocked => "disk unlocked",
            Self::Kexec => "kexec into the generation",
            Self::Update => "preboot updated",
            Self::Healthy => "reported healthy",
        }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// The line for a step that was taken.
pub(crate) fn ok(step: Checkpoint, detail: &str) -> String {
    format!("[ok] {step}{}", in_brackets(detail))
}

/// The line for a step that takes its time.
pub(crate) fn under_way(step: Checkpoint, detail: &str) -> String {
    format!("[..] {step}{}", in_brackets(detail))
}

/// The line for a step that failed: why, and what happens next.
pub(crate) fn failed(step: Checkpoint, reason: &str, next: &str) -> String {
    format!("[!!] {step}: {}; {}", one_line(reason), one_line(next))
}

fn in_brackets(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(" ({})", one_line(detail)) }
}

/// Text that came from elsewhere must neither tear a line apart nor move a terminal's cursor.
pub(crate) fn one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

/// Six words, for a person who stands before the machine: large, and alone.
pub(crate) fn words_alone(words: &[&str]) -> String {
    let spaced = |word: &&str| {
        let letters: Vec<String> = word.to_uppercase().chars().map(String::from).collect();
        format!("{:<18}", letters.join(" "))
    };
    let rows = words.chunks(3).map(|row| format!("\n     {}\n", row.iter().map(spaced).collect::<String>().trim_end()));
    let bar = "=".repeat(66);
    format!("\n\n\n  {bar}\n{}\n  {bar}\n\n", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_have_one_form() {
        assert_eq!(ok(Checkpoint::LinkUp, "eth0, 1000 Mbit/s"), "[ok] link up (eth0, 1000 Mbit/s)");
        assert_eq!(ok(Checkpoint::Rebooting, ""), "[ok] rebooting");
        assert_eq!(under_way(Checkpoint::Approval, "nobody has decided yet"), "[..] approval (nobody has decided yet)");
        assert_eq!(
            failed(Checkpoint::Tls, "no answer\r\nin time", "trying again in 5 s"),
            "[!!] tls connected: no answer  in time; trying again in 5 s"
        );
    }

    #[test]
    fn the_words_stand_large_and_alone() {
        let shown = words_alone(&["measure", "spice", "veteran", "shock", "sense", "garage"]);
        let rows: Vec<&str> = shown.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let [_, first, second, _] = rows[..] else { panic!("{shown}") };
        let plain = |row: &str| {
            row.split("  ").filter(|w| !w.is_empty()).map(|w| w.trim().replace(' ', "")).collect::<Vec<_>>()
        };
        assert_eq!(plain(first), ["MEASURE", "SPICE", "VETERAN"]);
        assert_eq!(plain(second), ["SHOCK", "SENSE", "GARAGE"]);
        assert!(shown.lines().all(|line| line.len() < 80));
    }
}
