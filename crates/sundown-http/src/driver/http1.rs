//! One connection of HTTP/1.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1};
use tower_layer::Layer;
use tower_service::Service;

use super::may_close;
use crate::{
    body::BoxError,
    config::Config,
    io::TrackedIo,
    layer::{AnswerLayer, Place},
    phase::Phase,
    timer::Timer,
};

pub(super) async fn drive<S, B>(config: Arc<Config>, service: S, io: TrackedIo)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let server = io.server().clone();
    let conn = io.conn().clone();
    let Some(runtime) = server.runtime().cloned() else { return };
    let header_read_timeout = config.header_read_timeout;
    let answering =
        AnswerLayer::new(server.course().clone(), config, Place::Serial(conn.clone())).layer(service);
    let connection = http1::Builder::new()
        .half_close(true)
        .timer(Timer(runtime))
        .header_read_timeout(header_read_timeout)
        .serve_connection(io, hyper::service::service_fn(move |request| answering.begin(request)))
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
