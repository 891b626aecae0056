//! The services: the smallest one that there is, and one as people write them.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use axum::{
    Json, Router,
    extract::Path,
    routing::{get, post},
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde::{Deserialize, Serialize};

/// Answers every request with the same few bytes.
#[derive(Clone, Copy, Debug)]
pub struct Hello;

impl<B> tower_service::Service<Request<B>> for Hello {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<B>) -> Self::Future {
        ready(Ok(Response::new(Full::new(Bytes::from_static(b"hello\n")))))
    }
}

#[derive(Debug, Deserialize, Serialize)]
struct Item {
    id: u64,
    name: String,
}

/// Two routes that speak JSON.
pub fn router() -> Router {
    let find = async |Path(id): Path<u64>| Json(Item { id, name: "an item".to_owned() });
    let change = async |Json(item): Json<Item>| Json(Item { id: item.id + 1, ..item });
    Router::new().route("/items/{id}", get(find)).route("/items", post(change))
}
