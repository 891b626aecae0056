//! The right adapter, with a fault somewhere.

use std::{
    future::Future,
    io::{self, IoSlice},
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    sync::{Arc, mpsc},
    task::{Context, Poll},
    thread,
    time::Instant,
};

use sundown::{AbortHandle, Accept, BoxFuture, Drive, Runtime, Transport};
use sundown_testkit::conformance::Running;
use sundown_tokio::Tokio;
use tokio::{runtime::Builder, sync::oneshot};

pub(crate) type Timer = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;
pub(crate) type Driven<'a> = Pin<&'a mut (dyn Future<Output = ()> + Send + 'a)>;
pub(crate) type Accepted = io::Result<(Arc<dyn Transport>, SocketAddr)>;

/// What is wrong: each method is right unless a fault says otherwise.
pub(crate) trait Fault: Send + Sync + 'static {
    fn started(&self, _right: &Tokio) {}

    fn ended(&self) {}

    fn now(&self, right: &Tokio) -> Instant {
        right.now()
    }

    fn sleep_until(&self, right: &Tokio, at: Instant) -> Timer {
        right.sleep_until(at)
    }

    fn spawn(&self, right: &Tokio, task: BoxFuture<'static, ()>) -> AbortHandle {
        right.spawn(task)
    }

    fn private(&self, right: &Tokio) -> io::Result<Box<dyn Drive>> {
        right.private()
    }

    fn drive(&self, _right: &Tokio, place: &mut dyn Drive, future: Driven<'_>) {
        place.drive(future);
    }

    fn adopt(&self, right: &Tokio, listener: TcpListener) -> io::Result<Box<dyn Accept>> {
        right.adopt(listener)
    }

    fn poll_accept(&self, right: &mut dyn Accept, cx: &mut Context<'_>) -> Poll<Accepted> {
        right.poll_accept(cx)
    }

    fn poll_read(
        &self,
        right: &dyn Transport,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        right.poll_read(cx, buf)
    }

    fn poll_write(
        &self,
        right: &dyn Transport,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        right.poll_write_vectored(cx, bufs)
    }

    fn fd<'a>(&'a self, right: &'a dyn Transport) -> BorrowedFd<'a> {
        right.as_fd()
    }
}

/// Nothing is wrong.
pub(crate) struct None;

impl Fault for None {}

/// The name of the thread on which the service runs.
pub(crate) const SERVICE: &str = "service";

/// A fresh current-thread runtime, and an adapter with this fault.
pub(crate) fn start<F: Fault>(fault: F) -> Running {
    let (tell, started) = mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let run = move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        tell.send(runtime.handle().clone()).unwrap();
        let _ = runtime.block_on(stopped);
    };
    let service = thread::Builder::new().name(SERVICE.into()).spawn(run).unwrap();
    let (right, fault) = (Tokio::of(started.recv().unwrap()), Arc::new(fault));
    fault.started(&right);
    Running::new(Mutant(right, fault.clone()), 1).ended_by(move || {
        drop(stop);
        service.join().unwrap();
        fault.ended();
    })
}

struct Mutant<F>(Tokio, Arc<F>);

impl<F: Fault> Runtime for Mutant<F> {
    fn now(&self) -> Instant {
        self.1.now(&self.0)
    }

    fn sleep_until(&self, at: Instant) -> Timer {
        self.1.sleep_until(&self.0, at)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> AbortHandle {
        self.1.spawn(&self.0, task)
    }

    fn private(&self) -> io::Result<Box<dyn Drive>> {
        let place = self.1.private(&self.0)?;
        Ok(Box::new(Place(self.0.clone(), self.1.clone(), place)))
    }

    fn adopt(&self, listener: TcpListener) -> io::Result<Box<dyn Accept>> {
        let listener = self.1.adopt(&self.0, listener)?;
        Ok(Box::new(Listener(self.1.clone(), listener)))
    }
}

struct Place<F>(Tokio, Arc<F>, Box<dyn Drive>);

impl<F: Fault> Drive for Place<F> {
    fn drive(&mut self, future: Pin<&mut (dyn Future<Output = ()> + Send + '_)>) {
        let mut future = future;
        self.1.drive(&self.0, &mut *self.2, std::pin::pin!(async { future.as_mut().await }));
    }
}

struct Listener<F>(Arc<F>, Box<dyn Accept>);

impl<F: Fault> Accept for Listener<F> {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Accepted> {
        let fault = self.0.clone();
        let wrap = |(right, peer)| (Arc::new(Stream(fault, right)) as Arc<dyn Transport>, peer);
        self.0.poll_accept(&mut *self.1, cx).map(|accepted| accepted.map(wrap))
    }
}

struct Stream<F>(Arc<F>, Arc<dyn Transport>);

impl<F: Fault> AsFd for Stream<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd(&*self.1)
    }
}

impl<F: Fault> Transport for Stream<F> {
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.poll_read(&*self.1, cx, buf)
    }

    fn poll_write_vectored(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.0.poll_write(&*self.1, cx, bufs)
    }
}
