//! The contract of a component, on those of the core and on stores that wrap them.

use std::{future::pending, sync::Arc};

use sundown::{Claims, Deadline, Drainable, Fate, Gate, InFlight, Jobs, Receipt, Tasks, Watch};
use sundown_testkit::conformance::Subject;
use sundown_tokio::Tokio;

fn gate() -> Subject {
    let gate = Gate::new();
    Subject::anonymous(gate.clone(), move || gate.enter().ok())
}

fn jobs() -> Subject {
    let jobs = Jobs::new();
    Subject::jobs(jobs.clone(), move |id| jobs.begin(id, id.len()).ok())
}

/// Tasks that never end, and are dropped.
fn tasks() -> Subject {
    let tasks = Tasks::new(Tokio::current());
    Subject::anonymous(tasks.clone(), move || tasks.track("task", pending::<()>()).ok())
}

/// The same in a group inside the component.
fn inner_tasks() -> Subject {
    let tasks = Tasks::new(Tokio::current());
    let inner = tasks.group("inner");
    Subject::anonymous(tasks, move || inner.track("task", pending::<()>()).ok())
}

/// Jobs that are begun with permission first.
fn reserved() -> Subject {
    let jobs = Jobs::new();
    Subject::jobs(jobs.clone(), move |id| jobs.reserve().ok()?.begin(id, ()).ok())
}

/// A store of leases, as the core's documentation shows it.
struct Leases {
    held: Jobs<u64>,
}

#[sundown::async_trait]
impl Drainable for Leases {
    fn joined(&self, watch: &Watch) {
        self.held.joined(watch);
    }

    fn close(&self, _: &Deadline) {
        self.held.close();
    }

    async fn drained(&self) {
        self.held.empty().await;
    }

    fn in_flight(&self) -> InFlight {
        self.held.in_flight()
    }

    fn claim(&self, claims: &Claims) {
        self.held.claim(claims);
    }

    async fn conclude(&self, receipt: &Receipt) {
        let given_back = receipt.jobs().iter().filter(|job| job.fate() == Fate::Unacknowledged).count();
        receipt.note("leases given back", given_back as u64);
    }
}

fn leases() -> Subject {
    let held = Jobs::new();
    Subject::jobs(Leases { held: held.clone() }, move |id| held.begin(id, 30).ok())
}

/// The same, shared.
fn shared_leases() -> Subject {
    let leases = Arc::new(Leases { held: Jobs::new() });
    Subject::jobs(leases.clone(), move |id| leases.held.begin(id, 30).ok())
}

mod the_gate {
    sundown_testkit::drainable_conformance!(super::gate);
}

mod the_tasks {
    sundown_testkit::drainable_conformance!(super::tasks);
}

mod the_inner_tasks {
    sundown_testkit::drainable_conformance!(super::inner_tasks);
}

mod the_jobs {
    sundown_testkit::drainable_conformance!(super::jobs);
}

mod the_reserved_jobs {
    sundown_testkit::drainable_conformance!(super::reserved);
}

mod a_store_of_leases {
    sundown_testkit::drainable_conformance!(super::leases);
}

mod a_shared_store_of_leases {
    sundown_testkit::drainable_conformance!(super::shared_leases);
}
