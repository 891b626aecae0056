//! The journal as the last in line of those that take jobs over.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use futures_channel::oneshot;
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use sundown::{
    Fate, HandOver, IncompleteJob, Key, Notifier, NotifyError, Past, Report, Ticket, panic_message,
};

use crate::{
    Journal,
    store::{End, Put, Record, row_of, size, size_of_checkpoint},
    writer::{Answer, Space},
};

/// Takes over what nobody else did, by writing it down: see [`Journal::as_last_link`].
///
/// Nothing is written while the service runs. At the hand-over, what is offered goes into the journal, where the next
/// process [finds it](Journal::left_over). A job is acknowledged only when it is on the disk, and only by a link that
/// [`outlives_the_instance`](Self::outlives_the_instance): on some platforms a directory is memory and goes with the
/// container.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sundown_journal::Journal;
///
/// let journal = Journal::open("/var/lib/resizer/jobs.journal")?;
/// // A disk of its own, mounted there: what is written is found by whoever runs next.
/// let last = journal.as_last_link().outlives_the_instance();
/// # let _ = last;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct LastLink {
    journal: Journal,
    outlives: bool,
    /// Jobs of which it is not known yet whether they have to be in the journal. The lock guards the list.
    unsettled: Mutex<Vec<Unsettled>>,
}

impl LastLink {
    pub(crate) fn new(journal: Journal) -> Self {
        LastLink { journal, outlives: false, unsettled: Mutex::default() }
    }

    /// The journal's directory is there after this process and its container or machine have gone, and somebody will
    /// open the journal again: what is written is acknowledged.
    #[must_use]
    pub fn outlives_the_instance(self) -> Self {
        LastLink { outlives: true, ..self }
    }

    fn unsettled(&self) -> MutexGuard<'_, Vec<Unsettled>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a job into the queue. Runs the payload's own code.
    fn put<'a>(&self, job: &'a IncompleteJob, run: u64) -> Result<Writing<'a>, NotifyError> {
        let failed = |why| NotifyError::new(format!("job {} could not be written down: {why}", job.id()));
        let written = catch_unwind(AssertUnwindSafe(|| Parts::of(job)));
        let parts = written.unwrap_or_else(|panic| Err(panic_message(panic))).map_err(failed)?;
        let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let record = Record {
            run,
            began: u64::try_from(began.saturating_sub(job.age()).as_millis()).unwrap_or(u64::MAX),
            id: job.id().clone(),
            past: past(job).map_err(|error| failed(error.to_string()))?,
            payload: parts.payload,
        };
        let checkpoint: Option<Arc<RawValue>> = parts.checkpoint.map(Into::into);
        let bytes = size(&record) + checkpoint.as_deref().map_or(0, size_of_checkpoint);
        let row = row_of(job.key());
        let room = || self.journal.inner.room.take(1, bytes).map_err(|full| failed(full.to_string()));
        let space = if self.journal.holds(row) { None } else { Some(room()?) };
        let end = Some(End { reason: Some(job.reason().clone()), in_doubt: job.is_in_doubt() });
        let record = Arc::new(record);
        let answer = self.journal.queue().put(Put { row, record, checkpoint, end, instead_of: None });
        Ok(Writing { job, space, answer })
    }
}

/// A job that was written down in mid-commit, or that this link has not acknowledged.
#[derive(Debug)]
struct Unsettled {
    key: Key,
    ticket: Ticket,
    acknowledged: bool,
}

impl Unsettled {
    /// It has ended well after all, or somebody else has taken it over.
    fn is_done_with(&self, journal: &Journal) -> bool {
        match self.ticket.fate() {
            Fate::Completed | Fate::Failed => true,
            // Neither this link nor another of the journal.
            Fate::HandedOver => !self.acknowledged && !journal.keeps(row_of(self.key)),
            _ => false,
        }
    }
}

struct Writing<'a> {
    job: &'a IncompleteJob,
    /// None: it has its room already.
    space: Option<Space>,
    answer: oneshot::Receiver<Answer>,
}

/// What a job says of itself that only its own code knows.
#[derive(Deserialize)]
struct Parts {
    payload: Box<RawValue>,
    checkpoint: Option<Box<RawValue>>,
}

impl Parts {
    fn of(job: &IncompleteJob) -> Result<Self, String> {
        let text = serde_json::to_string(job).map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }
}

/// The attempts before the one that was cut short.
fn past(job: &IncompleteJob) -> serde_json::Result<Past> {
    let attempts = job.attempts().saturating_sub(1);
    serde_json::from_value(json!({ "attempts": attempts, "ends": job.earlier_ends() }))
}

#[sundown::async_trait]
impl Notifier for LastLink {
    /// # Errors
    ///
    /// When a job could not be written down; the others were.
    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        let mut runs = HashMap::new();
        let (mut writing, mut failed) = (Vec::new(), None);
        let all = hand_over.jobs().iter().chain(hand_over.in_doubt()).filter(|job| !job.is_acknowledged());
        let (held, new): (Vec<_>, Vec<_>) = all.partition(|job| self.journal.holds(row_of(job.key())));
        // First what exists nowhere else: there may not be time for all.
        for job in new.into_iter().chain(held) {
            let new_run = || self.journal.new_run(job.component().into(), None);
            let run = *runs.entry(job.component()).or_insert_with(new_run);
            match self.put(job, run) {
                Ok(put) => writing.push(put),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        for Writing { job, space, answer } in writing {
            match answer.await {
                Ok(Ok(())) => {
                    space.into_iter().for_each(Space::keep);
                    let (key, ticket) = (job.key(), job.ticket());
                    let acknowledge = || hand_over.acknowledge(key);
                    let acknowledged = self.outlives && self.journal.keep(row_of(key), acknowledge);
                    if job.is_in_doubt() || !acknowledged {
                        self.unsettled().push(Unsettled { key, ticket, acknowledged });
                    }
                }
                Ok(Err(error)) => {
                    failed = failed.or(Some(NotifyError::new("a job was not written down").because(error)))
                }
                Err(_) => failed = failed.or(Some(NotifyError::new("the journal is closed"))),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Forgets the jobs that have ended well after all, and those that somebody else has taken over.
    async fn finished(&self, _report: &Report) -> Result<(), NotifyError> {
        let unsettled = std::mem::take(&mut *self.unsettled());
        for job in unsettled.iter().filter(|job| job.is_done_with(&self.journal)) {
            let row = row_of(job.key);
            self.journal.queue().forget(row);
            self.journal.let_go([row]);
        }
        let written = self.journal.flush().await;
        written.map_err(|error| NotifyError::new("what is done with is not noted").because(error))
    }
}

#[cfg(test)]
mod tests;
