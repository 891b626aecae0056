#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod socket;
mod task;

use std::{
    future::{Future, poll_fn},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use sundown::{AbortHandle, Accept, BoxFuture, Drainable, Drive, Runtime, panic_message};

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
        let mut timer = async_io::Timer::at(at);
        Box::pin(poll_fn(move |cx| Pin::new(&mut timer).poll(cx).map(drop)))
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) -> AbortHandle {
        let task = Task::new(async_std::task::spawn(future));
        AbortHandle::new(move || task.force())
    }

    fn spawn_detached(&self, future: BoxFuture<'static, ()>) {
        drop(async_std::task::spawn(future));
    }

    fn private(&self) -> io::Result<Box<dyn Drive>> {
        start_threads(|| {
            async_std::task::block_on(async {});
            let _ = async_io::Timer::after(Duration::from_secs(3600)).now_or_never();
        })?;
        Ok(Box::new(Private))
    }

    fn adopt(&self, listener: std::net::TcpListener) -> io::Result<Box<dyn Accept>> {
        Ok(Box::new(socket::Listener::new(listener.into())))
    }
}

/// The reactor is process-wide; whoever blocks on it drives it.
struct Private;

/// Does what starts a thread the first time: later there may be no thread or descriptor left for it.
fn start_threads(first_use: impl FnOnce()) -> io::Result<()> {
    // It panics over what it cannot have.
    catch_unwind(AssertUnwindSafe(first_use)).map_err(|panic| {
        io::Error::other(format!("async-std could not be started: {}", panic_message(panic)))
    })
}

impl Drive for Private {
    fn drive(&mut self, future: Pin<&mut (dyn Future<Output = ()> + Send + '_)>) {
        async_std::task::block_on(future);
    }
}
