//! Peers of HTTP/2 that read slowly get all of what they are answered; who cannot get all of it is told so.

use std::{thread::sleep, time::Duration};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use sundown::Shutdown;
use sundown_tokio::Tokio;

use crate::{
    raw::{End, RawHttp2},
    stage,
};

/// A client that has had the answer's first bytes when the server begins to drain, and then reads so many bytes at a
/// time, and says so.
fn read_slowly(length: usize, window: Option<u32>, bite: u32, pause: Duration) {
    let runtime = stage::runtime();
    let server = stage::server();
    let address = server.local_addr().unwrap();
    let shutdown = stage::shutdown(&runtime, server.clone(), false);
    let (door, entered) = stage::door();
    let answer = async move || {
        door.pass().await;
        "x".repeat(length)
    };
    let router = Router::new().route("/", get(answer));
    let handle = shutdown.handle();
    runtime.spawn(async move { server.serve(&handle, router).await.unwrap() });

    let mut client = RawHttp2::connect(address).acknowledging();
    client.get(1, "/");
    if let Some(window) = window {
        client.widen(1, window).unwrap();
    }
    let handler = entered.wait();
    shutdown.begin("a test");
    client.wait_for_goaway();
    handler.send(()).unwrap();
    let mut said = 0;
    while !client.has_ended(1) {
        client.read_frame();
        while client.received(1) - said >= bite as usize {
            sleep(pause);
            said += bite as usize;
            // At the end, nobody may be there to hear it.
            let _ = client.widen(1, bite);
        }
    }
    assert_eq!(client.received(1), length);
    drop(client);
    let report = stage::report(&runtime, &shutdown);
    assert!(report.is_clean(), "{report}");
}

#[test]
fn what_waits_for_the_peers_window_is_in_flight() {
    read_slowly(300_000, None, 16_384, Duration::from_millis(100));
}

#[test]
fn a_peer_that_reads_on_is_not_left() {
    read_slowly(3_000_000, Some(100_000_000), 32_768, Duration::from_millis(15));
}

#[test]
fn a_stream_that_is_cut_in_the_end_is_reset() {
    let runtime = stage::runtime();
    let server = stage::server();
    let address = server.local_addr().unwrap();
    let shutdown = Shutdown::embedded(Tokio::of(runtime.handle().clone())).grace(Duration::from_secs(4));
    let shutdown = shutdown.component("http", server.clone()).start().unwrap();
    let endless = async || {
        let begun = stream::iter([Ok::<_, std::io::Error>(Bytes::from("begun"))]);
        Body::from_stream(begun.chain(stream::pending()))
    };
    let router = Router::new().route("/", get(endless));
    let handle = shutdown.handle();
    runtime.spawn(async move { server.serve(&handle, router).await.unwrap() });

    let mut client = RawHttp2::connect(address).acknowledging();
    client.get(1, "/");
    while client.received(1) < 5 {
        client.read_frame();
    }
    stage::claim(&shutdown);
    assert!(matches!(client.end(1), End::Reset(_)));
    let report = stage::report(&runtime, &shutdown);
    assert!(!report.is_clean(), "it was cut: {report}");
}
