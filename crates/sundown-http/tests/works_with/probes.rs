//! Health probes on a port of their own.

use std::{
    io::{ErrorKind, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use sundown::{Gate, Guard, Shutdown};
use sundown_http::serve_probes;
use tokio::runtime::{Builder, Runtime};

use crate::stage::{self, BOUND, Http1};

struct Probed {
    address: SocketAddr,
    shutdown: Shutdown,
    /// Keeps the drain from ending.
    _guard: Guard,
    /// Nobody drives it: it is as blocked as a runtime can be.
    _runtime: Runtime,
}

fn start() -> Probed {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let gate = Gate::new();
    let guard = gate.enter().unwrap();
    let shutdown = stage::shutdown(&runtime, gate, false);
    let listener = stage::listener();
    let address = listener.local_addr().unwrap();
    serve_probes(listener, &shutdown).unwrap();
    Probed { address, shutdown, _guard: guard, _runtime: runtime }
}

impl Probed {
    fn begin(&self) {
        self.shutdown.begin("a test");
        let until = Instant::now() + BOUND;
        while self.shutdown.readiness().is_ready() {
            assert!(Instant::now() < until);
            std::thread::yield_now();
        }
    }

    fn ask(&self, request: &str) -> String {
        let mut client = Http1::connect(self.address);
        client.send(request);
        client.end()
    }
}

fn body(reply: &str) -> &str {
    reply.split_once("\r\n\r\n").expect("a head ends").1
}

#[test]
fn they_are_answered_to_the_end_whatever_the_runtime_does() {
    let probed = start();
    let ready = stage::get(probed.address, "/readyz");
    assert!(ready.starts_with("HTTP/1.1 200 OK\r\n") && body(&ready) == "ready\n", "{ready}");
    probed.begin();
    let ready = stage::get(probed.address, "/readyz?verbose");
    assert!(ready.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{ready}");
    assert!(ready.contains("\r\ncache-control: no-store\r\n") && ready.contains("\r\ndate: "), "{ready}");
    let left = body(&ready).strip_prefix("draining, gone in ").and_then(|text| text.strip_suffix(" s\n"));
    let left: f64 = left.expect(&ready).parse().unwrap();
    assert!(0.0 < left && left <= stage::GRACE.as_secs_f64(), "{ready}");
    let live = stage::get(probed.address, "/livez");
    assert!(live.starts_with("HTTP/1.1 200 OK\r\n") && body(&live) == "alive\n", "{live}");
    // Through each of the steps that are left.
    probed.shutdown.hurry();
    probed.shutdown.finished_blocking();
    let until = Instant::now() + BOUND;
    loop {
        match TcpStream::connect(probed.address) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => break,
            _ => assert!(Instant::now() < until, "the port is still open"),
        }
    }
}

#[test]
fn what_is_no_probe_is_told_so() {
    let probed = start();
    let head = probed.ask("HEAD /readyz HTTP/1.1\r\nhost: test\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-length: 6\r\n"), "{head}");
    assert_eq!(body(&head), "");
    for (request, status) in [
        ("GET / HTTP/1.1\r\nhost: test\r\n\r\n", 404),
        ("POST /livez HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n", 405),
        ("GET  /livez HTTP/1.1\r\n\r\n", 400),
        ("nonsense\r\n\r\n", 400),
    ] {
        let reply = probed.ask(request);
        assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {reply}");
    }
    let long = probed.ask(&format!("GET /livez HTTP/1.1\r\nx: {}", "x".repeat(5000)));
    assert!(long.starts_with("HTTP/1.1 431 "), "{long}");
}

#[test]
fn nobody_keeps_a_probe_waiting() {
    let probed = start();
    let silent: Vec<_> = (0..100)
        .map(|n| {
            let mut stream = TcpStream::connect(probed.address).unwrap();
            let part = if n % 2 == 0 { "" } else { "GET /livez HTTP/1.1\r\nx: " };
            // Who is there too long is let go, and may not be able to send.
            let _ = stream.write_all(part.as_bytes());
            stream
        })
        .collect();
    let asked = Instant::now();
    assert!(stage::get(probed.address, "/livez").starts_with("HTTP/1.1 200 "));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    drop(silent);
}
