//! What the core does with its time, in virtual time. Most of these were found by a seed of the simulation.

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{
    future::{Future, pending},
    pin::pin,
    sync::Arc,
    task::{Context, Wake, Waker},
    time::Duration,
};

use sundown::{
    Builder, Claims, Deadline, Drainable, Fate, Gate, IncompleteJob, Jobs, Outcome, Receipt, Report,
    Shutdown, Signal,
};
use sundown_testkit::{
    Fault, Faulty, Method, Recorder, TakesOver,
    simulation::{Exit, Simulation, World},
};

const GRACE: Duration = Duration::from_secs(10);
/// Of which so much is for the drain.
const DRAIN: Duration = Duration::from_millis(6_500);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn simulate<T>(main: impl Fn(&World) -> T) -> T {
    Simulation::seeded(1).run(main).returned()
}

/// Begins a job, and commits it this long before the claim with an effect that takes so much time.
fn commit_before_the_claim(before: Duration, effect: Duration) -> Report {
    simulate(|world| {
        let jobs = Jobs::new();
        let builder = Shutdown::embedded(world.runtime()).component("jobs", jobs.clone());
        let shutdown = builder.hand_over_to(TakesOver::all()).grace(GRACE).start().unwrap();
        let job = jobs.begin("image-17", ()).unwrap();
        let inner = world.clone();
        world.spawn_task(async move {
            inner.sleep(DRAIN - before).await;
            let commit = job.commit().unwrap();
            inner.sleep(effect).await;
            commit.done();
        });
        shutdown.begin("a test");
        shutdown.finished_blocking()
    })
}

#[test]
fn a_commit_under_way_at_the_claim_is_waited_for_while_there_is_time() {
    let report = commit_before_the_claim(ms(20), ms(60));
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.jobs.completed, report.took), (1, DRAIN + ms(40)));
}

#[test]
fn a_commit_that_does_not_end_is_in_doubt_and_holds_nobody_up() {
    let report = commit_before_the_claim(ms(20), GRACE);
    assert_eq!(report.jobs.in_doubt.len(), 1, "{report}");
    assert!(report.took < GRACE, "{report}");
}

/// A shutdown in a hurry, in which the turn of this component never comes: another is before it, and does not drain.
fn hurried(world: &World, set_up: impl FnOnce(Builder) -> Builder, second: impl Drainable) -> Report {
    let first = Gate::new();
    let builder = Shutdown::embedded(world.runtime()).grace(GRACE).component("first", first.clone());
    let builder = builder.component("second", second).after(["first"]);
    let shutdown = set_up(builder).start().unwrap();
    let _inside = first.enter().unwrap();
    shutdown.begin("a test");
    shutdown.hurry();
    shutdown.finished_blocking()
}

#[test]
fn a_component_whose_turn_never_came_and_whose_close_hangs_is_claimed_all_the_same() {
    let report = simulate(|world| {
        let jobs = Jobs::new();
        let hangs = Faulty::new(world.runtime(), jobs.clone()).before(Method::Close, Fault::Blocks);
        let _job = jobs.begin("image-17", ()).unwrap();
        hurried(world, |builder| builder.hand_over_to(TakesOver::all()), hangs)
    });
    assert_eq!(report.jobs.handed_over.len(), 1, "{report}");
    assert_eq!(report.components[1].closed, Outcome::Late, "the culprit is named: {report}");
}

#[test]
fn a_component_whose_turn_never_came_and_whose_close_panics_is_named() {
    let report = simulate(|world| {
        let panics = Fault::Panics("no such table".into());
        let second = Faulty::new(world.runtime(), Gate::new()).before(Method::Close, panics);
        hurried(world, |builder| builder, second)
    });
    assert_eq!(report.components[1].closed, Outcome::Panicked("no such table".into()));
    assert!(!report.is_clean() && report.to_string().contains("close panicked: no such table"), "{report}");
}

/// A store that notes the fates it is told of.
struct Told(Arc<Jobs<()>>, Recorder);

#[sundown::async_trait]
impl Drainable for Told {
    fn close(&self, _: &Deadline) {
        Jobs::close(&self.0);
    }

    async fn drained(&self) {
        self.0.empty().await;
    }

    fn claim(&self, claims: &Claims) {
        Jobs::claim(&self.0, claims);
    }

    async fn conclude(&self, receipt: &Receipt) {
        receipt.jobs().iter().map(IncompleteJob::fate).for_each(|fate: Fate| self.1.note(fate.to_string()));
    }
}

#[test]
fn a_job_that_comes_when_the_hand_over_is_over_has_a_fate_in_its_receipt() {
    simulate(|world| {
        let (jobs, events) = (Arc::new(Jobs::new()), world.recorder());
        // Its conclude begins late, when the reservation has become a job.
        let told = Faulty::new(world.runtime(), Told(jobs.clone(), events.clone()))
            .before(Method::Conclude, Fault::Slow(ms(100)));
        let builder = Shutdown::embedded(world.runtime()).component("jobs", told);
        let shutdown = builder.hand_over_to(TakesOver::all()).grace(GRACE).start().unwrap();
        let permit = jobs.reserve().unwrap();
        let inner = world.clone();
        world.spawn_task(async move {
            inner.sleep(DRAIN + ms(50)).await;
            let job = permit.begin("image-17", ()).unwrap();
            assert!(job.commit().is_err());
        });
        shutdown.begin("a test");
        let report = shutdown.finished_blocking();
        assert_eq!(report.jobs.unacknowledged.len(), 1, "{report}");
        assert!(events.has("unacknowledged"), "{events}");
    });
}

#[test]
fn a_component_that_blocks_in_joined_leaves_the_process_its_signals() {
    let ending = Simulation::seeded(1).run(|world| {
        let inner = world.clone();
        world.spawn("starts", move || {
            let blocks = Faulty::new(inner.runtime(), Gate::new()).before(Method::Joined, Fault::Blocks);
            let _ = Shutdown::process(inner.runtime()).component("blocks", blocks).grace(GRACE).start();
        });
        world.settle();
        world.terminate(GRACE);
        world.advance(GRACE);
    });
    assert_eq!(ending.exit, Exit::Signalled(Signal::Term));
}

/// A shutdown for which no thread is left, with a component or a notifier that hangs.
fn without_a_thread(method: Method, fault: Fault) -> (Recorder, Report) {
    simulate(|world| {
        let (gate, jobs, events) = (Gate::new(), Jobs::new(), world.recorder());
        let faulty = || Faulty::new(world.runtime(), Gate::new()).before(method, fault.clone());
        let shutdown = Shutdown::embedded(world.runtime())
            .component("culprit", faulty())
            .component("gate", Faulty::new(world.runtime(), gate).recorded("gate", &events))
            .component("jobs", Faulty::new(world.runtime(), jobs.clone()).recorded("jobs", &events))
            .tell(Faulty::new(world.runtime(), TakesOver::all()).before(method, fault.clone()))
            .hand_over_to(TakesOver::all())
            .at_release("hook", {
                let events = events.clone();
                async move { events.note("hook") }
            })
            .grace(GRACE)
            .start()
            .unwrap();
        let _job = jobs.begin("image-17", ()).unwrap();
        world.limit_threads(0);
        shutdown.begin("a test");
        (events.clone(), shutdown.finished_blocking())
    })
}

#[test]
fn where_no_thread_is_left_a_call_that_hangs_gives_way_when_its_step_is_over() {
    for method in [Method::Conclude, Method::Incomplete, Method::Draining] {
        let (events, report) = without_a_thread(method, Fault::Hangs);
        events.assert_order(&["jobs claim", "jobs conclude", "jobs force", "hook"]);
        assert_eq!(report.jobs.handed_over.len(), 1, "{method}: {report}");
        for component in &report.components[1..] {
            // Behind a conclude that hangs the others have missed their time, and are called all the same.
            let concluded = method == Method::Conclude || !component.conclude.is_failure();
            let others = [&component.claim, &component.force].into_iter().any(Outcome::is_failure);
            assert!(concluded && !others, "{method}: {report}");
        }
        assert!(!report.release[0].outcome.is_failure(), "{method}: {report}");
    }
}

#[test]
fn where_no_thread_is_left_who_never_drains_keeps_nobody_open() {
    let (events, report) = without_a_thread(Method::Drained, Fault::Hangs);
    let closed = |event: &&sundown_testkit::Event| event.what.ends_with(" close");
    let closed: Vec<_> = events.events().iter().filter(closed).map(|event| event.at).collect();
    assert_eq!(closed, [Duration::ZERO; 2], "{events}");
    assert_eq!(report.jobs.handed_over.len(), 1, "{report}");
}

#[test]
fn a_job_that_ends_between_the_look_and_the_claim_is_not_lost() {
    let report = simulate(|world| {
        let jobs = Jobs::new();
        let slow = Fault::BlocksFor(ms(30));
        let part = Faulty::new(world.runtime(), jobs.clone()).before(Method::Claim, slow);
        let builder = Shutdown::embedded(world.runtime()).component("jobs", part).grace(GRACE);
        let shutdown = builder.start().unwrap();
        let job = jobs.begin("image-17", ()).unwrap();
        let _other = jobs.begin("image-18", ()).unwrap();
        shutdown.begin("a test");
        shutdown.hurry();
        world.advance(ms(20));
        job.complete().unwrap();
        shutdown.finished_blocking()
    });
    assert_eq!((report.jobs.completed, report.jobs.unacknowledged.len()), (1, 1), "{report}");
    assert_eq!(report.components[0].lost, 0, "{report}");
}

#[test]
fn a_close_that_comes_back_when_its_step_is_over_is_late() {
    let report = simulate(|world| {
        let slow = Fault::BlocksFor(Duration::from_secs(1));
        let second = Faulty::new(world.runtime(), Gate::new()).before(Method::Close, slow);
        let lasts = |builder: Builder| {
            builder.grace(Duration::from_secs(60)).at_release("slow", world.sleep(Duration::from_secs(2)))
        };
        hurried(world, lasts, second)
    });
    assert_eq!(report.components[1].closed, Outcome::Late, "{report}");
}

/// `catch_unwind` takes what a panic may pass through.
#[test]
fn what_users_hold_may_see_a_panic_pass() {
    use std::panic::{RefUnwindSafe, UnwindSafe};
    fn holds<T: UnwindSafe + RefUnwindSafe + Send + Sync>() {}
    holds::<sundown::Deadline>();
    holds::<sundown::Watch>();
    holds::<sundown::Readiness>();
    holds::<sundown::Gate>();
    holds::<Jobs<()>>();
    holds::<sundown::Job<()>>();
    holds::<Claims>();
    holds::<Receipt>();
}

#[test]
fn however_short_the_grace_who_hangs_before_its_claim_is_claimed() {
    for method in [Method::Close, Method::InFlight] {
        for grace in [300, 500, 1_000, 1_200, 1_400] {
            let report = simulate(|world| {
                let jobs = Jobs::new();
                let hangs = Faulty::new(world.runtime(), jobs.clone()).before(method, Fault::Blocks);
                let builder = Shutdown::embedded(world.runtime()).component("jobs", hangs);
                let shutdown = builder.hand_over_to(TakesOver::all()).grace(ms(grace)).start().unwrap();
                let _job = jobs.begin("image-17", ()).unwrap();
                shutdown.begin("a test");
                shutdown.finished_blocking()
            });
            assert_eq!(report.jobs.handed_over.len(), 1, "{method}, {grace} ms: {report}");
        }
    }
}

/// Whoever waits for a job is foreign code.
#[test]
fn a_waker_that_hangs_at_the_end_of_a_commit_does_not_keep_the_answers() {
    struct Hangs(World);
    impl Wake for Hangs {
        fn wake(self: Arc<Self>) {
            self.0.block_on(pending())
        }
    }
    let report = simulate(|world| {
        let jobs = Jobs::new();
        let builder = Shutdown::embedded(world.runtime()).component("jobs", jobs.clone());
        let shutdown = builder.grace(GRACE).start().unwrap();
        let job = jobs.begin("image-17", ()).unwrap();
        let (ticket, waker) = (job.ticket(), Waker::from(Arc::new(Hangs(world.clone()))));
        let mut decided = pin!(ticket.decided());
        assert!(decided.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let inner = world.clone();
        world.spawn_task(async move {
            inner.sleep(DRAIN - ms(20)).await;
            let commit = job.commit().unwrap();
            inner.sleep(ms(60)).await;
            commit.done();
        });
        shutdown.begin("a test");
        shutdown.finished_blocking()
    });
    assert_eq!((report.jobs.completed, report.took), (1, DRAIN + ms(40)), "{report}");
}
