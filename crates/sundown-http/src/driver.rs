//! The task of one connection: hyper's connection future, and the right moment to end it.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1};
use sundown::Transport;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    body::BoxError,
    conn::Conn,
    io::TrackedIo,
    layer::AnswerLayer,
    phase::Phase,
    server::{Config, Shared},
    timer::Timer,
};

/// How long a newcomer may take to send its first byte before its connection counts as idle: as long as traffic must be
/// quiet by default.
const NEWCOMER: Duration = Duration::from_millis(250);

/// Makes a connection known to the server: when it is accepted, not when its task first runs. That may never be.
pub(crate) fn register(server: &Arc<Shared>, transport: Arc<dyn Transport>) -> TrackedIo {
    // Best effort: a socket without it works, with more delay.
    let _ = rustix::net::sockopt::set_tcp_nodelay(&transport, true);
    let conn = Arc::new(Conn::new(transport));
    if server.is_draining() {
        // It has a request on its way.
        conn.set_newcomer(Instant::now() + NEWCOMER);
    }
    TrackedIo::new(server.clone(), conn)
}

/// Serves one connection to its end.
pub(crate) async fn drive<S, B>(
    server: Arc<Shared>,
    config: Arc<Config>,
    service: S,
    io: TrackedIo,
    peer: SocketAddr,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let Some(runtime) = server.runtime().cloned() else { return };
    let conn = io.conn().clone();
    let timer = Timer(runtime);
    let header_read_timeout = config.header_read_timeout;
    let answering = AnswerLayer::new(server.clone(), config, conn.clone()).layer(service);
    let serve = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        answering.begin(request)
    });
    let connection = http1::Builder::new()
        .half_close(true)
        .timer(timer)
        .header_read_timeout(header_read_timeout)
        .serve_connection(io, serve)
        .with_upgrades();
    let mut connection = pin!(connection);
    // Who comes when idle connections are already being closed has a request on its way.
    let mut asked = server.phase() >= Phase::Closing && conn.newcomer().is_some();
    poll_fn(|cx| {
        // First, so that a change of phase between the look and the poll wakes us again.
        conn.task.register(cx.waker());
        let phase = server.phase();
        if phase >= Phase::Forced {
            conn.prepare_cut();
            return Poll::Ready(());
        }
        if !asked && phase >= Phase::Closing && may_close(&conn) {
            asked = true;
            connection.as_mut().graceful_shutdown();
            conn.word.set_last();
        }
        // An error is the connection's end: the peer went away, or what it sent was no HTTP, which hyper has answered.
        connection.as_mut().poll(cx).map(drop)
    })
    .await;
}

/// Whether nothing is lost if hyper is told to stop. It closes at once if it has parsed nothing, without a look into
/// the kernel's buffer; and with part of a head it would wait for the rest, which is the rescue's to decide. So is what
/// becomes of a connection that came while draining and is still silent: a request is on its way.
fn may_close(conn: &Conn) -> bool {
    let idle = conn.word.phase() == crate::word::Phase::Idle;
    !idle || (conn.word.is_quiet() && !conn.has_bytes() && !conn.is_expected())
}
