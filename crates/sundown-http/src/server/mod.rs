//! The server: a component that serves, drains, and answers everyone in the end.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, poll_fn},
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixStream,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering, fence},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use slab::Slab;
use sundown::{
    Accept, Claims, Deadline, Drainable, Gate, Handle, InFlight, Jobs, Readiness, Receipt, Runtime,
    Transport, Unit, Watch,
};
use tower_service::Service;

use crate::{
    answer::Wording,
    body::BoxError,
    conn::Conn,
    driver,
    exchange::RequestPayload,
    phase::{Phase, PhaseCell},
    probe::Probe,
    rescue::Rescue,
    traffic::{LameDuck, Traffic},
    word,
};

/// An HTTP/1 server whose every client gets an answer.
///
/// Clones are the same server: one is the component of the shutdown, the other [serves](Self::serve).
///
/// While it drains it goes on serving until traffic is quiet, each response with `Connection: close`. At the claim,
/// requests that are [jobs](Self::requests_are_jobs) are taken from their handlers; when it is known who took them
/// over, each waiting client is told: 200 with `sundown-fate: handed-over`, or 503 with `Retry-After`. The layer in
/// front of the handlers does that on the runtime; what the runtime does not do in time, because it is blocked or
/// gone, a thread outside it does on the sockets themselves. A connection that waits in the accept queue is answered
/// too.
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

/// What the owner chose, final once the server serves.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) jobs: Option<(HeaderName, Jobs<RequestPayload>)>,
    pub(crate) wording: Wording,
    pub(crate) header_read_timeout: Duration,
    duck: LameDuck,
    probes: bool,
    shared_listener: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            jobs: None,
            wording: Wording::default(),
            header_read_timeout: Duration::from_secs(30),
            duck: LameDuck::default(),
            probes: false,
            shared_listener: false,
        }
    }
}

impl Config {
    pub(crate) fn probe(&self, method: &Method, path: &str) -> Option<Probe> {
        let asks = self.probes && (method == Method::GET || method == Method::HEAD);
        let of = |(known, probe): (&str, Probe)| (known == path).then_some(probe);
        if asks { Probe::PATHS.into_iter().find_map(of) } else { None }
    }
}

pub(crate) struct Shared {
    pub(crate) listener: TcpListener,
    pub(crate) gate: Gate,
    config: Mutex<Config>,
    phase: PhaseCell,
    /// Every connection that a task drives, and those whose task is gone while their client waits. Locked once when a
    /// connection comes and once when it goes; nothing is called under it.
    conns: Mutex<Slab<Arc<Conn>>>,
    serving: OnceLock<Serving>,
    watch: OnceLock<Watch>,
    deadline: OnceLock<Deadline>,
    receipt: OnceLock<Receipt>,
    accepting: AtomicWaker,
    bell: (UnixStream, UnixStream),
    deaf: AtomicBool,
    answered: AtomicU64,
    cut: AtomicU64,
}

struct Serving {
    runtime: Arc<dyn Runtime>,
    readiness: Readiness,
    traffic: Traffic,
}

impl Server {
    /// A server on a bound listener of the standard library's.
    ///
    /// # Errors
    ///
    /// When the listener cannot be made non-blocking, or the system gives no more descriptors.
    pub fn new(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let bell = UnixStream::pair()?;
        bell.0.set_nonblocking(true)?;
        bell.1.set_nonblocking(true)?;
        Ok(Server {
            shared: Arc::new(Shared {
                listener,
                gate: Gate::new(),
                config: Mutex::default(),
                phase: PhaseCell::default(),
                conns: Mutex::default(),
                serving: OnceLock::new(),
                watch: OnceLock::new(),
                deadline: OnceLock::new(),
                receipt: OnceLock::new(),
                accepting: AtomicWaker::new(),
                bell,
                deaf: AtomicBool::new(false),
                answered: AtomicU64::new(0),
                cut: AtomicU64::new(0),
            }),
        })
    }

    fn configure(self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.shared.config());
        self
    }

    /// Makes every request a job, whose id is in this header, or made up where there is none. The response completes
    /// it; a handler finds it as [`RequestJob`](crate::RequestJob) in the request's extensions.
    ///
    /// A request whose id is empty, longer than [`JobId::MAX`](sundown::JobId::MAX) bytes, or no UTF-8 text gets a 400
    /// that says so.
    ///
    /// # Panics
    ///
    /// When `header` is no header name in lower case: a mistake in the program's text.
    #[must_use]
    pub fn requests_are_jobs(self, header: &'static str) -> Self {
        self.configure(|config| config.jobs = Some((HeaderName::from_static(header), Jobs::new())))
    }

    /// Answers `GET /livez` (200 to the end) and `GET /readyz` (503 from the announcement on, with the time left)
    /// before the service is asked. Probes are no jobs, and no traffic.
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

    /// The status for a client whose job was taken over. Default: 200; 202 is the other honest choice (RFC 9110
    /// section 15.3.3).
    ///
    /// # Panics
    ///
    /// With a status whose answer has no body or is not the last one (1xx, 204, 205, 304): a mistake in the program's
    /// text.
    #[must_use]
    pub fn handed_over_status(self, status: StatusCode) -> Self {
        assert!(
            !status.is_informational() && ![204, 205, 304].contains(&status.as_u16()),
            "{status} cannot tell a client that its job was handed over: such an answer has no body"
        );
        self.configure(|config| config.wording.handed_over = status)
    }

    /// What a 503 says in `Retry-After`, in whole seconds, at least one. Default: 5 s.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        self.configure(|config| config.wording.retry_after = after)
    }

    /// How long a connection may take to send the head of a request, counted from the one before: idle connections too
    /// are closed after it. Default: 30 s, hyper's. Behind a load balancer it should be longer than the balancer keeps
    /// idle connections.
    #[must_use]
    pub fn header_read_timeout(self, timeout: Duration) -> Self {
        self.configure(|config| config.header_read_timeout = timeout)
    }

    /// The listener belongs to others as well (inherited, or held by a successor). When traffic is quiet it is left to
    /// them: nothing more is accepted, and its queue is neither shut nor answered.
    #[must_use]
    pub fn shared_listener(self) -> Self {
        self.configure(|config| config.shared_listener = true)
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.shared.listener.local_addr()
    }

    /// Serves until the shutdown has answered everyone. The peer's `SocketAddr` is in each request's extensions.
    ///
    /// # Errors
    ///
    /// When the runtime refuses the listener, the listener breaks, this server serves already, or it is no component of
    /// a shutdown, which would never end it.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it accepts no more; connections go on, and the shutdown answers what is left in the accept queue.
    pub async fn serve<S, B>(&self, shutdown: &Handle, service: S) -> io::Result<()>
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if self.shared.watch.get().is_none() {
            return Err(io::Error::other(
                "this server is not a component of the shutdown: add it before it serves",
            ));
        }
        let runtime = shutdown.runtime().clone();
        let mut listener = runtime.adopt(self.shared.listener.try_clone()?)?;
        let traffic = Traffic::new(runtime.now());
        let serving = Serving { runtime: runtime.clone(), readiness: shutdown.readiness(), traffic };
        if self.shared.serving.set(serving).is_err() {
            return Err(io::Error::other("this server serves already"));
        }
        let config = Arc::new(self.shared.config().clone());
        while let Some(accepted) = self.shared.next(&mut *listener, &runtime).await? {
            let server = self.shared.clone();
            let connection = driver::drive(server, config.clone(), service.clone(), accepted);
            runtime.spawn(Box::pin(connection));
        }
        Ok(())
    }
}

type Accepted = (Arc<dyn Transport>, SocketAddr);

impl Shared {
    /// The next connection; `None` when there will be no more.
    async fn next(
        &self,
        listener: &mut dyn Accept,
        runtime: &Arc<dyn Runtime>,
    ) -> io::Result<Option<Accepted>> {
        /// How long to wait for somebody to give a descriptor back.
        const PAUSE: Duration = Duration::from_millis(100);
        loop {
            let accepted = self.or_over(poll_fn(|cx| listener.poll_accept(cx))).await;
            match accepted {
                None => return Ok(None),
                Some(Ok(accepted)) => return Ok(Some(accepted)),
                Some(Err(error)) => match Refusal::of(&error) {
                    Refusal::Connection => {}
                    Refusal::Resources => {
                        if self.or_over(runtime.sleep_until(runtime.now() + PAUSE)).await.is_none() {
                            return Ok(None);
                        }
                    }
                    // The rescue has closed the door behind the last client.
                    Refusal::Listener if self.phase() >= Phase::Answering => return Ok(None),
                    Refusal::Listener => return Err(error),
                },
            }
        }
    }

    /// The future's output, or `None` once nothing more is to be accepted.
    async fn or_over<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let last = if self.shares_listener() { Phase::Closing } else { Phase::Forced };
        let mut future = pin!(future);
        poll_fn(|cx: &mut Context<'_>| {
            self.accepting.register(cx.waker());
            if self.phase() >= last {
                return Poll::Ready(None);
            }
            Pin::as_mut(&mut future).poll(cx).map(Some)
        })
        .await
    }

    fn config(&self) -> MutexGuard<'_, Config> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wording(&self) -> Wording {
        self.config().wording.clone()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.phase() >= Phase::Draining
    }

    /// Whether the shutdown has begun, though it may not be the server's turn.
    pub(crate) fn is_announced(&self) -> bool {
        self.is_draining() || self.watch.get().is_some_and(Watch::is_draining)
    }

    pub(crate) fn runtime(&self) -> Option<&Arc<dyn Runtime>> {
        self.serving.get().map(|serving| &serving.runtime)
    }

    pub(crate) fn readiness(&self) -> Option<&Readiness> {
        self.serving.get().map(|serving| &serving.readiness)
    }

    /// A request has come.
    pub(crate) fn touch(&self) {
        if let Some(serving) = self.serving.get().filter(|_| self.phase() == Phase::Draining) {
            serving.traffic.touch(serving.runtime.now());
        }
    }

    /// A connection has come, which may be a request on its way.
    pub(crate) fn expect(&self) -> Option<usize> {
        let serving = self.serving.get().filter(|_| self.phase() == Phase::Draining)?;
        Some(serving.traffic.expect(serving.runtime.now()))
    }

    pub(crate) fn expect_no_more(&self, connection: usize) {
        if let Some(serving) = self.serving.get() {
            serving.traffic.expect_no_more(connection);
        }
    }

    pub(crate) fn register(&self, conn: Arc<Conn>) -> usize {
        self.conns.lock().unwrap_or_else(PoisonError::into_inner).insert(conn)
    }

    pub(crate) fn unregister(&self, conn: &Conn) {
        let Some(slot) = conn.slot() else { return };
        let conn = self.conns.lock().unwrap_or_else(PoisonError::into_inner).try_remove(slot);
        drop(conn);
    }

    /// For a connection whose task is gone, and which stood here only because its client waited.
    pub(crate) fn unregister_if_closed(&self, conn: &Conn) {
        if conn.word.is_orphan() {
            self.unregister(conn);
        }
    }

    pub(crate) fn conns(&self) -> Vec<Arc<Conn>> {
        let conns = self.conns.lock().unwrap_or_else(PoisonError::into_inner);
        conns.iter().map(|(_, conn)| conn.clone()).collect()
    }

    /// Nobody is left to answer newcomers: better refused than reset when the process ends. (Who is in the accept queue
    /// now, and came in the microseconds since it was last emptied, is reset.)
    pub(crate) fn stop_listening(&self) {
        if !self.shares_listener() {
            // Relaxed: only the rescue's thread asks.
            self.deaf.store(true, Ordering::Relaxed);
            let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        }
    }

    pub(crate) fn is_listening(&self) -> bool {
        !self.deaf.load(Ordering::Relaxed)
    }

    pub(crate) fn shares_listener(&self) -> bool {
        self.config().shared_listener
    }

    /// Goes on, and tells every connection's task.
    fn advance(&self, to: Phase) {
        if self.phase.advance(to) {
            // Pairs with the fence in `ring`: either the rescue, which looks at the words after this, sees that a
            // connection has moved, or whoever moved it sees the phase and rings.
            fence(Ordering::SeqCst);
            for conn in self.conns() {
                self.wake(&conn);
            }
            self.accepting.wake();
        }
    }

    /// Wakes a connection's task. Wakers are foreign code: one that panics keeps nobody else asleep.
    pub(crate) fn wake(&self, conn: &Conn) {
        let _ = catch_unwind(AssertUnwindSafe(|| conn.task.wake()));
    }

    /// Tells the rescue that a connection has moved.
    pub(crate) fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.phase() >= Phase::Answering {
            // A full pipe has been rung already.
            let _ = (&self.bell.0).write(&[1]);
        }
    }

    /// What becomes readable when the bell rings.
    pub(crate) fn bell(&self) -> &UnixStream {
        &self.bell.1
    }

    pub(crate) fn silence_bell(&self) {
        let mut rings = [0; 256];
        while (&self.bell.1).read(&mut rings).is_ok_and(|read| read == rings.len()) {}
    }

    pub(crate) fn count_answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_cut(&self) {
        self.cut.fetch_add(1, Ordering::Relaxed);
    }
}

/// What an error of `accept(2)` is about.
enum Refusal {
    Connection,
    Resources,
    Listener,
}

impl Refusal {
    fn of(error: &io::Error) -> Self {
        use rustix::io::Errno;
        match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Refusal::Resources,
            Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP | Errno::FAULT) => {
                Refusal::Listener
            }
            // Only the runtime speaks of itself: it is gone.
            None => Refusal::Listener,
            Some(_) => Refusal::Connection,
        }
    }
}

#[sundown::async_trait]
impl Drainable for Server {
    fn joined(&self, watch: &Watch) {
        let _ = self.shared.watch.set(watch.clone());
        let jobs = self.shared.config().jobs.clone();
        if let Some((_, jobs)) = jobs {
            jobs.joined(watch);
        }
    }

    fn close(&self, deadline: &Deadline) {
        let _ = self.shared.deadline.set(deadline.clone());
        self.shared.advance(Phase::Draining);
    }

    async fn drained(&self) {
        let shared = &self.shared;
        if let (Some(serving), Some(deadline)) = (shared.serving.get(), shared.deadline.get()) {
            let duck = shared.config().duck;
            serving.traffic.quiet(duck, deadline, &serving.runtime).await;
        }
        shared.gate.close();
        // Not under the lock: closing wakes who waits for it.
        let jobs = shared.config().jobs.clone();
        if let Some((_, jobs)) = jobs {
            jobs.close();
        }
        shared.advance(Phase::Closing);
        shared.gate.empty().await;
    }

    fn in_flight(&self) -> InFlight {
        let conns = self.shared.conns();
        let busy = conns
            .iter()
            .filter(|conn| matches!(conn.word.phase(), word::Phase::Handler | word::Phase::Responding));
        InFlight::named(
            busy.filter_map(|conn| conn.exchange()).map(|exchange| Unit { name: exchange.name(), age: None }),
        )
    }

    fn claim(&self, claims: &Claims) {
        let config = self.shared.config().clone();
        self.shared.gate.close();
        if let Some((_, jobs)) = &config.jobs {
            jobs.claim(claims);
        }
        if !config.shared_listener {
            // Nobody new joins the accept queue; who is in it is answered. (Closing it would reset them.)
            let _ = rustix::net::listen(&self.shared.listener, 0);
        }
        self.shared.advance(Phase::Claimed);
    }

    async fn conclude(&self, receipt: &Receipt) {
        let _ = self.shared.receipt.set(receipt.clone());
        self.shared.advance(Phase::Answering);
        Rescue::new(&self.shared, receipt.deadline().clone()).run(receipt);
        receipt.note("answered by the layer", self.shared.answered.load(Ordering::Relaxed));
    }

    fn force(&self) {
        let left = self.shared.conns();
        let responding =
            left.iter().filter(|conn| conn.word.phase() == word::Phase::Responding).count() as u64;
        for conn in &left {
            conn.prepare_cut();
        }
        if let Some(receipt) = self.shared.receipt.get() {
            // What the runtime cuts by itself from here on is among the responding.
            receipt.note("responses cut", responding + self.shared.cut.load(Ordering::Relaxed));
        }
        self.shared.advance(Phase::Forced);
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
