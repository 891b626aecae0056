//! How everybody learns that the service is shutting down: flags that are set once, with waiters.

use std::{
    fmt,
    future::{Future, IntoFuture},
    sync::{Arc, OnceLock, mpsc::Sender},
};

use crate::{
    BoxFuture, Deadline, Reason,
    conductor::Event,
    host::DynHost,
    latch::{Shared, Waiting},
};

/// The shutdown as seen by those it concerns: set by the conductor, read by everybody.
pub(crate) struct Stages {
    pub(crate) host: DynHost,
    pub(crate) draining: Shared,
    pub(crate) claimed: Shared,
    /// When the claim comes. Set before `draining`.
    pub(crate) work_ends: OnceLock<Deadline>,
    /// When the process is gone. Set before `draining`.
    pub(crate) ends: OnceLock<Deadline>,
    /// Set before `draining`.
    pub(crate) reason: OnceLock<Reason>,
    /// Of the conductor, for components whose failure begins the shutdown. None in a group of tasks.
    pub(crate) mailbox: OnceLock<Sender<Event>>,
}

impl Stages {
    pub(crate) fn new(host: DynHost) -> Self {
        Stages {
            host,
            draining: Shared::default(),
            claimed: Shared::default(),
            work_ends: OnceLock::new(),
            ends: OnceLock::new(),
            reason: OnceLock::new(),
            mailbox: OnceLock::new(),
        }
    }
}

/// Tells a task that the service is shutting down.
///
/// Cheap to clone and to ask: [`is_draining`](Self::is_draining) is one load. A watch made late sees a shutdown that
/// has begun before it. Awaiting the watch itself is [`draining`](Self::draining).
#[derive(Clone)]
pub struct Watch {
    stages: Arc<Stages>,
}

impl Watch {
    pub(crate) fn new(stages: Arc<Stages>) -> Self {
        Watch { stages }
    }

    pub(crate) fn host(&self) -> &DynHost {
        &self.stages.host
    }

    /// Begins the shutdown, for a component that cannot do without.
    pub(crate) fn begin(&self, reason: Reason) {
        if let Some(mailbox) = self.stages.mailbox.get() {
            // An error means that the conductor has ended: so has the shutdown.
            let _ = mailbox.send(Event::Begin { now: self.stages.host.now(), reason, grace: None });
        }
    }

    /// When the claim comes, once that is known.
    pub(crate) fn work_ends(&self) -> Option<&Deadline> {
        self.stages.work_ends.get()
    }

    /// Whether the shutdown has been announced.
    pub fn is_draining(&self) -> bool {
        self.stages.draining.is_set()
    }

    /// Resolves when the shutdown is announced, with the moment by which work must be over.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn draining(&self) -> impl Future<Output = Deadline> + Send + 'static {
        let stages = self.stages.clone();
        async move {
            Waiting::new(stages.draining.clone()).await;
            stages.work_ends.get().expect("the deadline is set before the flag").clone()
        }
    }

    /// Resolves when unfinished jobs have been claimed: whatever still runs can no longer commit.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn claimed(&self) -> impl Future<Output = ()> + Send + 'static {
        Waiting::new(self.stages.claimed.clone())
    }

    /// Why the service is shutting down; `None` while it is not.
    pub fn reason(&self) -> Option<&Reason> {
        self.stages.reason.get().filter(|_| self.is_draining())
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("draining", &self.is_draining()).finish_non_exhaustive()
    }
}

impl IntoFuture for Watch {
    type Output = Deadline;
    type IntoFuture = BoxFuture<'static, Deadline>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.draining())
    }
}
