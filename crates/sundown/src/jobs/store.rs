//! The store of running jobs, in shards so that two cores seldom meet.

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use async_trait::async_trait;
use serde::Serialize;
use slab::Slab;
use uuid::Uuid;

use super::{
    id::{InvalidJobId, JobId, Key},
    incomplete::{Entry, Unfinished},
    job::{Job, Reservation},
    word::{Fate, Word},
};
use crate::{Claims, Deadline, Drainable, Draining, Gate, InFlight, Unit};

const SHARDS: usize = 16;

/// The jobs that this process has in its hands: named work, each with a payload that says enough for somebody else to
/// finish it.
///
/// A job is begun, and then ends in exactly one way: it [commits](Job::commit), it fails, or, at a shutdown, it is
/// taken and handed over. Clones are the same store. Payloads are serialised only when they are handed over.
///
/// # Examples
///
/// ```
/// # #[derive(serde::Serialize)] struct Resize { image: String, width: u32 }
/// use sundown::Jobs;
///
/// let jobs = Jobs::new();
/// let job = jobs.begin("image-17", Resize { image: "cat.png".into(), width: 640 })?;
/// // … the work …
/// match job.commit() {
///     Ok(commit) => { /* the effect: write the result */ commit.done() }
///     Err(taken) => { /* a shutdown was faster: somebody else will do it */ drop(taken) }
/// }
/// # Ok::<(), sundown::BeginError>(())
/// ```
pub struct Jobs<P> {
    store: Arc<Store<P>>,
}

pub(super) struct Store<P> {
    instance: Uuid,
    sequence: AtomicU64,
    pub(super) gate: Gate,
    /// Running jobs, and those dropped while draining. A shard's lock guards its slots and nothing else.
    shards: [Mutex<Slab<Arc<Entry<P>>>>; SHARDS],
    pub(super) tally: Arc<Tally>,
    claimed: OnceLock<Claims>,
    new_word: fn() -> Word,
}

/// How many jobs a store has seen, and how they ended by themselves.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) completed: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// Commits that were dropped before they were finished, while no shutdown was there to name them.
    pub(crate) in_doubt: AtomicU64,
}

/// Why a job could not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// The store is closed.
    #[error(transparent)]
    Draining(#[from] Draining),
    /// The id is none.
    #[error(transparent)]
    InvalidId(#[from] InvalidJobId),
}

impl<P: Serialize + Send + Sync + 'static> Jobs<P> {
    /// An empty store.
    pub fn new() -> Self {
        Self::with_words(Word::new)
    }

    #[cfg(test)]
    pub(crate) fn torn() -> Self {
        Self::with_words(Word::torn)
    }

    fn with_words(new_word: fn() -> Word) -> Self {
        Jobs {
            store: Arc::new(Store {
                instance: Uuid::new_v4(),
                sequence: AtomicU64::new(0),
                gate: Gate::new(),
                shards: std::array::from_fn(|_| Mutex::default()),
                tally: Arc::default(),
                claimed: OnceLock::new(),
                new_word,
            }),
        }
    }

    /// Begins a job.
    ///
    /// # Errors
    ///
    /// When the store is closed, or the id is none.
    pub fn begin<I>(&self, id: I, payload: P) -> Result<Job<P>, BeginError>
    where
        I: TryInto<JobId>,
        InvalidJobId: From<I::Error>,
    {
        let id = id.try_into().map_err(InvalidJobId::from)?;
        let guard = self.store.gate.enter()?;
        let key = self.store.next_key();
        Ok(self.store.insert(key, id, payload, guard, false).map_err(|Claimed| Draining)?)
    }

    /// Begins a job that nobody named; its id is its key.
    ///
    /// # Errors
    ///
    /// When the store is closed.
    pub fn begin_unnamed(&self, payload: P) -> Result<Job<P>, Draining> {
        let guard = self.store.gate.enter()?;
        let key = self.store.next_key();
        self.store.insert(key, key.into(), payload, guard, false).map_err(|Claimed| Draining)
    }

    /// Permission to begin one job, for stores that must take a lease elsewhere in between: once given, the job can
    /// begin even if the store closes meanwhile.
    ///
    /// # Errors
    ///
    /// When the store is closed.
    pub fn reserve(&self) -> Result<Reservation<P>, Draining> {
        Ok(Reservation { guard: self.store.gate.enter()?, store: self.store.clone() })
    }

    /// Refuses new jobs from here on. Idempotent.
    pub fn close(&self) {
        self.store.gate.close();
    }

    /// Resolves when the store is closed and no job is in flight.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn empty(&self) {
        self.store.gate.empty().await;
    }

    /// The running jobs by id.
    pub fn in_flight(&self) -> InFlight {
        let now = Instant::now();
        let entries = self.store.shards.iter().flat_map(Store::snapshot);
        InFlight::named(
            entries
                .filter(|entry| matches!(entry.word.fate(), Fate::Running | Fate::Committing | Fate::Taken))
                .map(|entry| Unit {
                    name: entry.id.to_string(),
                    age: Some(now.saturating_duration_since(entry.since)),
                }),
        )
    }

    /// Closes the store and puts every unfinished job into the ledger, where none can commit any more.
    ///
    /// For stores that wrap this one; as a component of its own, the shutdown calls it.
    pub fn claim(&self, claims: &Claims) {
        self.close();
        if self.store.claimed.set(claims.clone()).is_err() {
            return;
        }
        claims.count(self.store.tally.clone());
        let taken: Vec<_> = self
            .store
            .shards
            .iter()
            .flat_map(Store::snapshot)
            .filter(|entry| claims.push(entry.clone()))
            .collect();
        // Only now: a waker that blocks must not keep the rest from being pushed.
        for entry in taken {
            entry.taken.open();
        }
    }
}

/// The store had been claimed already.
pub(super) struct Claimed;

impl<P: Serialize + Send + Sync + 'static> Store<P> {
    pub(super) fn next_key(&self) -> Key {
        // Relaxed: the number stands for itself.
        Key { instance: self.instance, sequence: self.sequence.fetch_add(1, Ordering::Relaxed) }
    }

    /// `promised`: the job begins even after the claim, as a job that is taken already.
    pub(super) fn insert(
        self: &Arc<Self>,
        key: Key,
        id: JobId,
        payload: P,
        guard: crate::Guard,
        promised: bool,
    ) -> Result<Job<P>, Claimed> {
        let entry = Arc::new(Entry::new(key, id, payload, (self.new_word)()));
        let shard = key.sequence as usize % SHARDS;
        let slot = self.lock(shard).insert(entry.clone());
        // Invariant 2: the claim publishes itself, then locks each shard. Who inserted before that was seen; who
        // inserts after it sees the claim here, through that same lock.
        if let Some(claims) = self.claimed.get() {
            if promised {
                if claims.push(entry.clone()) {
                    entry.taken.open();
                }
            } else if entry.word.advance(Fate::Running, Fate::Failed) {
                // Ours still: nobody has begun anything. (If the claim was faster it has the job, and the job goes on
                // as one that was taken at birth.)
                let entry = self.lock(shard).try_remove(slot);
                drop((entry, guard));
                return Err(Claimed);
            }
        }
        Ok(Job::new(self.clone(), entry, (shard, slot), guard))
    }

    pub(super) fn remove(&self, (shard, slot): (usize, usize)) {
        let entry = self.lock(shard).try_remove(slot);
        drop(entry);
    }

    /// Whether a job that is dropped now is incomplete instead of failed.
    pub(super) fn is_draining(&self) -> bool {
        self.gate.is_closed()
    }

    pub(super) fn is_claimed(&self) -> bool {
        self.claimed.get().is_some()
    }

    fn lock(&self, shard: usize) -> std::sync::MutexGuard<'_, Slab<Arc<Entry<P>>>> {
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> Store<P> {
    fn snapshot(shard: &Mutex<Slab<Arc<Entry<P>>>>) -> Vec<Arc<Entry<P>>> {
        shard.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(_, entry)| entry.clone()).collect()
    }
}

#[async_trait]
impl<P: Serialize + Send + Sync + 'static> Drainable for Jobs<P> {
    fn close(&self, _deadline: &Deadline) {
        Jobs::close(self);
    }

    async fn drained(&self) {
        self.empty().await;
    }

    fn in_flight(&self) -> InFlight {
        Jobs::in_flight(self)
    }

    fn claim(&self, claims: &Claims) {
        Jobs::claim(self, claims);
    }
}

impl<P> Clone for Jobs<P> {
    fn clone(&self) -> Self {
        Jobs { store: self.store.clone() }
    }
}

impl<P: Serialize + Send + Sync + 'static> Default for Jobs<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> fmt::Debug for Jobs<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").field("in_flight", &self.store.gate.inside()).finish_non_exhaustive()
    }
}

/// What the ledger sees of an entry, whatever its payload.
impl<P: Serialize + Send + Sync + 'static> From<Arc<Entry<P>>> for Unfinished {
    fn from(entry: Arc<Entry<P>>) -> Self {
        Unfinished(entry)
    }
}

#[cfg(test)]
impl<P> Jobs<P> {
    /// How many slots the store has room for.
    pub(crate) fn slots(&self) -> usize {
        self.store.shards.iter().map(|shard| shard.lock().unwrap().capacity()).sum()
    }
}
