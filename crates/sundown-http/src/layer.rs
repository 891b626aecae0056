//! The tower layer: it lets each request in, races its handler with the answer step, and answers in its place.
//!
//! Who owns an exchange is decided here on the runtime's side: a response goes out only if none of its jobs was taken
//! and, over HTTP/1, the connection's word could be won.

mod admit;
mod context;
mod exchanging;
mod release;
mod sent;
mod tunnel;

use std::{
    fmt,
    sync::Arc,
    task::{self, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

pub use self::exchanging::ResponseFuture;
pub(crate) use self::{
    context::{Context, Entry, Place},
    exchanging::Exchanging,
    sent::{Seat, ServedOnStreams},
    tunnel::Tunnel,
};
use crate::{
    body::{BoxError, ResponseBody},
    config::Config,
    course::Course,
    word::Lost,
};

/// As many locks as the exchanges of somebody else's server are spread over.
pub(crate) const SHARDS: usize = 16;

/// The tower layer that a [`Responder`](crate::Responder) gives.
#[derive(Clone)]
pub struct AnswerLayer(Arc<Context>);

impl AnswerLayer {
    pub(crate) fn new(server: Arc<Course>, config: Arc<Config>, place: Place) -> Self {
        AnswerLayer(Arc::new(Context { server, config, place }))
    }
}

impl<S> Layer<S> for AnswerLayer {
    type Service = Answering<S>;

    fn layer(&self, inner: S) -> Answering<S> {
        Answering { context: self.0.clone(), inner }
    }
}

impl fmt::Debug for AnswerLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerLayer").field("phase", &self.0.server.phase()).finish_non_exhaustive()
    }
}

/// A service behind an [`AnswerLayer`]. It fails with the inner one's errors alone, and is always ready: each request asks
/// a clone of the inner one.
#[derive(Clone)]
pub struct Answering<S> {
    context: Arc<Context>,
    inner: S,
}

impl<S: fmt::Debug> fmt::Debug for Answering<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering").field("inner", &self.inner).finish_non_exhaustive()
    }
}

pub(crate) type Answered<B, E> = Result<Response<ResponseBody<B>>, NoResponse<E>>;

/// Why no response of an exchange comes from here.
#[derive(Debug)]
pub(crate) enum NoResponse<E> {
    /// The rescue answers it; hyper is to write nothing.
    Taken,
    /// No application code has seen it: its stream is reset so that whatever it asks for may be tried again (RFC 9113
    /// section 8.7).
    Refused,
    /// The service failed, and its server knows what that means.
    Failed(E),
}

impl<E> From<Lost> for NoResponse<E> {
    fn from(Lost: Lost) -> Self {
        NoResponse::Taken
    }
}

/// For hyper, which resets a stream with the reason that it finds in the error.
impl<E: Into<BoxError>> From<NoResponse<E>> for BoxError {
    fn from(no_response: NoResponse<E>) -> Self {
        match no_response {
            NoResponse::Taken => "the connection was taken by a shutdown".into(),
            NoResponse::Refused => h2::Error::from(h2::Reason::REFUSED_STREAM).into(),
            NoResponse::Failed(error) => error.into(),
        }
    }
}

impl<S, R, B> Service<Request<R>> for Answering<S>
where
    S: Service<Request<R>, Response = Response<B>> + Clone,
    R: Body,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, R, B>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<R>) -> ResponseFuture<S, R, B> {
        ResponseFuture::new(self.begin(request))
    }
}

/// The same for hyper, on our own connections: there it is the error that says what becomes of them.
pub(crate) struct Served<S>(Answering<S>);

impl<S> Served<S> {
    pub(crate) fn new(layer: &AnswerLayer, inner: S) -> Self {
        Served(layer.layer(inner))
    }
}

impl<S> ServedOnStreams<S> {
    pub(crate) fn new(layer: &AnswerLayer, inner: S) -> Self {
        ServedOnStreams(layer.layer(inner))
    }
}

impl<S, R, B> hyper::service::Service<Request<R>> for Served<S>
where
    S: Service<Request<R>, Response = Response<B>> + Clone,
    R: Body,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<B>>;
    type Error = NoResponse<S::Error>;
    type Future = Exchanging<S, R, B>;

    #[inline]
    fn call(&self, request: Request<R>) -> Exchanging<S, R, B> {
        self.0.begin(request)
    }
}

impl<S> Answering<S> {
    /// Begins an exchange: at once, not when its future is first polled. From here on the connection is in a handler.
    #[inline]
    pub(crate) fn begin<R, B>(&self, mut request: Request<R>) -> Exchanging<S, R, B>
    where
        S: Service<Request<R>, Response = Response<B>> + Clone,
        R: Body,
        B: Body<Data = Bytes>,
    {
        match self.context.admit(&mut request) {
            Ok(exchange) => {
                Exchanging::begun(self.context.clone(), exchange, &self.inner, &mut Some(request))
            }
            Err(refusal) => Exchanging::refused(self.context.clone(), refusal),
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
