//! The fates of jobs at a shutdown, each in the ledger once.
//!
//! Sans-io: it decides nothing and waits for nothing. Who owns a job is in the job's own word; the ledger lists what
//! the claim found, so that the hand-over, the receipt and the report speak of the same jobs: those whose word went to
//! *taken* by the ledger's own hand, and those that were just ending by themselves, whose words say how.

mod parent;

use std::{
    fmt,
    sync::{Arc, OnceLock, PoisonError},
};

use serde::Serialize;

use self::parent::{Parent, pass};
use crate::{
    Deadline, Reason, Report,
    host::DynHost,
    jobs::{Ended, Fate, IncompleteJob, JobId, Key, LeftOver, Unfinished},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

///
/// That of a child without a taker [passes on](Ledger::pass_on) what it has to its parent's, which offers it: a job is then
/// in both, and its one word says the same in both.
pub(crate) struct Ledger {
    host: DynHost,
    /// Why the shutdown began; set before the claim.
    reason: OnceLock<Arc<Reason>>,
    /// What the claim found, in the order of the claim. The lock guards the lists, never a payload's code.
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    jobs: Vec<Listed>,
    /// How many jobs of each component had ended by themselves when it was claimed.
    ended_of: Vec<(Arc<str>, usize)>,
    ended: Ended,
    /// The hand-over is over: what comes now is offered to nobody.
    settled: bool,
    /// The report is written: what comes now is in no list, and so is not taken.
    closed: bool,
    parent: Parent,
}

struct Listed {
    /// The component that had it: here, whatever else it is called.
    of: Arc<str>,
    job: IncompleteJob,
}

impl Ledger {
    pub(crate) fn new(host: DynHost) -> Arc<Self> {
        Arc::new(Ledger { host, reason: OnceLock::new(), books: Mutex::default() })
    }

    /// The shutdown has begun.
    pub(crate) fn begin(&self, reason: &Reason) {
        let _ = self.reason.set(Arc::new(reason.clone()));
    }

    /// Takes the job, unless it has committed, and lists it.
    fn push(&self, job: Unfinished, component: &Arc<str>) -> bool {
        let reason = self.reason.get_or_init(|| Arc::new(Reason::Dropped)).clone();
        let job = IncompleteJob::new(job, component.clone(), reason, self.host.now());
        let mut books = self.books();
        if books.closed {
            return false;
        }
        let taken = job.take();
        if books.settled {
            job.settle(false);
        }
        books.jobs.push(Listed { of: component.clone(), job: job.clone() });
        let parent = books.parent.told();
        drop(books);
        pass(job, parent);
        taken
    }

    /// Lists what an earlier process left.
    fn add(&self, job: LeftOver, component: &Arc<str>) {
        self.list(job.taken(self.host.now()).of(component), component);
    }

    /// Lists a job that was taken before.
    fn list(&self, job: IncompleteJob, component: &Arc<str>) {
        let mut books = self.books();
        if books.settled {
            job.settle(false);
        }
        if books.closed {
            return;
        }
        books.jobs.push(Listed { of: component.clone(), job: job.clone() });
        let parent = books.parent.told();
        drop(books);
        pass(job, parent);
    }

    /// What is to be handed over now: what was taken, and what may be lost in mid-commit.
    /// By the rank of the component here that had it.
    pub(crate) fn offered_by<K: Ord>(&self, rank: impl Fn(&str) -> K) -> Vec<IncompleteJob> {
        let offered = |fate| matches!(fate, Fate::Taken | Fate::Committing | Fate::InDoubt);
        let books = self.books();
        let listed = books.jobs.iter().filter(|listed| offered(listed.job.fate()));
        let mut ranked: Vec<_> = listed.map(|listed| (rank(&listed.of), listed.job.listed())).collect();
        drop(books);
        ranked.sort_by(|(one, _), (other, _)| one.cmp(other));
        ranked.into_iter().map(|(_, job)| job).collect()
    }

    #[cfg(test)]
    pub(crate) fn offered(&self) -> Vec<IncompleteJob> {
        self.offered_by(|_| ())
    }

    /// The hand-over is over. `hung`: nobody can know how far it came.
    pub(crate) fn settle(&self, offered: &[IncompleteJob], hung: bool) {
        for job in offered {
            job.settle(hung);
        }
        let mut books = self.books();
        books.settled = true;
        for Listed { job, .. } in &books.jobs {
            job.settle(false);
        }
    }

    /// How it stands.
    pub(crate) fn summary(&self) -> JobsReport {
        let books = self.books();
        let Ended { completed, failed, in_doubt } = books.ended;
        let mut report =
            JobsReport { completed, failed, unnamed_in_doubt: in_doubt, ..JobsReport::default() };
        for Listed { job, .. } in &books.jobs {
            let line = JobLine {
                id: job.id().clone(),
                key: job.key(),
                component: job.component().into(),
                acknowledged: job.is_acknowledged(),
            };
            match job.fate() {
                // It was committing, or about to be, when the claim came.
                Fate::Completed => report.completed += 1,
                Fate::Failed => report.failed += 1,
                Fate::HandedOver => report.handed_over.push(line),
                Fate::InDoubt | Fate::Committing | Fate::Doubted => report.in_doubt.push(line),
                Fate::Unacknowledged | Fate::Taken | Fate::Abandoned | Fate::Running => {
                    report.unacknowledged.push(line);
                }
            }
        }
        report
    }

    /// Closes the books: what is still open is settled one way or the other, and nothing is taken any more.
    pub(crate) fn close(&self) -> JobsReport {
        {
            let mut books = self.books();
            books.closed = true;
            for Listed { job, .. } in &books.jobs {
                job.settle(false);
                job.give_up();
            }
        }
        self.summary()
    }

    /// What the claim found, for whoever may drop it: payloads are the user's.
    pub(crate) fn empty(&self) -> Vec<IncompleteJob> {
        let jobs = std::mem::take(&mut self.books().jobs);
        jobs.into_iter().map(|listed| listed.job).collect()
    }

    pub(crate) fn of(&self, component: &str) -> Vec<IncompleteJob> {
        let books = self.books();
        let own = books.jobs.iter().filter(|listed| *listed.of == *component);
        own.map(|listed| listed.job.listed()).collect()
    }

    /// How much of what a component had in flight is accounted for: its jobs that the claim has found, and those that have
    /// ended since it was looked at, when so many had, if it counts them.
    pub(crate) fn accounted(&self, component: &str, ended_then: Option<usize>) -> usize {
        let books = self.books();
        let own = |listed: &&Listed| *listed.of == *component && !listed.job.is_left_over();
        let listed = books.jobs.iter().filter(own).count();
        let ended = books.ended_of.iter().filter(|(of, _)| **of == *component).map(|(_, count)| count);
        listed + ended_then.map_or(0, |then| ended.sum::<usize>().saturating_sub(then))
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a component puts its unfinished jobs: see [`Drainable::claim`](crate::Drainable::claim). It is handed on to
/// [`Jobs::claim`](crate::Jobs::claim).
#[derive(Clone)]
pub struct Claims {
    ledger: Arc<Ledger>,
    component: Arc<str>,
}

impl Claims {
    pub(crate) fn new(ledger: Arc<Ledger>, component: Arc<str>) -> Self {
        Claims { ledger, component }
    }

    /// Takes the job, if it has not committed, and lists it. Returns whether it was taken.
    pub(crate) fn push(&self, job: impl Into<Unfinished>) -> bool {
        self.ledger.push(job.into(), &self.component)
    }

    /// Lists a job that an earlier process left, so that it is offered with the others. Its component is the one that
    /// claims, whatever it says itself.
    pub fn left_over(&self, job: LeftOver) {
        self.ledger.add(job, &self.component);
    }

    /// So many have ended by themselves before the claim.
    pub(crate) fn ended(&self, count: usize) {
        let mut books = self.ledger.books();
        books.ended_of.push((self.component.clone(), count));
        let parent = books.parent.told();
        drop(books);
        if let Some(parent) = parent {
            parent.ended(count);
        }
    }

    pub(crate) fn count(&self, ended: Ended) {
        let mut books = self.ledger.books();
        let sum = &mut books.ended;
        sum.completed += ended.completed;
        sum.failed += ended.failed;
        sum.in_doubt += ended.in_doubt;
        let parent = books.parent.told();
        drop(books);
        if let Some(parent) = parent {
            parent.count(ended.of_a_child());
        }
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").field("component", &self.component).finish_non_exhaustive()
    }
}

/// What became of a component's jobs, and where it says what it did with them.
#[derive(Clone)]
pub struct Receipt {
    ledger: Arc<Ledger>,
    component: Arc<str>,
    deadline: Deadline,
    notes: Arc<Notes>,
}

impl Receipt {
    pub(crate) fn new(
        ledger: Arc<Ledger>,
        component: Arc<str>,
        deadline: Deadline,
        notes: Arc<Notes>,
    ) -> Self {
        Receipt { ledger, component, deadline, notes }
    }

    /// The component's jobs that the claim took or found in mid-commit, each with its fate. Those to see to are
    /// [`Unacknowledged`](Fate::Unacknowledged); the ones [`InDoubt`](Fate::InDoubt) or still
    /// [`Committing`](Fate::Committing) may be done.
    pub fn jobs(&self) -> Vec<IncompleteJob> {
        self.ledger.of(&self.component)
    }

    /// When the answering must be over.
    pub fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    /// Whatever was in flight at the claim has been seen to: clients were answered, leases given back. Without this, work
    /// in flight that no job of the component stands for counts as lost.
    pub fn seen_to(&self) {
        self.notes.seen_to.store(true, Ordering::Release);
    }

    /// The component is a shutdown of its own, and this is what it did; whether its jobs are in this ledger.
    pub(crate) fn inner(&self, report: Report, passed_on: bool) {
        let _ = self.notes.inner.set((Box::new(report), passed_on));
    }

    /// Adds to a count in the component's part of the report: what it did, and how often.
    pub fn note(&self, what: &'static str, count: u64) {
        self.notes.add(what, count);
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").field("component", &self.component).finish_non_exhaustive()
    }
}

/// What a component says of itself: counts by what was counted.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    counts: Mutex<Vec<(&'static str, u64)>>,
    seen_to: AtomicBool,
    inner: OnceLock<(Box<Report>, bool)>,
}

impl Notes {
    fn add(&self, what: &'static str, count: u64) {
        let mut notes = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match notes.iter_mut().find(|(noted, _)| *noted == what) {
            Some((_, sum)) => *sum = sum.saturating_add(count),
            None => notes.push((what, count)),
        }
    }

    pub(crate) fn read(&self) -> Vec<(String, u64)> {
        let notes = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        notes.iter().map(|&(what, sum)| (what.to_owned(), sum)).collect()
    }

    pub(crate) fn seen_to(&self) -> bool {
        self.seen_to.load(Ordering::Acquire)
    }

    /// What a component did that is a shutdown of its own, and whether its jobs are in the ledger of this one.
    pub(crate) fn inner(&self) -> Option<&(Box<Report>, bool)> {
        self.inner.get()
    }
}

/// What became of every job that the claimed components had begun since they were made.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct JobsReport {
    /// Completed by themselves.
    pub completed: u64,
    /// Ended without an effect, by themselves.
    pub failed: u64,
    /// Acknowledged by the notifier that takes over.
    pub handed_over: Vec<JobLine>,
    /// Taken from those who did them, and taken over by nobody.
    pub unacknowledged: Vec<JobLine>,
    /// Their commit or their hand-over had begun, and nobody can know how it ended.
    pub in_doubt: Vec<JobLine>,
    /// Commits that were dropped unfinished before the shutdown began, and what a component had in flight whose claim
    /// panicked or hung before it could name it.
    pub unnamed_in_doubt: u64,
}

impl JobsReport {
    /// Adds what a component says that has accounted for its jobs itself.
    pub(crate) fn add(&mut self, component: &str, own: &JobsReport) {
        let named =
            |line: &JobLine| JobLine { component: format!("{component}/{}", line.component), ..line.clone() };
        self.completed += own.completed;
        self.failed += own.failed;
        self.handed_over.extend(own.handed_over.iter().map(named));
        self.unacknowledged.extend(own.unacknowledged.iter().map(named));
        self.in_doubt.extend(own.in_doubt.iter().map(named));
    }
}

/// One job of the report.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct JobLine {
    /// Which work it is.
    pub id: JobId,
    /// Which begin it is.
    pub key: Key,
    /// Whose it was.
    pub component: String,
    /// Whether the notifier that takes over has acknowledged it: that it takes the job over, or, of one in doubt, that it
    /// knows.
    pub acknowledged: bool,
}

#[cfg(test)]
mod tests;
