//! The layer alone, in front of a server of somebody else's: `axum::serve`.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    net::SocketAddr,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use sundown::Shutdown;
use sundown_http::{Responder, ServeError};
use tokio::{runtime::Runtime, task::JoinHandle};
use tower_layer::Layer;
use tower_service::Service;

use crate::stage::{self, BOUND, Door, Entered, Http1, get2, http2, within};

/// A service on `axum::serve`.
struct Serving {
    address: SocketAddr,
    entered: Entered,
    responder: Responder,
    shutdown: Shutdown,
    server: JoinHandle<()>,
    runtime: Runtime,
}

fn router(door: Door) -> Router {
    let endless = || async {
        let beginning = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"beginning"))]);
        Body::from_stream(beginning.chain(stream::pending()))
    };
    let wait = get(move || {
        let door = door.clone();
        async move { door.pass().await }
    });
    Router::new().route("/", wait).route("/fast", get(|| async { "fast" })).route("/endless", get(endless))
}

/// `ends`: the server ends when traffic is quiet, and not never.
fn serve(responder: Responder, taken: bool, ends: bool) -> Serving {
    let runtime = stage::runtime();
    let shutdown = stage::shutdown(&runtime, responder.clone(), taken);
    let (door, entered) = stage::door();
    let router = router(door).layer(responder.layer(&shutdown).unwrap());
    let listener = within(&runtime, tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let quiet = responder.quiet();
    let server = runtime.spawn(async move {
        match ends {
            true => axum::serve(listener, router).with_graceful_shutdown(quiet).await.unwrap(),
            false => axum::serve(listener, router).await.unwrap(),
        }
    });
    Serving { address, entered, responder, shutdown, server, runtime }
}

fn responder() -> Responder {
    Responder::new().lame_duck(Duration::ZERO, Duration::ZERO)
}

fn jobs() -> Responder {
    responder().requests_are_jobs("x-job-id")
}

#[test]
fn who_waits_is_told_that_the_job_was_handed_over() {
    let serving = serve(jobs(), true, true);
    let mut client = Http1::connect(serving.address);
    client.get("/");
    let _handler = serving.entered.wait();
    stage::claim(&serving.shutdown);
    let reply = client.end();
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    assert!(reply.contains("sundown-fate: handed-over\r\n"), "{reply}");
    assert!(reply.contains("sundown-job: it\r\n") && reply.contains("connection: close\r\n"), "{reply}");
    let report = stage::report(&serving.runtime, &serving.shutdown);
    assert!(report.to_string().contains("answered by the layer"), "{report}");
    within(&serving.runtime, serving.server).unwrap();
}

#[test]
fn who_waits_for_a_job_that_nobody_took_over_is_told_503() {
    let serving = serve(jobs(), false, true);
    let mut client = Http1::connect(serving.address);
    client.get("/");
    let _handler = serving.entered.wait();
    stage::claim(&serving.shutdown);
    let reply = client.end();
    assert!(reply.starts_with("HTTP/1.1 503 "), "{reply}");
    assert!(
        reply.contains("sundown-fate: unacknowledged\r\n") && reply.contains("retry-after: 5\r\n"),
        "{reply}"
    );
    stage::report(&serving.runtime, &serving.shutdown);
}

#[test]
fn the_drain_waits_for_handlers_and_their_answers_are_the_last_of_their_connections() {
    let serving = serve(jobs(), false, true);
    let mut client = Http1::connect(serving.address);
    client.get("/");
    let handler = serving.entered.wait();
    serving.shutdown.begin("a test");
    within(&serving.runtime, serving.responder.quiet());
    handler.send(()).unwrap();
    let reply = client.end();
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with("done"), "{reply}");
    assert!(reply.contains("connection: close\r\n"), "{reply}");
    assert!(stage::report(&serving.runtime, &serving.shutdown).is_clean());
}

#[test]
fn a_request_on_an_open_connection_is_served_while_draining_and_refused_after() {
    let serving = serve(responder().lame_duck(BOUND, BOUND), false, false);
    let mut kept = [Http1::connect(serving.address), Http1::connect(serving.address)];
    for client in &mut kept {
        client.get("/fast");
        assert!(!client.reply("fast").contains("connection: close"));
    }
    let [mut first, mut second] = kept;
    let mut watch = serving.shutdown.watch().into_future();
    serving.shutdown.begin("a test");
    within(&serving.runtime, &mut watch);
    // The announcement comes a moment before the component's turn.
    loop {
        first.get("/fast");
        let reply = first.reply("fast");
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
        if reply.contains("connection: close\r\n") {
            break;
        }
    }
    assert_eq!(first.end(), "");
    serving.shutdown.hurry();
    within(&serving.runtime, serving.responder.quiet());
    second.get("/fast");
    let reply = second.end();
    assert!(reply.starts_with("HTTP/1.1 503 ") && reply.contains("sundown-fate: not-started\r\n"), "{reply}");
    stage::report(&serving.runtime, &serving.shutdown);
}

#[test]
fn streams_are_answered_and_refused_without_a_word_about_their_connection() {
    let serving = serve(jobs(), true, false);
    let (reply, refused) = within(&serving.runtime, async {
        let mut client = http2(serving.address).await;
        let waiting = tokio::spawn(get2(&mut client, "/"));
        let _handler = serving.entered.wait();
        stage::claim(&serving.shutdown);
        let reply = waiting.await.unwrap().unwrap();
        (reply, get2(&mut client, "/fast").await.unwrap())
    });
    assert_eq!((reply.status, reply.fate.as_deref()), (StatusCode::OK, Some("handed-over")), "{reply:?}");
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");
    assert_eq!(refused.fate.as_deref(), Some("not-started"), "{refused:?}");
    stage::report(&serving.runtime, &serving.shutdown);
}

#[test]
fn a_body_that_cannot_end_is_cut_so_that_the_client_can_tell() {
    let serving = serve(jobs(), true, true);
    let mut client = Http1::connect(serving.address);
    client.get("/endless");
    client.reply("9\r\nbeginning");
    stage::claim(&serving.shutdown);
    assert_eq!(client.end(), "\r\n", "there is no last chunk");
    stage::report(&serving.runtime, &serving.shutdown);
    within(&serving.runtime, serving.server).unwrap();
}

/// A service that fails with an error of its own.
#[derive(Clone)]
struct Failing;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OfItsOwn;

impl Service<Request<Empty<Bytes>>> for Failing {
    type Response = Response<Empty<Bytes>>;
    type Error = OfItsOwn;
    type Future = Ready<Result<Self::Response, OfItsOwn>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OfItsOwn>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Empty<Bytes>>) -> Self::Future {
        ready(Err(OfItsOwn))
    }
}

#[test]
fn the_error_of_the_service_is_kept_and_its_exchange_is_over() {
    let runtime = stage::runtime();
    let responder = jobs();
    let shutdown = stage::shutdown(&runtime, responder.clone(), false);
    let mut service = responder.layer(&shutdown).unwrap().layer(Failing);
    let result = within(&runtime, service.call(Request::new(Empty::new())));
    assert_eq!(result.err(), Some(OfItsOwn));
    shutdown.begin("a test");
    let report = stage::report(&runtime, &shutdown);
    assert!(report.is_clean(), "{report}");
}

#[test]
fn a_response_that_is_dropped_unread_is_over() {
    let runtime = stage::runtime();
    let responder = responder();
    let shutdown = stage::shutdown(&runtime, responder.clone(), false);
    let (door, _entered) = stage::door();
    let mut service = responder.layer(&shutdown).unwrap().layer(router(door));
    let request = || Request::get("/fast").body(Body::empty()).unwrap();
    within(&runtime, async {
        drop(service.call(request()));
        drop(service.call(request()).await.unwrap());
        let whole = service.call(request()).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(whole.to_bytes(), "fast");
    });
    shutdown.begin("a test");
    assert!(stage::report(&runtime, &shutdown).is_clean());
}

#[test]
fn a_responder_that_no_shutdown_would_end_gives_no_layer() {
    let runtime = stage::runtime();
    let shutdown = stage::shutdown(&runtime, Responder::new(), false);
    assert_eq!(Responder::new().layer(&shutdown).err(), Some(ServeError::NoComponent));
}
