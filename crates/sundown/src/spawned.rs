//! A task of some runtime's as a component: what an adapter makes of its runtime's own task type.

use std::{
    any::Any,
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use async_trait::async_trait;

use crate::{
    Deadline, Drainable, Gate, InFlight,
    sync::{Mutex, lock},
};

/// A spawned task as a component, by the handle that is the future of its end: drained when it has ended, cancelled when
/// it is forced.
///
/// The adapters' `Task` types are made of it, and so can be that of a runtime of your own. How the task ends is its own
/// affair: it has a [`Watch`](crate::Watch), or is told by [`on_close`](Self::on_close). What it returns is dropped. If
/// polling the handle panics, as those do that pass the task's panic on, `drained` panics with the same message, which
/// the report then has. A task that had to be cancelled is lost, and the report says so. Dropped without a shutdown, the
/// component lets go of its task, which goes on.
///
/// Any number may wait in `drained` at once, and dropping one of the futures loses nothing.
pub struct Spawned<H> {
    held: Mutex<Held<H>>,
    turns: Arc<Turns>,
    on_close: Box<dyn Fn() + Send + Sync>,
    cancel: fn(H),
    let_go: fn(H),
}

/// Its lock is never held while the handle is polled or dropped: wakers and outputs are foreign code.
struct Held<H> {
    /// `None` while it is polled, and when the task has ended or was forced.
    handle: Option<H>,
    polled: bool,
    /// Somebody asked while it was polled.
    refused: bool,
    forced: bool,
    /// By the task, and not yet by `drained`.
    thrown: Option<Box<dyn Any + Send>>,
}

/// Some handles keep one waker: it is this one, which wakes all who wait. It closes the gate of their turn, and the next
/// begins.
#[derive(Default)]
struct Turns(Mutex<Gate>);

impl Wake for Turns {
    fn wake(self: Arc<Self>) {
        let over = mem::take(&mut *lock(&self.0));
        over.close();
    }
}

impl<H: Future + Unpin> Spawned<H> {
    /// The component of a task that was spawned before; `cancel` ends it, given its handle back.
    pub fn new(handle: H, cancel: fn(H)) -> Self {
        let held = Held { handle: Some(handle), polled: false, refused: false, forced: false, thrown: None };
        Spawned {
            held: Mutex::new(held),
            turns: Arc::default(),
            on_close: Box::new(|| {}),
            cancel,
            let_go: drop,
        }
    }

    /// How to let go of a task that goes on, where dropping its handle would cancel it.
    #[must_use]
    pub fn let_go(mut self, let_go: fn(H)) -> Self {
        self.let_go = let_go;
        self
    }

    /// What to do when the component's turn has come: tell the task to end. It returns at once.
    #[must_use]
    pub fn on_close(mut self, close: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_close = Box::new(close);
        self
    }

    /// Takes the handle out of its place to poll it, and puts it back, unless the task has ended or was forced meanwhile.
    /// `None` if it has ended, else what is closed when it is to be asked again.
    fn poll_end(&self) -> Option<Gate> {
        // Before the poll, so that no wake-up after it is missed.
        let turn = lock(&self.turns.0).clone();
        let mut held = lock(&self.held);
        let Some(mut handle) = held.handle.take() else {
            held.refused = held.polled;
            return held.polled.then_some(turn);
        };
        held.polled = true;
        drop(held);
        let waker = Waker::from(self.turns.clone());
        let mut cx = Context::from_waker(&waker);
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut handle).poll(&mut cx)));
        let mut held = lock(&self.held);
        held.polled = false;
        let ended = held.forced || !matches!(polled, Ok(Poll::Pending));
        let output = polled.map_err(|panic| held.thrown = Some(panic));
        // Who was refused may have come too late for the handle's own wake-up, and nobody else need poll again.
        let wakes = mem::take(&mut held.refused) || ended;
        let spent = if ended { Some(handle) } else { held.handle.replace(handle) };
        drop(held);
        if wakes {
            waker.wake();
        }
        // Last: nobody is kept waiting by what is foreign, and may hang or panic.
        spent.into_iter().for_each(self.cancel);
        drop(output);
        (!ended).then_some(turn)
    }
}

#[async_trait]
impl<H: Future + Unpin + Send + 'static> Drainable for Spawned<H> {
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
        let handle = held.handle.take();
        drop(held);
        // Before what is foreign, and may hang or panic.
        self.turns.clone().wake();
        handle.into_iter().for_each(self.cancel);
    }
}

impl<H> Drop for Spawned<H> {
    fn drop(&mut self) {
        let handle = lock(&self.held).handle.take();
        handle.into_iter().for_each(self.let_go);
    }
}

impl<H> fmt::Debug for Spawned<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawned").field("forced", &lock(&self.held).forced).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{OnceLock, mpsc};

    use super::*;

    type Asked = mpsc::Sender<Option<Poll<()>>>;

    /// A task that never ends; while it is polled first, somebody else asks whether it has.
    struct Interrupted(Arc<OnceLock<Spawned<Interrupted>>>, Option<Asked>);

    impl Future for Interrupted {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            let asked = self.1.take();
            if let (Some(task), Some(asked)) = (self.0.get(), asked) {
                let waker = Waker::from(Arc::new(Asker(asked.clone())));
                let mut drained = task.drained();
                let _ = asked.send(Some(drained.as_mut().poll(&mut Context::from_waker(&waker))));
                // It waits until the test is over.
                std::mem::forget(drained);
            }
            Poll::Pending
        }
    }

    struct Asker(Asked);

    impl Wake for Asker {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(None);
        }
    }

    #[test]
    fn who_asks_while_the_task_is_polled_is_told_to_ask_again() {
        let (task, (send, said)) = (Arc::new(OnceLock::new()), mpsc::channel());
        let spawned = Spawned::new(Interrupted(task.clone(), Some(send)), drop);
        let task = task.get_or_init(|| spawned);
        assert!(task.drained().as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(said.try_iter().collect::<Vec<_>>(), [Some(Poll::Pending), None]);
        task.force();
    }

    #[test]
    fn a_cancel_that_panics_leaves_nobody_waiting() {
        let task = Spawned::new(std::future::pending::<()>(), |_| panic!("on purpose"));
        let (send, said) = mpsc::channel();
        let waker = Waker::from(Arc::new(Asker(send)));
        let mut drained = task.drained();
        assert!(drained.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(catch_unwind(AssertUnwindSafe(|| task.force())).is_err());
        assert_eq!(said.try_iter().collect::<Vec<_>>(), [None]);
        assert!(drained.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
    }
}
