//! The smol adapter of [`sundown`]: one type, [`Smol`], which lends the shutdown smol's time, tasks and sockets.
//!
//! It holds no policy. What the shutdown must run itself runs in *private places*: `async_io::block_on` on the
//! shutdown's own threads, which drives the reactor from there, so that a blocked executor does not matter.
//!
//! # Examples
//!
//! ```
//! # use std::time::Duration;
//! use sundown::{Gate, Shutdown};
//! use sundown_smol::Smol;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! smol::block_on(async {
//!     let gate = Gate::new();
//!     let shutdown = Shutdown::embedded(Smol::global())
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
    fmt,
    future::Future,
    io,
    panic::catch_unwind,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use smol::{Executor, Task};
use sundown::{AbortHandle, Accept, BoxFuture, Drive, Runtime};

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
        let running = Running(Mutex::new(Some(task)));
        AbortHandle::new(move || running.abort())
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

/// A task of smol's is cancelled when its handle is dropped; ours goes on.
struct Running(Mutex<Option<Task<()>>>);

impl Running {
    fn take(&self) -> Option<Task<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn abort(&self) {
        drop(self.take());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = self.take() {
            task.detach();
        }
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
