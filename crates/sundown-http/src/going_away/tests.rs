use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{FutureExt, SinkExt, StreamExt, future, task::noop_waker};

use super::*;

/// A socket in memory: what comes, what was sent, and how many messages it still takes before it is full.
#[derive(Default)]
struct Socket {
    incoming: VecDeque<&'static str>,
    outgoing: Vec<&'static str>,
    room: usize,
    flushed: usize,
    wakers: Vec<Waker>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Socket>>);

impl Shared {
    fn with_room(room: usize) -> Self {
        let shared = Self::default();
        shared.0.lock().unwrap().room = room;
        shared
    }

    fn make_room(&self) {
        let wakers = {
            let mut socket = self.0.lock().unwrap();
            socket.room += 1;
            std::mem::take(&mut socket.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    fn sent(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().outgoing.clone()
    }

    fn flushed(&self) -> usize {
        self.0.lock().unwrap().flushed
    }
}

impl Stream for Shared {
    type Item = Result<&'static str, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.0.lock().unwrap().incoming.pop_front() {
            Some("the end") => Poll::Ready(None),
            Some(message) => Poll::Ready(Some(Ok(message))),
            None => Poll::Pending,
        }
    }
}

impl Sink<&'static str> for Shared {
    type Error = Infallible;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        let mut socket = self.0.lock().unwrap();
        if socket.room == 0 {
            socket.wakers = vec![cx.waker().clone()]; // as most do: the last to ask is woken
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, message: &'static str) -> Result<(), Infallible> {
        let mut socket = self.0.lock().unwrap();
        assert!(socket.room > 0, "{message} was sent where there is no room");
        socket.room -= 1;
        socket.outgoing.push(message);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        let mut socket = self.0.lock().unwrap();
        socket.flushed = socket.outgoing.len();
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.poll_flush(cx)
    }
}

/// Counts how often it was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn going_away(
    socket: &Shared,
    closing: impl Future<Output = ()> + Send + 'static,
) -> GoingAway<Shared, &'static str> {
    GoingAway::new(socket.clone(), closing, "goodbye")
}

#[test]
fn before_it_is_told_it_passes_everything_through() {
    let socket = Shared::with_room(9);
    socket.0.lock().unwrap().incoming.extend(["one", "the end"]);
    let mut away = going_away(&socket, future::pending());
    assert_eq!(away.next().now_or_never(), Some(Some(Ok("one"))));
    assert_eq!(away.send("reply").now_or_never(), Some(Ok(())));
    assert_eq!(away.next().now_or_never(), Some(None));
    assert_eq!(socket.sent(), ["reply"]);
}

#[test]
fn told_it_says_goodbye_once_and_goes_on_receiving() {
    let socket = Shared::with_room(9);
    socket.0.lock().unwrap().incoming.extend(["late", "later", "the end"]);
    let away = going_away(&socket, future::ready(()));
    let received: Vec<_> = away.map(|message| message.unwrap()).collect().now_or_never().unwrap();
    assert_eq!(received, ["late", "later"]);
    assert_eq!((socket.sent(), socket.flushed()), (vec!["goodbye"], 1));
}

#[test]
fn who_waits_for_a_message_is_woken_to_say_it() {
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let socket = Shared::with_room(9);
    let mut away = going_away(&socket, told.map(drop));
    let count = Arc::<Count>::default();
    let waker = count.clone().into();
    let cx = &mut Context::from_waker(&waker);
    assert!(away.poll_next_unpin(cx).is_pending());
    assert!(socket.sent().is_empty());
    tell.send(()).unwrap();
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    assert!(away.poll_next_unpin(cx).is_pending());
    assert_eq!((socket.sent(), socket.flushed()), (vec!["goodbye"], 1));
}

#[test]
fn who_only_sends_says_it_too() {
    let socket = Shared::with_room(9);
    let mut away = going_away(&socket, future::ready(()));
    away.send("too late").now_or_never().unwrap().unwrap();
    assert_eq!(socket.sent(), ["goodbye", "too late"], "the WebSocket is there to refuse it");
}

#[test]
fn a_message_that_has_been_promised_its_place_comes_first() {
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let socket = Shared::with_room(1);
    let mut away = going_away(&socket, told.map(drop));
    let (receiver, sender) = (Arc::<Count>::default(), noop_waker());
    let waker = receiver.clone().into();
    assert!(away.poll_ready_unpin(&mut Context::from_waker(&sender)).is_ready());
    tell.send(()).unwrap();
    assert!(away.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
    assert!(socket.sent().is_empty(), "there was room for one");
    away.start_send_unpin("mine").unwrap();
    assert_eq!(receiver.0.load(Ordering::SeqCst), 1, "it goes on from here");
    socket.make_room();
    assert!(away.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(socket.sent(), ["mine", "goodbye"]);
}

#[test]
fn a_sender_that_gave_up_leaves_the_receiver_awake() {
    let socket = Shared::default();
    let mut away = going_away(&socket, future::ready(()));
    let receiver = Arc::<Count>::default();
    let waker = receiver.clone().into();
    assert!(away.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
    // It asks last, and is dropped.
    assert!(away.send("mine").now_or_never().is_none());
    socket.make_room();
    assert_eq!(receiver.0.load(Ordering::SeqCst), 1);
    assert!(away.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(socket.sent(), ["goodbye"]);
}

#[test]
fn a_flush_is_over_when_the_goodbye_is_out() {
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let socket = Shared::with_room(1);
    let mut away = going_away(&socket, told.map(drop));
    away.feed("mine").now_or_never().unwrap().unwrap();
    tell.send(()).unwrap();
    assert!(away.flush().now_or_never().is_none());
    socket.make_room();
    assert_eq!(away.flush().now_or_never(), Some(Ok(())));
    assert_eq!((socket.sent(), socket.flushed()), (vec!["mine", "goodbye"], 2));
}

#[test]
fn who_closes_has_said_goodbye_himself() {
    let socket = Shared::with_room(9);
    let mut away = going_away(&socket, future::ready(()));
    away.close().now_or_never().unwrap().unwrap();
    assert!(away.next().now_or_never().is_none());
    assert!(socket.sent().is_empty());
}
