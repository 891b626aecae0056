//! The runtime in `your_own_runtime/` keeps the contract: every rule of it is a test. One has none: how a task behaves
//! that is woken while it runs is the executor's own affair.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, unreachable_pub)] // nothing here but a test

#[path = "../your_own_runtime/runtime/mod.rs"]
#[allow(unused_imports, reason = "the program needs more of it than the suite")]
mod runtime;

use std::{future::poll_fn, sync::mpsc, task::Poll, time::Duration};

use sundown::Runtime;
use sundown_testkit::conformance::Running;

use self::runtime::{Executor, YourRuntime};

/// A fresh one, for each rule. It is gone when its executor is dropped.
fn start(threads: usize) -> Running {
    let executor = Executor::start(threads).unwrap();
    Running::new(YourRuntime::on(&executor), threads).ended_by(move || drop(executor))
}

mod on_one_thread {
    sundown_testkit::runtime_conformance!(|| super::start(1));
}

mod on_three_threads {
    sundown_testkit::runtime_conformance!(|| super::start(3));
}

#[test]
fn a_task_that_is_woken_while_it_runs_runs_again() {
    let executor = Executor::start(1).unwrap();
    let (send, done) = mpsc::channel();
    YourRuntime::on(&executor).spawn(Box::pin(async move {
        let mut yielded = false;
        let yields = poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }
        });
        yields.await;
        send.send(()).unwrap();
    }));
    done.recv_timeout(Duration::from_secs(10)).unwrap();
}
