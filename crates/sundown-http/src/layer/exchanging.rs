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
        /// The service was not ready.
        Asking { asked: Option<Box<(S, Request<Incoming>)>> },
        Handling { #[pin] handler: F },
        /// It would not even begin.
        Failed,
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
        let state = ask(service, request);
        Exchanging { context, exchange: Some(exchange), state }
    }

    pub(super) fn refused(context: Arc<Context>, refusal: Refusal) -> Self {
        Exchanging { context, exchange: None, state: State::Refused { refusal } }
    }
}

/// Asks the service at once, if it is ready: most always are, and a request that moves about costs something.
fn ask<S: Service<Request<Incoming>>>(mut service: S, request: Request<Incoming>) -> State<S, S::Future> {
    // Foreign code, which may panic. Whoever is not ready is asked again, with a waker.
    let cx = &mut task::Context::from_waker(task::Waker::noop());
    let asked = catch_unwind(AssertUnwindSafe(move || match service.poll_ready(cx) {
        Poll::Ready(Ok(())) => State::Handling { handler: service.call(request) },
        Poll::Ready(Err(_)) => State::Failed,
        Poll::Pending => State::Asking { asked: Some(Box::new((service, request))) },
    }));
    asked.unwrap_or(State::Failed)
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
                StateProjection::Asking { asked } => {
                    let ready = asked.as_mut().map_or(Poll::Ready(Ok(())), |asked| asked.0.poll_ready(cx));
                    let (Ok(()), Some(asked)) = (ready!(ready), asked.take()) else {
                        return Poll::Ready(Came::Failure);
                    };
                    let (mut service, request) = *asked;
                    service.call(request)
                }
                StateProjection::Failed => return Poll::Ready(Came::Failure),
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
