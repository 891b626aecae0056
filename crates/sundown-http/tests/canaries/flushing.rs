//! HTTP/1: when hyper flushes. `src/io.rs` leans on it: if one of these falls, so does the state word's knowledge of what
//! is in the socket.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::Future,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::task::noop_waker;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1};

/// What hyper did, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// It took so many bytes of a body.
    Frame(usize),
    BodyDropped,
    /// It flushed, when so many bytes of the connection had been written.
    Flushed(usize),
}

type Log = Rc<RefCell<Vec<Event>>>;

fn note(log: &Log, event: Event) {
    log.borrow_mut().push(event);
}

/// A transport that takes a few bytes at a time, and nothing every other time it is asked.
struct Narrow {
    unread: Vec<u8>,
    written: Rc<RefCell<Vec<u8>>>,
    bite: usize,
    refuses: bool,
    log: Log,
}

impl hyper::rt::Read for Narrow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Poll::Pending;
        }
        let take = self.unread.len().min(buf.remaining());
        let bytes: Vec<u8> = self.unread.drain(..take).collect();
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Narrow {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.refuses = !self.refuses;
        if self.refuses {
            return Poll::Pending;
        }
        let taken = bytes.len().min(self.bite);
        self.written.borrow_mut().extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        note(&self.log, Event::Flushed(self.written.borrow().len()));
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A body that comes in pieces, with a pause before each if it is slow.
struct Pieces {
    left: usize,
    pause: bool,
    slow: bool,
    known: bool,
    log: Log,
}

const PIECE: usize = 100;

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.slow && !self.pause {
            self.pause = true;
            return Poll::Pending;
        }
        self.pause = false;
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        note(&self.log, Event::Frame(PIECE));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; PIECE])))))
    }

    fn size_hint(&self) -> SizeHint {
        if self.known { SizeHint::with_exact((self.left * PIECE) as u64) } else { SizeHint::default() }
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        note(&self.log, Event::BodyDropped);
    }
}

/// How a response is made and taken.
#[derive(Clone, Copy, Debug)]
struct Case {
    pieces: usize,
    slow: bool,
    known: bool,
    bite: usize,
    requests: usize,
    pipeline_flush: bool,
}

fn cases() -> Vec<Case> {
    const FLAGS: [bool; 2] = [false, true];
    let mut cases = Vec::new();
    for (pieces, bite, requests) in [0, 1, 5].into_iter().flat_map(|pieces| {
        [1, 7, 100_000].into_iter().flat_map(move |bite| [1, 3].map(|requests| (pieces, bite, requests)))
    }) {
        for (slow, known) in FLAGS.into_iter().flat_map(|slow| FLAGS.map(|known| (slow, known))) {
            cases.extend(FLAGS.map(|pipeline_flush| Case {
                pieces,
                slow,
                known,
                bite,
                requests,
                pipeline_flush,
            }));
        }
    }
    cases
}

/// Serves pipelined requests until nothing more happens. Returns what hyper did and what it wrote.
fn serve(case: Case) -> (Vec<Event>, Vec<u8>) {
    let log = Log::default();
    let written = Rc::<RefCell<Vec<u8>>>::default();
    let io = Narrow {
        unread: "GET / HTTP/1.1\r\nhost: test\r\n\r\n".repeat(case.requests).into_bytes(),
        written: written.clone(),
        bite: case.bite,
        refuses: false,
        log: log.clone(),
    };
    let theirs = log.clone();
    let service = hyper::service::service_fn(move |_: Request<Incoming>| {
        let log = theirs.clone();
        let body = Pieces { left: case.pieces, pause: false, slow: case.slow, known: case.known, log };
        async { Ok::<_, Infallible>(Response::new(body)) }
    });
    let mut connection =
        pin!(http1::Builder::new().pipeline_flush(case.pipeline_flush).serve_connection(io, service));
    let waker = noop_waker();
    let mut cx = Context::from_waker(&waker);
    // Every poll gets on by a bite at least, or by one pause.
    for _ in 0..10_000 {
        if connection.as_mut().poll(&mut cx).is_ready() {
            break;
        }
    }
    (log.take(), written.take())
}

/// The number of bytes of each response, of which the last may be cut, and its head's.
fn responses(written: &[u8], case: Case) -> Vec<(usize, usize)> {
    let text = String::from_utf8_lossy(written);
    let starts: Vec<_> = text.match_indices("HTTP/1.1 200 OK").map(|(at, _)| at).collect();
    assert_eq!(starts.len(), case.requests, "{case:?}: each request has a response");
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let head = |start: usize| text[start..].find("\r\n\r\n").expect("a head ends") + 4;
    starts.iter().zip(ends).map(|(start, end)| (end - start, head(*start))).collect()
}

#[test]
fn hyper_flushes_only_when_all_that_it_took_of_a_response_is_written() {
    for case in cases().into_iter().filter(|case| case.requests == 1) {
        let (events, written) = serve(case);
        let (whole, head) = responses(&written, case)[0];
        let chunked = !case.known && case.pieces > 0;
        // A chunk has its length in front and an end behind: "64\r\n", "\r\n".
        let frame = if chunked { PIECE + 6 } else { PIECE };
        let (mut taken, mut dropped) = (0, false);
        for event in &events {
            match event {
                Event::Frame(_) => taken += frame,
                Event::BodyDropped => dropped = true,
                // Before the response is there.
                Event::Flushed(0) => assert_eq!(taken, 0, "{case:?}: {events:?}"),
                Event::Flushed(here) if dropped => assert_eq!(*here, whole, "{case:?}: {events:?}"),
                Event::Flushed(here) => assert_eq!(*here, head + taken, "{case:?}: {events:?}"),
            }
        }
        assert!(events.contains(&Event::Flushed(whole)), "{case:?}: it is flushed in the end: {events:?}");
    }
}

#[test]
fn hyper_drops_a_body_before_it_flushes_the_last_of_it() {
    for case in cases() {
        let (events, written) = serve(case);
        let mut ends = 0;
        for (n, (length, _)) in responses(&written, case).into_iter().enumerate() {
            ends += length;
            let flushed = events.iter().position(|event| matches!(event, Event::Flushed(at) if *at >= ends));
            let flushed = flushed.unwrap_or_else(|| panic!("{case:?}: response {n} is flushed: {events:?}"));
            let dropped = events[..flushed].iter().filter(|event| **event == Event::BodyDropped).count();
            assert!(dropped > n, "{case:?}: response {n} is flushed before its body is dropped: {events:?}");
        }
    }
}
