//! What is dropped where it waits, and loses nothing: the accept loop, and a wait for quiet.

use std::{
    future::Future,
    task::{Context, Waker},
};

use axum::{Router, routing::get};
use sundown_http::Responder;

use crate::stage::{self, Http1, within};

#[test]
fn a_server_that_accepts_no_more_ends_as_it_should() {
    let runtime = stage::runtime();
    let server = stage::server();
    let address = server.local_addr().unwrap();
    let shutdown = stage::shutdown(&runtime, server.clone(), false);
    let (door, entered) = stage::door();
    let router = Router::new().route("/", get(async move || door.pass().await));
    let handle = shutdown.handle();
    let serving = runtime.spawn(async move { server.serve(&handle, router).await });
    let mut served = Http1::connect(address);
    served.get("/");
    let answer = entered.wait();

    serving.abort();
    assert!(within(&runtime, serving).unwrap_err().is_cancelled());
    let mut queued = Http1::connect(address);
    queued.get("/");
    // Its connections go on.
    answer.send(()).unwrap();
    assert!(served.reply("done").starts_with("HTTP/1.1 200 "));
    served.get("/");
    entered.wait().send(()).unwrap();
    assert!(served.reply("done").starts_with("HTTP/1.1 200 "));

    stage::claim(&shutdown);
    // Nobody has accepted it, and it is answered all the same.
    let reply = queued.end();
    assert!(reply.starts_with("HTTP/1.1 503 ") && reply.contains("retry-after: "), "{reply}");
    assert_eq!(served.end(), "");
    stage::report(&runtime, &shutdown);
}

#[test]
fn a_wait_for_quiet_that_is_given_up_keeps_nobody_else_waiting() {
    let runtime = stage::runtime();
    let responder = Responder::new();
    let shutdown = stage::shutdown(&runtime, responder.clone(), false);
    let _layer = responder.layer(&shutdown).unwrap();
    let (mut given_up, mut stays) = (Box::pin(responder.quiet()), Box::pin(responder.quiet()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(given_up.as_mut().poll(&mut cx).is_pending());
    assert!(stays.as_mut().poll(&mut cx).is_pending());
    drop(given_up);
    shutdown.begin("a test");
    within(&runtime, stays);
    stage::report(&runtime, &shutdown);
}
