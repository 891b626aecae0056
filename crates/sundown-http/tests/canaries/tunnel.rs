//! A canary for what hyper does with a CONNECT over HTTP/2, does not document, and `src/layer/tunnel.rs` leans on.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::{Future, ready},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use hyper::{body::Incoming, server::conn::http2};

use crate::{
    frames::{self, PREFACE},
    wire::{Task, Wire},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Answered,
    /// It gave a task to its executor.
    Started,
    BodyDropped,
    /// The poll that began with this list was over.
    Polled,
}

type Log = Rc<RefCell<Vec<Event>>>;

type Tasks = Rc<RefCell<Vec<Pin<Box<dyn Future<Output = ()>>>>>>;

/// Notes when it is given a task, and runs none.
#[derive(Clone)]
struct Executor(Tasks, Log);

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Executor {
    fn execute(&self, task: F) {
        self.1.borrow_mut().push(Event::Started);
        self.0.borrow_mut().push(Box::pin(task));
    }
}

struct Nothing(Log);

impl Body for Nothing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}

impl Drop for Nothing {
    fn drop(&mut self) {
        self.0.borrow_mut().push(Event::BodyDropped);
    }
}

#[test]
fn hyper_starts_the_task_of_a_tunnel_between_the_answer_and_the_end_of_its_body_in_one_poll() {
    let (log, tasks) = (Log::default(), Tasks::default());
    let executor = Executor(tasks.clone(), log.clone());
    let theirs = log.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        assert_eq!(request.method(), Method::CONNECT);
        theirs.borrow_mut().push(Event::Answered);
        ready(Ok::<_, Infallible>(Response::new(Nothing(theirs.clone()))))
    });
    let (wire, task) = (Wire::default(), Task::default());
    wire.send([PREFACE, &frames::settings(), &frames::connect(1)].concat());
    let mut connection = pin!(http2::Builder::new(executor).serve_connection(wire.io(), service));
    while tasks.borrow().is_empty() {
        assert!(task.poll_once(connection.as_mut()).is_pending());
    }
    let mut stream = tasks.borrow_mut().remove(0);
    log.borrow_mut().clear();
    assert!(task.poll_once(stream.as_mut()).is_ready());
    log.borrow_mut().push(Event::Polled);
    let events = log.borrow().clone();
    assert!(events.ends_with(&[Event::Started, Event::BodyDropped, Event::Polled]), "{events:?}");
    assert_eq!(tasks.borrow().len(), 1, "the tunnel's");
}
