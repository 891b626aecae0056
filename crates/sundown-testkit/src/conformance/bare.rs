//! A runtime of plain threads, for suites whose subject is no runtime: it has time, tasks and places, and no sockets.

use std::{
    future::Future,
    io,
    net::TcpListener,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, channel},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, JoinHandle, Thread},
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
        Box::pin(timer(at).0)
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

/// A timer, and the thread that keeps its time, which ends at that time or when the timer is dropped.
fn timer(at: Instant) -> (impl Future<Output = ()> + Send + Sync, JoinHandle<()>) {
    let (over, is_over) = wakeable();
    let (kept, dropped) = channel::<()>();
    let thread = thread::spawn(move || {
        // Nothing is ever sent: it ends with the time, or with the timer's end of the channel.
        if dropped.recv_timeout(at.saturating_duration_since(Instant::now()))
            == Err(RecvTimeoutError::Timeout)
        {
            over.wake();
        }
    });
    let timer = async move {
        is_over.await;
        drop(kept);
    };
    (timer, thread)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_timer_resolves_at_its_time() {
        let at = Instant::now() + Duration::from_millis(5);
        block_on(timer(at).0);
        assert!(Instant::now() >= at);
    }

    #[test]
    fn a_dropped_timer_ends_its_thread() {
        let began = Instant::now();
        let (never_polled, thread) = timer(began + MINUTE);
        drop(never_polled);
        thread.join().unwrap();
        let (polled, thread) = timer(began + MINUTE);
        let mut polled = Box::pin(polled);
        assert!(polled.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(polled);
        thread.join().unwrap();
        assert!(began.elapsed() < MINUTE);
    }
}
