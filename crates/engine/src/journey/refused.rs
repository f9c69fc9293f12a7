//! Looks out for UEFI firmware that fetches a program and asks again as if it had not: what Secure Boot refuses is not told to the
//! server, only to whoever sits before the machine.

use core::time::Duration;

use super::{Entry, millis};
use crate::Timestamp;
use crate::journal::{About, DhcpMessage};
use crate::request::Loader;

/// Firmware that refuses a program goes on to its next way of booting at once, or when somebody has read its message.
const SOON: Duration = Duration::from_secs(60);

/// What an entry means for the watch.
pub(super) enum Sign {
    /// Nothing.
    None,
    /// The program that was fetched was not started, most likely; in words.
    Refused(String),
    /// Something that was fetched is running.
    Alive,
}

/// The last program that firmware has fetched whole.
#[derive(Default)]
pub(super) struct Refusals {
    fetched: Option<(String, Timestamp)>,
}

impl Refusals {
    pub(super) fn take(&mut self, entry: &Entry) -> Sign {
        match &entry.about {
            About::File { path, whole: true, .. } if path.ends_with(".efi") => {
                // shim, once it runs, fetches GRUB.
                let by_shim = self.fetched.as_ref().is_some_and(|(before, _)| before.contains("/shim"));
                self.fetched = Some((path.clone(), entry.at));
                if by_shim && path.contains("/grub") { Sign::Alive } else { Sign::None }
            }
            About::Dhcp { message: DhcpMessage::Discover, loader: Loader::Pxe | Loader::UefiHttp, arch, .. } => {
                match self.fetched.take() {
                    Some((path, at)) if arch.is_uefi() && entry.at.since(at) < SOON => {
                        Sign::Refused(words(&path, entry.at.since(at)))
                    }
                    _ => Sign::None,
                }
            }
            About::Dhcp { loader: Loader::Ipxe | Loader::Os | Loader::Agent, .. }
            | About::Script(_)
            | About::Report
            | About::File { whole: true, .. } => {
                self.fetched = None;
                Sign::Alive
            }
            _ => Sign::None,
        }
    }
}

fn words(path: &str, after: Duration) -> String {
    let remedy = if path.starts_with("loader/") {
        "the distribution's iPXE is not signed, so the machine needs a signed UKI or shim and GRUB"
    } else if path.starts_with("image/") {
        "sign it (`slipway image sign`) and enrol our keys (`slipway secureboot export`), or switch Secure Boot off"
    } else {
        "its keys lack Microsoft's UEFI CA, or its revocations name this version"
    };
    let seconds = millis(after) / 1000;
    format!(
        "the firmware had all of {path} and asked again {seconds} s later: likely refused by Secure Boot ({remedy}), else it ended at once"
    )
}
