//! The adapter: all that sundown asks of a runtime, and no policy.

use std::{
    future::Future,
    io,
    net::TcpListener,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use sundown::{AbortHandle, Accept, BoxFuture, Drive, Runtime};

use super::{
    executor::{Executor, Handle},
    reactor::Reactor,
    socket::Listener,
    timer::TimerId,
};

/// The little runtime of this example, for [`sundown::Shutdown`].
#[derive(Clone)]
pub struct YourRuntime {
    handle: Handle,
}

impl YourRuntime {
    /// On this executor, for as long as its owner keeps it.
    pub fn on(executor: &Executor) -> Self {
        YourRuntime { handle: executor.handle() }
    }
}

impl Runtime for YourRuntime {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(Sleep { at, fallback: self.handle.reactor().clone(), timer: None })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> AbortHandle {
        self.handle.spawn(task)
    }

    fn private(&self) -> io::Result<Box<dyn Drive>> {
        // Everything that a place needs is made now: at the end there may be no descriptors left.
        Ok(Box::new(Private(Reactor::new()?)))
    }

    fn adopt(&self, listener: TcpListener) -> io::Result<Box<dyn Accept>> {
        Ok(Box::new(Listener::new(listener, self.handle.reactor().clone())))
    }
}

/// A reactor of its own, turned by the thread that drives: neither the executor's threads nor its reactor are needed.
struct Private(Reactor);

impl Drive for Private {
    fn drive(&mut self, future: Pin<&mut (dyn Future<Output = ()> + Send + '_)>) {
        self.0.block_on(future);
    }
}

/// A timer that belongs to the reactor on which it is polled first, or else to the executor's.
struct Sleep {
    at: Instant,
    fallback: Reactor,
    timer: Option<(Reactor, TimerId)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.at <= Instant::now() {
            return Poll::Ready(());
        }
        let (reactor, timer) = this.timer.get_or_insert_with(|| {
            let reactor = Reactor::current().unwrap_or_else(|| this.fallback.clone());
            let timer = reactor.new_timer(this.at);
            (reactor, timer)
        });
        reactor.wait_until(*timer, cx.waker());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((reactor, timer)) = &self.timer {
            reactor.cancel(*timer);
        }
    }
}
