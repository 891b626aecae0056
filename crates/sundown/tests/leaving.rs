//! Components that leave a running service, in virtual time.

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use sundown::{
    AddComponentError, Deadline, Drainable, Fate, Gate, Jobs, Overdue, PlanError, RemoveComponentError,
    Report, Shutdown,
};
use sundown_testkit::{
    Faulty, Recorder, TakesOver,
    simulation::{Simulation, World},
};

const GRACE: Duration = Duration::from_secs(10);
/// Of which so much is for the drain.
const DRAIN: Duration = Duration::from_millis(6_500);

fn simulate(main: impl Fn(&World)) {
    Simulation::seeded(1).run(main).returned();
}

type Leaving = Pin<Box<dyn Future<Output = Result<(), RemoveComponentError>> + Send>>;

fn leave(shutdown: &Shutdown, name: &str) -> Leaving {
    Box::pin(shutdown.remove_component(name))
}

fn poll(leaving: &mut Leaving) -> Poll<Result<(), RemoveComponentError>> {
    leaving.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn is_too_late(result: &Result<(), RemoveComponentError>) -> bool {
    matches!(result, Err(RemoveComponentError::Draining(_)))
}

fn names(report: &Report) -> Vec<&str> {
    report.components.iter().map(|component| component.name.as_str()).collect()
}

#[test]
fn who_leaves_is_drained_first_and_its_name_is_free_then() {
    simulate(|world| {
        let shutdown = Shutdown::embedded(world.runtime()).grace(GRACE).start().unwrap();
        let (jobs, again) = (Jobs::<()>::new(), Gate::new());
        shutdown.component("tenant", jobs.clone(), []).unwrap();
        let job = jobs.begin("image-17", ()).unwrap();
        let mut leaving = leave(&shutdown, "tenant");
        assert!(poll(&mut leaving).is_pending());
        assert!(jobs.is_closed());
        let taken = shutdown.component("tenant", again.clone(), []);
        assert!(matches!(taken, Err(AddComponentError::Plan(PlanError::TwoOfOneName { .. }))), "{taken:?}");
        job.complete().unwrap();
        assert!(matches!(poll(&mut leaving), Poll::Ready(Ok(()))));
        shutdown.component("tenant", again.clone(), []).unwrap();
        shutdown.begin("a test");
        let report = shutdown.finished_blocking();
        assert!(report.is_clean() && again.is_closed(), "{report}");
        assert_eq!(names(&report), ["tenant"]);
    });
}

#[test]
fn who_is_leaving_when_the_shutdown_begins_is_the_shutdowns() {
    simulate(|world| {
        let jobs = Jobs::<()>::new();
        let builder = Shutdown::embedded(world.runtime()).component("tenant", jobs.clone());
        let shutdown = builder.hand_over_to(TakesOver::all()).grace(GRACE).start().unwrap();
        let _job = jobs.begin("image-17", ()).unwrap();
        let mut leaving = leave(&shutdown, "tenant");
        assert!(poll(&mut leaving).is_pending());
        shutdown.begin("a test");
        world.settle();
        let Poll::Ready(ended) = poll(&mut leaving) else { panic!("it waits for the drain of a shutdown") };
        assert!(is_too_late(&ended), "{ended:?}");
        let report = shutdown.finished_blocking();
        assert_eq!((names(&report), report.jobs.handed_over.len()), (vec!["tenant"], 1), "{report}");
        assert!(is_too_late(&world.block_on(shutdown.remove_component("tenant"))));
    });
}

/// Nobody would claim it: it is as if it were dropped in a service that runs.
#[test]
fn a_job_that_is_dropped_in_a_store_that_leaves_has_failed() {
    simulate(|world| {
        let shutdown = Shutdown::embedded(world.runtime()).grace(GRACE).start().unwrap();
        let jobs = Jobs::<()>::new();
        shutdown.component("tenant", jobs.clone(), []).unwrap();
        let job = jobs.begin("image-17", ()).unwrap();
        let ticket = job.ticket();
        let mut leaving = leave(&shutdown, "tenant");
        assert!(poll(&mut leaving).is_pending());
        drop(job);
        assert_eq!(ticket.fate(), Fate::Failed);
        assert!(matches!(poll(&mut leaving), Poll::Ready(Ok(()))));
    });
}

#[test]
fn a_leaving_that_is_given_up_leaves_the_component_in_its_place() {
    simulate(|world| {
        let gate = Gate::new();
        let builder = Shutdown::embedded(world.runtime()).component("gate", gate.clone());
        let shutdown = builder.grace(GRACE).start().unwrap();
        let inside = gate.enter().unwrap();
        drop(leave(&shutdown, "gate"));
        assert!(!gate.is_closed(), "nothing happens before it is polled");
        let mut first = leave(&shutdown, "gate");
        assert!(poll(&mut first).is_pending());
        drop(first);
        // Two who ask for the same: both are told.
        let mut both = [leave(&shutdown, "gate"), leave(&shutdown, "gate")];
        assert!(both.iter_mut().all(|leaving| poll(leaving).is_pending()));
        drop(inside);
        assert!(both.iter_mut().all(|leaving| matches!(poll(leaving), Poll::Ready(Ok(())))));
        let unknown = world.block_on(shutdown.remove_component("gate"));
        assert!(matches!(unknown, Err(RemoveComponentError::Unknown(_))), "{unknown:?}");
    });
}

#[test]
fn either_the_shutdown_or_the_leaver_has_it_never_both() {
    let mut left = 0;
    for seed in 0..200 {
        let ended = Simulation::seeded(seed).run(|world| {
            let gate = Gate::new();
            let builder = Shutdown::embedded(world.runtime()).component("gate", gate.clone());
            let shutdown = builder.grace(GRACE).start().unwrap();
            let inside = gate.enter().unwrap();
            let handle = shutdown.handle();
            world.spawn("begins", move || handle.begin("a test"));
            world.spawn("works", move || drop(inside));
            let ended = world.block_on(shutdown.remove_component("gate"));
            (ended.is_ok(), names(&shutdown.finished_blocking()).len())
        });
        let (has_left, reported) = ended.returned();
        assert_eq!(usize::from(!has_left), reported, "seed {seed}");
        left += usize::from(has_left);
    }
    assert!((1..200).contains(&left), "the race goes either way: {left} of 200 left");
}

/// A gate that notes its close.
fn noted(world: &World, name: &str, events: &Recorder) -> Faulty<Gate> {
    Faulty::new(world.runtime(), Gate::new()).recorded(name, events)
}

#[test]
fn those_behind_one_that_left_keep_their_place_behind_those_before_it() {
    simulate(|world| {
        let (http, events) = (Gate::new(), world.recorder());
        let shutdown = Shutdown::embedded(world.runtime())
            .component("http", http.clone())
            .component("cache", Gate::new())
            .after(["http"])
            .component("index", Gate::new())
            .after(["cache"])
            .component("database", noted(world, "database", &events))
            .after(["index"])
            .grace(GRACE)
            .start()
            .unwrap();
        for gone in ["cache", "index"] {
            world.block_on(shutdown.remove_component(gone)).unwrap();
        }
        let inside = http.enter().unwrap();
        shutdown.begin("a test");
        world.advance(Duration::from_secs(1));
        assert!(http.is_closed() && !events.has("database close"), "{events}");
        drop(inside);
        assert!(shutdown.finished_blocking().is_clean());
        assert!(events.has("database close"), "{events}");
    });
}

#[test]
fn a_new_one_of_the_name_is_waited_for_as_the_old_one_was() {
    simulate(|world| {
        let (again, events) = (Gate::new(), world.recorder());
        let shutdown = Shutdown::embedded(world.runtime())
            .component("cache", Gate::new())
            .component("database", noted(world, "database", &events))
            .after(["cache"])
            .grace(GRACE)
            .start()
            .unwrap();
        world.block_on(shutdown.remove_component("cache")).unwrap();
        // Nobody can come after one that has left; and none of its name before those that come after it.
        let unknown = shutdown.component("late", Gate::new(), ["cache"]);
        assert!(matches!(unknown, Err(AddComponentError::Plan(PlanError::Unknown { .. }))), "{unknown:?}");
        let cycle = shutdown.component("cache", Gate::new(), ["database"]);
        assert!(matches!(cycle, Err(AddComponentError::Plan(PlanError::Cycle { .. }))), "{cycle:?}");
        shutdown.component("cache", again.clone(), []).unwrap();
        let inside = again.enter().unwrap();
        shutdown.begin("a test");
        world.advance(Duration::from_secs(1));
        assert!(again.is_closed() && !events.has("database close"), "{events}");
        drop(inside);
        assert!(shutdown.finished_blocking().is_clean());
    });
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
        std::future::pending().await
    }
}

#[test]
fn the_deadline_of_one_that_is_leaving_comes_nearer_with_the_shutdown() {
    simulate(|world| {
        let tenant = Deadlines::default();
        let builder = Shutdown::embedded(world.runtime()).component("tenant", tenant.clone());
        let shutdown = builder.grace(GRACE).start().unwrap();
        let mut leaving = leave(&shutdown, "tenant");
        assert!(poll(&mut leaving).is_pending());
        let left = || tenant.0.lock().unwrap()[0].remaining();
        assert!(left() > GRACE);
        shutdown.begin("a test");
        world.settle();
        assert_eq!(left(), DRAIN);
        shutdown.begin_within("a nearer end", GRACE / 2);
        world.settle();
        assert!(left() < DRAIN / 2 + Duration::from_secs(1), "{:?}", left());
        shutdown.finished_blocking();
    });
}

#[test]
fn the_deadline_of_one_that_is_leaving_is_its_allowances_end_once_its_turn_has_come() {
    simulate(|world| {
        let tenant = Deadlines::default();
        let builder = Shutdown::embedded(world.runtime()).component("tenant", tenant.clone());
        let allowance = Duration::from_secs(1);
        let shutdown = builder.within(allowance, Overdue::StopWaiting).grace(GRACE).start().unwrap();
        let mut leaving = leave(&shutdown, "tenant");
        assert!(poll(&mut leaving).is_pending());
        shutdown.begin("a test");
        world.settle();
        let given: Vec<_> = tenant.0.lock().unwrap().iter().map(Deadline::remaining).collect();
        assert_eq!(given, [allowance, allowance]);
        shutdown.finished_blocking();
    });
}

#[test]
fn who_comes_and_goes_leaves_nothing_behind() {
    simulate(|world| {
        let shutdown = Shutdown::embedded(world.runtime()).component("first", Gate::new()).grace(GRACE);
        let shutdown = shutdown.start().unwrap();
        let tenant = Arc::new(Gate::new());
        for _ in 0..1_000 {
            shutdown.component("tenant", tenant.clone(), ["first"]).unwrap();
            world.block_on(shutdown.remove_component("tenant")).unwrap();
        }
        assert_eq!(Arc::strong_count(&tenant), 1);
        shutdown.begin("a test");
        assert_eq!(names(&shutdown.finished_blocking()), ["first"]);
    });
}
