//! The contract of a component, on the server: its work are real requests on real connections.

#![allow(clippy::unwrap_used, reason = "what helps tests is a test")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        mpsc::{self, Sender},
    },
    time::Duration,
};

use axum::{Router, extract::State, routing::get};
use sundown::Shutdown;
use sundown_http::Server;
use sundown_testkit::conformance::Subject;
use sundown_tokio::Tokio;
use tokio::{runtime::Runtime, sync::oneshot};

/// What a handler tells when it has been entered: how to let it go.
type Entered = Arc<Mutex<Sender<oneshot::Sender<()>>>>;

async fn handler(State(entered): State<Entered>) {
    let (let_go, gone) = oneshot::channel();
    let _ = entered.lock().unwrap().send(let_go);
    let _ = gone.await;
}

/// A request whose handler has been entered. Dropped, the handler ends, and its response is read.
struct Exchange(Option<oneshot::Sender<()>>, TcpStream);

impl Drop for Exchange {
    fn drop(&mut self) {
        drop(self.0.take());
        let _ = self.1.read_to_end(&mut Vec::new());
    }
}

/// Sends a request; `None` if it is answered by anybody but the handler.
fn request(address: SocketAddr, entered: &mpsc::Receiver<oneshot::Sender<()>>) -> Option<Exchange> {
    let mut client = TcpStream::connect(address).ok()?;
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").ok()?;
    loop {
        if let Ok(let_go) = entered.recv_timeout(Duration::from_millis(5)) {
            return Some(Exchange(Some(let_go), client));
        }
        client.set_nonblocking(true).unwrap();
        let answered = client.peek(&mut [0]).is_ok();
        client.set_nonblocking(false).unwrap();
        if answered {
            return None;
        }
    }
}

/// A server that serves, in a shutdown of its own, which every rule lets be.
fn server() -> Subject {
    let runtime = Runtime::new().unwrap();
    let tokio = Tokio::of(runtime.handle().clone());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::new(listener).unwrap().lame_duck(Duration::ZERO, Duration::ZERO);
    let address = server.local_addr().unwrap();
    let shutdown = Shutdown::embedded(tokio.clone()).component("http", server.clone()).start().unwrap();
    let (enter, entered) = mpsc::channel();
    let router = Router::new().route("/", get(handler)).with_state(Arc::new(Mutex::new(enter)));
    let (serving, handle) = (server.clone(), shutdown.handle());
    runtime.spawn(async move {
        serving.serve(&handle, router).await.unwrap();
    });
    let (entered, kept) = (Mutex::new(entered), (shutdown, runtime));
    let begin = move || {
        // For as long as work is begun.
        let _serves = &kept;
        request(address, &entered.lock().unwrap())
    };
    Subject::anonymous(server, begin).lame_duck().on(tokio)
}

sundown_testkit::drainable_conformance!(server);
