//! What is interrupted, and what is not.

mod waking;

use std::{
    future::{pending, poll_fn, ready},
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    task::{Wake, Waker},
    thread,
    time::Duration,
};

use futures_io::{AsyncRead, AsyncWrite};

use super::*;
use crate::{Watch, host::System, watch::Stages};

const BOUND: Duration = Duration::from_secs(10);

/// A watch, and what it watches.
fn stages() -> (Watch, Arc<Stages>) {
    let stages = Arc::new(Stages::new(System::shared()));
    (Watch::new(stages.clone()), stages)
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Woken {
    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn what_is_ready_when_it_is_asked_again_is_not_lost() {
    let (watch, stages) = stages();
    let came = AtomicBool::new(false);
    let wait = poll_fn(|_| if came.load(Ordering::SeqCst) { Poll::Ready(17) } else { Poll::Pending });
    let mut wait = watch.interrupt(wait);
    assert!(poll(&mut wait).is_pending());
    came.store(true, Ordering::SeqCst);
    stages.draining.open();
    assert_eq!(poll(&mut wait), Poll::Ready(Ok(17)));
}

#[test]
fn what_has_not_begun_does_not_begin() {
    let (watch, stages) = stages();
    let mut wait = watch.interrupt(ready(17));
    stages.draining.open();
    assert_eq!(poll(&mut wait), Poll::Ready(Err(Interrupted)));
    assert_eq!(poll(&mut wait), Poll::Ready(Err(Interrupted)));
    assert_eq!(poll(&mut wait.into_inner()), Poll::Ready(17));
}

#[test]
fn the_moment_is_ones_choice() {
    let (watch, stages) = stages();
    let mut waits =
        [When::Draining, When::Claimed, When::Never].map(|at| watch.interrupt_at(at, pending::<()>()));
    let mut interrupted = || [0, 1, 2].map(|at| poll(&mut waits[at]).is_ready());
    assert_eq!(interrupted(), [false, false, false]);
    stages.draining.open();
    assert_eq!(interrupted(), [true, false, false]);
    stages.claimed.open();
    assert_eq!(interrupted(), [true, true, false]);
}

/// A stream that always has one more, but for every third time.
struct Flood(usize);

impl Stream for Flood {
    type Item = usize;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<usize>> {
        self.0 += 1;
        if self.0.is_multiple_of(3) { Poll::Pending } else { Poll::Ready(Some(self.0)) }
    }
}

#[test]
fn a_stream_that_always_has_more_ends_and_keeps_what_was_not_taken() {
    let (watch, stages) = stages();
    let mut stream = watch.interrupt(Flood(0));
    let mut cx = Context::from_waker(Waker::noop());
    let mut next = |stream: &mut Interrupt<Flood>| Pin::new(stream).poll_next(&mut cx);
    assert_eq!(
        [next(&mut stream), next(&mut stream), next(&mut stream)],
        [Poll::Ready(Some(1)), Poll::Ready(Some(2)), Poll::Pending]
    );
    stages.draining.open();
    assert_eq!(next(&mut stream), Poll::Ready(Some(4)), "it was waited for");
    assert_eq!(next(&mut stream), Poll::Ready(None));
    assert_eq!(next(&mut stream), Poll::Ready(None), "it stays ended");
    assert_eq!(next(&mut watch.interrupt_at(When::Never, stream.into_inner())), Poll::Ready(Some(5)));
}

#[test]
fn an_iterator_ends() {
    let (watch, stages) = stages();
    let mut numbers = watch.interrupt(0..);
    assert_eq!(numbers.by_ref().take(3).collect::<Vec<_>>(), [0, 1, 2]);
    stages.draining.open();
    assert_eq!(numbers.next(), None);
    assert_eq!(numbers.into_inner().next(), Some(3));
}

/// A stream of bytes on which nothing ever moves; what it has been asked is counted.
#[derive(Default)]
struct Stuck(AtomicUsize);

impl Stuck {
    fn asked<R>(self: Pin<&mut Self>) -> Poll<R> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Poll::Pending
    }
}

impl AsyncRead for Stuck {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        self.asked()
    }
}

impl AsyncWrite for Stuck {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        self.asked()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.asked()
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.asked()
    }
}

fn caused<T>(polled: Poll<io::Result<T>>) -> bool {
    match polled {
        Poll::Ready(Err(error)) => {
            assert_eq!(error.kind(), io::ErrorKind::Other, "a kind that nobody retries");
            Interrupted::caused(&error)
        }
        _ => false,
    }
}

#[test]
fn a_reader_and_a_writer_of_one_stream_are_both_woken() {
    let (watch, stages) = stages();
    let mut stream = watch.interrupt(Stuck::default());
    let (reads, writes) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
    let (reader, writer) = (Waker::from(reads.clone()), Waker::from(writes.clone()));
    let read = |stream: &mut Interrupt<Stuck>| {
        Pin::new(stream).poll_read(&mut Context::from_waker(&reader), &mut [0; 8])
    };
    let write = |stream: &mut Interrupt<Stuck>| {
        Pin::new(stream).poll_write(&mut Context::from_waker(&writer), b"hello")
    };
    // Idle: each has been polled once, in a task of its own, and again.
    for _ in 0..2 {
        assert!(read(&mut stream).is_pending() && write(&mut stream).is_pending());
    }
    stages.draining.open();
    assert_eq!((reads.times(), writes.times()), (1, 1));
    assert!(caused(read(&mut stream)) && caused(write(&mut stream)));
}

#[test]
fn a_flush_and_a_close_are_tried_once_more_and_waited_for_no_longer() {
    let (watch, stages) = stages();
    let mut stream = watch.interrupt(Stuck::default());
    let mut cx = Context::from_waker(Waker::noop());
    stages.draining.open();
    assert!(caused(Pin::new(&mut stream).poll_write(&mut cx, b"hello")));
    assert!(caused(Pin::new(&mut stream).poll_read(&mut cx, &mut [0; 8])));
    assert_eq!(stream.get_ref().0.load(Ordering::SeqCst), 0, "nothing new is begun");
    assert!(caused(Pin::new(&mut stream).poll_flush(&mut cx)));
    assert!(caused(Pin::new(&mut stream).poll_close(&mut cx)));
    assert_eq!(stream.get_ref().0.load(Ordering::SeqCst), 2);
}

#[test]
fn a_flush_under_way_lets_no_new_write_begin() {
    let (watch, stages) = stages();
    let mut stream = watch.interrupt(Stuck::default());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut stream).poll_flush(&mut cx).is_pending());
    stages.draining.open();
    assert!(caused(Pin::new(&mut stream).poll_write(&mut cx, b"hello")));
    assert_eq!(stream.get_ref().0.load(Ordering::SeqCst), 1, "nothing new is begun");
}

#[test]
fn a_thread_waits_for_the_moment_too() {
    let (watch, stages) = stages();
    assert!(watch.draining_blocking_for(Duration::ZERO).is_none());
    assert!(!watch.is_claimed());
    let (watches, (say, said)) = (watch.clone(), mpsc::channel());
    let thread = thread::spawn(move || {
        watches.claimed_blocking();
        say.send(watches.is_claimed()).unwrap();
    });
    assert!(said.try_recv().is_err());
    stages.claimed.open();
    assert_eq!(said.recv_timeout(BOUND), Ok(true));
    thread.join().unwrap();
}

#[test]
fn what_is_wrapped_can_be_sent_if_it_could() {
    fn can<T: Send + Sync + Unpin>(_: T) {}
    let (watch, _) = stages();
    can(watch.interrupt(0_u8));
    can((When::Draining, Interrupted));
    can(watch.announced());
}
