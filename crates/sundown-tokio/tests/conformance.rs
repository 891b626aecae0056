//! The contract of a runtime, on both of tokio's.

#![allow(clippy::unwrap_used, reason = "what helps tests is a test")]

use std::{sync::mpsc, thread};

use sundown_testkit::conformance::Running;
use sundown_tokio::Tokio;
use tokio::{runtime::Builder, sync::oneshot};

/// Runs it on a thread of its own, until it is told to stop.
fn run(mut builder: Builder, threads: usize) -> Running {
    let (tell, started) = mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = thread::spawn(move || {
        let runtime = builder.enable_all().build().unwrap();
        tell.send(runtime.handle().clone()).unwrap();
        let _ = runtime.block_on(stopped);
    });
    Running::new(Tokio::of(started.recv().unwrap()), threads).ended_by(move || {
        drop(stop);
        thread.join().unwrap();
    })
}

fn current_thread() -> Running {
    run(Builder::new_current_thread(), 1)
}

fn multi_thread() -> Running {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2);
    run(builder, 2)
}

mod on_the_current_thread {
    sundown_testkit::runtime_conformance!(super::current_thread);
}

mod on_many_threads {
    sundown_testkit::runtime_conformance!(super::multi_thread);
}
