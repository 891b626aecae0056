//! A runtime of your own: what a fourth runtime needs for sundown, shown on one of a few hundred lines.
//!
//! ```text
//! cargo run --example your_own_runtime
//! ```
//!
//! `runtime/` is the runtime and its adapter; here is a service on it, as it would be on any other. Its client asks
//! twice. The second request begins the shutdown, and is answered when the service drains.

#![forbid(unsafe_code)]
#![allow(unreachable_pub)] // a program has no outside

mod runtime;

use std::{
    error::Error,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    pin::pin,
    thread,
    time::Duration,
};

use axum::{Router, extract::State, routing::get};
use sundown::{Handle, Shutdown};
use sundown_http::Server;

use crate::runtime::{Executor, Reactor, YourRuntime};

fn main() -> Result<(), Box<dyn Error>> {
    let executor = Executor::start(2)?;
    let http = Server::new(TcpListener::bind("127.0.0.1:0")?)?;
    let shutdown = Shutdown::process(YourRuntime::on(&executor))
        .component("http", http.clone())
        .grace(Duration::from_secs(10))
        .start()?;

    let address = http.local_addr()?;
    let client = thread::spawn(move || -> io::Result<()> {
        println!("GET /hello: {}", ask(address, "/hello")?);
        println!("GET /last: {}", ask(address, "/last")?);
        Ok(())
    });
    let router = Router::new()
        .route("/hello", get("from a runtime of your own"))
        .route("/last", get(last))
        .with_state(shutdown.handle());
    Reactor::new()?.block_on(pin!(http.serve(&shutdown, router)))?;

    client.join().map_err(|_| "the client panicked")??;
    let report = shutdown.finished_blocking().to_string();
    println!("{}", report.lines().next().unwrap_or_default());
    Ok(())
}

/// Begins the shutdown, and goes on: what is in hand is finished.
async fn last(State(shutdown): State<Handle>) -> &'static str {
    shutdown.begin("the last request");
    shutdown.watch().draining().await;
    let runtime = shutdown.runtime();
    runtime.sleep_until(runtime.now() + Duration::from_millis(20)).await; // the rest of the work
    "finished while the service drained"
}

/// The status and the body of an answer.
fn ask(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.lines().next().unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok(format!("{status}, {body}"))
}
