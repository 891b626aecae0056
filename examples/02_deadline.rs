//! Lesson 2: one deadline.
//!
//! The platform gives so much time between its signal and its kill: the grace. The shutdown cuts it into parts, from
//! the end backwards: what comes last is reserved first, and the drain has the rest. Arithmetic that cannot work is an
//! error when the shutdown is started, not a surprise when it runs. While draining, work asks its
//! [`Deadline`](sundown::Deadline) what is still worth beginning; what does not end in time costs only itself.
//!
//! ```text
//! cargo run --example 02_deadline
//! ```

#![forbid(unsafe_code)]

use std::{error::Error, time::Duration};

use sundown::{Gate, Reserve, Shutdown};
use sundown_tokio::Tokio;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let grace = Duration::from_secs(2);
    let impossible = Shutdown::process(Tokio::current())
        .grace(grace)
        .reserve(Reserve::Answer, Duration::from_secs(3))
        .start();
    if let Err(error) = impossible {
        println!("refused at the start: {error}");
    }

    let (quick, stuck) = (Gate::new(), Gate::new());
    let shutdown = Shutdown::process(Tokio::current())
        .component("quick", quick.clone())
        .component("stuck", stuck.clone())
        .grace(grace)
        .start()?;
    let in_hand = quick.enter()?;
    let never_dropped = stuck.enter()?;

    shutdown.begin("the lesson is over");
    let claim = shutdown.watch().draining().await;
    let gone = shutdown.deadline().ok_or("a shutdown that has begun has a deadline")?;
    println!("draining; the work must be over before the process is gone: {}", claim.at() < gone.at());
    for (step, length) in [("1 ms", Duration::from_millis(1)), ("1 hour", Duration::from_secs(3600))] {
        let verdict = if length < claim.remaining() { "begin it" } else { "leave it alone" };
        println!("  a step of {step}: {verdict}");
    }
    drop(in_hand);

    println!("nobody will ever finish what is stuck; its time ends with the drain");
    let report = shutdown.finished().await;
    for component in &report.components {
        let ended = if component.drained.is_failure() { "did not end in its time" } else { "drained" };
        println!("  {}: {ended}, {} lost", component.name, component.lost);
    }
    println!("the process leaves on time all the same: {}", !gone.has_passed());
    drop(never_dropped);
    Ok(())
}
