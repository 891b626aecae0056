//! The jobs of one component, each in the journal before its work begins.

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock},
};

use serde::{Serialize, de::DeserializeOwned};
use sundown::{
    Claims, Deadline, Drainable, Draining, Fate, InFlight, InvalidJobId, JobId, Jobs, Receipt, Watch,
};

use crate::{
    BeginError, DurableJob, DurableReservation, Journal, Recovered, ResumeError,
    component::Component,
    recovered::{Held, Pool},
    writer::{Answer, Joining},
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

impl<P: Serialize + Send + Sync + 'static> DurableJobs<P> {
    pub(crate) fn new(journal: Journal, name: Arc<str>) -> Self {
        let run = journal.new_run(name.clone(), None);
        journal.inner.pool.add_component(name.clone());
        let component =
            Component { journal, name, run, offered: Mutex::default(), instance: OnceLock::new() };
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
        journal.let_go([job.found.row]);
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
