//! The lame duck: how the server knows that nobody is on the way to it any more.
//!
//! After the announcement, load balancers and clients need a moment to learn of it. Until no new connection or request
//! has come for a quiet interval, or a cap is reached, everything is served. It watches traffic instead of sleeping,
//! and costs one load a request before.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use futures_util::task::AtomicWaker;
use slab::Slab;
use sundown::{Deadline, Runtime};

/// When the lame duck ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LameDuck {
    pub(crate) quiet: Duration,
    pub(crate) cap: Duration,
}

impl Default for LameDuck {
    fn default() -> Self {
        // Quiet: a signal and a request sent at the same time are some milliseconds apart on a busy machine; a load
        // balancer that learns of it over the network needs more, and sets it. Cap: kube-proxy has been seen to need
        // 3 s (https://github.com/kubernetes/kubernetes/issues/43576).
        LameDuck { quiet: Duration::from_millis(250), cap: Duration::from_secs(5) }
    }
}

/// When traffic came last. Kept only while draining.
#[derive(Debug)]
pub(crate) struct Traffic {
    base: Instant,
    /// The last request, in nanoseconds after `base`.
    last: AtomicU64,
    /// When connections came that have not shown what they want: a request may be on its way, or a health probe, which
    /// is no traffic.
    silent: Mutex<Slab<Instant>>,
    /// How often one of them has shown it, or gone, and who waits for that.
    shown: AtomicU64,
    waiting: AtomicWaker,
}

impl Traffic {
    pub(crate) fn new(base: Instant) -> Self {
        Traffic {
            base,
            last: AtomicU64::new(0),
            silent: Mutex::default(),
            shown: AtomicU64::new(0),
            waiting: AtomicWaker::new(),
        }
    }

    /// A request has come.
    pub(crate) fn touch(&self, now: Instant) {
        let nanos = now.saturating_duration_since(self.base).as_nanos();
        // Relaxed: the moment stands for itself.
        self.last.fetch_max(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// A connection has come.
    pub(crate) fn expect(&self, now: Instant) -> usize {
        self.silent().insert(now)
    }

    /// It has shown what it wants, or gone.
    pub(crate) fn expect_no_more(&self, connection: usize) {
        self.silent().try_remove(connection);
        // Release: who sees the count has the list without it. `AtomicWaker` orders the rest.
        self.shown.fetch_add(1, Ordering::Release);
        self.waiting.wake();
    }

    fn last(&self) -> Instant {
        let request = self.base + Duration::from_nanos(self.last.load(Ordering::Relaxed));
        self.silent().iter().map(|(_, came)| *came).fold(request, Instant::max)
    }

    fn silent(&self) -> MutexGuard<'_, Slab<Instant>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves when no request has come for this time.
    pub(crate) async fn hush(&self, time: Duration, runtime: &Arc<dyn Runtime>) {
        // A time too far to be told is never reached.
        while let Some(until) = self.last().checked_add(time).filter(|until| *until > runtime.now()) {
            runtime.sleep_until(until).await;
        }
    }

    /// Resolves when traffic is quiet, or the cap is reached, or half of the component's time has gone.
    pub(crate) async fn quiet(&self, duck: LameDuck, deadline: &Deadline, runtime: &Arc<dyn Runtime>) {
        let began = runtime.now();
        loop {
            let shown = self.shown.load(Ordering::Acquire);
            let half = began + deadline.at().saturating_duration_since(began) / 2;
            // A time too far to be told is never reached.
            let quiet = self.last().max(began).checked_add(duck.quiet);
            let cap = began.checked_add(duck.cap);
            let until = [quiet, cap].into_iter().flatten().fold(half, Instant::min);
            if until <= runtime.now() {
                return;
            }
            let mut sleep = runtime.sleep_until(until);
            poll_fn(|cx| {
                self.waiting.register(cx.waker());
                if self.shown.load(Ordering::Acquire) != shown {
                    // What was waited for may have been a health probe.
                    return Poll::Ready(());
                }
                sleep.as_mut().poll(cx)
            })
            .await;
        }
    }
}
