//! What users hold: the owner of a shutdown, and its handles.

mod builder;
mod child;
mod roster;

use std::{
    fmt,
    future::Future,
    ops::Deref,
    sync::{Arc, OnceLock, mpsc::Sender},
    time::Duration,
};

use self::roster::Roster;
pub(crate) use self::{
    builder::Hook,
    child::{Family, Inside},
    roster::Component,
};
pub use self::{
    builder::{Builder, StartError},
    roster::{AddComponentError, RemoveComponentError},
};
use crate::{
    Deadline, Drainable, Grace, Order, Progress, Readiness, Reason, Report, Runtime, Schedule, Watch,
    conductor::Event,
    errand::Place,
    grace::LONGEST,
    host::DynHost,
    latch::{Shared, Waiting},
    ledger::Ledger,
    progress::Board,
    watch::Stages,
};

/// What the conductor and the handles share.
pub(crate) struct Hub {
    pub(crate) host: DynHost,
    pub(crate) stages: Arc<Stages>,
    pub(crate) roster: Roster,
    pub(crate) board: Board,
    pub(crate) ledger: Arc<Ledger>,
    /// Whether somebody takes over what it cannot finish.
    takes_over: bool,
    /// Set when a parent has closed it.
    pub(crate) inside: OnceLock<Inside>,
    /// Set when a parent need not wait for it any more: it has finished, or waits for its parent itself.
    pub(crate) at_rest: Shared,
    /// Cancels our own errands that are of use only before the claim; woken before the users' watches.
    pub(crate) claimed: Shared,
    pub(crate) finished: Shared,
    /// Set before `finished`.
    pub(crate) report: OnceLock<Report>,
}

impl Hub {
    fn new(host: DynHost, roster: Roster, takes_over: bool) -> Arc<Self> {
        Arc::new(Hub {
            ledger: Ledger::new(host.clone()),
            takes_over,
            inside: OnceLock::new(),
            at_rest: Shared::default(),
            stages: Arc::new(Stages::new(host.clone())),
            host,
            roster,
            board: Board::new(),
            claimed: Shared::default(),
            finished: Shared::default(),
            report: OnceLock::new(),
        })
    }

    fn wait_for_the_end(&self) {
        self.host.wait(&mut &*self.finished, None);
    }
}

/// The owner of a shutdown.
///
/// Keep it for as long as the service lives. Not `Clone`; its [`Handle`]s are, and it is one itself. Dropping it begins, hurries, and waits until the shutdown
/// has finished, so that a `main` that returns early cannot cut answers short.
#[derive(Debug)]
pub struct Shutdown {
    handle: Handle,
}

impl Shutdown {
    /// The shutdown of this process: it owns SIGTERM, SIGINT and SIGQUIT, and the exit. There can be one at a time, and
    /// none after it unless it [keeps the process](Builder::keep_process).
    ///
    /// The first of these signals begins; another SIGTERM changes nothing; SIGINT or SIGQUIT after a beginning
    /// hurries, and the next one exits at once with 128 + its number. The same signal again within 200 ms is the same
    /// one: a terminal and a parent may both deliver it. All that is a table, which can be
    /// [another](Builder::escalation), and other signals can be [observed](Builder::on_signal). Once finished, a `main` that has not returned
    /// within the release reserve is ended with the report's exit code, without destructors or exit hooks.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn run(runtime: impl sundown::Runtime) -> Result<(), sundown::StartError> {
    /// let gate = sundown::Gate::new();
    /// let shutdown = sundown::Shutdown::process(runtime).component("requests", gate.clone()).start()?;
    /// // … serve, entering the gate for each request …
    /// let report = shutdown.finished_blocking();
    /// println!("{report}");
    /// # Ok(()) }
    /// ```
    pub fn process(runtime: impl Runtime) -> Builder {
        Builder::new(runtime, true)
    }

    /// A shutdown that owns neither signals nor the exit: for plug-ins and tests. It can be
    /// [a component of another](Handle#inside-another).
    pub fn embedded(runtime: impl Runtime) -> Builder {
        Builder::new(runtime, false)
    }

    /// Another handle.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Deref for Shutdown {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Shutdown {
    fn drop(&mut self) {
        if !self.hub.finished.is_set() {
            self.begin(Reason::Dropped);
            self.hurry();
            self.hub.wait_for_the_end();
        }
    }
}

/// A handle to a shutdown: to begin it, to follow it, to wait for its end.
#[derive(Clone)]
pub struct Handle {
    hub: Arc<Hub>,
    mailbox: Sender<Event>,
    runtime: Arc<dyn Runtime>,
}

impl Handle {
    /// Begins the shutdown, with the usual grace. If it has begun already, a deadline that would come later than that is
    /// tightened, and nothing else changes.
    pub fn begin(&self, reason: impl Into<Reason>) {
        self.send_begin(reason.into(), None);
    }

    /// Begins the shutdown so that it ends within this time, counted from now; a year at most. A shutdown under way is
    /// only ever tightened. With no time at all every step is still begun, and none is waited for.
    pub fn begin_within(&self, reason: impl Into<Reason>, grace: Duration) {
        self.send_begin(reason.into(), Some(grace));
    }

    fn send_begin(&self, reason: Reason, grace: Option<Duration>) {
        // An error means that the conductor has ended: so has the shutdown.
        let _ = self.mailbox.send(Event::Begin { now: self.hub.host.now(), reason, grace });
    }

    /// Waits for the drain no longer: on to the claim. Without effect before the beginning.
    pub fn hurry(&self) {
        let _ = self.mailbox.send(Event::Hurry(self.hub.host.now()));
    }

    /// A watch, for tasks that must know.
    pub fn watch(&self) -> Watch {
        Watch::new(self.hub.stages.clone())
    }

    /// What a readiness probe asks.
    pub fn readiness(&self) -> Readiness {
        Readiness::new(self.hub.stages.clone())
    }

    /// When the process is gone; `None` before the beginning.
    pub fn deadline(&self) -> Option<Deadline> {
        self.hub.stages.ends.get().cloned()
    }

    /// The runtime that the shutdown was set up with.
    pub fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.runtime
    }

    /// Adds a component to a running service. The names of those that it drains after are an order; an [`Order`] can say
    /// more.
    ///
    /// # Errors
    ///
    /// When the shutdown has begun, the name is taken, the order cannot work, the component is this shutdown itself or one
    /// that it is inside, or the system has no resources for it.
    pub fn component(
        &self,
        name: impl Into<String>,
        component: impl Drainable,
        order: impl Into<Order>,
    ) -> Result<(), AddComponentError> {
        let place = Place::new(&self.hub.host, &self.runtime).map_err(AddComponentError::Runtime)?;
        let (name, order) = (name.into(), order.into());
        let drainable: Arc<dyn Drainable> = Arc::new(component);
        self.hub.roster.join(Component::new(name.clone(), order, drainable.clone(), place))?;
        drainable.joined(&self.watch());
        if self.hub.stages.family.leave_itself(&self.hub.stages) {
            let _ = self.hub.roster.remove(&name, &drainable);
            return Err(AddComponentError::Inside(name));
        }
        if let Some(waiting) = self.hub.board.again() {
            waiting.wake();
        }
        Ok(())
    }

    /// Has a component leave a running service: closes it, waits until it has drained, and forgets it. Nothing that it had
    /// in flight is cut short, and what it has done is in no report; a job that is dropped meanwhile has failed. Its name is free then; those that drain after it keep
    /// their place behind those that it drained after, and behind a new one of its name.
    ///
    /// Until it has left it is a part of the service like any other: a shutdown that begins meanwhile closes it again,
    /// drains it and claims what it has not finished. That is an error here. Its deadline is a year away, and comes nearer
    /// when a shutdown begins: who will not wait so long drops the future.
    ///
    /// The component is closed, asked and dropped by whoever polls the future.
    ///
    /// # Errors
    ///
    /// When the shutdown has begun, or there is no such component.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: once polled, the component is closed; it leaves when it is asked to again.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// use sundown::{Gate, Shutdown};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let runtime = sundown_tokio::Tokio::current();
    /// let shutdown = Shutdown::embedded(runtime).grace(Duration::from_secs(2)).start()?;
    /// let tenant = Gate::new();
    /// shutdown.component("tenant-17", tenant.clone(), [])?;
    /// // … requests of this tenant …
    /// shutdown.remove_component("tenant-17").await?;
    /// assert!(tenant.enter().is_err());
    /// # Ok(()) }
    /// ```
    pub fn remove_component(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<(), RemoveComponentError>> + Send + 'static {
        let (hub, watch, name) = (self.hub.clone(), self.watch(), name.to_owned());
        async move {
            let now = hub.host.now();
            let far = Deadline::new(&hub.host, now, now + LONGEST);
            let (component, deadline) = hub.roster.leaving(&name, far)?;
            component.close(&deadline);
            match watch.interrupt(component.drained()).await {
                Ok(()) => {
                    hub.roster.remove(&name, &component)?;
                    if let Some(waiting) = hub.board.again() {
                        waiting.wake();
                    }
                    Ok(())
                }
                Err(_) => Err(RemoveComponentError::Draining(name)),
            }
        }
    }

    /// Runs the plan dry: what [`begin_within`](Self::begin_within) this time would come to, with the components that are
    /// there now (or that were, when it began).
    pub fn plan(&self, grace: Duration) -> Schedule {
        self.hub.roster.schedule(Grace::new(grace), self.hub.host.now())
    }

    /// Follows how it is coming along, for a status page or a terminal.
    pub fn progress(&self) -> Progress {
        Progress::new(self.hub.clone())
    }

    /// Resolves when the shutdown has finished, with what it did.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn finished(&self) -> impl Future<Output = Report> + Send + 'static {
        let hub = self.hub.clone();
        async move {
            Waiting::new(hub.finished.clone()).await;
            hub.report.get().expect("the report is set before the flag").clone()
        }
    }

    /// The same, blocking the calling thread.
    pub fn finished_blocking(&self) -> Report {
        self.hub.wait_for_the_end();
        self.hub.report.get().expect("the report is set before the flag").clone()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("draining", &self.hub.stages.draining.is_set()).finish_non_exhaustive()
    }
}
