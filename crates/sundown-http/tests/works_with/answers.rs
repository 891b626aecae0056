//! What the owner of a server says in a handler's place, on the rescue's thread.

use std::sync::{Mutex, mpsc};

use axum::{Router, routing::get};
use http::StatusCode;
use sundown_http::Answer;

use crate::stage::{self, Http1};

#[test]
fn an_answer_that_blocks_holds_up_none_that_was_found_before_it() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let server = stage::server().answer(move |unanswered| {
        if unanswered.uri().path() == "/blocks" {
            let _ = released.lock().unwrap().recv();
        }
        Answer::new(StatusCode::SERVICE_UNAVAILABLE)
    });
    let address = server.local_addr().unwrap();
    // Driven while handlers are entered, and then no more.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shutdown = stage::shutdown(&runtime, server.clone(), false);
    let (entered, enters) = mpsc::channel();
    let handler = async move || {
        let _ = entered.send(());
        std::future::pending::<()>().await;
    };
    let router = Router::new().route("/", get(handler.clone())).route("/blocks", get(handler));
    let handle = shutdown.handle();
    runtime.spawn(async move { server.serve(&handle, router).await.unwrap() });
    let mut clients = ["/", "/blocks"].map(|path| {
        let mut client = Http1::connect(address);
        client.get(path);
        runtime.block_on(async {
            while enters.try_recv().is_err() {
                tokio::task::yield_now().await;
            }
        });
        client
    });
    stage::claim(&shutdown);
    let reply = clients[0].reply("");
    assert!(reply.starts_with("HTTP/1.1 503 "), "{reply}");
    release.send(()).unwrap();
    let reply = clients[1].reply("");
    assert!(reply.starts_with("HTTP/1.1 503 "), "{reply}");
    shutdown.finished_blocking();
}
