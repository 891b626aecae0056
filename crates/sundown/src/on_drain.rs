//! A closure as a component: what is to be done in its turn, and is waited for.
//!
//! Invariants:
//!
//! 1. **It runs once**, from the close on, in whatever place `drained` is driven in. A wait that is dropped puts the work
//!    back where it was, and another goes on with it.
//! 2. **One drives it at a time**; others wait for their turn, and each end of a turn wakes all of them.
//! 3. **Foreign code runs under no lock**: the closure, its future, and their destructors. What panics has ended.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use async_trait::async_trait;

use crate::{
    BoxFuture, Deadline, Drainable, InFlight,
    latch::{Shared, Waiting},
};

/// A component that does something when its turn to drain has come, is told its deadline, and is drained when that has
/// ended.
///
/// For whatever has its own way to stop: a connection pool, another crate's tasks. What has to come last, when nothing
/// runs any more, is for [`at_release`](crate::Builder::at_release).
///
/// # Examples
///
/// ```
/// # use std::time::Duration;
/// use sundown::{Deadline, Shutdown, on_drain};
///
/// # struct Pool;
/// # impl Pool { async fn close(&self, within: Duration) {} }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (runtime, pool) = (sundown_tokio::Tokio::current(), Pool);
/// let shutdown = Shutdown::embedded(runtime)
///     .component("pool", on_drain(async move |deadline: Deadline| pool.close(deadline.remaining()).await))
///     .grace(Duration::from_secs(2))
///     .start()?;
/// shutdown.begin("the example is over");
/// assert!(shutdown.finished().await.is_clean());
/// # Ok(()) }
/// ```
pub fn on_drain<F, W>(work: F) -> OnDrain
where
    F: FnOnce(Deadline) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    OnDrain {
        state: Mutex::new(State {
            deadline: None,
            work: Work::New(Box::new(|deadline| Box::pin(work(deadline)))),
        }),
        closed: Shared::default(),
        forced: Shared::default(),
        turn: Mutex::default(),
        count: None,
        on_force: Box::new(|| {}),
    }
}

/// A closure as a component: made by [`on_drain`].
///
/// The closure is called, and its future driven, outside the runtime, in the component's private place. It counts as one
/// piece of work in flight until it has ended: if it panics or does not end in time, the report says so. It is dropped
/// when it is forced, and without having run if there never was a shutdown.
///
/// Any number may wait in `drained`, and dropping one of the futures loses nothing.
#[must_use = "a component does nothing until it joins a shutdown"]
pub struct OnDrain {
    state: Mutex<State>,
    closed: Shared,
    forced: Shared,
    /// Set when whoever has the work has it no longer.
    turn: Mutex<Shared>,
    count: Option<Box<dyn Fn() -> usize + Send + Sync>>,
    on_force: Box<dyn Fn() + Send + Sync>,
}

struct State {
    /// Of the first close.
    deadline: Option<Deadline>,
    work: Work,
}

enum Work {
    New(Box<dyn FnOnce(Deadline) -> BoxFuture<'static, ()> + Send>),
    Begun(BoxFuture<'static, ()>),
    /// Somebody drives it.
    Out,
    Ended,
}

impl OnDrain {
    /// How many pieces of work are in flight, where that is known; asked at any time until the work has ended. It returns
    /// at once.
    pub fn counted(mut self, count: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        self.count = Some(Box::new(count));
        self
    }

    /// What to do when the time is over, besides dropping the work: abort what it waits for. It returns at once, and may be
    /// called again.
    pub fn on_force(mut self, force: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_force = Box::new(force);
        self
    }

    /// The work, to be driven; `Work::Out` if somebody else does.
    fn take(&self) -> (Work, Option<Deadline>) {
        let mut state = lock(&self.state);
        let next = if matches!(state.work, Work::Ended) { Work::Ended } else { Work::Out };
        (mem::replace(&mut state.work, next), state.deadline.clone())
    }

    /// Whoever had it has it no longer.
    fn put_back(&self, work: Work) {
        let mut state = lock(&self.state);
        let dropped = if self.forced.is_set() {
            state.work = Work::Ended;
            Some(work)
        } else {
            state.work = work;
            None
        };
        drop(state);
        // Before what is foreign, and may hang or panic.
        self.end_turn();
        drop(dropped);
    }

    fn end_turn(&self) {
        let over = mem::take(&mut *lock(&self.turn));
        over.open();
    }
}

#[async_trait]
impl Drainable for OnDrain {
    fn close(&self, deadline: &Deadline) {
        lock(&self.state).deadline.get_or_insert_with(|| deadline.clone());
        self.closed.open();
    }

    async fn drained(&self) {
        Waiting::new(self.closed.clone()).await;
        loop {
            // Before the look, so that no end of a turn after it is missed.
            let turn = lock(&self.turn).clone();
            match self.take() {
                (Work::Ended, _) => return,
                (Work::Out, _) if self.forced.is_set() => return,
                (Work::Out, _) => Waiting::new(turn).await,
                (work, deadline) => {
                    let forced = Waiting::new(self.forced.clone());
                    return Driving { owner: self, work, deadline, forced }.await;
                }
            }
        }
    }

    fn in_flight(&self) -> InFlight {
        if matches!(lock(&self.state).work, Work::Ended) {
            return InFlight::counted(0);
        }
        InFlight::counted(self.count.as_ref().map_or(1, |count| count()))
    }

    fn force(&self) {
        self.forced.set();
        let mut state = lock(&self.state);
        let next = if matches!(state.work, Work::Out) { Work::Out } else { Work::Ended };
        let dropped = mem::replace(&mut state.work, next);
        drop(state);
        // Before what is foreign, and may hang or panic. One that is never closed is waited for no longer either.
        self.forced.wake();
        self.closed.open();
        self.end_turn();
        (self.on_force)();
        drop(dropped);
    }
}

/// Drives the work, and puts it back when it is dropped.
struct Driving<'a> {
    owner: &'a OnDrain,
    /// `Ended` while it is polled: if that panics, it has.
    work: Work,
    deadline: Option<Deadline>,
    forced: Waiting<Shared>,
}

impl Future for Driving<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut work = match (mem::replace(&mut this.work, Work::Ended), this.deadline.take()) {
            (Work::New(begin), Some(deadline)) => begin(deadline),
            (Work::Begun(work), _) => work,
            // Forced before it was closed, or polled again when it has ended.
            (Work::New(_) | Work::Out | Work::Ended, _) => return Poll::Ready(()),
        };
        if work.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        this.work = Work::Begun(work);
        Pin::new(&mut this.forced).poll(cx)
    }
}

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        self.owner.put_back(mem::replace(&mut self.work, Work::Ended));
    }
}

impl fmt::Debug for OnDrain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnDrain").field("closed", &self.closed.is_set()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
