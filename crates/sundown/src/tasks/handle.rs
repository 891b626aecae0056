//! What whoever spawned a task holds of it.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use super::{TaskFate, running::Core};
use crate::AbortHandle;

/// A task's output on its way to the handle. The lock guards the place; nothing is dropped under it.
pub(super) struct Slot<T>(Mutex<Place<T>>);

enum Place<T> {
    Empty,
    Full(T),
    /// Nobody wants it: it was taken, or the handle was dropped.
    Closed,
}

impl<T> Slot<T> {
    pub(super) fn new() -> Self {
        Slot(Mutex::new(Place::Empty))
    }

    /// Gives the output back when nobody wants it.
    pub(super) fn put(&self, output: T) -> Option<T> {
        let mut place = self.place();
        match *place {
            Place::Empty => {
                *place = Place::Full(output);
                None
            }
            Place::Full(_) | Place::Closed => Some(output),
        }
    }

    fn take(&self) -> Option<T> {
        match mem::replace(&mut *self.place(), Place::Closed) {
            Place::Full(output) => Some(output),
            Place::Empty | Place::Closed => None,
        }
    }

    fn place(&self) -> MutexGuard<'_, Place<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a spawned task, to be waited for: what the task returned, or why it returned nothing.
///
/// Dropping it leaves the task running.
///
/// # Cancel safety
///
/// Cancel safe: it is polled in place (`(&mut handle).await`), and loses nothing when it is not polled any more.
///
/// # Panics
///
/// When it is polled after it has resolved.
pub struct JoinHandle<T> {
    core: Arc<Core<Slot<T>>>,
    resolved: bool,
}

impl<T> JoinHandle<T> {
    pub(super) fn new(core: Arc<Core<Slot<T>>>) -> Self {
        JoinHandle { core, resolved: false }
    }

    /// Has the task dropped at its next suspension point, by the task itself. Without effect on one that has ended; one
    /// that ends meanwhile has ended as it did.
    pub fn abort(&self) {
        self.core.entry.abort();
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.core.entry.is_finished()
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.core.entry.name
    }
}

impl<T: Send + 'static> JoinHandle<T> {
    /// The same [`abort`](Self::abort) for somebody else.
    pub fn abort_handle(&self) -> AbortHandle {
        let core = self.core.clone();
        AbortHandle::new(move || core.entry.abort())
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(!self.resolved, "a handle is not polled after it has resolved");
        ready!(self.core.entry.poll_end(cx.waker()));
        self.resolved = true;
        let output = self.core.slot.take();
        Poll::Ready(output.ok_or_else(|| JoinError::of(self.core.entry.fate())))
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if self.resolved {
            return;
        }
        self.core.entry.forget_joiner();
        // Here, and not wherever the last trace of the task happens to go.
        drop(self.core.slot.take());
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("name", &self.name())
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

/// Why a task returned nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// It panicked, or its destructor did, with this message.
    #[error("the task panicked: {0}")]
    Panicked(String),
    /// It was dropped before its end: by an abort, by the end of its runtime, or by whoever had it.
    #[error("the task was aborted")]
    Aborted,
}

impl JoinError {
    /// Of a task without an output.
    pub(super) fn of(fate: Option<TaskFate>) -> Self {
        match fate {
            Some(TaskFate::Panicked(message)) => JoinError::Panicked(message),
            _ => JoinError::Aborted,
        }
    }
}
