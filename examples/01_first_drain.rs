//! Lesson 1: the first drain.
//!
//! A service counts the work that it has in hand at a [`Gate`](sundown::Gate). When the shutdown begins, the gate
//! closes: newcomers are refused, in one atomic step, and the shutdown waits until those inside have left.
//!
//! ```text
//! cargo run --example 01_first_drain
//! ```
//!
//! The shutdown is the real one: started without the last `begin`, this program would drain on SIGTERM or Ctrl-C.

#![forbid(unsafe_code)]

use std::{error::Error, time::Duration};

use sundown::{Gate, Shutdown};
use sundown_tokio::Tokio;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let orders = Gate::new();
    let shutdown = Shutdown::process(Tokio::current())
        .component("orders", orders.clone())
        .grace(Duration::from_secs(10))
        .start()?;

    let first = orders.enter()?; // a guard: the order is in hand for as long as it lives
    println!("order 1 is taken: {} in hand", orders.inside());

    shutdown.begin("the lesson is over");
    orders.closed().await;
    println!("the shutdown has begun, and the gate is closed");
    match orders.enter() {
        Ok(_) => println!("order 2 is taken"),
        Err(draining) => println!("order 2 is refused: {draining}"),
    }

    println!("order 1 is still in hand ({}): the shutdown waits for it", orders.inside());
    drop(first);
    println!("order 1 is finished");

    // Nothing is in flight any more: the rest takes milliseconds, whatever is left of the ten seconds.
    let report = shutdown.finished().await;
    println!("the shutdown lost nothing: {}", report.is_clean());
    Ok(())
}
