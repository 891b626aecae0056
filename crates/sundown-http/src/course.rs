//! How the shutdown goes for those who answer: all that the layer looks at, whether it stands in front of the
//! [`Server`](crate::Server)'s connections or in front of somebody else's.

use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering, fence},
};

use sundown::{Claims, Deadline, Gate, Handle, Readiness, Reason, Receipt, Runtime, Watch};

use crate::{
    answer::Wording,
    bell::Bell,
    config::Config,
    phase::{Phase, PhaseCell},
    traffic::Traffic,
};

#[derive(Default)]
pub(crate) struct Course {
    pub(crate) gate: Gate,
    config: Mutex<Config>,
    phase: PhaseCell,
    serving: OnceLock<Serving>,
    watch: OnceLock<Watch>,
    deadline: OnceLock<Deadline>,
    receipt: OnceLock<Receipt>,
    /// Of the rescue, where there is one.
    bell: Option<Arc<Bell>>,
    answered: AtomicU64,
    cut: AtomicU64,
}

/// Known as soon as anything is served.
struct Serving {
    runtime: Arc<dyn Runtime>,
    readiness: Readiness,
    traffic: Traffic,
}

/// Why nothing can be served in this shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// It is no component of the shutdown, which would never end it.
    #[error("this server is not a component of the shutdown: add it before it serves")]
    NoComponent,
    /// The owner of the shutdown is gone, and so has ended it.
    #[error("the owner of the shutdown was dropped before the server served: keep the `Shutdown` itself")]
    Dropped,
}

impl Course {
    pub(crate) fn with_bell(bell: Arc<Bell>) -> Self {
        Course { bell: Some(bell), ..Course::default() }
    }

    pub(crate) fn config(&self) -> MutexGuard<'_, Config> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wording(&self) -> Wording {
        self.config().wording.clone()
    }

    // ---- how far it has come

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.phase() >= Phase::Draining
    }

    /// Whether the shutdown has begun, though it may not be the component's turn.
    pub(crate) fn is_announced(&self) -> bool {
        self.is_draining() || self.watch.get().is_some_and(Watch::is_draining)
    }

    /// Goes on; whoever called this then tells everyone. Returns whether that was news.
    pub(crate) fn advance(&self, to: Phase) -> bool {
        let news = self.phase.advance(to);
        if news {
            // Pairs with the fence in `ring`: either the rescue, which looks at the words after this, sees that a
            // connection has moved, or whoever moved it sees the phase and rings.
            fence(Ordering::SeqCst);
        }
        news
    }

    /// Tells the rescue that something has moved.
    pub(crate) fn ring(&self) {
        let Some(bell) = &self.bell else { return };
        fence(Ordering::SeqCst);
        if self.phase() >= Phase::Answering {
            bell.ring();
        }
    }

    // ---- what it serves with

    /// Says why it would never end, if it would not.
    pub(crate) fn check(&self, shutdown: &Handle) -> Result<(), ServeError> {
        if self.watch.get().is_none() {
            Err(ServeError::NoComponent)
        } else if shutdown.watch().reason() == Some(&Reason::Dropped) {
            Err(ServeError::Dropped)
        } else {
            Ok(())
        }
    }

    /// Returns whether it did not serve before.
    pub(crate) fn begin_serving(&self, shutdown: &Handle) -> bool {
        let runtime = shutdown.runtime().clone();
        let traffic = Traffic::new(runtime.now());
        self.serving.set(Serving { runtime, readiness: shutdown.readiness(), traffic }).is_ok()
    }

    pub(crate) fn runtime(&self) -> Option<&Arc<dyn Runtime>> {
        self.serving.get().map(|serving| &serving.runtime)
    }

    pub(crate) fn readiness(&self) -> Option<&Readiness> {
        self.serving.get().map(|serving| &serving.readiness)
    }

    // ---- traffic

    /// A request has come.
    pub(crate) fn touch(&self) {
        if let Some(serving) = self.serving.get().filter(|_| self.phase() == Phase::Draining) {
            serving.traffic.touch(serving.runtime.now());
        }
    }

    /// A connection has come, which may be a request on its way.
    pub(crate) fn expect(&self) -> Option<usize> {
        let serving = self.serving.get().filter(|_| self.phase() == Phase::Draining)?;
        Some(serving.traffic.expect(serving.runtime.now()))
    }

    pub(crate) fn expect_no_more(&self, connection: usize) {
        if let Some(serving) = self.serving.get() {
            serving.traffic.expect_no_more(connection);
        }
    }

    // ---- the component's part that is the same everywhere

    pub(crate) fn join(&self, watch: &Watch) {
        let _ = self.watch.set(watch.clone());
        // Not under the lock, here and below: what is told of it wakes who waits.
        let jobs = self.config().jobs.clone();
        if let Some((_, jobs)) = jobs {
            jobs.joined(watch);
        }
    }

    pub(crate) fn set_deadline(&self, deadline: &Deadline) {
        let _ = self.deadline.set(deadline.clone());
    }

    /// Resolves when traffic is quiet: from then on nothing new is let in.
    pub(crate) async fn quiet(&self) {
        if let (Some(serving), Some(deadline)) = (self.serving.get(), self.deadline.get()) {
            let duck = self.config().duck;
            serving.traffic.quiet(duck, deadline, &serving.runtime).await;
        }
        self.gate.close();
        let jobs = self.config().jobs.clone();
        if let Some((_, jobs)) = jobs {
            jobs.close();
        }
    }

    pub(crate) fn claim(&self, claims: &Claims) {
        self.gate.close();
        let jobs = self.config().jobs.clone();
        if let Some((_, jobs)) = jobs {
            jobs.claim(claims);
        }
    }

    pub(crate) fn set_receipt(&self, receipt: &Receipt) {
        let _ = self.receipt.set(receipt.clone());
    }

    // ---- what it did

    pub(crate) fn count_answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_cut(&self) {
        self.cut.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_answered(&self) {
        if let Some(receipt) = self.receipt.get() {
            receipt.note("answered by the layer", self.answered.load(Ordering::Relaxed));
        }
    }

    /// With those that are about to be.
    pub(crate) fn note_cut(&self, more: u64) {
        if let Some(receipt) = self.receipt.get() {
            receipt.note("responses cut", more + self.cut.load(Ordering::Relaxed));
        }
    }
}
