//! The async-std adapter of [`sundown`]: one type, [`AsyncStd`].
//!
//! **async-std is discontinued** ([RUSTSEC-2025-0052](https://rustsec.org/advisories/RUSTSEC-2025-0052)). This adapter is
//! for services that still run on it. Move to smol, which shares its reactor and its I/O traits: `sundown-smol` has the
//! same shape as this crate, and for a service that uses `async_std::task` and `async_std::net` the change is mostly one
//! of names.
//!
//! It holds no policy. What the shutdown must run itself runs in *private places*: `async_std::task::block_on` on the
//! shutdown's own threads, so that a blocked runtime does not matter.
//!
//! # Examples
//!
//! ```
//! # use std::time::Duration;
//! use sundown::{Gate, Shutdown};
//! use sundown_async_std::AsyncStd;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! async_std::task::block_on(async {
//!     let gate = Gate::new();
//!     let shutdown = Shutdown::embedded(AsyncStd)
//!         .component("work", gate.clone())
//!         .grace(Duration::from_secs(2))
//!         .start()?;
//!     shutdown.begin("the example is over");
//!     assert!(shutdown.finished().await.is_clean());
//!     Ok(())
//! })
//! # }
//! ```

#![forbid(unsafe_code)]

mod socket;

use std::{
    future::Future,
    io,
    panic::catch_unwind,
    pin::{Pin, pin},
    sync::{Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use async_std::task::{self, JoinHandle};
use sundown::{AbortHandle, Accept, BoxFuture, Drive, Runtime};

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
        let running = Mutex::new(Some(task::spawn(future)));
        AbortHandle::new(move || {
            let task: Option<JoinHandle<()>> = running.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(task) = task {
                // Cancelling is a future of its own.
                drop(task::spawn(task.cancel()));
            }
        })
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
        task::block_on(async {});
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
        task::block_on(future);
    }
}

struct Sleep(async_io::Timer);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}
