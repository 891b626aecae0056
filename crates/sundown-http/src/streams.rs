//! Exchanges side by side: those on the streams of one HTTP/2 connection, or on all connections of somebody else's
//! server.
//!
//! Each has a task of its own, so each is woken on its own when the server goes on. Nobody competes with the runtime for
//! what is written there: a frame that is not hyper's can never be right.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use slab::Slab;
use sundown::host::swallow;

use crate::exchange::Exchange;

pub(crate) struct Streams<const SHARDS: usize = 1> {
    /// With one shard the lock is one connection's own; with more, each thread has its own, as far as they go. Nothing is
    /// called under it.
    shards: [Mutex<Slab<Arc<Exchange>>>; SHARDS],
    had_any: AtomicBool,
}

impl<const SHARDS: usize> Default for Streams<SHARDS> {
    fn default() -> Self {
        Streams { shards: std::array::from_fn(|_| Mutex::default()), had_any: AtomicBool::new(false) }
    }
}

impl<const SHARDS: usize> Streams<SHARDS> {
    fn slab(&self, shard: usize) -> MutexGuard<'_, Slab<Arc<Exchange>>> {
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request has ever come. Relaxed: whoever asks is polled after every frame.
    pub(crate) fn had_any(&self) -> bool {
        self.had_any.load(Ordering::Relaxed)
    }

    /// A request has come.
    pub(crate) fn set_had_any(&self) {
        if !self.had_any() {
            self.had_any.store(true, Ordering::Relaxed);
        }
    }

    /// An exchange has begun.
    pub(crate) fn seat(&self, exchange: Arc<Exchange>) {
        let shard = if SHARDS > 1 { THREAD.with(|thread| thread % SHARDS) } else { 0 };
        let mut slab = self.slab(shard);
        let entry = slab.vacant_entry();
        exchange.set_seat(entry.key() * SHARDS + shard);
        entry.insert(exchange);
    }

    /// It is over.
    pub(crate) fn vacate(&self, exchange: &Exchange) {
        let seat = exchange.seat();
        let left = self.slab(seat % SHARDS).try_remove(seat / SHARDS);
        exchange.end();
        drop(left);
    }

    pub(crate) fn exchanges(&self) -> Vec<Arc<Exchange>> {
        let of = |shard| self.slab(shard).iter().map(|(_, exchange)| exchange.clone()).collect::<Vec<_>>();
        (0..SHARDS).flat_map(of).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        (0..SHARDS).all(|shard| self.slab(shard).is_empty())
    }

    /// Wakes every exchange's task. Wakers are foreign code: one that panics keeps nobody else asleep.
    pub(crate) fn wake(&self) {
        for exchange in self.exchanges() {
            swallow(|| exchange.task.wake());
        }
    }
}

thread_local! {
    /// Tells threads apart.
    static THREAD: usize = {
        let mut hasher = DefaultHasher::new();
        thread::current().id().hash(&mut hasher);
        hasher.finish() as usize
    };
}
