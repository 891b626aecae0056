//! HTTP/2: what becomes of a stream. See `http2_goaway` for the end of the connection.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::Poll,
};

use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::{
    body::Incoming,
    rt::Executor,
    server::conn::http2,
    service::{HttpService, service_fn},
};

use super::{
    frames::{
        CANCEL, Frame, INTERNAL_ERROR, NO_ERROR, PREFACE, REFUSED_STREAM, request, settings, settings_ack,
    },
    parts::{BoxError, Latch, Script, Step},
    wire::{Io, Task, Wire},
};

/// An executor that runs nothing by itself. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Tasks(Rc<RefCell<Vec<BoxFuture>>>);

type BoxFuture = Pin<Box<dyn Future<Output = ()>>>;

impl<F: Future<Output = ()> + 'static> Executor<F> for Tasks {
    fn execute(&self, future: F) {
        self.0.borrow_mut().push(Box::pin(future));
    }
}

/// What a handler ends with, when the latch is open.
pub(crate) type Outcome = Result<Response<Script>, BoxError>;

/// A connection, its peer, and its tasks.
pub(crate) struct Setting<C> {
    pub(crate) wire: Wire,
    pub(crate) connection: Pin<Box<C>>,
    /// The connection's own task.
    pub(crate) task: Task,
    pub(crate) streams: Tasks,
    /// The task of every stream.
    pub(crate) stream_task: Task,
    /// What the handlers wait for.
    pub(crate) latch: Latch,
    /// How many requests the service was called with.
    pub(crate) calls: Rc<Cell<usize>>,
}

/// The service's type has no name.
pub(crate) trait Connection: Future<Output = hyper::Result<()>> {
    fn stop(self: Pin<&mut Self>);
}

impl<S> Connection for http2::Connection<Io, S, Tasks>
where
    S: HttpService<Incoming, ResBody = Script>,
    S::Error: Into<BoxError>,
    S::Future: 'static,
{
    fn stop(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// A connection on which nothing has been sent, whose nth request has the nth of these outcomes.
pub(crate) fn connect(wire: Wire, outcomes: impl IntoIterator<Item = Outcome>) -> Setting<impl Connection> {
    let (latch, streams, calls) = (Latch::default(), Tasks::default(), Rc::<Cell<usize>>::default());
    let outcomes: HashMap<_, _> = outcomes.into_iter().enumerate().collect();
    let (theirs, outcomes, counted) = (latch.clone(), RefCell::new(outcomes), calls.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let outcome = outcomes.borrow_mut().remove(&counted.get()).expect("each request has its outcome");
        counted.update(|calls| calls + 1);
        let waiting = theirs.wait();
        async move {
            waiting.await;
            drop(request);
            outcome
        }
    });
    let connection = http2::Builder::new(streams.clone()).serve_connection(wire.io(), service);
    let (task, stream_task) = Default::default();
    Setting { wire, connection: Box::pin(connection), task, streams, stream_task, latch, calls }
}

/// The same, once the peers have greeted each other.
pub(crate) fn greet(wire: Wire, outcomes: impl IntoIterator<Item = Outcome>) -> Setting<impl Connection> {
    let mut setting = connect(wire, outcomes);
    setting.wire.send([PREFACE, &settings(), &settings_ack()].concat());
    assert!(setting.settle().is_pending());
    setting
}

impl<C: Connection> Setting<C> {
    /// Polls the connection and its streams until nothing more happens.
    pub(crate) fn settle(&mut self) -> Poll<hyper::Result<()>> {
        loop {
            let result = self.task.poll(self.connection.as_mut());
            if result.is_ready() {
                return result;
            }
            self.poll_streams();
            if !self.task.was_woken() {
                return Poll::Pending;
            }
        }
    }

    pub(crate) fn poll_streams(&mut self) {
        let mut streams = self.streams.0.take();
        streams.retain_mut(|stream| self.stream_task.poll(stream.as_mut()).is_pending());
        self.streams.0.borrow_mut().append(&mut streams);
    }

    pub(crate) fn frames(&self) -> Vec<Frame> {
        Frame::all(&self.wire.written())
    }

    /// Those that answer this stream.
    pub(crate) fn answer(&self, stream: u32) -> Vec<Frame> {
        self.frames().into_iter().filter(|frame| frame.stream() == Some(stream)).collect()
    }
}

pub(crate) fn body(steps: impl IntoIterator<Item = Step>) -> Outcome {
    Ok(Response::new(Script::new(steps)))
}

fn head() -> Frame {
    Frame::Headers { stream: 1, ends: false }
}

fn data(bytes: &[u8], ends: bool) -> Frame {
    Frame::Data { stream: 1, bytes: bytes.to_vec(), ends }
}

fn reset(reason: u32) -> Frame {
    Frame::Reset { stream: 1, reason }
}

/// The answer to one request, which ends or does not, when its handler has this outcome.
fn answer(ends: bool, outcome: Outcome) -> Vec<Frame> {
    let mut setting = greet(Wire::default(), [outcome]);
    setting.latch.open();
    setting.wire.send(request(1, ends));
    assert!(setting.settle().is_pending(), "it is the stream's end, not the connection's");
    setting.answer(1)
}

#[test]
fn hyper_hands_each_http_2_handler_to_the_executor_so_that_each_needs_a_wake_of_its_own() {
    let mut setting = greet(Wire::default(), [body([]), body([])]);
    setting.wire.send([request(1, true), request(3, true)].concat());
    assert!(setting.task.poll(setting.connection.as_mut()).is_pending());
    let handed_over = setting.streams.0.borrow().len();
    assert_eq!((setting.calls.get(), handed_over, setting.latch.entered()), (2, 2, 0), "none was polled");
    setting.poll_streams();
    assert_eq!(setting.latch.entered(), 2);
    let waiting = setting.latch.waiting().expect("a handler waits");
    assert!(waiting.will_wake(&setting.stream_task.waker()) && !waiting.will_wake(&setting.task.waker()));
    // A poll of the connection polls no handler.
    setting.task.was_woken();
    setting.latch.open();
    assert!(!setting.task.was_woken());
    assert!(setting.task.poll(setting.connection.as_mut()).is_pending());
    assert_eq!(setting.answer(1), []);
    // A stream that has something to send wakes the connection.
    setting.poll_streams();
    assert!(setting.task.was_woken());
    assert!(setting.task.poll(setting.connection.as_mut()).is_pending());
    assert!(!setting.answer(1).is_empty() && !setting.answer(3).is_empty());
}

#[test]
fn h2_resets_a_stream_with_no_error_after_a_whole_response_to_half_a_request() {
    assert_eq!(
        answer(false, body([Step::Data(b"all")])),
        [head(), data(b"all", false), data(b"", true), reset(NO_ERROR)]
    );
    assert_eq!(answer(true, body([Step::Data(b"all")])), [head(), data(b"all", false), data(b"", true)]);
}

#[test]
fn hyper_resets_a_stream_whose_body_fails_and_never_ends_it() {
    let failed = || Step::Error("on purpose".into());
    assert_eq!(answer(true, body([Step::Data(b"part"), failed()])).last(), Some(&reset(INTERNAL_ERROR)));
    // Once the part is on the wire.
    let later = Latch::default();
    let mut setting = greet(
        Wire::default(),
        [body([Step::Data(b"part"), Step::Wait(later.wait()), failed()]), body([Step::Data(b"neighbour")])],
    );
    setting.latch.open();
    setting.wire.send(request(1, true));
    assert!(setting.settle().is_pending());
    assert_eq!(setting.answer(1), [head(), data(b"part", false)]);
    later.open();
    assert!(setting.settle().is_pending());
    assert_eq!(setting.answer(1), [head(), data(b"part", false), reset(INTERNAL_ERROR)]);
    // It is the end of the stream only.
    setting.wire.send(request(3, true));
    assert!(setting.settle().is_pending());
    assert_eq!(setting.answer(3).len(), 3, "{:?}", setting.frames());
}

#[derive(Debug, thiserror::Error)]
#[error("with a reason")]
struct WithReason(#[source] h2::Error);

#[test]
fn hyper_resets_a_stream_with_the_reason_that_it_finds_in_the_errors_sources() {
    let error = |reason: h2::Reason| -> BoxError { Box::new(WithReason(reason.into())) };
    assert_eq!(answer(true, Err(error(h2::Reason::REFUSED_STREAM))), [reset(REFUSED_STREAM)]);
    assert_eq!(answer(true, Err("no reason".into())), [reset(INTERNAL_ERROR)]);
    let failed = body([Step::Data(b"part"), Step::Error(error(h2::Reason::CANCEL))]);
    assert_eq!(answer(true, failed).last(), Some(&reset(CANCEL)));
}

#[test]
fn hyper_sends_trailers_of_a_body_as_the_end_of_the_stream() {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("14"));
    let end = Frame::Headers { stream: 1, ends: true };
    let with_data = body([Step::Data(b"part"), Step::Trailers(trailers.clone())]);
    assert_eq!(answer(true, with_data), [head(), data(b"part", false), end.clone()]);
    assert_eq!(answer(true, body([Step::Trailers(trailers)])), [head(), end]);
}
