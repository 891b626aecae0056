#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod socket;
mod task;

use std::{
    future::{Future, poll_fn},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use smol::Executor;
use sundown::{AbortHandle, Accept, BoxFuture, Drainable, Drive, Runtime, panic_message};

pub use self::task::Task;

/// smol, on its global executor or on one of your own, for [`sundown::Shutdown`].
#[derive(Clone, Debug)]
pub struct Smol {
    /// `None`: the global one, which `smol::spawn` uses. (Weak: its tasks hold us, and would keep it for ever.)
    executor: Option<Weak<Executor<'static>>>,
}

impl Smol {
    /// The global executor. Its threads are those of `SMOL_THREADS`, one by default.
    pub fn global() -> Self {
        Smol { executor: None }
    }

    /// An executor of your own, which you keep and run. It ends, with all that is left on it, when you drop it.
    pub fn on(executor: Arc<Executor<'static>>) -> Self {
        Smol { executor: Some(Arc::downgrade(&executor)) }
    }
}

impl Runtime for Smol {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        let mut timer = async_io::Timer::at(at);
        Box::pin(poll_fn(move |cx| Pin::new(&mut timer).poll(cx).map(drop)))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> AbortHandle {
        let task = match self.executor.as_ref().map(Weak::upgrade) {
            Some(Some(executor)) => executor.spawn(task),
            Some(None) => return AbortHandle::new(|| {}),
            None => smol::spawn(task),
        };
        // As a component, a task goes on when its handle is dropped.
        let task = Task::new(task);
        AbortHandle::new(move || task.force())
    }

    fn spawn_detached(&self, task: BoxFuture<'static, ()>) {
        match self.executor.as_ref().map(Weak::upgrade) {
            Some(Some(executor)) => executor.spawn(task).detach(),
            Some(None) => {}
            None => smol::spawn(task).detach(),
        }
    }

    fn private(&self) -> io::Result<Box<dyn Drive>> {
        start_threads(|| {
            let timer = async_io::Timer::after(Duration::from_secs(3600));
            let _ = smol::future::block_on(smol::future::poll_once(timer));
            if self.executor.is_none() {
                smol::spawn(async {}).detach();
            }
        })?;
        Ok(Box::new(Private))
    }

    fn adopt(&self, listener: std::net::TcpListener) -> io::Result<Box<dyn Accept>> {
        Ok(Box::new(socket::Listener(async_io::Async::new(listener)?)))
    }
}

/// The reactor is process-wide; whoever blocks on it drives it.
struct Private;

/// Does what starts a thread the first time: later there may be no thread or descriptor left for it.
fn start_threads(first_use: impl FnOnce()) -> io::Result<()> {
    // It panics over what it cannot have.
    catch_unwind(AssertUnwindSafe(first_use))
        .map_err(|panic| io::Error::other(format!("smol could not be started: {}", panic_message(panic))))
}

impl Drive for Private {
    fn drive(&mut self, future: Pin<&mut (dyn Future<Output = ()> + Send + '_)>) {
        async_io::block_on(future);
    }
}
