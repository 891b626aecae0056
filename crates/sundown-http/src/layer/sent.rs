//! A response on a stream of HTTP/2: in flight until its last byte is in the socket.
//!
//! hyper hands a body on as soon as its peer takes the first byte of it, and drops it then: what the peer's window or a full
//! socket holds back waits in h2. So each piece of it holds its exchange's seat, and h2 drops the piece when it is written,
//! or never will be. (It does that under its own lock. So the job, which may have something of the user's with it, goes
//! with the body.)

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as Waiting, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use tower_service::Service;

use super::{Answering, Context, Exchanging, NoResponse};
use crate::{
    body::{BoxError, ResponseBody},
    exchange::Exchange,
};

/// Part of an exchange's place among the streams. When the last is dropped, the exchange is over.
pub(crate) struct Seat {
    context: Arc<Context>,
    exchange: Arc<Exchange>,
}

impl Seat {
    pub(crate) fn new(context: Arc<Context>, exchange: Arc<Exchange>) -> Self {
        exchange.hold();
        Seat { context, exchange }
    }
}

impl Clone for Seat {
    fn clone(&self) -> Self {
        Seat::new(self.context.clone(), self.exchange.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.exchange.let_go() {
            self.context.vacate(&self.exchange);
        }
    }
}

/// A service for hyper's streams.
pub(crate) struct ServedOnStreams<S>(pub(super) Answering<S>);

impl<S, R, B> hyper::service::Service<Request<R>> for ServedOnStreams<S>
where
    S: Service<Request<R>, Response = Response<B>> + Clone,
    R: Body,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Response = Response<SentBody<B>>;
    type Error = NoResponse<S::Error>;
    type Future = Sending<S, R, B>;

    fn call(&self, request: Request<R>) -> Sending<S, R, B> {
        Sending { exchanging: self.0.begin(request) }
    }
}

pin_project_lite::pin_project! {
    /// Resolves to what goes out.
    pub(crate) struct Sending<S, R, B>
    where
        S: Service<Request<R>, Response = Response<B>>,
    {
        #[pin]
        exchanging: Exchanging<S, R, B>,
    }
}

impl<S, R, B> Future for Sending<S, R, B>
where
    S: Service<Request<R>, Response = Response<B>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<SentBody<B>>, NoResponse<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Waiting<'_>) -> Poll<Self::Output> {
        let response = ready!(self.project().exchanging.poll(cx))?;
        Poll::Ready(Ok(response.map(|body| SentBody { seat: body.seat(), body })))
    }
}

pin_project_lite::pin_project! {
    /// The body of a response that is in flight until it is sent.
    pub(crate) struct SentBody<B> {
        #[pin]
        body: ResponseBody<B>,
        seat: Option<Seat>,
    }
}

impl<B> Body for SentBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Piece;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Waiting<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, BoxError>>> {
        let this = self.project();
        let piece = |bytes| Piece { bytes, _seat: this.seat.clone() };
        this.body.poll_frame(cx).map_ok(|frame| frame.map_data(piece))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Some bytes of a body.
pub(crate) struct Piece {
    bytes: Bytes,
    _seat: Option<Seat>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        self.bytes.copy_to_bytes(length)
    }
}
