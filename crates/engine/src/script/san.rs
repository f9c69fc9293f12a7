//! Scripts about network disks. A disk is attached first, which is tried again if it fails, and booted from then: what fails after
//! that would fail again.

use slipway_wire::MacAddr;

use super::{ATTEMPTS, Heading, plain};
use crate::san::{Disk, Login};

/// Boots from a network disk.
#[must_use]
pub fn san(heading: Heading<'_>, disk: &Disk) -> String {
    let mut text = heading.lines();
    text.push_str(&attach(disk, heading.mac));
    let keep = if disk.keep { "--keep " } else { "" };
    text.push_str(&boot(&disk.name, keep));
    text
}

/// The script with a network disk attached before it does anything else.
#[must_use]
pub fn beside(script: &str, disk: &Disk, mac: MacAddr) -> String {
    let heading: usize = script.split_inclusive('\n').take_while(|line| line.starts_with('#')).map(str::len).sum();
    let (heading, rest) = script.split_at_checked(heading).unwrap_or(("", script));
    format!("{heading}{}{rest}", attach(disk, mac))
}

/// Boots an ISO image over HTTP, read piece by piece as a disk. What it starts finds no disk any more once it has left the firmware's
/// drivers behind.
#[must_use]
pub fn iso(heading: Heading<'_>, url: &str) -> String {
    let mut text = heading.lines();
    text.push_str(&hook(heading.what, url, "--no-describe "));
    text.push_str(&boot(heading.what, "--no-describe "));
    text
}

/// Who the machine is, and the disk.
fn attach(disk: &Disk, mac: MacAddr) -> String {
    let mut text = String::new();
    if let Some(initiator) = &disk.initiator {
        text.push_str(&format!("set initiator-iqn {}\n", initiator.of(mac)));
    }
    match &disk.login {
        Login::Own => {}
        Login::Ask => {
            text.push_str(&format!("echo Slipway: name and secret for {}\nlogin || goto nodisk\n", plain(&disk.name)))
        }
        Login::Told { username, secret } => {
            // In hexadecimal, there is nothing in it that iPXE would interpret.
            let hex: Vec<String> = secret.reveal().bytes().map(|byte| format!("{byte:02x}")).collect();
            text.push_str(&format!("set username {}\nset password:hex {}\n", username.as_str(), hex.join(":")));
        }
    }
    if disk.keep {
        text.push_str("set keep-san 1\n");
    }
    text.push_str(&hook(&disk.name, &disk.target.of(mac), ""));
    text
}

/// Attaches a disk, three times if need be.
fn hook(what: &str, uri: &str, options: &str) -> String {
    let what = plain(what);
    format!(
        "set hook:int32 0\n:hook\nsanhook {options}--drive 0x80 {uri} && goto hooked ||\ninc hook\n\
         iseq ${{hook}} {ATTEMPTS} && goto nodisk ||\n\
         echo Slipway: {what} is not reached, attempt ${{hook}} of {ATTEMPTS}; trying again in 5 seconds\nsleep 5\ngoto hook\n\
         :nodisk\necho Slipway: {what} is not reached, leaving to the next boot device\nsleep 5\nexit 1\n:hooked\n"
    )
}

/// Boots from the disk that is attached.
fn boot(what: &str, options: &str) -> String {
    let what = plain(what);
    format!(
        "sanboot {options}--drive 0x80 ||\necho Slipway: {what} does not boot, leaving to the next boot device\nsleep 5\nexit 1\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::san::{Initiator, Secret, Target, Username};
    use crate::script::Source;

    const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    const HEADING: Heading<'static> = Heading { mac: MAC, rule: "lab", what: "disk1" };

    fn disk() -> Disk {
        Disk {
            name: "disk1".into(),
            target: Target::new("iscsi:10.77.0.5::::iqn.2026-01.example:{mac}").unwrap(),
            initiator: None,
            keep: false,
            login: Login::Own,
        }
    }

    #[test]
    fn a_disk_is_attached_and_booted_from() {
        insta::assert_snapshot!(san(HEADING, &disk()), @"
        #!ipxe
        # Slipway: disk1 for 52:54:00:12:34:56 by rule lab
        set hook:int32 0
        :hook
        sanhook --drive 0x80 iscsi:10.77.0.5::::iqn.2026-01.example:52-54-00-12-34-56 && goto hooked ||
        inc hook
        iseq ${hook} 3 && goto nodisk ||
        echo Slipway: disk1 is not reached, attempt ${hook} of 3; trying again in 5 seconds
        sleep 5
        goto hook
        :nodisk
        echo Slipway: disk1 is not reached, leaving to the next boot device
        sleep 5
        exit 1
        :hooked
        sanboot --drive 0x80 ||
        echo Slipway: disk1 does not boot, leaving to the next boot device
        sleep 5
        exit 1
        ");
    }

    #[test]
    fn a_disk_that_wants_to_know_who_comes_is_told() {
        let told = Login::Told { username: Username::new("db1").unwrap(), secret: Secret::new("a ${b}").unwrap() };
        let initiator = Initiator::new("iqn.2026-01.example:node-{mac}");
        let text = san(HEADING, &Disk { initiator, keep: true, login: told, ..disk() });
        let first: Vec<&str> = text.lines().take(7).collect();
        insta::assert_snapshot!(first.join("\n"), @"
        #!ipxe
        # Slipway: disk1 for 52:54:00:12:34:56 by rule lab
        set initiator-iqn iqn.2026-01.example:node-52-54-00-12-34-56
        set username db1
        set password:hex 61:20:24:7b:62:7d
        set keep-san 1
        set hook:int32 0
        ");
        assert!(text.contains("\nsanboot --keep --drive 0x80 ||\n"), "{text}");
        let asked = san(HEADING, &Disk { login: Login::Ask, ..disk() });
        assert!(asked.contains("\nlogin || goto nodisk\n") && !asked.contains("password"), "{asked}");
    }

    #[test]
    fn an_image_is_booted_with_a_disk_attached() {
        let kernel = Source { url: "http://x/linux".into(), signature: None };
        let linux = super::super::linux(HEADING, &kernel, &[], "").unwrap();
        let text = beside(&linux, &disk(), MAC);
        let (before, after) = text.split_once(":hooked\n").unwrap();
        assert!(before.starts_with("#!ipxe\n# Slipway: disk1 for 52:54:00:12:34:56 by rule lab\nset hook:int32 0\n"));
        assert!(linux.ends_with(after) && after.starts_with("set attempt:int32 0\n"), "{after}");
    }

    #[test]
    fn an_iso_is_a_disk_that_no_system_is_told_of() {
        insta::assert_snapshot!(iso(HEADING, "http://10.77.0.1:8067/image/live@1/boot.iso"), @"
        #!ipxe
        # Slipway: disk1 for 52:54:00:12:34:56 by rule lab
        set hook:int32 0
        :hook
        sanhook --no-describe --drive 0x80 http://10.77.0.1:8067/image/live@1/boot.iso && goto hooked ||
        inc hook
        iseq ${hook} 3 && goto nodisk ||
        echo Slipway: disk1 is not reached, attempt ${hook} of 3; trying again in 5 seconds
        sleep 5
        goto hook
        :nodisk
        echo Slipway: disk1 is not reached, leaving to the next boot device
        sleep 5
        exit 1
        :hooked
        sanboot --no-describe --drive 0x80 ||
        echo Slipway: disk1 does not boot, leaving to the next boot device
        sleep 5
        exit 1
        ");
    }
}
