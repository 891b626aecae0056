//! What is left of a request's body when its answer is out: the rest of that request, and not the next one.

#![allow(clippy::unwrap_used, reason = "what helps tests is a test")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
};

use axum::{Router, extract::State, routing::any};
use sundown::Shutdown;
use sundown_http::Server;
use sundown_tokio::Tokio;

/// A handler that blocks the only thread says so, and until when.
type Blocked = Arc<Mutex<Sender<Sender<()>>>>;

async fn block(State(blocked): State<Blocked>) -> &'static str {
    let (release, released) = mpsc::channel();
    let _ = blocked.lock().unwrap().send(release);
    let _ = released.recv();
    "done"
}

fn connect(address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn next(blocked: &Receiver<Sender<()>>) -> Sender<()> {
    blocked.recv_timeout(Duration::from_secs(10)).unwrap()
}

/// The handler of an upload answers without reading it. Before hyper, told so, can look at the rest of the body, another
/// handler blocks the thread; then the rescue finds a connection that looks idle, and bytes on it.
#[test]
fn the_rest_of_a_body_that_nobody_read_is_not_answered_as_a_request() {
    let server = Server::new(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
    let address = server.local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let builder = Shutdown::embedded(Tokio::of(runtime.handle().clone())).component("http", server.clone());
    let shutdown = builder.grace(Duration::from_secs(2)).start().unwrap();
    let (blocks, blocked) = mpsc::channel();
    let router = Router::new().route("/block", any(block)).route("/", any(async || "own"));
    let router = router.with_state(Arc::new(Mutex::new(blocks)));
    let handle = shutdown.handle();
    let serving = thread::spawn(move || runtime.block_on(server.serve(&handle, router)).unwrap());

    let _first = connect(address, "GET /block HTTP/1.1\r\nhost: test\r\n\r\n");
    let release = next(&blocked);
    let mut upload = connect(address, "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\nbegin");
    let _second = connect(address, "GET /block HTTP/1.1\r\nhost: test\r\n\r\n");
    release.send(()).unwrap();
    let release = next(&blocked);
    upload.write_all(&[b'b'; 95]).unwrap();
    shutdown.begin("a test");
    shutdown.hurry();
    let mut answers = String::new();
    // A reset would be as good an end.
    let _ = upload.read_to_string(&mut answers);
    release.send(()).unwrap();
    drop(shutdown);
    serving.join().unwrap();
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
}
