//! A fresh runtime, and what the rules do with it.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver},
    },
    time::Duration,
};

use sundown::{AbortHandle, Drive, Runtime};

use super::{Running, Start};
use crate::conformance::trial::{Checked, OrBroken, Trial, Unmet, require, wait};

/// A private place.
pub(super) type Place = Box<dyn Drive>;

/// A runtime on trial.
pub(super) struct Stage {
    running: Running,
    patience: Duration,
    /// Kept, so that only the rule about dropped handles depends on what comes of them.
    handles: Mutex<Vec<AbortHandle>>,
}

impl Trial<Start> {
    pub(super) fn stage(&self) -> Stage {
        Stage { running: (*self.subject)(), patience: self.patience, handles: Mutex::default() }
    }
}

impl Stage {
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    pub(super) fn runtime(&self) -> Arc<dyn Runtime> {
        self.running.runtime.clone()
    }

    pub(super) fn place(&self) -> Checked<Place> {
        self.running.runtime.private().or_broken("`private`")
    }

    /// Spawns a task, and keeps its handle.
    pub(super) fn start(&self, task: impl Future<Output = ()> + Send + 'static) {
        let handle = self.running.runtime.spawn(Box::pin(task));
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
    }

    /// The same; what the task comes to arrives in the receiver.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Receiver<T> {
        let (tell, ended) = mpsc::channel();
        self.start(async move {
            let _ = tell.send(task.await);
        });
        ended
    }

    /// Spawns a task and waits for its end.
    pub(super) fn run<T: Send + 'static>(
        &self,
        expected: &str,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Checked<T> {
        wait(&self.spawn(task), self.patience, expected)
    }

    /// Brings the runtime to its end.
    pub(super) fn end(&mut self) -> Checked {
        let end = self.running.end.take().ok_or_else(|| Unmet::skipped("the runtime cannot be ended"))?;
        let (tell, ended) = mpsc::channel();
        std::thread::spawn(move || {
            end();
            let _ = tell.send(());
        });
        wait(&ended, self.patience, "the end of the runtime")
    }

    /// Blocks all of its threads, and leaves tasks in its queue.
    pub(super) fn block(&self) -> Checked<Blocked> {
        let blocked = Blocked::default();
        let (tell, begun) = mpsc::channel();
        for _ in 0..self.running.threads {
            let (tell, release, patience) = (tell.clone(), blocked.release.clone(), self.patience);
            self.start(async move {
                let _ = tell.send(());
                release.wait(patience * 4);
            });
        }
        for _ in 0..self.running.threads {
            wait(&begun, self.patience, "a task on each of the threads that the runtime is said to have")?;
        }
        for _ in 0..self.running.threads {
            let leaked = blocked.leaked.clone();
            self.start(async move { leaked.store(true, Ordering::Release) });
        }
        Ok(blocked)
    }
}

/// A runtime whose threads are all blocked, until this is dropped.
#[derive(Default)]
pub(super) struct Blocked {
    release: Arc<Release>,
    leaked: Arc<AtomicBool>,
}

impl Blocked {
    /// It was blocked all the time.
    pub(super) fn held(self) -> Checked {
        require(!self.leaked.load(Ordering::Acquire), || {
            "expected no task to run while all threads of the runtime are blocked, but one did: a place ran it, or \
             there are more threads than was said"
                .into()
        })
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        *self.release.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.release.opened.notify_all();
    }
}

/// What the blocking tasks wait for. The lock guards the flag.
#[derive(Default)]
struct Release {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Release {
    fn wait(&self, bound: Duration) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.opened.wait_timeout_while(open, bound, |open| !*open));
    }
}

/// Drives a future in a place; `None` if the place returned before the future's end.
pub(super) fn drive<T: Send>(place: &mut dyn Drive, future: impl Future<Output = T> + Send) -> Option<T> {
    let mut output = None;
    place.drive(pin!(async { output = Some(future.await) }));
    output
}
