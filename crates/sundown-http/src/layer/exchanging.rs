//! One request on its way to an answer: the handler against the answer step.
//!
//! The handler's future is dropped before anything is answered in its place, so that a destructor which hangs leaves the
//! answer to the rescue.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{self, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tower_service::Service;

use super::{Answered, Context, Refusal, Taken};
use crate::{answer::Told, body::BoxError, exchange::Exchange, phase::Phase};

pin_project_lite::pin_project! {
    /// Resolves to what goes out.
    #[project = ExchangingProjection]
    pub(crate) struct Exchanging<S, B>
    where
        S: Service<Request<Incoming>, Response = Response<B>>,
    {
        context: Arc<Context>,
        // Until its response is on its way: dropped before, it is over.
        exchange: Option<Arc<Exchange>>,
        #[pin]
        state: State<S, S::Future>,
    }

    impl<S, B> PinnedDrop for Exchanging<S, B>
    where
        S: Service<Request<Incoming>, Response = Response<B>>,
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
    enum State<S, F> {
        Refused { refusal: Refusal },
        /// The service may not be ready.
        Asking { service: S, request: Option<Request<Incoming>> },
        Handling { #[pin] handler: F },
        /// There is no handler any more; its jobs are somebody else's, or about to be.
        Waiting,
    }
}

/// What ended the handler.
enum Came<R> {
    Response(R),
    /// It panicked, or returned an error.
    Failure,
    AnswerStep,
}

impl<S, B> Exchanging<S, B>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes>,
{
    pub(super) fn begun(
        context: Arc<Context>,
        exchange: Arc<Exchange>,
        service: S,
        request: Request<Incoming>,
    ) -> Self {
        let state = State::Asking { service, request: Some(request) };
        Exchanging { context, exchange: Some(exchange), state }
    }

    pub(super) fn refused(context: Arc<Context>, refusal: Refusal) -> Self {
        Exchanging { context, exchange: None, state: State::Refused { refusal } }
    }
}

impl<S, F, B> State<S, F>
where
    S: Service<Request<Incoming>, Response = Response<B>, Future = F>,
    F: Future<Output = Result<Response<B>, S::Error>>,
{
    /// Lets the handler go on. Foreign code: it may panic.
    fn poll_handler(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Came<Response<B>>> {
        loop {
            let handler = match self.as_mut().project() {
                StateProjection::Asking { service, request } => {
                    if ready!(service.poll_ready(cx)).is_err() {
                        return Poll::Ready(Came::Failure);
                    }
                    let Some(request) = request.take() else { return Poll::Ready(Came::Failure) };
                    service.call(request)
                }
                StateProjection::Handling { handler } => {
                    return handler.poll(cx).map(|response| response.map_or(Came::Failure, Came::Response));
                }
                StateProjection::Refused { .. } | StateProjection::Waiting => {
                    return Poll::Ready(Came::AnswerStep);
                }
            };
            self.set(State::Handling { handler });
        }
    }
}

impl<S, B> Future for Exchanging<S, B>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes>,
{
    type Output = Answered<B>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Answered<B>> {
        let mut this = self.project();
        let context: &Arc<Context> = this.context;
        let Some(exchange) = this.exchange.as_ref() else {
            let StateProjection::Refused { refusal } = this.state.as_mut().project() else {
                // It has resolved before: whoever polls on gets nothing more.
                return Poll::Ready(Err(Taken));
            };
            return Poll::Ready(match std::mem::replace(refusal, Refusal::Taken) {
                Refusal::Answer(answer) => context.answer(*answer, None),
                Refusal::Taken => Err(Taken),
            });
        };
        context.register(exchange, cx);
        let phase = context.server.phase();
        let answers = phase >= Phase::Forced || (phase >= Phase::Answering && !exchange.is_committing());
        let came = if answers || matches!(*this.state, State::Waiting) {
            Came::AnswerStep
        } else {
            match catch_unwind(AssertUnwindSafe(|| this.state.as_mut().poll_handler(cx))) {
                Ok(came) => ready!(came),
                Err(_) => Came::Failure,
            }
        };
        // Its destructor may panic as well; somebody waits for an answer.
        let _ = catch_unwind(AssertUnwindSafe(|| this.state.set(State::Waiting)));
        let answered = match came {
            Came::Response(response) => context.let_out(exchange, response),
            Came::Failure => {
                // The job has failed; or, if a shutdown has begun, somebody else is asked to do it.
                exchange.end();
                let broken = || context.answer(Told::broken(exchange), Some(exchange.clone()));
                (!exchange.was_taken()).then(broken)
            }
            Came::AnswerStep => None,
        };
        let answered = match answered {
            Some(answered) => answered,
            // The answer is known when the fates of its jobs are.
            None if context.server.phase() < Phase::Answering => return Poll::Pending,
            None => context.answer_for(exchange),
        };
        // From here on its response has it; or, if that was lost, the rescue.
        *this.exchange = None;
        Poll::Ready(answered)
    }
}
