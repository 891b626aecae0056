use std::{future::poll_fn, io, sync::Mutex, task::Waker};

use hyper::rt::Timer;
use sundown::{AbortHandle, Accept, BoxFuture, Drive};

use super::*;

/// A clock that is set by hand.
struct Clock {
    began: Instant,
    now: Mutex<Instant>,
    /// How often it was asked to ring.
    asked: Mutex<u32>,
    wakers: Mutex<Vec<Waker>>,
}

impl Clock {
    fn new() -> Arc<Self> {
        let began = Instant::now();
        Arc::new(Clock { began, now: Mutex::new(began), asked: Mutex::default(), wakers: Mutex::default() })
    }

    fn at(&self, seconds: u64) -> Instant {
        self.began + Duration::from_secs(seconds)
    }

    fn set(&self, seconds: u64) {
        *self.now.lock().unwrap() = self.at(seconds);
    }

    fn asked(&self) -> u32 {
        *self.asked.lock().unwrap()
    }
}

struct OnClock(Arc<Clock>);

impl Runtime for OnClock {
    fn now(&self) -> Instant {
        *self.0.now.lock().unwrap()
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        *self.0.asked.lock().unwrap() += 1;
        let clock = self.0.clone();
        let mut rung = false;
        Box::pin(poll_fn(move |cx| {
            assert!(!rung, "it is polled after its end");
            rung = *clock.now.lock().unwrap() >= at;
            if rung {
                return Poll::Ready(());
            }
            clock.wakers.lock().unwrap().push(cx.waker().clone());
            Poll::Pending
        }))
    }

    fn spawn(&self, _: BoxFuture<'static, ()>) -> AbortHandle {
        unreachable!("a timer spawns nothing")
    }

    fn private(&self) -> io::Result<Box<dyn Drive>> {
        unreachable!("a timer drives nothing")
    }

    fn adopt(&self, _: std::net::TcpListener) -> io::Result<Box<dyn Accept>> {
        unreachable!("a timer listens to nobody")
    }
}

fn is_over(sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>) -> bool {
    sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn one_alarm_serves_many_timeouts_and_none_of_them_ends_early_or_late() {
    let clock = Clock::new();
    let timer = LazyTimer::new(Arc::new(OnClock(clock.clone())));
    for second in 0..30 {
        clock.set(second);
        let mut sleep = timer.sleep(Duration::from_secs(30));
        assert!(!is_over(&mut sleep));
    }
    assert_eq!(clock.asked(), 1);
    let mut last = timer.sleep_until(clock.at(59));
    clock.set(30);
    assert!(!is_over(&mut last), "the alarm has rung too early");
    assert_eq!(clock.asked(), 2);
    clock.set(58);
    assert!(!is_over(&mut last));
    clock.set(59);
    assert!(is_over(&mut last));
    drop(last);
    assert!(is_over(&mut timer.sleep_until(clock.at(59))), "what has rung is not used again");
}

#[test]
fn timeouts_of_one_task_that_come_sooner_or_run_side_by_side_end_on_time() {
    let clock = Clock::new();
    let timer = LazyTimer::new(Arc::new(OnClock(clock.clone())));
    assert!(!is_over(&mut timer.sleep_until(clock.at(30))));
    let mut sooner = timer.sleep_until(clock.at(10));
    let mut beside = timer.sleep_until(clock.at(20));
    assert!(!is_over(&mut sooner) && !is_over(&mut beside));
    clock.set(10);
    assert!(is_over(&mut sooner) && !is_over(&mut beside));
    clock.set(20);
    assert!(is_over(&mut beside));
}

#[test]
fn an_alarm_that_is_used_again_wakes_who_waits_now() {
    let clock = Clock::new();
    let timer = LazyTimer::new(Arc::new(OnClock(clock.clone())));
    for _ in 0..2 {
        assert!(!is_over(&mut timer.sleep_until(clock.at(30))));
        assert_eq!(clock.wakers.lock().unwrap().drain(..).count(), 1);
    }
}

#[test]
fn a_timeout_that_nobody_waits_for_asks_the_runtime_for_nothing() {
    let clock = Clock::new();
    let timer = LazyTimer::new(Arc::new(OnClock(clock.clone())));
    drop(timer.sleep_until(clock.at(30)));
    assert_eq!(clock.asked(), 0);
}
