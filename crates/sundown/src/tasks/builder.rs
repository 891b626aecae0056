//! How a task is started, and what its end means.

use std::{
    borrow::Cow,
    fmt::{self, Display},
    future::Future,
    panic::Location,
    sync::Arc,
};

use super::{
    JoinHandle, Tasks, Tracked,
    handle::Slot,
    running::Policy,
    tracked::{Judge, Spawning},
};
use crate::Draining;

/// What the end of a task means for the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Then {
    /// Nothing: it is counted, and its handle tells.
    #[default]
    Ignore,
    /// The group of the task is [stopped](Tasks::stop), for this reason.
    StopGroup,
    /// The shutdown begins, for this reason: that of the nearest group, upwards, which is a component. One that has joined
    /// none yet begins it as soon as it does.
    ///
    /// After an error or a panic the shutdown is not clean, and its report has the message.
    Shutdown,
}

/// A task that is about to be started: see [`Tasks::task`].
#[derive(Clone, Debug)]
#[must_use = "nothing is started yet"]
pub struct TaskBuilder<'a> {
    tasks: &'a Tasks,
    name: Cow<'static, str>,
    site: &'static Location<'static>,
    policy: Policy,
}

impl<'a> TaskBuilder<'a> {
    pub(super) fn new(tasks: &'a Tasks, name: Cow<'static, str>, site: &'static Location<'static>) -> Self {
        TaskBuilder { tasks, name, site, policy: Policy::default() }
    }

    /// What it means when the task returns, without an error, before its group is stopped.
    pub fn on_end(mut self, then: Then) -> Self {
        self.policy.end = then;
        self
    }

    /// What it means when the task returns an error. (Those of [`try_spawn`](Self::try_spawn) and
    /// [`try_track`](Self::try_track).)
    pub fn on_error(mut self, then: Then) -> Self {
        self.policy.error = then;
        self
    }

    /// What it means when the task panics.
    pub fn on_panic(mut self, then: Then) -> Self {
        self.policy.panic = then;
        self
    }

    /// The same for each of the three: what a service cannot do without.
    pub fn vital(self, then: Then) -> Self {
        self.on_end(then).on_error(then).on_panic(then)
    }

    /// Starts it on the group's runtime. See [`Tasks::spawn`].
    ///
    /// # Errors
    ///
    /// [`Draining`] when the group is stopped; the future is dropped.
    pub fn spawn<F>(self, future: F) -> Result<JoinHandle<F::Output>, Draining>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.launch(future, |_| None)
    }

    /// The same for a task that may return an error. See [`Tasks::try_spawn`].
    ///
    /// # Errors
    ///
    /// [`Draining`] when the group is stopped; the future is dropped.
    pub fn try_spawn<F, T, E>(self, future: F) -> Result<JoinHandle<Result<T, E>>, Draining>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Display + Send + 'static,
    {
        self.launch(future, told)
    }

    /// A task of the group that somebody else spawns. See [`Tasks::track`].
    ///
    /// # Errors
    ///
    /// [`Draining`] when the group is stopped; the future is dropped.
    pub fn track<F: Future>(self, future: F) -> Result<Tracked<F>, Draining> {
        self.admit(future, |_| None)
    }

    /// The same for a task that may return an error.
    ///
    /// # Errors
    ///
    /// [`Draining`] when the group is stopped; the future is dropped.
    pub fn try_track<F, T, E>(self, future: F) -> Result<Tracked<F>, Draining>
    where
        F: Future<Output = Result<T, E>>,
        E: Display,
    {
        self.admit(future, told)
    }

    fn admit<F: Future>(self, future: F, judge: Judge<F::Output>) -> Result<Tracked<F>, Draining> {
        let inside = self.tasks.group.enter()?;
        let ((), running) = self.tasks.group.list(inside, self.name, self.site, self.policy, (), |_| ());
        Ok(Tracked::new(future, judge, running))
    }

    fn launch<F>(self, future: F, judge: Judge<F::Output>) -> Result<JoinHandle<F::Output>, Draining>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let group = &self.tasks.group;
        let inside = group.enter()?;
        let joined = |core: &Arc<_>| JoinHandle::new(Arc::clone(core));
        let (handle, running) = group.list(inside, self.name, self.site, self.policy, Slot::new(), joined);
        let task = Spawning::new(Tracked::new(future, judge, running));
        // The runtime's own way to abort is not needed: ours does without the runtime.
        group.runtime.spawn_detached(Box::pin(task));
        Ok(handle)
    }
}

/// What an error says.
fn told<T, E: Display>(output: &Result<T, E>) -> Option<String> {
    output.as_ref().err().map(E::to_string)
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks")
            .field("group", &self.name())
            .field("counts", &self.counts())
            .field("stopped", &self.is_stopped())
            .finish_non_exhaustive()
    }
}
