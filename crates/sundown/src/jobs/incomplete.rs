//! A job as others see it: the ledger, the notifiers, the responder.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{
    id::{JobId, Key},
    word::{Fate, Word},
};
use crate::latch::Latch;

pub(super) type Opaque = dyn erased_serde::Serialize + Send + Sync;

/// One begin of a job, shared by its handle, its store and, once claimed, the ledger.
pub(super) struct Entry<P> {
    pub(super) key: Key,
    pub(super) id: JobId,
    pub(super) since: Instant,
    pub(super) word: Word,
    /// Set when its worker has no more say: it has ended, or was taken.
    pub(super) decided: Latch,
    /// Set before that, if it was taken.
    pub(super) taken: AtomicBool,
    pub(super) checkpoint: Mutex<Option<Arc<Opaque>>>,
    pub(super) payload: P,
}

impl<P> Entry<P> {
    pub(super) fn new(since: Instant, key: Key, id: JobId, payload: P, word: Word) -> Self {
        Entry {
            key,
            id,
            since,
            word,
            decided: Latch::default(),
            taken: AtomicBool::new(false),
            checkpoint: Mutex::default(),
            payload,
        }
    }

    /// Tells its worker that it was taken. Runs wakers.
    pub(super) fn tell_taken(&self) {
        // Before the latch, which publishes it.
        self.taken.store(true, Ordering::Relaxed);
        self.decided.open();
    }
}

/// Waits until a job is decided.
pub(super) struct UntilDecided(pub(super) Arc<dyn AnyEntry>);

impl AsRef<Latch> for UntilDecided {
    fn as_ref(&self) -> &Latch {
        self.0.decided()
    }
}

/// An [`Entry`] without its type.
pub(super) trait AnyEntry: Send + Sync {
    fn key(&self) -> Key;
    fn id(&self) -> &JobId;
    fn since(&self) -> Instant;
    fn word(&self) -> &Word;
    fn decided(&self) -> &Latch;
    fn was_taken(&self) -> bool;
    fn payload(&self) -> &Opaque;
    fn checkpoint(&self) -> Option<Arc<Opaque>>;
    fn set_checkpoint(&self, checkpoint: Arc<Opaque>);
}

impl<P: Serialize + Send + Sync + 'static> AnyEntry for Entry<P> {
    fn key(&self) -> Key {
        self.key
    }

    fn id(&self) -> &JobId {
        &self.id
    }

    fn since(&self) -> Instant {
        self.since
    }

    fn word(&self) -> &Word {
        &self.word
    }

    fn decided(&self) -> &Latch {
        &self.decided
    }

    fn was_taken(&self) -> bool {
        // Relaxed: published by the latch, which is waited for first.
        self.taken.load(Ordering::Relaxed)
    }

    fn payload(&self) -> &Opaque {
        &self.payload
    }

    fn checkpoint(&self) -> Option<Arc<Opaque>> {
        self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_checkpoint(&self, checkpoint: Arc<Opaque>) {
        let before = self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner).replace(checkpoint);
        // Outside the lock: it is the user's.
        drop(before);
    }
}

/// A job that the claim has looked at.
#[derive(Clone)]
pub(crate) struct Unfinished(pub(super) Arc<dyn AnyEntry>);

impl Unfinished {
    pub(crate) fn word(&self) -> &Word {
        self.0.word()
    }

    pub(crate) fn key(&self) -> Key {
        self.0.key()
    }

    pub(crate) fn id(&self) -> &JobId {
        self.0.id()
    }

    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.0.since())
    }

    pub(super) fn ticket(&self) -> super::Ticket {
        super::Ticket(self.0.clone())
    }
}

/// A job that a shutdown has taken from those who were doing it, or found in mid-commit.
///
/// It serialises as a record of all that is known: `job`, `key`, `component`, `age_ms`, `payload`, `checkpoint`.
/// Serialising runs the payload's own code.
#[derive(Clone)]
pub struct IncompleteJob {
    job: Unfinished,
    component: Arc<str>,
    age: Duration,
}

impl IncompleteJob {
    pub(crate) fn new(job: Unfinished, component: Arc<str>, now: Instant) -> Self {
        IncompleteJob { age: job.age(now), job, component }
    }

    /// Which begin it is.
    pub fn key(&self) -> Key {
        self.job.key()
    }

    /// Which work it is.
    pub fn id(&self) -> &JobId {
        self.job.id()
    }

    /// Whose it was.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// How long it had been running when it was claimed.
    pub fn age(&self) -> Duration {
        self.age
    }

    /// What has become of it so far.
    pub fn fate(&self) -> Fate {
        self.job.word().fate()
    }

    /// A cheap handle to its fate.
    pub fn ticket(&self) -> super::Ticket {
        self.job.ticket()
    }

    pub(crate) fn acknowledge(&self) -> bool {
        self.job.word().acknowledge()
    }

    /// The claim's side of the race.
    pub(crate) fn take(&self) -> bool {
        self.job.word().take()
    }

    pub(crate) fn settle(&self, hung: bool) {
        self.job.word().settle(hung);
    }

    /// The end has come, and a commit under way is not waited for.
    pub(crate) fn give_up(&self) {
        self.job.word().advance(Fate::Committing, Fate::InDoubt);
    }

    pub(crate) fn doubt(&self) {
        self.job.word().advance(Fate::Taken, Fate::Doubted);
    }
}

impl Serialize for IncompleteJob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let checkpoint = self.job.0.checkpoint();
        let mut record = serializer.serialize_struct("IncompleteJob", 6)?;
        record.serialize_field("job", self.id())?;
        record.serialize_field("key", &self.key())?;
        record.serialize_field("component", &*self.component)?;
        record.serialize_field("age_ms", &u64::try_from(self.age.as_millis()).unwrap_or(u64::MAX))?;
        record.serialize_field("payload", self.job.0.payload())?;
        record.serialize_field("checkpoint", &checkpoint.as_deref())?;
        record.end()
    }
}

impl fmt::Debug for IncompleteJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncompleteJob")
            .field("id", self.id())
            .field("component", &self.component)
            .field("fate", &self.fate())
            .finish_non_exhaustive()
    }
}
