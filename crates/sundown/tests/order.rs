//! Who comes when, for how long, and what happens to who does not end in time: phases, allowances and priorities, in
//! virtual time.

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sundown::{
    Claims, Deadline, Drainable, Gate, InFlight, Job, Jobs, Order, Outcome, Overdue, Report, Shutdown,
    StartError,
};
use sundown_testkit::{
    Fault, Faulty, Method, Recorder, TakesOver,
    simulation::{Simulation, World},
};

const GRACE: Duration = Duration::from_secs(10);
/// When the others have ended.
const OTHERS: Duration = Duration::from_secs(3);
/// The allowance.
const SECOND: Duration = Duration::from_secs(1);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

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

/// When this happened; the first time, if it did more than once.
fn at(events: &Recorder, what: &str) -> Duration {
    let found = events.events().into_iter().find(|event| event.what == what);
    found.unwrap_or_else(|| panic!("{what} is missing from {events}")).at
}

fn step(report: &Report, step: &str) -> Duration {
    let found = report.steps.iter().find(|it| it.step == step);
    found.unwrap_or_else(|| panic!("{step} is missing from {report}")).at
}

/// Has the report and a text of it.
fn cut(report: &Report, component: usize) -> (Duration, Overdue) {
    let cut = report.components[component].cut.unwrap_or_else(|| panic!("it was not cut: {report}"));
    assert!(report.to_string().contains("its allowance was over at"), "{report}");
    (cut.at, cut.then)
}

#[test]
fn who_comes_after_a_component_waits_no_longer_than_its_allowance() {
    simulate(|world| {
        let events = world.recorder();
        let next = Faulty::new(world.runtime(), busy(world, OTHERS)).recorded("next", &events);
        let shutdown = Shutdown::embedded(world.runtime())
            .component("slow", busy(world, GRACE))
            .within(SECOND, Overdue::StopWaiting)
            .component("next", next)
            .after(["slow"])
            .grace(GRACE)
            .start()
            .unwrap();
        shutdown.begin("a test");
        let report = shutdown.finished_blocking();
        assert_eq!(at(&events, "next close"), SECOND, "{report}");
        assert_eq!(cut(&report, 0), (SECOND, Overdue::StopWaiting));
        // Nor does the claim wait for it.
        assert_eq!(step(&report, "claim"), OTHERS, "{report}");
        assert_eq!((&report.components[0].drained, report.components[0].lost), (&Outcome::Late, 1));
        assert!(matches!(report.components[1].drained, Outcome::Done(_)), "{report}");
    });
}

#[test]
fn who_drains_beyond_its_allowance_and_before_the_claim_has_drained_and_was_cut() {
    let report = simulate(|world| {
        let shutdown = Shutdown::embedded(world.runtime())
            .component("slow", busy(world, ms(2_000)))
            .within(SECOND, Overdue::StopWaiting)
            .component("others", busy(world, OTHERS))
            .grace(GRACE)
            .start()
            .unwrap();
        shutdown.begin("a test");
        shutdown.finished_blocking()
    });
    assert_eq!(cut(&report, 0).0, SECOND);
    assert_eq!(report.components[0].drained, Outcome::Done(ms(2_000)), "{report}");
    assert!(report.is_clean(), "{report}");
}

/// Jobs in hand, which `force` drops: then it has drained, too.
struct Hands {
    jobs: Jobs<()>,
    held: Mutex<Vec<Job<()>>>,
}

impl Hands {
    fn holding(jobs: &Jobs<()>, names: &[&str]) -> Arc<Self> {
        let held = names.iter().map(|name| jobs.begin(*name, ()).unwrap()).collect();
        Arc::new(Hands { jobs: jobs.clone(), held: Mutex::new(held) })
    }
}

#[sundown::async_trait]
impl Drainable for Hands {
    fn close(&self, _: &Deadline) {
        self.jobs.close();
    }

    async fn drained(&self) {
        self.jobs.empty().await;
    }

    fn in_flight(&self) -> InFlight {
        self.jobs.in_flight()
    }

    fn claim(&self, claims: &Claims) {
        self.jobs.claim(claims);
    }

    fn force(&self) {
        self.held.lock().unwrap().clear();
    }
}

/// A component that holds a job and goes wrong in such a way, forced after a second; others drain for longer.
fn forced(world: &World, wrong: impl FnOnce(Faulty<Arc<Hands>>) -> Faulty<Arc<Hands>>) -> (Recorder, Report) {
    let events = world.recorder();
    let hands = Hands::holding(&Jobs::new(), &["image-17"]);
    let hands = wrong(Faulty::new(world.runtime(), hands)).recorded("hands", &events);
    let others = Faulty::new(world.runtime(), busy(world, OTHERS)).recorded("others", &events);
    let taker = Faulty::new(world.runtime(), TakesOver::all()).recorded("taker", &events);
    let shutdown = Shutdown::embedded(world.runtime())
        .component("hands", hands)
        .within(SECOND, Overdue::Force)
        .component("others", others)
        .hand_over_to(taker)
        .grace(GRACE)
        .start()
        .unwrap();
    shutdown.begin("a test");
    (events.clone(), shutdown.finished_blocking())
}

/// How often it was called.
fn calls(events: &Recorder, what: &str) -> usize {
    events.events().iter().filter(|event| event.what == what).count()
}

#[test]
fn a_component_that_is_forced_is_claimed_first_and_its_jobs_are_handed_over_with_all_others() {
    simulate(|world| {
        let (events, report) = forced(world, |hands| hands);
        events.assert_order(&[
            "hands claim ended",
            "hands force",
            "others drained ended",
            "taker incomplete",
        ]);
        assert_eq!((at(&events, "hands claim"), at(&events, "hands force")), (SECOND, SECOND));
        assert_eq!(at(&events, "taker incomplete"), OTHERS, "{events}");
        for method in ["claim", "in_flight", "conclude", "force"] {
            assert_eq!(calls(&events, &format!("hands {method}")), 1, "{method}: {events}");
        }
        assert_eq!(cut(&report, 0), (SECOND, Overdue::Force));
        // It drained because it was forced: that is not in its time.
        assert_eq!(report.components[0].drained, Outcome::Late, "{report}");
        assert!(matches!(report.components[0].force, Outcome::Done(_)), "{report}");
        assert_eq!((report.jobs.handed_over.len(), report.components[0].lost), (1, 0), "{report}");
        assert!(report.is_clean(), "{report}");
    });
}

#[test]
fn a_component_whose_claim_goes_wrong_is_forced_in_its_order_only() {
    for fault in [Fault::Panics("no such table".into()), Fault::Blocks] {
        simulate(|world| {
            let (events, report) = forced(world, |hands| hands.before(Method::Claim, fault.clone()));
            events.assert_order(&["hands claim", "others drained ended", "hands conclude", "hands force"]);
            assert_eq!(calls(&events, "hands claim"), 1, "{events}");
            assert!(report.components[0].claim.is_failure(), "{report}");
            assert_eq!(report.jobs.unnamed_in_doubt, 1, "{report}");
            let latest = OTHERS + ms(500);
            assert!(report.took <= latest, "it keeps nobody: {report}");
        });
    }
}

#[test]
fn what_hangs_at_an_early_end_keeps_nobody() {
    for method in [Method::Close, Method::Drained, Method::InFlight, Method::Force] {
        simulate(|world| {
            let (events, report) = forced(world, |hands| hands.before(method, Fault::Blocks));
            let forced = at(&events, "hands force");
            // A claim waits for a close or a look no longer than 50 ms.
            assert!(SECOND <= forced && forced <= SECOND + ms(50), "{method}: {events}");
            assert_eq!(report.jobs.handed_over.len(), 1, "{method}: {report}");
            assert!(report.took <= OTHERS + ms(500), "{method}: {report}");
            assert_eq!(calls(&events, "hands force"), 1, "{method}: {events}");
            assert_eq!(report.components[0].force.is_failure(), method == Method::Force, "{report}");
        });
    }
}

#[test]
fn where_no_thread_is_left_who_is_forced_loses_no_job() {
    let report = simulate(|world| {
        let hands = Hands::holding(&Jobs::new(), &["image-17"]);
        let shutdown = Shutdown::embedded(world.runtime())
            .component("hands", hands)
            .within(SECOND, Overdue::Force)
            .component("others", busy(world, OTHERS))
            .hand_over_to(TakesOver::all())
            .grace(GRACE)
            .start()
            .unwrap();
        world.limit_threads(0);
        shutdown.begin("a test");
        shutdown.finished_blocking()
    });
    assert_eq!(report.jobs.handed_over.len(), 1, "{report}");
    assert!(report.took < GRACE, "{report}");
}

#[test]
fn who_is_forced_last_of_all_is_forced_after_the_answers() {
    simulate(|world| {
        let events = world.recorder();
        let hands = Hands::holding(&Jobs::new(), &["image-17"]);
        let hands = Faulty::new(world.runtime(), hands).recorded("hands", &events);
        let taker = Faulty::new(world.runtime(), TakesOver::all()).recorded("taker", &events);
        let builder = Shutdown::embedded(world.runtime()).component("hands", hands);
        let builder = builder.within(SECOND, Overdue::Force).hand_over_to(taker);
        let shutdown = builder.grace(GRACE).start().unwrap();
        shutdown.begin("a test");
        let report = shutdown.finished_blocking();
        events.assert_order(&["hands claim", "taker incomplete", "hands conclude", "hands force"]);
        assert_eq!((report.took, cut(&report, 0).0), (SECOND, SECOND), "{report}");
    });
}

#[test]
fn a_job_that_commits_before_it_is_forced_is_not_handed_over() {
    let report = simulate(|world| {
        let jobs = Jobs::new();
        let job = jobs.begin("image-17", ()).unwrap();
        let late = jobs.begin("image-18", ()).unwrap();
        let inner = world.clone();
        world.spawn_task(async move {
            inner.sleep(ms(999)).await;
            let commit = job.commit().unwrap();
            inner.sleep(ms(2)).await;
            commit.done();
            assert!(late.commit().is_err(), "it is taken");
        });
        let shutdown = Shutdown::embedded(world.runtime())
            .component("jobs", jobs)
            .within(SECOND, Overdue::Force)
            .component("others", busy(world, OTHERS))
            .hand_over_to(TakesOver::all())
            .grace(GRACE)
            .start()
            .unwrap();
        shutdown.begin("a test");
        shutdown.finished_blocking()
    });
    assert_eq!((report.jobs.completed, report.jobs.handed_over.len()), (1, 1), "{report}");
    assert_eq!(report.components[0].lost, 0, "{report}");
}

#[test]
fn a_component_that_stops_the_rest_brings_the_claim_to_all() {
    let report = simulate(|world| {
        let shutdown = Shutdown::embedded(world.runtime())
            .component("vital", busy(world, GRACE))
            .within(SECOND, Overdue::StopTheRest)
            .component("others", busy(world, GRACE))
            .component("behind", Gate::new())
            .after(["others"])
            .grace(GRACE)
            .start()
            .unwrap();
        shutdown.begin("a test");
        shutdown.finished_blocking()
    });
    assert_eq!(cut(&report, 0), (SECOND, Overdue::StopTheRest));
    assert_eq!((step(&report, "hurried"), step(&report, "claim")), (SECOND, SECOND), "{report}");
    assert!(report.components[1..].iter().all(|component| component.cut.is_none()), "{report}");
    assert_eq!(report.components[2].drained, Outcome::NotCalled, "{report}");
}

#[test]
fn an_allowance_is_live_in_the_deadline_that_close_is_given() {
    struct Asks(Gate, Mutex<Option<Deadline>>);
    #[sundown::async_trait]
    impl Drainable for Asks {
        fn close(&self, deadline: &Deadline) {
            self.0.close();
            *self.1.lock().unwrap() = Some(deadline.clone());
        }
        async fn drained(&self) {
            self.0.empty().await;
        }
    }
    simulate(|world| {
        let asks = Arc::new(Asks(busy(world, GRACE), Mutex::default()));
        let builder = Shutdown::embedded(world.runtime()).component("asks", asks.clone());
        let builder = builder.within(OTHERS, Overdue::StopWaiting).component("others", busy(world, GRACE));
        let shutdown = builder.grace(GRACE).start().unwrap();
        let begun = world.now();
        shutdown.begin("a test");
        world.advance(ms(1));
        let deadline = asks.1.lock().unwrap().clone().unwrap();
        assert_eq!(deadline.at(), begun + OTHERS);
        shutdown.hurry();
        world.settle();
        assert!(deadline.at() <= begun + ms(1), "{deadline:?}");
    });
}

#[test]
fn jobs_of_a_higher_priority_are_offered_first_and_the_others_by_their_components() {
    for seed in 0..50 {
        let taken = Simulation::seeded(seed)
            .run(|world| {
                // Whose claim comes in first is left to chance.
                world.delay_threads(ms(5));
                let taker = TakesOver::all();
                let held: Vec<_> = ["thumbs", "orders", "mails", "logs"]
                    .map(|name| {
                        let jobs = Jobs::<()>::new();
                        let held = [1, 2].map(|n| jobs.begin(format!("{name}-{n}"), ()).unwrap());
                        (name, jobs, held)
                    })
                    .into();
                let builder = Shutdown::embedded(world.runtime()).hand_over_to(taker.clone()).grace(GRACE);
                let priorities = [None, Some(10), Some(10), Some(-1)];
                let shutdown = held
                    .iter()
                    .zip(priorities)
                    .fold(builder, |builder, ((name, jobs, _), priority)| {
                        let builder = builder.component(*name, jobs.clone());
                        priority
                            .into_iter()
                            .fold(builder, |builder, priority| builder.hand_over_priority(priority))
                    })
                    .start()
                    .unwrap();
                shutdown.begin("a test");
                shutdown.hurry();
                shutdown.finished_blocking();
                taker
                    .taken()
                    .iter()
                    .map(|id| id.to_string().split('-').next().unwrap().to_owned())
                    .collect::<Vec<_>>()
            })
            .returned();
        assert_eq!(taken, ["orders", "orders", "mails", "mails", "thumbs", "thumbs", "logs", "logs"]);
    }
}

#[test]
fn a_phase_drains_when_the_one_before_it_has() {
    simulate(|world| {
        let events = world.recorder();
        let part = |name: &str, time| Faulty::new(world.runtime(), busy(world, time)).recorded(name, &events);
        let shutdown = Shutdown::embedded(world.runtime())
            .phases(["ingress", "work"])
            .phases(["storage"])
            .component("database", part("database", ms(0)))
            .phase("storage")
            .component("orders", part("orders", ms(2_000)))
            .phase("work")
            .component("http", part("http", ms(100)))
            .phase("ingress")
            .component("grpc", part("grpc", ms(200)))
            .phase("ingress")
            .grace(GRACE)
            .start()
            .unwrap();
        let joined = Order::new().phase("work").after(["orders"]);
        shutdown.component("mails", part("mails", ms(2_500)), joined).unwrap();
        let refused = shutdown.component("late", Gate::new(), Order::new().phase("wrok")).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "component \"late\" is of phase \"wrok\", which is not among the phases"
        );
        shutdown.begin("a test");
        shutdown.finished_blocking();
        let closed = |name: &str| at(&events, &format!("{name} close"));
        let names = ["http", "grpc", "orders", "mails", "database"];
        assert_eq!(names.map(closed), [0, 0, 200, 2_000, 2_500].map(ms), "{events}");
    });
}

#[test]
fn a_plan_can_be_run_dry_before_the_start_and_at_any_time_after_it() {
    simulate(|world| {
        let builder = Shutdown::embedded(world.runtime()).grace(GRACE).component("http", Gate::new());
        let before = builder.plan().unwrap();
        assert_eq!(before.components[0].latest_finish, ms(6_500));
        let shutdown = builder.start().unwrap();
        assert_eq!(shutdown.plan(GRACE).to_string(), before.to_string());
        shutdown.component("jobs", Gate::new(), ["http"]).unwrap();
        let with_both = shutdown.plan(GRACE);
        assert_eq!(with_both.components.len(), 2);
        assert_eq!(with_both.components[1].latest_start, ms(3_250));
        shutdown.begin("a test");
        shutdown.finished_blocking();
        assert_eq!(shutdown.plan(GRACE).to_string(), with_both.to_string());
    });
}

#[test]
fn what_cannot_work_is_refused_when_the_plan_is_run_dry_as_it_is_at_the_start() {
    simulate(|world| {
        let builder = || Shutdown::embedded(world.runtime()).grace(GRACE);
        let said = |error: StartError| error.to_string();
        let nothing = builder().within(SECOND, Overdue::Force).component("http", Gate::new());
        let expected = "`within` speaks of the component added last, but none was added before it";
        assert_eq!(nothing.plan().map_err(said).unwrap_err(), expected);
        assert_eq!(nothing.start().map_err(said).unwrap_err(), expected);
        let none = builder().component("http", Gate::new()).within(Duration::ZERO, Overdue::StopWaiting);
        let expected = "component \"http\" has an allowance of 0 s: it would be closed and not waited for";
        assert_eq!(none.plan().map_err(said).unwrap_err(), expected);
        assert_eq!(none.start().map_err(said).unwrap_err(), expected);
        assert!(builder().grace(Duration::ZERO).plan().is_err());
    });
}
