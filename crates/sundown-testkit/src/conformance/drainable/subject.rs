//! A component on trial, and its work.

use std::{fmt, sync::Arc};

use serde::Serialize;
use sundown::{Drainable, Job, Runtime};

use crate::conformance::lent::Lent;

/// A component on trial, and how its work is begun.
pub struct Subject {
    pub(super) component: Arc<dyn Drainable>,
    pub(super) begin: Begin,
    /// Whether its work is jobs, which it claims.
    pub(super) named: bool,
    /// Whether it goes on after its close, until its drain waits.
    pub(super) lame_duck: bool,
    pub(super) runtime: Lent,
}

type Begin = Arc<dyn Fn(&str) -> Option<Box<dyn Piece>> + Send + Sync>;

/// A piece of work that has begun. Dropped, it ends without an effect.
///
/// A [`Job`] is one. Whoever wraps it says what has become of the effect, not what was tried:
///
/// ```
/// use sundown::Job;
/// use sundown_testkit::conformance::Piece;
///
/// struct Payment(Job<u64>);
///
/// impl Piece for Payment {
///     fn commit(self: Box<Self>) -> bool {
///         let Ok(commit) = self.0.commit() else { return false };
///         // … the effect: book the amount …
///         commit.done();
///         true
///     }
/// }
/// ```
///
/// Wrong is to have the effect and to ask afterwards, since the job may be somebody else's by then:
///
/// ```ignore
/// self.ledger.book(self.0.payload()); // from here on it may be booked twice …
/// self.0.complete().is_ok()           // … and this says so too late
/// ```
pub trait Piece: Send + 'static {
    /// Has its effect and ends. Returns whether the effect was its own to have: not if a shutdown has taken the job.
    fn commit(self: Box<Self>) -> bool;
}

impl<P: Serialize + Send + Sync + 'static> Piece for Job<P> {
    fn commit(self: Box<Self>) -> bool {
        self.complete().is_ok()
    }
}

/// Work that nobody can take over.
struct Anonymous<G>(#[allow(dead_code, reason = "it is kept for its destructor")] G);

impl<G: Send + 'static> Piece for Anonymous<G> {
    fn commit(self: Box<Self>) -> bool {
        true
    }
}

impl Subject {
    /// A component whose work is jobs: begun with an id, and claimed at a shutdown if they have not committed. `None`
    /// refuses the job.
    pub fn jobs<P: Piece>(
        component: impl Drainable,
        begin: impl Fn(&str) -> Option<P> + Send + Sync + 'static,
    ) -> Self {
        let begin: Begin = Arc::new(move |id| Some(Box::new(begin(id)?)));
        Subject::new(Arc::new(component), begin, true)
    }

    /// A component whose work has no names and cannot be taken over: what is begun ends when it is dropped. `None`
    /// refuses it. The rules about jobs are skipped.
    pub fn anonymous<G: Send + 'static>(
        component: impl Drainable,
        begin: impl Fn() -> Option<G> + Send + Sync + 'static,
    ) -> Self {
        let begin: Begin = Arc::new(move |_| Some(Box::new(Anonymous(begin()?))));
        Subject::new(Arc::new(component), begin, false)
    }

    fn new(component: Arc<dyn Drainable>, begin: Begin, named: bool) -> Self {
        Subject { component, begin, named, lame_duck: false, runtime: Lent::bare() }
    }

    /// The component is a lame duck: after its close it goes on with what is on its way. It refuses work from the
    /// moment on in which its drain has nothing to wait for but work in flight.
    #[must_use]
    pub fn lame_duck(mut self) -> Self {
        self.lame_duck = true;
        self
    }

    /// The component's methods use this runtime, by its adapter. Without it they run on plain threads.
    #[must_use]
    pub fn on(mut self, runtime: impl Runtime) -> Self {
        self.runtime = Lent::new(runtime);
        self
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("named", &self.named).finish_non_exhaustive()
    }
}
