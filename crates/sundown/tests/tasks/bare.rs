//! A runtime that is only a list of tasks, which the test polls when it likes.

use std::{
    future::Future,
    io,
    net::TcpListener,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Instant,
};

use sundown::{AbortHandle, Accept, BoxFuture, Drive, Runtime, TaskCounts, Tasks};

/// Spawned tasks in their order, until they have ended or the runtime has.
#[derive(Clone, Default)]
pub(crate) struct Bare(Arc<Mutex<Vec<BoxFuture<'static, ()>>>>);

impl Bare {
    /// A group of tasks on a new one.
    pub(crate) fn with_tasks() -> (Self, Tasks) {
        let bare = Bare::default();
        (bare.clone(), Tasks::new(bare))
    }

    /// Polls each task once.
    pub(crate) fn poll(&self) {
        self.poll_by(Waker::noop());
    }

    pub(crate) fn poll_by(&self, waker: &Waker) {
        let mut tasks = std::mem::take(&mut *self.0.lock().unwrap());
        tasks.retain_mut(|task| task.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        self.0.lock().unwrap().extend(tasks);
    }

    /// Drops what is left.
    pub(crate) fn end(&self) {
        let tasks = std::mem::take(&mut *self.0.lock().unwrap());
        drop(tasks);
    }
}

impl Runtime for Bare {
    fn now(&self) -> Instant {
        Instant::now()
    }

    /// Ready at once, or never.
    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        if at <= Instant::now() { Box::pin(std::future::ready(())) } else { Box::pin(std::future::pending()) }
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> AbortHandle {
        self.0.lock().unwrap().push(task);
        AbortHandle::new(|| {})
    }

    fn private(&self) -> io::Result<Box<dyn Drive>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn adopt(&self, _: TcpListener) -> io::Result<Box<dyn Accept>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Polls a future once, by nobody who could be woken.
pub(crate) fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// What a future has, which is not to wait.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    match poll(&mut Box::pin(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// `completed, failed, panicked, aborted`, of a group in which nothing runs.
pub(crate) fn ended(counts: TaskCounts) -> [u64; 4] {
    assert_eq!(counts.running, 0, "{counts:?}");
    [counts.completed, counts.failed, counts.panicked, counts.aborted]
}

/// Counts how often it was woken.
#[derive(Default)]
pub(crate) struct Woken(pub(crate) AtomicUsize);

impl Woken {
    pub(crate) fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
