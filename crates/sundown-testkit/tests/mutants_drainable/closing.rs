//! Wrong ways to close, and to count.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use sundown::{InFlight, Job};

use crate::fault::{Fault, Held, count};

/// Waits for the work in flight.
pub(crate) struct Waits;

impl Fault for Waits {
    fn close(&self, right: &Held) {
        right.close();
        while count(right) > 0 {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[derive(Default)]
pub(crate) struct Once(AtomicBool);

impl Fault for Once {
    fn close(&self, right: &Held) {
        assert!(!self.0.swap(true, Ordering::AcqRel), "closed already, on purpose");
        right.close();
    }
}

/// Whoever is refused is let in elsewhere.
#[derive(Default)]
pub(crate) struct BackDoor(Held);

impl Fault for BackDoor {
    fn begin(&self, right: &Held, id: &str) -> Option<Job<()>> {
        right.begin(id, ()).or_else(|_| self.0.begin(id, ())).ok()
    }
}

/// Counts no further than what a report names.
pub(crate) struct CountsFew;

impl Fault for CountsFew {
    fn in_flight(&self, right: &Held) -> InFlight {
        InFlight::counted(count(right).min(InFlight::NAMED))
    }
}

/// Counts one too many while there is nothing.
pub(crate) struct CountsItself;

impl Fault for CountsItself {
    fn in_flight(&self, right: &Held) -> InFlight {
        right.in_flight().at_least(1)
    }
}
