//! The tower layer: it lets each request in, races its handler with the answer step, and answers in its place.
//!
//! Who owns an exchange is decided here on the runtime's side: a response goes out only if none of its jobs was taken
//! and, over HTTP/1, the connection's word could be won.

mod exchanging;
mod sent;
mod tunnel;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{self, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body;
use sundown::{BeginError, JobId};
use tower_layer::Layer;
use tower_service::Service;

pub use self::exchanging::ResponseFuture;
pub(crate) use self::{
    exchanging::Exchanging,
    sent::{Seat, ServedOnStreams},
    tunnel::Tunnel,
};
use crate::{
    answer::Told,
    body::{BoxError, Early, Ending, ResponseBody},
    closing::Closing,
    config::Config,
    conn::Conn,
    course::Course,
    exchange::{Exchange, RequestJob, RequestPayload, Stage},
    phase::Phase,
    ramp::Rank,
    streams::Streams,
    word::Lost,
};

/// As many locks as the exchanges of somebody else's server are spread over.
pub(crate) const SHARDS: usize = 16;

/// The tower layer that a [`Responder`](crate::Responder) gives.
#[derive(Clone)]
pub struct AnswerLayer(Arc<Context>);

/// What the requests of one connection share, or of all.
pub(crate) struct Context {
    pub(crate) server: Arc<Course>,
    config: Arc<Config>,
    place: Place,
}

/// Where exchanges take place.
#[derive(Clone)]
pub(crate) enum Place {
    /// One after the other, on a connection that the rescue may take: HTTP/1.
    Serial(Arc<Conn>),
    /// Side by side, on a connection where nobody but the runtime can write: HTTP/2.
    Streams(Arc<Conn>, Arc<Streams>),
    /// Side by side, on whatever connections, which are not ours.
    Alone(Arc<Streams<SHARDS>>),
}

impl AnswerLayer {
    pub(crate) fn new(server: Arc<Course>, config: Arc<Config>, place: Place) -> Self {
        AnswerLayer(Arc::new(Context { server, config, place }))
    }
}

impl Place {
    fn rank(&self) -> Rank {
        match self {
            Place::Serial(conn) | Place::Streams(conn, _) => conn.rank(),
            Place::Alone(_) => Rank::default(),
        }
    }

    fn leaves(&self) -> bool {
        match self {
            Place::Serial(conn) | Place::Streams(conn, _) => conn.leaves(),
            Place::Alone(_) => false,
        }
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

    fn call(&self, request: Request<R>) -> Exchanging<S, R, B> {
        self.0.begin(request)
    }
}

impl<S> Answering<S> {
    /// Begins an exchange: at once, not when its future is first polled. From here on the connection is in a handler.
    pub(crate) fn begin<R, B>(&self, mut request: Request<R>) -> Exchanging<S, R, B>
    where
        S: Service<Request<R>, Response = Response<B>> + Clone,
        R: Body,
        B: Body<Data = Bytes>,
    {
        match self.context.admit(&mut request) {
            Ok(exchange) => Exchanging::begun(self.context.clone(), exchange, self.inner.clone(), request),
            Err(refusal) => Exchanging::refused(self.context.clone(), refusal),
        }
    }
}

/// Why no handler is asked, and what is said instead.
pub(crate) enum Refusal {
    /// To a request of this version.
    Answer(Box<Told>, Version),
    /// It may be tried again at once, elsewhere.
    Refused,
    /// It is not ours to answer.
    Taken,
}

impl Context {
    /// Lets a request in, or says why not.
    fn admit<R: Body>(&self, request: &mut Request<R>) -> Result<Arc<Exchange>, Refusal> {
        let has_body = !request.body().is_end_stream();
        self.arrive(has_body).map_err(|Lost| Refusal::Taken)?;
        self.begin_exchange(request, has_body).inspect_err(|_| self.leave_empty())
    }

    fn begin_exchange<R>(&self, request: &mut Request<R>, has_body: bool) -> Result<Arc<Exchange>, Refusal> {
        let version = request.version();
        let answer = |answer| Refusal::Answer(Box::new(answer), version);
        if let Some(probe) = self.config.probe(request.method(), request.uri().path()) {
            let (status, text) = probe.answer(self.server.readiness());
            return Err(answer(Told::probe(request.method(), status, text)));
        }
        let refuse = |request: &Request<R>| match self.place {
            Place::Streams(..) => Refusal::Refused,
            _ => answer(Told::not_started(request, &self.config.wording)),
        };
        let rank = self.place.rank();
        if rank.is_late && self.server.phase() >= Phase::Spreading {
            // Its client has been told to go elsewhere, or could have been; who was here before is still served. It is no
            // traffic either: who comes again and again keeps nobody waiting.
            return Err(refuse(request));
        }
        self.server.touch();
        let Ok(guard) = self.server.gate.enter() else { return Err(refuse(request)) };
        let exchange = Exchange::new(request, has_body, guard);
        match self.begin_job(request, &exchange.request) {
            Ok(Some(job)) => exchange.set_job(job),
            Ok(None) => {}
            Err(NoJob::Draining) => return Err(refuse(request)),
            Err(NoJob::BadId(message)) => return Err(answer(Told::bad_request(request.method(), message))),
        }
        let exchange = self.seat(exchange);
        if self.config.attaches() {
            request.extensions_mut().insert(RequestJob(exchange.clone()));
        }
        if self.config.hear_closing {
            request.extensions_mut().insert(Closing::new(self.server.clone(), rank));
        }
        Ok(exchange)
    }

    /// Whether its connection is to be left, by all that can end in order.
    pub(crate) fn leaves(&self) -> bool {
        self.place.leaves() || self.server.phase() >= Phase::Closing
    }

    /// A request has come whole, but for its body.
    #[inline]
    fn arrive(&self, has_body: bool) -> Result<(), Lost> {
        let conn = match &self.place {
            Place::Serial(conn) => {
                conn.word.begin_request(has_body, conn.ends_open())?;
                conn.set_lingers(has_body);
                conn
            }
            Place::Streams(conn, streams) => {
                streams.set_had_any();
                // It says how far it has read as long as it reads.
                conn.set_lingers(true);
                conn
            }
            Place::Alone(_) => return Ok(()),
        };
        if let Some(expected) = conn.take_expected() {
            self.server.expect_no_more(expected);
        }
        Ok(())
    }

    #[inline]
    fn seat(&self, exchange: Exchange) -> Arc<Exchange> {
        match &self.place {
            Place::Serial(conn) => {
                let exchange = Arc::new(exchange);
                conn.set_exchange(Some(exchange.clone()));
                exchange
            }
            Place::Streams(_, streams) => streams.seat(exchange),
            Place::Alone(streams) => streams.seat(exchange),
        }
    }

    /// No exchange follows the one before.
    fn leave_empty(&self) {
        match &self.place {
            Place::Serial(conn) => conn.set_exchange(None),
            // It may have been inside for a moment.
            Place::Streams(..) | Place::Alone(_) => self.server.ring(),
        }
    }

    /// Nothing more comes of it. Over HTTP/1 its answer may still be on its way, and the connection knows when it is not.
    #[inline]
    pub(crate) fn vacate(&self, exchange: &Exchange) {
        match &self.place {
            Place::Serial(_) => {}
            Place::Streams(conn, streams) => {
                streams.vacate(exchange);
                self.server.ring();
                if self.server.is_draining() {
                    // It may have been the last that its connection waits for.
                    let _ = catch_unwind(AssertUnwindSafe(|| conn.task.wake()));
                }
            }
            // Who waits for it waits for its guard.
            Place::Alone(streams) => streams.vacate(exchange),
        }
    }

    /// Whoever polls this is woken when the server goes on.
    #[inline]
    pub(crate) fn register(&self, exchange: &Exchange, cx: &task::Context<'_>) {
        match &self.place {
            // The connection's own task polls it, and has registered itself.
            Place::Serial(_) => {}
            Place::Streams(..) | Place::Alone(_) => exchange.task.register(cx.waker()),
        }
    }

    /// A response's body has been handed out whole, or dropped.
    #[inline]
    pub(crate) fn body_done(&self, exchange: Option<&Exchange>) {
        match &self.place {
            Place::Serial(conn) => conn.word.body_done(),
            // If hyper has made no tunnel of it, there is none. What else is out has a seat until it is written.
            Place::Streams(..) if exchange.is_some_and(Exchange::is_upgraded) => drop(Tunnel::opening()),
            Place::Streams(..) => drop(exchange.and_then(Exchange::take_job)),
            Place::Alone(_) => exchange.into_iter().for_each(|exchange| self.vacate(exchange)),
        }
    }

    /// Makes the end of an unfinished response visible. (A stream of HTTP/2 is reset by what hyper does with an error.)
    pub(crate) fn prepare_cut(&self) {
        if let Place::Serial(conn) = &self.place {
            conn.prepare_cut();
        }
    }

    fn begin_job<R>(
        &self,
        request: &Request<R>,
        payload: &RequestPayload,
    ) -> Result<Option<sundown::Job<RequestPayload>>, NoJob> {
        let Some((name, jobs)) = &self.config.jobs else { return Ok(None) };
        let bad = |what: &dyn std::fmt::Display| NoJob::BadId(format!("header {name}: {what}"));
        let mut ids = request.headers().get_all(name).iter();
        let begun = match (ids.next(), ids.next()) {
            (None, _) => jobs.begin_unnamed(payload.clone()).map_err(BeginError::Draining),
            (Some(_), Some(_)) => {
                let more = format!("a request has one job id, this one has {}", 2 + ids.count());
                return Err(bad(&more));
            }
            (Some(id), None) => {
                let id = std::str::from_utf8(id.as_bytes()).map_err(|error| bad(&error))?;
                let id = JobId::new(id).map_err(|error| bad(&error))?;
                jobs.begin(id, payload.clone())
            }
        };
        match begun {
            Ok(job) => Ok(Some(job)),
            Err(BeginError::Draining(_)) => Err(NoJob::Draining),
            Err(error) => Err(bad(&error)),
        }
    }

    /// Lets the handler's response out. `None` if it must not go out, since one of its jobs was taken.
    fn let_out<B: Body<Data = Bytes>, E>(
        self: &Arc<Self>,
        exchange: &Arc<Exchange>,
        mut response: Response<B>,
    ) -> Option<Answered<B, E>> {
        let status = response.status();
        let connect = exchange.request.method == Method::CONNECT && status.is_success();
        let upgrades = connect || status == StatusCode::SWITCHING_PROTOCOLS;
        let has_body = exchange.request.method != Method::HEAD
            && !upgrades
            && status != StatusCode::NO_CONTENT
            && status != StatusCode::NOT_MODIFIED;
        let ending = match response.body().size_hint().exact() {
            None if has_body => match declared_length(response.headers()) {
                Some(0) => Ending::Settled,
                Some(length) => Ending::CompletesAfter(length),
                None => Ending::Completes,
            },
            _ => Ending::Settled,
        };
        if ending != Ending::Settled {
            // The job ends with the body.
            if exchange.was_taken() {
                return None;
            }
        } else if exchange.complete().is_err() {
            return None;
        }
        let early = match ending {
            Ending::Completes => {
                Early::of(response.headers(), exchange.version >= Version::HTTP_2, &self.config.event_streams)
            }
            // Its length says where it ends, or would.
            Ending::CompletesAfter(_) | Ending::Settled => Early::Cut,
        };
        if !upgrades {
            self.end_connection(exchange.version, response.headers_mut());
        }
        if let Place::Serial(conn) = &self.place {
            conn.set_close_delimited(ending == Ending::Completes && exchange.version < Version::HTTP_11);
            let won = match upgrades {
                true => conn.word.upgrade(),
                false => conn.word.release(says_close(response.headers())),
            };
            if let Err(lost) = won {
                return Some(Err(lost.into()));
            }
        }
        self.let_go(exchange, if upgrades { Stage::Upgraded } else { Stage::Responding });
        if upgrades && matches!(self.place, Place::Streams(..)) {
            Tunnel::open(self, exchange);
        }
        Some(Ok(
            response.map(|body| ResponseBody::handler(body, self.clone(), exchange.clone(), ending, early))
        ))
    }

    /// Its response is on its way.
    #[inline]
    fn let_go(&self, exchange: &Exchange, stage: Stage) {
        exchange.set_stage(stage);
        if let Place::Streams(..) = &self.place {
            // Over HTTP/1 the connection tells the rescue.
            self.server.ring();
        }
    }

    /// Answers what no handler has answered: by then the fates of its jobs are known.
    fn answer_for<B, E>(self: &Arc<Self>, exchange: &Arc<Exchange>) -> Answered<B, E> {
        let answer = Told::of(exchange, &self.config.wording);
        let answered = self.answer(answer, exchange.version, Some(exchange.clone()));
        if answered.is_ok() {
            self.server.count_answered();
        }
        answered
    }

    /// Answers in the handler's place.
    fn answer<B, E>(
        self: &Arc<Self>,
        answer: Told,
        version: Version,
        exchange: Option<Arc<Exchange>>,
    ) -> Answered<B, E> {
        let mut response = answer.into_response();
        self.end_connection(version, response.headers_mut());
        if let Place::Serial(conn) = &self.place {
            conn.word.release(says_close(response.headers()))?;
        }
        if let Some(exchange) = &exchange {
            self.let_go(exchange, Stage::Responding);
        }
        Ok(response.map(|body| ResponseBody::ours(body, self.clone(), exchange)))
    }
}

impl Context {
    /// Makes a response the last of its connection, while draining.
    fn end_connection(&self, version: Version, headers: &mut HeaderMap) {
        if version > Version::HTTP_11 {
            // There are no fields about the connection (RFC 9113 section 8.2.2, RFC 9114 section 4.2).
            headers.remove(header::CONNECTION);
        } else if self.server.is_last(self.place.rank(), self.place.leaves()) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// Whether the server makes of the service's errors what it likes.
    fn keeps_errors(&self) -> bool {
        matches!(self.place, Place::Alone(_))
    }
}

/// Whether the connection ends with this response.
fn says_close(headers: &HeaderMap) -> bool {
    let says = |name: &HeaderName, value: &HeaderValue| {
        let mut options = value.as_bytes().split(|byte| *byte == b',');
        name == header::CONNECTION && options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
    };
    // A response has few fields, and a look at each is cheaper than one into the table.
    headers.iter().any(|(name, value)| says(name, value))
}

enum NoJob {
    Draining,
    BadId(String),
}

/// What hyper will let out of a body whose own length is not known.
fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
