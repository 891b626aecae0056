//! The future around a task's own: where it is polled, dropped, and its end is found out.

use std::{
    any::Any,
    fmt,
    future::Future,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::{JoinError, TaskFate, handle::Slot, running::Running};
use crate::{latch::swallow, panic_message};

/// The text of a failure that an output stands for. It may be foreign code.
pub(super) type Judge<T> = fn(&T) -> Option<String>;

pin_project! {
    /// A future as a task of a [`Tasks`](super::Tasks) group, to be spawned by whoever likes: see
    /// [`Tasks::track`](super::Tasks::track).
    ///
    /// It is in flight from the moment it is made until it has resolved or is dropped. A panic ends it with an error, and
    /// goes no further.
    ///
    /// # Cancel safety
    ///
    /// To drop it is to abort the task: its own future is dropped, and it counts as aborted.
    ///
    /// # Panics
    ///
    /// When it is polled after it has resolved.
    #[must_use = "a future does nothing unless it is polled; dropping it aborts the task"]
    pub struct Tracked<F>
    where
        F: Future,
    {
        // `None` once it has ended, or been dropped.
        #[pin]
        future: Option<F>,
        judge: Judge<F::Output>,
        running: Option<Running>,
    }

    impl<F> PinnedDrop for Tracked<F>
    where
        F: Future,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(running) = this.running.take() {
                let dropped = catch_unwind(AssertUnwindSafe(|| this.future.set(None)));
                running.end(dropped.map_or_else(panicked, |()| TaskFate::Aborted));
            }
        }
    }
}

fn panicked(panic: Box<dyn Any + Send>) -> TaskFate {
    TaskFate::Panicked(panic_message(panic))
}

/// What a task left: its output, or how else it ended.
type End<T> = Result<T, TaskFate>;

impl<F: Future> Tracked<F> {
    pub(super) fn new(future: F, judge: Judge<F::Output>, running: Running) -> Self {
        Tracked { future: Some(future), judge, running: Some(running) }
    }

    /// The end, with the guard: the task is in flight until that is told of it.
    fn poll_end(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<(End<F::Output>, TaskFate, Running)> {
        let mut this = self.project();
        let running = this.running.as_mut().expect("a task is not polled after its end");
        let polled = ready!(poll_unless_aborted(this.future.as_mut(), running, cx));
        let dropped = catch_unwind(AssertUnwindSafe(|| this.future.set(None)));
        let end = match (polled, dropped.map_err(panicked)) {
            (Ok(output), Ok(())) => judged(output, *this.judge),
            (Ok(output), Err(fate)) => {
                swallow(|| drop(output));
                Err(fate)
            }
            // Of two panics the first is told.
            (Err(TaskFate::Aborted), Err(fate)) | (Err(fate), _) => Err(fate),
        };
        let running = this.running.take().expect("it was there");
        Poll::Ready(match end {
            Ok((output, fate)) => (Ok(output), fate, running),
            Err(fate) => (Err(fate.clone()), fate, running),
        })
    }
}

/// Polls the task's own future, unless it was aborted before or meanwhile.
fn poll_unless_aborted<F: Future>(
    future: Pin<&mut Option<F>>,
    running: &mut Running,
    cx: &mut Context<'_>,
) -> Poll<End<F::Output>> {
    let entry = &running.core.entry;
    if entry.is_aborted() {
        return Poll::Ready(Err(TaskFate::Aborted));
    }
    let future = future.as_pin_mut().expect("the future is there until the end");
    match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
        Ok(Poll::Ready(output)) => return Poll::Ready(Ok(output)),
        Err(panic) => return Poll::Ready(Err(panicked(panic))),
        Ok(Poll::Pending) => {}
    }
    // Only now: most short tasks need no waker of ours.
    entry.register(cx.waker(), mem::replace(&mut running.registered, true));
    if entry.is_aborted() { Poll::Ready(Err(TaskFate::Aborted)) } else { Poll::Pending }
}

fn judged<T>(output: T, judge: Judge<T>) -> Result<(T, TaskFate), TaskFate> {
    match catch_unwind(AssertUnwindSafe(|| judge(&output))) {
        Ok(None) => Ok((output, TaskFate::Completed)),
        Ok(Some(error)) => Ok((output, TaskFate::Failed(error))),
        Err(panic) => {
            swallow(|| drop(output));
            Err(panicked(panic))
        }
    }
}

impl<F: Future> Future for Tracked<F> {
    type Output = Result<F::Output, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (end, fate, running) = ready!(self.poll_end(cx));
        running.end(fate);
        Poll::Ready(end.map_err(|fate| JoinError::of(Some(fate))))
    }
}

impl<F: Future> fmt::Debug for Tracked<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.running.as_ref().map(|running| &running.entry().name);
        f.debug_struct("Tracked").field("name", &name).finish_non_exhaustive()
    }
}

pin_project! {
    /// A task that was spawned here: what it returns is for its handle.
    pub(super) struct Spawning<F>
    where
        F: Future,
    {
        #[pin]
        tracked: Tracked<F>,
    }
}

impl<F: Future> Spawning<F> {
    /// Of a task that was listed with a slot for its output.
    pub(super) fn new(tracked: Tracked<F>) -> Self {
        Spawning { tracked }
    }
}

impl<F> Future for Spawning<F>
where
    F: Future,
    F::Output: Send + 'static,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (end, fate, running) = ready!(self.project().tracked.poll_end(cx));
        let slot = running.core.slot.downcast_ref::<Slot<F::Output>>().expect("it was listed with one");
        let unwanted = end.ok().and_then(|output| slot.put(output));
        running.end(fate);
        swallow(|| drop(unwanted));
        Poll::Ready(())
    }
}
