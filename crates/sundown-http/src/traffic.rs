//! The lame duck: how the server knows that nobody is on the way to it any more.
//!
//! After the announcement, load balancers and clients need a moment to learn of it. Until no new connection or request
//! has come for a quiet interval, or a cap is reached, everything is served. It watches traffic instead of sleeping,
//! and costs one load a request before.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

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

/// When traffic came last.
#[derive(Debug)]
pub(crate) struct Traffic {
    base: Instant,
    /// Nanoseconds after `base`.
    last: AtomicU64,
}

impl Traffic {
    pub(crate) fn new(base: Instant) -> Self {
        Traffic { base, last: AtomicU64::new(0) }
    }

    pub(crate) fn touch(&self, now: Instant) {
        let nanos = now.saturating_duration_since(self.base).as_nanos();
        // Relaxed: the moment stands for itself.
        self.last.fetch_max(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.base + Duration::from_nanos(self.last.load(Ordering::Relaxed))
    }

    /// Resolves when traffic is quiet, or the cap is reached, or half of the component's time has gone.
    pub(crate) async fn quiet(&self, duck: LameDuck, deadline: &Deadline, runtime: &Arc<dyn Runtime>) {
        let began = runtime.now();
        loop {
            let half = began + deadline.at().saturating_duration_since(began) / 2;
            // A time too far to be told is never reached.
            let quiet = self.last().max(began).checked_add(duck.quiet);
            let cap = began.checked_add(duck.cap);
            let until = [quiet, cap].into_iter().flatten().fold(half, Instant::min);
            if until <= runtime.now() {
                return;
            }
            runtime.sleep_until(until).await;
        }
    }
}
