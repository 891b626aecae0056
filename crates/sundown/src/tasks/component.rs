//! A group as a component of a shutdown.

use std::panic::resume_unwind;

use async_trait::async_trait;

use super::Tasks;
use crate::{Claims, Deadline, Drainable, InFlight, Reason, Receipt, Watch, sync::lock};

/// In its turn the tasks are told to stop; those that have not ended by the claim are lost, unless they work for
/// [`Jobs`](crate::Jobs), and are aborted in the end. What the tasks came to is noted in the report.
#[async_trait]
impl Drainable for Tasks {
    fn joined(&self, watch: &Watch) {
        let wanted = {
            let mut joined = lock(&self.group.joined);
            joined.watch = Some(watch.clone());
            joined.wanted.take()
        };
        if let Some(reason) = wanted {
            watch.begin(reason);
        }
    }

    fn close(&self, deadline: &Deadline) {
        self.group.tell(Some(deadline), &self.shutdowns_reason());
    }

    /// Panics with the message of the task that has begun the shutdown by its failure, if one has: the report says so. So a
    /// group that is about to leave a running service stays until that shutdown has it.
    async fn drained(&self) {
        // Whoever has it leave waits from before the shutdown, and until then.
        let leaves = lock(&self.group.joined).watch.as_ref().is_some_and(|watch| !watch.is_draining());
        self.empty().await;
        if leaves && lock(&self.group.joined).failure.is_some() {
            std::future::pending().await
        }
        self.report_failure();
    }

    fn in_flight(&self) -> InFlight {
        Tasks::in_flight(self)
    }

    fn claim(&self, _: &Claims) {
        let watch = lock(&self.group.joined).watch.clone();
        let ends = watch.as_ref().and_then(Watch::work_ends).cloned();
        let ends = ends.unwrap_or_else(|| self.group.deadline_in(std::time::Duration::ZERO));
        self.group.tell(Some(&ends), &self.shutdowns_reason());
        self.group.claim();
    }

    async fn conclude(&self, receipt: &Receipt) {
        let counts = self.counts();
        receipt.note("tasks completed", counts.completed);
        receipt.note("tasks failed", counts.failed);
        receipt.note("tasks panicked", counts.panicked);
        receipt.note("tasks aborted", counts.aborted);
        receipt.note("tasks restarted", counts.restarted);
        // If it had not drained.
        self.report_failure();
    }

    fn force(&self) {
        self.abort();
    }
}

impl Tasks {
    fn shutdowns_reason(&self) -> Reason {
        let watch = lock(&self.group.joined).watch.clone();
        watch.and_then(|watch| watch.reason().cloned()).unwrap_or_else(|| "the tasks were closed".into())
    }

    /// A panic is how a component says that something which the shutdown depends on has failed.
    fn report_failure(&self) {
        let failure = lock(&self.group.joined).failure.take();
        if let Some(failure) = failure {
            // No hook is called: this is not where anything went wrong.
            resume_unwind(Box::new(failure));
        }
    }
}
