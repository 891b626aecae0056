//! Ends what waits when the service shuts down: a future, a stream, an iterator, a read, a write.
//!
//! Invariants:
//!
//! 1. **What is under way comes first.** A wait that has begun is asked once more before it is interrupted, so that what
//!    it has is not lost: an accepted connection, a message taken from a queue.
//! 2. **What has not begun does not begin.** Once the moment has come, nothing new is asked of what is wrapped, however
//!    much it has: a queue that is never empty ends all the same.
//! 3. **No lost wake-up.** Whoever is told to wait is registered with the shutdown too, in this very poll, and looks at
//!    the flag again after that. Reads and writes have a slot each: a stream that was split waits in two tasks.

mod io;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;

use crate::latch::{Shared, Waiting};

/// When something is interrupted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum When {
    /// When the shutdown is announced: for what brings new work.
    #[default]
    Draining,
    /// When unfinished jobs have been claimed: for work that may use the time to drain, and whose result nobody takes
    /// after that.
    Claimed,
    /// Never: where the choice is made at run time.
    Never,
}

/// What was waited for did not come before the service began to shut down.
///
/// In an [`io::Error`](std::io::Error) it is of the kind `Other`, which nobody retries (`Interrupted` means a signal
/// handler, and is retried by those who read exactly so much); [`caused`](Self::caused) finds it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted: the service is shutting down")]
pub struct Interrupted;

pin_project_lite::pin_project! {
    /// Something that ends when the service shuts down: made by [`Watch::interrupt`](crate::Watch::interrupt) and
    /// [`interrupt_at`](crate::Watch::interrupt_at).
    ///
    /// It is whatever it wraps:
    ///
    /// * a [`Future`], of a [`Result`]: it is an error that `?` passes on, and that cannot be overlooked;
    /// * a [`Stream`] or an [`Iterator`], which ends (a `next` that blocks its thread is not interrupted: no other follows
    ///   it);
    /// * a reader and writer of `futures-io`, and, in `sundown_tokio::Interrupt`, of tokio, whose reads and writes fail. It
    ///   is not the end of the input that they report: who takes all there is would take half a message for a whole one.
    ///   A buffer goes around it, not into it.
    ///
    /// What has been begun and is ready is given out, though the moment came meanwhile; what has not been begun by then
    /// never is. A flush or a close is tried in any case, since it ends things, and is waited for no longer.
    ///
    /// It allocates nothing to wait, and leaves nothing behind when it is dropped.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as what it wraps. Interrupted, a future is dropped with the `Interrupt`, or goes on with
    /// [`into_inner`](Self::into_inner); a stream, an iterator or a reader has what was not taken from it.
    ///
    /// # Examples
    ///
    /// An accept loop. Who waits for one thing at a time wraps the wait, and keeps the listener:
    ///
    /// ```
    /// # use std::time::Duration;
    /// use sundown::Watch;
    /// use tokio::net::TcpListener;
    ///
    /// async fn accept(listener: TcpListener, watch: Watch) -> std::io::Result<()> {
    ///     while let Ok(accepted) = watch.interrupt(listener.accept()).await {
    ///         let (stream, _) = accepted?;
    ///         # let _ = stream;
    ///         // … tokio::spawn(serve(stream)) …
    ///     }
    ///     Ok(()) // draining
    /// }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let shutdown = sundown::Shutdown::embedded(sundown_tokio::Tokio::current())
    /// #     .grace(Duration::from_secs(2)).start()?;
    /// # let task = tokio::spawn(accept(TcpListener::bind("127.0.0.1:0").await?, shutdown.watch()));
    /// # shutdown.begin("the example is over");
    /// # task.await??;
    /// # Ok(()) }
    /// ```
    #[must_use = "nothing is waited for until it is polled"]
    pub struct Interrupt<T> {
        #[pin]
        value: T,
        input: Side,
        // Made by the first write.
        output: Option<Side>,
    }
}

/// One direction of what is wrapped: at most one task waits in it.
struct Side {
    /// `None`: it is never interrupted.
    until: Option<Waiting<Shared>>,
    /// What was asked for has not come yet. (A flush or a close asks for nothing: what it waits for is no beginning.)
    under_way: bool,
}

impl<T> Interrupt<T> {
    pub(crate) fn new(value: T, until: Option<Shared>) -> Self {
        Interrupt { value, input: Side::new(until), output: None }
    }

    /// Whether the moment has come.
    pub fn is_interrupted(&self) -> bool {
        self.input.is_over()
    }

    /// What is wrapped.
    pub fn get_ref(&self) -> &T {
        &self.value
    }

    /// What is wrapped, to be changed.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }

    /// What is wrapped, to be polled without being interrupted.
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Pin<&mut T> {
        self.project().value
    }

    /// What is wrapped, to go on without being interrupted.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Asks what is wrapped for something, unless it is interrupted: for traits that this crate does not know.
    ///
    /// One task waits for input at a time.
    pub fn poll_input<R>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<Result<R, Interrupted>> {
        let this = self.project();
        this.input.poll(cx, |cx| poll(this.value, cx))
    }

    /// Gives what is wrapped something, unless it is interrupted: for traits that this crate does not know.
    ///
    /// One task waits for output at a time, which need not be the one that waits for input.
    pub fn poll_output<R>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<Result<R, Interrupted>> {
        let this = self.project();
        this.input.other(this.output).poll(cx, |cx| poll(this.value, cx))
    }

    /// The same for a flush or a close, which is tried even when it is interrupted, and waited for no longer.
    pub fn poll_ending<R>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<Result<R, Interrupted>> {
        let this = self.project();
        this.input.other(this.output).poll_once_more(cx, |cx| poll(this.value, cx))
    }
}

impl Side {
    fn new(until: Option<Shared>) -> Self {
        Side { until: until.map(Waiting::new), under_way: false }
    }

    /// The other direction, which has a slot of its own.
    fn other<'a>(&self, other: &'a mut Option<Side>) -> &'a mut Side {
        other.get_or_insert_with(|| Side::new(self.until.as_ref().map(|until| until.owner().clone())))
    }

    fn is_over(&self) -> bool {
        self.until.as_ref().is_some_and(|until| until.owner().is_set())
    }

    fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<R>,
    ) -> Poll<Result<R, Interrupted>> {
        if !self.under_way && self.is_over() {
            return Poll::Ready(Err(Interrupted));
        }
        let polled = self.poll_once_more(cx, poll);
        self.under_way = polled.is_pending();
        polled
    }

    /// Asks first and looks at the flag then, registered: whatever comes after this wakes the task.
    fn poll_once_more<R>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<R>,
    ) -> Poll<Result<R, Interrupted>> {
        if let Poll::Ready(value) = poll(cx) {
            return Poll::Ready(Ok(value));
        }
        let Some(until) = &mut self.until else { return Poll::Pending };
        ready!(Pin::new(until).poll(cx));
        Poll::Ready(Err(Interrupted))
    }
}

impl<F: Future> Future for Interrupt<F> {
    type Output = Result<F::Output, Interrupted>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_input(cx, F::poll)
    }
}

impl<S: Stream> Stream for Interrupt<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.poll_input(cx, S::poll_next).map(|next| next.ok().flatten())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.value.size_hint().1)
    }
}

impl<I: Iterator> Iterator for Interrupt<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        if self.is_interrupted() { None } else { self.value.next() }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.value.size_hint().1)
    }
}

impl<T: fmt::Debug> fmt::Debug for Interrupt<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupt")
            .field("value", &self.value)
            .field("interrupted", &self.is_interrupted())
            .finish_non_exhaustive()
    }
}
