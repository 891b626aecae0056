//! Exchanges side by side: those on the streams of one HTTP/2 connection.
//!
//! Each has a task of its own, so each is woken on its own when the server goes on. Nobody competes with the runtime for
//! what is written there: a frame that is not hyper's can never be right.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use slab::Slab;

use crate::{exchange::Exchange, ramp::Rank};

pub(crate) struct Streams {
    /// What decides when their connection leaves.
    pub(crate) rank: Rank,
    leaves: AtomicBool,
    /// The lock is one connection's own, and nothing is called under it.
    exchanges: Mutex<Slab<Arc<Exchange>>>,
    had_any: AtomicBool,
}

impl Streams {
    /// None, on a connection of this rank.
    pub(crate) fn new(rank: Rank) -> Self {
        Streams {
            rank,
            leaves: AtomicBool::new(false),
            exchanges: Mutex::default(),
            had_any: AtomicBool::new(false),
        }
    }

    /// Their connection leaves: each is told.
    pub(crate) fn leave(&self) {
        // Relaxed: whoever is woken by this sees it.
        self.leaves.store(true, Ordering::Relaxed);
        self.wake();
    }

    pub(crate) fn leaves(&self) -> bool {
        self.leaves.load(Ordering::Relaxed)
    }

    fn slab(&self) -> MutexGuard<'_, Slab<Arc<Exchange>>> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an exchange has ever begun. Relaxed: whoever asks is polled after every frame.
    pub(crate) fn had_any(&self) -> bool {
        self.had_any.load(Ordering::Relaxed)
    }

    /// An exchange has begun.
    pub(crate) fn seat(&self, mut exchange: Exchange) -> Arc<Exchange> {
        self.had_any.store(true, Ordering::Relaxed);
        let mut slab = self.slab();
        let entry = slab.vacant_entry();
        exchange.seat = entry.key();
        entry.insert(Arc::new(exchange)).clone()
    }

    /// It is over.
    pub(crate) fn vacate(&self, exchange: &Exchange) {
        let left = self.slab().try_remove(exchange.seat);
        exchange.end();
        drop(left);
    }

    pub(crate) fn exchanges(&self) -> Vec<Arc<Exchange>> {
        self.slab().iter().map(|(_, exchange)| exchange.clone()).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slab().is_empty()
    }

    /// Wakes every exchange's task. Wakers are foreign code: one that panics keeps nobody else asleep.
    pub(crate) fn wake(&self) {
        for exchange in self.exchanges() {
            let _ = catch_unwind(AssertUnwindSafe(|| exchange.task.wake()));
        }
    }
}
