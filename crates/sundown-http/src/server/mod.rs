//! The server: a component that serves, drains, and answers everyone in the end.

mod accept;
mod answers;
mod component;
mod shared;
#[cfg(feature = "tls")]
mod tls;

use std::{
    convert::Infallible,
    fmt,
    future::{Future, ready},
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use sundown::Handle;
use tower_service::Service;

pub(crate) use self::shared::Shared;
use crate::{body::BoxError, config::Config, driver, tls::Acceptor, traffic::LameDuck};

/// A server of HTTP/1 and HTTP/2, told apart on one port, whose every client gets an answer.
///
/// Clones are the same server: one is the component of the shutdown, the other [serves](Self::serve).
///
/// While it drains it goes on serving until traffic is quiet; each response is the last of its connection, and a peer of
/// HTTP/2 is told that the server goes away. At the claim,
/// requests that are [jobs](Self::requests_are_jobs) are taken from their handlers; when it is known who took them
/// over, each waiting client is told: 200 with `sundown-fate: handed-over`, or 503 with `Retry-After`. The layer in
/// front of the handlers does that on the runtime; what the runtime does not do in time, because it is blocked or
/// gone, a thread outside it does on the sockets themselves, where they speak HTTP/1: the frames of HTTP/2 are the
/// runtime's own, and what a blocked one has begun there is cut. A connection that waits in the accept queue is answered
/// too. A stream of HTTP/2 that comes too late is refused (`REFUSED_STREAM`), so that its client may try it again
/// elsewhere. How each connection ends, one by one: [`endings`](crate::endings).
///
/// # Examples
///
/// ```no_run
/// # async fn run(runtime: impl sundown::Runtime, router: axum::Router) -> Result<(), Box<dyn std::error::Error>> {
/// use std::net::TcpListener;
/// use sundown::Shutdown;
/// use sundown_http::Server;
///
/// let http = Server::new(TcpListener::bind("127.0.0.1:8080")?)?.requests_are_jobs("x-job-id");
/// let shutdown = Shutdown::process(runtime).component("http", http.clone()).start()?;
/// http.serve(&shutdown, router).await?;
/// shutdown.finished().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

impl Server {
    /// A server on a bound listener of the standard library's.
    ///
    /// # Errors
    ///
    /// When the listener cannot be made non-blocking, or the system gives no more descriptors.
    pub fn new(listener: TcpListener) -> io::Result<Self> {
        Ok(Server { shared: Arc::new(Shared::new(listener)?) })
    }

    /// What `change` returns is dropped outside the lock: functions of the owner's may be in it.
    fn configure<R>(self, change: impl FnOnce(&mut Config) -> R) -> Self {
        let before = change(&mut self.shared.config());
        drop(before);
        self
    }

    /// Makes every request a job, whose id is in this header, or made up where there is none. The response completes
    /// it, whatever its status; a handler finds it as [`RequestJob`](crate::RequestJob) in the request's extensions.
    ///
    /// Who takes it over is told the method and the path ([`RequestPayload`](crate::RequestPayload)), and **not the body**:
    /// work that depends on one says what is needed in a [checkpoint](crate::RequestJob::checkpoint), or begins a job of its
    /// own with a payload ([`handlers_attach_jobs`](Self::handlers_attach_jobs)). A request whose body has not come is handed
    /// over like any other.
    ///
    /// A request whose id is empty, longer than [`JobId::MAX`](sundown::JobId::MAX) bytes, or no UTF-8 text gets a 400
    /// that says so.
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

    /// Gives every handler a [`RequestJob`](crate::RequestJob) although requests are no jobs here, so that it can
    /// [attach](crate::RequestJob::attach) the jobs of other stores. (Where requests are jobs, they have one anyway; what
    /// stands in the extensions of a request costs it some allocations.)
    #[must_use]
    pub fn handlers_attach_jobs(self) -> Self {
        self.configure(|config| config.attach = true)
    }

    /// Answers `GET /livez` (200 to the end) and `GET /readyz` (503 from the announcement on, with the time left)
    /// before the service is asked. These probes are no jobs, and no traffic; a probe route of the service's own is both,
    /// and is turned away once traffic is quiet. The runtime answers them: on a port of their own, where it need not, are
    /// those of [`serve_probes`](crate::serve_probes).
    #[must_use]
    pub fn health_probes(self) -> Self {
        self.configure(|config| config.probes = true)
    }

    /// When traffic counts as quiet: no new connection or request for `quiet`, but `cap` after the beginning at the
    /// latest, and never more than half of the time there is. Default: 250 ms and 5 s. Longer behind a load balancer
    /// that pools connections, zero where traffic stops before the signal.
    #[must_use]
    pub fn lame_duck(self, quiet: Duration, cap: Duration) -> Self {
        self.configure(|config| config.duck = LameDuck { quiet, cap })
    }

    /// How long a connection may take to send the head of a request, counted from the one before: idle connections too
    /// are closed after it. (Over HTTP/2 it is the time until the first bytes; what is idle after them stays.) Default: 30 s,
    /// hyper's. Behind a load balancer it should be longer than the balancer keeps
    /// idle connections.
    #[must_use]
    pub fn header_read_timeout(self, timeout: Duration) -> Self {
        self.configure(|config| config.header_read_timeout = timeout)
    }

    /// The listener belongs to others as well (inherited, or held by a successor). When traffic is quiet it is left to
    /// them: nothing more is accepted, and its queue is neither shut nor answered. (That it does not block, which the
    /// server asks for, holds for whoever shares it.)
    #[must_use]
    pub fn shared_listener(self) -> Self {
        self.configure(|config| config.shared_listener = true)
    }

    /// The media types of the responses that a shutdown ends after an event, instead of cutting them at its end.
    /// Default: `text/event-stream`. Parameters and case do not count; a response with a length, or a compressed one,
    /// is none of them.
    ///
    /// Such a response ends in order as soon as traffic is quiet, or its connection's moment [has
    /// come](Self::spread_closes), and what has been sent of it ends with a blank line: its client connects again by
    /// design, and goes on with the last id it has seen. The end completes the request's job. A stream that comes to no
    /// end of an event is cut in the end like any other, and so is one whose runtime is blocked.
    #[must_use]
    pub fn event_streams<T: Into<String>>(self, media_types: impl IntoIterator<Item = T>) -> Self {
        let media_types = media_types.into_iter().map(Into::into).collect();
        self.configure(|config| config.event_streams = media_types)
    }

    /// Puts a [`Closing`](crate::Closing) into each request's extensions, for handlers of what only they can end:
    /// WebSockets, tunnels, streams of messages.
    #[must_use]
    pub fn handlers_hear_closing(self) -> Self {
        self.configure(|config| config.hear_closing = true)
    }

    /// Spreads the closes of connections over the drain: who connects again does so at another time than all others,
    /// and the servers that go on are not run over. For services with many long-lived connections.
    ///
    /// Each connection has its own moment between the server's `close` and its deadline, evenly in the order of their
    /// coming. Until then it goes on as if nothing was; from then on its responses say `Connection: close`, an idle one
    /// is closed, HTTP/2 is told to go away, an event stream ends after its event, and its
    /// [`Closing`](crate::Closing) resolves. A connection that comes while draining has no moment: it is served once,
    /// and refused when traffic is quiet.
    ///
    /// With it, a shutdown takes its whole drain as long as anything long-lived is in flight. When nothing is, and no
    /// request comes for the [quiet interval](Self::lame_duck), it goes on at once: connections that only wait for
    /// another request hold nothing. Not the default, by which all leave as soon as traffic is quiet.
    #[must_use]
    pub fn spread_closes(self) -> Self {
        self.configure(|config| config.spread = true)
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.shared.listener.local_addr()
    }

    /// Serves until the shutdown has answered everyone and dropped the rest: HTTP/1 and HTTP/2, told apart by their first
    /// bytes. The service may be any of tower's: an axum `Router`, tonic's `Routes`, a `service_fn`. An error of its is
    /// answered with 500.
    ///
    /// # Errors
    ///
    /// When the runtime refuses the listener, the listener breaks, this server serves already, it is no component of a
    /// shutdown, which would never end it, or the owner of the shutdown has been dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it accepts no more; connections go on, and the shutdown answers what is left in the accept queue.
    pub async fn serve<S, B>(&self, shutdown: &Handle, service: S) -> io::Result<()>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.serve_with(shutdown, move |_| ready(Ok::<_, Infallible>(service.clone()))).await
    }

    /// Like [`serve`](Self::serve), with a service made for each connection, from its peer's address. What
    /// `axum::serve` takes stands here as it is, `into_make_service_with_connect_info::<SocketAddr>()` included. A
    /// connection whose service cannot be made is closed.
    ///
    /// # Errors
    ///
    /// Those of `serve`.
    ///
    /// # Cancel safety
    ///
    /// That of `serve`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::SocketAddr;
    /// use axum::{Router, extract::ConnectInfo, routing::get};
    ///
    /// # async fn run(http: sundown_http::Server, shutdown: sundown::Shutdown) -> std::io::Result<()> {
    /// let app = Router::new().route("/", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()));
    /// // was: axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
    /// http.serve_make_service(&shutdown, app.into_make_service_with_connect_info::<SocketAddr>()).await
    /// # }
    /// ```
    pub async fn serve_make_service<M, S, B>(&self, shutdown: &Handle, mut make: M) -> io::Result<()>
    where
        M: Service<SocketAddr, Response = S>,
        M::Future: Send + 'static,
        M::Error: 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.serve_with(shutdown, move |peer| make.call(peer)).await
    }

    async fn serve_with<F, S, E, B>(
        &self,
        shutdown: &Handle,
        mut connect: impl FnMut(SocketAddr) -> F,
    ) -> io::Result<()>
    where
        F: Future<Output = Result<S, E>> + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        E: 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.shared.check(shutdown).map_err(io::Error::other)?;
        let runtime = shutdown.runtime().clone();
        let mut listener = runtime.adopt(self.shared.listener.try_clone()?)?;
        if !self.shared.begin_serving(shutdown) {
            return Err(io::Error::other("this server serves already"));
        }
        let config = Arc::new(self.shared.config().clone());
        while let Some((transport, peer)) = self.shared.next(&mut *listener, &runtime).await? {
            // What was tried at set-up does not fail now; if it did, nothing may be said in clear.
            let tls = config.tls.as_ref().map(Acceptor::accept).transpose();
            let io = tls.map(|tls| driver::register(&self.shared, transport, tls));
            self.shared.set_accepting(false);
            let Ok(io) = io else { continue };
            runtime.spawn(Box::pin(driver::drive(config.clone(), connect(peer), io)));
        }
        self.shared.over().await;
        Ok(())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("listener", &self.shared.listener)
            .field("phase", &self.shared.phase())
            .finish_non_exhaustive()
    }
}
