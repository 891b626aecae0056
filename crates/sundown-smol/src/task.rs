//! A task of smol's as a component of a shutdown.

use std::{
    any::Any,
    fmt,
    future::Future,
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

use async_task::FallibleTask;
use sundown::{Deadline, Drainable, Gate, InFlight};

/// A task of smol's as a component: drained when it has ended, cancelled when it is forced.
///
/// How it ends is the task's own affair: it has a [`Watch`](sundown::Watch), or is told by
/// [`on_close`](Self::on_close). What it returns is dropped. If it panicked, `drained` panics with the same message,
/// which the report then has. A task that had to be cancelled is lost, and the report says so. Dropped without a
/// shutdown, the component lets go of its task, which goes on.
///
/// Dropping the future of `drained` loses nothing: it is cancel safe. This crate's front page has an example.
pub struct Task<T> {
    held: Mutex<Held<T>>,
    turns: Arc<Turns>,
    on_close: Box<dyn Fn() + Send + Sync>,
}

/// Its lock is never held while the task is polled or dropped: wakers and outputs are foreign code.
struct Held<T> {
    /// `None` while it is polled, and when it has ended or was forced.
    task: Option<FallibleTask<T>>,
    polled: bool,
    /// Somebody asked while it was polled.
    refused: bool,
    forced: bool,
    /// By the task, and not yet by `drained`.
    thrown: Option<Box<dyn Any + Send>>,
}

/// A task keeps one waker, this one, which wakes all who wait: it closes the gate of their turn, and the next begins.
#[derive(Default)]
struct Turns(Mutex<Gate>);

impl Wake for Turns {
    fn wake(self: Arc<Self>) {
        let over = mem::take(&mut *lock(&self.0));
        over.close();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Task<T> {
    /// The component of a task that was spawned before.
    pub fn new(task: smol::Task<T>) -> Self {
        let task = Some(task.fallible());
        let held = Held { task, polled: false, refused: false, forced: false, thrown: None };
        Task { held: Mutex::new(held), turns: Arc::default(), on_close: Box::new(|| {}) }
    }

    /// What to do when the component's turn has come: tell the task to end. It returns at once.
    #[must_use]
    pub fn on_close(mut self, close: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_close = Box::new(close);
        self
    }

    /// Takes the task out of its place to poll it, and puts it back, unless it has ended or was forced meanwhile.
    /// `None` if it has ended, else what is closed when it is to be asked again.
    fn poll_end(&self) -> Option<Gate> {
        // Before the poll, so that no wake-up after it is missed.
        let turn = lock(&self.turns.0).clone();
        let mut held = lock(&self.held);
        let Some(mut task) = held.task.take() else {
            held.refused = held.polled;
            return held.polled.then_some(turn);
        };
        held.polled = true;
        drop(held);
        let waker = Waker::from(self.turns.clone());
        let mut cx = Context::from_waker(&waker);
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut task).poll(&mut cx).map(drop)));
        let mut held = lock(&self.held);
        held.polled = false;
        let ended = held.forced || !matches!(polled, Ok(Poll::Pending));
        held.thrown = polled.err();
        // Who was refused may have come too late for the task's own wake-up, and nobody else need poll again.
        let wakes = mem::take(&mut held.refused) || ended;
        let spent = if ended { Some(task) } else { held.task.replace(task) };
        drop(held);
        drop(spent);
        if wakes {
            waker.wake();
        }
        (!ended).then_some(turn)
    }
}

#[sundown::async_trait]
impl<T: Send + 'static> Drainable for Task<T> {
    fn close(&self, _: &Deadline) {
        (self.on_close)();
    }

    async fn drained(&self) {
        while let Some(turn) = self.poll_end() {
            turn.closed().await;
        }
        let thrown = lock(&self.held).thrown.take();
        if let Some(panic) = thrown {
            resume_unwind(panic);
        }
    }

    fn in_flight(&self) -> InFlight {
        InFlight::counted(usize::from(self.poll_end().is_some()))
    }

    fn force(&self) {
        let mut held = lock(&self.held);
        held.forced = true;
        let task = held.task.take();
        drop(held);
        // smol cancels a task whose handle is dropped.
        drop(task);
        self.turns.clone().wake();
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        let task = lock(&self.held).task.take();
        // Not cancelled.
        task.into_iter().for_each(FallibleTask::detach);
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("forced", &lock(&self.held).forced).finish_non_exhaustive()
    }
}
