//! What one part does to another: allowances, priorities and phases of shutdowns inside others and of components that leave.
//! In virtual time.

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{
    future,
    sync::{Arc, Mutex},
    time::Duration,
};

use sundown::{
    Builder, Deadline, Drainable, Gate, Grace, HandOver, Jobs, Notifier, NotifyError, Overdue, Report,
    Shutdown, Signal,
};
use sundown_testkit::{
    Faulty, TakesOver,
    simulation::{Simulation, World},
};

const GRACE: Duration = Duration::from_secs(10);
/// When the others have ended.
const OTHERS: Duration = Duration::from_secs(3);
/// The allowance.
const SECOND: Duration = Duration::from_secs(1);

fn simulate<T>(main: impl Fn(&World) -> T) -> T {
    Simulation::seeded(1).run(main).returned()
}

/// A gate that somebody is in for so long.
fn busy(world: &World, time: Duration) -> Gate {
    let gate = Gate::new();
    let guard = gate.enter().unwrap();
    let inner = world.clone();
    world.spawn_task(async move {
        inner.sleep(time).await;
        drop(guard);
    });
    gate
}

fn embedded(world: &World) -> Builder {
    Shutdown::embedded(world.runtime()).grace(GRACE)
}

/// A plug-in with a job that does not end, which is forced after a second; others drain for longer.
fn forced(
    world: &World,
    plugin: impl FnOnce(Builder) -> Builder,
    host: impl FnOnce(Builder) -> Builder,
) -> Report {
    let jobs = Jobs::<()>::new();
    let _job = jobs.begin("image-17", ()).unwrap();
    let plugin = plugin(embedded(world).component("jobs", jobs)).start().unwrap();
    let builder = embedded(world).component("plugin", plugin.handle()).within(SECOND, Overdue::Force);
    let host = host(builder.component("others", busy(world, OTHERS))).start().unwrap();
    host.begin("a test");
    host.finished_blocking()
}

#[test]
fn the_jobs_of_a_child_that_is_forced_are_its_parents_to_hand_over() {
    let report = simulate(|world| forced(world, |it| it, |it| it.hand_over_to(TakesOver::all())));
    assert_eq!(report.components[0].cut.unwrap().at, SECOND, "{report}");
    assert_eq!(report.jobs.handed_over.len(), 1, "{report}");
    assert!(report.is_clean(), "{report}");
}

/// Takes over whatever it is offered, half a second later.
struct Slow(World);

#[sundown::async_trait]
impl Notifier for Slow {
    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        self.0.sleep(SECOND / 2).await;
        for job in hand_over.jobs() {
            hand_over.acknowledge(job.key());
        }
        Ok(())
    }
}

#[test]
fn a_child_that_is_forced_has_time_to_hand_over_itself() {
    let report = simulate(|world| forced(world, |it| it.hand_over_to(Slow(world.clone())), |it| it));
    assert_eq!(report.jobs.handed_over.len(), 1, "{report}");
    assert!(report.is_clean(), "{report}");
}

#[test]
fn a_childs_jobs_are_offered_by_its_priority_and_its_place() {
    for seed in 0..50 {
        let taken = Simulation::seeded(seed)
            .run(|world| {
                world.delay_threads(Duration::from_millis(5));
                let taker = TakesOver::all();
                let store = |name: &str| {
                    let jobs = Jobs::<()>::new();
                    (jobs.begin(name, ()).unwrap(), jobs)
                };
                let (_first, first) = store("first");
                let (_inner, inner) = store("inner");
                let (_urgent, urgent) = store("urgent");
                let (_last, last) = store("last");
                let plugin = || embedded(world);
                let tenant = plugin().component("jobs", inner).start().unwrap();
                let payments = plugin().component("jobs", urgent).start().unwrap();
                let shutdown = embedded(world)
                    .component("first", first)
                    .component("tenant", tenant.handle())
                    .component("last", last)
                    .component("payments", payments.handle())
                    .hand_over_priority(10)
                    .hand_over_to(taker.clone())
                    .start()
                    .unwrap();
                shutdown.begin("a test");
                shutdown.hurry();
                shutdown.finished_blocking();
                taker.taken().iter().map(ToString::to_string).collect::<Vec<_>>()
            })
            .returned();
        assert_eq!(taken, ["urgent", "first", "inner", "last"], "seed {seed}");
    }
}

/// It never drains, and keeps the deadlines that it was closed with.
#[derive(Clone, Default)]
struct Deadlines(Arc<Mutex<Vec<Deadline>>>);

#[sundown::async_trait]
impl Drainable for Deadlines {
    fn close(&self, deadline: &Deadline) {
        self.0.lock().unwrap().push(deadline.clone());
    }

    async fn drained(&self) {
        future::pending().await
    }
}

#[test]
fn the_allowance_of_one_that_is_leaving_is_in_the_deadline_that_it_was_closed_with() {
    simulate(|world| {
        let tenant = Deadlines::default();
        let builder =
            embedded(world).component("http", busy(world, SECOND)).component("tenant", tenant.clone());
        let builder = builder.after(["http"]).within(SECOND, Overdue::StopWaiting);
        let shutdown = builder.start().unwrap();
        let handle = shutdown.handle();
        world.spawn_task(async move { drop(handle.remove_component("tenant").await) });
        world.settle();
        shutdown.begin("a test");
        world.advance(SECOND);
        world.settle();
        let left: Vec<_> = tenant.0.lock().unwrap().iter().map(Deadline::remaining).collect();
        assert_eq!(left, [SECOND, SECOND]);
        shutdown.finished_blocking();
    });
}

#[test]
fn those_behind_one_that_left_keep_their_place_behind_the_phase_before_it() {
    simulate(|world| {
        let (http, events) = (Gate::new(), world.recorder());
        let noted = |name| Faulty::new(world.runtime(), Gate::new()).recorded(name, &events);
        let shutdown = embedded(world)
            .phases(["ingress", "work", "storage"])
            .component("http", http.clone())
            .phase("ingress")
            .component("cache", Gate::new())
            .phase("work")
            // By name, and of no phase.
            .component("index", noted("index"))
            .after(["cache"])
            .start()
            .unwrap();
        world.block_on(shutdown.remove_component("cache")).unwrap();
        let inside = http.enter().unwrap();
        shutdown.begin("a test");
        world.advance(SECOND);
        assert!(http.is_closed() && !events.has("index close"), "{events}");
        drop(inside);
        assert!(shutdown.finished_blocking().is_clean());
    });
}

#[test]
fn a_phase_behind_one_that_left_keeps_its_place_behind_those_before_it() {
    simulate(|world| {
        let (http, events) = (Gate::new(), world.recorder());
        let noted = |name| Faulty::new(world.runtime(), Gate::new()).recorded(name, &events);
        let shutdown = embedded(world)
            .phases(["work", "storage"])
            // Of no phase.
            .component("http", http.clone())
            .component("cache", Gate::new())
            .phase("work")
            .after(["http"])
            .component("database", noted("database"))
            .phase("storage")
            .start()
            .unwrap();
        world.block_on(shutdown.remove_component("cache")).unwrap();
        let inside = http.enter().unwrap();
        shutdown.begin("a test");
        world.advance(SECOND);
        assert!(http.is_closed() && !events.has("database close"), "{events}");
        drop(inside);
        assert!(shutdown.finished_blocking().is_clean());
    });
}

#[test]
fn a_child_that_is_leaving_and_hurried_waits_for_no_parent_that_goes_on() {
    simulate(|world| {
        let jobs = Jobs::<()>::new();
        let _job = jobs.begin("image-17", ()).unwrap();
        let plugin = embedded(world).component("jobs", jobs).start().unwrap();
        let host = embedded(world).component("plugin", plugin.handle()).start().unwrap();
        let began = world.now();
        let handle = plugin.handle();
        let inner = world.clone();
        world.spawn_task(async move {
            inner.sleep(SECOND).await;
            handle.hurry();
        });
        world.block_on(host.remove_component("plugin")).unwrap();
        let report = plugin.finished_blocking();
        assert_eq!(world.now() - began, SECOND, "{report}");
        assert_eq!(report.jobs.unacknowledged.len(), 1, "{report}");
        host.begin("a test");
        host.finished_blocking();
    });
}

#[test]
fn a_child_that_is_leaving_when_its_parent_begins_is_its_parents() {
    simulate(|world| {
        let jobs = Jobs::<()>::new();
        let _job = jobs.begin("image-17", ()).unwrap();
        let plugin = embedded(world).component("jobs", jobs).start().unwrap();
        let builder = embedded(world).component("plugin", plugin.handle()).hand_over_to(TakesOver::all());
        let host = builder.start().unwrap();
        let handle = host.handle();
        world.spawn_task(async move { assert!(handle.remove_component("plugin").await.is_err()) });
        world.advance(SECOND);
        host.begin("a test");
        let report = host.finished_blocking();
        assert_eq!(report.jobs.handed_over.len(), 1, "{report}");
        assert!(report.is_clean() && report.took < GRACE, "{report}");
    });
}

#[test]
fn what_a_child_did_is_in_one_report() {
    simulate(|world| {
        let jobs = Jobs::<()>::new();
        let _job = jobs.begin("image-17", ()).unwrap();
        let plugin = embedded(world).component("jobs", jobs).hand_over_to(TakesOver::all()).start().unwrap();
        let hosted = || {
            let host = embedded(world).component("plugin", plugin.handle()).start().unwrap();
            host.begin("a test");
            host.finished_blocking()
        };
        let [first, second] = [hosted(), hosted()];
        assert_eq!(first.jobs.handed_over.len(), 1, "{first}");
        // It had ended before: a service that starts again after its shutdown begins with a new one.
        assert!(second.jobs.handed_over.is_empty() && second.components[0].inner.is_none(), "{second}");
    });
}

#[test]
fn the_plan_of_a_platform_that_gives_no_grace_is_that_of_the_shutdown() {
    simulate(|world| {
        let builder = embedded(world).grace(Grace::named("a platform", Duration::ZERO));
        let builder = builder.component("busy", busy(world, GRACE));
        let plan = builder.plan().unwrap();
        let shutdown = builder.start().unwrap();
        shutdown.begin("a test");
        let report = shutdown.finished_blocking();
        let claim = report.steps.iter().find(|step| step.step == "claim").unwrap().at;
        assert_eq!(plan.components[0].latest_finish, claim, "{plan}{report}");
    });
}

#[test]
fn an_observer_that_panics_costs_those_of_the_same_signal_nothing() {
    simulate(|world| {
        let events = world.recorder();
        let noted = events.clone();
        let shutdown = Shutdown::process(world.runtime())
            .grace(GRACE)
            .on_signal(Signal::Hup, |_| async { panic!("no such file") })
            .on_signal(Signal::Hup, move |_| {
                noted.note("the second");
                async {}
            })
            .start()
            .unwrap();
        for _ in 0..3 {
            world.signal(Signal::Hup);
            world.settle();
        }
        let calls = events.events().len();
        assert_eq!(calls, 3, "{events}");
        shutdown.begin("a test");
        let report = shutdown.finished_blocking();
        // However often it has: the list would grow for as long as the service lives.
        assert_eq!(report.warnings, ["what observes SIGHUP panicked: no such file"]);
    });
}
