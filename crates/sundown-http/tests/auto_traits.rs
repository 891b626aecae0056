//! What every public type keeps of `Send`, `Sync` and `Unpin`, and every future: who loses one of these breaks the crate's users. A type
//! that is exported and not named here fails the test by its name.

use std::{
    any::type_name,
    collections::BTreeSet,
    convert::Infallible,
    future::{Ready, ready},
    marker::PhantomPinned,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use sundown::Handle;
use sundown_http::*;

/// A type with all three, by its name.
fn pinned<T: Send + Sync + Unpin>() -> String {
    named::<T>()
}

/// One that a single thread has at a time, by its name.
fn sent<T: Send + Unpin>() -> String {
    named::<T>()
}

/// Any type, by its name.
fn named<T: ?Sized>() -> String {
    let path = type_name::<T>().split('<').next().unwrap_or_default();
    path.rsplit([':', ' ']).next().unwrap_or_default().to_owned()
}

/// What `lib.rs` exports.
fn exported() -> BTreeSet<String> {
    let lists = include_str!("../src/lib.rs").split("pub use ").skip(1).map(|rest| rest.split(';').next());
    let words = lists.flatten().flat_map(|list| list.split(|c: char| !c.is_alphanumeric() && c != '_'));
    let is_type = |word: &&str| word.starts_with(char::is_uppercase) && word.contains(char::is_lowercase);
    words.filter(is_type).map(str::to_owned).collect()
}

#[test]
fn every_public_type_keeps_its_auto_traits() {
    let pinned = [
        pinned::<Answer>(),
        pinned::<AnswerLayer>(),
        pinned::<Answering<Handler>>(),
        pinned::<CommitError>(),
        pinned::<HyperService<Handler>>(),
        pinned::<JobIds>(),
        pinned::<RequestPayload>(),
        pinned::<Responder>(),
        pinned::<ResponseBody<Full<Bytes>>>(),
        pinned::<ServeError>(),
        pinned::<Server>(),
        pinned::<Unanswered<'_>>(),
        pinned::<Verdict>(),
        pinned::<RequestJob>(),
        pinned::<Closing>(),
        // It holds the future of its end.
        sent::<GoingAway<(), ()>>(),
        // It holds the handler's future.
        named::<ResponseFuture<Handler, (), Full<Bytes>>>(),
    ];
    let (pinned, exported) = (BTreeSet::from(pinned), exported());
    let odd: Vec<_> = pinned.symmetric_difference(&exported).collect();
    assert!(odd.is_empty(), "exported and not pinned, or pinned and not exported: {odd:?}");
}

/// A service as users have them: its future can be sent, and has to be pinned.
#[derive(Clone)]
struct Handler;

impl<R> tower_service::Service<Request<R>> for Handler {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Handling;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<R>) -> Handling {
        Handling(PhantomPinned)
    }
}

impl tower_service::Service<SocketAddr> for Handler {
    type Response = Handler;
    type Error = Infallible;
    type Future = Ready<Result<Handler, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: SocketAddr) -> Self::Future {
        ready(Ok(Handler))
    }
}

struct Handling(PhantomPinned);

impl Future for Handling {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Pending
    }
}

/// Checked where it is compiled, and never run.
#[test]
fn every_future_can_be_sent() {
    fn send(_: impl Future + Send) {}
    fn owned(_: impl Future + Send + 'static) {}
    let _ = |server: Server, shutdown: Handle| {
        send(server.serve(&shutdown, Handler));
        send(server.serve_make_service(&shutdown, Handler));
    };
    let _ = |responder: Responder| owned(responder.quiet());
    let _ = |future: ResponseFuture<Handler, (), Full<Bytes>>| owned(future);
    let _ = |closing: Closing| owned(closing);
}
