//! The layer alone, for those who keep their own server: a component that sees requests and no connections.

use std::{fmt, future::Future, pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use http::StatusCode;
use sundown::{Claims, Deadline, Drainable, Handle, InFlight, Receipt, Unit, Watch};

use crate::{
    answer::{Answer, JobIds, Route, Unanswered},
    config::Config,
    course::{Course, ServeError},
    layer::{AnswerLayer, Place, SHARDS},
    phase::Phase,
    streams::Streams,
    traffic::LameDuck,
};

/// What is left of the time when it stops waiting, so that it returns in it.
const SPARE: Duration = Duration::from_millis(25);

/// The layer of the [`Server`](crate::Server) without the server: for services that keep `axum::serve`, hyper-util,
/// tonic's transport, or any other server that takes a tower layer.
///
/// It is a component, and gives the [layer](Self::layer) that answers. Requests are let in, drained, taken over and
/// answered as the server does it. Clones are the same responder.
///
/// # What one does without
///
/// It sees requests; it never sees a connection. What a server of one's own makes of these at the end is its own:
///
/// | | [`Server`](crate::Server) | this layer, on a server of one's own |
/// |---|---|---|
/// | a request in a handler at the claim | answered by its fate | the same |
/// | a request that comes when traffic is quiet | 503; over HTTP/2 refused, so that it may be tried again | 503 |
/// | a body that cannot end | cut so that the client can tell | the same, but over HTTP/1.0 it looks complete |
/// | the runtime is blocked or gone | a thread outside answers on the sockets | nobody is answered |
/// | a client in the accept queue | answered | reset when the listener is closed |
/// | an idle connection, a silent one, part of a head | ended so that no request is lost; part of a head gets a 503 | as the server does: often a request that crosses the close is lost, and part of a head holds it until its timeout |
/// | bytes of a request that were not read when it is answered | read on for a while (a *lingering close*), lest they destroy the answer | as the server does: often a reset, which destroys it |
/// | an HTTP/2 peer that does not acknowledge the end | waited for half a second | waited for as long as the server does |
/// | what traffic is, to the lame duck | connections and requests | requests |
/// | an answer that has been given | is in the socket before the step is over | has been handed to the server: wait for that, as in the example |
///
/// # Examples
///
/// The server ends when traffic [is quiet](Self::quiet), and `main` waits for it: it returns when the last answer is
/// written, and until then the release reserve keeps the process.
///
/// ```no_run
/// # async fn run(runtime: impl sundown::Runtime, router: axum::Router) -> Result<(), Box<dyn std::error::Error>> {
/// use sundown::Shutdown;
/// use sundown_http::Responder;
///
/// let http = Responder::new().requests_are_jobs("x-job-id");
/// let shutdown = Shutdown::process(runtime).component("http", http.clone()).start()?;
/// let router = router.layer(http.layer(&shutdown)?);
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// axum::serve(listener, router).with_graceful_shutdown(http.quiet()).await?;
/// shutdown.finished().await;
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct Responder {
    course: Arc<Course>,
    exchanges: Arc<Streams<SHARDS>>,
}

impl Responder {
    /// A responder that nothing was told yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn configure<R>(self, change: impl FnOnce(&mut Config) -> R) -> Self {
        // Dropped outside the lock: it may be the owner's.
        let before = change(&mut self.course.config());
        drop(before);
        self
    }

    /// As [`Server::requests_are_jobs`](crate::Server::requests_are_jobs).
    ///
    /// # Panics
    ///
    /// When `header` is no header name in lower case: a mistake in the program's text.
    #[must_use]
    #[track_caller]
    pub fn requests_are_jobs(self, header: &'static str) -> Self {
        let name = Config::job_header(header);
        self.configure(|config| config.set_job_header(name))
    }

    /// As [`Server::handlers_attach_jobs`](crate::Server::handlers_attach_jobs).
    #[must_use]
    pub fn handlers_attach_jobs(self) -> Self {
        self.configure(|config| config.attach = true)
    }

    /// As [`Server::health_probes`](crate::Server::health_probes).
    #[must_use]
    pub fn health_probes(self) -> Self {
        self.configure(|config| config.probes = true)
    }

    /// As [`Server::lame_duck`](crate::Server::lame_duck), but for connections, which it does not see.
    #[must_use]
    pub fn lame_duck(self, quiet: Duration, cap: Duration) -> Self {
        self.configure(|config| config.duck = LameDuck { quiet, cap })
    }

    /// As [`Server::handed_over_status`](crate::Server::handed_over_status).
    ///
    /// # Panics
    ///
    /// With a status whose answer has no body or is not the last one (1xx, 204, 205, 304): a mistake in the program's
    /// text.
    #[must_use]
    #[track_caller]
    pub fn handed_over_status(self, status: StatusCode) -> Self {
        let status = Config::checked_status(status);
        self.configure(|config| config.wording.handed_over = status)
    }

    /// As [`Server::retry_after`](crate::Server::retry_after).
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        self.configure(|config| config.wording.retry_after = after)
    }

    /// As [`Server::show_jobs`](crate::Server::show_jobs).
    #[must_use]
    pub fn show_jobs(self, show: JobIds) -> Self {
        self.configure(|config| config.wording.show_jobs = show)
    }

    /// As [`Server::answer`](crate::Server::answer).
    #[must_use]
    pub fn answer(self, answer: impl Fn(&Unanswered<'_>) -> Answer + Send + Sync + 'static) -> Self {
        self.configure(|config| config.wording.function.replace(Arc::new(answer)))
    }

    /// As [`Server::answer_route`](crate::Server::answer_route).
    ///
    /// # Panics
    ///
    /// When `route` does not begin with `/`, or has a `*` elsewhere: a mistake in the program's text.
    #[must_use]
    #[track_caller]
    pub fn answer_route(
        self,
        route: &str,
        answer: impl Fn(&Unanswered<'_>) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let route = Route::of(route);
        self.configure(|config| config.wording.routes.push((route, Arc::new(answer))))
    }

    /// As [`Server::claim_success_even_if_work_is_lost`](crate::Server::claim_success_even_if_work_is_lost).
    #[must_use]
    pub fn claim_success_even_if_work_is_lost(self) -> Self {
        self.configure(|config| config.wording.claims_success = true)
    }

    /// As [`Server::event_streams`](crate::Server::event_streams).
    #[must_use]
    pub fn event_streams<T: Into<String>>(self, media_types: impl IntoIterator<Item = T>) -> Self {
        let media_types = media_types.into_iter().map(Into::into).collect();
        self.configure(|config| std::mem::replace(&mut config.event_streams, media_types))
    }

    /// As [`Server::handlers_hear_closing`](crate::Server::handlers_hear_closing).
    #[must_use]
    pub fn handlers_hear_closing(self) -> Self {
        self.configure(|config| config.hear_closing = true)
    }

    /// The layer, which may stand in front of several services, best as the outermost one. What was told to the
    /// responder before is what it does.
    ///
    /// # Errors
    ///
    /// When the responder is no component of a shutdown, which would never end it, or the owner of the shutdown has been
    /// dropped.
    pub fn layer(&self, shutdown: &Handle) -> Result<AnswerLayer, ServeError> {
        self.course.check(shutdown)?;
        self.course.begin_serving(shutdown);
        let config = Arc::new(self.course.config().clone());
        Ok(AnswerLayer::new(self.course.clone(), config, Place::Alone(self.exchanges.clone())))
    }

    /// Resolves when traffic is quiet: from then on new requests are refused, and the server can be told to end. (One
    /// that ends at the announcement refuses who is on the way.)
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn quiet(&self) -> impl Future<Output = ()> + Send + 'static {
        let gate = self.course.gate.clone();
        async move { gate.closed().await }
    }

    fn go_on(&self, to: Phase) {
        if self.course.advance(to) {
            self.exchanges.wake();
        }
    }

    /// Waits until everything that was let in has been answered, or this time is over. Returns whether it has.
    async fn all_answered(&self, time: Duration) -> bool {
        let over = async {
            // Without a runtime nothing was let in.
            if let Some(runtime) = self.course.runtime() {
                runtime.sleep_until(runtime.now() + time).await;
            }
        };
        matches!(select(pin!(self.course.gate.empty()), pin!(over)).await, Either::Left(_))
    }
}

#[sundown::async_trait]
impl Drainable for Responder {
    fn joined(&self, watch: &Watch) {
        self.course.join(watch);
    }

    fn close(&self, deadline: &Deadline) {
        self.course.set_deadline(deadline);
        self.go_on(Phase::Draining);
    }

    async fn drained(&self) {
        self.course.hush().await;
        self.course.refuse();
        self.go_on(Phase::Closing);
        self.course.gate.empty().await;
    }

    fn in_flight(&self) -> InFlight {
        let exchanges = self.exchanges.exchanges();
        let in_flight = exchanges.iter().filter(|exchange| exchange.is_in_flight());
        InFlight::named(in_flight.map(|exchange| Unit { name: exchange.name(), age: None }))
    }

    fn claim(&self, claims: &Claims) {
        self.course.claim(claims);
        self.go_on(Phase::Claimed);
    }

    async fn conclude(&self, receipt: &Receipt) {
        self.course.set_receipt(receipt);
        self.go_on(Phase::Answering);
        // As long as effects under way are waited for: three quarters, as the server does it.
        let time = receipt.deadline().remaining().saturating_sub(SPARE);
        let mut all = self.all_answered(time * 3 / 4).await;
        if !all {
            self.go_on(Phase::LastCall);
            all = self.all_answered(time / 4).await;
        }
        let waiting = self.exchanges.exchanges().iter().filter(|exchange| exchange.waits()).count();
        receipt.note("unanswered", waiting as u64);
        self.course.note_answered();
        if all {
            receipt.seen_to();
        }
    }

    fn force(&self) {
        let left = self.exchanges.exchanges();
        // What is cut from here on is among them.
        self.course.note_cut(left.iter().filter(|exchange| !exchange.waits()).count() as u64);
        self.go_on(Phase::Forced);
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").field("phase", &self.course.phase()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::{
        future::{Ready, ready},
        task::Poll,
    };

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt, Full};
    use sundown::Shutdown;
    use sundown_tokio::Tokio;
    use tower_layer::Layer;
    use tower_service::Service;

    use super::*;

    /// Echoes the path; `/fail` fails.
    #[derive(Clone)]
    struct Echo;

    impl Service<Request<Full<Bytes>>> for Echo {
        type Response = Response<Full<Bytes>>;
        type Error = &'static str;
        type Future = Ready<Result<Self::Response, Self::Error>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
            let path = request.uri().path().to_owned();
            ready(if path == "/fail" { Err("on purpose") } else { Ok(Response::new(Full::from(path))) })
        }
    }

    #[test]
    fn nothing_of_an_exchange_outlives_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let responder = Responder::new().requests_are_jobs("x-job-id").handlers_attach_jobs();
        let tokio = Tokio::of(runtime.handle().clone());
        let shutdown = Shutdown::embedded(tokio).component("http", responder.clone()).start().unwrap();
        let mut service = responder.layer(&shutdown).unwrap().layer(Echo);
        let request = |path| Request::get(path).body(Full::default()).unwrap();
        runtime.block_on(async {
            let response = service.call(request("/whole")).await.unwrap();
            assert!(!responder.exchanges.is_empty(), "its body has not gone out");
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "/whole");
            assert!(responder.exchanges.is_empty(), "after its body");
            assert_eq!(service.call(request("/fail")).await.err(), Some("on purpose"));
            assert!(responder.exchanges.is_empty(), "after its error");
            drop(service.call(request("/unasked")));
            assert!(responder.exchanges.is_empty(), "after it was given up");
        });
        assert_eq!(responder.course.gate.inside(), 0);
    }
}
