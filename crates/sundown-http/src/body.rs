//! A response's body on its way out: it tells the word when it is done, completes the job that it is the end of, and
//! is cut where it must not look complete.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use crate::{conn::Conn, exchange::Exchange, phase::Phase, server::Shared};

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

pin_project_lite::pin_project! {
    /// The body of every response that the layer lets out.
    pub struct ResponseBody<B> {
        #[pin]
        source: Source<B>,
        conn: Arc<Conn>,
    }

    impl<B> PinnedDrop for ResponseBody<B> {
        fn drop(this: Pin<&mut Self>) {
            this.project().conn.word.body_done();
        }
    }
}

pin_project_lite::pin_project! {
    #[project = SourceProjection]
    enum Source<B> {
        Handler { #[pin] body: B, server: Arc<Shared>, exchange: Option<Arc<Exchange>>, completes: bool },
        Ours { #[pin] body: Full<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    /// The handler's. `completes`: its end is the end of the exchange's job.
    pub(crate) fn handler(
        body: B,
        conn: Arc<Conn>,
        server: Arc<Shared>,
        exchange: Option<Arc<Exchange>>,
        completes: bool,
    ) -> Self {
        ResponseBody { source: Source::Handler { body, server, exchange, completes }, conn }
    }

    pub(crate) fn ours(body: Bytes, conn: Arc<Conn>) -> Self {
        ResponseBody { source: Source::Ours { body: Full::new(body) }, conn }
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
        let cut = || {
            this.conn.prepare_cut();
            Poll::Ready(Some(Err(Cut.into())))
        };
        match this.source.project() {
            SourceProjection::Ours { body } => body.poll_frame(cx).map_err(|never| match never {}),
            SourceProjection::Handler { body, server, exchange, completes } => {
                let exchange = exchange.as_deref();
                let phase = server.phase();
                let taken = || exchange.is_some_and(Exchange::was_taken);
                if phase >= Phase::Forced || (phase >= Phase::Answering && taken()) {
                    server.count_cut();
                    return cut();
                }
                match ready!(body.poll_frame(cx)) {
                    Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
                    Some(Err(error)) => {
                        this.conn.prepare_cut();
                        Poll::Ready(Some(Err(error.into())))
                    }
                    None => match exchange {
                        // Only now is it known that the job is ours to complete.
                        Some(exchange) if *completes && exchange.complete().is_err() => {
                            server.count_cut();
                            cut()
                        }
                        _ => Poll::Ready(None),
                    },
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Ours { body } => body.is_end_stream(),
            // hyper must come back for the end that completes the job.
            Source::Handler { body, completes, .. } => !completes && body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Ours { body } => body.size_hint(),
            Source::Handler { body, .. } => body.size_hint(),
        }
    }
}
