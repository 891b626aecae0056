//! A store of one's own, which looks closely at what the shutdown tells it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sundown::{Claims, Deadline, Drainable, Fate, InFlight, IncompleteJob, Jobs, Receipt, Ticket, Watch};
use sundown_testkit::Recorder;

use crate::promises::never;

/// Of every job that any store was told of.
pub(crate) type Tickets = Arc<Mutex<Vec<Ticket>>>;

pub(crate) struct Store {
    name: String,
    jobs: Jobs<Duration>,
    events: Recorder,
    tickets: Tickets,
    /// Nothing keeps it from being closed and drained.
    honest: bool,
    drained: AtomicBool,
    deadline: Mutex<Option<Deadline>>,
}

impl Store {
    pub(crate) fn new(
        name: &str,
        jobs: Jobs<Duration>,
        events: &Recorder,
        tickets: &Tickets,
        honest: bool,
    ) -> Self {
        Store {
            name: name.to_owned(),
            jobs,
            events: events.clone(),
            tickets: tickets.clone(),
            honest,
            drained: AtomicBool::new(false),
            deadline: Mutex::new(None),
        }
    }
}

#[sundown::async_trait]
impl Drainable for Store {
    fn joined(&self, watch: &Watch) {
        self.jobs.joined(watch);
    }

    fn close(&self, deadline: &Deadline) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = Some(deadline.clone());
        self.jobs.close();
    }

    async fn drained(&self) {
        self.jobs.empty().await;
        self.drained.store(true, Ordering::Relaxed);
    }

    fn in_flight(&self) -> InFlight {
        self.jobs.in_flight()
    }

    fn claim(&self, claims: &Claims) {
        let deadline = self.deadline.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let early = deadline.is_some_and(|deadline| !deadline.has_passed());
        if self.honest && early && !self.drained.load(Ordering::Relaxed) {
            self.events.note(never::EARLY_CLAIM);
        }
        self.jobs.claim(claims);
    }

    async fn conclude(&self, receipt: &Receipt) {
        let jobs = receipt.jobs();
        let open = |job: &IncompleteJob| matches!(job.fate(), Fate::Running | Fate::Taken | Fate::Doubted);
        if jobs.iter().any(open) {
            self.events.note(never::OPEN_FATE);
        }
        if jobs.iter().any(|job| job.component() != self.name) {
            self.events.note(never::FOREIGN_JOB);
        }
        let tickets = jobs.iter().map(IncompleteJob::ticket);
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner).extend(tickets);
        self.jobs.conclude().await;
    }
}
