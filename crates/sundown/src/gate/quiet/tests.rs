//! Who is woken by a moment, and who by a later one.

use std::{
    pin::pin,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicUsize},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use super::*;
use crate::Guard;

fn poll(future: &mut (impl Future<Output = ()> + Unpin)) -> Poll<()> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Leaves, but does not say so yet. Returns the word at that moment.
fn leave(guard: Guard) -> u64 {
    let before = guard.shared.state.fetch_sub(super::super::ONE, Ordering::SeqCst);
    std::mem::forget(guard);
    before
}

#[test]
fn a_moment_counts_though_somebody_is_inside_again() {
    let gate = Gate::new();
    let first = gate.enter().unwrap();
    let mut waits = [Box::pin(gate.quiet()), Box::pin(gate.quiet())];
    assert!(waits.iter_mut().all(|wait| poll(wait).is_pending()));
    let moment = leave(first);
    let second = gate.enter().unwrap();
    let mut late = Box::pin(gate.quiet());
    assert!(poll(&mut late).is_pending());
    gate.shared.moment(moment);
    assert!(waits.iter_mut().all(|wait| poll(wait).is_ready()));
    assert!(poll(&mut late).is_pending(), "its moment is yet to come");
    drop(second);
    assert!(poll(&mut late).is_ready() && poll(&mut Box::pin(gate.quiet())).is_ready());
    assert!(!gate.is_closed() && gate.enter().is_ok());
}

#[test]
fn numbers_start_again() {
    const LAST: u64 = u64::MAX / ENTERED;
    assert!(is_beyond(1, 0) && is_beyond(0, LAST) && is_beyond(3, LAST - 3));
    assert!(!is_beyond(0, 0) && !is_beyond(0, 1) && !is_beyond(LAST, 0));
    let gate = Gate::new();
    gate.shared.state.store(LAST * ENTERED, Ordering::SeqCst);
    let inside = gate.enter().unwrap();
    assert_eq!(gate.inside(), 1);
    let mut wait = Box::pin(gate.quiet());
    assert!(poll(&mut wait).is_pending());
    drop(inside);
    assert!(poll(&mut wait).is_ready());
}

#[test]
fn who_does_not_wait_any_more_leaves_nothing_behind() {
    let gate = Gate::new();
    let inside = gate.enter().unwrap();
    for _ in 0..100_000 {
        assert!(poll(&mut Box::pin(gate.quiet())).is_pending());
    }
    assert!(gate.shared.quiet.lock().capacity() <= 4);
    assert_eq!(gate.shared.state.load(Ordering::SeqCst) & AWAITED, 0);
    drop(inside);
    assert!(poll(&mut Box::pin(gate.quiet())).is_ready());
    assert_eq!((gate.shared.state.load(Ordering::SeqCst) & AWAITED, gate.inside()), (0, 0));
}

#[test]
fn a_place_that_is_given_back_late_is_not_anothers() {
    let gate = Gate::new();
    let inside = gate.enter().unwrap();
    let mut first = Box::pin(gate.quiet());
    assert!(poll(&mut first).is_pending());
    drop(inside);
    // Its place is this one's now.
    let inside = gate.enter().unwrap();
    let mut second = Box::pin(gate.quiet());
    assert!(poll(&mut second).is_pending());
    drop(first);
    drop(inside);
    assert!(poll(&mut second).is_ready());
}

/// Enters the gate that it is woken by, and waits for it again.
struct Reenter(Gate, AtomicUsize);

impl Wake for Reenter {
    fn wake(self: Arc<Self>) {
        let guard = self.0.enter().unwrap();
        assert!(poll(&mut Box::pin(self.0.quiet())).is_pending());
        drop(guard);
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_waker_may_come_back_into_the_gate() {
    let gate = Gate::new();
    let woken = Arc::new(Reenter(gate.clone(), AtomicUsize::new(0)));
    let inside = gate.enter().unwrap();
    let mut wait = Box::pin(gate.quiet());
    let waker = Waker::from(woken.clone());
    assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(inside);
    assert_eq!(woken.1.load(Ordering::SeqCst), 1);
}

#[test]
fn nobody_is_left_asleep_and_nobody_is_woken_too_early() {
    struct Says(mpsc::Sender<()>);
    impl Wake for Says {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(());
        }
    }
    let gate = Gate::new();
    // Somebody comes and goes: the moments are short.
    for _ in 0..20_000 {
        let (start, ours) = (Barrier::new(2), gate.enter().unwrap());
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                for _ in 0..3 {
                    drop(gate.enter().unwrap());
                }
                over.store(true, Ordering::SeqCst);
                drop(ours);
                for _ in 0..3 {
                    drop(gate.enter().unwrap());
                }
            });
            let (say, said) = mpsc::channel();
            let waker = Waker::from(Arc::new(Says(say)));
            let mut wait = pin!(gate.quiet());
            start.wait();
            while wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                said.recv_timeout(Duration::from_secs(10)).expect("whoever is told to wait is woken");
            }
            assert!(over.load(Ordering::SeqCst), "somebody was inside all the time");
        });
    }
}
