//! What ends when the service shuts down, on real sockets: the same for every adapter, whose test says how a stream and
//! a listener of its runtime wait.

use std::{
    future::{Future, poll_fn},
    io::{self, Write as _},
    net::{TcpListener, TcpStream},
    pin::Pin,
    sync::mpsc,
    task::Poll,
    time::Duration,
};

use sundown::{BoxFuture, Interrupted, Shutdown, Watch};

use super::{accepts, reads, runtime, spawn, splits};

/// How long anything is waited for.
const BOUND: Duration = Duration::from_secs(10);

/// Both ends of a connection, one of them for the runtime.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let theirs = listener.accept().unwrap().0;
    theirs.set_nonblocking(true).unwrap();
    (ours, theirs)
}

/// Polls what is to wait, for the first time: nothing has come.
pub(super) async fn idle(mut waits: Pin<&mut impl Future>) {
    assert!(poll_fn(|cx| Poll::Ready(waits.as_mut().poll(cx))).await.is_pending());
}

/// Runs what waits on the runtime, and begins the shutdown when it is idle. Returns the error it ends
/// with.
fn interrupted(waits: impl FnOnce(Watch, mpsc::Sender<()>) -> BoxFuture<'static, io::Error>) -> io::Error {
    let shutdown = Shutdown::embedded(runtime()).grace(BOUND).start().unwrap();
    let (is_idle, has_idled) = mpsc::channel();
    let (ended, error) = mpsc::channel();
    let wait = waits(shutdown.watch(), is_idle);
    spawn(async move {
        let _ = ended.send(wait.await);
    });
    has_idled.recv_timeout(BOUND).expect("it has nothing to do before the shutdown");
    shutdown.begin("the test is over");
    error.recv_timeout(BOUND).expect("it is woken")
}

#[test]
fn an_idle_read_is_woken() {
    let (mut ours, theirs) = connection();
    // It reads this, and then nothing for ever.
    ours.write_all(b"hello").unwrap();
    let error = interrupted(|watch, is_idle| Box::pin(reads(watch, theirs, is_idle)));
    assert!(Interrupted::caused(&error), "{error:?}");
}

#[test]
fn an_idle_read_of_a_stream_that_was_split_is_woken() {
    let (mut ours, theirs) = connection();
    ours.write_all(b"hello").unwrap();
    let error = interrupted(|watch, is_idle| Box::pin(splits(watch, theirs, is_idle)));
    assert!(Interrupted::caused(&error), "{error:?}");
}

#[test]
fn an_accept_loop_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let _client = TcpStream::connect(at).unwrap();
    let error = interrupted(|watch, is_idle| Box::pin(accepts(watch, listener, is_idle)));
    assert!(Interrupted::caused(&error), "{error:?}");
}
