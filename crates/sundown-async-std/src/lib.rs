#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod socket;
mod task;

use std::{
    future::Future,
    io,
    panic::catch_unwind,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use sundown::{AbortHandle, Accept, BoxFuture, Drainable, Drive, Runtime};

pub use self::task::Task;

/// async-std's one global runtime, for [`sundown::Shutdown`].
#[derive(Clone, Copy, Debug, Default)]
pub struct AsyncStd;

impl Runtime for AsyncStd {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        // async-std has no timer for a moment; the reactor under it has.
        Box::pin(Sleep(async_io::Timer::at(at)))
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) -> AbortHandle {
        let task = Task::new(async_std::task::spawn(future));
        AbortHandle::new(move || task.force())
    }

    fn private(&self) -> io::Result<Box<dyn Drive>> {
        start_reactor()?;
        Ok(Box::new(Private))
    }

    fn adopt(&self, listener: std::net::TcpListener) -> io::Result<Box<dyn Accept>> {
        Ok(Box::new(socket::Listener::new(listener.into())))
    }
}

/// The reactor is process-wide; whoever blocks on it drives it.
struct Private;

/// Starts the reactor, which otherwise starts at its first use: then there may be no thread or descriptor left for it.
fn start_reactor() -> io::Result<()> {
    let first_use = || {
        // async-std starts its threads at its first use.
        async_std::task::block_on(async {});
        let mut timer = pin!(async_io::Timer::after(Duration::from_secs(3600)));
        let _ = timer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    };
    // It panics over what it cannot have.
    catch_unwind(first_use).map_err(|_| {
        io::Error::other("the reactor of async-std could not be started: no thread or descriptor is left")
    })
}

impl Drive for Private {
    fn drive(&mut self, future: Pin<&mut (dyn Future<Output = ()> + Send + '_)>) {
        async_std::task::block_on(future);
    }
}

struct Sleep(async_io::Timer);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}
