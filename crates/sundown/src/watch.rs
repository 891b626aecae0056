//! How everybody learns that the service is shutting down: flags that are set once, with waiters.

use std::{
    fmt,
    future::{Future, IntoFuture},
    sync::{Arc, OnceLock, mpsc::Sender},
    time::Duration,
};

use crate::{
    BoxFuture, Deadline, Interrupt, Reason, When,
    conductor::Event,
    host::DynHost,
    latch::{Shared, Waiting},
    shutdown::Family,
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
    /// When the hand-over ends, and when the answers do. Set before `draining`.
    pub(crate) answers: OnceLock<(Deadline, Deadline)>,
    pub(crate) family: Family,
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
            answers: OnceLock::new(),
            family: Family::default(),
            mailbox: OnceLock::new(),
        }
    }

    /// Once it is draining.
    fn work_ends(&self) -> Deadline {
        self.work_ends.get().expect("the deadline is set before the flag").clone()
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

    pub(crate) fn stages(&self) -> &Arc<Stages> {
        &self.stages
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
            stages.work_ends()
        }
    }

    /// Resolves when the shutdown is announced: what frameworks take as the signal of a graceful shutdown.
    ///
    /// For a server that stands alone. As a component that drains after others it is to be told when its own turn has
    /// come: [`Gate::closed`](crate::Gate::closed) is the same future for that.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// With axum; tonic, warp and hyper-util take the same:
    ///
    /// ```
    /// # mod axum {
    /// #     pub struct Serve;
    /// #     pub fn serve(_: (), _: ()) -> Serve { Serve }
    /// #     impl Serve {
    /// #         pub fn with_graceful_shutdown<F: Future<Output = ()> + Send + 'static>(self, _: F) {}
    /// #     }
    /// # }
    /// # fn run(watch: &sundown::Watch, listener: (), router: ()) {
    /// axum::serve(listener, router).with_graceful_shutdown(watch.announced())
    /// # }
    /// ```
    pub fn announced(&self) -> impl Future<Output = ()> + Send + Sync + 'static {
        Waiting::new(self.stages.draining.clone())
    }

    /// Resolves when unfinished jobs have been claimed: whatever still runs can no longer commit.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn claimed(&self) -> impl Future<Output = ()> + Send + 'static {
        Waiting::new(self.stages.claimed.clone())
    }

    /// Whether unfinished jobs have been claimed.
    pub fn is_claimed(&self) -> bool {
        self.stages.claimed.is_set()
    }

    /// [`draining`](Self::draining), blocking the calling thread.
    pub fn draining_blocking(&self) -> Deadline {
        self.stages.host.wait(&mut &*self.stages.draining, None);
        self.stages.work_ends()
    }

    /// The same for so long at most; `None` if the shutdown was not announced by then. The pause of a thread that does
    /// something now and again.
    ///
    /// # Examples
    ///
    /// ```
    /// fn report_now_and_again(watch: sundown::Watch, report: impl Fn()) {
    ///     while watch.draining_blocking_for(std::time::Duration::from_secs(10)).is_none() {
    ///         report();
    ///     }
    /// }
    /// ```
    pub fn draining_blocking_for(&self, timeout: Duration) -> Option<Deadline> {
        let host = &self.stages.host;
        // Beyond what a clock can say: for ever.
        let until = host.now().checked_add(timeout);
        host.wait(&mut &*self.stages.draining, until).then(|| self.stages.work_ends())
    }

    /// [`claimed`](Self::claimed), blocking the calling thread.
    pub fn claimed_blocking(&self) {
        self.stages.host.wait(&mut &*self.stages.claimed, None);
    }

    /// Ends something when the shutdown is announced: a future, a stream, an iterator, a reader, a writer. See
    /// [`Interrupt`].
    pub fn interrupt<T>(&self, value: T) -> Interrupt<T> {
        self.interrupt_at(When::Draining, value)
    }

    /// Ends something at a moment of one's choice. See [`Interrupt`].
    ///
    /// # Examples
    ///
    /// Work that has all the time there is to drain, and is dropped when its result would not be taken any more:
    ///
    /// ```
    /// # use sundown::{Interrupted, Watch, When};
    /// async fn compute(watch: &Watch, work: impl Future<Output = u64>) -> Result<u64, Interrupted> {
    ///     watch.interrupt_at(When::Claimed, work).await
    /// }
    /// ```
    pub fn interrupt_at<T>(&self, when: When, value: T) -> Interrupt<T> {
        let until = match when {
            When::Draining => Some(&self.stages.draining),
            When::Claimed => Some(&self.stages.claimed),
            When::Never => None,
        };
        Interrupt::new(value, until.cloned())
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
