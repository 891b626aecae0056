#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod interrupt;
mod socket;
mod task;

use std::{
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use sundown::{AbortHandle, Accept, BoxFuture, Drive, Runtime};
use tokio::runtime::{self, Handle};

pub use self::{interrupt::Interrupt, task::Task};

/// A tokio runtime, current-thread or multi-thread, for [`sundown::Shutdown`].
#[derive(Clone, Debug)]
pub struct Tokio {
    handle: Option<Handle>,
}

impl Tokio {
    /// The runtime of the calling task or thread.
    ///
    /// Outside a runtime this makes an adapter whose [`private`](Runtime::private) fails, so that
    /// [`start`](sundown::Builder::start) says so.
    pub fn current() -> Self {
        Tokio { handle: Handle::try_current().ok() }
    }

    /// A given runtime.
    pub fn of(handle: Handle) -> Self {
        Tokio { handle: Some(handle) }
    }

    fn handle(&self) -> io::Result<&Handle> {
        self.handle.as_ref().ok_or_else(|| {
            io::Error::other(
                "Tokio::current() was called outside a tokio runtime; call it inside, or use Tokio::of",
            )
        })
    }

    /// Does what tokio panics over when the runtime was built without this driver.
    fn enabled<T>(&self, driver: &str, uses: impl FnOnce() -> T) -> io::Result<T> {
        let _inside = self.handle()?.enter();
        catch_unwind(AssertUnwindSafe(uses)).map_err(|_| {
            let message =
                format!("the tokio runtime was built without its {driver} driver; use enable_all()");
            io::Error::other(message)
        })
    }
}

impl Runtime for Tokio {
    fn now(&self) -> Instant {
        // The clock of the runtime we are in, which a test may have paused; the system's outside.
        match Handle::try_current() {
            Ok(_) => tokio::time::Instant::now().into_std(),
            Err(_) => Instant::now(),
        }
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(Sleep { at, fallback: self.handle.clone(), timer: None })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> AbortHandle {
        match &self.handle {
            Some(handle) => {
                let task = handle.spawn(task);
                AbortHandle::new(move || task.abort())
            }
            // No shutdown starts with such an adapter; its tasks have nowhere to run.
            None => AbortHandle::new(|| {}),
        }
    }

    fn spawn_detached(&self, task: BoxFuture<'static, ()>) {
        if let Some(handle) = &self.handle {
            drop(handle.spawn(task));
        }
    }

    fn private(&self) -> io::Result<Box<dyn Drive>> {
        self.handle()?;
        Ok(Box::new(Private(Some(runtime::Builder::new_current_thread().enable_all().build()?))))
    }

    fn adopt(&self, listener: std::net::TcpListener) -> io::Result<Box<dyn Accept>> {
        // Whoever serves connections also times them.
        self.enabled("time", || drop(tokio::time::sleep(Duration::ZERO)))?;
        let adopted = self.enabled("io", || tokio::net::TcpListener::from_std(listener))?;
        Ok(Box::new(socket::Listener(adopted?)))
    }
}

/// `Some` until it is dropped.
struct Private(Option<runtime::Runtime>);

impl Drive for Private {
    fn drive(&mut self, future: Pin<&mut (dyn Future<Output = ()> + Send + '_)>) {
        if let Some(runtime) = &self.0 {
            runtime.block_on(future);
        }
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // In the background: a plain drop waits for blocking tasks, and panics inside another runtime.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A timer that belongs to the runtime which polls it first.
struct Sleep {
    at: Instant,
    fallback: Option<Handle>,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let timer = this.timer.get_or_insert_with(|| {
            // Polled by another executor's thread: the service's own runtime keeps the time.
            let _inside = match Handle::try_current() {
                Ok(_) => None,
                Err(_) => this.fallback.as_ref().map(Handle::enter),
            };
            Box::pin(tokio::time::sleep_until(this.at.into()))
        });
        timer.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(result: io::Result<impl Sized>) -> String {
        result.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_runtime_without_its_drivers_is_refused_by_name() {
        let listener = || {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        };
        let refused =
            |driver| format!("the tokio runtime was built without its {driver} driver; use enable_all()");
        let bare = runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(refusal(Tokio::of(bare.handle().clone()).adopt(listener())), refused("time"));
        let deaf = runtime::Builder::new_current_thread().enable_time().build().unwrap();
        assert_eq!(refusal(Tokio::of(deaf.handle().clone()).adopt(listener())), refused("io"));
        let whole = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert!(Tokio::of(whole.handle().clone()).adopt(listener()).is_ok());
    }

    #[test]
    fn outside_a_runtime_it_is_refused_with_what_to_do() {
        assert!(refusal(Tokio::current().private()).contains("use Tokio::of"));
    }

    #[test]
    fn a_timer_belongs_to_whoever_polls_it_first() {
        let service = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let tokio = Tokio::of(service.handle().clone());
        // Nobody drives the service's runtime: the timer must not depend on it.
        let mut timer = tokio.sleep_until(Instant::now() + Duration::from_millis(5));
        let mut place = tokio.private().unwrap();
        let mut done = false;
        place.drive(std::pin::pin!(async {
            timer.as_mut().await;
            done = true;
        }));
        assert!(done);
    }
}
