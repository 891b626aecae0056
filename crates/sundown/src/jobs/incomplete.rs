//! A job as others see it: the ledger, the notifiers, the responder.

use std::{
    fmt,
    sync::{Arc, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{
    id::{JobId, Key},
    past::Past,
    word::{Fate, Word},
};
use crate::{
    Reason,
    latch::Latch,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

pub(super) type Opaque = dyn erased_serde::Serialize + Send + Sync;

/// One begin of a job, shared by its handle, its store and, once claimed, the ledger.
pub(super) struct Entry<P> {
    pub(super) key: Key,
    pub(super) id: JobId,
    pub(super) since: Instant,
    pub(super) past: Past,
    pub(super) word: Word,
    /// Of a job in doubt, whether whoever takes over has acknowledged that it knows; set when that is decided.
    pub(super) heard: OnceLock<bool>,
    /// Set when its worker has no more say: it has ended, or was taken.
    pub(super) decided: Latch,
    /// Set before that, if it was taken.
    pub(super) taken: AtomicBool,
    pub(super) checkpoint: Mutex<Option<Arc<Opaque>>>,
    pub(super) payload: P,
}

impl<P> Entry<P> {
    pub(super) fn new(since: Instant, key: Key, id: JobId, payload: P, past: Past, word: Word) -> Self {
        Entry {
            key,
            id,
            since,
            past,
            word,
            heard: OnceLock::new(),
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
    fn past(&self) -> &Past;
    fn word(&self) -> &Word;
    fn heard(&self) -> &OnceLock<bool>;
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

    fn past(&self) -> &Past {
        &self.past
    }

    fn word(&self) -> &Word {
        &self.word
    }

    fn heard(&self) -> &OnceLock<bool> {
        &self.heard
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
/// It serialises as a record of all that is known: `job`, `key`, `component`, `age_ms`, `attempts`, `reason`,
/// `earlier_ends`, `in_doubt`, `payload`, `checkpoint`. Serialising runs the payload's own code.
#[derive(Clone)]
pub struct IncompleteJob {
    pub(super) job: Unfinished,
    pub(super) component: Arc<str>,
    pub(super) age: Duration,
    pub(super) reason: Arc<Reason>,
    pub(super) in_doubt: bool,
    pub(super) is_left_over: bool,
}

impl IncompleteJob {
    pub(crate) fn new(job: Unfinished, component: Arc<str>, reason: Arc<Reason>, now: Instant) -> Self {
        IncompleteJob { age: job.age(now), job, component, reason, in_doubt: false, is_left_over: false }
    }

    /// The same, of this component.
    pub(crate) fn of(self, component: &Arc<str>) -> Self {
        IncompleteJob { component: component.clone(), ..self }
    }

    /// As it stands now: once more in a list that somebody is given.
    pub(crate) fn listed(&self) -> Self {
        let in_doubt =
            self.in_doubt || matches!(self.fate(), Fate::Committing | Fate::Doubted | Fate::InDoubt);
        IncompleteJob { in_doubt, ..self.clone() }
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

    /// Which attempt at it was cut short: 1 if it was the first.
    pub fn attempts(&self) -> u32 {
        self.job.0.past().attempts().saturating_add(1)
    }

    /// What cut it short.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// What cut the attempts before that short, of the latest [`Past::KEPT`], in their order.
    pub fn earlier_ends(&self) -> &[Reason] {
        self.job.0.past().ends()
    }

    /// Its effect, or its hand-over to somebody else, had begun when this was listed, and may have happened: whoever sees
    /// to it looks first. (A commit under way may still end well; then the report of the shutdown says so.)
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// Nobody has taken it from whoever is doing it.
    pub(crate) fn has_begun_its_effect(&self) -> bool {
        matches!(self.fate(), Fate::Committing | Fate::Completed | Fate::Failed | Fate::InDoubt)
    }

    /// Whether the notifier that takes over has acknowledged it: that it takes the job over, or, of one in doubt, that it
    /// knows.
    pub fn is_acknowledged(&self) -> bool {
        self.fate() == Fate::HandedOver || self.job.0.heard().get() == Some(&true)
    }

    /// What has become of it so far.
    pub fn fate(&self) -> Fate {
        self.job.word().fate()
    }

    /// A cheap handle to its fate.
    pub fn ticket(&self) -> super::Ticket {
        self.job.ticket()
    }

    /// Whether an earlier process left it.
    pub(crate) fn is_left_over(&self) -> bool {
        self.is_left_over
    }

    pub(crate) fn acknowledge(&self) -> bool {
        // One whose effect may have happened is nobody's to take over.
        self.job.word().acknowledge() || (self.has_begun_its_effect() && self.job.0.heard().set(true).is_ok())
    }

    /// The claim's side of the race.
    pub(crate) fn take(&self) -> bool {
        self.job.word().take()
    }

    pub(crate) fn settle(&self, hung: bool) {
        self.job.word().settle(hung);
        // If it has not been heard of by now, it comes too late.
        let _ = self.job.0.heard().set(false);
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
        let mut record = serializer.serialize_struct("IncompleteJob", 10)?;
        record.serialize_field("job", self.id())?;
        record.serialize_field("key", &self.key())?;
        record.serialize_field("component", &*self.component)?;
        record.serialize_field("age_ms", &u64::try_from(self.age.as_millis()).unwrap_or(u64::MAX))?;
        record.serialize_field("attempts", &self.attempts())?;
        record.serialize_field("reason", &*self.reason)?;
        record.serialize_field("earlier_ends", self.earlier_ends())?;
        record.serialize_field("in_doubt", &self.in_doubt)?;
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
