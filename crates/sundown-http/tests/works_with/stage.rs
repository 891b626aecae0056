//! A runtime, a shutdown of the test's own, and clients that keep every byte.

use std::{
    future::Future,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{self, Receiver, Sender},
    time::Duration,
};

use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::{Request, StatusCode};
use sundown::{Builder, Drainable, Report, Shutdown};
use sundown_http::{FATE, Server};
use sundown_testkit::TakesOver;
use sundown_tokio::Tokio;
use tokio::{runtime::Runtime, sync::oneshot};

/// How long anything is waited for.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

/// Time enough for every step on a slow machine.
pub(crate) const GRACE: Duration = Duration::from_secs(40);

pub(crate) fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// A server that does not wait for traffic to be quiet.
pub(crate) fn server() -> Server {
    Server::new(listener()).unwrap().lame_duck(Duration::ZERO, Duration::ZERO)
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A shutdown with this one component, whose jobs are taken over if `taken`.
pub(crate) fn shutdown(runtime: &Runtime, component: impl Drainable, taken: bool) -> Shutdown {
    let builder: Builder = Shutdown::embedded(Tokio::of(runtime.handle().clone())).grace(GRACE);
    let builder = if taken { builder.hand_over_to(TakesOver::all()) } else { builder };
    builder.component("http", component).start().unwrap()
}

/// Begins, and goes on to the claim at once.
pub(crate) fn claim(shutdown: &Shutdown) {
    shutdown.begin("a test");
    shutdown.hurry();
}

/// Runs this on the runtime, which must end in time.
pub(crate) fn within<T>(runtime: &Runtime, future: impl Future<Output = T>) -> T {
    runtime.block_on(async { tokio::time::timeout(BOUND, future).await }).expect("it ends in time")
}

pub(crate) fn report(runtime: &Runtime, shutdown: &Shutdown) -> Report {
    within(runtime, shutdown.finished())
}

/// Handlers that tell when they have been entered, and wait to be told to answer.
#[derive(Clone)]
pub(crate) struct Door(Sender<oneshot::Sender<()>>);

pub(crate) struct Entered(Receiver<oneshot::Sender<()>>);

pub(crate) fn door() -> (Door, Entered) {
    let (enter, entered) = mpsc::channel();
    (Door(enter), Entered(entered))
}

impl Door {
    pub(crate) async fn pass(&self) -> &'static str {
        let (answer, answers) = oneshot::channel();
        let _ = self.0.send(answer);
        // Given up, it answers never.
        if answers.await.is_err() {
            std::future::pending::<()>().await;
        }
        "done"
    }
}

impl Entered {
    /// Waits for the next handler. What it returns lets that one answer.
    pub(crate) fn wait(&self) -> oneshot::Sender<()> {
        self.0.recv_timeout(BOUND).expect("a handler is entered")
    }
}

/// A client of HTTP/1.
pub(crate) struct Http1(TcpStream);

impl Http1 {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        Http1(stream)
    }

    pub(crate) fn get(&mut self, path: &str) {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: test\r\nx-job-id: it\r\n\r\n"));
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// All that comes before a clean end.
    pub(crate) fn end(mut self) -> String {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).expect("a clean end");
        String::from_utf8(bytes).unwrap()
    }

    /// One answer with this body, on a connection that goes on. Returns its head.
    pub(crate) fn reply(&mut self, body: &str) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(format!("\r\n\r\n{body}").as_bytes()) {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("an answer comes");
            bytes.push(byte[0]);
        }
        String::from_utf8(bytes).unwrap()
    }
}

/// `GET`, on a connection of its own.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    let mut client = Http1::connect(address);
    client.send(&format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"));
    client.end()
}

/// A connection of HTTP/2, driven by a task.
pub(crate) async fn http2(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (requests, connection) = client::handshake(stream).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    requests
}

/// What came of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply2 {
    pub(crate) status: StatusCode,
    pub(crate) fate: Option<String>,
    pub(crate) body: String,
}

/// Sends `GET`; what comes of it is in the future.
pub(crate) fn get2(
    requests: &mut SendRequest<Bytes>,
    path: &str,
) -> impl Future<Output = Result<Reply2, h2::Error>> + Send + 'static {
    let request = Request::get(format!("http://test{path}")).header("x-job-id", "it").body(()).unwrap();
    let sent = requests.send_request(request, true);
    async move {
        let response = sent?.0.await?;
        assert!(!response.headers().contains_key("connection"), "{:?}", response.headers());
        let (head, mut stream) = response.into_parts();
        let mut body = Vec::new();
        while let Some(data) = stream.data().await {
            body.extend_from_slice(&data?);
        }
        let fate = head.headers.get(FATE).map(|fate| fate.to_str().unwrap().to_owned());
        Ok(Reply2 { status: head.status, fate, body: String::from_utf8(body).unwrap() })
    }
}
