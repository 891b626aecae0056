//! What the core does with its time, in virtual time. Most of these were found by a seed of the simulation.

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{sync::Arc, time::Duration};

use sundown::{
    Claims, Deadline, Drainable, Fate, Gate, IncompleteJob, Jobs, Outcome, Receipt, Report, Shutdown,
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
    match Simulation::seeded(1).run(main).exit {
        Exit::Returned(value) => value,
        other => panic!("{other}"),
    }
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

#[test]
fn a_component_whose_turn_never_came_and_whose_close_hangs_is_claimed_all_the_same() {
    let report = simulate(|world| {
        let (first, jobs) = (Gate::new(), Jobs::new());
        let hangs = Faulty::new(world.runtime(), jobs.clone()).before(Method::Close, Fault::Blocks);
        let shutdown = Shutdown::embedded(world.runtime())
            .component("first", first.clone())
            .component("second", hangs)
            .after(["first"])
            .hand_over_to(TakesOver::all())
            .grace(GRACE)
            .start()
            .unwrap();
        let _inside = first.enter().unwrap();
        let _job = jobs.begin("image-17", ()).unwrap();
        shutdown.begin("a test");
        shutdown.hurry();
        shutdown.finished_blocking()
    });
    assert_eq!(report.jobs.handed_over.len(), 1, "{report}");
    assert_eq!(report.components[1].drained, Outcome::Late, "the culprit is named: {report}");
}

#[test]
fn a_component_whose_turn_never_came_and_whose_close_panics_is_named() {
    let report = simulate(|world| {
        let first = Gate::new();
        let panics = Fault::Panics("no such table".into());
        let shutdown = Shutdown::embedded(world.runtime())
            .component("first", first.clone())
            .component("second", Faulty::new(world.runtime(), Gate::new()).before(Method::Close, panics))
            .after(["first"])
            .grace(GRACE)
            .start()
            .unwrap();
        let _inside = first.enter().unwrap();
        shutdown.begin("a test");
        shutdown.hurry();
        shutdown.finished_blocking()
    });
    assert_eq!(report.components[1].drained, Outcome::Panicked("no such table".into()));
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
