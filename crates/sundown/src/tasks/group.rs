//! What users hold of a group of tasks.

use std::{
    borrow::Cow,
    fmt::Display,
    future::Future,
    panic::Location,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    JoinHandle, Restart, TaskBuilder, TaskCounts, TaskEnd, Tracked, ends::Kept, restart, stopping::either,
    tree::Group,
};
use crate::{Draining, InFlight, Reason, Runtime, Unit, Watch};

/// A group of named, supervised tasks on some runtime.
///
/// Clones are the same group. A task of it is spawned [here](Self::spawn), or [tracked](Self::track) and spawned by
/// somebody else: on `spawn_local` or in a scope, where it need not be `Send`. Each is counted until it has ended,
/// whether it returns, panics, is aborted, or is dropped with its runtime. What its end means for the others is chosen
/// when it is [started](Self::task).
///
/// Groups nest: [`group`](Self::group) makes one inside, which is told to stop with this one, or alone. So a single task
/// that is to be stopped by itself, or to have a part of the time of its own, has a group of its own.
///
/// It is a [`Drainable`](crate::Drainable): in its turn the tasks are told by the group's [`watch`](Self::watch), what is
/// left in the end is aborted, and the report has the names of those that were late, and how all ended. A group that is
/// dropped is not stopped: its tasks go on.
///
/// # Examples
///
/// ```
/// # use std::time::Duration;
/// use sundown::{Restart, Shutdown, Tasks, Then};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # #[tokio::main(flavor = "current_thread")] async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let tasks = Tasks::new(sundown_tokio::Tokio::current());
/// let shutdown = Shutdown::embedded(sundown_tokio::Tokio::current())
///     .component("tasks", tasks.clone())
///     .grace(Duration::from_secs(2))
///     .start()?;
///
/// // Ends when it is told.
/// let watch = tasks.watch();
/// let ticks = tasks.spawn("ticker", async move { watch.draining().await; 17 })?;
/// // Is started again when it fails; if that does not help, the service cannot go on.
/// let quick = Restart::default().backoff(Duration::from_millis(1), Duration::from_millis(10));
/// let fetching = tasks.restarting(quick, || async { Err::<(), _>("no such host") });
/// tasks.task("fetcher").on_error(Then::Shutdown).try_spawn(fetching)?;
///
/// let report = shutdown.finished().await;
/// assert_eq!(report.reason.to_string(), "requested: task fetcher failed: no such host");
/// assert!(!report.is_clean());
/// assert_eq!(ticks.await, Ok(17));
/// assert_eq!(tasks.counts().restarted, 5);
/// # Ok(()) }
/// # run() }
/// ```
#[derive(Clone)]
pub struct Tasks {
    pub(super) group: Arc<Group>,
}

impl Tasks {
    /// A group without tasks, on this runtime.
    pub fn new(runtime: impl Runtime) -> Self {
        Tasks { group: Group::root(Arc::new(runtime)) }
    }

    /// A group inside this one. Each call makes another; the name stands before those of its tasks: `tenant-7/mailer`.
    ///
    /// Its tasks count here as well. It is stopped, claimed and aborted with this group; alone, it leaves this one
    /// untouched. It goes when its handles and its tasks are gone.
    #[must_use]
    pub fn group(&self, name: &str) -> Self {
        Tasks { group: self.group.inner(name) }
    }

    /// Gives the group so much of the time, from when it is told to stop; what is left of it then is aborted. A deadline
    /// that is nearer stands. The first that is set counts, and one set after the stop comes too late.
    ///
    /// A task learns of it by the [`watch`](Self::watch), whose deadline it is.
    #[must_use]
    pub fn within(self, part: Duration) -> Self {
        // Set before, it stands.
        let _ = self.group.part.set(part);
        self
    }

    /// Names tasks together with the file and the line they were started at: `mailer (src/main.rs:17)`. For the groups
    /// inside this one as well.
    #[must_use]
    pub fn with_call_sites(self) -> Self {
        // Relaxed: a way to write names, which orders nothing.
        self.group.shows_sites.store(true, Ordering::Relaxed);
        self
    }

    /// Keeps the ends of tasks, of the groups inside this one as well, for [`next_end`](Self::next_end). When more than
    /// this many wait to be taken, the oldest is [missed](Self::missed_ends). The first number that is set counts.
    #[must_use]
    pub fn keep_ends(self, at_most: usize) -> Self {
        // Set before, it stands.
        let _ = self.group.kept.set(Kept::new(at_most));
        self
    }

    /// Tells the tasks of this group when they are to stop: in the group's turn, which may come later than the
    /// announcement that the shutdown's own watch tells of.
    ///
    /// It is draining once the group is stopped, with the moment by which its work must be over, and the reason. Stopped
    /// without a shutdown, and without a [part](Self::within) of its own, that is a year later. It does not keep the
    /// group, and is told when all its handles and tasks are gone.
    pub fn watch(&self) -> Watch {
        Watch::new(self.group.stages.clone())
    }

    /// Starts a task on the group's runtime. What it returns is its handle's.
    ///
    /// # Errors
    ///
    /// [`Draining`] when the group, or one that it is in, is stopped; the future is dropped. There is nothing between: a
    /// task that was started is waited for.
    #[track_caller]
    pub fn spawn<F>(
        &self,
        name: impl Into<Cow<'static, str>>,
        future: F,
    ) -> Result<JoinHandle<F::Output>, Draining>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.task(name).spawn(future)
    }

    /// Starts a task that may return an error, which then has failed. (A `Result` that is spawned by
    /// [`spawn`](Self::spawn) is a value like any other.)
    ///
    /// # Errors
    ///
    /// [`Draining`] when the group, or one that it is in, is stopped; the future is dropped.
    #[track_caller]
    pub fn try_spawn<F, T, E>(
        &self,
        name: impl Into<Cow<'static, str>>,
        future: F,
    ) -> Result<JoinHandle<Result<T, E>>, Draining>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Display + Send + 'static,
    {
        self.task(name).try_spawn(future)
    }

    /// Makes a future a task of this group, which somebody else spawns, polls or drops. It need not be `Send`.
    ///
    /// # Errors
    ///
    /// [`Draining`] when the group, or one that it is in, is stopped; the future is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::rc::Rc;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let tasks = sundown::Tasks::new(sundown_tokio::Tokio::current());
    /// let local = tokio::task::LocalSet::new();
    /// let rc = Rc::new(17);
    /// let task = local.spawn_local(tasks.track("local", async move { *rc })?);
    /// assert_eq!(tasks.counts().running, 1);
    /// assert_eq!(local.run_until(task).await?, Ok(17));
    /// assert_eq!(tasks.counts().completed, 1);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn track<F: Future>(
        &self,
        name: impl Into<Cow<'static, str>>,
        future: F,
    ) -> Result<Tracked<F>, Draining> {
        self.task(name).track(future)
    }

    /// A task whose end means something: see [`TaskBuilder`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn run(tasks: &sundown::Tasks) -> Result<(), sundown::Draining> {
    /// use sundown::Then;
    /// tasks.task("consumer").vital(Then::Shutdown).spawn(async { /* … */ })?;
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn task(&self, name: impl Into<Cow<'static, str>>) -> TaskBuilder<'_> {
        TaskBuilder::new(self, name.into(), Location::caller())
    }

    /// A future that runs what is made, and after an error or a panic makes and runs another, until one ends well. To be
    /// given to [`try_spawn`](Self::try_spawn) or [`TaskBuilder::try_track`].
    ///
    /// When the limits are reached, or the group is told to stop, it ends as the last one did, panics included. It is
    /// never started again after the stop: a backoff under way ends there.
    ///
    /// # Cancel safety
    ///
    /// To drop it is to drop what runs.
    pub fn restarting<M, F, T, E>(
        &self,
        restart: Restart,
        make: M,
    ) -> impl Future<Output = Result<T, E>> + use<M, F, T, E>
    where
        M: FnMut() -> F,
        F: Future<Output = Result<T, E>>,
    {
        restart::restarting(self.group.clone(), restart, make)
    }

    /// Tells the tasks to stop, here and in the groups inside, and takes no more. Idempotent: the first reason stands.
    pub fn stop(&self, reason: impl Into<Reason>) {
        self.group.tell(None, &reason.into());
    }

    /// Whether tasks are refused, since this group or one that it is in is stopped.
    pub fn is_stopped(&self) -> bool {
        self.group.is_closed()
    }

    /// [Stops](Self::stop), and has all tasks dropped, here and in the groups inside: each at its next suspension point,
    /// by whoever polls it. Returns before they are.
    pub fn abort(&self) {
        self.stop("the tasks were aborted");
        self.group.abort();
    }

    /// Resolves when the group is stopped and all its tasks have ended, those of the groups inside as well.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn empty(&self) {
        self.group.gate.empty().await;
    }

    /// Resolves when no task runs, those of the groups inside included, whether the group is stopped or not; another may run
    /// by then. See [`Gate::quiet`](crate::Gate::quiet).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn quiet(&self) -> impl Future<Output = ()> + Send + 'static {
        self.group.gate.quiet()
    }

    /// The running tasks by name and age, the oldest first, those of the groups inside as well.
    pub fn in_flight(&self) -> InFlight {
        let now = self.group.now();
        let mut running = self.group.running();
        running.sort_by_key(|(_, task)| task.entry.began);
        let named = running.iter().take(InFlight::NAMED).map(|(group, task)| Unit {
            name: group.title(&task.entry),
            age: Some(now.saturating_duration_since(task.entry.began)),
        });
        InFlight::named(named).at_least(running.len())
    }

    /// How many tasks are running, and how the others ended.
    pub fn counts(&self) -> TaskCounts {
        self.group.counters.read(self.group.running().len())
    }

    /// The next end that is [kept](Self::keep_ends), in their order. `None` when the group is [empty](Self::empty), and
    /// all have been taken; without `keep_ends`, when it is empty.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an end that was not returned is not taken. Of several who wait, each has ends that the others have
    /// not.
    pub async fn next_end(&self) -> Option<TaskEnd> {
        let Some(kept) = self.group.kept.get() else {
            self.empty().await;
            return None;
        };
        loop {
            let turn = kept.turn();
            if let Some(end) = kept.pop() {
                return Some(end);
            }
            if self.group.gate.is_empty() {
                // The last one is kept before it leaves.
                return kept.pop();
            }
            either(turn.closed(), self.empty()).await;
        }
    }

    /// How many ends were not kept, since too many waited to be taken.
    pub fn missed_ends(&self) -> u64 {
        self.group.kept.get().map_or(0, Kept::missed)
    }

    /// The names of the groups down to this one: `tenant-7`. The outermost has none.
    pub fn name(&self) -> &str {
        self.group.name()
    }
}
