//! A bare hyper service on the server.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use sundown_http::HyperService;

use crate::stage;

async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from(format!("hello {}", request.uri().path()))))
}

#[test]
fn a_bare_hyper_service_is_served_and_ended() {
    let runtime = stage::runtime();
    let server = stage::server();
    let address = server.local_addr().unwrap();
    let shutdown = stage::shutdown(&runtime, server.clone(), false);
    let handle = shutdown.handle();
    let served =
        runtime.spawn(async move { server.serve(&handle, HyperService(service_fn(hello))).await.unwrap() });
    assert!(stage::get(address, "/you").ends_with("\r\n\r\nhello /you"));
    shutdown.begin("a test");
    stage::within(&runtime, served).unwrap();
    assert!(stage::report(&runtime, &shutdown).is_clean());
}
