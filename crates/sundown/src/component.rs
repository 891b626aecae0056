//! What a part of the service promises the shutdown.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use serde::Serialize;

use crate::{Claims, Deadline, Receipt, Watch, report::Short};

/// A part of a service that takes work and can be brought to an end: a server, a job store, a consumer.
///
/// [`joined`](Self::joined) is called by whoever adds the component. The shutdown calls the others in this order, each
/// at most once, all outside the user's runtime, on threads that may be given up on: a method that panics, blocks or
/// comes late costs its own component's part, never a later step. A later method may run while an earlier one hangs.
///
/// 1. [`close`](Self::close), in the component's turn, then [`drained`](Self::drained);
/// 2. [`in_flight`](Self::in_flight), if it had not drained, then [`claim`](Self::claim), in any case;
/// 3. [`conclude`](Self::conclude), when it is known who took what over;
/// 4. [`force`](Self::force), even past the deadline.
///
/// Where a component is to be [forced](crate::Overdue::Force) when its allowance is over, all of 2 and then 4 come at that
/// time, before 3.
///
/// A component can be asked again all the same, by wrappers, tests, an embedded shutdown inside another, and whoever has
/// it [leave](crate::Handle::remove_component) when a shutdown begins:
/// [`close`](Self::close), [`claim`](Self::claim) and [`force`](Self::force) are idempotent,
/// [`drained`](Self::drained) can be dropped and asked again, and when a shutdown is over the component may join
/// another, which finds nothing.
///
/// # Examples
///
/// A store of leases that other processes share. It keeps a [`Jobs`](crate::Jobs) for what *this* process holds:
///
/// ```
/// use std::sync::Arc;
/// use sundown::{Claims, Deadline, Drainable, Fate, InFlight, Jobs, Receipt, Watch};
///
/// struct Leases { held: Jobs<u64> /* and a connection to the database */ }
///
/// #[sundown::async_trait]
/// impl Drainable for Leases {
///     fn joined(&self, watch: &Watch) { self.held.joined(watch) }
///     fn close(&self, _: &Deadline) { self.held.close() }
///     async fn drained(&self) { self.held.empty().await }
///     fn in_flight(&self) -> InFlight { self.held.in_flight() }
///     fn claim(&self, claims: &Claims) { self.held.claim(claims) }
///     async fn conclude(&self, receipt: &Receipt) {
///         for job in receipt.jobs() {
///             if job.fate() == Fate::Unacknowledged { /* give the lease back */ }
///         }
///         self.held.conclude().await; // whatever is in mid-commit may still end
///     }
/// }
/// ```
///
/// The wrong way is to count work where a future is *polled*, or to claim by looking first and marking later:
///
/// ```ignore
/// fn claim(&self, claims: &Claims) {
///     for job in self.running.lock().unwrap().iter() { // between this look …
///         self.outbox.send(job.clone());               // … and this mark, the job may complete: it is done twice
///     }
/// }
/// ```
///
/// A [`Jobs`](crate::Jobs) decides each job in one atomic step, which is why a store holds one instead.
#[async_trait]
pub trait Drainable: Send + Sync + 'static {
    /// The component has joined a shutdown, which it can watch from here on: another one only when the last is over.
    /// Returns at once. Default: nothing.
    fn joined(&self, watch: &Watch) {
        let _ = watch;
    }

    /// Stop taking work. Idempotent, and returns at once. The deadline is this component's latest finish, live.
    fn close(&self, deadline: &Deadline);

    /// Resolves when nothing is in flight. It cannot fail: an outcome is data.
    ///
    /// Called after `close`.
    ///
    /// # Cancel safety
    ///
    /// It must be: it is dropped at the claim if it has not resolved, takes nothing with it, and can be asked again.
    async fn drained(&self);

    /// Names and ages of what is in flight, for the report. Returns at once.
    fn in_flight(&self) -> InFlight {
        InFlight::unknown()
    }

    /// Stop for good, and put every unfinished job into the ledger: from each push on that job can no longer commit.
    ///
    /// In memory, and returns at once; what was pushed counts even if the rest hangs. Only a [`Jobs`](crate::Jobs) can
    /// push: hand the claims on to its [`claim`](crate::Jobs::claim). Idempotent: a job is pushed once. It may come
    /// without a `close` before it.
    fn claim(&self, claims: &Claims) {
        let _ = claims;
    }

    /// What was taken over and what was not: answer clients, give leases back. Bounded by
    /// [`Receipt::deadline`].
    ///
    /// # Cancel safety
    ///
    /// It is asked once. If it outlasts the shutdown it is dropped where it waits; what it had done by then stands.
    async fn conclude(&self, receipt: &Receipt) {
        let _ = receipt;
    }

    /// Drop whatever is left, and return at once. Idempotent, and needs no other method before it.
    fn force(&self) {}
}

#[async_trait]
impl<T: Drainable + ?Sized> Drainable for std::sync::Arc<T> {
    fn joined(&self, watch: &Watch) {
        (**self).joined(watch);
    }

    fn close(&self, deadline: &Deadline) {
        (**self).close(deadline);
    }

    async fn drained(&self) {
        (**self).drained().await;
    }

    fn in_flight(&self) -> InFlight {
        (**self).in_flight()
    }

    fn claim(&self, claims: &Claims) {
        (**self).claim(claims);
    }

    async fn conclude(&self, receipt: &Receipt) {
        (**self).conclude(receipt).await;
    }

    fn force(&self) {
        (**self).force();
    }
}

/// What a component has in flight.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InFlight {
    total: Option<usize>,
    units: Vec<Unit>,
    /// How many had ended when these were counted, if the jobs of a [`Jobs`](crate::Jobs) are among them.
    #[serde(skip)]
    ended: Option<usize>,
}

/// One piece of work in flight.
#[derive(Clone, Debug, Serialize)]
pub struct Unit {
    /// What it is called.
    pub name: String,
    /// How long it has been running, if its component keeps the time.
    pub age: Option<Duration>,
}

impl InFlight {
    /// As many units as a report names; the rest are counted.
    pub const NAMED: usize = 32;

    /// The component does not count.
    pub fn unknown() -> Self {
        Self::default()
    }

    /// So many, without names.
    pub fn counted(total: usize) -> Self {
        InFlight { total: Some(total), ..Self::default() }
    }

    /// Those named, of which the first [`NAMED`](Self::NAMED) are kept and all are counted.
    pub fn named(units: impl IntoIterator<Item = Unit>) -> Self {
        let mut units = units.into_iter();
        let named: Vec<_> = units.by_ref().take(Self::NAMED).collect();
        InFlight { total: Some(named.len() + units.count()), units: named, ended: None }
    }

    /// At least so many in all, named or not.
    #[must_use]
    pub fn at_least(mut self, total: usize) -> Self {
        self.total = Some(self.total.map_or(total, |counted| counted.max(total)));
        self
    }

    /// What several parts have in flight together, each under its own name. One that does not count is one unit.
    pub(crate) fn of_parts(parts: impl IntoIterator<Item = (String, InFlight)>) -> Self {
        let mut all = InFlight { total: Some(0), ..Self::default() };
        for (part, InFlight { total, units, ended }) in parts {
            all.total = all.total.map(|sum| sum + total.unwrap_or(1));
            all.ended = all.ended.map_or(ended, |sum| Some(sum + ended.unwrap_or(0)));
            let unknown = || Unit { name: part.clone(), age: None };
            let named = units.into_iter().map(|unit| Unit { name: format!("{part}/{}", unit.name), ..unit });
            all.units.extend(named.chain(total.is_none().then(unknown)));
        }
        all.units.truncate(Self::NAMED);
        all
    }

    /// So many jobs had ended when these were counted.
    pub(crate) fn with_ended(self, ended: usize) -> Self {
        InFlight { ended: Some(ended), ..self }
    }

    pub(crate) fn ended(&self) -> Option<usize> {
        self.ended
    }

    /// How many, if the component counts.
    pub fn total(&self) -> Option<usize> {
        self.total
    }

    /// The first of them, by name.
    pub fn units(&self) -> &[Unit] {
        &self.units
    }
}

/// How many, then the first by name: `3 in flight, image-17 (1.204 s), image-18 (12 ms), and 1 more`.
impl fmt::Display for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.total {
            Some(total) => write!(f, "{total} in flight")?,
            None => f.write_str("in flight: unknown")?,
        }
        for unit in &self.units {
            write!(f, ", {}", unit.name)?;
            if let Some(age) = unit.age {
                write!(f, " ({})", Short(age))?;
            }
        }
        let more = self.total.map_or(0, |total| total.saturating_sub(self.units.len()));
        if more > 0 && !self.units.is_empty() {
            write!(f, ", and {more} more")?;
        }
        Ok(())
    }
}
