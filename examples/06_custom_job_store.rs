//! Lesson 6: a job store of your own.
//!
//! Jobs often live in a database that several processes share: who works on a row holds its lease. Such a store keeps
//! a [`Jobs`] for what this process has in its hands, and is a [`Drainable`] itself, so that it can give leases back
//! when it knows who took what over: in `conclude`, after the hand-over and before the process leaves.
//!
//! ```text
//! cargo run --example 06_custom_job_store
//! ```

#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sundown::{
    Claims, Deadline, Drainable, Fate, HandOver, InFlight, Job, Jobs, Notifier, NotifyError, Receipt,
    Shutdown, Watch,
};
use sundown_tokio::Tokio;

/// The store: a table, which stands for the database, and what this process holds of it.
#[derive(Default)]
struct Leases {
    table: Mutex<BTreeMap<String, &'static str>>,
    held: Jobs<()>,
}

impl Leases {
    fn table(&self) -> MutexGuard<'_, BTreeMap<String, &'static str>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leases a row. With the reservation no shutdown can come between the lease and the job.
    fn lease(&self, row: &str) -> Result<Job<()>, Box<dyn Error>> {
        let reservation = self.held.reserve()?;
        self.table().insert(row.to_owned(), "leased"); // UPDATE rows SET lease = … WHERE id = …
        Ok(reservation.begin(row, ())?)
    }

    fn finish(&self, job: Job<()>) -> Result<(), Box<dyn Error>> {
        let row = job.id().to_string();
        let commit = job.commit()?;
        self.table().insert(row, "done");
        commit.done();
        Ok(())
    }
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
        for job in receipt.jobs() {
            let row = match job.fate() {
                Fate::HandedOver => "somebody else's",
                Fate::Unacknowledged => "free again", // the next process leases it
                _ => continue,                        // done, or in doubt: for people to look at
            };
            self.table().insert(job.id().to_string(), row);
        }
        self.held.conclude().await; // whatever is in mid-commit may still end
    }
}

/// Takes over the row that it is made for.
struct TakesOver(&'static str);

#[sundown::async_trait]
impl Notifier for TakesOver {
    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        for job in hand_over.jobs().iter().filter(|job| job.id().as_str() == self.0) {
            hand_over.acknowledge(job.key());
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let leases = Arc::new(Leases::default());
    let shutdown = Shutdown::process(Tokio::current())
        .component("leases", leases.clone())
        .hand_over_to(TakesOver("row-2"))
        .grace(Duration::from_secs(10))
        .start()?;

    let (first, second, third) = (leases.lease("row-1")?, leases.lease("row-2")?, leases.lease("row-3")?);
    println!("in hand:        {:?}", leases.table());
    leases.finish(first)?;
    println!("one finished:   {:?}", leases.table());

    shutdown.begin("the lesson is over");
    shutdown.hurry(); // the lesson does not wait for the time to be over
    shutdown.finished().await;
    println!("at the end:     {:?}", leases.table());
    if let Err(error) = leases.finish(third) {
        println!("too late:       {error}");
    }
    drop(second);
    Ok(())
}
