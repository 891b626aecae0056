//! What other crates for this job were found to get wrong, tried on ours.
//!
//! | defect | where it was met | here, and in the unit tests |
//! |---|---|---|
//! | wakers run under a lock: one that comes back deadlocks | async-shutdown, tokio-graceful, graceful-shutdown, elegant-departure | `a_waker_may_come_back_into_…`; `latch`: `a_waker_may_come_back_into_the_latch` |
//! | a waker that panics, or a destructor, keeps the others asleep | – | `latch`: `a_waker_that_panics_keeps_nobody_asleep`; `ledger`: `a_destructor_that_hangs_keeps_no_other_job_from_being_claimed` |
//! | no second look after registering: lost wake-ups | graceful-shutdown | `no_wake_up_is_lost_…`; every interleaving in the models of `latch`, `gate`, `jobs` and `watch` |
//! | counting in `poll`: an abort or a panic is never counted | graceful-shutdown | `work_that_is_aborted_…` |
//! | something is kept of every unit there ever was | elegant-departure, task-motel | `tests/memory_of_units.rs`; `latch`: `a_million_short_waits_…`; `ledger`: `a_million_short_jobs_…` |
//! | who registers while the signal comes is lost | – | `whoever_registers_while_the_shutdown_begins_…`; `gate`: `nobody_slips_in_…`; `ledger`: `a_hundred_thousand_jobs_racing_…` |
//! | one waker for many who wait: the rest hang | apalis | `everybody_is_woken` |

#![allow(clippy::unwrap_used)] // nothing here but a test

mod coming_back;
mod counting;
mod registering;
mod waking;

use std::{
    sync::mpsc,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use sundown::{BoxFuture, Shutdown};
use sundown_tokio::Tokio;

/// Far more than any of this takes; who waits longer waits for ever.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Runs it on a thread of its own, and says so if that never ends.
pub(crate) fn in_time<T: Send + 'static>(what: &str, body: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    let running = thread::spawn(move || drop(tell.send(body())));
    match told.recv_timeout(LONG) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what} never ends"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{what}: {:?}", running.join().err()),
    }
}

pub(crate) fn poll<T>(future: &mut BoxFuture<'static, T>, waker: &Waker) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

/// A shutdown on a runtime that nobody drives: it needs none.
pub(crate) fn shutdown() -> (tokio::runtime::Runtime, Shutdown) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shutdown = Shutdown::embedded(Tokio::of(runtime.handle().clone()))
        .grace(Duration::from_secs(60))
        .start()
        .unwrap();
    (runtime, shutdown)
}
