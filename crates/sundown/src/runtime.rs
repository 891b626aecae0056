//! What an adapter provides: time, tasks and sockets. Nothing here knows a policy.

use std::{
    fmt,
    future::Future,
    io::{self, IoSlice},
    net::SocketAddr,
    os::fd::AsFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use crate::host::{Host, System};

/// A boxed future that can move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An async runtime, as far as a shutdown needs one.
///
/// An adapter implements this and nothing else: no policy, no HTTP. The shutdown itself never depends on the runtime
/// making progress; it uses [`private`](Self::private) places for whatever it must run itself.
pub trait Runtime: Send + Sync + 'static {
    /// The current moment, on the time line that [`sleep_until`](Self::sleep_until) follows.
    ///
    /// Required, since a default would hide a clock. A process-wide shutdown needs real, monotonic time here.
    fn now(&self) -> Instant;

    /// A future that resolves at the given moment, which may have passed or be years away. It belongs to the reactor
    /// that polls it first, so that a timer made inside a private place runs there.
    ///
    /// # Cancel safety
    ///
    /// It must be: a timer that is dropped ends, and keeps nobody else's.
    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

    /// Runs a task on the runtime, detached; it goes on when the handle is dropped.
    ///
    /// Called on any thread, in a private place too. The task does not run on the thread that spawned it before `spawn`
    /// returns. Its panic is its own: the runtime and its other tasks go on. After the runtime's end the task is
    /// dropped; `spawn` has no error, and does not panic.
    fn spawn(&self, task: BoxFuture<'static, ()>) -> AbortHandle;

    /// The same for a task that nobody aborts by the runtime's own means: no handle is made. Default: the handle is
    /// dropped.
    fn spawn_detached(&self, task: BoxFuture<'static, ()>) {
        drop(self.spawn(task));
    }

    /// A place to drive futures on the calling thread with a reactor of its own, which works while the runtime is
    /// blocked or gone. It can be made and dropped anywhere: inside a task, and after the runtime's end.
    ///
    /// # Errors
    ///
    /// When the system has no resources for it, or the adapter was made outside its runtime. `start` asks for one
    /// place, so that the second is found out at once.
    fn private(&self) -> io::Result<Box<dyn Drive>>;

    /// Takes a bound, non-blocking listener into the runtime's reactor.
    ///
    /// # Errors
    ///
    /// When the reactor refuses it.
    fn adopt(&self, listener: std::net::TcpListener) -> io::Result<Box<dyn Accept>>;

    /// The machine that a shutdown on this runtime stands on: the system, but for a simulation.
    #[doc(hidden)]
    fn host(&self) -> Arc<dyn Host> {
        System::shared()
    }
}

/// What a [`Handle`](crate::Handle) has is one, for those who come later.
impl<R: Runtime + ?Sized> Runtime for Arc<R> {
    fn now(&self) -> Instant {
        (**self).now()
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        (**self).sleep_until(at)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> AbortHandle {
        (**self).spawn(task)
    }

    fn spawn_detached(&self, task: BoxFuture<'static, ()>) {
        (**self).spawn_detached(task);
    }

    fn private(&self) -> io::Result<Box<dyn Drive>> {
        (**self).private()
    }

    fn adopt(&self, listener: std::net::TcpListener) -> io::Result<Box<dyn Accept>> {
        (**self).adopt(listener)
    }

    fn host(&self) -> Arc<dyn Host> {
        (**self).host()
    }
}

/// A private place: see [`Runtime::private`].
pub trait Drive: Send {
    /// Drives the future to its end on the calling thread, whoever wakes it, and can be called again. A panic of the
    /// future reaches the caller; after it, the place is only dropped.
    fn drive(&mut self, future: Pin<&mut (dyn Future<Output = ()> + Send + '_)>);
}

/// A listener inside a runtime.
pub trait Accept: Send + 'static {
    /// The next connection. Whoever polled last is woken.
    ///
    /// # Errors
    ///
    /// Those of `accept(2)`, after which the listener stays usable, or that the runtime is gone.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Arc<dyn Transport>, SocketAddr)>>;
}

/// A non-blocking socket whose I/O takes `&self`, so that it can be shared with a thread outside the runtime: no
/// duplicate of the descriptor, no `unsafe`.
///
/// At most one task reads and one writes at a time through these methods, not always the same one: of those who read,
/// whoever polled last is woken, and so of those who write.
pub trait Transport: AsFd + Send + Sync + 'static {
    /// Reads some bytes; zero at the end.
    ///
    /// # Errors
    ///
    /// Those of the socket, or that the runtime is gone.
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes some bytes, of the first buffers first, and says how many: zero only if there is nothing to write.
    ///
    /// # Errors
    ///
    /// Those of the socket, or that the runtime is gone.
    fn poll_write_vectored(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;
}

/// Ends a spawned task. Dropping the handle leaves the task running.
pub struct AbortHandle(Box<dyn Fn() + Send + Sync>);

impl AbortHandle {
    /// Wraps the runtime's own way to end the task, which does nothing to a task that has ended.
    pub fn new(abort: impl Fn() + Send + Sync + 'static) -> Self {
        AbortHandle(Box::new(abort))
    }

    /// Asks the runtime to drop the task at its next suspension point.
    pub fn abort(&self) {
        (self.0)();
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AbortHandle")
    }
}
