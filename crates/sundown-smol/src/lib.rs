#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod socket;
mod task;

use std::{
    fmt,
    future::Future,
    io,
    panic::catch_unwind,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use smol::Executor;
use sundown::{AbortHandle, Accept, BoxFuture, Drainable, Drive, Runtime};

pub use self::task::Task;

/// smol, on its global executor or on one of your own, for [`sundown::Shutdown`].
#[derive(Clone)]
pub struct Smol {
    /// `None`: the global one, which `smol::spawn` uses.
    executor: Option<Arc<Executor<'static>>>,
}

impl Smol {
    /// The global executor. Its threads are those of `SMOL_THREADS`, one by default.
    pub fn global() -> Self {
        Smol { executor: None }
    }

    /// An executor of your own, which you run.
    pub fn on(executor: Arc<Executor<'static>>) -> Self {
        Smol { executor: Some(executor) }
    }
}

impl Runtime for Smol {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(Sleep(async_io::Timer::at(at)))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> AbortHandle {
        let task = match &self.executor {
            Some(executor) => executor.spawn(task),
            None => smol::spawn(task),
        };
        // As a component, a task goes on when its handle is dropped.
        let task = Task::new(task);
        AbortHandle::new(move || task.force())
    }

    fn private(&self) -> io::Result<Box<dyn Drive>> {
        start_reactor()?;
        Ok(Box::new(Private))
    }

    fn adopt(&self, listener: std::net::TcpListener) -> io::Result<Box<dyn Accept>> {
        Ok(Box::new(socket::Listener(async_io::Async::new(listener)?)))
    }
}

impl fmt::Debug for Smol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smol").field("global", &self.executor.is_none()).finish()
    }
}

/// The reactor is process-wide; whoever blocks on it drives it.
struct Private;

/// Starts the reactor, which otherwise starts at its first use: then there may be no thread or descriptor left for it.
fn start_reactor() -> io::Result<()> {
    let first_use = || {
        let mut timer = pin!(async_io::Timer::after(Duration::from_secs(3600)));
        let _ = timer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    };
    // It panics over what it cannot have.
    catch_unwind(first_use).map_err(|_| {
        io::Error::other("the reactor of smol could not be started: no thread or descriptor is left")
    })
}

impl Drive for Private {
    fn drive(&mut self, future: Pin<&mut (dyn Future<Output = ()> + Send + '_)>) {
        async_io::block_on(future);
    }
}

struct Sleep(async_io::Timer);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}
