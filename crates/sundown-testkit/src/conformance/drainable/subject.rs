//! A component on trial, and its work.

use std::{fmt, io, net::TcpListener, pin::Pin, sync::Arc, time::Instant};

use serde::Serialize;
use sundown::{AbortHandle, Accept, BoxFuture, Drainable, Drive, Guard, Job, Runtime};

use crate::conformance::bare::Bare;

/// A component on trial, and how its work is begun.
pub struct Subject {
    pub(super) component: Arc<dyn Drainable>,
    pub(super) begin: Begin,
    /// Whether its work are jobs, which it claims.
    pub(super) named: bool,
    pub(super) runtime: Lent,
}

type Begin = Arc<dyn Fn(&str) -> Option<Box<dyn Piece>> + Send + Sync>;

/// A piece of work that has begun. Dropped, it ends without an effect.
pub trait Piece: Send + 'static {
    /// Has its effect and ends. Returns whether the effect was its own to have: not if a shutdown has taken the job.
    fn commit(self: Box<Self>) -> bool;
}

impl<P: Serialize + Send + Sync + 'static> Piece for Job<P> {
    fn commit(self: Box<Self>) -> bool {
        self.complete().is_ok()
    }
}

impl Piece for Guard {
    fn commit(self: Box<Self>) -> bool {
        true
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
    /// A component whose work are jobs: begun with an id, and claimed at a shutdown if they have not committed. `None`
    /// refuses the job.
    pub fn jobs<P: Piece>(
        component: impl Drainable,
        begin: impl Fn(&str) -> Option<P> + Send + Sync + 'static,
    ) -> Self {
        let begin: Begin = Arc::new(move |id| Some(Box::new(begin(id)?)));
        Subject { component: Arc::new(component), begin, named: true, runtime: Lent(Arc::new(Bare)) }
    }

    /// A component whose work has no names and cannot be taken over: what is begun ends when it is dropped. `None`
    /// refuses it. The rules about jobs are skipped.
    pub fn anonymous<G: Send + 'static>(
        component: impl Drainable,
        begin: impl Fn() -> Option<G> + Send + Sync + 'static,
    ) -> Self {
        let begin: Begin = Arc::new(move |_| Some(Box::new(Anonymous(begin()?))));
        Subject { component: Arc::new(component), begin, named: false, runtime: Lent(Arc::new(Bare)) }
    }

    /// The component's methods use this runtime, by its adapter. Without it they run on plain threads.
    #[must_use]
    pub fn on(mut self, runtime: impl Runtime) -> Self {
        self.runtime = Lent(Arc::new(runtime));
        self
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("named", &self.named).finish_non_exhaustive()
    }
}

/// A runtime that shutdowns use one after another.
#[derive(Clone)]
pub(super) struct Lent(Arc<dyn Runtime>);

impl Runtime for Lent {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        self.0.sleep_until(at)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> AbortHandle {
        self.0.spawn(task)
    }

    fn private(&self) -> io::Result<Box<dyn Drive>> {
        self.0.private()
    }

    fn adopt(&self, listener: TcpListener) -> io::Result<Box<dyn Accept>> {
        self.0.adopt(listener)
    }
}
