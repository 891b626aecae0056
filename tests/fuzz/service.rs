//! The service: its handlers do what the path says, and sign what they say.

use std::{
    convert::Infallible,
    panic::panic_any,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};

use axum::{Router, body::Body, extract::State, http::header, routing::any};
use futures_util::{StreamExt, future, stream};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::{body::Incoming, rt::Write, upgrade::OnUpgrade};
use sundown::Runtime;

use crate::ON_PURPOSE;

/// What every body of a handler's ends with.
pub(crate) const SIGNATURE: &str = "END";

/// What a tunnel says, at most.
pub(crate) const TUNNEL: &[u8] = b"TUNNEL";

/// What handlers have at hand.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) runtime: Arc<dyn Runtime>,
    /// Handlers that have begun and not ended.
    pub(crate) alive: Arc<AtomicUsize>,
}

struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) fn router(world: World) -> Router {
    let handler = async |State(world): State<World>, request: Request<Body>| handle(world, request).await;
    Router::new().fallback(any(handler)).with_state(world)
}

/// The same without axum's routing.
#[derive(Clone)]
pub(crate) struct Bare(pub(crate) World);

impl tower_service::Service<Request<Incoming>> for Bare {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let world = self.0.clone();
        Box::pin(async move { Ok(handle(world, request.map(Body::new)).await) })
    }
}

/// `/what/milliseconds/name`.
async fn handle(world: World, mut request: Request<Body>) -> Response<Body> {
    world.alive.fetch_add(1, Ordering::SeqCst);
    let alive = Alive(world.alive.clone());
    let path = request.uri().path().to_owned();
    let mut parts = path.split('/').skip(1);
    let what = parts.next().unwrap_or_default();
    // What was damaged asks for no more than what was not.
    let time = parts.next().and_then(|ms| ms.parse().ok()).unwrap_or(0).min(5000);
    let time = Duration::from_millis(time);
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    if let Some(upgrade) = upgrade.filter(|_| what == "upgrade" || request.method() == Method::CONNECT) {
        return tunnel(&world, upgrade, request.method());
    }
    if request.method() == Method::CONNECT {
        // Of HTTP/1.0: nothing to go on with.
        let mut response = Response::new(Body::from(SIGNATURE));
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        return response;
    }
    let body = match what {
        "slow" => {
            world.runtime.sleep_until(world.runtime.now() + time).await;
            Body::from(SIGNATURE)
        }
        "never" => future::pending().await,
        "block" => {
            thread::sleep(time);
            Body::from(SIGNATURE)
        }
        "panic" => panic_any(ON_PURPOSE),
        "stream" | "torn" => {
            let (torn, runtime) = (what == "torn", world.runtime.clone());
            let frames = stream::iter(0..4).then(move |frame| {
                let pause = runtime.sleep_until(runtime.now() + time);
                async move {
                    pause.await;
                    match frame {
                        2 if torn => Err(std::io::Error::other(ON_PURPOSE)),
                        3 => Ok(SIGNATURE),
                        _ => Ok("frame\n"),
                    }
                }
            });
            // Its handler is alive until the last frame.
            Body::from_stream(frames.inspect(move |_| {
                let _held = &alive;
            }))
        }
        "read" => match axum::body::to_bytes(std::mem::take(request.body_mut()), usize::MAX).await {
            Ok(bytes) => Body::from(format!("{} bytes {SIGNATURE}", bytes.len())),
            Err(_) => Body::from(format!("a broken body {SIGNATURE}")),
        },
        "large" => Body::from(format!("{}{SIGNATURE}", "x".repeat(1 << 20))),
        _ => Body::from(SIGNATURE),
    };
    let mut response = Response::new(body);
    sign(&mut response, request.method(), &path);
    response
}

fn sign(response: &mut Response<Body>, method: &Method, path: &str) {
    let value = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("?"));
    response.headers_mut().insert("x-method", value(method.as_str()));
    response.headers_mut().insert("x-for", value(path));
}

/// Says something in its own protocol, and ends.
fn tunnel(world: &World, upgrade: OnUpgrade, method: &Method) -> Response<Body> {
    world.runtime.spawn(Box::pin(async move {
        let Ok(mut upgraded) = upgrade.await else { return };
        let _ = future::poll_fn(|cx| Pin::new(&mut upgraded).poll_write(cx, TUNNEL)).await;
    }));
    let mut response = Response::new(Body::empty());
    if method != Method::CONNECT {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("fuzz"));
    }
    sign(&mut response, method, "tunnel");
    response
}
