//! A task of tokio's as a component of a shutdown.

use std::{fmt, panic::resume_unwind};

use sundown::{Deadline, Drainable, InFlight};
use tokio::{
    sync::Mutex,
    task::{AbortHandle, JoinHandle},
};

/// A task of tokio's as a component: drained when it has ended, aborted when it is forced.
///
/// How it ends is the task's own affair: it has a [`Watch`](sundown::Watch), or is told by
/// [`on_close`](Self::on_close). What it returns is dropped. If it panicked, `drained` panics with the same message,
/// which the report then has. A task that had to be aborted is lost, and the report says so. Dropped without a
/// shutdown, the component lets go of its task, which goes on.
///
/// A `JoinSet` is a component as the task that joins it: `Task::new(tokio::spawn(set.join_all()))`.
///
/// Dropping the future of `drained` loses nothing: it is cancel safe. This crate's front page has an example.
pub struct Task<T> {
    /// Held while `drained` waits, by one at a time; `None` when the task has ended.
    handle: Mutex<Option<JoinHandle<T>>>,
    abort: AbortHandle,
    on_close: Box<dyn Fn() + Send + Sync>,
}

impl<T> Task<T> {
    /// The component of a task that was spawned before.
    pub fn new(handle: JoinHandle<T>) -> Self {
        Task { abort: handle.abort_handle(), handle: Mutex::new(Some(handle)), on_close: Box::new(|| {}) }
    }

    /// What to do when the component's turn has come: tell the task to end. It returns at once.
    #[must_use]
    pub fn on_close(mut self, close: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_close = Box::new(close);
        self
    }
}

#[sundown::async_trait]
impl<T: Send + 'static> Drainable for Task<T> {
    fn close(&self, _: &Deadline) {
        (self.on_close)();
    }

    async fn drained(&self) {
        let mut handle = self.handle.lock().await;
        let Some(waits) = &mut *handle else { return };
        let ended = waits.await;
        let spent = handle.take();
        // First: the output is foreign code.
        drop(handle);
        drop(spent);
        if let Err(error) = ended
            && let Ok(panic) = error.try_into_panic()
        {
            resume_unwind(panic);
        }
    }

    fn in_flight(&self) -> InFlight {
        InFlight::counted(usize::from(!self.abort.is_finished()))
    }

    fn force(&self) {
        self.abort.abort();
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("ended", &self.abort.is_finished()).finish_non_exhaustive()
    }
}
