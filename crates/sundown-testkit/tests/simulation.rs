//! The simulation itself: its clock, its threads, its ends.

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sundown::{Gate, Jobs, Reason, Runtime, Shutdown, Signal};
use sundown_testkit::{
    Fault, Faulty, Method, TakesOver,
    simulation::{Exit, Simulation, World},
};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn simulate<T>(main: impl FnOnce(&World) -> T) -> T {
    Simulation::seeded(1).run(main).returned()
}

/// What a panic says.
fn complaint(run: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("it panics");
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).expect("it panics with a text")
}

#[test]
fn a_year_passes_at_once() {
    let began = Instant::now();
    let year = Duration::from_secs(365 * 24 * 3600);
    simulate(|world| {
        world.block_on(world.sleep(year));
        assert_eq!(world.elapsed(), year);
    });
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn time_moves_from_one_moment_that_is_waited_for_to_the_next() {
    simulate(|world| {
        let woken = Arc::new(Mutex::new(Vec::new()));
        for after in [300, 100, 200] {
            let (inner, woken) = (world.clone(), woken.clone());
            world.spawn_task(async move {
                inner.sleep(ms(after)).await;
                woken.lock().unwrap().push((after, inner.elapsed()));
            });
        }
        assert_eq!(world.advance_to_next(), ms(100));
        assert_eq!(*woken.lock().unwrap(), [(100, ms(100))]);
        world.advance(ms(150));
        assert_eq!(*woken.lock().unwrap(), [(100, ms(100)), (200, ms(200))]);
        assert_eq!(world.advance_to_next(), ms(50));
        assert_eq!(woken.lock().unwrap().len(), 3);
    });
}

#[test]
fn nothing_runs_while_main_does_not_wait_and_no_time_passes_while_it_settles() {
    simulate(|world| {
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..10 {
            let (inner, ran) = (world.clone(), ran.clone());
            world.spawn("counts", move || {
                inner.give_way();
                ran.fetch_add(1, Ordering::Relaxed);
            });
        }
        assert_eq!(ran.load(Ordering::Relaxed), 0);
        world.settle();
        assert_eq!(ran.load(Ordering::Relaxed), 10);
        assert_eq!(world.elapsed(), Duration::ZERO);
    });
}

#[test]
fn the_seed_draws_the_order_and_nothing_else_does() {
    let order = |seed| {
        let order = Arc::new(Mutex::new(Vec::new()));
        let noted = order.clone();
        let ending = Simulation::seeded(seed).run(move |world| {
            for n in 0..6 {
                let noted = noted.clone();
                world.spawn("one", move || noted.lock().unwrap().push(n));
            }
            world.settle();
        });
        (Arc::into_inner(order).unwrap().into_inner().unwrap(), ending.fingerprint)
    };
    assert_eq!(order(3), order(3));
    let orders: std::collections::HashSet<_> = (0..200).map(order).collect();
    assert!(orders.len() > 100, "200 seeds gave {} orders", orders.len());
}

#[test]
fn two_runs_of_one_seed_give_the_same_report_to_the_letter() {
    let run = || {
        Simulation::seeded(42).run(|world| {
            let jobs = Jobs::new();
            let shutdown = Shutdown::process(world.runtime())
                .component("jobs", jobs.clone())
                .component("gate", Gate::new())
                .hand_over_to(TakesOver::first(1))
                .at_release("flush", world.sleep(ms(5)))
                .grace(Duration::from_secs(5))
                .start()
                .unwrap();
            let _held: Vec<_> = (0..3).map(|n| jobs.begin(format!("job-{n}"), n).unwrap()).collect();
            world.advance(ms(10));
            world.terminate(Duration::from_secs(5));
            serde_json::to_string(&shutdown.finished_blocking()).unwrap()
        })
    };
    assert_eq!(run(), run());
}

#[test]
fn who_waits_for_nobody_is_told_who_is_there() {
    let complaint = complaint(|| {
        simulate(|world| {
            let inner = world.clone();
            world.spawn("forgotten", move || inner.block_on(std::future::pending::<()>()));
            world.block_on(std::future::pending::<()>());
        });
    });
    assert!(complaint.starts_with("deadlock after 0ns: "), "{complaint}");
    assert!(complaint.contains("forgotten"), "{complaint}");
}

#[test]
fn a_failure_in_main_is_a_failure_of_the_run_and_ends_all_its_threads() {
    let dropped = Arc::new(AtomicUsize::new(0));
    struct Counts(Arc<AtomicUsize>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let counts: Vec<_> = (0..4).map(|_| Counts(dropped.clone())).collect();
    let complaint = complaint(|| {
        simulate(|world| {
            let shutdown = Shutdown::process(world.runtime()).component("gate", Gate::new()).start().unwrap();
            for counts in counts {
                let inner = world.clone();
                world.spawn("waits", move || {
                    inner.advance(Duration::from_secs(3600));
                    drop(counts);
                });
            }
            world.advance(ms(1));
            assert!(shutdown.watch().is_draining(), "it is not draining");
        });
    });
    assert_eq!(complaint, "it is not draining");
    assert_eq!(dropped.load(Ordering::Relaxed), 4);
    simulate(|world| world.advance(ms(1))); // and the next run begins afresh
}

#[test]
fn a_thread_that_std_started_cannot_wait_in_a_simulation() {
    let complaint = simulate(|world| {
        let inner = world.clone();
        std::thread::spawn(move || complaint(|| inner.advance(ms(1)))).join().unwrap()
    });
    assert!(complaint.starts_with("only threads of a simulation can wait in it"), "{complaint}");
}

#[test]
fn a_sweep_runs_every_seed_once_and_fails_if_one_fails() {
    let (sum, ran) = (AtomicU64::new(0), AtomicU64::new(0));
    Simulation::sweep(10..20, |simulation| {
        sum.fetch_add(simulation.seed(), Ordering::Relaxed);
        ran.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!((sum.into_inner(), ran.into_inner()), ((10..20).sum(), 10));
    let complaint =
        complaint(|| Simulation::sweep(0..100, |simulation| assert_ne!(simulation.seed(), 50, "fifty")));
    assert!(complaint.contains("fifty"), "{complaint}");
}

#[test]
fn a_signal_that_nobody_listens_to_ends_the_process() {
    let ending = Simulation::seeded(1).run(|world| world.signal(Signal::Int));
    assert_eq!(ending.exit, Exit::Signalled(Signal::Int));
}

#[test]
fn the_platform_kills_who_does_not_leave() {
    let ending = Simulation::seeded(1).run(|world| {
        let _owner = Shutdown::process(world.runtime()).grace(Duration::from_secs(600)).start().unwrap();
        world.spawn_task(std::future::pending());
        world.terminate(Duration::from_secs(10));
        world.advance(Duration::from_secs(3600));
    });
    // The owner finishes at once and waits for main, for no longer than its own grace: ten minutes.
    assert_eq!(ending.exit, Exit::Exited(0));
    let ending = Simulation::seeded(1).run(|world| {
        let stuck = Faulty::new(world.runtime(), Gate::new()).before(Method::Drained, Fault::Hangs);
        let builder = Shutdown::process(world.runtime()).component("stuck", stuck);
        let _owner = builder.grace(Duration::from_secs(600)).start().unwrap();
        world.terminate(Duration::from_secs(10));
        world.advance(Duration::from_secs(3600));
    });
    assert_eq!(
        (ending.exit, ending.took),
        (Exit::Killed, Duration::from_secs(10)),
        "a grace that is not the platform's"
    );
}

#[test]
fn a_main_that_does_not_come_back_is_ended_on_time() {
    let grace = Duration::from_secs(30);
    let ending = Simulation::seeded(9).run(|world| {
        let gate = Gate::new();
        let _inside = gate.enter().unwrap();
        let stuck = Faulty::new(world.runtime(), gate).before(Method::Drained, Fault::Blocks);
        let _shutdown =
            Shutdown::process(world.runtime()).component("stuck", stuck).grace(grace).start().unwrap();
        world.terminate(grace);
        world.advance(Duration::from_secs(3600));
    });
    assert_eq!(ending.exit, Exit::Exited(1));
    assert!(ending.took <= grace - ms(750), "gone after {:?}", ending.took);
}

#[test]
fn an_owner_that_is_dropped_waits_for_the_end() {
    simulate(|world| {
        let jobs = Jobs::new();
        let taker = TakesOver::all();
        let builder = Shutdown::embedded(world.runtime()).component("jobs", jobs.clone());
        let shutdown = builder.hand_over_to(taker.clone()).start().unwrap();
        let _job = jobs.begin("image-17", ()).unwrap();
        let handle = shutdown.handle();
        drop(shutdown);
        assert_eq!(handle.finished_blocking().reason, Reason::Dropped);
        assert_eq!(taker.taken()[0].as_str(), "image-17");
    });
}

#[test]
fn a_runtime_that_is_blocked_runs_no_task_and_a_private_place_works() {
    simulate(|world| {
        let ran = Arc::new(AtomicUsize::new(0));
        world.block_runtime(true);
        let counted = ran.clone();
        world.spawn_task(async move { counted.store(1, Ordering::Relaxed) });
        let mut place = world.runtime().private().unwrap();
        place.drive(std::pin::pin!(world.sleep(ms(10))));
        assert_eq!((ran.load(Ordering::Relaxed), world.elapsed()), (0, ms(10)));
        world.block_runtime(false);
        world.settle();
        assert_eq!(ran.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn an_aborted_task_is_dropped_and_one_whose_handle_is_dropped_goes_on() {
    simulate(|world| {
        let held = Arc::new(());
        let (aborted, kept) = (held.clone(), held.clone());
        let runtime = world.runtime();
        let abort = runtime.spawn(Box::pin(async move {
            std::future::pending::<()>().await;
            drop(aborted);
        }));
        drop(runtime.spawn(Box::pin(async move {
            std::future::pending::<()>().await;
            drop(kept);
        })));
        world.settle();
        assert_eq!(Arc::strong_count(&held), 3);
        abort.abort();
        world.settle();
        assert_eq!(Arc::strong_count(&held), 2);
    });
}

#[test]
fn where_no_thread_can_be_had_the_shutdown_shares_one_and_says_so() {
    simulate(|world| {
        let jobs = Jobs::new();
        let taker = TakesOver::all();
        let builder = Shutdown::embedded(world.runtime()).component("jobs", jobs.clone());
        let shutdown = builder.hand_over_to(taker.clone()).grace(Duration::from_secs(5)).start().unwrap();
        let _job = jobs.begin("image-17", ()).unwrap();
        world.limit_threads(0);
        shutdown.begin("a test");
        let report = shutdown.finished_blocking();
        assert!(report.warnings.iter().any(|warning| warning.contains("share one thread")), "{report}");
        assert_eq!(taker.taken().len(), 1, "{report}");
    });
}

#[test]
fn a_promise_of_the_shutdown_is_the_same_on_every_seed() {
    Simulation::sweep(0..200, |simulation| {
        simulation.run(|world| {
            let (gate, jobs, events) = (Gate::new(), Jobs::<()>::new(), world.recorder());
            let recorded = |name: &str| events.position(&format!("{name} close")).unwrap();
            let shutdown = Shutdown::embedded(world.runtime())
                .component("last", Faulty::new(world.runtime(), jobs.clone()).recorded("last", &events))
                .after(["first"])
                .component("first", Faulty::new(world.runtime(), gate.clone()).recorded("first", &events))
                .grace(Duration::from_secs(20))
                .start()
                .unwrap();
            let guard = gate.enter().unwrap();
            let inner = world.clone();
            world.spawn_task(async move {
                inner.sleep(ms(700)).await;
                drop(guard);
            });
            shutdown.begin("a test");
            let report = shutdown.finished_blocking();
            assert!(report.is_clean());
            assert_eq!(report.took, ms(700), "it leaves as soon as it can");
            assert!(recorded("first") < recorded("last"));
        });
    });
}

#[test]
fn what_a_thread_does_before_it_first_waits_is_seen_at_once() {
    Simulation::sweep(0..50, |simulation| {
        simulation.run(|world| {
            let (gate, inner) = (Gate::new(), world.clone());
            let theirs = gate.clone();
            world.spawn("closer", move || {
                theirs.close();
                inner.advance(Duration::from_secs(3600));
            });
            world.block_on(gate.closed());
            assert_eq!(world.elapsed(), Duration::ZERO);
        });
    });
}

/// Counts how often it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_waker_that_panics_costs_nobody_else() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("on purpose");
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    simulate(|world| {
        for _ in 0..3 {
            let (inner, counted) = (world.clone(), Counted(dropped.clone()));
            world.spawn("waits", move || {
                inner.advance(Duration::from_secs(3600));
                drop(counted);
            });
        }
        let mut timer = Box::pin(world.sleep(ms(5)));
        let waker = Arc::new(Panics).into();
        let polled = timer.as_mut().poll(&mut std::task::Context::from_waker(&waker));
        assert!(polled.is_pending());
        world.advance(ms(10));
        assert_eq!(world.elapsed(), ms(10));
    });
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
}

#[test]
fn a_thread_that_does_not_end_with_its_process_is_named() {
    let complaint = complaint(|| {
        simulate(|world| {
            let inner = world.clone();
            world.spawn("supervisor", move || {
                loop {
                    let _ = catch_unwind(AssertUnwindSafe(|| inner.advance(ms(1))));
                }
            });
            world.advance(ms(5));
        });
    });
    assert_eq!(complaint, "thread supervisor goes on when its process is over");
}

#[test]
fn a_destructor_that_would_wait_while_a_panic_passes_does_not() {
    struct Waits(World);
    impl Drop for Waits {
        fn drop(&mut self) {
            let mut place = self.0.runtime().private().unwrap();
            place.drive(std::pin::pin!(self.0.sleep(ms(1))));
            self.0.advance(ms(1));
        }
    }
    let complaint = complaint(|| {
        simulate(|world| {
            let _waits = Waits(world.clone());
            panic!("on purpose");
        });
    });
    assert_eq!(complaint, "on purpose");
}

#[test]
fn a_task_is_no_thread_that_could_be_short() {
    simulate(|world| {
        world.limit_threads(0);
        let ran = Arc::new(AtomicUsize::new(0));
        let counted = ran.clone();
        world.spawn_task(async move { counted.store(1, Ordering::Relaxed) });
        world.settle();
        assert_eq!(ran.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_grace_is_not_looked_for_on_the_real_machine() {
    simulate(|world| {
        let shutdown = Shutdown::embedded(world.runtime()).component("gate", Gate::new()).start().unwrap();
        shutdown.begin("a test");
        let grace = shutdown.finished_blocking().grace.to_string();
        assert_eq!(grace, "10 s (no platform recognised)");
    });
}

/// A runtime that wraps another, and does not know what it must pass on.
struct Wraps(sundown_testkit::simulation::Virtual);

impl Runtime for Wraps {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn sleep_until(&self, at: Instant) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        self.0.sleep_until(at)
    }

    fn spawn(&self, task: sundown::BoxFuture<'static, ()>) -> sundown::AbortHandle {
        self.0.spawn(task)
    }

    fn private(&self) -> std::io::Result<Box<dyn sundown::Drive>> {
        self.0.private()
    }

    fn adopt(&self, listener: std::net::TcpListener) -> std::io::Result<Box<dyn sundown::Accept>> {
        self.0.adopt(listener)
    }
}

#[test]
fn a_wrapper_that_hides_the_simulated_machine_is_refused() {
    simulate(|world| {
        let refused = Shutdown::embedded(Wraps(world.runtime())).start().unwrap_err().to_string();
        assert!(refused.contains("keeps the time of another machine"), "{refused}");
    });
}

#[test]
fn holds_of_one_name_are_reached_in_their_order_and_one_that_was_let_go_holds_nobody() {
    simulate(|world| {
        let events = world.recorder();
        drop(events.hold("step"));
        let holds = [events.hold("step"), events.hold("step"), events.hold("step")];
        let noted = events.clone();
        world.spawn("steps", move || (0..3).for_each(|_| noted.note("step")));
        for hold in holds {
            assert!(hold.reached_within(ms(1)));
            hold.release();
        }
        world.settle();
        assert_eq!(events.events().len(), 3);
    });
}

#[test]
fn a_panic_in_a_thread_or_a_task_fails_the_run_when_that_has_ended() {
    let reached = AtomicUsize::new(0);
    let complaint_of = |spawn: fn(&World)| {
        complaint(|| {
            simulate(|world| {
                spawn(world);
                world.advance(ms(5));
                reached.fetch_add(1, Ordering::Relaxed);
            });
        })
    };
    assert_eq!(complaint_of(|world| world.spawn("checker", || panic!("a thread"))), "a thread");
    assert_eq!(complaint_of(|world| world.spawn_task(async { panic!("a task") })), "a task");
    assert_eq!(reached.load(Ordering::Relaxed), 2);
}
