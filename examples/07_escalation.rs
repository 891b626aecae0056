//! Lesson 7: escalation.
//!
//! SIGTERM begins; platforms repeat it, so another one changes nothing. SIGINT (Ctrl-C) or SIGQUIT after a beginning
//! hurries: the drain is over, on to the claim, with everything that comes after it. One more, and the process exits
//! at once. This program sends the signals to itself; do it by hand with `kill`, or with Ctrl-C twice.
//!
//! ```text
//! cargo run --example 07_escalation
//! ```

#![forbid(unsafe_code)]

use std::{error::Error, time::Duration};

use rustix::process::{Signal, getpid, kill_process};
use sundown::{Gate, Shutdown};
use sundown_tokio::Tokio;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let work = Gate::new();
    let shutdown = Shutdown::process(Tokio::current())
        .component("work", work.clone())
        .grace(Duration::from_secs(30))
        .start()?;
    let watch = shutdown.watch();
    let endless = work.enter()?;
    println!("there is work that will not end, and a grace of 30 s");

    kill_process(getpid(), Signal::TERM)?;
    let claim = watch.draining().await;
    let why = watch.reason().ok_or("a shutdown that has begun has a reason")?;
    println!(
        "{why}: draining; the work has most of the grace: {}",
        claim.remaining() > Duration::from_secs(20)
    );

    kill_process(getpid(), Signal::INT)?;
    watch.claimed().await;
    println!("SIGINT: on to the claim, without waiting any longer");

    let report = shutdown.finished().await;
    let steps: Vec<_> = report.steps.iter().map(|step| step.step).collect();
    println!("no step was skipped: {}", steps.join(", "));
    println!("what was in hand is lost, and the report says so: {} of work", report.components[0].lost);
    println!("one more SIGINT would have left at once, with exit code 130");
    drop(endless);
    Ok(())
}
