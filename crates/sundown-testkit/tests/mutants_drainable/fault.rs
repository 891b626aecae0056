//! The right store, with a fault somewhere.

use std::sync::Arc;

use sundown::{Claims, Deadline, Drainable, InFlight, Job, Jobs, Receipt, Watch};
use sundown_testkit::conformance::{Piece, Subject};

pub(crate) type Held = Jobs<()>;

/// What is wrong: each method is right unless a fault says otherwise.
#[sundown::async_trait]
pub(crate) trait Fault: Send + Sync + 'static {
    fn begin(&self, right: &Held, id: &str) -> Option<Job<()>> {
        right.begin(id, ()).ok()
    }

    fn commit(&self, job: Job<()>) -> bool {
        job.complete().is_ok()
    }

    fn joined(&self, right: &Held, watch: &Watch) {
        right.joined(watch);
    }

    fn close(&self, right: &Held) {
        right.close();
    }

    async fn drained(&self, right: &Held) {
        right.empty().await;
    }

    fn in_flight(&self, right: &Held) -> InFlight {
        right.in_flight()
    }

    fn claim(&self, right: &Held, claims: &Claims) {
        right.claim(claims);
    }

    async fn conclude(&self, _receipt: &Receipt) {}

    fn force(&self, _right: &Held) {}
}

/// Nothing is wrong.
pub(crate) struct None;

impl Fault for None {}

/// How many are in flight.
pub(crate) fn count(jobs: &Held) -> usize {
    jobs.in_flight().total().unwrap()
}

pub(crate) fn fresh<F: Fault>(fault: F) -> Subject {
    let (held, fault) = (Held::new(), Arc::new(fault));
    Subject::jobs(Mutant(held.clone(), fault.clone()), move |id| {
        Some(Work(fault.begin(&held, id)?, fault.clone()))
    })
}

struct Work<F>(Job<()>, Arc<F>);

impl<F: Fault> Piece for Work<F> {
    fn commit(self: Box<Self>) -> bool {
        self.1.commit(self.0)
    }
}

struct Mutant<F>(Held, Arc<F>);

#[sundown::async_trait]
impl<F: Fault> Drainable for Mutant<F> {
    fn joined(&self, watch: &Watch) {
        self.1.joined(&self.0, watch);
    }

    fn close(&self, _: &Deadline) {
        self.1.close(&self.0);
    }

    async fn drained(&self) {
        self.1.drained(&self.0).await;
    }

    fn in_flight(&self) -> InFlight {
        self.1.in_flight(&self.0)
    }

    fn claim(&self, claims: &Claims) {
        self.1.claim(&self.0, claims);
    }

    async fn conclude(&self, receipt: &Receipt) {
        self.1.conclude(receipt).await;
    }

    fn force(&self) {
        self.1.force(&self.0);
    }
}
