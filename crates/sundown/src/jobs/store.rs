//! The store of running jobs, in shards so that two cores seldom meet.

use std::{
    fmt,
    sync::{Arc, OnceLock, PoisonError},
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
    past::Past,
    word::{Fate, Word},
};
use crate::{
    Claims, Deadline, Drainable, Draining, Gate, Guard, InFlight, Receipt, Unit, Watch,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

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
    /// Set by the first job.
    instance: OnceLock<Uuid>,
    sequence: AtomicU64,
    gate: Gate,
    /// Reservations.
    pub(super) promised: Gate,
    /// Commits under way; closed when they are waited for.
    pub(super) committing: Gate,
    shards: [Mutex<Shard<P>>; SHARDS],
    /// Of the shutdown that the store has joined, if it has.
    watch: OnceLock<Watch>,
    new_word: fn() -> Word,
}

/// The lock guards the lists and the counts, so that a job is in one of them at any moment; nothing is called, and
/// nothing of the user's is dropped, under it.
struct Shard<P> {
    /// Running jobs, and those that ended while draining in a way that the claim must hear of.
    slots: Slab<Arc<Entry<P>>>,
    ended: Ended,
    /// Set when the claim has taken the lists; from then on there are no slots.
    claims: Option<Claims>,
}

/// How many jobs ended by themselves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ended {
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) in_doubt: u64,
}

impl Ended {
    fn all(&self) -> usize {
        usize::try_from(self.completed + self.failed + self.in_doubt).unwrap_or(usize::MAX)
    }

    /// The same for the parent of the shutdown that counts them: the doubtful come with its report, among others.
    pub(crate) fn of_a_child(self) -> Self {
        Ended { in_doubt: 0, ..self }
    }

    fn count(&mut self, fate: Fate) {
        match fate {
            Fate::Completed => self.completed += 1,
            Fate::InDoubt => self.in_doubt += 1,
            _ => self.failed += 1,
        }
    }
}

/// A job's shard and its slot there; none if it began after the claim.
pub(super) type Slot = Option<(usize, usize)>;

/// Why a job could not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// The store is closed.
    #[error(transparent)]
    Draining(#[from] Draining),
    /// The id is not valid.
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
                instance: OnceLock::new(),
                sequence: AtomicU64::new(0),
                gate: Gate::new(),
                promised: Gate::new(),
                committing: Gate::new(),
                shards: std::array::from_fn(|_| {
                    Mutex::new(Shard { slots: Slab::new(), ended: Ended::default(), claims: None })
                }),
                watch: OnceLock::new(),
                new_word,
            }),
        }
    }

    /// Begins a job.
    ///
    /// # Errors
    ///
    /// When the store is closed, or the id is not valid.
    pub fn begin<I>(&self, id: I, payload: P) -> Result<Job<P>, BeginError>
    where
        I: TryInto<JobId>,
        InvalidJobId: From<I::Error>,
    {
        let id = id.try_into().map_err(InvalidJobId::from)?;
        let guard = self.store.gate.enter()?;
        let key = self.store.next_key();
        Ok(self.store.begin(key, id, payload, guard)?)
    }

    /// Begins a job that nobody named; its id is its key.
    ///
    /// # Errors
    ///
    /// When the store is closed.
    pub fn begin_unnamed(&self, payload: P) -> Result<Job<P>, Draining> {
        let guard = self.store.gate.enter()?;
        let key = self.store.next_key();
        self.store.begin(key, key.into(), payload, guard)
    }

    /// Permission to begin one job, for stores that must take a lease elsewhere in between: once given, the job can
    /// begin even if the store closes meanwhile.
    ///
    /// # Errors
    ///
    /// When the store is closed.
    pub fn reserve(&self) -> Result<Reservation<P>, Draining> {
        let guard = self.store.enter()?;
        // Never closed: only counted.
        let promise = self.store.promised.enter()?;
        Ok(Reservation { store: self.store.clone(), key: self.store.next_key(), promise, guard })
    }

    /// Refuses new jobs from here on. Idempotent.
    pub fn close(&self) {
        self.store.gate.close();
    }

    /// Whether the store refuses new jobs.
    pub fn is_closed(&self) -> bool {
        self.store.gate.is_closed()
    }

    /// Resolves when the store is closed: the moment for a consumer to stop consuming. (A [`Watch`] tells of the
    /// announcement, which comes before the store's turn if it drains after others.)
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// A consumer that stops when its turn has come, and finishes what it has begun. It has its permission before it
    /// takes an order, since one that is taken and then refused would be lost:
    ///
    /// ```
    /// # use sundown::Jobs;
    /// async fn consume(mut queue: tokio::sync::mpsc::Receiver<String>, jobs: Jobs<String>) {
    ///     loop {
    ///         let Ok(permit) = jobs.reserve() else { return };
    ///         let order = tokio::select! {
    ///             order = queue.recv() => order,
    ///             () = jobs.closed() => None, // the permit is given up
    ///         };
    ///         let Some(order) = order else { return };
    ///         let Ok(job) = permit.begin(order.clone(), order) else { continue }; // no valid id
    ///         // … the work …
    ///         let _ = job.complete();
    ///     }
    /// }
    /// ```
    pub fn closed(&self) -> impl Future<Output = ()> + Send + Sync + 'static {
        self.store.gate.closed()
    }

    /// Resolves when the store is closed and no job is in flight.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn empty(&self) -> impl Future<Output = ()> + Send + Sync + 'static {
        self.store.gate.empty()
    }

    /// Resolves when no job is in flight and none is promised, closed or not; another may have begun by then. See
    /// [`Gate::quiet`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn quiet(&self) -> impl Future<Output = ()> + Send + 'static {
        self.store.gate.quiet()
    }

    /// The running jobs by id; reservations are counted.
    pub fn in_flight(&self) -> InFlight {
        let now = self.store.now();
        let (mut entries, mut ended) = (Vec::new(), 0);
        for shard in &self.store.shards {
            let shard = lock(shard);
            entries.extend(shard.slots.iter().map(|(_, entry)| entry.clone()));
            ended += shard.ended.all();
        }
        let (running, ending): (Vec<_>, Vec<_>) =
            entries.iter().partition(|entry| matches!(entry.word.fate(), Fate::Running | Fate::Committing));
        // Those that are just ending are not in flight any more, and will be among the ended.
        let ending =
            ending.iter().filter(|entry| matches!(entry.word.fate(), Fate::Completed | Fate::Failed));
        let ended = ended + ending.count();
        let promised = self.store.promised.inside();
        let total = running.len() + promised;
        let named = InFlight::named(running.into_iter().map(|entry| Unit {
            name: entry.id.to_string(),
            age: Some(now.saturating_duration_since(entry.since)),
        }));
        named.at_least(total).with_ended(ended)
    }

    /// Tells the store which shutdown it belongs to: jobs that are dropped once that is announced are incomplete, even
    /// before the store is closed.
    ///
    /// For stores that wrap this one; as a component of its own, the shutdown calls it.
    pub fn joined(&self, watch: &Watch) {
        // The first one stands: a store belongs to one shutdown.
        let _ = self.store.watch.set(watch.clone());
    }

    /// Resolves when the commits that were under way at the claim have ended: what was not taken is then known. Commits
    /// that begin later are not waited for.
    ///
    /// For stores that wrap this one, at the end of their own `conclude`; as a component of its own, the shutdown waits
    /// for it in the answer step, and for no longer than that.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn conclude(&self) {
        self.store.committing.close();
        self.store.committing.empty().await;
    }

    /// Closes the store and puts every unfinished job into the ledger, where none can commit any more.
    ///
    /// For stores that wrap this one; as a component of its own, the shutdown calls it.
    pub fn claim(&self, claims: &Claims) {
        self.close();
        let (mut listed, mut all) = (Vec::new(), 0);
        for shard in &self.store.shards {
            let (slots, ended) = {
                let mut shard = lock(shard);
                if shard.claims.is_some() {
                    return;
                }
                shard.claims = Some(claims.clone());
                (std::mem::take(&mut shard.slots), std::mem::take(&mut shard.ended))
            };
            claims.count(ended);
            all += ended.all();
            listed.extend(slots.into_iter().map(|(_, entry)| {
                let taken = claims.push(entry.clone());
                (entry, taken)
            }));
        }
        claims.ended(all);
        // Only now: a waker or a payload's destructor that blocks must not keep the rest from being pushed.
        for (entry, taken) in listed {
            if taken {
                entry.tell_taken();
            }
        }
    }
}

impl<P: Serialize + Send + Sync + 'static> Store<P> {
    pub(super) fn next_key(&self) -> Key {
        let instance = self
            .instance
            .get_or_init(|| self.watch.get().map_or_else(Uuid::new_v4, |watch| watch.host().id()));
        // Relaxed: the number stands for itself.
        Key { instance: *instance, sequence: self.sequence.fetch_add(1, Ordering::Relaxed) }
    }

    fn begin(self: &Arc<Self>, key: Key, id: JobId, payload: P, guard: Guard) -> Result<Job<P>, Draining> {
        let entry = Arc::new(Entry::new(self.now(), key, id, payload, Past::default(), (self.new_word)()));
        match self.insert(&entry) {
            Ok(slot) => Ok(Job::new(self.clone(), entry, slot, guard)),
            Err(_) => Err(Draining),
        }
    }

    /// Begins a job that was promised: if the claim was faster, as one that is taken from the start.
    pub(super) fn begin_promised(
        self: &Arc<Self>,
        key: Key,
        id: JobId,
        payload: P,
        past: Past,
        guard: Guard,
    ) -> Job<P> {
        let entry = Arc::new(Entry::new(self.now(), key, id, payload, past, (self.new_word)()));
        let slot = self.insert(&entry).unwrap_or_else(|claims| {
            if claims.push(entry.clone()) {
                entry.tell_taken();
            }
            None
        });
        Job::new(self.clone(), entry, slot, guard)
    }

    /// Gives the job a slot, unless the claim has been.
    fn insert(&self, entry: &Arc<Entry<P>>) -> Result<Slot, Claims> {
        let at = entry.key.sequence as usize % SHARDS;
        let mut shard = lock(&self.shards[at]);
        match &shard.claims {
            Some(claims) => Err(claims.clone()),
            None => Ok(Some((at, shard.slots.insert(entry.clone())))),
        }
    }

    /// Gives a job's slot back and counts how it ended. If the claim has been, the ledger does both.
    pub(super) fn remove(&self, slot: Slot, fate: Fate) {
        let Some((at, slot)) = slot else { return };
        let mut shard = lock(&self.shards[at]);
        let entry = shard.slots.try_remove(slot);
        if entry.is_some() {
            shard.ended.count(fate);
        }
        drop(shard);
        drop(entry);
    }

    pub(super) fn enter(self: &Arc<Self>) -> Result<Guard, Draining> {
        self.gate.enter()
    }

    /// By the clock of the shutdown that the store has joined.
    fn now(&self) -> Instant {
        self.watch.get().map_or_else(Instant::now, |watch| watch.host().now())
    }

    /// Whether a job that is dropped now is incomplete instead of failed. The shutdown that the store has joined says so:
    /// nobody claims what is dropped while the store leaves it.
    pub(super) fn is_draining(&self) -> bool {
        self.watch.get().map_or_else(|| self.gate.is_closed(), Watch::is_draining)
    }
}

fn lock<P>(shard: &Mutex<Shard<P>>) -> MutexGuard<'_, Shard<P>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl<P: Serialize + Send + Sync + 'static> Drainable for Jobs<P> {
    fn joined(&self, watch: &Watch) {
        Jobs::joined(self, watch);
    }

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

    async fn conclude(&self, _receipt: &Receipt) {
        Jobs::conclude(self).await;
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
        self.store.shards.iter().map(|shard| lock(shard).slots.capacity()).sum()
    }
}
