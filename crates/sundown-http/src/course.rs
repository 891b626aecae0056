//! How the shutdown goes for those who answer: all that the layer looks at, whether it stands in front of the
//! [`Server`](crate::Server)'s connections or in front of somebody else's.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering, fence},
    },
    task::Poll,
    time::Instant,
};

use futures_util::task::AtomicWaker;
use sundown::{Claims, Deadline, Gate, Handle, Readiness, Reason, Receipt, Runtime, Watch};

use crate::{
    answer::Wording,
    bell::Bell,
    closing::Listeners,
    config::Config,
    phase::{Phase, PhaseCell},
    ramp::{Departure, Rank},
    traffic::Traffic,
};

#[derive(Default)]
pub(crate) struct Course {
    pub(crate) gate: Gate,
    config: Mutex<Config>,
    phase: PhaseCell,
    serving: OnceLock<Serving>,
    watch: OnceLock<Watch>,
    drain: OnceLock<Drain>,
    receipt: OnceLock<Receipt>,
    /// Of the rescue, where there is one.
    bell: Option<Arc<Bell>>,
    /// Who waits for a connection to leave.
    pub(crate) listeners: Listeners,
    /// Whoever waits for the last exchange to be over.
    settling: AtomicWaker,
    answered: AtomicU64,
    cut: AtomicU64,
}

/// Known as soon as anything is served.
struct Serving {
    runtime: Arc<dyn Runtime>,
    readiness: Readiness,
    traffic: Traffic,
    spreads: bool,
}

/// The time there is to drain.
struct Drain {
    began: Instant,
    deadline: Deadline,
}

/// Why nothing can be served in this shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// It is no component of the shutdown, which would never end it.
    #[error("the server or responder is not a component of the shutdown: add it before it serves")]
    NoComponent,
    /// The owner of the shutdown is gone, and so has ended it.
    #[error("the owner of the shutdown was dropped before anything was served: keep the `Shutdown` itself")]
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

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    #[inline]
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
            self.listeners.wake();
        }
        news
    }

    /// Tells the rescue, and a drain that spreads closes, that something has moved.
    #[inline]
    pub(crate) fn ring(&self) {
        fence(Ordering::SeqCst);
        match self.phase() {
            Phase::Serving | Phase::Draining | Phase::Closing | Phase::Claimed => {}
            Phase::Spreading => self.settling.wake(),
            Phase::Answering | Phase::LastCall | Phase::Forced => {
                self.bell.iter().for_each(|bell| bell.ring())
            }
        }
    }

    // ---- when connections leave

    /// Whether they leave one by one.
    pub(crate) fn spreads(&self) -> bool {
        self.serving.get().is_some_and(|serving| serving.spreads)
    }

    /// When a connection leaves.
    pub(crate) fn departure(&self, rank: Rank) -> Departure {
        // No drain, as long as it serves: then that is all there is to look at.
        let drain = self.drain.get().filter(|_| self.spreads());
        Departure::of(rank, self.phase(), drain.map(|drain| (drain.began, drain.deadline.at())))
    }

    /// Whether a response is the last of its connection. `leaves`: the connection's moment has come.
    #[inline]
    pub(crate) fn is_last(&self, rank: Rank, leaves: bool) -> bool {
        self.is_draining() && (leaves || rank.is_late || !self.spreads())
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
        let spreads = self.config().spread;
        self.serving.set(Serving { runtime, readiness: shutdown.readiness(), traffic, spreads }).is_ok()
    }

    #[inline]
    pub(crate) fn runtime(&self) -> Option<&Arc<dyn Runtime>> {
        self.serving.get().map(|serving| &serving.runtime)
    }

    pub(crate) fn readiness(&self) -> Option<&Readiness> {
        self.serving.get().map(|serving| &serving.readiness)
    }

    // ---- traffic

    /// A request has come.
    #[inline]
    pub(crate) fn touch(&self) {
        if !(Phase::Draining..=Phase::Spreading).contains(&self.phase()) {
            return;
        }
        if let Some(serving) = self.serving.get() {
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
        let began = self.runtime().map_or_else(Instant::now, |runtime| runtime.now());
        let _ = self.drain.set(Drain { began, deadline: deadline.clone() });
    }

    /// Resolves when traffic is quiet.
    pub(crate) async fn hush(&self) {
        if let (Some(serving), Some(drain)) = (self.serving.get(), self.drain.get()) {
            let duck = self.config().duck;
            serving.traffic.quiet(duck, &drain.deadline, &serving.runtime).await;
        }
    }

    /// Resolves when no exchange is in flight and none has come for a quiet interval. A connection that only might bring
    /// one holds nothing.
    pub(crate) async fn settled(&self) {
        let Some(serving) = self.serving.get() else { return };
        let quiet = self.config().duck.quiet;
        loop {
            poll_fn(|cx| {
                self.settling.register(cx.waker());
                // Whoever leaves rings, or had left before: the same pair of fences as in `advance`.
                if self.gate.inside() == 0 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            serving.traffic.hush(quiet, &serving.runtime).await;
            if self.gate.inside() == 0 {
                return;
            }
        }
    }

    /// From here on nothing new is let in.
    pub(crate) fn refuse(&self) {
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
            let overruled = self.wording().overruled();
            if overruled > 0 {
                receipt.note("answers overruled", overruled);
            }
        }
    }

    /// With those that are about to be.
    pub(crate) fn note_cut(&self, more: u64) {
        if let Some(receipt) = self.receipt.get() {
            receipt.note("responses cut", more + self.cut.load(Ordering::Relaxed));
        }
    }
}
