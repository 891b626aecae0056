//! Health probes on a port of their own, answered by a thread of their own.
//!
//! 1. **Nothing of the user's runs here**, and nothing here waits for it: a blocked runtime keeps no probe waiting.
//! 2. **Nobody holds up anybody.** Sockets do not block; a client has a bounded time and a bounded head, and where there
//!    are too many, the one that has had the most time gives way.

mod client;

use std::{
    future::Future,
    io,
    net::TcpListener,
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
    thread,
    time::Instant,
};

use rustix::event::{PollFd, PollFlags};
use sundown::{Handle, Readiness, Report};

use self::client::Client;
use crate::{
    bell::Bell,
    wait::{DEAF, poll},
};

/// As many clients at a time.
const CROWD: usize = 64;

/// Answers health probes on a port of their own, from now until the shutdown has finished: `GET /livez` with 200, and
/// `GET /readyz` with 200 before the announcement and 503 from then on, with the time left in its body.
///
/// They are answered by a thread of their own, on time also while the runtime is blocked. So `/livez` here says that the
/// process is there, and will leave on time if it is told to; it does not say that the runtime moves. Who wants to know
/// that asks the service's own port: [`Server::health_probes`](crate::Server::health_probes) are answered by the runtime.
/// Ask that one rarely: a service that is restarted whenever it is busy is busier afterwards.
///
/// # Errors
///
/// When the listener cannot be made non-blocking, or the system gives no thread or no more descriptors.
///
/// # Examples
///
/// ```no_run
/// # async fn run(runtime: impl sundown::Runtime, http: sundown_http::Server) -> Result<(), Box<dyn std::error::Error>> {
/// use std::net::TcpListener;
/// use sundown::Shutdown;
///
/// let shutdown = Shutdown::process(runtime).component("http", http.clone()).start()?;
/// sundown_http::serve_probes(TcpListener::bind("127.0.0.1:8081")?, &shutdown)?;
/// # Ok(()) }
/// ```
pub fn serve_probes(listener: TcpListener, shutdown: &Handle) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let bell = Arc::new(Bell::new()?);
    let probes = Probes {
        listener,
        readiness: shutdown.readiness(),
        finished: Box::pin(shutdown.finished()),
        waker: bell.clone().into(),
        bell,
        clients: Vec::new(),
        deaf: false,
    };
    thread::Builder::new().name("sundown-probes".to_owned()).spawn(move || probes.run())?;
    Ok(())
}

struct Probes {
    listener: TcpListener,
    readiness: Readiness,
    finished: Pin<Box<dyn Future<Output = Report> + Send>>,
    /// Rings the bell.
    waker: Waker,
    bell: Arc<Bell>,
    /// In the order in which they came.
    clients: Vec<Client>,
    deaf: bool,
}

impl Probes {
    fn run(mut self) {
        while self.finished.as_mut().poll(&mut Context::from_waker(&self.waker)).is_pending() {
            self.accept();
            let (now, readiness) = (Instant::now(), &self.readiness);
            self.clients.retain_mut(|client| client.go_on(now, readiness));
            self.wait(now);
        }
    }

    fn accept(&mut self) {
        self.deaf = false;
        // Bounded, so that those who are here get on.
        for _ in 0..CROWD {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if stream.set_nonblocking(true).is_ok() {
                        if self.clients.len() == CROWD {
                            self.clients.remove(0);
                        }
                        self.clients.push(Client::new(stream));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.deaf = error.kind() != io::ErrorKind::WouldBlock;
                    return;
                }
            }
        }
    }

    /// Sleeps until something moves.
    fn wait(&self, now: Instant) {
        let mut fds = vec![PollFd::new(&self.bell, PollFlags::IN)];
        fds.extend(self.clients.iter().map(|client| PollFd::new(client, client.interest())));
        let patience = self.clients.iter().map(|client| client.until().saturating_duration_since(now)).min();
        let patience = if self.deaf { Some(patience.map_or(DEAF, |time| time.min(DEAF))) } else { patience };
        if !self.deaf {
            fds.push(PollFd::new(&self.listener, PollFlags::IN));
        }
        poll(&mut fds, patience);
        self.bell.silence();
    }
}
