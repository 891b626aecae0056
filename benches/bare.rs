//! hyper alone, as a good engineer would put it on the adapter's sockets without `unsafe`.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::{Future, poll_fn},
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, rt::ReadBufCursor, server::conn::http1};
use sundown::{Runtime, Transport};
use tower_service::Service;

use crate::lazy::LazyTimer;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Who times the head of a request.
#[derive(Clone, Copy)]
pub(crate) enum Timers {
    /// The runtime, for each request anew: what hyper does with the usual timers.
    Plain,
    /// As in `sundown_http`.
    Lazy,
}

/// Accepts and serves for ever.
pub(crate) async fn serve<S, B>(
    runtime: Arc<dyn Runtime>,
    timers: Timers,
    listener: std::net::TcpListener,
    service: S,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    listener.set_nonblocking(true)?;
    let mut listener = runtime.adopt(listener)?;
    loop {
        let (transport, _peer) = poll_fn(|cx| listener.poll_accept(cx)).await?;
        rustix::net::sockopt::set_tcp_nodelay(&transport, true)?;
        runtime.spawn(Box::pin(drive(runtime.clone(), timers, Io(transport), service.clone())));
    }
}

/// As `sundown_http` sets it up.
async fn drive<S, B>(runtime: Arc<dyn Runtime>, timers: Timers, io: Io, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let serve = hyper::service::service_fn(move |request| {
        // What hyper-util's adapter for tower services does.
        let mut service = service.clone();
        async move {
            let ready = poll_fn(|cx| service.poll_ready(cx)).await;
            ready?;
            service.call(request).await
        }
    });
    let connection = {
        let mut builder = http1::Builder::new();
        match timers {
            Timers::Plain => builder.timer(Timer(runtime)),
            Timers::Lazy => builder.timer(LazyTimer::new(runtime)),
        };
        builder.half_close(true).header_read_timeout(Duration::from_secs(30));
        builder.serve_connection(io, serve).with_upgrades()
    };
    // An error is the connection's end.
    let _ = connection.await;
}

struct Io(Arc<dyn Transport>);

thread_local! {
    /// What is read goes through here, since hyper's own buffer can be read into with `unsafe` only. Nobody else is
    /// inside it: a read is one call.
    static CHUNK: RefCell<[u8; 8 * 1024]> = const { RefCell::new([0; 8 * 1024]) };
}

impl hyper::rt::Read for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        CHUNK.with_borrow_mut(|chunk| {
            let room = chunk.len().min(buf.remaining());
            let read = ready!(self.0.poll_read(cx, &mut chunk[..room]))?;
            buf.put_slice(&chunk[..read]);
            Poll::Ready(Ok(()))
        })
    }
}

impl hyper::rt::Write for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(rustix::net::shutdown(&self.0, rustix::net::Shutdown::Write).map_err(io::Error::from))
    }
}

#[derive(Clone)]
struct Timer(Arc<dyn Runtime>);

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(self.0.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep(self.0.sleep_until(deadline)))
    }

    fn now(&self) -> Instant {
        self.0.now()
    }
}

struct Sleep(Pin<Box<dyn Future<Output = ()> + Send + Sync>>);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl hyper::rt::Sleep for Sleep {}
