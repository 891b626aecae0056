use std::{
    future::{Ready, ready},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use sundown::Shutdown;
use sundown_tokio::Tokio;
use tower_layer::Layer;
use tower_service::Service;

use crate::Responder;

/// What a service does before it has a future.
#[derive(Clone, Copy)]
enum Does {
    /// It is not ready, so many times, and wakes whoever has asked.
    Waits(u32),
    Fails,
    PanicsWhenAsked,
    PanicsWhenReady,
    /// With something that panics once more.
    ThrowsBombs,
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

impl Service<Request<Full<Bytes>>> for Does {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match self {
            Does::Waits(0) | Does::PanicsWhenAsked | Does::ThrowsBombs => Poll::Ready(Ok(())),
            Does::Waits(times) => {
                *times -= 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Does::Fails => Poll::Ready(Err("on purpose")),
            Does::PanicsWhenReady => panic!("on purpose"),
        }
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        match self {
            Does::PanicsWhenAsked => panic!("on purpose"),
            Does::ThrowsBombs => std::panic::panic_any(Bomb),
            _ => {}
        }
        ready(Ok(Response::default()))
    }
}

#[test]
fn a_service_may_be_unready_or_fail_or_panic_before_it_has_a_future() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let responder = Responder::new();
    let tokio = Tokio::of(runtime.handle().clone());
    let shutdown = Shutdown::embedded(tokio).component("http", responder.clone()).start().unwrap();
    let layer = responder.layer(&shutdown).unwrap();
    let answer = |does| {
        let asked = layer.layer(does).call(Request::default());
        runtime.block_on(asked).map(|response| response.status())
    };
    for times in 0..=3 {
        assert_eq!(answer(Does::Waits(times)), Ok(StatusCode::OK), "unready {times} times");
    }
    assert_eq!(answer(Does::Fails), Err("on purpose"));
    assert_eq!(answer(Does::PanicsWhenAsked), Ok(StatusCode::INTERNAL_SERVER_ERROR));
    assert_eq!(answer(Does::ThrowsBombs), Ok(StatusCode::INTERNAL_SERVER_ERROR));
    assert_eq!(answer(Does::PanicsWhenReady), Ok(StatusCode::INTERNAL_SERVER_ERROR));
}
