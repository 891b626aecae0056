//! The runtime that a component or a notifier uses in its suite.

use std::{future::Future, io, net::TcpListener, pin::Pin, sync::Arc, time::Instant};

use sundown::{AbortHandle, Accept, BoxFuture, Drive, Runtime};

use super::bare::Bare;

/// A runtime that shutdowns use one after another.
#[derive(Clone)]
pub(crate) struct Lent(Arc<dyn Runtime>);

impl Lent {
    /// Plain threads.
    pub(crate) fn bare() -> Self {
        Lent::new(Bare)
    }

    pub(crate) fn new(runtime: impl Runtime) -> Self {
        Lent(Arc::new(runtime))
    }
}

impl Runtime for Lent {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        self.0.sleep_until(at)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> AbortHandle {
        self.0.spawn(task)
    }

    fn private(&self) -> io::Result<Box<dyn Drive>> {
        self.0.private()
    }

    fn adopt(&self, listener: TcpListener) -> io::Result<Box<dyn Accept>> {
        self.0.adopt(listener)
    }
}
