//! The timer of one connection of HTTP/1, for which hyper sets a timeout anew before every request.
//!
//! Few ever fire. So the alarm that the runtime was asked for stays where it is while no timeout runs, and the next one
//! looks at it: it is due later, and when the alarm rings too early, it is set again. Of that the task hears once in the
//! time of a timeout, and everything else costs the runtime nothing.
//!
//! An alarm wakes who has polled it last: all timeouts of one timer are one task's.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use sundown::Runtime;

pub(crate) struct LazyTimer(Arc<Shared>);

struct Shared {
    runtime: Arc<dyn Runtime>,
    /// The alarm that was set last, unless somebody is looking at it. The lock guards the place, and nothing is called or
    /// dropped under it.
    set: Mutex<Option<Alarm>>,
}

/// It has not been found to have rung.
struct Alarm {
    at: Instant,
    rings: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
}

/// It asks for no alarm before it is polled, and leaves the one it has asked for to those after it: a timeout that is over
/// in time costs its room alone.
struct Sleep {
    until: Instant,
    shared: Arc<Shared>,
}

impl LazyTimer {
    pub(crate) fn new(runtime: Arc<dyn Runtime>) -> Self {
        LazyTimer(Arc::new(Shared { runtime, set: Mutex::default() }))
    }
}

impl Shared {
    fn set(&self) -> MutexGuard<'_, Option<Alarm>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that rings at that time at the latest.
    fn take(&self, until: Instant) -> Alarm {
        let set = self.set().take();
        let in_time = set.filter(|alarm| alarm.at <= until);
        in_time.unwrap_or_else(|| Alarm { at: until, rings: self.runtime.sleep_until(until) })
    }

    fn put(&self, alarm: Alarm) {
        let before = self.set().replace(alarm);
        drop(before);
    }
}

impl hyper::rt::Timer for LazyTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, until: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep { until, shared: self.0.clone() })
    }

    fn now(&self) -> Instant {
        self.0.runtime.now()
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut alarm = self.shared.take(self.until);
            if alarm.rings.as_mut().poll(cx).is_pending() {
                self.shared.put(alarm);
                return Poll::Pending;
            }
            if alarm.at >= self.until {
                return Poll::Ready(());
            }
            // It was set for a timeout before this one: the next is set for this.
        }
    }
}

impl hyper::rt::Sleep for Sleep {}
