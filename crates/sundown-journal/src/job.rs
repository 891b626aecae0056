//! The handles of a durable job, around those of a job in memory.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;
use sundown::{Commit, Fate, Job, JobId, Key, Taken, Ticket};

use crate::{
    CheckpointError,
    component::Component,
    store::{End, Note, Row, size_of_checkpoint},
    text::{Text, to_text},
    writer::Space,
};

/// A job's place in the journal, until it is known what becomes of it.
pub(crate) struct Kept {
    component: Arc<Component>,
    row: Row,
    space: Space,
    /// The room that the last checkpoint takes. The lock also keeps checkpoints in one order in memory and on the disk.
    noted: Mutex<Option<Space>>,
}

impl Kept {
    pub(crate) fn new(component: Arc<Component>, row: Row, space: Space, noted: Option<Space>) -> Self {
        Kept { component, row, space, noted: Mutex::new(noted) }
    }

    fn note(&self, note: Note) {
        self.component.journal.queue().note(self.row, note);
    }

    /// It has ended. Nobody waits for that to be written.
    fn forget(self) {
        self.component.journal.queue().forget(self.row);
    }

    /// It stays, for whoever sees to it.
    fn stay(self) {
        self.space.keep();
        let noted = self.noted.into_inner().unwrap_or_else(PoisonError::into_inner);
        noted.into_iter().for_each(Space::keep);
    }
}

/// A running job that is in the journal.
///
/// It ends as a [`Job`] does. Its end is written with the next batch, or within 100 ms: if the process dies before, the
/// next one finds the job incomplete. So effects happen at least once, and whoever does them again looks at the id.
///
/// Dropped while the service runs, it has failed and is forgotten; dropped once a shutdown is announced, or its store is
/// closed, it is incomplete and will be handed over, or kept.
#[must_use = "a dropped job has failed"]
pub struct DurableJob<P: Serialize + Send + Sync + 'static> {
    inner: Option<(Job<P>, Kept)>,
}

impl<P: Serialize + Send + Sync + 'static> DurableJob<P> {
    pub(crate) fn new(job: Job<P>, kept: Kept) -> Self {
        DurableJob { inner: Some((job, kept)) }
    }

    fn inner(&self) -> &(Job<P>, Kept) {
        self.inner.as_ref().expect("a job has its insides until it is consumed")
    }

    fn take(&mut self) -> (Job<P>, Kept) {
        self.inner.take().expect("a job has its insides until it is consumed")
    }

    /// Which work it is.
    pub fn id(&self) -> &JobId {
        self.inner().0.id()
    }

    /// Which begin it is.
    pub fn key(&self) -> Key {
        self.inner().0.key()
    }

    /// What it is about.
    pub fn payload(&self) -> &P {
        self.inner().0.payload()
    }

    /// A cheap handle to its fate, for whoever answers for the job. (A checkpoint that is noted there is not in the
    /// journal.)
    pub fn ticket(&self) -> Ticket {
        self.inner().0.ticket()
    }

    /// Notes how far it has come; the last note travels with the job. It is written with the next batch, or within 100 ms.
    /// Serialised here, on the caller's thread.
    ///
    /// # Errors
    ///
    /// See [`CheckpointError`]; the checkpoint before stands.
    pub fn checkpoint(&self, checkpoint: &impl Serialize) -> Result<(), CheckpointError> {
        let (job, kept) = self.inner();
        let text = to_text(checkpoint).map_err(CheckpointError::Serialise)?;
        let space = kept.component.journal.inner.room.take(0, size_of_checkpoint(&text))?;
        let mut noted = kept.noted.lock().unwrap_or_else(PoisonError::into_inner);
        *noted = Some(space);
        job.checkpoint(Text(text.clone()));
        kept.note(Note { checkpoint: Some(text), ..Note::default() });
        Ok(())
    }

    /// Resolves when a shutdown has taken the job; it can no longer commit.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn taken(&self) -> impl Future<Output = ()> + Send + use<P> {
        self.inner().0.taken()
    }

    /// Announces the effect: from here on no shutdown can take the job. Do the effect, then say
    /// [`done`](DurableCommit::done) or [`failed`](DurableCommit::failed).
    ///
    /// A process that dies in between leaves the job in doubt, and the next one is told so if the effect took longer than
    /// 100 ms.
    ///
    /// # Errors
    ///
    /// [`Taken`] when a shutdown was faster; the effect must not be done.
    pub fn commit(mut self) -> Result<DurableCommit<P>, Taken> {
        let (job, kept) = self.take();
        match job.commit() {
            Ok(commit) => {
                kept.note(Note { end: Some(End { reason: None, in_doubt: true }), ..Note::default() });
                Ok(DurableCommit { inner: Some((commit, kept)) })
            }
            Err(taken) => {
                kept.stay();
                Err(taken)
            }
        }
    }

    /// [`commit`](Self::commit) and [`done`](DurableCommit::done) at once, for a job whose effect is its own end, or can
    /// be done twice.
    ///
    /// # Errors
    ///
    /// [`Taken`] when a shutdown was faster.
    pub fn complete(self) -> Result<(), Taken> {
        self.end(Job::complete)
    }

    /// It ended without an effect, and nobody needs to do it again.
    ///
    /// # Errors
    ///
    /// [`Taken`] when a shutdown was faster.
    pub fn fail(self) -> Result<(), Taken> {
        self.end(Job::fail)
    }

    fn end(mut self, end: impl FnOnce(Job<P>) -> Result<(), Taken>) -> Result<(), Taken> {
        let (job, kept) = self.take();
        let ended = end(job);
        match ended {
            Ok(()) => kept.forget(),
            Err(Taken) => kept.stay(),
        }
        ended
    }
}

impl<P: Serialize + Send + Sync + 'static> Drop for DurableJob<P> {
    fn drop(&mut self) {
        let Some((job, kept)) = self.inner.take() else { return };
        let ticket = job.ticket();
        drop(job);
        if ticket.fate() == Fate::Failed { kept.forget() } else { kept.stay() }
    }
}

impl<P: Serialize + Send + Sync + 'static> fmt::Debug for DurableJob<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DurableJob").field("id", self.id()).field("key", &self.key()).finish_non_exhaustive()
    }
}

/// A durable job whose effect is under way. Dropped unfinished, it is in doubt, and stays in the journal.
#[must_use = "a dropped commit leaves the job in doubt"]
pub struct DurableCommit<P: Serialize + Send + Sync + 'static> {
    inner: Option<(Commit<P>, Kept)>,
}

impl<P: Serialize + Send + Sync + 'static> DurableCommit<P> {
    /// The effect is done.
    pub fn done(self) {
        self.end(Commit::done);
    }

    /// The effect was tried and did not happen.
    pub fn failed(self) {
        self.end(Commit::failed);
    }

    fn end(mut self, end: impl FnOnce(Commit<P>)) {
        if let Some((commit, kept)) = self.inner.take() {
            end(commit);
            kept.forget();
        }
    }
}

impl<P: Serialize + Send + Sync + 'static> Drop for DurableCommit<P> {
    fn drop(&mut self) {
        if let Some((commit, kept)) = self.inner.take() {
            drop(commit);
            kept.stay();
        }
    }
}

impl<P: Serialize + Send + Sync + 'static> fmt::Debug for DurableCommit<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DurableCommit")
    }
}
