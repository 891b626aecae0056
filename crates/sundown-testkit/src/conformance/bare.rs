//! A runtime of plain threads, for suites whose subject is no runtime: it has time, tasks and places, and no sockets.

use std::{
    future::Future,
    io,
    net::TcpListener,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Instant,
};

use sundown::{AbortHandle, Accept, BoxFuture, Drive, Runtime};

use super::flag::wakeable;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Bare;

impl Runtime for Bare {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        let (over, is_over) = wakeable();
        thread::spawn(move || {
            thread::sleep(at.saturating_duration_since(Instant::now()));
            over.wake();
        });
        Box::pin(is_over)
    }

    fn spawn(&self, mut task: BoxFuture<'static, ()>) -> AbortHandle {
        let aborted = Arc::new(AtomicBool::new(false));
        let stop = aborted.clone();
        let running = thread::spawn(move || {
            block_on(std::future::poll_fn(|cx| match aborted.load(Ordering::Acquire) {
                true => Poll::Ready(()),
                false => task.as_mut().poll(cx),
            }));
        });
        AbortHandle::new(move || {
            // Release: the task's thread, woken, sees it.
            stop.store(true, Ordering::Release);
            running.thread().unpark();
        })
    }

    fn private(&self) -> io::Result<Box<dyn Drive>> {
        Ok(Box::new(Bare))
    }

    fn adopt(&self, _: TcpListener) -> io::Result<Box<dyn Accept>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Drive for Bare {
    fn drive(&mut self, future: Pin<&mut (dyn Future<Output = ()> + Send + '_)>) {
        block_on(future);
    }
}

/// Unparks a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Drives a future on this thread, which parks in between.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut future, mut cx) = (pin!(future), Context::from_waker(&waker));
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
