//! Lesson 3: the order.
//!
//! Parts of a service end in an order: the server stops before the workers that its handlers feed, the workers before
//! the database that they write to. [`after`](sundown::Builder::after) says what a component waits for; it is closed
//! when all of that has ended, and until then takes work as ever. Release hooks come last, when nothing runs any more.
//! Who thinks in phases names them ([`phases`](sundown::Builder::phases)) instead.
//!
//! ```text
//! cargo run --example 03_order
//! ```

#![forbid(unsafe_code)]

use std::{error::Error, time::Duration};

use sundown::{Deadline, Drainable, Gate, Overdue, Shutdown};
use sundown_tokio::Tokio;

/// A component that says when its turn has come. Everything a component must do is to close, and to tell when it is
/// empty; here a gate knows both.
#[derive(Clone)]
struct Part {
    name: &'static str,
    gate: Gate,
}

#[sundown::async_trait]
impl Drainable for Part {
    fn close(&self, _: &Deadline) {
        println!("{}: closed", self.name);
        self.gate.close();
    }

    async fn drained(&self) {
        self.gate.empty().await;
        println!("{}: drained", self.name);
    }
}

fn part(name: &'static str) -> Part {
    Part { name, gate: Gate::new() }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (server, workers, database) = (part("server"), part("workers"), part("database"));
    let unknown =
        Shutdown::process(Tokio::current()).component("workers", workers.clone()).after(["sever"]).start();
    if let Err(error) = unknown {
        println!("refused at the start: {error}");
    }

    let builder = Shutdown::process(Tokio::current())
        .component("database", database) // what comes first here says nothing: `after` does
        .after(["workers"])
        .within(Duration::from_secs(1), Overdue::StopWaiting) // at most a second from its turn
        .component("workers", workers.clone())
        .after(["server"])
        .component("server", server.clone())
        .at_release("telemetry", async { println!("telemetry: flushed") })
        .grace(Duration::from_secs(10));
    // Run dry, the plan says what it would come to at the latest. (`mermaid()` draws it.)
    print!("{}", builder.plan()?);
    let shutdown = builder.start()?;

    let request = server.gate.enter()?;
    shutdown.begin("the lesson is over");
    server.gate.closed().await;
    // The handler of a request in hand can still give work to the workers, whose turn has not come.
    let work = workers.gate.enter()?;
    println!("a request in hand gives the workers something to do");
    drop(request);
    workers.gate.closed().await;
    drop(work);

    let report = shutdown.finished().await;
    println!("the shutdown lost nothing: {}", report.is_clean());
    Ok(())
}
