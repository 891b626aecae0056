//! The timer of one connection of HTTP/1, for which hyper sets a timeout anew before every request.
//!
//! Few ever fire. So the alarm that the runtime was asked for stays where it is while no timeout runs, and the next one
//! takes it: it is due later, and when the alarm rings too early, it is set again. Of that the task hears once in the
//! time of a timeout, and everything else costs the runtime nothing.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use sundown::Runtime;

pub(crate) struct LazyTimer(Arc<Shared>);

struct Shared {
    runtime: Arc<dyn Runtime>,
    /// The alarm that no timeout has. The lock guards the place, and nothing is called or dropped under it.
    spare: Mutex<Option<Alarm>>,
}

/// It has not been found to have rung.
struct Alarm {
    at: Instant,
    rings: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
}

struct Sleep {
    until: Instant,
    /// Not after `until`; `None` once that has come.
    alarm: Option<Alarm>,
    shared: Arc<Shared>,
}

impl LazyTimer {
    pub(crate) fn new(runtime: Arc<dyn Runtime>) -> Self {
        LazyTimer(Arc::new(Shared { runtime, spare: Mutex::default() }))
    }
}

impl Shared {
    fn spare(&self) -> MutexGuard<'_, Option<Alarm>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alarm(&self, at: Instant) -> Alarm {
        Alarm { at, rings: self.runtime.sleep_until(at) }
    }
}

impl hyper::rt::Timer for LazyTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, until: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        let spare = self.0.spare().take();
        let alarm = spare.filter(|alarm| alarm.at <= until).unwrap_or_else(|| self.0.alarm(until));
        Box::pin(Sleep { until, alarm: Some(alarm), shared: self.0.clone() })
    }

    fn now(&self) -> Instant {
        self.0.runtime.now()
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        while let Some(alarm) = &mut this.alarm {
            ready!(alarm.rings.as_mut().poll(cx));
            let is_early = alarm.at < this.until;
            this.alarm = is_early.then(|| this.shared.alarm(this.until));
        }
        Poll::Ready(())
    }
}

impl hyper::rt::Sleep for Sleep {}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(alarm) = self.alarm.take() {
            let before = self.shared.spare().replace(alarm);
            drop(before);
        }
    }
}

#[cfg(test)]
mod tests;
