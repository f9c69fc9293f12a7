//! What the journal's entries teach about a machine.

use core::time::Duration;

use super::Memory;
use super::intent::{Aim, Intent};
use super::loads::{self, Loads, Sign};
use crate::answer::Last;
use crate::decide::INTENT;
use crate::journal::{About, DhcpMessage, Entry, Given, Outcome};
use crate::request::Loader;
use crate::{Timestamp, Why, journey};

/// What is known of a machine's boot under way: as long as the process lives, and no longer.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// When it was last heard of.
    last: Option<Timestamp>,
    /// It has loaded something: firmware that asks for everything again has started again.
    loaded: bool,
    /// iPXE has had its script: the same for iPXE.
    scripted: bool,
    /// What it was given last.
    given: Option<Given>,
    /// It was answered by the operator's intent.
    intended: bool,
    /// It has come as far as its image.
    started: bool,
    /// The boot loaders that it has loaded in a row, also over several boots.
    loads: Loads,
}

/// Whether an entry can teach anything: most cannot, and are not even looked at. `known` is whether anything is remembered of its machine.
#[must_use]
pub fn matters(entry: &Entry, known: bool) -> bool {
    let installs = |given: &Given| given.lead.install.is_some();
    let is_of_an_installer = match &entry.about {
        About::Dhcp { boot: Some(given), .. } | About::Script(Some(given)) => installs(given),
        _ => false,
    };
    entry.mac.is_some() && (known || is_of_an_installer || loads::matters(entry))
}

/// What is known after an entry about this machine, where that is something else than before.
#[must_use]
pub fn learn(memory: &Memory, course: &mut Course, entry: &Entry) -> Option<Memory> {
    let mut after = memory.clone();
    match course.loads.take(entry) {
        Some(Sign::Loop(found)) => after.looping = Some(found),
        Some(Sign::Life) => after.looping = None,
        None => {}
    }
    after.looping.take_if(|held| held.is_over(entry.at));
    if course.ends_before(entry) {
        *course = Course { loads: core::mem::take(&mut course.loads), ..Course::default() };
        if after.intent.as_ref().is_some_and(|intent| intent.once && intent.attempts >= Intent::ATTEMPTS) {
            after = after.after_intent(false, entry.at);
        }
    }
    let was_intended = course.intended;
    course.follow(entry);
    if let Some(image) = course.installer() {
        // From now on its files are looked at.
        let before = after.installs.take().unwrap_or_default();
        after.installs = Some(before.of(image));
    }
    if is_by_intent(entry)
        && let Some(intent) = after.intent.as_mut().filter(|intent| intent.once)
    {
        intent.taken = Some(entry.at);
        intent.attempts = intent.attempts.saturating_add(u8::from(!was_intended));
        course.intended = true;
    }
    if !course.started && course.is_started_by(entry) {
        course.started = true;
        after = course.after_start(after, entry.at);
    }
    let reported = matches!((&entry.about, &entry.outcome), (About::Report, Outcome::Answered(_)));
    if reported && course.intended && after.wants_an_image_once() {
        after = after.after_intent(true, entry.at);
    }
    if after.uuid.is_none() {
        // A memory that was made before the machine told its UUID learns by this whose it is.
        after.uuid = entry.uuid;
    }
    if after == *memory || after.is_nothing() && memory.is_nothing() {
        return None;
    }
    after.changed = entry.at;
    Some(after)
}

/// What is known after this time has come: a boot loader that was loaded over and over is given again after a while; an intent for one boot that ends with an answer (the local disk, the menu) is over when the
/// machine has not been heard of for two minutes. Before, firmware may ask again in the same boot, in another way.
#[must_use]
pub fn expire(memory: &Memory, now: Timestamp) -> Option<Memory> {
    if memory.looping.as_ref().is_some_and(|held| held.is_over(now)) {
        return Some(Memory { looping: None, changed: now, ..memory.clone() });
    }
    let intent = memory.intent.as_ref().filter(|intent| intent.once && !matches!(intent.aim, Aim::Boot(_)))?;
    intent.taken.filter(|taken| now.since(*taken) >= QUIET).map(|_| memory.after_intent(true, now))
}

/// Silence that ends a boot.
const QUIET: Duration = journey::GAP;

impl Course {
    /// Whether an entry is the first of another boot. The same rule as the journal's journeys have.
    fn ends_before(&self, entry: &Entry) -> bool {
        let About::Dhcp { message: DhcpMessage::Discover, loader, .. } = &entry.about else { return false };
        let silent = self.last.is_none_or(|last| entry.at.since(last) >= QUIET);
        match loader {
            Loader::Os | Loader::Agent | Loader::Grub => false,
            Loader::Ipxe => silent || self.scripted || self.started,
            Loader::Pxe | Loader::UefiHttp | Loader::UBoot => silent || self.loaded,
        }
    }

    fn follow(&mut self, entry: &Entry) {
        self.last = Some(entry.at);
        match &entry.about {
            About::Dhcp { loader, boot, .. } if !matches!(loader, Loader::Os | Loader::Agent) => {
                self.loaded |= *loader == Loader::Ipxe;
                if boot.is_some() {
                    self.given.clone_from(boot);
                }
            }
            About::Script(given) => {
                (self.loaded, self.scripted) = (true, true);
                if given.is_some() {
                    self.given.clone_from(given);
                }
            }
            About::File { whole: true, .. } => self.loaded = true,
            _ => {}
        }
    }

    /// Whether with this the machine has all of its image.
    fn is_started_by(&self, entry: &Entry) -> bool {
        let Some(given) = &self.given else { return false };
        match (&entry.about, &given.lead.last) {
            (About::File { path, whole: true, .. }, Last::File(last)) => path == last,
            (About::File { path, whole: true, .. }, Last::Later) => {
                let image = given.image.as_deref().and_then(|image| image.split('@').next()).unwrap_or_default();
                let of_it = path.strip_prefix("image/").and_then(|path| path.strip_prefix(image));
                of_it.is_some_and(|rest| rest.starts_with(['/', '@'])) && journey::starts_linux_or_efi(path)
            }
            (About::Script(Some(_)), Last::Here) => matches!(entry.outcome, Outcome::Answered(_)),
            _ => false,
        }
    }

    /// The installer that it was given last.
    fn installer(&self) -> Option<&str> {
        let given = self.given.as_ref().filter(|given| given.lead.install.is_some())?;
        given.image.as_deref()?.split('@').next()
    }

    fn after_start(&self, memory: Memory, at: Timestamp) -> Memory {
        let mut after = memory;
        let guard = self.given.as_ref().and_then(|given| given.lead.install);
        if let (Some(image), Some(guard)) = (self.installer(), guard) {
            after.installs = Some(after.installs.take().unwrap_or_default().count(image, guard, at));
        }
        if self.intended && after.wants_an_image_once() {
            after = after.after_intent(true, at);
        }
        after
    }
}

impl Memory {
    fn wants_an_image_once(&self) -> bool {
        self.intent.as_ref().is_some_and(|intent| intent.once && matches!(intent.aim, Aim::Boot(_)))
    }
}

/// Whether the operator's intent decided what this entry answers.
fn is_by_intent(entry: &Entry) -> bool {
    let given = |given: &Option<Given>| given.as_ref().is_some_and(|given| given.rule == INTENT);
    let local = |why: &Why| matches!(why, Why::LocalBoot { rule } if rule == INTENT);
    match (&entry.about, &entry.outcome) {
        (About::Dhcp { loader: Loader::Agent | Loader::Os, .. }, _) => false,
        (About::Dhcp { .. } | About::Script(_), Outcome::Declined(why)) => local(why),
        (About::Dhcp { boot, refused, .. }, Outcome::Answered(_)) => given(boot) || refused.as_ref().is_some_and(local),
        (About::Script(script), Outcome::Answered(_)) => given(script),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
