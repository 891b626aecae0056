//! HTTP/1: when hyper ends a connection, and what it does with a handler.

use std::{cell::Cell, convert::Infallible, pin::pin, rc::Rc, task::Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{HttpService, service_fn},
};

use super::{
    parts::{BoxError, Latch, Script, Step},
    wire::{Io, Task, Wire},
};

const GET: &str = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";

fn hello() -> Response<Full<Bytes>> {
    Response::new(Full::new(Bytes::from_static(b"hello")))
}

/// A connection as we build it, whose handlers answer at the latch.
fn serve(
    wire: &Wire,
    latch: &Latch,
) -> http1::Connection<Io, impl HttpService<Incoming, ResBody = Full<Bytes>> + use<>> {
    serve_with(wire, latch, true)
}

fn serve_with(
    wire: &Wire,
    latch: &Latch,
    half_close: bool,
) -> http1::Connection<Io, impl HttpService<Incoming, ResBody = Full<Bytes>> + use<>> {
    let latch = latch.clone();
    let service = service_fn(move |_: Request<Incoming>| {
        let waiting = latch.wait();
        async move {
            waiting.await;
            Ok::<_, Infallible>(hello())
        }
    });
    http1::Builder::new().half_close(half_close).serve_connection(wire.io(), service)
}

fn open() -> Latch {
    let latch = Latch::default();
    latch.open();
    latch
}

#[test]
fn hyper_polls_an_http_1_handler_in_the_connections_own_task_so_that_one_wake_suffices() {
    let (wire, latch, task) = (Wire::default(), Latch::default(), Task::default());
    let mut connection = pin!(serve(&wire, &latch));
    wire.send(GET);
    assert!(task.poll(connection.as_mut()).is_pending());
    assert!(latch.waiting().is_some_and(|waker| waker.will_wake(&task.waker())));
    latch.open();
    assert!(task.was_woken());
    assert!(task.poll_once(connection.as_mut()).is_pending());
    assert!(wire.text().ends_with("hello"), "{}", wire.text());
}

/// A poll of the connection by anybody, for any reason, polls the handler: what a change of phase leans on.
#[test]
fn hyper_polls_an_http_1_handler_whenever_the_connection_is_polled() {
    let (wire, task) = (Wire::default(), Task::default());
    let polls = Rc::new(Cell::new(0));
    let theirs = polls.clone();
    let service = service_fn(move |_: Request<Incoming>| {
        let polls = theirs.clone();
        std::future::poll_fn(move |_| {
            polls.update(|polls| polls + 1);
            Poll::<Result<Response<Full<Bytes>>, Infallible>>::Pending
        })
    });
    let mut connection = pin!(http1::Builder::new().half_close(true).serve_connection(wire.io(), service));
    wire.send(GET);
    assert!(task.poll_once(connection.as_mut()).is_pending());
    let before = polls.get();
    assert!(before > 0);
    assert!(task.poll_once(connection.as_mut()).is_pending());
    assert!(polls.get() > before);
}

#[test]
fn hyper_closes_a_fresh_http_1_connection_at_once_without_a_look_into_the_transport() {
    for polled_before in [false, true] {
        let (wire, task) = (Wire::default(), Task::default());
        let mut connection = pin!(serve(&wire, &open()));
        if polled_before {
            assert!(task.poll(connection.as_mut()).is_pending());
        }
        let looks = wire.looks();
        wire.send(GET);
        connection.as_mut().graceful_shutdown();
        assert!(matches!(task.poll(connection.as_mut()), Poll::Ready(Ok(()))));
        assert_eq!((wire.looks(), wire.unread()), (looks, GET.len()), "the request is lost");
        assert_eq!((wire.text().as_str(), wire.shut_at()), ("", Some(0)));
    }
}

#[test]
fn hyper_waits_for_the_rest_of_a_first_http_1_head_though_it_was_told_to_stop() {
    let (wire, task) = (Wire::default(), Task::default());
    let mut connection = pin!(serve(&wire, &open()));
    let (part, rest) = GET.split_at(9);
    wire.send(part);
    assert!(task.poll(connection.as_mut()).is_pending());
    connection.as_mut().graceful_shutdown();
    assert!(task.poll(connection.as_mut()).is_pending());
    assert_eq!((wire.text().as_str(), wire.shut_at()), ("", None));
    wire.send(rest);
    assert!(matches!(task.poll(connection.as_mut()), Poll::Ready(Ok(()))));
    assert!(wire.text().contains("connection: close\r\n"), "{}", wire.text());
}

#[test]
fn hyper_closes_an_idle_http_1_connection_at_once_even_with_part_of_the_next_head() {
    for next in ["", "GET / HT"] {
        let (wire, task) = (Wire::default(), Task::default());
        let mut connection = pin!(serve(&wire, &open()));
        wire.send([GET, next].concat());
        assert!(task.poll(connection.as_mut()).is_pending());
        let answered = wire.written().len();
        assert!(wire.text().ends_with("hello") && !wire.text().contains("connection:"), "{}", wire.text());
        connection.as_mut().graceful_shutdown();
        assert!(matches!(task.poll(connection.as_mut()), Poll::Ready(Ok(()))), "{next:?}");
        assert_eq!((wire.written().len(), wire.shut_at()), (answered, Some(answered)), "{next:?}");
    }
}

#[test]
fn hyper_says_connection_close_in_an_http_1_response_that_was_in_flight_when_told_to_stop() {
    let (wire, latch, task) = (Wire::default(), Latch::default(), Task::default());
    let mut connection = pin!(serve(&wire, &latch));
    wire.send(GET);
    assert!(task.poll(connection.as_mut()).is_pending());
    connection.as_mut().graceful_shutdown();
    assert!(task.poll(connection.as_mut()).is_pending());
    assert_eq!((latch.left(), wire.shut_at()), (0, None), "the handler goes on");
    latch.open();
    assert!(matches!(task.poll(connection.as_mut()), Poll::Ready(Ok(()))));
    let text = wire.text();
    assert!(text.contains("connection: close\r\n") && text.ends_with("hello"), "{text}");
    assert_eq!(wire.shut_at(), Some(text.len()));
}

#[test]
fn hyper_keeps_the_handler_of_an_http_1_client_that_has_half_closed_only_if_it_is_told_to() {
    for half_close in [true, false] {
        let (wire, latch, task) = (Wire::default(), Latch::default(), Task::default());
        {
            let mut connection = pin!(serve_with(&wire, &latch, half_close));
            wire.send(GET);
            wire.half_close();
            let ended = task.poll(connection.as_mut()).is_ready();
            assert_eq!(ended, !half_close);
            if half_close {
                assert_eq!((latch.entered(), latch.left()), (1, 0));
                latch.open();
                assert!(matches!(task.poll(connection.as_mut()), Poll::Ready(Ok(()))));
            }
        }
        assert_eq!(latch.left(), 1);
        assert_eq!(wire.text().ends_with("hello"), half_close, "{}", wire.text());
    }
}

/// A connection whose one request has this outcome.
fn fail<B: Body<Data = Bytes, Error = BoxError> + 'static>(
    wire: &Wire,
    outcome: Result<Response<B>, BoxError>,
) -> http1::Connection<Io, impl HttpService<Incoming, ResBody = B> + use<B>> {
    let outcome = Cell::new(Some(outcome));
    let service = service_fn(move |_: Request<Incoming>| {
        let outcome = outcome.take().expect("there is one request");
        async { outcome }
    });
    wire.send(GET);
    http1::Builder::new().half_close(true).serve_connection(wire.io(), service)
}

#[test]
fn hyper_ends_an_http_1_connection_without_a_byte_and_without_a_shutdown_when_a_service_fails() {
    let (wire, task) = (Wire::default(), Task::default());
    let mut connection = pin!(fail::<Script>(&wire, Err("on purpose".into())));
    assert!(matches!(task.poll(connection.as_mut()), Poll::Ready(Err(error)) if error.is_user()));
    assert_eq!((wire.text().as_str(), wire.shut_at()), ("", None));
}

#[test]
fn hyper_ends_an_http_1_connection_without_a_last_chunk_and_without_a_shutdown_when_a_body_fails() {
    let (wire, latch, task) = (Wire::default(), Latch::default(), Task::default());
    let steps = [Step::Data(b"part"), Step::Wait(latch.wait()), Step::Error("on purpose".into())];
    let mut connection = pin!(fail(&wire, Ok(Response::new(Script::new(steps)))));
    assert!(task.poll(connection.as_mut()).is_pending());
    let before = wire.text();
    assert!(before.ends_with("4\r\npart\r\n"), "{before}");
    latch.open();
    assert!(matches!(task.poll(connection.as_mut()), Poll::Ready(Err(error)) if error.is_user()));
    assert_eq!((wire.text(), wire.shut_at()), (before, None));
}

#[test]
fn hyper_drops_an_http_1_handler_with_its_connection() {
    let (wire, latch, task) = (Wire::default(), Latch::default(), Task::default());
    let mut connection = Box::pin(serve(&wire, &latch));
    wire.send(GET);
    assert!(task.poll(connection.as_mut()).is_pending());
    assert_eq!((latch.entered(), latch.left()), (1, 0));
    drop(connection);
    assert_eq!((latch.left(), wire.text().as_str(), wire.shut_at()), (1, "", None));
}
