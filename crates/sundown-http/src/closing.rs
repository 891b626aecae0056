//! How a handler hears that its connection is to be closed, by its own protocol: nobody else may write on it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use slab::Slab;
use sundown::host::swallow;

use crate::{
    course::Course,
    ramp::{Moment, Rank},
};

/// Resolves when the connection that a request came on should be closed: when the server has drained so far that
/// traffic is quiet, or when the connection's own moment has come, where
/// [closes are spread](crate::Server::spread_closes).
///
/// A handler finds it in the request's extensions if it was [asked for](crate::Server::handlers_hear_closing). It is
/// for what only the handler can end: a WebSocket ([`GoingAway`](crate::GoingAway)), a tunnel, a stream of gRPC. A
/// drain waits for those as long as it can. An event stream needs none: the server ends it.
///
/// Clones tell the same, each for itself; none keeps the connection open. A task of a blocked runtime hears nothing: its
/// connection ends with the process.
///
/// # Cancel safety
///
/// Cancel safe. Once it has resolved it stays so.
///
/// # Examples
///
/// ```
/// use axum::{Extension, body::Body};
/// use bytes::Bytes;
/// use futures_util::{Stream, StreamExt};
/// use sundown_http::Closing;
///
/// /// Ends between two messages.
/// async fn feed(Extension(closing): Extension<Closing>) -> Body {
///     Body::from_stream(messages().take_until(closing))
/// }
///
/// fn messages() -> impl Stream<Item = Result<Bytes, std::io::Error>> {
///     // …
///     # futures_util::stream::empty()
/// }
/// ```
pub struct Closing {
    server: Arc<Course>,
    rank: Rank,
    moment: Moment,
    /// Its place among those that wait.
    place: Option<usize>,
}

impl Closing {
    pub(crate) fn new(server: Arc<Course>, rank: Rank) -> Self {
        Closing { server, rank, moment: Moment::default(), place: None }
    }
}

impl Future for Closing {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // First, so that a change of phase between the look and the next poll wakes us.
        this.server.listeners.register(&mut this.place, cx.waker());
        if this.moment.has_come(this.rank, &this.server, cx) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Clone for Closing {
    fn clone(&self) -> Self {
        Closing::new(self.server.clone(), self.rank)
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.server.listeners.forget(place);
        }
    }
}

impl fmt::Debug for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closing")
            .field("departure", &self.server.departure(self.rank))
            .finish_non_exhaustive()
    }
}

/// Who waits, to be woken whenever the server goes on. The lock guards the list, and nothing is called under it.
#[derive(Default)]
pub(crate) struct Listeners(Mutex<Slab<Waker>>);

impl Listeners {
    fn wakers(&self) -> MutexGuard<'_, Slab<Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self, place: &mut Option<usize>, waker: &Waker) {
        // Foreign code, as is the destructor of the one before it.
        let waker = waker.clone();
        let before = match *place {
            Some(place) => self.wakers().get_mut(place).map(|current| std::mem::replace(current, waker)),
            None => {
                *place = Some(self.wakers().insert(waker));
                None
            }
        };
        drop(before);
    }

    fn forget(&self, place: usize) {
        let waker = self.wakers().try_remove(place);
        drop(waker);
    }

    /// Wakers are foreign code: one that panics keeps nobody else asleep.
    pub(crate) fn wake(&self) {
        let wakers: Vec<_> = self.wakers().iter().map(|(_, waker)| waker.clone()).collect();
        for waker in wakers {
            swallow(|| waker.wake());
        }
    }
}
