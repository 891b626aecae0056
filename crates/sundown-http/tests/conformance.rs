//! The contract of a component, on the server and on the layer alone: their work is real requests on real connections.

#![allow(clippy::unwrap_used, reason = "what helps tests is a test")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    panic::resume_unwind,
    sync::{
        Arc, Mutex,
        mpsc::{self, Sender},
    },
    time::Duration,
};

use axum::{Router, extract::State, routing::get};
use sundown::Shutdown;
use sundown_http::{Responder, Server};
use sundown_testkit::conformance::{self, Piece, Subject};
use sundown_tokio::Tokio;
use tokio::{runtime::Runtime, sync::oneshot};

/// What a handler tells when it has been entered: how to let it answer.
type Entered = Arc<Mutex<Sender<oneshot::Sender<()>>>>;

async fn handler(State(entered): State<Entered>) -> &'static str {
    let (answer, answers) = oneshot::channel();
    let _ = entered.lock().unwrap().send(answer);
    match answers.await {
        Ok(()) => "done",
        Err(_) => resume_unwind(Box::new("the handler was given up, on purpose")),
    }
}

/// A request whose handler has been entered. Dropped, the handler is given up, and its client is gone.
struct Exchange(oneshot::Sender<()>, TcpStream);

impl Piece for Exchange {
    fn commit(self: Box<Self>) -> bool {
        let Exchange(answer, mut client) = *self;
        let _ = answer.send(());
        let mut response = Vec::new();
        let _ = client.read_to_end(&mut response);
        response.ends_with(b"\r\n\r\ndone")
    }
}

/// A server that serves, in a shutdown of its own, which every rule lets be.
struct Serving {
    address: SocketAddr,
    entered: Mutex<mpsc::Receiver<oneshot::Sender<()>>>,
    _shutdown: Shutdown,
    _runtime: Runtime,
}

impl Serving {
    fn start(server: Server) -> (Self, Tokio) {
        let runtime = Runtime::new().unwrap();
        let tokio = Tokio::of(runtime.handle().clone());
        let shutdown = Shutdown::embedded(tokio.clone()).component("http", server.clone()).start().unwrap();
        let (enter, entered) = mpsc::channel();
        let router = Router::new().route("/", get(handler)).with_state(Arc::new(Mutex::new(enter)));
        let (address, handle) = (server.local_addr().unwrap(), shutdown.handle());
        runtime.spawn(async move { server.serve(&handle, router).await.unwrap() });
        let entered = Mutex::new(entered);
        (Serving { address, entered, _shutdown: shutdown, _runtime: runtime }, tokio)
    }

    /// Sends a request; `None` if it is answered by anybody but the handler.
    fn request(&self, id: &str) -> Option<Exchange> {
        let entered = self.entered.lock().unwrap();
        let mut client = TcpStream::connect(self.address).ok()?;
        write!(client, "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nX-Job-Id: {id}\r\n\r\n").ok()?;
        client.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let answer = loop {
            if let Ok(answer) = entered.recv_timeout(Duration::from_millis(5)) {
                break answer;
            }
            if client.peek(&mut [0]).is_ok() {
                return None;
            }
        };
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Some(Exchange(answer, client))
    }
}

fn server() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    Server::new(listener).unwrap().lame_duck(Duration::ZERO, Duration::ZERO)
}

fn anonymous() -> Subject {
    let server = server();
    let (serving, tokio) = Serving::start(server.clone());
    Subject::anonymous(server, move || serving.request("nobody's")).lame_duck().on(tokio)
}

fn jobs() -> Subject {
    let server = server().requests_are_jobs("x-job-id");
    let (serving, tokio) = Serving::start(server.clone());
    Subject::jobs(server, move |id| serving.request(id)).lame_duck().on(tokio)
}

impl Serving {
    /// The layer alone, in front of `axum::serve`.
    fn start_alone(responder: Responder) -> (Self, Tokio) {
        let runtime = Runtime::new().unwrap();
        let tokio = Tokio::of(runtime.handle().clone());
        let shutdown =
            Shutdown::embedded(tokio.clone()).component("http", responder.clone()).start().unwrap();
        let (enter, entered) = mpsc::channel();
        let router = Router::new().route("/", get(handler)).with_state(Arc::new(Mutex::new(enter)));
        let router = router.layer(responder.layer(&shutdown).unwrap());
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let entered = Mutex::new(entered);
        (Serving { address, entered, _shutdown: shutdown, _runtime: runtime }, tokio)
    }
}

fn alone() -> Subject {
    let responder = Responder::new().lame_duck(Duration::ZERO, Duration::ZERO);
    let (serving, tokio) = Serving::start_alone(responder.clone());
    Subject::anonymous(responder, move || serving.request("nobody's")).lame_duck().on(tokio)
}

fn jobs_alone() -> Subject {
    let responder = Responder::new().requests_are_jobs("x-job-id").lame_duck(Duration::ZERO, Duration::ZERO);
    let (serving, tokio) = Serving::start_alone(responder.clone());
    Subject::jobs(responder, move |id| serving.request(id)).lame_duck().on(tokio)
}

mod layer_alone {
    sundown_testkit::drainable_conformance!(super::alone);
}

mod requests {
    sundown_testkit::drainable_conformance!(super::anonymous);
}

/// Every rule but the one about the announcement: a server hears of that from the shutdown which it serves, and that is
/// not the rule's here.
#[test]
fn requests_that_are_jobs() {
    conformance::drainable(jobs).without("a_job_dropped_after_the_announcement_is_claimed").assert();
}

#[test]
fn requests_that_are_jobs_behind_the_layer_alone() {
    conformance::drainable(jobs_alone).without("a_job_dropped_after_the_announcement_is_claimed").assert();
}
