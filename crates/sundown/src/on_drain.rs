//! A closure as a component: what is to be done in its turn, and is waited for.
//!
//! Invariants:
//!
//! 1. **It runs once**, from the close on, in whatever place `drained` is driven in. The work is back in its place after
//!    each poll, so that a wait which nobody polls any more keeps it from nobody.
//! 2. **One polls it at a time**, and the last who did is woken by it. Who came meanwhile is told to ask again, and so are
//!    all when the work has ended, and when one who has polled it gives up: its waker may be the one that the work has.
//! 3. **Foreign code runs under no lock**: the closure, its future, and their destructors. What panics has ended.

use std::{
    fmt,
    future::Future,
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use async_trait::async_trait;

use crate::{
    BoxFuture, Deadline, Drainable, InFlight,
    latch::{Shared, Waiting},
    sync::{Mutex, lock},
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
            refused: false,
            forced: false,
        }),
        closed: Shared::default(),
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
    /// Set when all who wait are to ask again.
    turn: Mutex<Shared>,
    count: Option<Box<dyn Fn() -> usize + Send + Sync>>,
    on_force: Box<dyn Fn() + Send + Sync>,
}

struct State {
    /// Of the first close.
    deadline: Option<Deadline>,
    work: Work,
    /// Somebody asked while it was out.
    refused: bool,
    /// It is over for all who wait, whoever polls it.
    forced: bool,
}

enum Work {
    New(Box<dyn FnOnce(Deadline) -> BoxFuture<'static, ()> + Send>),
    Begun(BoxFuture<'static, ()>),
    /// Somebody polls it.
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

    /// The work, to be polled; `Work::Out` if somebody else does.
    fn take(&self) -> (Work, Option<Deadline>) {
        let mut state = lock(&self.state);
        if state.forced || matches!(state.work, Work::Ended) {
            return (Work::Ended, None);
        }
        state.refused |= matches!(state.work, Work::Out);
        (mem::replace(&mut state.work, Work::Out), state.deadline.clone())
    }

    /// Whoever polled it does so no longer.
    fn put_back(&self, work: Work) {
        let mut state = lock(&self.state);
        let refused = mem::take(&mut state.refused);
        let (kept, dropped) = if state.forced { (Work::Ended, Some(work)) } else { (work, None) };
        let ended = matches!(kept, Work::Ended);
        state.work = kept;
        drop(state);
        // Before what is foreign, and may hang or panic.
        if refused || ended {
            self.end_turn();
        }
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
        Driving { owner: self, turn: None, has_polled: false }.await;
    }

    fn in_flight(&self) -> InFlight {
        if matches!(lock(&self.state).work, Work::Ended) {
            return InFlight::counted(0);
        }
        InFlight::counted(self.count.as_ref().map_or(1, |count| count()))
    }

    fn force(&self) {
        let mut state = lock(&self.state);
        state.forced = true;
        let out = matches!(state.work, Work::Out);
        // Who polls it drops it.
        let dropped = if out { Work::Out } else { mem::replace(&mut state.work, Work::Ended) };
        drop(state);
        // Before what is foreign, and may hang or panic. One that is never closed is waited for no longer either.
        self.closed.open();
        self.end_turn();
        (self.on_force)();
        drop(dropped);
    }
}

/// One of those who wait for the work's end, and poll it.
struct Driving<'a> {
    owner: &'a OnDrain,
    /// When to ask again, besides when the work says so.
    turn: Option<Waiting<Shared>>,
    /// The work may have its waker.
    has_polled: bool,
}

impl Driving<'_> {
    /// Polls the work. What panics has ended.
    fn poll_work(&mut self, work: Work, deadline: Option<Deadline>, cx: &mut Context<'_>) -> Poll<()> {
        self.has_polled = true;
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let mut work = match (work, deadline) {
                (Work::New(begin), Some(deadline)) => begin(deadline),
                (Work::Begun(work), _) => work,
                // Forced before it was closed.
                (Work::New(_) | Work::Out | Work::Ended, _) => return None,
            };
            work.as_mut().poll(cx).is_pending().then_some(work)
        }));
        match polled {
            Ok(Some(work)) => {
                self.owner.put_back(Work::Begun(work));
                Poll::Pending
            }
            Ok(None) => {
                self.end();
                Poll::Ready(())
            }
            Err(panic) => {
                self.end();
                resume_unwind(panic)
            }
        }
    }

    /// The others are told; this one knows.
    fn end(&mut self) {
        (self.turn, self.has_polled) = (None, false);
        self.owner.put_back(Work::Ended);
    }
}

impl Future for Driving<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            // Before the look, so that no end of a turn after it is missed.
            let turn = lock(&this.owner.turn).clone();
            let waiting = this.turn.insert(Waiting::new(turn));
            let over = Pin::new(waiting).poll(cx).is_ready();
            match this.owner.take() {
                (Work::Ended, _) => {
                    this.has_polled = false;
                    return Poll::Ready(());
                }
                (Work::Out, _) if over => {}
                (Work::Out, _) => return Poll::Pending,
                (work, deadline) => return this.poll_work(work, deadline, cx),
            }
        }
    }
}

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        if self.has_polled {
            self.owner.end_turn();
        }
    }
}

impl fmt::Debug for OnDrain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnDrain").field("closed", &self.closed.is_set()).finish_non_exhaustive()
    }
}
