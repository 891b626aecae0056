//! Who waits for a moment with nobody inside, whether the gate is closed or not.
//!
//! The moment may be short: by the time those who wait are woken, somebody may be inside again. So whoever leaves last
//! wakes all who waited *then*, and no others. It knows them by the number of those who had entered, which is in the
//! gate's word: it has the number at its moment, and each of them that at which it came.
//!
//! Invariants:
//!
//! 1. **No lost wake-up.** Who comes is listed first, and then sets `AWAITED` in the word, in one step with its look at
//!    who is inside. Who leaves last after that sees the bit. It is cleared under the lock, when nobody is listed.
//! 2. **No moment from before one's time.** Who is listed with a number beyond that of the moment came after it. (The
//!    numbers start again after 2²⁸: two that are half of that apart are told apart wrongly. One who is passed over so is
//!    woken by a later moment, at the latest by the one that lasts: all are, while nobody is inside.)

#[cfg(test)]
mod tests;

use std::{
    future::Future,
    sync::{Arc, PoisonError},
};

use slab::Slab;

use super::{AWAITED, ENTERED, Gate, Shared, inside};
use crate::{
    latch::{self, Waiting},
    sync::{Mutex, MutexGuard, atomic::Ordering},
};

/// Those who wait. The lock guards the list and the clearing of `AWAITED`.
#[derive(Debug, Default)]
pub(super) struct Quiet(Mutex<Slab<Waiter>>);

#[derive(Debug)]
struct Waiter {
    /// How many had entered when it came.
    entered: u64,
    come: latch::Shared,
}

impl Gate {
    /// Resolves when nobody is inside, closed or not; somebody may be inside again by then. Those who are refused by a
    /// closed gate are inside for a moment.
    ///
    /// To wait for a lull, in a test or before something that wants one, without a shutdown. What ends for good is closed
    /// first: [`empty`](Self::empty).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe. A moment that comes before the future is polled first is not waited for.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let gate = sundown::Gate::new();
    /// let guard = gate.enter()?;
    /// let quiet = tokio::spawn(gate.quiet());
    /// drop(guard);
    /// quiet.await?;
    /// assert!(!gate.is_closed());
    /// # Ok(()) }
    /// ```
    pub fn quiet(&self) -> impl Future<Output = ()> + Send + 'static {
        let gate = self.shared.clone();
        async move {
            if let Some(place) = Place::take(gate) {
                Waiting::new(place.come.clone()).await;
            }
        }
    }
}

impl Shared {
    /// Whoever has left was the last, and somebody waits for that; `before` is the word at that moment.
    #[cold]
    pub(super) fn moment(&self, before: u64) {
        let mut waiters = self.quiet.lock();
        let still = inside(self.state.load(Ordering::Acquire)) == 0;
        let due = |waiter: &Waiter| still || !is_beyond(waiter.entered, before / ENTERED);
        let keys: Vec<usize> = waiters.iter().filter(|(_, waiter)| due(waiter)).map(|(key, _)| key).collect();
        let come: Vec<_> = keys.into_iter().map(|key| waiters.remove(key).come).collect();
        self.clear(waiters);
        for latch in come {
            latch.open();
        }
    }

    fn clear(&self, waiters: MutexGuard<'_, Slab<Waiter>>) {
        if waiters.is_empty() {
            // Relaxed: nothing is published; who comes next takes the lock, and sets it again.
            self.state.fetch_and(!AWAITED, Ordering::Relaxed);
        }
    }
}

impl Quiet {
    fn lock(&self) -> MutexGuard<'_, Slab<Waiter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether so many had entered later than so many others had.
fn is_beyond(entered: u64, moment: u64) -> bool {
    const NUMBERS: u64 = u64::MAX / ENTERED + 1;
    (1..NUMBERS / 2).contains(&(entered.wrapping_sub(moment) % NUMBERS))
}

/// A place in the list, given back when it is dropped.
struct Place {
    gate: Arc<Shared>,
    key: usize,
    come: latch::Shared,
}

impl Place {
    /// `None`: nobody is inside.
    fn take(gate: Arc<Shared>) -> Option<Self> {
        let come = latch::Shared::default();
        let mut waiters = gate.quiet.lock();
        // Acquire: whoever is told that nobody is inside sees what those who were there had done. What the bit is set for
        // is published by the lock.
        let state = gate.state.fetch_or(AWAITED, Ordering::Acquire);
        if inside(state) == 0 {
            gate.clear(waiters);
            return None;
        }
        let key = waiters.insert(Waiter { entered: state / ENTERED, come: come.clone() });
        drop(waiters);
        Some(Place { gate, key, come })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiters = self.gate.quiet.lock();
        // Another's, if the moment has come for us.
        if waiters.get(self.key).is_some_and(|waiter| Arc::ptr_eq(&waiter.come, &self.come)) {
            waiters.remove(self.key);
        }
        self.gate.clear(waiters);
    }
}
