//! Who is to be woken when: a table of timers that knows no clock.

use std::{collections::BTreeMap, mem, task::Waker, time::Instant};

/// Names a timer. The earlier one is the smaller one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerId {
    at: Instant,
    number: u64,
}

#[derive(Default)]
pub struct Timers {
    waiting: BTreeMap<TimerId, Waker>,
    made: u64,
}

impl Timers {
    /// A timer for this moment, that nobody waits for yet.
    pub fn new_id(&mut self, at: Instant) -> TimerId {
        self.made += 1;
        TimerId { at, number: self.made }
    }

    /// Somebody waits for it. Returns who did before, to be dropped outside any lock.
    pub fn set(&mut self, id: TimerId, waker: Waker) -> Option<Waker> {
        self.waiting.insert(id, waker)
    }

    /// Nobody waits for it any more.
    pub fn cancel(&mut self, id: TimerId) -> Option<Waker> {
        self.waiting.remove(&id)
    }

    /// When to look again.
    pub fn next(&self) -> Option<Instant> {
        self.waiting.keys().next().map(|id| id.at)
    }

    /// Takes out who is to be woken now.
    pub fn expired(&mut self, now: Instant) -> impl Iterator<Item = Waker> + use<> {
        let later = self.waiting.split_off(&TimerId { at: now, number: u64::MAX });
        mem::replace(&mut self.waiting, later).into_values()
    }

    /// Takes out everybody.
    pub fn clear(&mut self) -> impl Iterator<Item = Waker> + use<> {
        mem::take(&mut self.waiting).into_values()
    }
}
