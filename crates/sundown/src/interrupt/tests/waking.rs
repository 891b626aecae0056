//! That nobody misses an interruption, and that nothing is left of those who have waited.

use std::{
    hint,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Barrier,
};

use super::*;

#[test]
fn nobody_is_left_asleep_by_a_race() {
    /// Says that it was woken.
    struct Says(mpsc::Sender<()>);
    impl Wake for Says {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(());
        }
    }
    for round in 0..20_000 {
        let (watch, stages) = stages();
        let start = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                // A little later each time, so that it meets every point of the other's way.
                (0..round % 200).for_each(|_| hint::spin_loop());
                stages.draining.open();
            });
            let mut wait = watch.interrupt(pending::<()>());
            let (say, said) = mpsc::channel();
            let waker = Waker::from(Arc::new(Says(say)));
            start.wait();
            if Pin::new(&mut wait).poll(&mut Context::from_waker(&waker)).is_pending() {
                said.recv_timeout(BOUND).expect("whoever is told to wait is woken");
                assert!(poll(&mut wait).is_ready());
            }
        });
    }
}

#[test]
fn who_polls_again_by_another_task_is_woken_there() {
    let (watch, stages) = stages();
    let mut wait = watch.interrupt(pending::<()>());
    let woken = [Arc::new(Woken::default()), Arc::new(Woken::default())];
    let mut poll = |who: usize| {
        let waker = Waker::from(woken[who].clone());
        Pin::new(&mut wait).poll(&mut Context::from_waker(&waker))
    };
    // The first again, after the second: what it left before is not there any more.
    for who in [0, 0, 1, 0, 1] {
        assert!(poll(who).is_pending());
    }
    stages.draining.open();
    assert_eq!([woken[0].times(), woken[1].times()], [0, 1]);
}

/// It panics when it is polled.
struct Panics;

impl Future for Panics {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        panic!("on purpose")
    }
}

#[test]
fn what_panics_leaves_its_place_to_nobody_and_takes_nobody_elses() {
    let (watch, stages) = stages();
    let woken = Arc::new(Woken::default());
    let mut wait = watch.interrupt(pending::<()>());
    assert!(Pin::new(&mut wait).poll(&mut Context::from_waker(&woken.clone().into())).is_pending());
    let mut broken = watch.interrupt(Panics);
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut broken))).is_err());
    drop(broken);
    assert_eq!(stages.draining.waiters(), 1);
    stages.draining.open();
    assert_eq!(woken.times(), 1);
}

/// A waker that does what a task does which is woken inline: it drops its wait and begins another.
struct Inline(Watch, AtomicBool);

impl Wake for Inline {
    fn wake(self: Arc<Self>) {
        let mut again = pin!(self.0.interrupt(pending::<()>()));
        let polled = again.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        self.1.store(polled.is_ready(), Ordering::SeqCst);
    }
}

#[test]
fn a_waker_may_interrupt_something_else() {
    let (watch, stages) = stages();
    let inline = Arc::new(Inline(watch.clone(), AtomicBool::new(false)));
    let mut wait = watch.interrupt(pending::<()>());
    let waker = Waker::from(inline.clone());
    assert!(Pin::new(&mut wait).poll(&mut Context::from_waker(&waker)).is_pending());
    stages.draining.open();
    assert!(inline.1.load(Ordering::SeqCst));
}

#[test]
fn what_is_dropped_at_any_point_leaves_nothing_behind() {
    let (watch, stages) = stages();
    let token = Arc::new(Woken::default());
    let waker = Waker::from(token.clone());
    drop(watch.interrupt(pending::<()>()));
    let mut waiting = watch.interrupt(pending::<()>());
    assert!(Pin::new(&mut waiting).poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waiting);
    let mut set = watch.interrupt(pending::<()>());
    assert!(Pin::new(&mut set).poll(&mut Context::from_waker(&waker)).is_pending());
    stages.draining.set();
    drop(set);
    stages.draining.wake();
    let mut ended = watch.interrupt(pending::<()>());
    assert!(Pin::new(&mut ended).poll(&mut Context::from_waker(&waker)).is_ready());
    drop((ended, waker));
    assert_eq!((token.times(), Arc::strong_count(&token)), (0, 1));
    assert_eq!(stages.draining.waiters(), 0);
}

#[test]
fn a_million_short_waits_leave_nothing_behind() {
    let (watch, stages) = stages();
    for _ in 0..1_000_000 {
        assert!(poll(&mut watch.interrupt(pending::<()>())).is_pending());
    }
    assert_eq!(stages.draining.waiters(), 0);
    assert!(stages.draining.room() <= 4);
    assert_eq!(Arc::strong_count(&stages.draining), 1);
}
