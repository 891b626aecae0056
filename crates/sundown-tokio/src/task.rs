//! A task of tokio's as a component of a shutdown.

use std::{
    future::Future,
    panic::resume_unwind,
    pin::Pin,
    task::{Context, Poll, ready},
};

use sundown::{Deadline, Drainable, InFlight, Spawned};
use tokio::task::{JoinError, JoinHandle};

/// A task of tokio's as a component: drained when it has ended, aborted when it is forced.
///
/// How it ends is the task's own affair: it has a [`Watch`](sundown::Watch), or is told by
/// [`on_close`](Self::on_close). What it returns is dropped. If it panicked, `drained` panics with the same message,
/// which the report then has. A task that had to be aborted is lost, and the report says so. Dropped without a
/// shutdown, the component lets go of its task, which goes on.
///
/// A `JoinSet` is a component as the task that joins it: `Task::new(tokio::spawn(set.join_all()))`. The first panic among
/// its tasks is reported, and aborts the others, as `join_all` does. Where they are to go on,
/// [`on_drain`](sundown::on_drain) joins them in another way, and makes a component of whatever else there is to wait for.
///
/// Any number may wait in `drained`, which is cancel safe. This crate's front page has an example.
///
/// # Examples
///
/// A `TaskTracker` of tokio-util's, and the `CancellationToken` by which its tasks are told to end:
///
/// ```
/// # use std::time::Duration;
/// use sundown::{Shutdown, on_drain};
/// use sundown_tokio::Tokio;
/// use tokio_util::{sync::CancellationToken, task::TaskTracker};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
/// tasks.spawn(stop.clone().cancelled_owned());
///
/// let (draining, running) = (tasks.clone(), tasks.clone());
/// let component = on_drain(async move |_deadline| {
///     stop.cancel();
///     draining.close();
///     draining.wait().await;
/// });
/// let shutdown = Shutdown::embedded(Tokio::current())
///     .component("tasks", component.counted(move || running.len()))
///     .grace(Duration::from_secs(2))
///     .start()?;
/// shutdown.begin("the example is over"); // or, from a token: `token.cancelled().await`, then this
/// assert!(shutdown.finished().await.is_clean());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Task<T>(Spawned<Joining<T>>);

impl<T> Task<T> {
    /// The component of a task that was spawned before.
    pub fn new(handle: JoinHandle<T>) -> Self {
        Task(Spawned::new(Joining(handle), |joining| joining.0.abort()))
    }

    /// What to do when the component's turn has come: tell the task to end. It returns at once.
    #[must_use]
    pub fn on_close(self, close: impl Fn() + Send + Sync + 'static) -> Self {
        Task(self.0.on_close(close))
    }
}

#[sundown::async_trait]
impl<T: Send + 'static> Drainable for Task<T> {
    fn close(&self, deadline: &Deadline) {
        self.0.close(deadline);
    }

    async fn drained(&self) {
        self.0.drained().await;
    }

    fn in_flight(&self) -> InFlight {
        self.0.in_flight()
    }

    fn force(&self) {
        self.0.force();
    }
}

/// Passes the task's panic on.
#[derive(Debug)]
struct Joining<T>(JoinHandle<T>);

impl<T> Future for Joining<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        match ready!(Pin::new(&mut self.0).poll(cx)).map_err(JoinError::try_into_panic) {
            Ok(value) => Poll::Ready(Some(value)),
            Err(Ok(panic)) => resume_unwind(panic),
            Err(Err(_cancelled)) => Poll::Ready(None),
        }
    }
}
