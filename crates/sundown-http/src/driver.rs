//! The task of one connection: hyper's connection future, and the right moment to end it.

mod http1;
mod http2;

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use sundown::Transport;
use tower_service::Service;

use self::http1::Http1;
pub(crate) use self::http2::GOODBYE;
use crate::{
    body::BoxError,
    config::Config,
    conn::Conn,
    io::TrackedIo,
    phase::Phase,
    preface::Protocol,
    ramp::Moment,
    server::Shared,
    timer::{LazyTimer, Timer},
    tls::Tls,
};

/// How long a newcomer may take to send its first byte before its connection counts as idle: as long as traffic must be
/// quiet by default.
const NEWCOMER: Duration = Duration::from_millis(250);

/// Makes a connection known to the server: when it is accepted, not when its task first runs. That may never be.
pub(crate) fn register(server: &Arc<Shared>, transport: Arc<dyn Transport>, tls: Option<Tls>) -> TrackedIo {
    // Best effort: a socket without it works, with more delay.
    let _ = rustix::net::sockopt::set_tcp_nodelay(&transport, true);
    let conn = Conn::new(transport).over(tls);
    let conn = if server.is_draining() { conn.late(Instant::now() + NEWCOMER) } else { conn };
    TrackedIo::new(server.clone(), Arc::new(conn))
}

/// Learns what a connection speaks, and leaves it to a task that speaks it: for the rest of its life nothing remains of
/// this one.
pub(crate) async fn drive<F, S, E, B>(config: Arc<Config>, service: F, mut io: TrackedIo)
where
    F: Future<Output = Result<S, E>>,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let Some(protocol) = tell(&mut io, config.header_read_timeout).await else { return io.end().await };
    let Ok(service) = service.await else { return io.end().await };
    let Some(runtime) = io.server().runtime().cloned() else { return };
    match protocol {
        Protocol::Http1 => {
            let timer = LazyTimer::new(runtime.clone());
            runtime.spawn(Box::pin(Http1::new(config, timer, service, io)))
        }
        Protocol::Http2 => {
            let timer = Timer(runtime.clone());
            runtime.spawn(Box::pin(http2::drive(config, timer, service, io)))
        }
    };
}

/// Waits for the bytes that tell the protocol, after the handshake if there is one; `None` if the connection is to end
/// before.
async fn tell(io: &mut TrackedIo, patience: Duration) -> Option<Protocol> {
    let server = io.server().clone();
    let conn = io.conn().clone();
    let timer = Timer(server.runtime()?.clone());
    let mut timeout = None;
    let mut moment = Moment::default();
    poll_fn(|cx| {
        // First, so that a change of phase between the look and the poll wakes us again.
        conn.task.register(cx.waker());
        let phase = server.phase();
        // A newcomer has a request on its way: what becomes of it while it is silent is the rescue's to decide.
        let leaves = moment.has_come(conn.rank(), &server, cx);
        let closes = leaves && conn.newcomer().is_none() && may_close(&conn);
        if phase >= Phase::Forced || closes {
            return Poll::Ready(None);
        }
        if let Poll::Ready(told) = io.poll_protocol(cx) {
            // An error is the connection's end: the peer went away.
            return Poll::Ready(told.unwrap_or(None));
        }
        let timeout = timeout.get_or_insert_with(|| timer.after(patience));
        timeout.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// Whether nothing is lost if hyper is told to stop. It closes at once if it has parsed nothing, without a look into
/// the kernel's buffer; and with part of a head it would wait for the rest, which is the rescue's to decide. So is what
/// becomes of a connection that came while draining and is still silent: a request is on its way.
fn may_close(conn: &Conn) -> bool {
    let idle = conn.word.phase() == crate::word::Phase::Idle;
    !idle || (conn.word.is_quiet() && !conn.has_bytes() && !conn.is_expected())
}
