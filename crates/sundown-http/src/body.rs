//! A response's body on its way out: it tells the word when it is done, completes the job that it is the end of, and
//! is cut where it must not look complete.
//!
//! Two kinds of bodies without a length have an end that a shutdown may give them: an event stream ends in order after
//! an event, as soon as its connection leaves, and gRPC with a status, where it would be cut. An event stream that comes
//! to no end of an event, and one whose runtime is blocked, is cut like any other.

mod early;
mod events;

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

pub(crate) use self::early::Early;
use crate::{
    exchange::Exchange,
    layer::{Entry, Seat},
    phase::Phase,
};

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

pin_project_lite::pin_project! {
    /// The body of every response that an [`AnswerLayer`](crate::AnswerLayer) lets out: the handler's, or an answer in its
    /// place.
    pub struct ResponseBody<B> {
        #[pin]
        source: Source<B>,
        entry: Entry,
    }

    impl<B> PinnedDrop for ResponseBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let Entry { context, exchange } = this.project().entry;
            context.body_done(exchange.as_deref());
        }
    }
}

pin_project_lite::pin_project! {
    #[project = SourceProjection]
    enum Source<B> {
        Handler { #[pin] body: B, ending: Ending, early: Early },
        Ours { #[pin] body: Full<Bytes> },
    }
}

/// What the end of a body means for the exchange's job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing: the job was complete when the head went out.
    Settled,
    /// It completes the job.
    Completes,
    /// It completes the job, and comes after so many bytes: hyper asks for no more than the head has declared.
    CompletesAfter(u64),
}

impl Ending {
    /// That of a body whose own length is not known: hyper lets out what its head declares.
    pub(crate) fn of(head: &HeaderMap) -> Self {
        let declared = head.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        match declared {
            Some(0) => Ending::Settled,
            Some(length) => Ending::CompletesAfter(length),
            None => Ending::Completes,
        }
    }

    /// Whether the body ends with this frame, or has ended, as hyper will see it.
    #[inline]
    fn comes_with(&mut self, frame: Option<&Frame<Bytes>>) -> bool {
        match (&mut *self, frame) {
            (Ending::Settled, _) => false,
            (_, None) => true,
            // Nothing comes after trailers.
            (_, Some(frame)) if frame.is_trailers() => true,
            (Ending::Completes, _) => false,
            (Ending::CompletesAfter(left), Some(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                *left = left.saturating_sub(bytes);
                *left == 0
            }
        }
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

impl<B> ResponseBody<B> {
    /// The handler's.
    pub(crate) fn handler(body: B, (ending, early): (Ending, Early), entry: Entry) -> Self {
        ResponseBody { source: Source::Handler { body, ending, early }, entry }
    }

    pub(crate) fn ours(body: Bytes, entry: Entry) -> Self {
        ResponseBody { source: Source::Ours { body: Full::new(body) }, entry }
    }

    /// The place of its exchange among the streams; `None` if it has none, or a tunnel has it.
    pub(crate) fn seat(&self) -> Option<Seat> {
        let exchange = self.entry.exchange.clone().filter(|exchange| !exchange.is_upgraded())?;
        Some(Seat::new(self.entry.context.clone(), exchange))
    }
}

/// The response was begun, and a shutdown does not let it end.
#[derive(Debug)]
struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the response was cut by a shutdown")
    }
}

impl Error for Cut {}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let (place, exchange) = (&*this.entry.context, this.entry.exchange.as_deref());
        let (body, ending, early) = match this.source.project() {
            SourceProjection::Ours { body } => return body.poll_frame(cx).map_err(|never| match never {}),
            SourceProjection::Handler { body, ending, early } => (body, ending, early),
        };
        let cut = || {
            place.server.count_cut();
            place.prepare_cut();
            Poll::Ready(Some(Err(Cut.into())))
        };
        if let Some(exchange) = exchange {
            place.register(exchange, cx);
        }
        let was_taken = || exchange.is_some_and(Exchange::was_taken);
        let phase = place.server.phase();
        if *early == Early::Cut && *ending == Ending::Settled && phase < Phase::Answering {
            // As most are, most of the time: nothing about its end is ours to say.
            return body.poll_frame(cx).map_err(|error| {
                place.prepare_cut();
                error.into()
            });
        }
        match early {
            Early::Over => return Poll::Ready(None),
            // In the answer step: later nobody would be there to send it.
            Early::Status if phase >= Phase::Answering => {
                place.server.count_cut();
                (*early, *ending) = (Early::Over, Ending::Settled);
                return Poll::Ready(Some(Ok(early::unavailable())));
            }
            _ if phase >= Phase::Forced || (phase >= Phase::Answering && was_taken()) => return cut(),
            _ => {}
        }
        let leaves = matches!(early, Early::AfterEvent(_)) && place.leaves();
        let frame = if leaves && matches!(early, Early::AfterEvent(events) if events.are_between()) {
            *early = Early::Over;
            None
        } else {
            match ready!(body.poll_frame(cx)) {
                Some(Ok(frame)) => match early {
                    Early::AfterEvent(events) => Some(events.let_frame_out(frame, leaves)),
                    _ => Some(frame),
                },
                Some(Err(error)) => {
                    place.prepare_cut();
                    return Poll::Ready(Some(Err(error.into())));
                }
                None => None,
            }
        };
        // The job completes before the last of the body is let out, or that is not let out.
        if ending.comes_with(frame.as_ref()) {
            *ending = Ending::Settled;
            if exchange.is_some_and(|exchange| exchange.complete().is_err()) {
                return cut();
            }
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Ours { body } => body.is_end_stream(),
            // hyper must come back for the end that completes the job.
            Source::Handler { early: Early::Over, .. } => true,
            Source::Handler { body, ending, .. } => *ending == Ending::Settled && body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Ours { body } => body.size_hint(),
            Source::Handler { body, .. } => body.size_hint(),
        }
    }
}
