//! What those who look on are told, in virtual time.

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Wake, Waker},
    time::Duration,
};

use sundown::{Gate, Jobs, Shutdown, Snapshot, Step, Turn};
use sundown_testkit::{
    Fault, Faulty, Method, TakesOver,
    simulation::{Simulation, World},
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

fn turns(snapshot: &Snapshot) -> Vec<Turn> {
    snapshot.components.iter().map(|component| component.turn).collect()
}

/// All that a follower is told until the end, each with the time at which it was.
fn follow(world: &World, shutdown: &Shutdown) -> Arc<Mutex<Vec<(Duration, Snapshot)>>> {
    let (told, mut progress, inner) = (Arc::default(), shutdown.progress(), world.clone());
    let theirs: Arc<Mutex<Vec<(Duration, Snapshot)>>> = Arc::clone(&told);
    world.spawn("follower", move || {
        inner.block_on(async {
            while let Some(snapshot) = progress.changed().await {
                theirs.lock().unwrap().push((inner.elapsed(), snapshot));
            }
        });
    });
    world.settle();
    told
}

#[test]
fn a_follower_is_told_of_every_step_and_every_turn() {
    simulate(|world| {
        let (http, jobs) = (Gate::new(), Jobs::new());
        let slow = Faulty::new(world.runtime(), TakesOver::all());
        let shutdown = Shutdown::embedded(world.runtime())
            .component("http", http.clone())
            .component("jobs", jobs.clone())
            .after(["http"])
            .hand_over_to(slow.before(Method::Incomplete, Fault::Slow(ms(100))))
            .grace(GRACE)
            .start()
            .unwrap();
        let told = follow(world, &shutdown);
        let (inside, _job) = (http.enter().unwrap(), jobs.begin("image-17", ()).unwrap());
        shutdown.begin("a test");
        world.advance(ms(300));
        drop(inside);
        let report = shutdown.finished_blocking();
        world.settle();

        let told = told.lock().unwrap();
        let steps: Vec<_> = told.iter().map(|(_, snapshot)| snapshot.step).collect();
        let order = [Step::Running, Step::Drain, Step::Claim, Step::HandOver, Step::Finished];
        let mut left = steps.iter();
        assert!(order.iter().all(|step| left.any(|told| told == step)), "{steps:?}");
        assert!(steps.is_sorted(), "{steps:?}");
        let drains: Vec<_> = told.iter().filter(|(_, snapshot)| snapshot.step == Step::Drain).collect();
        assert_eq!(drains[0].0, Duration::ZERO);
        assert_eq!(turns(&drains[0].1), [Turn::Draining, Turn::Waiting]);
        assert_eq!(drains[0].1.left, Some(GRACE - ms(250)), "until the margin");
        // It shares the drain with the one behind it.
        assert_eq!(drains[0].1.components[0].left, Some(DRAIN / 2));
        assert_eq!(drains[0].1.components[0].in_flight.total(), Some(1));
        let last = drains.last().unwrap();
        assert_eq!((last.0, turns(&last.1)), (ms(300), vec![Turn::Ended, Turn::Draining]));
        assert_eq!(last.1.components[1].in_flight.units()[0].name, "image-17");
        assert_eq!(report.components[1].turn, Some(ms(300)), "{report}");
        assert!(report.to_string().contains("component jobs: turn at 300 ms; drain did not end"), "{report}");
        let finished = &told.last().unwrap().1;
        assert_eq!(finished.components[1].in_flight.total(), Some(1), "what it had at the claim: {finished}");
    });
}

#[test]
fn who_is_slow_is_told_the_latest_alone_and_then_the_end() {
    simulate(|world| {
        let shutdown = Shutdown::embedded(world.runtime()).component("gate", Gate::new()).grace(GRACE);
        let shutdown = shutdown.start().unwrap();
        let mut progress = shutdown.progress();
        assert_eq!(world.block_on(progress.changed()).unwrap().step, Step::Running);
        shutdown.begin("a test");
        shutdown.finished_blocking();
        assert_eq!(world.block_on(progress.changed()).unwrap().step, Step::Finished);
        assert!(world.block_on(progress.changed()).is_none());
        let mut late = shutdown.progress();
        assert_eq!(world.block_on(late.changed()).unwrap().step, Step::Finished);
        assert!(world.block_on(late.changed()).is_none());
    });
}

#[test]
fn who_drops_the_future_is_told_the_next_time() {
    simulate(|world| {
        let shutdown = Shutdown::embedded(world.runtime()).grace(GRACE).start().unwrap();
        let mut progress = shutdown.progress();
        world.block_on(progress.changed());
        {
            let mut changed = pin!(progress.changed());
            assert!(changed.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            shutdown.begin("a test");
            shutdown.finished_blocking();
        }
        assert_eq!(world.block_on(progress.changed()).unwrap().step, Step::Finished);
    });
}

#[test]
fn a_component_that_joins_and_a_deadline_that_comes_nearer_are_changes() {
    simulate(|world| {
        let gate = Gate::new();
        let shutdown = Shutdown::embedded(world.runtime()).grace(GRACE).start().unwrap();
        let mut progress = shutdown.progress();
        assert!(world.block_on(progress.changed()).unwrap().components.is_empty());
        shutdown.component("gate", gate.clone(), []).unwrap();
        let joined = world.block_on(progress.changed()).unwrap();
        assert_eq!((joined.step, turns(&joined)), (Step::Running, vec![Turn::Waiting]));
        assert_eq!(joined.components[0].in_flight.total(), Some(0));

        let _inside = gate.enter().unwrap();
        shutdown.begin("a test");
        world.settle();
        let before = world.block_on(progress.changed()).unwrap();
        shutdown.begin_within("at once", GRACE / 2);
        world.settle();
        let after = world.block_on(progress.changed()).unwrap();
        assert_eq!((before.step, after.step), (Step::Drain, Step::Drain));
        assert!(after.left < before.left && after.components[0].left < before.components[0].left, "{after}");
        assert_eq!(after.to_string().lines().nth(1).unwrap(), "  gate: draining, 1 in flight; 3.125 s left");
    });
}

/// A waker that hangs keeps its errand, and nobody else.
#[test]
fn a_follower_whose_waker_hangs_holds_nobody_up() {
    struct Hangs(World);
    impl Wake for Hangs {
        fn wake(self: Arc<Self>) {
            self.0.block_on(std::future::pending())
        }
    }
    simulate(|world| {
        let shutdown = Shutdown::embedded(world.runtime()).component("gate", Gate::new()).grace(GRACE);
        let shutdown = shutdown.start().unwrap();
        let told = follow(world, &shutdown);
        let (mut hangs, waker) = (shutdown.progress(), Waker::from(Arc::new(Hangs(world.clone()))));
        world.block_on(hangs.changed());
        let mut changed = pin!(hangs.changed());
        assert!(changed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        shutdown.begin("a test");
        assert_eq!(shutdown.finished_blocking().took, Duration::ZERO);
        world.settle();
        assert!(!told.lock().unwrap().is_empty());
    });
}

#[test]
fn a_component_that_panics_when_it_is_asked_is_unknown_and_the_others_are_told() {
    simulate(|world| {
        let panics = Fault::Panics("on purpose".into());
        let part = Faulty::new(world.runtime(), Gate::new()).before(Method::InFlight, panics);
        let jobs = Jobs::new();
        let builder = Shutdown::embedded(world.runtime()).component("part", part);
        let shutdown = builder.component("jobs", jobs.clone()).grace(GRACE).start().unwrap();
        let _job = jobs.begin("image-17", ()).unwrap();
        let snapshot = shutdown.progress().snapshot();
        assert_eq!(snapshot.components[0].in_flight.total(), None);
        assert_eq!(snapshot.components[1].in_flight.total(), Some(1));
        assert_eq!(
            snapshot.to_string().lines().nth(1).unwrap(),
            "  part: waiting, in flight: unknown",
            "{snapshot}"
        );
    });
}

/// Whoever looks on between the conductor's own look and the claim must not change what is accounted for.
#[test]
fn looking_on_costs_no_job_its_account() {
    let report = simulate(|world| {
        let jobs = Jobs::new();
        let slow = Faulty::new(world.runtime(), jobs.clone()).before(Method::Claim, Fault::BlocksFor(ms(30)));
        let shutdown =
            Shutdown::embedded(world.runtime()).component("jobs", slow).grace(GRACE).start().unwrap();
        let (job, _other) = (jobs.begin("image-17", ()).unwrap(), jobs.begin("image-18", ()).unwrap());
        shutdown.begin("a test");
        shutdown.hurry();
        world.advance(ms(20));
        job.complete().unwrap();
        let snapshot = shutdown.progress().snapshot();
        assert_eq!(snapshot.components[0].in_flight.total(), Some(2), "from the claim on: {snapshot}");
        assert_eq!(jobs.in_flight().total(), Some(1));
        shutdown.finished_blocking()
    });
    assert_eq!((report.jobs.completed, report.jobs.unacknowledged.len()), (1, 1), "{report}");
    assert_eq!(report.components[0].lost, 0, "{report}");
}

#[test]
fn a_snapshot_is_a_record() {
    simulate(|world| {
        let shutdown = Shutdown::embedded(world.runtime()).component("gate", Gate::new()).grace(GRACE);
        let shutdown = shutdown.start().unwrap();
        let record = serde_json::to_value(shutdown.progress().snapshot()).unwrap();
        assert_eq!(
            record,
            serde_json::json!({
                "step": "running",
                "reason": null,
                "left": null,
                "components": [{
                    "name": "gate",
                    "turn": "waiting",
                    "left": null,
                    "in_flight": { "total": 0, "units": [] },
                }],
            })
        );
    });
}

#[test]
fn who_follows_may_do_so_from_anywhere() {
    fn holds<T: Send + Sync + Unpin>() {}
    holds::<sundown::Progress>();
    holds::<Snapshot>();
}
