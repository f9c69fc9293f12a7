//! What is remembered of machines, as the planes share it: an immutable picture behind a pointer for every packet to read, and one thread
//! that changes it, by what operators say and by what the journal's entries teach, and keeps it on disk.
//!
//! An operator's word is answered when it is durable. What an entry teaches is believed at once and written right after: a disk that is full
//! must not keep a guard from tripping.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use slipway_engine::Why;
use slipway_engine::enrol::Standing;
use slipway_engine::journal::{About, Entry, Outcome};
use slipway_engine::ladder::Ladders;
use slipway_engine::machine::{Change, Course, Memories, Memory, expire, learn, matters};
use slipway_store::machines::{Machines as Store, MachinesError};
use slipway_wire::MacAddr;
use uuid::Uuid;

use crate::journal::now;

/// Entries and changes that may wait. Beyond, entries teach nothing until the disk has caught up.
const WAITING: usize = 4096;
/// How often the time is looked at, while there is something that it ends.
const LOOK: Duration = Duration::from_secs(1);
/// Most tasks in one commit.
const TOGETHER: usize = 1024;

/// Why memories cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Store(#[from] MachinesError),
    /// The thread could not be started.
    #[error("cannot start a thread for the machines' memory")]
    Thread(#[source] io::Error),
    /// The thread has ended: the server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

/// A handle on what is remembered; cheap to clone. The default one remembers as long as it lives, for tests.
#[derive(Clone, Debug, Default)]
pub struct Machines(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    known: Arc<ArcSwap<Memories>>,
    /// Where those stand that asked lately: changed by whoever notes an entry, so that the next packet of the machine finds it.
    ladders: Mutex<Ladders>,
    keeper: Keeping,
}

/// Who changes it.
#[derive(Debug)]
enum Keeping {
    /// Whoever calls.
    Here(Box<Mutex<Keeper>>),
    /// A thread.
    Thread(Thread),
}

/// The thread. It ends, with everything written, when the last handle is dropped.
#[derive(Debug)]
struct Thread {
    queue: Option<SyncSender<Task>>,
    running: Option<JoinHandle<()>>,
}

impl Thread {
    fn queue(&self) -> Result<&SyncSender<Task>, Error> {
        self.queue.as_ref().ok_or(Error::Stopping)
    }

    /// Gives the thread something to learn, and does not wait for it.
    fn teach(&self, mac: Option<MacAddr>, task: Task) {
        if !self.queue().is_ok_and(|queue| queue.try_send(task).is_ok()) {
            tracing::error!(?mac, "the disk is too slow for what is to be remembered of machines");
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.queue = None;
        if self.running.take().is_some_and(|running| running.join().is_err()) {
            tracing::error!("the thread that remembers machines had ended in a panic");
        }
    }
}

impl Default for Keeping {
    fn default() -> Self {
        Self::Here(Box::default())
    }
}

/// What the thread is given.
#[derive(Debug)]
enum Task {
    /// Something happened.
    Heard(Arc<Entry>),
    /// This was learnt of a machine.
    Learnt { mac: MacAddr, uuid: Option<Uuid>, change: Change },
    /// The org has spoken: where machines stand, and whether a window is open.
    Stands { machines: Vec<(MacAddr, Option<Standing>)>, window: Option<bool> },
    /// An operator has spoken, or an installer.
    Told(Word, Sender<Result<Option<Memory>, MachinesError>>),
    /// Everything before is to be on disk.
    Flush(Sender<()>),
}

/// Something said about a machine.
#[derive(Debug)]
struct Word {
    mac: MacAddr,
    uuid: Option<Uuid>,
    change: Change,
    /// Who is no operator shows the machine's pass: for which installer, and what it shows.
    pass: Option<(String, String)>,
}

impl Machines {
    /// What was remembered in a data folder, with a thread that keeps it.
    ///
    /// # Errors
    /// The database cannot be used, or the thread not be started.
    pub fn open(data: &Path) -> Result<Self, Error> {
        let mut store = Store::open(data)?;
        let mut memories = Memories::with_secret(store.secret()?);
        for (mac, memory) in store.restore()? {
            memories.put(mac, memory);
        }
        tracing::debug!(machines = memories.iter().count(), "memories read");
        let known = Arc::new(ArcSwap::from_pointee(memories.clone()));
        let keeper = Keeper { memories, store: Some(store), ..Keeper::default() };
        let (queue, tasks) = sync_channel(WAITING);
        let shared = Arc::clone(&known);
        let thread = std::thread::Builder::new().name("machines".into());
        let running = thread.spawn(move || keeper.run(&tasks, &shared)).map_err(Error::Thread)?;
        let thread = Thread { queue: Some(queue), running: Some(running) };
        let ladders = Mutex::default();
        Ok(Self(Arc::new(Inner { known, ladders, keeper: Keeping::Thread(thread) })))
    }

    /// What is remembered now.
    #[must_use]
    pub fn known(&self) -> Guard<Arc<Memories>> {
        self.0.known.load()
    }

    /// Where those stand that asked lately.
    pub fn ladders(&self) -> MutexGuard<'_, Ladders> {
        self.0.ladders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns from an entry. Takes no time: what there is to do is done elsewhere.
    pub(crate) fn heard(&self, entry: &Arc<Entry>) {
        if Ladders::matters(entry)
            && let Some(mac) = entry.mac
        {
            let known = self.known();
            let offers = known.of(mac, entry.uuid).offers.as_ref();
            let news = self.ladders().heed(entry, offers);
            if let Some(offers) = news {
                self.learnt(mac, entry.uuid, Change::Offers(offers));
            }
        }
        let known = entry.mac.is_some_and(|mac| self.known().get(mac).is_some());
        if !matters(entry, known) && !is_sent_to_its_disk(entry) {
            return;
        }
        match &self.0.keeper {
            Keeping::Here(keeper) => {
                keeper.lock().unwrap_or_else(PoisonError::into_inner).hear(entry);
                self.publish_here();
            }
            Keeping::Thread(thread) => thread.teach(entry.mac, Task::Heard(Arc::clone(entry))),
        }
    }

    /// Remembers what an entry taught.
    fn learnt(&self, mac: MacAddr, uuid: Option<Uuid>, change: Change) {
        match &self.0.keeper {
            Keeping::Here(keeper) => {
                keeper.lock().unwrap_or_else(PoisonError::into_inner).change(mac, uuid, change);
                self.publish_here();
            }
            Keeping::Thread(thread) => thread.teach(Some(mac), Task::Learnt { mac, uuid, change }),
        }
    }

    /// Takes what the org says of machines: where each of these stands, by every hardware address that it has; none is a machine that
    /// nobody knows. It decides what they are given when they boot from the network, from the next packet or soon after.
    pub fn stand(&self, machines: Vec<(MacAddr, Option<Standing>)>) {
        self.stands(machines, None);
    }

    /// Takes what the org says of its enrolment windows: whether one is open. It says so again when the last one closes.
    pub fn set_window(&self, open: bool) {
        self.stands(Vec::new(), Some(open));
    }

    fn stands(&self, machines: Vec<(MacAddr, Option<Standing>)>, window: Option<bool>) {
        match &self.0.keeper {
            Keeping::Here(keeper) => {
                keeper.lock().unwrap_or_else(PoisonError::into_inner).stand(machines, window);
                self.publish_here();
            }
            Keeping::Thread(thread) => {
                // It is not lost: whoever speaks for the org waits while there is no room. The server may be stopping.
                let _ = thread.queue().is_ok_and(|queue| queue.send(Task::Stands { machines, window }).is_ok());
            }
        }
    }

    /// Does what an operator says of a machine, and returns what is remembered of it then. `uuid` is the UUID that the machine told last,
    /// if it did. Waits for the disk.
    ///
    /// # Errors
    /// It could not be made durable, and does not hold then.
    pub fn tell(&self, mac: MacAddr, uuid: Option<Uuid>, change: Change) -> Result<Memory, Error> {
        if matches!(change, Change::Offers(_) | Change::Forget) {
            self.ladders().forget(mac);
        }
        Ok(self.say(Word { mac, uuid, change, pass: None })?.unwrap_or_default())
    }

    /// Takes an installer's word that it is done, if it shows the machine's pass; whether it does. Waits for the disk.
    ///
    /// # Errors
    /// As [`tell`](Self::tell).
    pub fn done(&self, mac: MacAddr, image: String, pass: &str) -> Result<bool, Error> {
        let pass = Some((image.clone(), pass.to_owned()));
        Ok(self.say(Word { mac, uuid: None, change: Change::Done { image }, pass })?.is_some())
    }

    fn say(&self, word: Word) -> Result<Option<Memory>, Error> {
        match &self.0.keeper {
            Keeping::Here(keeper) => {
                let memory = keeper.lock().unwrap_or_else(PoisonError::into_inner).obey(word)?;
                self.publish_here();
                Ok(memory)
            }
            Keeping::Thread(thread) => {
                let (answer, wait) = channel();
                thread.queue()?.send(Task::Told(word, answer)).map_err(|_| Error::Stopping)?;
                Ok(wait.recv().map_err(|_| Error::Stopping)??)
            }
        }
    }

    /// Waits until all that was heard before is on disk.
    pub fn flush(&self) {
        if let Keeping::Thread(thread) = &self.0.keeper {
            let (done, wait) = channel();
            if thread.queue().is_ok_and(|queue| queue.send(Task::Flush(done)).is_ok()) {
                let _ = wait.recv();
            }
        }
    }

    fn publish_here(&self) {
        if let Keeping::Here(keeper) = &self.0.keeper {
            let memories = keeper.lock().unwrap_or_else(PoisonError::into_inner).memories.clone();
            self.0.known.store(Arc::new(memories));
        }
    }
}

/// The one who changes memories.
#[derive(Debug, Default)]
struct Keeper {
    memories: Memories,
    courses: HashMap<MacAddr, Course>,
    store: Option<Store>,
    /// Machines whose memory is newer than what is on disk.
    unwritten: BTreeSet<MacAddr>,
}

impl Keeper {
    fn run(mut self, tasks: &Receiver<Task>, known: &ArcSwap<Memories>) {
        while let Some(first) = self.next(tasks) {
            let (mut answers, mut flushed) = (Vec::new(), Vec::new());
            let mut changed = self.expire();
            for task in first.into_iter().chain(tasks.try_iter()).take(TOGETHER) {
                match task {
                    Task::Heard(entry) => changed |= self.hear(&entry),
                    Task::Learnt { mac, uuid, change } => {
                        self.change(mac, uuid, change);
                        changed = true;
                    }
                    Task::Stands { machines, window } => {
                        self.stand(machines, window);
                        changed = true;
                    }
                    Task::Told(word, answer) => {
                        let done = self.obey(word);
                        changed |= done.is_ok();
                        answers.push((answer, done));
                    }
                    Task::Flush(done) => flushed.push(done),
                }
            }
            if changed {
                known.store(Arc::new(self.memories.clone()));
            }
            // Whoever asked may have gone.
            answers.into_iter().for_each(|(answer, done)| drop(answer.send(done)));
            self.write();
            for done in flushed {
                let _ = done.send(());
            }
        }
    }

    /// Waits for a task; not longer than a while, where the time alone may change something. None: there will be no more.
    fn next(&self, tasks: &Receiver<Task>) -> Option<Option<Task>> {
        let waits =
            |memory: &Memory| memory.intent.as_ref().is_some_and(|intent| intent.once && intent.taken.is_some());
        if !self.memories.standings().waits() && !self.memories.iter().any(|(_, memory)| waits(memory)) {
            return tasks.recv().ok().map(Some);
        }
        match tasks.recv_timeout(LOOK) {
            Ok(task) => Some(Some(task)),
            Err(RecvTimeoutError::Timeout) => Some(None),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Does what the time says; whether it said anything.
    fn expire(&mut self) -> bool {
        let ended = self.memories.iter().filter_map(|(mac, memory)| Some((mac, expire(memory, now())?)));
        let ended: Vec<(MacAddr, Memory)> = ended.collect();
        let waits = self.memories.standings().waits();
        let any = waits && self.memories.standings_mut().tick(now()) || !ended.is_empty();
        ended.into_iter().for_each(|(mac, memory)| self.put(mac, memory));
        any
    }

    /// Learns from an entry; whether there was anything to learn.
    fn hear(&mut self, entry: &Entry) -> bool {
        let Some(mac) = entry.mac else { return false };
        let sent = is_sent_to_its_disk(entry) && self.memories.standings_mut().sent(mac, entry.at);
        let before = self.memories.of(mac, entry.uuid).clone();
        if self.courses.len() >= Memories::MOST && !self.courses.contains_key(&mac) {
            self.courses.clear();
        }
        let Some(after) = learn(&before, self.courses.entry(mac).or_default(), entry) else { return sent };
        tell_of(mac, &before, &after);
        self.put(mac, after);
        true
    }

    fn stand(&mut self, machines: Vec<(MacAddr, Option<Standing>)>, window: Option<bool>) {
        let standings = self.memories.standings_mut();
        for (mac, standing) in machines {
            standings.put(mac, standing);
        }
        if let Some(open) = window {
            standings.set_window(open);
        }
    }

    /// Changes what is remembered of a machine; it is written soon.
    fn change(&mut self, mac: MacAddr, uuid: Option<Uuid>, change: Change) {
        let before = self.memories.of(mac, uuid).clone();
        self.put(mac, Memory { uuid: uuid.or(before.uuid), ..before.after(change, now()) });
    }

    /// Does what was said, on disk first. None: whoever said it does not show the machine's pass.
    fn obey(&mut self, Word { mac, uuid, change, pass }: Word) -> Result<Option<Memory>, MachinesError> {
        let may =
            |(image, shown): (String, String)| self.memories.pass(mac, &image).is_some_and(|pass| pass.is(&shown));
        if !pass.is_none_or(may) {
            return Ok(None);
        }
        let before = self.memories.of(mac, uuid).clone();
        let after = Memory { uuid: uuid.or(before.uuid), ..before.after(change, now()) };
        if let Some(store) = &mut self.store {
            store.commit(&[(mac, after.clone())])?;
        }
        self.put(mac, after.clone());
        self.unwritten.remove(&mac);
        Ok(Some(after))
    }

    fn put(&mut self, mac: MacAddr, memory: Memory) {
        self.unwritten.insert(mac);
        if let Some(forgotten) = self.memories.put(mac, memory) {
            tracing::warn!(mac = %forgotten, "too many machines to remember: what was known of this one is forgotten");
            self.unwritten.insert(forgotten);
        }
    }

    /// Writes what is not written yet. What fails is tried again with the next change.
    fn write(&mut self) {
        let Some(store) = self.store.as_mut().filter(|_| !self.unwritten.is_empty()) else { return };
        let memory = |mac: &MacAddr| (*mac, self.memories.get(*mac).cloned().unwrap_or_default());
        let rows: Vec<_> = self.unwritten.iter().map(memory).collect();
        match store.commit(&rows) {
            Ok(()) => self.unwritten.clear(),
            Err(error) => {
                tracing::error!(%error, machines = rows.len(), "what was learnt of machines cannot be stored; a restart would forget it");
            }
        }
    }
}

/// Whether a machine was told to boot from its own disk because it is enrolled.
fn is_sent_to_its_disk(entry: &Entry) -> bool {
    match (&entry.about, &entry.outcome) {
        (_, Outcome::Declined(why)) | (About::Dhcp { refused: Some(why), .. }, _) => *why == Why::Enrolled,
        _ => false,
    }
}

/// Says in the log what an operator should know of what a machine's boot has changed.
fn tell_of(mac: MacAddr, before: &Memory, after: &Memory) {
    let held = |memory: &Memory| memory.installs.as_ref().and_then(|installs| installs.holds_back(&installs.image));
    if let (None, Some(why)) = (held(before), held(after)) {
        tracing::warn!(%mac, why = why.code(), "{why}");
    }
    if let (None, Some(held)) = (&before.looping, &after.looping) {
        let why = held.why();
        tracing::warn!(%mac, why = why.code(), "{why}");
    }
    if let (Some(intent), None, Some(past)) = (&before.intent, &after.intent, &after.past) {
        let aim = &intent.aim;
        if past.fulfilled {
            tracing::info!(%mac, "it has booted {aim} once, as it was told; the rules hold again");
        } else {
            tracing::warn!(
                %mac,
                "it was to boot {aim} once, and did not get as far in {} boots: given up, the rules hold again",
                intent.attempts
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_engine::machine::Aim;

    fn mac(n: u8) -> MacAddr {
        MacAddr([2, 0, 0, 0, 0, n])
    }

    #[test]
    fn what_an_operator_said_holds_at_once_and_in_the_next_process() {
        let data = tempfile::tempdir().unwrap();
        let first = Machines::open(data.path()).unwrap();
        let local = || Change::Boot { aim: Aim::Local, once: false };
        let uuid = Some(Uuid::from_u128(7));
        for n in 1..=3 {
            first.tell(mac(n), uuid, local()).unwrap();
            assert!(first.known().of(mac(n), uuid).intent.is_some());
        }
        first.tell(mac(2), uuid, Change::Rules).unwrap();
        first.flush();
        assert!(first.known().get(mac(2)).is_none());
        drop(first);
        let second = Machines::open(data.path()).unwrap();
        let kept: BTreeSet<MacAddr> = second.known().iter().map(|(mac, _)| mac).collect();
        assert_eq!(kept, BTreeSet::from([mac(1), mac(3)]));
        assert!(second.known().of(mac(1), Some(Uuid::from_u128(8))).intent.is_none(), "another machine");
    }
}
