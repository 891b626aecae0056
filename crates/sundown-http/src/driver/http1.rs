//! One connection of HTTP/1.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    server::conn::http1::{Builder, UpgradeableConnection},
};
use tower_service::Service;

use super::may_close;
use crate::{
    body::BoxError,
    config::Config,
    conn::Conn,
    io::TrackedIo,
    layer::{AnswerLayer, Place, Served},
    phase::Phase,
    ramp::Moment,
    server::Shared,
    timer::LazyTimer,
};

pin_project_lite::pin_project! {
    /// Resolves when the connection has ended. (By hand, since an `async` block would keep room for the connection twice.)
    pub(super) struct Http1<S, B>
    where
        S: Service<Request<Incoming>, Response = Response<B>>,
        S: Clone,
        S: 'static,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        #[pin]
        connection: UpgradeableConnection<TrackedIo, Served<S>>,
        server: Arc<Shared>,
        conn: Arc<Conn>,
        moment: Moment,
        // hyper has been told to stop.
        asked: bool,
    }
}

impl<S, B> Http1<S, B>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(config: Arc<Config>, timer: LazyTimer, service: S, io: TrackedIo) -> Self {
        let server = io.server().clone();
        let conn = io.conn().clone();
        let mut builder = Builder::new();
        builder.half_close(true).timer(timer).header_read_timeout(config.header_read_timeout);
        let layer = AnswerLayer::new(server.course().clone(), config, Place::Serial(conn.clone()));
        let connection = builder.serve_connection(io, Served::new(&layer, service)).with_upgrades();
        // Who comes when idle connections are already being closed has a request on its way.
        let asked = server.phase() >= Phase::Spreading && conn.newcomer().is_some();
        Http1 { connection, server, conn, moment: Moment::default(), asked }
    }
}

impl<S, B> Future for Http1<S, B>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        // First, so that a change of phase between the look and the poll wakes us again.
        this.conn.task.register(cx.waker());
        this.conn.begin_turn();
        match this.server.phase() {
            Phase::Serving => {}
            Phase::Forced => {
                this.conn.prepare_cut();
                return Poll::Ready(());
            }
            _ => {
                if !this.conn.leaves() && this.moment.has_come(this.conn.rank(), this.server, cx) {
                    this.conn.set_leaves();
                }
                if !*this.asked && this.conn.leaves() && may_close(this.conn) {
                    *this.asked = true;
                    this.connection.as_mut().graceful_shutdown();
                    this.conn.word.set_last();
                }
            }
        }
        // An error is the connection's end: the peer went away, or what it sent was no HTTP, which hyper has answered.
        this.connection.poll(cx).map(drop)
    }
}
