//! The tower layer: it lets each request in, races its handler with the answer step, and answers in its place.
//!
//! Who owns an exchange is decided here on the runtime's side: a response goes out only if none of its jobs was taken
//! and the connection's word could be won. The handler's future is dropped before anything is answered in its place,
//! so that a destructor which hangs leaves the answer to the rescue.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::Poll,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body;
use hyper::body::Incoming;
use sundown::{BeginError, JobId};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    answer::Told,
    body::{BoxError, Ending, ResponseBody},
    conn::Conn,
    exchange::{Exchange, RequestJob, RequestPayload},
    phase::Phase,
    server::{Config, Shared},
    word::Lost,
};

/// Wraps the service of one connection.
#[derive(Clone)]
pub(crate) struct AnswerLayer(Arc<Context>);

/// What the requests of one connection share.
struct Context {
    server: Arc<Shared>,
    config: Arc<Config>,
    conn: Arc<Conn>,
}

impl AnswerLayer {
    pub(crate) fn new(server: Arc<Shared>, config: Arc<Config>, conn: Arc<Conn>) -> Self {
        AnswerLayer(Arc::new(Context { server, config, conn }))
    }
}

impl<S> Layer<S> for AnswerLayer {
    type Service = Answering<S>;

    fn layer(&self, inner: S) -> Answering<S> {
        Answering { context: self.0.clone(), inner }
    }
}

#[derive(Clone)]
pub(crate) struct Answering<S> {
    context: Arc<Context>,
    inner: S,
}

type Answered<B> = Result<Response<ResponseBody<B>>, Taken>;

/// The rescue answers this exchange; hyper is to write nothing.
#[derive(Debug, thiserror::Error)]
#[error("the connection was taken by a shutdown")]
pub(crate) struct Taken;

impl From<Lost> for Taken {
    fn from(Lost: Lost) -> Self {
        Taken
    }
}

impl<S, B> Service<Request<Incoming>> for Answering<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<B>>;
    type Error = Taken;
    type Future = Pin<Box<dyn Future<Output = Answered<B>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut std::task::Context<'_>) -> Poll<Result<(), Taken>> {
        // Each request asks its own clone.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        self.begin(request)
    }
}

impl<S, B> Answering<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Begins an exchange: at once, not when its future is first polled. From here on the connection is in a handler.
    pub(crate) fn begin(
        &self,
        mut request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Answered<B>> + Send>> {
        let admitted = self.context.admit(&mut request);
        let (context, inner) = (self.context.clone(), self.inner.clone());
        Box::pin(async move {
            match admitted? {
                Admitted::Refused(answer) => context.answer(answer),
                Admitted::Begun(exchange) => context.serve(exchange, inner, request).await,
            }
        })
    }
}

enum Admitted {
    Begun(Arc<Exchange>),
    Refused(Told),
}

impl Context {
    /// Lets a request in, or says why not.
    fn admit(&self, request: &mut Request<Incoming>) -> Result<Admitted, Taken> {
        let has_body = !request.body().is_end_stream();
        // Behind a body nobody knows where the next head begins; behind a head without one, it is what was read with it.
        self.conn.word.begin_request(!has_body && self.conn.ends_open())?;
        if let Some(expected) = self.conn.take_expected() {
            self.server.expect_no_more(expected);
        }
        self.conn.set_lingers(has_body);
        self.conn.set_exchange(None);
        let method = request.method().clone();
        if let Some(probe) = self.config.probe(&method, request.uri().path()) {
            let (status, text) = probe.answer(self.server.readiness());
            return Ok(Admitted::Refused(Told::probe(&method, status, text)));
        }
        self.server.touch();
        let refuse = || Admitted::Refused(Told::not_started(request, &self.config.wording));
        let Ok(guard) = self.server.gate.enter() else { return Ok(refuse()) };
        let exchange = Arc::new(Exchange::new(
            method.clone(),
            request.uri().clone(),
            request.version(),
            request.headers(),
            has_body,
            guard,
        ));
        match self.begin_job(request, &exchange.request) {
            Ok(Some(job)) => exchange.set_job(job),
            Ok(None) => {}
            Err(NoJob::Draining) => return Ok(refuse()),
            Err(NoJob::BadId(message)) => {
                return Ok(Admitted::Refused(Told::bad_request(&method, message)));
            }
        }
        request.extensions_mut().insert(RequestJob(exchange.clone()));
        self.conn.set_exchange(Some(exchange.clone()));
        Ok(Admitted::Begun(exchange))
    }

    fn begin_job(
        &self,
        request: &Request<Incoming>,
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

    /// Runs the handler, unless the answer step comes first.
    async fn serve<S, B>(
        &self,
        exchange: Arc<Exchange>,
        service: S,
        request: Request<Incoming>,
    ) -> Answered<B>
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        B: Body<Data = Bytes>,
    {
        let mut handler = Box::pin(oneshot(service, request));
        // The connection's task polls this and is woken at every change of phase: no registration of its own.
        let came = poll_fn(|cx| {
            let phase = self.server.phase();
            if phase >= Phase::Forced || (phase >= Phase::Answering && !exchange.is_committing()) {
                return Poll::Ready(Came::AnswerStep);
            }
            match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(response)) => Poll::Ready(Came::Response(response)),
                Err(_) => Poll::Ready(Came::Panic),
            }
        })
        .await;
        // Also if that panics: somebody waits for an answer.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(handler)));
        match came {
            Came::Response(response) => {
                if let Some(answered) = self.let_out(&exchange, response) {
                    return answered;
                }
            }
            Came::Panic => {
                // The job has failed; or, if a shutdown has begun, somebody else is asked to do it.
                exchange.end();
                if !exchange.was_taken() {
                    return self.answer(Told::broken(&exchange));
                }
            }
            Came::AnswerStep => {}
        }
        // Its jobs are somebody else's, or about to be: the answer is known when their fates are.
        poll_fn(|_| match self.server.phase() >= Phase::Answering {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        let answered = self.answer(Told::of(&exchange, &self.config.wording));
        if answered.is_ok() {
            self.server.count_answered();
        }
        answered
    }

    /// Lets the handler's response out. `None` if it must not go out, since one of its jobs was taken.
    fn let_out<B: Body<Data = Bytes>>(
        &self,
        exchange: &Arc<Exchange>,
        response: Response<B>,
    ) -> Option<Answered<B>> {
        let (mut head, body) = response.into_parts();
        let connect = exchange.request.method == Method::CONNECT && head.status.is_success();
        let upgrades = connect || head.status == StatusCode::SWITCHING_PROTOCOLS;
        let has_body = exchange.request.method != Method::HEAD
            && !upgrades
            && head.status != StatusCode::NO_CONTENT
            && head.status != StatusCode::NOT_MODIFIED;
        let ending = match body.size_hint().exact() {
            None if has_body => match declared_length(&head.headers) {
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
        self.conn.set_close_delimited(ending == Ending::Completes && exchange.version < Version::HTTP_11);
        if self.server.is_draining() && !upgrades {
            head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let word = &self.conn.word;
        let won = if upgrades { word.upgrade() } else { word.release(says_close(&head.headers)) };
        if let Err(lost) = won {
            return Some(Err(lost.into()));
        }
        let (conn, server) = (self.conn.clone(), self.server.clone());
        let body = ResponseBody::handler(body, conn, server, exchange.clone(), ending);
        if upgrades {
            // The exchange is over; the connection goes on without us.
            self.conn.set_exchange(None);
        }
        Some(Ok(Response::from_parts(head, body)))
    }

    /// Answers in the handler's place.
    fn answer<B>(&self, answer: Told) -> Answered<B> {
        let mut response = answer.into_response();
        if self.server.is_draining() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.conn.word.release(says_close(response.headers()))?;
        Ok(response.map(|body| ResponseBody::ours(body, self.conn.clone())))
    }
}

/// Whether the connection ends with this response.
fn says_close(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}

/// What ended the handler.
enum Came<R> {
    Response(R),
    Panic,
    AnswerStep,
}

enum NoJob {
    Draining,
    BadId(String),
}

/// What hyper will let out of a body whose own length is not known.
fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn oneshot<S, R>(mut service: S, request: R) -> S::Response
where
    S: Service<R, Error = Infallible>,
{
    let ready = poll_fn(|cx| service.poll_ready(cx)).await;
    ready.unwrap_or_else(|never| match never {});
    service.call(request).await.unwrap_or_else(|never| match never {})
}
