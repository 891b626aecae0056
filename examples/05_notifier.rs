//! Lesson 5: a notifier that takes over.
//!
//! What cannot finish is handed over: one [`Notifier`] is offered every job that the claim took, and acknowledges each
//! that is now somebody else's responsibility. It runs outside the service's runtime, so it works when that is blocked;
//! here the runtime's only thread is asleep from the beginning of the shutdown to its end. `sundown-notify` has one for
//! real monitoring services, which speaks HTTP.
//!
//! ```text
//! cargo run --example 05_notifier
//! ```

#![forbid(unsafe_code)]

use std::{error::Error, time::Duration};

use serde::Serialize;
use sundown::{HandOver, Jobs, Notice, Notifier, NotifyError, Report, Shutdown};
use sundown_tokio::Tokio;

/// What somebody else must know to finish the job. It is serialised only if it is handed over.
#[derive(Serialize)]
struct Resize {
    image: &'static str,
    width: u32,
}

/// Takes over what it understands.
struct Monitor;

#[sundown::async_trait]
impl Notifier for Monitor {
    async fn draining(&self, notice: &Notice) -> Result<(), NotifyError> {
        println!("monitor: the service is draining ({})", notice.reason);
        Ok(())
    }

    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        for job in hand_over.jobs() {
            let record = serde_json::to_value(job)
                .map_err(|error| NotifyError::new("the job is no JSON").because(error))?;
            let too_wide = record["payload"]["width"].as_u64() > Some(10_000);
            if too_wide {
                println!("monitor: {} is left, nobody here can do it: {}", job.id(), record["payload"]);
            } else {
                println!("monitor: {} is ours: {}, {}", job.id(), record["payload"], record["checkpoint"]);
                hand_over.acknowledge(job.key());
            }
        }
        Ok(())
    }

    async fn finished(&self, report: &Report) -> Result<(), NotifyError> {
        let jobs = &report.jobs;
        println!("monitor: {} handed over, {} not", jobs.handed_over.len(), jobs.unacknowledged.len());
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let jobs = Jobs::new();
    let shutdown = Shutdown::process(Tokio::current())
        .component("jobs", jobs.clone())
        .hand_over_to(Monitor)
        .grace(Duration::from_secs(2))
        .start()?;

    let cat = jobs.begin("cat", Resize { image: "cat.png", width: 640 })?;
    let dog = jobs.begin("dog", Resize { image: "dog.png", width: 64_000 })?;
    cat.checkpoint("row 200 of 480"); // the last note travels with the job
    println!("two jobs in hand, and the runtime's only thread blocks until all is over");

    shutdown.begin("the lesson is over");
    let report = shutdown.finished_blocking();
    println!("handed over: {}", report.jobs.handed_over[0].id);
    println!("a job that nobody took over is a loss: clean is {}", report.is_clean());
    drop((cat, dog));
    Ok(())
}
