//! What a shutdown depends on most, of the runtime in `your_own_runtime/` and of its adapter.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, unreachable_pub)] // nothing here but a test

#[path = "../your_own_runtime/runtime/mod.rs"]
mod runtime;

use std::{
    future::{Future, pending, poll_fn},
    io::{self, IoSlice, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    pin::pin,
    sync::{Arc, mpsc},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use sundown::{Drive, Gate, Runtime, Transport};

use self::runtime::{Executor, Reactor, YourRuntime};

/// How long anything is waited for.
const BOUND: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_millis(5);

fn start(threads: usize) -> (Executor, YourRuntime) {
    let executor = Executor::start(threads).unwrap();
    let runtime = YourRuntime::on(&executor);
    (executor, runtime)
}

/// Runs something that might never end.
fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, done) = mpsc::channel();
    thread::spawn(move || send.send(work()));
    done.recv_timeout(BOUND).expect("it ends, and without a panic")
}

fn drive(mut place: Box<dyn Drive>, future: impl Future<Output = ()> + Send + 'static) {
    within(move || place.drive(pin!(future)));
}

#[test]
fn a_private_place_works_while_the_executor_is_blocked() {
    let (_executor, runtime) = start(1);
    let ((blocked, is_blocked), (let_go, held)) = (mpsc::channel(), mpsc::channel::<()>());
    runtime.spawn(Box::pin(async move {
        blocked.send(()).unwrap();
        let _ = held.recv();
    }));
    is_blocked.recv().unwrap();
    let timer = runtime.sleep_until(Instant::now() + SOON);
    drive(runtime.private().unwrap(), timer);
    drop(let_go);
}

#[test]
fn a_timer_made_in_a_private_place_runs_there() {
    let (executor, runtime) = start(1);
    let place = runtime.private().unwrap();
    drop(executor);
    drive(place, async move { runtime.sleep_until(Instant::now() + SOON).await });
}

#[test]
fn a_wake_from_another_thread_is_heard() {
    let (_executor, runtime) = start(2);
    let gate = Gate::new();
    let ((waits, is_waiting), (heard, was_heard)) = (mpsc::channel(), mpsc::channel());
    for place in [None, Some(runtime.private().unwrap())] {
        let (gate, waits, heard) = (gate.clone(), waits.clone(), heard.clone());
        let listens = async move {
            waits.send(()).unwrap();
            gate.closed().await;
            heard.send(()).unwrap();
        };
        match place {
            None => drop(runtime.spawn(Box::pin(listens))),
            Some(mut place) => drop(thread::spawn(move || place.drive(pin!(listens)))),
        }
    }
    for _ in 0..2 {
        is_waiting.recv_timeout(BOUND).unwrap();
    }
    gate.close();
    for _ in 0..2 {
        was_heard.recv_timeout(BOUND).unwrap();
    }
}

#[test]
fn a_task_that_is_woken_while_it_runs_runs_again() {
    let (_executor, runtime) = start(1);
    let (send, done) = mpsc::channel();
    runtime.spawn(Box::pin(async move {
        let mut yielded = false;
        let yields = poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }
        });
        yields.await;
        send.send(()).unwrap();
    }));
    done.recv_timeout(BOUND).unwrap();
}

#[test]
fn an_aborted_task_is_dropped_and_a_panic_costs_no_thread() {
    let (_executor, runtime) = start(1);
    runtime.spawn(Box::pin(async { panic!("on purpose") }));
    let gate = Gate::new();
    let guard = gate.enter().unwrap();
    let task = runtime.spawn(Box::pin(async move {
        let _guard = guard;
        pending::<()>().await;
    }));
    gate.close();
    task.abort();
    drive(runtime.private().unwrap(), async move { gate.empty().await });
}

/// A connection: this side of it in the runtime, the other in our hands.
fn connection(runtime: &YourRuntime) -> (Arc<dyn Transport>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let mut listener = runtime.adopt(listener).unwrap();
    let accepted = within(move || {
        let connecting = thread::spawn(move || TcpStream::connect(address).unwrap());
        let accepting = poll_fn(|cx| listener.poll_accept(cx));
        let (transport, _) = Reactor::new().unwrap().block_on(pin!(accepting)).unwrap();
        (transport, connecting.join().unwrap())
    });
    accepted.1.set_read_timeout(Some(BOUND)).unwrap();
    accepted
}

/// Spawns an operation, and tells its result; it has been tried once when this returns.
fn spawn_io(
    runtime: &YourRuntime,
    mut operation: impl FnMut(&mut Context<'_>) -> Poll<io::Result<usize>> + Send + 'static,
) -> mpsc::Receiver<io::Result<usize>> {
    let ((tried, was_tried), (send, result)) = (mpsc::channel(), mpsc::channel());
    runtime.spawn(Box::pin(async move {
        let done = poll_fn(|cx| {
            let polled = operation(cx);
            let _ = tried.send(());
            polled
        });
        send.send(done.await).unwrap();
    }));
    was_tried.recv_timeout(BOUND).unwrap();
    result
}

#[test]
fn a_read_that_waits_is_woken_by_bytes_and_by_the_end() {
    let (_executor, runtime) = start(1);
    let (transport, mut peer) = connection(&runtime);
    let reads = transport.clone();
    let read = spawn_io(&runtime, move |cx| reads.poll_read(cx, &mut [0; 16]));
    peer.write_all(b"hello").unwrap();
    assert_eq!(read.recv_timeout(BOUND).unwrap().unwrap(), 5);
    let read = spawn_io(&runtime, move |cx| transport.poll_read(cx, &mut [0; 16]));
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read.recv_timeout(BOUND).unwrap().unwrap(), 0);
}

#[test]
fn a_write_that_waits_is_woken_by_a_reader() {
    let (_executor, runtime) = start(1);
    let (transport, mut peer) = connection(&runtime);
    let chunk = [7; 64 * 1024];
    let mut sent = 0;
    while let Poll::Ready(written) =
        transport.poll_write_vectored(&mut Context::from_waker(Waker::noop()), &[IoSlice::new(&chunk)])
    {
        sent += written.unwrap();
    }
    let write = spawn_io(&runtime, move |cx| transport.poll_write_vectored(cx, &[IoSlice::new(&[7; 16])]));
    peer.read_exact(&mut vec![0; sent]).unwrap();
    assert_eq!(write.recv_timeout(BOUND).unwrap().unwrap(), 16);
}

#[test]
fn what_waits_for_a_stopped_executor_fails() {
    let (executor, runtime) = start(1);
    let (transport, mut peer) = connection(&runtime);
    let reading = thread::spawn(move || {
        let read = poll_fn(|cx| transport.poll_read(cx, &mut [0; 16]));
        Reactor::new().unwrap().block_on(pin!(read))
    });
    drop(executor);
    assert!(within(move || reading.join().unwrap()).is_err());
    assert_eq!(peer.read(&mut [0]).unwrap(), 0, "the socket is closed");
}
