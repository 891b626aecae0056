//! A task of async-std's as a component of a shutdown.

use std::{
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use async_std::task::JoinHandle;
use futures_util::FutureExt;
use sundown::{Deadline, Drainable, InFlight};

/// A task of async-std's as a component: drained when it has ended, cancelled when it is forced.
///
/// How it ends is the task's own affair: it has a [`Watch`](sundown::Watch), or is told by
/// [`on_close`](Self::on_close). What it returns is dropped. If it panicked, `drained` panics with the same message,
/// which the report then has. A task that had to be cancelled is lost, and the report says so. Dropped without a
/// shutdown, the component lets go of its task, which goes on.
///
/// Dropping the future of `drained` loses nothing: it is cancel safe. This crate's front page has an example.
pub struct Task<T> {
    held: Mutex<Held<T>>,
    on_close: Box<dyn Fn() + Send + Sync>,
}

/// Its lock is never held while the task is polled or dropped: wakers and outputs are foreign code.
struct Held<T> {
    /// `None` while it is polled, and when it has ended.
    task: Option<JoinHandle<T>>,
    polled: bool,
    forced: bool,
}

impl<T> Task<T> {
    /// The component of a task that was spawned before.
    pub fn new(task: JoinHandle<T>) -> Self {
        let held = Held { task: Some(task), polled: false, forced: false };
        Task { held: Mutex::new(held), on_close: Box::new(|| {}) }
    }

    /// What to do when the component's turn has come: tell the task to end. It returns at once.
    #[must_use]
    pub fn on_close(mut self, close: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_close = Box::new(close);
        self
    }

    fn held(&self) -> MutexGuard<'_, Held<T>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the task out of its place to poll it, and puts it back, unless it has ended or was forced meanwhile.
    fn poll_end(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut held = self.held();
        let Some(mut task) = held.task.take() else { return Poll::Ready(()) };
        held.polled = true;
        drop(held);
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut task).poll(cx).map(drop)));
        let mut held = self.held();
        held.polled = false;
        if matches!(polled, Ok(Poll::Pending)) && !held.forced {
            held.task = Some(task);
            return Poll::Pending;
        }
        drop(held);
        cancel(task);
        polled.map_or_else(|panic| resume_unwind(panic), |_| Poll::Ready(()))
    }
}

#[sundown::async_trait]
impl<T: Send + 'static> Drainable for Task<T> {
    fn close(&self, _: &Deadline) {
        (self.on_close)();
    }

    async fn drained(&self) {
        poll_fn(|cx| self.poll_end(cx)).await;
    }

    fn in_flight(&self) -> InFlight {
        let held = self.held();
        // async-std says that a task has ended to none but who waits for it.
        InFlight::counted(usize::from(held.polled || held.task.is_some()))
    }

    fn force(&self) {
        let mut held = self.held();
        held.forced = true;
        let task = held.task.take();
        drop(held);
        // Whoever waits for the task is woken by that.
        task.into_iter().for_each(cancel);
    }
}

/// Takes effect when it is first polled, and throws what the task has thrown.
fn cancel<T>(task: JoinHandle<T>) {
    drop(catch_unwind(AssertUnwindSafe(|| task.cancel().now_or_never())));
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("forced", &self.held().forced).finish_non_exhaustive()
    }
}
