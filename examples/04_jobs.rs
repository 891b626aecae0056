//! Lesson 4: jobs.
//!
//! Work that somebody else could finish has a name and a payload: it is a job. Each ends in exactly one way. The
//! moment of truth is the *claim*, when the drain is over: one atomic step decides, for each job, between its own
//! commit and the shutdown. Who commits first may do the effect; who is taken must not.
//!
//! ```text
//! cargo run --example 04_jobs
//! ```

#![forbid(unsafe_code)]

use std::{error::Error, time::Duration};

use sundown::{Jobs, Shutdown};
use sundown_tokio::Tokio;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let letters = Jobs::new();
    let shutdown = Shutdown::process(Tokio::current())
        .component("letters", letters.clone())
        .grace(Duration::from_secs(10))
        .start()?;

    let on_time = letters.begin("on-time", "to Ada")?;
    let returned = letters.begin("returned", "to nobody")?;
    let dropped = letters.begin("dropped", "to Bob")?;
    let at_the_box = letters.begin("at-the-box", "to Carl")?;
    let interrupted = letters.begin("interrupted", "to Dora")?;
    let slow = letters.begin("slow", "to Eve")?;

    shutdown.begin("the lesson is over");
    shutdown.watch().draining().await;
    println!("draining: what is in hand goes on");

    on_time.complete()?; // its effect was its own end
    returned.fail()?; // it ended without an effect, and nobody needs to do it again
    drop(dropped); // its task ended, or panicked, half-way: incomplete
    let posting = at_the_box.commit()?; // from here on no shutdown can take it
    println!("  at-the-box has committed, and is posted: the effect comes between commit and done");
    posting.done();
    drop(interrupted.commit()?); // the effect had begun: nobody can know how it ended

    let taken = slow.taken();
    shutdown.hurry(); // the lesson does not wait for the time to be over: on to the claim
    taken.await;
    println!("claimed: what has not committed is the shutdown's");
    match slow.commit() {
        Ok(commit) => commit.done(),
        Err(taken) => println!("  slow is not posted: {taken}"),
    }

    let jobs = shutdown.finished().await.jobs;
    println!("each job is in the report once:");
    println!("  completed: {}, failed: {}", jobs.completed, jobs.failed);
    for (fate, lines) in [("unacknowledged", &jobs.unacknowledged), ("in doubt", &jobs.in_doubt)] {
        let mut names: Vec<_> = lines.iter().map(|line| line.id.as_str()).collect();
        names.sort_unstable();
        println!("  {fate}: {}", names.join(", "));
    }
    println!("nobody was there to take over: lesson 5");
    Ok(())
}
