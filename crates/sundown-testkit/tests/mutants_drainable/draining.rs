//! Wrong ways to wait until nothing is in flight.

use std::{
    future::{pending, poll_fn},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker},
    thread,
    time::Duration,
};

use sundown::{Claims, InFlight, Job, Watch};

use crate::fault::{Fault, Held, count};

/// Looks at nothing before some work ends.
pub(crate) struct WaitsForWork;

#[sundown::async_trait]
impl Fault for WaitsForWork {
    async fn drained(&self, right: &Held) {
        if count(right) == 0 {
            pending::<()>().await;
        }
        right.empty().await;
    }
}

pub(crate) struct DoesNotWait;

#[sundown::async_trait]
impl Fault for DoesNotWait {
    async fn drained(&self, _: &Held) {}
}

/// Is not woken if it had to wait.
pub(crate) struct SleepsOn;

#[sundown::async_trait]
impl Fault for SleepsOn {
    async fn drained(&self, right: &Held) {
        if count(right) > 0 {
            pending::<()>().await;
        }
        right.empty().await;
    }
}

/// Waits for the next end of some work, whatever has ended before.
#[derive(Default)]
pub(crate) struct NeedsAnEvent {
    begun: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

#[sundown::async_trait]
impl Fault for NeedsAnEvent {
    fn begin(&self, right: &Held, id: &str) -> Option<Job<()>> {
        self.begun.store(true, Ordering::Release);
        right.begin(id, ()).ok()
    }

    fn commit(&self, job: Job<()>) -> bool {
        let committed = job.complete().is_ok();
        if let Some(waiting) = self.waiting.lock().unwrap().take() {
            waiting.wake();
        }
        committed
    }

    async fn drained(&self, right: &Held) {
        if !self.begun.load(Ordering::Acquire) {
            return;
        }
        let mut polled = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut polled, true) && count(right) == 0 {
                return Poll::Ready(());
            }
            *self.waiting.lock().unwrap() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Looks whether it is closed, and counts a moment later.
#[derive(Default)]
pub(crate) struct LooksAndCounts {
    closed: AtomicBool,
    held: Held,
}

#[sundown::async_trait]
impl Fault for LooksAndCounts {
    fn begin(&self, _: &Held, id: &str) -> Option<Job<()>> {
        if self.closed.load(Ordering::Acquire) {
            return None;
        }
        thread::sleep(Duration::from_micros(500));
        self.held.begin(id, ()).ok()
    }

    fn joined(&self, _: &Held, watch: &Watch) {
        self.held.joined(watch);
    }

    fn close(&self, _: &Held) {
        self.closed.store(true, Ordering::Release);
    }

    async fn drained(&self, _: &Held) {
        poll_fn(|cx| {
            if count(&self.held) == 0 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn in_flight(&self, _: &Held) -> InFlight {
        self.held.in_flight()
    }

    fn claim(&self, _: &Held, claims: &Claims) {
        self.closed.store(true, Ordering::Release);
        self.held.claim(claims);
    }
}

#[derive(Default)]
pub(crate) struct Once(AtomicBool);

#[sundown::async_trait]
impl Fault for Once {
    async fn drained(&self, right: &Held) {
        if self.0.swap(true, Ordering::AcqRel) {
            pending::<()>().await;
        }
        right.empty().await;
    }
}
