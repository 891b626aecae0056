//! A canary for what hyper does with a CONNECT over HTTP/2, does not document, and `src/layer/tunnel.rs` leans on.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::{Future, ready},
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::task::noop_waker;
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use hyper::{body::Incoming, server::conn::http2};

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

/// A peer that has said this, and waits.
struct Peer(Vec<u8>);

impl hyper::rt::Read for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.0.is_empty() {
            return Poll::Pending;
        }
        let take = self.0.len().min(buf.remaining());
        let bytes: Vec<u8> = self.0.drain(..take).collect();
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Peer {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The preface, no settings, and a CONNECT to `to:80` on stream 1 (RFC 9113 section 4.1, RFC 7541 section 6.2.2).
fn connect() -> Vec<u8> {
    let mut said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    said.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    let fields = [&[0x02, 7][..], b"CONNECT", &[0x01, 5], b"to:80"].concat();
    said.extend([0, 0, u8::try_from(fields.len()).expect("it is short"), 1, 4, 0, 0, 0, 1]);
    said.extend(fields);
    said
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
    let mut connection = pin!(http2::Builder::new(executor).serve_connection(Peer(connect()), service));
    let waker = noop_waker();
    let cx = &mut Context::from_waker(&waker);
    while tasks.borrow().is_empty() {
        assert!(connection.as_mut().poll(cx).is_pending());
    }
    let mut stream = tasks.borrow_mut().remove(0);
    log.borrow_mut().clear();
    assert!(stream.as_mut().poll(cx).is_ready());
    log.borrow_mut().push(Event::Polled);
    let events = log.borrow().clone();
    assert!(events.ends_with(&[Event::Started, Event::BodyDropped, Event::Polled]), "{events:?}");
    assert_eq!(tasks.borrow().len(), 1, "the tunnel's");
}
