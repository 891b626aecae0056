//! Wrong ways to give jobs up, and to commit beside that.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use sundown::{Claims, InFlight, Job, Watch};

use crate::fault::{Fault, Held, count};

/// Only a close keeps jobs out.
#[derive(Default)]
pub(crate) struct DoesNotClose {
    closed: AtomicBool,
    open: Held,
}

impl Fault for DoesNotClose {
    fn begin(&self, right: &Held, id: &str) -> Option<Job<()>> {
        match right.begin(id, ()) {
            Err(_) if !self.closed.load(Ordering::Acquire) => self.open.begin(id, ()).ok(),
            begun => begun.ok(),
        }
    }

    fn close(&self, right: &Held) {
        self.closed.store(true, Ordering::Release);
        right.close();
    }
}

/// The first job is in a list that the claim does not look at.
#[derive(Default)]
pub(crate) struct ForgetsOne(Held);

#[sundown::async_trait]
impl Fault for ForgetsOne {
    fn begin(&self, right: &Held, id: &str) -> Option<Job<()>> {
        if id == "job-000" { self.0.begin(id, ()).ok() } else { right.begin(id, ()).ok() }
    }

    fn close(&self, right: &Held) {
        self.0.close();
        right.close();
    }

    async fn drained(&self, right: &Held) {
        self.0.empty().await;
        right.empty().await;
    }

    fn in_flight(&self, right: &Held) -> InFlight {
        InFlight::counted(count(&self.0) + count(right))
    }
}

/// Has its effect whoever has the job.
pub(crate) struct DoesNotAsk;

impl Fault for DoesNotAsk {
    fn commit(&self, job: Job<()>) -> bool {
        let _ = job.complete();
        true
    }
}

/// What was done is kept in a list, which is claimed as well.
#[derive(Default)]
pub(crate) struct TakesWhatIsDone {
    list: Held,
    done: Mutex<Vec<Job<()>>>,
}

impl Fault for TakesWhatIsDone {
    fn commit(&self, job: Job<()>) -> bool {
        let id = job.id().clone();
        let committed = job.complete().is_ok();
        if committed {
            self.done.lock().unwrap().extend(self.list.begin(id, ()));
        }
        committed
    }

    fn claim(&self, right: &Held, claims: &Claims) {
        right.claim(claims);
        self.list.claim(claims);
    }
}

/// Every claim goes through a list of all that was ever begun.
#[derive(Default)]
pub(crate) struct BeginsAnew {
    list: Held,
    begun: Mutex<Vec<Job<()>>>,
    claimed: AtomicBool,
}

impl Fault for BeginsAnew {
    fn begin(&self, right: &Held, id: &str) -> Option<Job<()>> {
        let job = right.begin(id, ()).ok();
        self.begun.lock().unwrap().extend(self.list.begin(id, ()));
        job
    }

    fn claim(&self, right: &Held, claims: &Claims) {
        right.claim(claims);
        if self.claimed.swap(true, Ordering::AcqRel) {
            self.list.claim(claims);
        }
    }
}

/// Asks somebody about each job of a long list.
pub(crate) struct TakesItsTime;

impl Fault for TakesItsTime {
    fn claim(&self, right: &Held, claims: &Claims) {
        let many = count(right) > InFlight::NAMED;
        right.claim(claims);
        if many {
            thread::sleep(Duration::from_secs(8));
        }
    }
}

/// Looks whether it was claimed, and has its effect a moment later.
#[derive(Default)]
pub(crate) struct LooksAndMarks(AtomicBool);

impl Fault for LooksAndMarks {
    fn commit(&self, job: Job<()>) -> bool {
        let free = !self.0.load(Ordering::Acquire);
        thread::sleep(Duration::from_millis(2));
        let _ = job.complete();
        free
    }

    fn claim(&self, right: &Held, claims: &Claims) {
        self.0.store(true, Ordering::Release);
        right.claim(claims);
    }
}

pub(crate) struct NeverJoins;

impl Fault for NeverJoins {
    fn joined(&self, _: &Held, _: &Watch) {}
}
