//! Permission to start, and a count of what was permitted.
//!
//! One word holds both: the count in the middle bits, *closed* in the lowest. That makes `enter` one atomic step: work
//! is either counted before the gate closed or refused, and nothing slips in between. Above the count is the number of
//! all who have entered, for those who wait for a moment that passes: see `quiet`.

mod quiet;

use std::{future::Future, sync::Arc};

use async_trait::async_trait;

use self::quiet::Quiet;
use crate::{
    Deadline, Drainable, InFlight,
    latch::{Latch, Waiting},
    sync::atomic::{AtomicU64, Ordering},
};

const CLOSED: u64 = 1;
/// Somebody waits for a moment with nobody inside.
const AWAITED: u64 = 2;
/// One who is inside: there is room for 2³⁴.
const ONE: u64 = 4;
/// One who has entered; the number starts again after 2²⁸.
const ENTERED: u64 = 1 << 36;

/// How many are inside.
fn inside(state: u64) -> u64 {
    state % ENTERED / ONE
}

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
    /// `entered * ENTERED + inside * ONE + awaited * AWAITED + closed`.
    state: AtomicU64,
    closed: Latch,
    empty: Latch,
    quiet: Quiet,
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
        // Relaxed: the count stands for itself, and the addition keeps what came before it in the word's order. What was
        // done before `close` (a deadline noted, a flag set) is seen by whoever is refused, since it leaves again.
        let before = self.shared.state.fetch_add(ENTERED + ONE, Ordering::Relaxed);
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
        if inside(before) == 0 {
            self.shared.empty.open();
        }
    }

    /// Resolves when the gate is closed: the moment for whoever brings work to stop bringing it, and what frameworks take
    /// as the signal of a graceful shutdown.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + Sync + 'static {
        Waiting::new(UntilClosed(self.clone()))
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.shared.state.load(Ordering::Acquire) & CLOSED != 0
    }

    /// How many are inside now.
    pub fn inside(&self) -> usize {
        inside(self.shared.state.load(Ordering::Acquire)) as usize
    }

    /// Whether it is closed and everyone has left.
    pub(crate) fn is_empty(&self) -> bool {
        self.shared.empty.is_set()
    }

    /// Resolves when the gate is closed and everyone has left.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future loses nothing.
    pub fn empty(&self) -> impl Future<Output = ()> + Send + Sync + 'static {
        Waiting::new(self.clone())
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
        let before = self.shared.state.fetch_sub(ONE, Ordering::AcqRel);
        if inside(before) != 1 {
            return;
        }
        if before & CLOSED != 0 {
            self.shared.empty.open();
        }
        if before & AWAITED != 0 {
            self.shared.moment(before);
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
