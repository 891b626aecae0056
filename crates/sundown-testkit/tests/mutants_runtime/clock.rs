//! Wrong clocks and timers.

use std::{
    future::{Future, pending, poll_fn},
    pin::Pin,
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use sundown::Runtime;
use sundown_tokio::Tokio;
use tokio::sync::oneshot;

use crate::fault::{Fault, Timer};

const MS: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Every other reading is a millisecond late.
#[derive(Default)]
pub(crate) struct GoesBack(AtomicU32);

impl Fault for GoesBack {
    fn now(&self, right: &Tokio) -> Instant {
        right.now() - MS * (self.0.fetch_add(1, Ordering::Relaxed) % 2)
    }
}

pub(crate) struct Ahead;

impl Fault for Ahead {
    fn now(&self, right: &Tokio) -> Instant {
        right.now() + DAY
    }
}

pub(crate) struct Early;

impl Fault for Early {
    fn sleep_until(&self, right: &Tokio, at: Instant) -> Timer {
        right.sleep_until(at - 20 * MS)
    }
}

/// Those of less than 20 ms work.
pub(crate) struct Never;

impl Fault for Never {
    fn sleep_until(&self, right: &Tokio, at: Instant) -> Timer {
        if at > Instant::now() + 20 * MS { Box::pin(pending()) } else { right.sleep_until(at) }
    }
}

pub(crate) struct PastPending;

impl Fault for PastPending {
    fn sleep_until(&self, right: &Tokio, at: Instant) -> Timer {
        if at <= Instant::now() { Box::pin(pending()) } else { right.sleep_until(at) }
    }
}

pub(crate) struct Overflow;

impl Fault for Overflow {
    fn sleep_until(&self, right: &Tokio, at: Instant) -> Timer {
        let far = at > Instant::now() + DAY;
        right.sleep_until(if far { Instant::now() } else { at })
    }
}

/// Its timers panic when they are dropped before their end.
pub(crate) struct MustEnd;

impl Fault for MustEnd {
    fn sleep_until(&self, right: &Tokio, at: Instant) -> Timer {
        Box::pin(Ending { right: right.sleep_until(at), under_way: false })
    }
}

struct Ending {
    right: Timer,
    under_way: bool,
}

impl Future for Ending {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let polled = self.right.as_mut().poll(cx);
        self.under_way = polled.is_pending();
        polled
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        assert!(!self.under_way, "a timer was dropped, on purpose");
    }
}

/// Its timers wake whoever polled them first.
pub(crate) struct FirstWaker;

impl Fault for FirstWaker {
    fn sleep_until(&self, right: &Tokio, at: Instant) -> Timer {
        let (mut timer, mut first) = (right.sleep_until(at), None::<Waker>);
        Box::pin(poll_fn(move |cx| {
            let waker = first.get_or_insert_with(|| cx.waker().clone());
            timer.as_mut().poll(&mut Context::from_waker(waker))
        }))
    }
}

/// The service's own reactor keeps the time of every timer.
pub(crate) struct OnTheService;

impl Fault for OnTheService {
    fn sleep_until(&self, right: &Tokio, at: Instant) -> Timer {
        let (tell, over) = oneshot::channel();
        let timer = right.sleep_until(at);
        right.spawn(Box::pin(async move {
            timer.await;
            let _ = tell.send(());
        }));
        Box::pin(async move {
            if over.await.is_err() {
                pending::<()>().await;
            }
        })
    }
}
