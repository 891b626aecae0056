//! One connection of HTTP/2.
//!
//! It is told to go away as soon as the server drains, or at its own moment: its peer then opens no more streams, and
//! may try those elsewhere that it had opened too late (RFC 9113 section 6.8). hyper says so twice, as it must: once at
//! once, with the highest id there is, and once with the real last one, when a PING has come back. For that it would
//! wait without limit.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http2};
use sundown::Runtime;
use tower_service::Service;

use crate::{
    body::BoxError,
    config::Config,
    io::TrackedIo,
    layer::{AnswerLayer, Place, ServedOnStreams, Tunnel},
    phase::Phase,
    ramp::Moment,
    timer::Timer,
};

/// How long a peer without streams may be silent before it has acknowledged that we go away, or has gone: some round trips
/// around the world. Some never do (<https://github.com/nghttp2/nghttp2/issues/1103>).
pub(crate) const GOODBYE: Duration = Duration::from_millis(500);

/// How long the streams that are left in the end may take to say so: no time at all, on a runtime that is alive.
const CUT: Duration = Duration::from_millis(100);

pub(super) async fn drive<S, B>(config: Arc<Config>, timer: Timer, service: S, io: TrackedIo)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let server = io.server().clone();
    let conn = io.conn().clone();
    let streams = conn.open_streams();
    let place = Place::Streams(conn.clone(), streams.clone());
    let layer = AnswerLayer::new(server.course().clone(), config, place);
    let mut builder = http2::Builder::new(Tasks(timer.0.clone()));
    builder.timer(timer.clone());
    let mut connection = pin!(builder.serve_connection(io, ServedOnStreams::new(&layer, service)));
    // Who comes late has a request on its way.
    let until_first = |until: Instant| timer.after(until.saturating_duration_since(Instant::now()));
    let mut first = conn.newcomer().map(until_first);
    let mut asked = false;
    let mut goodbye: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>> = None;
    let mut cut = None;
    let mut moment = Moment::default();
    poll_fn(|cx| {
        // First, so that a change of phase between the look and the poll wakes us again.
        conn.task.register(cx.waker());
        let phase = server.phase();
        if phase >= Phase::Forced {
            // Their tasks reset what is left of its streams. Asked first: what they did before is sent.
            let are_reset = streams.is_empty();
            let is_over = connection.as_mut().poll(cx).is_ready() || are_reset;
            let patience = cut.get_or_insert_with(|| timer.after(CUT));
            return if is_over { Poll::Ready(()) } else { patience.as_mut().poll(cx) };
        }
        if !conn.leaves() && moment.has_come(conn.rank(), &server, cx) {
            conn.set_leaves();
            streams.wake();
        }
        // Before its first request a newcomer is not told: its peer would not send it.
        let mut is_silent = || first.as_mut().is_none_or(|first| first.as_mut().poll(cx).is_ready());
        let is_due = match streams.had_any() {
            true => conn.leaves() || server.is_last(conn.rank(), false),
            false => conn.leaves() && is_silent(),
        };
        if !asked && is_due {
            asked = true;
            connection.as_mut().graceful_shutdown();
        }
        // An error is the connection's end: the peer went away, or broke the protocol, which h2 has told it.
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !asked || !streams.is_empty() {
            goodbye = None;
            return Poll::Pending;
        }
        // Whoever reads on says so by and by; whoever does nothing for that long has left.
        let is_over = goodbye.as_mut().is_some_and(|silence| silence.as_mut().poll(cx).is_ready());
        if is_over && !conn.has_bytes() {
            // What it does not take at once, it will not wait for.
            let _ = conn.poll_farewell(cx);
            conn.half_close();
            return Poll::Ready(());
        }
        server.ring();
        // A new one has not gone off; polled, it wakes us when it does.
        goodbye.insert(timer.after(GOODBYE)).as_mut().poll(cx)
    })
    .await;
}

/// Where hyper runs the tasks of streams.
#[derive(Clone)]
struct Tasks(Arc<dyn Runtime>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        match Tunnel::opening() {
            None => self.0.spawn(Box::pin(task)),
            Some(tunnel) => self.0.spawn(Box::pin(task.map(|()| drop(tunnel)))),
        };
    }
}
