//! The jobs of one component, each in the journal before its work begins.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use serde::{Serialize, de::DeserializeOwned};
use sundown::{
    Claims, Deadline, Drainable, Draining, Fate, InFlight, IncompleteJob, InvalidJobId, JobId, Jobs, Past,
    Receipt, Reservation, Watch,
};

use crate::{
    BeginError, DurableJob, Journal, Recovered, ResumeError, WriteError,
    job::Kept,
    recovered::{Held, Pool},
    store::{End, Found, Note, Put, Record, Row, row_of, size, size_of_checkpoint},
    text::{Text, to_text},
    writer::{Answer, Joining, Space},
};

/// What a component's part of the report says.
const KEPT: &str = "jobs kept in the journal";

/// [`Jobs`] that survive the process: see [`Journal::jobs`]. Clones are the same store.
///
/// It is a component of the shutdown in their place. When it is known who took what over, it forgets what was
/// acknowledged, and keeps the rest for the next process.
pub struct DurableJobs<P> {
    jobs: Jobs<P>,
    component: Arc<Component>,
}

/// What does not depend on the payload.
pub(crate) struct Component {
    pub(crate) journal: Journal,
    name: Arc<str>,
    run: u64,
    /// The jobs of earlier processes that the claim has offered, until it is known who took them over. The lock guards
    /// the list.
    offered: Mutex<HashMap<Row, Held>>,
}

impl<P: Serialize + Send + Sync + 'static> DurableJobs<P> {
    pub(crate) fn new(journal: Journal, name: Arc<str>) -> Self {
        let run = journal.new_run(name.clone(), None);
        journal.inner.pool.add_component(name.clone());
        let component = Component { journal, name, run, offered: Mutex::default() };
        DurableJobs { jobs: Jobs::new(), component: Arc::new(component) }
    }

    /// Begins a job: when this returns it is on the disk, and whatever happens to the process, somebody will hear of it.
    ///
    /// The payload is serialised here, on the caller's thread. Many callers at once share a write.
    ///
    /// # Errors
    ///
    /// See [`BeginError`]. The job was not begun.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the job was not begun, and is forgotten. If the process dies just then, the next one
    /// may find it all the same.
    pub async fn begin<I>(&self, id: I, payload: P) -> Result<DurableJob<P>, BeginError>
    where
        I: TryInto<JobId>,
        InvalidJobId: From<I::Error>,
    {
        self.reserve()?.begin(id, payload).await
    }

    /// Permission to begin one job, for consumers that take an order in between: once given, the job can begin even if
    /// the store closes meanwhile.
    ///
    /// # Errors
    ///
    /// When the store is closed.
    pub fn reserve(&self) -> Result<DurableReservation<P>, Draining> {
        Ok(DurableReservation { reservation: self.jobs.reserve()?, component: self.component.clone() })
    }

    /// Begins again what an earlier process left, as one more attempt with a new key. When this returns, the earlier
    /// begin is forgotten and this one is on the disk: there is no moment with both or with neither. Its last checkpoint
    /// stays with it.
    ///
    /// # Errors
    ///
    /// See [`ResumeError`]. The job stays left over, unless somebody else has it.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the job stays left over.
    pub async fn resume(&self, job: &Recovered) -> Result<DurableJob<P>, ResumeError>
    where
        P: DeserializeOwned,
    {
        let payload = job.payload().map_err(ResumeError::Payload)?;
        let reservation = self.reserve()?;
        let journal = &self.component.journal;
        let held = journal.inner.pool.take(job.found.row).ok_or(ResumeError::Taken)?;
        let mut resuming = Resuming { pool: &journal.inner.pool, held: Some(held) };
        let resumed = reservation.again(job, payload).await?;
        let held = resuming.held.take();
        drop(held);
        Ok(resumed)
    }

    /// The running jobs, without the journal: to close the store, or to wait until it [is](Jobs::closed).
    pub fn in_memory(&self) -> &Jobs<P> {
        &self.jobs
    }
}

/// A job that is about to be resumed. Dropped, it is left over as before.
struct Resuming<'a> {
    pool: &'a Pool,
    held: Option<Held>,
}

impl Drop for Resuming<'_> {
    fn drop(&mut self) {
        self.pool.give_back(self.held.take());
    }
}

/// Permission to begin one durable job: see [`DurableJobs::reserve`]. It counts as in flight.
#[must_use = "a dropped reservation is given up"]
pub struct DurableReservation<P> {
    reservation: Reservation<P>,
    component: Arc<Component>,
}

impl<P: Serialize + Send + Sync + 'static> DurableReservation<P> {
    /// Begins the job: see [`DurableJobs::begin`].
    ///
    /// # Errors
    ///
    /// See [`BeginError`]. The reservation is given up.
    ///
    /// # Cancel safety
    ///
    /// As [`DurableJobs::begin`].
    pub async fn begin<I>(self, id: I, payload: P) -> Result<DurableJob<P>, BeginError>
    where
        I: TryInto<JobId>,
        InvalidJobId: From<I::Error>,
    {
        let id = id.try_into().map_err(InvalidJobId::from)?;
        let text = to_text(&payload).map_err(BeginError::Payload)?;
        let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, in_milliseconds);
        let record = Record { run: self.component.run, began, id, past: Past::default(), payload: text };
        self.write(record, payload, None).await
    }

    async fn again(self, job: &Recovered, payload: P) -> Result<DurableJob<P>, BeginError> {
        let Record { began, ref id, payload: ref text, .. } = *job.found.record;
        let (id, text) = (id.clone(), text.clone());
        let record = Record { run: self.component.run, began, id, past: job.past(), payload: text };
        self.write(record, payload, Some(job.found.clone())).await
    }

    async fn write(
        self,
        record: Record,
        payload: P,
        instead_of: Option<Arc<Found>>,
    ) -> Result<DurableJob<P>, BeginError> {
        let DurableReservation { reservation, component } = self;
        let (row, record) = (row_of(reservation.key()), Arc::new(record));
        let checkpoint = instead_of.as_ref().and_then(|old| old.checkpoint.clone());
        let (space, noted) = component.make_room(&record, checkpoint.as_deref(), instead_of.is_some())?;
        let mut written = Written { component: &component, row, old: instead_of.clone(), undo: true };
        let put = Put { row, record: record.clone(), checkpoint: checkpoint.clone(), end: None, instead_of };
        let answer = component.journal.queue().put(put).await;
        // It says itself what becomes of a put that has failed.
        written.undo = false;
        answer.unwrap_or_else(|_| Err(WriteError::closed()))?;
        let job = reservation.begin_again(record.id.clone(), payload, record.past.clone())?;
        if let Some(checkpoint) = checkpoint {
            job.checkpoint(Text(checkpoint));
        }
        drop(written);
        Ok(DurableJob::new(job, Kept::new(component, row, space, noted)))
    }
}

impl<P> fmt::Debug for DurableReservation<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DurableReservation")
    }
}

fn in_milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A put that nobody waits for any more is taken back.
struct Written<'a> {
    component: &'a Component,
    row: Row,
    /// What it was to replace.
    old: Option<Arc<Found>>,
    undo: bool,
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        if !self.undo {
            return;
        }
        let queue = self.component.journal.queue();
        if let Some(old) = &self.old {
            queue.note(old.row, Note::restore(old));
        }
        queue.forget(self.row);
    }
}

impl Component {
    /// Room for a job, and for its checkpoint. What only moves finds room in any case.
    fn make_room(
        &self,
        record: &Record,
        checkpoint: Option<&serde_json::value::RawValue>,
        moves: bool,
    ) -> Result<(Space, Option<Space>), BeginError> {
        let room = &self.journal.inner.room;
        let space = if moves { room.take_anyway(1, size(record)) } else { room.take(1, size(record))? };
        Ok((space, checkpoint.map(|checkpoint| room.take_anyway(0, size_of_checkpoint(checkpoint)))))
    }

    fn offered(&self) -> MutexGuard<'_, HashMap<Row, Held>> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers what earlier processes left, once.
    fn offer(&self, claims: &Claims) {
        let held = self.journal.inner.pool.take_of(&self.name);
        for held in &held {
            claims.left_over(held.job.offer());
        }
        self.offered().extend(held.into_iter().map(|held| (held.job.found.row, held)));
    }

    /// Notes what is known of the claimed jobs, and says how many stay.
    fn settle(&self, jobs: &[IncompleteJob]) -> u64 {
        let queue = self.journal.queue();
        let mut stay = 0;
        for job in jobs {
            let row = row_of(job.key());
            let ended = matches!(job.fate(), Fate::Completed | Fate::Failed);
            // What the journal itself has acknowledged is not forgotten for that.
            if ended || (job.is_acknowledged() && !self.journal.keeps(row)) {
                queue.forget(row);
                let held = self.offered().remove(&row);
                drop(held);
            } else {
                stay += 1;
                if self.journal.keeps(row) {
                    continue;
                }
                let end = End { reason: Some(job.reason().clone()), in_doubt: job.is_in_doubt() };
                queue.note(row, Note { end: Some(end), ..Note::default() });
            }
        }
        stay
    }
}

#[sundown::async_trait]
impl<P: Serialize + Send + Sync + 'static> Drainable for DurableJobs<P> {
    fn joined(&self, watch: &Watch) {
        self.jobs.joined(watch);
        let Component { journal, name, run, .. } = &*self.component;
        journal.queue().join(Joining { run: *run, component: name.clone(), watch: watch.clone() });
    }

    fn close(&self, _deadline: &Deadline) {
        self.jobs.close();
    }

    async fn drained(&self) {
        self.jobs.empty().await;
    }

    fn in_flight(&self) -> InFlight {
        self.jobs.in_flight()
    }

    fn claim(&self, claims: &Claims) {
        self.jobs.claim(claims);
        self.component.offer(claims);
    }

    async fn conclude(&self, receipt: &Receipt) {
        let Component { journal, .. } = &*self.component;
        // At once, since a commit under way may take all the time there is.
        let (under_way, known): (Vec<_>, Vec<_>) =
            receipt.jobs().into_iter().partition(|job| job.fate() == Fate::Committing);
        receipt.note(KEPT, self.component.settle(&known));
        self.component.settle(&under_way);
        let written = journal.flush().await;
        // What was offered and not taken is left over as before.
        let held = std::mem::take(&mut *self.component.offered());
        journal.inner.pool.give_back(held.into_values());
        self.jobs.conclude().await;
        receipt.note(KEPT, self.component.settle(&under_way));
        let written: Answer = written.and(journal.flush().await);
        if written.is_err() {
            receipt.note("failed writes of the journal", 1);
        }
    }
}

impl<P> Clone for DurableJobs<P> {
    fn clone(&self) -> Self {
        DurableJobs { jobs: self.jobs.clone(), component: self.component.clone() }
    }
}

impl<P> fmt::Debug for DurableJobs<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DurableJobs")
            .field("component", &self.component.name)
            .field("jobs", &self.jobs)
            .finish_non_exhaustive()
    }
}
