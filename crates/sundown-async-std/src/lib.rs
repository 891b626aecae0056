#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod socket;
mod task;

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
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
        Ok(Box::new(Private))
    }

    fn adopt(&self, listener: std::net::TcpListener) -> io::Result<Box<dyn Accept>> {
        Ok(Box::new(socket::Listener::new(listener.into())))
    }
}

/// The reactor is process-wide; whoever blocks on it drives it.
struct Private;

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
