//! Permission to start, and a count of what was permitted.
//!
//! One word holds both: the count in the upper bits, *closed* in the lowest. That makes `enter` one atomic step: work
//! is either counted before the gate closed or refused, and nothing slips in between.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;

use crate::{
    Deadline, Drainable, InFlight,
    latch::{Latch, Waiting},
};

const CLOSED: usize = 1;
const ONE: usize = 2;

/// A gate that anonymous work passes: it counts what is inside, refuses newcomers once closed, and tells when the last
/// one has left.
///
/// Entering and leaving cost four atomic additions, allocate nothing, take no lock and read no clock. Clones are the
/// same gate. It is a [`Drainable`], so that it can stand in a plan as it is; what is still inside when its time is over
/// is lost, and the report says so: work that somebody else could finish belongs into [`Jobs`](crate::Jobs).
///
/// # Examples
///
/// ```
/// let gate = sundown::Gate::new();
/// let guard = gate.enter()?;
/// gate.close();
/// assert!(gate.enter().is_err());
/// assert_eq!(gate.inside(), 1);
/// drop(guard); // from here on `gate.empty()` resolves
/// # Ok::<(), sundown::Draining>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Gate {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// `inside * ONE + closed`.
    state: AtomicUsize,
    closed: Latch,
    empty: Latch,
}

/// Waits for `closed`.
struct UntilClosed(Gate);

impl AsRef<Latch> for UntilClosed {
    fn as_ref(&self) -> &Latch {
        &self.0.shared.closed
    }
}

impl AsRef<Latch> for Gate {
    fn as_ref(&self) -> &Latch {
        &self.shared.empty
    }
}

/// The gate is closed: the service is shutting down and takes no more work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("draining: no new work is taken")]
pub struct Draining;

impl Gate {
    /// An open gate with nobody inside.
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters, if the gate is still open.
    ///
    /// # Errors
    ///
    /// [`Draining`] once the gate is closed.
    #[inline]
    pub fn enter(&self) -> Result<Guard, Draining> {
        // Acquire: what was done before `close` (a deadline noted, a flag set) is seen by whoever is refused.
        let before = self.shared.state.fetch_add(ONE, Ordering::Acquire);
        let guard = Guard { shared: self.shared.clone() };
        // Who is refused has been counted for a moment; dropping the guard takes that back, and wakes the drain if it
        // had been misled.
        if before & CLOSED == 0 { Ok(guard) } else { Err(Draining) }
    }

    /// Closes the gate for good. Idempotent.
    pub fn close(&self) {
        // AcqRel: Release, so that the refused see what came before; Acquire, so that an empty gate's closer sees what
        // those who left had done.
        let before = self.shared.state.fetch_or(CLOSED, Ordering::AcqRel);
        if before & CLOSED == 0 {
            self.shared.closed.open();
        }
        if before / ONE == 0 {
            self.shared.empty.open();
        }
    }

    /// Resolves when the gate is closed: the moment for whoever brings work to stop bringing it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn closed(&self) {
        Waiting::new(UntilClosed(self.clone())).await;
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.shared.state.load(Ordering::Acquire) & CLOSED != 0
    }

    /// How many are inside now.
    pub fn inside(&self) -> usize {
        self.shared.state.load(Ordering::Acquire) / ONE
    }

    /// Resolves when the gate is closed and everyone has left.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future loses nothing.
    pub async fn empty(&self) {
        Waiting::new(self.clone()).await;
    }
}

#[async_trait]
impl Drainable for Gate {
    fn close(&self, _deadline: &Deadline) {
        Gate::close(self);
    }

    async fn drained(&self) {
        self.empty().await;
    }

    fn in_flight(&self) -> InFlight {
        InFlight::counted(self.inside())
    }
}

/// A place inside a [`Gate`]; dropping it leaves.
#[derive(Debug)]
#[must_use = "dropping the guard leaves the gate"]
pub struct Guard {
    shared: Arc<Shared>,
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        // AcqRel: the work done inside happens before `empty` resolves. Release publishes this guard's work; Acquire
        // lets the one that leaves last, and opens the latch, see the work of all the others.
        if self.shared.state.fetch_sub(ONE, Ordering::AcqRel) == ONE | CLOSED {
            self.shared.empty.open();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;

    #[test]
    fn an_empty_gate_is_empty_as_soon_as_it_closes() {
        let gate = Gate::new();
        assert!(!gate.shared.empty.is_set());
        gate.close();
        assert!(gate.shared.empty.is_set());
    }

    #[test]
    fn nobody_slips_in_once_it_is_closed() {
        for _ in 0..2_000 {
            let gate = Gate::new();
            let start = Barrier::new(3);
            let late = thread::scope(|scope| {
                let enter = || {
                    start.wait();
                    let guard = gate.enter();
                    // A guard that was given out must be counted: the gate cannot be empty while it lives.
                    let broken = guard.is_ok() && gate.shared.empty.is_set();
                    drop(guard);
                    broken
                };
                let (one, two) = (scope.spawn(enter), scope.spawn(enter));
                start.wait();
                gate.close();
                one.join().unwrap() | two.join().unwrap()
            });
            assert!(!late);
            assert!(gate.shared.empty.is_set());
            assert_eq!(gate.inside(), 0);
        }
    }
}
