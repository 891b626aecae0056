//! Wrong ways to run tasks and to end them.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
};

use sundown::{AbortHandle, BoxFuture, Runtime};
use sundown_tokio::Tokio;
use tokio::runtime::Handle;

use crate::fault::{Fault, SERVICE};

fn nothing() -> AbortHandle {
    AbortHandle::new(|| {})
}

/// Loses what a task spawns.
pub(crate) struct LostInside;

impl Fault for LostInside {
    fn spawn(&self, right: &Tokio, task: BoxFuture<'static, ()>) -> AbortHandle {
        match thread::current().name() {
            Some(SERVICE) => nothing(),
            _ => right.spawn(task),
        }
    }
}

/// Polls a task for the first time before it is handed on; on threads without a name only, since the suite's own have
/// one and spawn tasks that block.
pub(crate) struct PolledBySpawn;

impl Fault for PolledBySpawn {
    fn spawn(&self, right: &Tokio, mut task: BoxFuture<'static, ()>) -> AbortHandle {
        let here = thread::current().name().is_none();
        if here && task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return nothing();
        }
        right.spawn(task)
    }
}

/// Spawns on whatever runtime the thread is in, which may be a private one.
pub(crate) struct WhereItStands;

impl Fault for WhereItStands {
    fn spawn(&self, right: &Tokio, task: BoxFuture<'static, ()>) -> AbortHandle {
        Handle::try_current().map_or_else(|_| right.clone(), Tokio::of).spawn(task)
    }
}

/// Its handles abort when they are dropped.
pub(crate) struct AbortOnDrop;

impl Fault for AbortOnDrop {
    fn spawn(&self, right: &Tokio, task: BoxFuture<'static, ()>) -> AbortHandle {
        let aborts = Aborts(right.spawn(task));
        AbortHandle::new(move || aborts.0.abort())
    }
}

struct Aborts(AbortHandle);

impl Drop for Aborts {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) struct DeafAbort;

impl Fault for DeafAbort {
    fn spawn(&self, right: &Tokio, task: BoxFuture<'static, ()>) -> AbortHandle {
        right.spawn(task);
        nothing()
    }
}

/// Its handles panic when the task has ended.
pub(crate) struct TimelyAbort;

impl Fault for TimelyAbort {
    fn spawn(&self, right: &Tokio, task: BoxFuture<'static, ()>) -> AbortHandle {
        let tells = Ended(Arc::default());
        let ended = tells.0.clone();
        let abort = right.spawn(Box::pin(async move {
            let _tells = tells;
            task.await;
        }));
        AbortHandle::new(move || {
            assert!(!ended.load(Ordering::Acquire), "there is no such task, on purpose");
            abort.abort();
        })
    }
}

struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Runs nothing any more once a task has panicked.
#[derive(Default)]
pub(crate) struct EndedByPanic(Arc<AtomicBool>);

impl Fault for EndedByPanic {
    fn spawn(&self, right: &Tokio, mut task: BoxFuture<'static, ()>) -> AbortHandle {
        let panicked = self.0.clone();
        right.spawn(Box::pin(poll_fn(move |cx| {
            if panicked.load(Ordering::Acquire) {
                return Poll::Pending;
            }
            catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))).unwrap_or_else(|_| {
                panicked.store(true, Ordering::Release);
                task = Box::pin(async {});
                Poll::Ready(())
            })
        })))
    }
}

#[derive(Default)]
pub(crate) struct SpawnGone(AtomicBool);

impl Fault for SpawnGone {
    fn ended(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn spawn(&self, right: &Tokio, task: BoxFuture<'static, ()>) -> AbortHandle {
        assert!(!self.0.load(Ordering::Acquire), "the runtime is gone, on purpose");
        right.spawn(task)
    }
}
