//! Plain threads as components: real ones.

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{
    sync::{
        Mutex,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
};

use sundown::{Drainable, Outcome, Report, Shutdown, Thread};
use sundown_tokio::Tokio;

/// A thread that works until nobody has an order for it, and how it is told so.
fn worker(work: impl Fn(u32) + Send + 'static) -> (Sender<u32>, impl FnOnce()) {
    let (orders, inbox): (_, Receiver<u32>) = mpsc::channel();
    (orders, move || inbox.iter().for_each(work))
}

fn told(thread: Thread, orders: Sender<u32>) -> Thread {
    let orders = Mutex::new(Some(orders));
    thread.on_close(move || drop(orders.lock().unwrap().take()))
}

async fn shut_down(component: impl Drainable, hurried: bool) -> Report {
    let builder = Shutdown::embedded(Tokio::current()).component("thread", component);
    let shutdown = builder.grace(Duration::from_secs(60)).start().unwrap();
    shutdown.begin("a test");
    if hurried {
        shutdown.hurry();
    }
    shutdown.finished().await
}

#[tokio::test]
async fn a_thread_is_told_and_waited_for() {
    for joined in [false, true] {
        let (send, done) = mpsc::channel();
        let (orders, body) = worker(move |order| send.send(order).unwrap());
        let thread = match joined {
            false => Thread::spawn("worker", body).unwrap(),
            true => Thread::new(thread::Builder::new().name("worker".into()).spawn(body).unwrap()).unwrap(),
        };
        (0..3).for_each(|order| orders.send(order).unwrap());
        let report = shut_down(told(thread, orders), false).await;
        assert!(report.is_clean(), "{report}");
        assert!(matches!(report.components[0].drained, Outcome::Done(_)), "{report}");
        assert_eq!(done.iter().collect::<Vec<_>>(), [0, 1, 2]);
    }
}

#[tokio::test]
async fn a_threads_panic_is_in_the_report() {
    for joined in [false, true] {
        let body = || std::panic::resume_unwind(Box::new("no such table"));
        let thread = match joined {
            false => Thread::spawn("worker", body).unwrap(),
            true => Thread::new(thread::spawn(body)).unwrap(),
        };
        let report = shut_down(thread, false).await;
        assert_eq!(report.components[0].drained, Outcome::Panicked("no such table".into()), "{report}");
        assert!(!report.is_clean());
    }
}

#[tokio::test]
async fn a_thread_that_does_not_end_is_left_running_and_the_report_says_so() {
    let (release, held) = mpsc::channel::<()>();
    let thread = Thread::spawn("stubborn", move || held.recv()).unwrap();
    assert_eq!(thread.in_flight().units()[0].name, "thread stubborn");
    let report = shut_down(thread, true).await;
    let part = &report.components[0];
    assert_eq!(part.notes, [("left running".to_owned(), 1)], "{report}");
    assert!(part.lost == 1 && !report.is_clean(), "{report}");
    assert_eq!(part.stragglers.as_ref().unwrap().units()[0].name, "thread stubborn");
    assert!(report.to_string().contains("left running: 1"), "{report}");
    release.send(()).unwrap();
}

#[tokio::test]
async fn what_a_thread_returns_may_panic_when_it_is_dropped() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("on purpose"));
        }
    }
    let report = shut_down(Thread::spawn("worker", || Bomb).unwrap(), false).await;
    assert!(matches!(report.components[0].drained, Outcome::Done(_)), "{report}");
}

#[tokio::test]
async fn any_number_may_wait_and_dropping_one_loses_nothing() {
    let (orders, body) = worker(drop);
    let thread = told(Thread::spawn("worker", body).unwrap(), orders);
    {
        let mut first = thread.drained();
        let waker = std::task::Waker::noop();
        assert!(first.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
    }
    let report = shut_down(thread, false).await;
    assert!(report.is_clean(), "{report}");
}

#[test]
fn whoever_holds_one_may_move_it() {
    fn holds<T: Send + Sync + Unpin>() {}
    holds::<Thread>();
}
