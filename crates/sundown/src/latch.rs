//! A flag that is set once, and whoever waits for it.
//!
//! Invariants:
//!
//! 1. **No lost wake-up.** A waiter registers under the lock and looks at the flag again before it returns
//!    `Pending`; the setter stores the flag before it takes the lock to collect the wakers. One of the two sees the
//!    other.
//! 2. **Wakers run outside the lock**, so that one which comes back into the latch cannot deadlock. One that panics
//!    does not keep the others asleep.
//! 3. **A waiter keeps one slot**, however often it is polled, and gives it back when it is dropped.
//!
//! Setting and waking are two steps, because the conductor may do the first and must not do the second: a waker is
//! foreign code.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
    time::Instant,
};

use slab::Slab;

use crate::{
    host::Awaited,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// A one-shot flag with waiters, tasks and threads alike.
#[derive(Debug, Default)]
pub struct Latch {
    set: AtomicBool,
    /// The wakers of the tasks that wait. Emptied for good once the flag is set.
    waiting: Mutex<Slab<Waker>>,
    changed: Condvar,
}

impl Latch {
    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        // Acquire: who sees the flag also sees what was written before it was set (the deadline, the report).
        self.set.load(Ordering::Acquire)
    }

    /// Sets the flag and wakes nobody but blocked threads, which run no foreign code.
    pub fn set(&self) {
        // Release: pairs with the load in `is_set`.
        self.set.store(true, Ordering::Release);
        // A thread that has seen the flag unset holds the lock until it sleeps; taking it here lets the notification
        // come after.
        drop(self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    /// Wakes the tasks that wait. Runs foreign code: their wakers.
    pub(crate) fn wake(&self) {
        let wakers = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        for (_, waker) in wakers {
            swallow(|| waker.wake());
        }
    }

    /// Whether a task waits. Asked after the flag was set: who registers later sees that it is.
    pub(crate) fn is_waited_for(&self) -> bool {
        !self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Sets the flag and wakes everyone.
    pub(crate) fn open(&self) {
        self.set();
        self.wake();
    }

    /// Blocks the calling thread until the flag is set or the time has come. Returns whether it is set.
    fn wait_until(&self, at: Option<Instant>) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.is_set() {
            waiting = match at {
                None => self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    self.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }

    fn register(&self, slot: &mut Option<usize>, waker: &Waker) {
        // Cloned, and the old one dropped, outside the lock: both are foreign code.
        let fresh = waker.clone();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let stale = match slot.and_then(|key| waiting.get_mut(key)) {
            Some(old) => Some(std::mem::replace(old, fresh)),
            None => {
                *slot = Some(waiting.insert(fresh));
                None
            }
        };
        drop(waiting);
        drop(stale);
    }

    fn forget(&self, slot: usize) {
        let waker = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).try_remove(slot);
        drop(waker);
    }
}

/// Runs foreign code whose panic concerns nobody else. What it throws may throw again when it is dropped.
pub fn swallow(foreign: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(foreign))
        && let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic)))
    {
        std::mem::forget(again);
    }
}

/// The future of a latch inside something shared.
///
/// Cancel safe: dropping it gives its slot back; another one may be made at any time.
pub(crate) struct Waiting<T: AsRef<Latch>> {
    owner: T,
    slot: Option<usize>,
    /// What is in the slot.
    left: Option<Waker>,
}

impl<T: AsRef<Latch>> Waiting<T> {
    pub(crate) fn new(owner: T) -> Self {
        Waiting { owner, slot: None, left: None }
    }

    pub(crate) fn owner(&self) -> &T {
        &self.owner
    }
}

impl<T: AsRef<Latch> + Unpin> Future for Waiting<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let latch = this.owner.as_ref();
        if latch.is_set() {
            return Poll::Ready(());
        }
        // Who is polled often, as a reader is, takes the lock once: a slot is emptied only when the flag is set.
        if !this.left.as_ref().is_some_and(|left| left.will_wake(cx.waker())) {
            // Both run foreign code: if either panics, the slot's content is not known.
            this.left = None;
            latch.register(&mut this.slot, cx.waker());
            this.left = Some(cx.waker().clone());
        }
        if latch.is_set() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<T: AsRef<Latch>> Drop for Waiting<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.owner.as_ref().forget(slot);
        }
    }
}

impl AsRef<Latch> for Latch {
    fn as_ref(&self) -> &Latch {
        self
    }
}

impl Awaited for &Latch {
    fn is_ready(&mut self) -> bool {
        self.is_set()
    }

    fn block(&mut self, until: Option<Instant>) -> bool {
        self.wait_until(until)
    }
}

/// A latch that its waiters share.
pub(crate) type Shared = Arc<Latch>;

#[cfg(test)]
impl Latch {
    /// How many tasks wait.
    pub(crate) fn waiters(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// For how many there is room.
    pub(crate) fn room(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).capacity()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use super::*;

    struct Reenter(Shared, AtomicBool);

    impl Wake for Reenter {
        fn wake(self: Arc<Self>) {
            // What a task does that is woken inline: it drops its waiter and makes another.
            let mut again = Waiting::new(self.0.clone());
            assert!(Pin::new(&mut again).poll(&mut Context::from_waker(Waker::noop())).is_ready());
            self.1.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_waker_may_come_back_into_the_latch() {
        let latch = Shared::default();
        let waker = Arc::new(Reenter(latch.clone(), AtomicBool::new(false)));
        let mut waiting = Waiting::new(latch.clone());
        assert!(Pin::new(&mut waiting).poll(&mut Context::from_waker(&waker.clone().into())).is_pending());
        latch.open();
        assert!(waker.1.load(Ordering::SeqCst));
    }

    #[test]
    fn a_million_short_waits_leave_nothing_behind() {
        let latch = Latch::default();
        for _ in 0..1_000_000 {
            let mut waiting = Waiting::new(&latch);
            assert!(Pin::new(&mut waiting).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert!(latch.room() <= 4);
    }

    #[test]
    fn a_waker_that_panics_keeps_nobody_asleep() {
        struct Panics;
        impl Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("on purpose");
            }
        }
        let latch = Shared::default();
        let woken = Arc::new(Reenter(latch.clone(), AtomicBool::new(false)));
        let mut first = Waiting::new(latch.clone());
        let mut second = Waiting::new(latch.clone());
        assert!(Pin::new(&mut first).poll(&mut Context::from_waker(&Arc::new(Panics).into())).is_pending());
        assert!(Pin::new(&mut second).poll(&mut Context::from_waker(&woken.clone().into())).is_pending());
        latch.open();
        assert!(woken.1.load(Ordering::SeqCst));
    }

    #[test]
    fn a_thread_waits_no_longer_than_it_said() {
        let latch = Latch::default();
        assert!(!latch.wait_until(Some(Instant::now())));
        latch.set();
        assert!(latch.wait_until(None));
    }
}
