//! The thread that looks. It allocates nothing until it raises the alarm, and it sleeps in between: until the next look,
//! the claim, or the end of the watch, whichever comes first.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use memmap2::MmapMut;
use sundown::{Handle, Reason};

use crate::{
    Trouble,
    forecast::{OFTEN, RARELY, Rule, Trend},
    level::Level,
};

/// Whom to tell what keeps it from seeing.
pub(crate) type Tell = Box<dyn FnOnce(&Trouble) + Send>;

/// A limit, and how the use comes nearer to it.
struct Limit {
    level: Level,
    trend: Trend,
    next: Duration,
}

pub(crate) struct Sentry {
    limits: Vec<Limit>,
    rule: Rule,
    ballast: Option<MmapMut>,
    /// Until it has been told.
    tell: Option<Tell>,
}

impl Sentry {
    pub(crate) fn new(levels: Vec<Level>, rule: Rule, ballast: Option<MmapMut>, tell: Tell) -> Self {
        let limit = |level| Limit { level, trend: Trend::default(), next: Duration::ZERO };
        Sentry { limits: levels.into_iter().map(limit).collect(), rule, ballast, tell: Some(tell) }
    }

    /// Looks until there is an alarm, or nothing to look for any more.
    pub(crate) fn run(mut self, shutdown: &Handle, stopped: &AtomicBool) {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        // Up to the claim memory may run out: what is handed over then is not lost.
        let mut claimed = pin!(shutdown.watch().claimed());
        let mut claimed = || claimed.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        loop {
            let next = self.look(Instant::now());
            // Last before the alarm: whoever has ended the watch by then gets none. Acquire: pairs with the store of
            // whoever ends it.
            if claimed() || stopped.load(Ordering::Acquire) {
                return;
            }
            let Some(next) = next else { break };
            // Whoever wakes it before the time has a reason, or costs a look.
            thread::park_timeout(next);
        }
        drop(self.ballast.take());
        shutdown.begin(Reason::Memory);
        shutdown.hurry();
    }

    /// Looks at every limit. Returns when the next look is due, or nothing if there is an alarm.
    fn look(&mut self, now: Instant) -> Option<Duration> {
        let mut next = RARELY;
        for limit in &mut self.limits {
            match limit.level.read() {
                Ok(Some(reading)) => {
                    if limit.trend.handle_reading(now, reading, &self.rule) {
                        return None;
                    }
                    limit.next = limit.trend.next_in(reading);
                }
                Ok(None) => {
                    limit.trend = Trend::default();
                    limit.next = RARELY;
                }
                Err(failure) => {
                    // It may be for the moment, or for ever.
                    limit.next = (limit.next * 2).clamp(OFTEN, RARELY);
                    if let Some(tell) = self.tell.take() {
                        tell_beside(tell, limit.level.trouble(failure));
                    }
                }
            }
            next = next.min(limit.next);
        }
        Some(next)
    }
}

/// Foreign code, on a thread of its own: it may never return. What it throws may throw again when it is dropped.
fn tell_beside(tell: Tell, trouble: Trouble) {
    let run = move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| tell(&trouble))) {
            mem::forget(panic);
        }
    };
    let _ = thread::Builder::new().name("sundown-trouble".into()).spawn(run);
}

/// Wakes the thread at the claim.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
