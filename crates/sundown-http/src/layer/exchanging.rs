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
    task::{self, Poll, Waker, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use sundown::host::swallow;
use tower_service::Service;

use super::{Answered, Context, Entry, NoResponse, admit::Refusal, release::Kept};
use crate::{
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
        // Until its response is on its way: dropped before, it is over.
        entry: Option<Entry>,
        #[pin]
        state: State<S, R, S::Future>,
    }

    impl<S, R, B> PinnedDrop for Exchanging<S, R, B>
    where
        S: Service<Request<R>, Response = Response<B>>,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(Entry { context, exchange: Some(exchange) }) = this.entry {
                context.vacate(exchange);
            }
        }
    }
}

pin_project_lite::pin_project! {
    #[project = StateProjection]
    enum State<S, R, F> {
        Handling { #[pin] handler: F },
        // There is no handler any more; its jobs are somebody else's, or about to be.
        Waiting,
        // Nothing, if the service panicked before it had a future.
        Besides { besides: Option<Box<Besides<S, R>>> },
    }
}

/// What few exchanges come to, and none pays for until it does.
#[expect(clippy::large_enum_variant, reason = "each is in a box, and the small one is no cheaper there")]
enum Besides<S, R> {
    Refused(Refusal),
    /// The service is not ready.
    Asking(Asking<S, R>),
}

pin_project_lite::pin_project! {
    /// The future of an [`Answering`](super::Answering) service.
    ///
    /// # Cancel safety
    ///
    /// Dropped, its exchange is over: its job has failed, or is incomplete while draining.
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

impl<S, R, B> Exchanging<S, R, B>
where
    S: Service<Request<R>, Response = Response<B>>,
{
    #[inline]
    pub(super) fn begun(
        context: Arc<Context>,
        exchange: Arc<Exchange>,
        service: &S,
        request: &mut Option<Request<R>>,
    ) -> Self
    where
        S: Clone,
    {
        let entry = Entry { context, exchange: Some(exchange) };
        let mut exchanging = Exchanging { entry: Some(entry), state: State::Besides { besides: None } };
        // Foreign code: it may panic. (It takes from places and fills one, since what goes through here is moved.)
        swallow(|| exchanging.state.begin(service, request));
        exchanging
    }

    #[cold]
    pub(super) fn refused(context: Arc<Context>, refusal: Refusal) -> Self {
        let entry = Entry { context, exchange: None };
        Exchanging { entry: Some(entry), state: State::besides(Besides::Refused(refusal)) }
    }
}

/// Who waits until the service is ready.
struct Asking<S, R> {
    service: S,
    request: Request<R>,
}

impl<S, R, F> State<S, R, F> {
    #[cold]
    fn besides(besides: Besides<S, R>) -> Self {
        State::Besides { besides: Some(Box::new(besides)) }
    }

    /// Drops the handler, if it is there.
    #[cold]
    fn end(mut self: Pin<&mut Self>) {
        swallow(|| self.set(State::Waiting));
    }
}

impl<S, R, F, B, E> State<S, R, F>
where
    S: Service<Request<R>, Response = Response<B>, Error = E, Future = F>,
    F: Future<Output = Result<Response<B>, E>>,
{
    /// Asks a clone of the service at once, since most are always ready: then only its future is moved to where it is
    /// polled. One that is not ready is asked again there, with a waker that can tell; and where one has failed, another,
    /// whose error can be passed on.
    fn begin(&mut self, service: &S, request: &mut Option<Request<R>>)
    where
        S: Clone,
    {
        let mut asked = service.clone();
        let ready = asked.poll_ready(&mut task::Context::from_waker(Waker::noop()));
        let Some(request) = request.take() else { return };
        if let Poll::Ready(Ok(())) = ready {
            *self = State::Handling { handler: asked.call(request) };
            return;
        }
        let service = if ready.is_pending() { asked } else { service.clone() };
        *self = State::besides(Besides::Asking(Asking { service, request }));
    }

    /// Lets the handler go on, until something has come of it; nothing, if there is none. Foreign code: it may panic.
    fn poll_handler(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        came: &mut Option<Result<Response<B>, E>>,
    ) -> Poll<()> {
        if let StateProjection::Besides { besides } = self.as_mut().project() {
            let Some(Besides::Asking(waits)) = besides.as_deref_mut() else { return Poll::Ready(()) };
            let ready = ready!(waits.service.poll_ready(cx));
            if let Err(error) = ready {
                *came = Some(Err(error));
                return Poll::Ready(());
            }
            let Some(Besides::Asking(Asking { mut service, request })) = besides.take().map(|asking| *asking)
            else {
                return Poll::Ready(());
            };
            let handler = service.call(request);
            self.set(State::Handling { handler });
        }
        if let StateProjection::Handling { handler } = self.project() {
            *came = Some(ready!(handler.poll(cx)));
        }
        Poll::Ready(())
    }

    /// The same until it is over, and so dropped: with what has come of it, which is nothing if it panicked. (A place for
    /// that, instead of a result: a response is large, and would be moved again and again.)
    fn poll_over(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        came: &mut Option<Result<Response<B>, E>>,
    ) -> Poll<()> {
        let polled = catch_unwind(AssertUnwindSafe(|| {
            ready!(self.as_mut().poll_handler(cx, came));
            // Its destructor may panic as well; somebody waits for an answer.
            self.set(State::Waiting);
            Poll::Ready(())
        }));
        polled.unwrap_or_else(|panic| {
            swallow(|| drop(panic));
            self.end();
            Poll::Ready(())
        })
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
        let Some(Entry { context, exchange: Some(exchange) }) = this.entry.as_ref() else {
            return Poll::Ready(refuse(this.entry.take(), this.state));
        };
        context.register(exchange, cx);
        let phase = context.server.phase();
        let steps_in = phase >= Phase::LastCall || (phase >= Phase::Answering && !exchange.is_committing());
        let answered = if steps_in || matches!(*this.state, State::Waiting) {
            this.state.as_mut().end();
            None
        } else {
            let mut came = None;
            ready!(this.state.as_mut().poll_over(cx, &mut came));
            match &mut came {
                Some(Ok(response)) => match context.let_out(exchange, response) {
                    Ok(end) => {
                        // From here on its response has it. (Moved from its place to where it goes, and nowhere between.)
                        let Some(entry) = this.entry.take() else {
                            return Poll::Ready(Err(NoResponse::Taken));
                        };
                        let Some(Ok(response)) = came else {
                            return Poll::Ready(Err(NoResponse::Taken));
                        };
                        let response = response.map(|body| ResponseBody::handler(body, end, entry));
                        return Poll::Ready(Ok(response));
                    }
                    Err(Kept::Taken) => None,
                    Err(Kept::Lost) => Some(Err(NoResponse::Taken)),
                },
                Some(Err(_)) => context.fail(exchange, came.and_then(Result::err)),
                None => context.fail(exchange, None),
            }
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
        *this.entry = None;
        Poll::Ready(answered)
    }
}

/// Answers one that was not let in.
#[cold]
fn refuse<S, R, F, B, E>(entry: Option<Entry>, state: Pin<&mut State<S, R, F>>) -> Answered<B, E> {
    // It has resolved before: whoever polls on gets nothing more.
    let (Some(Entry { context, .. }), StateProjection::Besides { besides }) = (entry, state.project()) else {
        return Err(NoResponse::Taken);
    };
    match besides.take().map(|besides| *besides) {
        Some(Besides::Refused(Refusal::Answer(answer, version))) => context.answer(*answer, version, None),
        Some(Besides::Refused(Refusal::Refused)) => Err(NoResponse::Refused),
        _ => Err(NoResponse::Taken),
    }
}
