//! The handles of a job: from permission to its end.

use std::{
    fmt,
    future::{Future, pending},
    sync::Arc,
};

use serde::Serialize;

use super::{
    id::{InvalidJobId, JobId, Key},
    incomplete::{AnyEntry, Entry, UntilDecided},
    past::Past,
    store::{Slot, Store},
    word::Fate,
};
use crate::{Guard, latch::Waiting};

/// Permission to begin one job: see [`Jobs::reserve`](super::Jobs::reserve). It counts as in flight.
#[must_use = "a dropped reservation is given up"]
pub struct Reservation<P> {
    pub(super) store: Arc<Store<P>>,
    pub(super) key: Key,
    pub(super) promise: Guard,
    /// Last: see the invariants of the module.
    pub(super) guard: Guard,
}

impl<P: Serialize + Send + Sync + 'static> Reservation<P> {
    /// Begins the job. If the store was claimed meanwhile, the job is taken from the start.
    ///
    /// # Errors
    ///
    /// When the id is not valid; the reservation is given up.
    pub fn begin<I>(self, id: I, payload: P) -> Result<Job<P>, InvalidJobId>
    where
        I: TryInto<JobId>,
        InvalidJobId: From<I::Error>,
    {
        self.begin_again(id, payload, Past::default())
    }

    /// The same for a job that was begun before.
    ///
    /// # Errors
    ///
    /// When the id is not valid; the reservation is given up.
    pub fn begin_again<I>(self, id: I, payload: P, past: Past) -> Result<Job<P>, InvalidJobId>
    where
        I: TryInto<JobId>,
        InvalidJobId: From<I::Error>,
    {
        let id = id.try_into().map_err(InvalidJobId::from)?;
        let Reservation { store, key, promise, guard } = self;
        let job = store.begin_promised(key, id, payload, past, guard);
        // When it is a job: in between it is both, and never neither.
        drop(promise);
        Ok(job)
    }
}

impl<P> Reservation<P> {
    /// The key of the job that it is for.
    pub fn key(&self) -> Key {
        self.key
    }
}

impl<P> fmt::Debug for Reservation<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reservation")
    }
}

/// A running job.
///
/// Dropped while the service runs, it has failed; dropped once a shutdown is announced, or its store is closed, it is
/// incomplete and will be handed over.
#[must_use = "a dropped job has failed"]
pub struct Job<P: Serialize + Send + Sync + 'static> {
    inner: Option<Inner<P>>,
}

struct Inner<P> {
    store: Arc<Store<P>>,
    entry: Arc<Entry<P>>,
    slot: Slot,
    /// Last: see the invariants of the module.
    guard: Guard,
}

/// The job was taken by a shutdown before it could commit: it is somebody else's now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the job was taken over by a shutdown before it could commit")]
pub struct Taken;

impl<P: Serialize + Send + Sync + 'static> Job<P> {
    pub(super) fn new(store: Arc<Store<P>>, entry: Arc<Entry<P>>, slot: Slot, guard: Guard) -> Self {
        Job { inner: Some(Inner { store, entry, slot, guard }) }
    }

    fn inner(&self) -> &Inner<P> {
        self.inner.as_ref().expect("a job has its insides until it is consumed")
    }

    fn entry(&self) -> &Arc<Entry<P>> {
        &self.inner().entry
    }

    /// Which work it is.
    pub fn id(&self) -> &JobId {
        &self.entry().id
    }

    /// Which begin it is.
    pub fn key(&self) -> Key {
        self.entry().key
    }

    /// What it is about.
    pub fn payload(&self) -> &P {
        &self.entry().payload
    }

    /// A cheap handle to its fate, for whoever answers for the job.
    pub fn ticket(&self) -> Ticket {
        Ticket(self.entry().clone())
    }

    /// Notes how far it has come; the last note travels with the job if it is handed over.
    pub fn checkpoint(&self, checkpoint: impl Serialize + Send + Sync + 'static) {
        self.entry().set_checkpoint(Arc::new(checkpoint));
    }

    /// Resolves when a shutdown has taken the job; it can no longer commit.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn taken(&self) -> impl Future<Output = ()> + Send + use<P> {
        let entry: Arc<dyn AnyEntry> = self.entry().clone();
        async move {
            Waiting::new(UntilDecided(entry.clone())).await;
            if !entry.was_taken() {
                // It has ended by itself: nobody takes it any more.
                pending::<()>().await;
            }
        }
    }

    /// Announces the effect: from here on no shutdown can take the job. Do the effect, then say
    /// [`done`](Commit::done) or [`failed`](Commit::failed).
    ///
    /// # Errors
    ///
    /// [`Taken`] when a shutdown was faster; the effect must not be done.
    pub fn commit(mut self) -> Result<Commit<P>, Taken> {
        let inner = self.inner.take().expect("a job has its insides until it is consumed");
        // Before the word says so: whoever finds a commit under way can wait for it.
        let under_way = inner.store.committing.enter().ok();
        if inner.entry.word.advance(Fate::Running, Fate::Committing) {
            Ok(Commit { inner: Some(inner), under_way })
        } else {
            // The ledger has it, and gave its slot up.
            Err(Taken)
        }
    }

    /// [`commit`](Self::commit) and [`done`](Commit::done) at once, for a job whose effect is its own end.
    ///
    /// # Errors
    ///
    /// [`Taken`] when a shutdown was faster.
    pub fn complete(self) -> Result<(), Taken> {
        self.commit().map(Commit::done)
    }

    /// It ended without an effect, and nobody needs to do it again.
    ///
    /// # Errors
    ///
    /// [`Taken`] when a shutdown was faster.
    pub fn fail(self) -> Result<(), Taken> {
        self.commit().map(Commit::failed)
    }
}

impl<P: Serialize + Send + Sync + 'static> Drop for Job<P> {
    fn drop(&mut self) {
        let Some(Inner { store, entry, slot, guard }) = self.inner.take() else { return };
        // Incomplete, if a shutdown is there to hand it over: the claim finds it in its slot.
        let abandoned = store.is_draining() && entry.word.advance(Fate::Running, Fate::Abandoned);
        if !abandoned && entry.word.advance(Fate::Running, Fate::Failed) {
            store.remove(slot, Fate::Failed);
            entry.decided.open();
        }
        drop(entry);
        drop(guard);
    }
}

impl<P: Serialize + Send + Sync + 'static> fmt::Debug for Job<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("id", self.id()).field("key", &self.key()).finish_non_exhaustive()
    }
}

/// A job whose effect is under way. Dropped unfinished, it is in doubt: nobody can know whether the effect happened.
#[must_use = "a dropped commit leaves the job in doubt"]
pub struct Commit<P: Serialize + Send + Sync + 'static> {
    inner: Option<Inner<P>>,
    /// There is none once nobody waits for commits that begin.
    under_way: Option<Guard>,
}

impl<P: Serialize + Send + Sync + 'static> Commit<P> {
    /// The effect is done.
    pub fn done(mut self) {
        self.end(Fate::Completed);
    }

    /// The effect was tried and did not happen.
    pub fn failed(mut self) {
        self.end(Fate::Failed);
    }

    fn end(&mut self, fate: Fate) {
        let Some(Inner { store, entry, slot, guard }) = self.inner.take() else { return };
        // The report may have given up on it and said in doubt; then that stands.
        let ended = entry.word.advance(Fate::Committing, fate);
        // In doubt while draining: it keeps its slot, so that the claim finds it and the report names it.
        if ended && !(fate == Fate::InDoubt && store.is_draining()) {
            store.remove(slot, fate);
        }
        // How it ended is known; wakers and the payload's destructor, which are foreign, are not waited for.
        drop(self.under_way.take());
        if ended {
            entry.decided.open();
        }
        drop(entry);
        drop(guard);
    }
}

impl<P: Serialize + Send + Sync + 'static> Drop for Commit<P> {
    fn drop(&mut self) {
        self.end(Fate::InDoubt);
    }
}

/// A cheap, shared look at a job, for whoever does not own it.
#[derive(Clone)]
pub struct Ticket(pub(super) Arc<dyn AnyEntry>);

impl Ticket {
    /// Which work it is.
    pub fn id(&self) -> &JobId {
        self.0.id()
    }

    /// What has become of it so far.
    pub fn fate(&self) -> Fate {
        self.0.word().fate()
    }

    /// Resolves when the job's worker has no more say in it: it has ended, or a shutdown has taken it. At once, if that
    /// was before.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn decided(&self) -> impl Future<Output = ()> + Send + use<> {
        Waiting::new(UntilDecided(self.0.clone()))
    }

    /// Notes how far the job has come, as [`Job::checkpoint`] does.
    pub fn checkpoint(&self, checkpoint: impl Serialize + Send + Sync + 'static) {
        self.0.set_checkpoint(Arc::new(checkpoint));
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({}: {})", self.id(), self.fate())
    }
}
