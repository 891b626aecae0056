//! One request on its way to an answer: the handler against the answer step.
//!
//! The handler's future is dropped before anything is answered in its place, so that a destructor which hangs leaves the
//! answer to the rescue.

use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{self, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{Answered, Context, NoResponse, admit::Refusal};
use crate::{
    answer::Told,
    body::{BoxError, ResponseBody},
    exchange::Exchange,
    phase::Phase,
};

pin_project_lite::pin_project! {
    /// Resolves to what goes out.
    #[project = ExchangingProjection]
    pub(crate) struct Exchanging<S, R, B>
    where
        S: Service<Request<R>, Response = Response<B>>,
    {
        context: Arc<Context>,
        // Until its response is on its way: dropped before, it is over.
        exchange: Option<Arc<Exchange>>,
        #[pin]
        state: State<S, R, S::Future>,
    }

    impl<S, R, B> PinnedDrop for Exchanging<S, R, B>
    where
        S: Service<Request<R>, Response = Response<B>>,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(exchange) = this.exchange.take() {
                this.context.vacate(&exchange);
            }
        }
    }
}

pin_project_lite::pin_project! {
    #[project = StateProjection]
    enum State<S, R, F> {
        Refused { refusal: Refusal },
        /// The service may not be ready.
        Asking { service: S, request: Option<Request<R>> },
        Handling { #[pin] handler: F },
        /// There is no handler any more; its jobs are somebody else's, or about to be.
        Waiting,
    }
}

pin_project_lite::pin_project! {
    /// The future of an [`Answering`](super::Answering) service. Dropped, its exchange is over: its job has failed, or is
    /// incomplete while draining.
    pub struct ResponseFuture<S, R, B>
    where
        S: Service<Request<R>, Response = Response<B>>,
    {
        #[pin]
        exchanging: Exchanging<S, R, B>,
    }
}

impl<S, R, B> ResponseFuture<S, R, B>
where
    S: Service<Request<R>, Response = Response<B>>,
{
    pub(super) fn new(exchanging: Exchanging<S, R, B>) -> Self {
        ResponseFuture { exchanging }
    }
}

impl<S, R, B> Future for ResponseFuture<S, R, B>
where
    S: Service<Request<R>, Response = Response<B>>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        match ready!(self.project().exchanging.poll(cx)) {
            Ok(response) => Poll::Ready(Ok(response)),
            Err(NoResponse::Failed(error)) => Poll::Ready(Err(error)),
            // Nobody competes for the connection here: it was polled after its end.
            Err(NoResponse::Taken | NoResponse::Refused) => Poll::Pending,
        }
    }
}

impl<S, R, B> fmt::Debug for ResponseFuture<S, R, B>
where
    S: Service<Request<R>, Response = Response<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// What ended the handler.
enum Came<R, E> {
    Response(R),
    /// It panicked, or returned an error.
    Failure(Option<E>),
    AnswerStep,
}

impl<S, R, B> Exchanging<S, R, B>
where
    S: Service<Request<R>, Response = Response<B>>,
{
    pub(super) fn begun(
        context: Arc<Context>,
        exchange: Arc<Exchange>,
        service: S,
        request: Request<R>,
    ) -> Self {
        let state = State::Asking { service, request: Some(request) };
        Exchanging { context, exchange: Some(exchange), state }
    }

    pub(super) fn refused(context: Arc<Context>, refusal: Refusal) -> Self {
        Exchanging { context, exchange: None, state: State::Refused { refusal } }
    }
}

impl<S, R, F, B> State<S, R, F>
where
    S: Service<Request<R>, Response = Response<B>, Future = F>,
    F: Future<Output = Result<Response<B>, S::Error>>,
{
    /// Lets the handler go on. Foreign code: it may panic.
    fn poll_handler(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Came<Response<B>, S::Error>> {
        loop {
            let handler = match self.as_mut().project() {
                StateProjection::Asking { service, request } => {
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        return Poll::Ready(Came::Failure(Some(error)));
                    }
                    let Some(request) = request.take() else { return Poll::Ready(Came::Failure(None)) };
                    service.call(request)
                }
                StateProjection::Handling { handler } => {
                    return handler.poll(cx).map(|came| match came {
                        Ok(response) => Came::Response(response),
                        Err(error) => Came::Failure(Some(error)),
                    });
                }
                StateProjection::Refused { .. } | StateProjection::Waiting => {
                    return Poll::Ready(Came::AnswerStep);
                }
            };
            self.set(State::Handling { handler });
        }
    }
}

impl<S, R, B> Future for Exchanging<S, R, B>
where
    S: Service<Request<R>, Response = Response<B>>,
    B: Body<Data = Bytes>,
{
    type Output = Answered<B, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Answered<B, S::Error>> {
        let mut this = self.project();
        let context: &Arc<Context> = this.context;
        let Some(exchange) = this.exchange.as_ref() else {
            let StateProjection::Refused { refusal } = this.state.as_mut().project() else {
                // It has resolved before: whoever polls on gets nothing more.
                return Poll::Ready(Err(NoResponse::Taken));
            };
            return Poll::Ready(match std::mem::replace(refusal, Refusal::Taken) {
                Refusal::Answer(answer, version) => context.answer(*answer, version, None),
                Refusal::Refused => Err(NoResponse::Refused),
                Refusal::Taken => Err(NoResponse::Taken),
            });
        };
        context.register(exchange, cx);
        let phase = context.server.phase();
        let answers = phase >= Phase::LastCall || (phase >= Phase::Answering && !exchange.is_committing());
        let came = if answers || matches!(*this.state, State::Waiting) {
            Came::AnswerStep
        } else {
            match catch_unwind(AssertUnwindSafe(|| this.state.as_mut().poll_handler(cx))) {
                Ok(came) => ready!(came),
                Err(_) => Came::Failure(None),
            }
        };
        // Its destructor may panic as well; somebody waits for an answer.
        let _ = catch_unwind(AssertUnwindSafe(|| this.state.set(State::Waiting)));
        let answered = match came {
            Came::Response(response) => context.let_out(exchange, response),
            Came::Failure(error) => {
                // The job has failed; or, if a shutdown has begun, somebody else is asked to do it.
                exchange.end();
                (!exchange.was_taken()).then(|| match error {
                    Some(error) if context.keeps_errors() => Err(NoResponse::Failed(error)),
                    _ => context.answer(Told::broken(exchange), exchange.version, Some(exchange.clone())),
                })
            }
            Came::AnswerStep => None,
        };
        let answered = match answered {
            Some(answered) => answered,
            // The answer is known when the fates of its jobs are.
            None if context.server.phase() < Phase::Answering => return Poll::Pending,
            None => context.answer_for(exchange),
        };
        if answered.is_err() {
            context.vacate(exchange);
        }
        // From here on its response has it; or, if that was lost, the rescue.
        *this.exchange = None;
        Poll::Ready(answered)
    }
}
