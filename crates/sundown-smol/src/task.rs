//! A task of smol's as a component of a shutdown.

use async_task::FallibleTask;
use sundown::{Deadline, Drainable, InFlight, Spawned};

/// A task of smol's as a component: drained when it has ended, cancelled when it is forced.
///
/// How it ends is the task's own affair: it has a [`Watch`](sundown::Watch), or is told by
/// [`on_close`](Self::on_close). What it returns is dropped. If it panicked, `drained` panics with the same message,
/// which the report then has. A task that had to be cancelled is lost, and the report says so. Dropped without a
/// shutdown, the component lets go of its task, which goes on.
///
/// Any number may wait in `drained`, which is cancel safe. This crate's front page has an example.
#[derive(Debug)]
pub struct Task<T>(Spawned<FallibleTask<T>>);

impl<T> Task<T> {
    /// The component of a task that was spawned before.
    pub fn new(task: smol::Task<T>) -> Self {
        // smol cancels a task whose handle is dropped.
        Task(Spawned::new(task.fallible(), drop).let_go(FallibleTask::detach))
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
