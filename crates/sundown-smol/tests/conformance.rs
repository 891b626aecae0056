//! The contract of a runtime, on smol's global executor and on one of our own.

#![allow(clippy::unwrap_used, reason = "what helps tests is a test")]

use std::{sync::Arc, thread};

use smol::{Executor, channel};
use sundown_smol::Smol;
use sundown_testkit::conformance::Running;

/// Its threads are those of `SMOL_THREADS`, one by default.
fn global() -> Running {
    let threads = std::env::var("SMOL_THREADS").ok().and_then(|threads| threads.parse().ok());
    Running::new(Smol::global(), threads.unwrap_or(1))
}

/// One that nobody runs any more counts as gone.
fn own() -> Running {
    let executor = Arc::new(Executor::new());
    let (stop, stopped) = channel::bounded::<()>(1);
    let runs = executor.clone();
    let thread = thread::spawn(move || {
        let _ = smol::block_on(runs.run(stopped.recv()));
    });
    Running::new(Smol::on(executor), 1).ended_by(move || {
        drop(stop);
        thread.join().unwrap();
    })
}

mod on_the_global_executor {
    sundown_testkit::runtime_conformance!(super::global);
}

mod on_an_executor_of_our_own {
    sundown_testkit::runtime_conformance!(super::own);
}
