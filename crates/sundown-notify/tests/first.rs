//! Chains of notifiers that go wrong, in virtual time: whatever each link does, every job is somebody's or nobody's,
//! exactly once, and a link that works is reached.

#![allow(clippy::unwrap_used, reason = "what helps tests is a test")]

use std::{
    fmt, io,
    net::TcpListener,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sundown::{
    AbortHandle, Accept, BoxFuture, Drive, HandOver, IncompleteJob, JobLine, Jobs, Notifier, NotifyError,
    Outcome, Report, Reserve, Runtime, Shutdown, StartError,
    host::{Awaited, Host},
};
use sundown_notify::First;
use sundown_testkit::{
    Fault, Faulty, Method, Recorder, TakesOver,
    simulation::{Simulation, Virtual, World},
};

/// How long the hand-over may take in these tests.
const SLICE: Duration = Duration::from_secs(6);

/// As many as there are.
const ALL: usize = usize::MAX;

/// One link: how many jobs it takes, and what goes wrong before and after that.
#[derive(Clone, Debug)]
struct Plan {
    most: usize,
    takes: TakesOver,
    before: Option<Fault>,
    after: Option<Fault>,
}

impl Plan {
    fn taking(most: usize) -> Self {
        Plan { most, takes: TakesOver::first(most), before: None, after: None }
    }

    fn that(fault: Fault) -> Self {
        Plan { before: Some(fault), ..Plan::taking(ALL) }
    }

    fn and_then(self, fault: Fault) -> Self {
        Plan { after: Some(fault), ..self }
    }

    fn link(&self, world: &World, at: usize, recorder: &Recorder) -> Faulty<TakesOver> {
        let mut link =
            Faulty::new(world.runtime(), self.takes.clone()).recorded(format!("link {at}"), recorder);
        if let Some(fault) = &self.before {
            link = link.before(Method::Incomplete, fault.clone());
        }
        if let Some(fault) = &self.after {
            link = link.after(Method::Incomplete, fault.clone());
        }
        link
    }
}

fn chain(world: &World, plans: &[Plan], recorder: &Recorder) -> First {
    let mut links = plans.iter().enumerate().map(|(at, plan)| plan.link(world, at, recorder));
    let first = First::new(world.runtime(), links.next().expect("there is a link"));
    links.fold(first, First::then)
}

/// Goes down with so many jobs, handing over to a chain of these.
fn go_down(world: &World, plans: &[Plan], count: usize) -> Result<Report, StartError> {
    hand_over(world, chain(world, plans, &world.recorder()), count)
}

fn hand_over(world: &World, chain: First, count: usize) -> Result<Report, StartError> {
    let jobs = Jobs::new();
    let shutdown = Shutdown::embedded(world.runtime())
        .component("jobs", jobs.clone())
        .hand_over_to(chain)
        .grace(Duration::from_secs(60))
        .reserve(Reserve::HandOver, SLICE)
        .start()?;
    let _work: Vec<_> = (0..count).map(|n| jobs.begin(format!("job-{n}"), n).unwrap()).collect();
    shutdown.begin("a test");
    shutdown.hurry();
    Ok(shutdown.finished_blocking())
}

fn end(seed: u64, plans: &[Plan], count: usize) -> (Report, Duration) {
    let ending = Simulation::seeded(seed).run(|world| {
        let report = go_down(world, plans, count).unwrap();
        (report, world.elapsed())
    });
    ending.returned()
}

fn ids(lines: &[JobLine]) -> Vec<String> {
    lines.iter().map(|line| line.id.to_string()).collect()
}

fn taken(plan: &Plan) -> Vec<String> {
    plan.takes.taken().iter().map(ToString::to_string).collect()
}

fn failure(report: &Report) -> &str {
    match &report.notifiers[0].incomplete {
        Outcome::Failed(why) => why,
        other => panic!("the hand-over {other}"),
    }
}

#[test]
fn the_next_is_offered_what_the_one_before_did_not_acknowledge() {
    let plans = [2, 1, ALL].map(Plan::taking);
    let (report, took) = end(1, &plans, 5);
    assert!(report.is_clean(), "{report}");
    assert_eq!(taken(&plans[0]), ["job-0", "job-1"]);
    assert_eq!(taken(&plans[1]), ["job-2"]);
    assert_eq!(taken(&plans[2]), ["job-3", "job-4"]);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_link_behind_one_that_took_all_is_not_asked() {
    let plans = [Plan::taking(ALL), Plan::that(Fault::Panics("it was asked".into()))];
    let (report, _) = end(2, &plans, 3);
    assert!(report.is_clean(), "{report}");
}

#[test]
fn a_link_that_goes_wrong_costs_its_part_and_no_more() {
    for fault in [Fault::Hangs, Fault::Blocks, Fault::Panics("on purpose".into()), Fault::Fails("no".into())]
    {
        let plans = [Plan::that(fault.clone()), Plan::that(fault.clone()), Plan::taking(ALL)];
        let (report, took) = end(3, &plans, 4);
        assert_eq!(ids(&report.jobs.handed_over).len(), 4, "{fault:?}: {report}");
        assert!(report.is_clean(), "{fault:?}: {report}");
        let parts = matches!(fault, Fault::Hangs | Fault::Blocks);
        let expected = if parts { SLICE * 2 / 3 } else { Duration::ZERO };
        assert!(
            took >= expected.mul_f64(0.9) && took < expected + Duration::from_secs(1),
            "{fault:?}: {took:?}"
        );
    }
}

#[test]
fn unused_time_flows_on() {
    // The first has a third of six seconds and needs one; the second has half of the other five, less what is kept for the
    // return.
    let slow = |ms| Plan { before: Some(Fault::Slow(Duration::from_millis(ms))), ..Plan::taking(1) };
    let plans = [slow(1000), slow(2300), slow(2300)];
    let (report, _) = end(4, &plans, 3);
    assert!(report.is_clean(), "{report}");
    let plans = [slow(1000), slow(2600), slow(2300)];
    let (report, _) = end(4, &plans, 3);
    assert_eq!(taken(&plans[0]), ["job-0"]);
    assert!(taken(&plans[1]).is_empty(), "it was too slow");
    assert_eq!(taken(&plans[2]), ["job-1"]);
    // The second may have sent it before it was given up.
    assert_eq!(ids(&report.jobs.in_doubt), ["job-2"], "{report}");
}

#[test]
fn an_acknowledgement_by_the_next_ends_the_doubt_of_the_one_before() {
    let plans = [Plan::that(Fault::Hangs), Plan::taking(1)];
    let (report, _) = end(5, &plans, 2);
    assert_eq!(ids(&report.jobs.handed_over), ["job-0"]);
    assert_eq!(ids(&report.jobs.in_doubt), ["job-1"]);
}

#[test]
fn what_one_left_in_doubt_is_offered_to_the_next_marked_so() {
    struct Looks;

    #[sundown::async_trait]
    impl Notifier for Looks {
        async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
            let marked: Vec<_> = hand_over.jobs().iter().map(IncompleteJob::is_in_doubt).collect();
            Err(NotifyError::new(format!("{marked:?}")))
        }
    }
    let ending = Simulation::seeded(11).run(|world| {
        let chain =
            |first: Plan| First::new(world.runtime(), first.link(world, 1, &world.recorder())).then(Looks);
        [Plan::that(Fault::Hangs), Plan::taking(0)].map(|first| hand_over(world, chain(first), 1).unwrap())
    });
    let [hung, refused] = ending.returned();
    assert!(failure(&hung).ends_with("link 2: [true]"), "{hung}");
    assert!(failure(&refused).ends_with("link 2: [false]"), "{refused}");
}

#[test]
fn what_a_link_took_before_it_went_wrong_counts() {
    for fault in [Fault::Hangs, Fault::Blocks, Fault::Panics("on purpose".into())] {
        let plans = [Plan::taking(2).and_then(fault.clone()), Plan::taking(ALL)];
        // `first` fails by itself when there is more; all there is, is two.
        let (report, _) = end(6, &plans, 2);
        assert_eq!(taken(&plans[0]).len(), 2, "{fault:?}");
        assert!(report.is_clean(), "{fault:?}: {report}");
    }
}

#[test]
fn the_error_has_what_all_links_failed_with() {
    let plans = [
        Plan::that(Fault::Fails("the service is down".into())),
        Plan::that(Fault::Panics("no such table".into())),
        Plan::that(Fault::Hangs),
        Plan::taking(1),
    ];
    let (report, _) = end(7, &plans, 3);
    assert_eq!(
        failure(&report),
        "2 of 3 jobs not acknowledged; link 1: the service is down; link 2: it panicked: no such table; \
         link 3: it did not end in its part of the time; link 4: 2 jobs more than the 1 it takes"
    );
}

#[test]
fn what_a_link_failed_with_is_told_though_the_next_has_made_it_good() {
    let plans = [Plan::that(Fault::Fails("the service is down".into())), Plan::taking(ALL)];
    let (report, _) = end(12, &plans, 1);
    assert!(report.is_clean(), "{report}");
    let Outcome::Failed(why) = &report.notifiers[0].finished else { panic!("{report}") };
    assert_eq!(why, "made good by others: link 1: the service is down");
}

#[test]
fn an_effect_that_nobody_wants_to_hear_of_is_no_failure_unless_all_links_failed() {
    /// Takes over what somebody has to do.
    struct TakesJobs;

    #[sundown::async_trait]
    impl Notifier for TakesJobs {
        async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
            hand_over.jobs().iter().for_each(|job| assert!(hand_over.acknowledge(job.key())));
            Ok(())
        }
    }
    let down = || Plan::that(Fault::Fails("the service is down".into()));
    let outcomes = Simulation::seeded(13).run(|world| {
        let link = || down().link(world, 0, &world.recorder());
        let goes_down = |chain: First, count: usize| {
            let jobs = Jobs::new();
            let shutdown = Shutdown::embedded(world.runtime())
                .component("jobs", jobs.clone())
                .hand_over_to(chain)
                .grace(Duration::from_secs(60))
                .reserve(Reserve::HandOver, SLICE)
                .start()
                .unwrap();
            let _commit = jobs.begin("commit", 0).unwrap().commit();
            let _work: Vec<_> = (0..count).map(|n| jobs.begin(format!("job-{n}"), n).unwrap()).collect();
            shutdown.begin("a test");
            shutdown.hurry();
            shutdown.finished_blocking()
        };
        let first = || First::new(world.runtime(), link());
        [goes_down(first().then(TakesJobs), 2), goes_down(first().then(TakesJobs), 0), goes_down(first(), 0)]
    });
    let [some_jobs, no_jobs, all_failed] = outcomes.returned();
    for report in [&some_jobs, &no_jobs] {
        assert!(matches!(report.notifiers[0].incomplete, Outcome::Done(_)), "{report}");
        let Outcome::Failed(why) = &report.notifiers[0].finished else { panic!("{report}") };
        assert_eq!(why, "made good by others: link 1: the service is down");
        assert_eq!(ids(&report.jobs.in_doubt), ["commit"], "{report}");
    }
    assert_eq!(failure(&all_failed), "1 of 1 jobs not acknowledged; link 1: the service is down");
}

#[test]
fn all_links_are_prepared_and_told_of_the_beginning_and_the_end() {
    let ending = Simulation::seeded(8).run(|world| {
        let recorder = world.recorder();
        let hangs = Faulty::new(world.runtime(), TakesOver::all())
            .before(Method::Draining, Fault::Blocks)
            .before(Method::Finished, Fault::Blocks)
            .recorded("link 0", &recorder);
        let works = Faulty::new(world.runtime(), TakesOver::all()).recorded("link 1", &recorder);
        let shutdown = Shutdown::embedded(world.runtime())
            .hand_over_to(First::new(world.runtime(), hangs).then(works))
            .grace(Duration::from_secs(10))
            .start()
            .unwrap();
        shutdown.begin("a test");
        shutdown.finished_blocking();
        for method in ["prepare", "draining", "finished"] {
            assert!(recorder.has(&format!("link 0 {method}")), "{:?}", recorder.events());
            assert!(recorder.has(&format!("link 1 {method} ended")), "{:?}", recorder.events());
        }
    });
    ending.returned();
}

/// Counts the places that are made.
struct Counts(Virtual, Arc<AtomicUsize>);

impl Runtime for Counts {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        self.0.sleep_until(at)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> AbortHandle {
        self.0.spawn(task)
    }

    fn private(&self) -> io::Result<Box<dyn Drive>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Lingers(self.0.private()?, self.0.host())))
    }

    fn adopt(&self, listener: TcpListener) -> io::Result<Box<dyn Accept>> {
        self.0.adopt(listener)
    }

    fn host(&self) -> Arc<dyn Host> {
        self.0.host()
    }
}

/// Takes a moment to be left.
struct Lingers(Box<dyn Drive>, Arc<dyn Host>);

impl Drive for Lingers {
    fn drive(&mut self, future: Pin<&mut (dyn Future<Output = ()> + Send + '_)>) {
        self.0.drive(future);
        self.1.wait(&mut Never, Some(self.1.now() + Duration::from_millis(10)));
    }
}

struct Never;

impl Awaited for Never {
    fn is_ready(&mut self) -> bool {
        false
    }

    fn block(&mut self, _: Option<Instant>) -> bool {
        unreachable!("a simulated host asks whether it is ready")
    }
}

#[test]
fn a_link_keeps_its_place_though_a_call_before_is_given_up() {
    Simulation::sweep(0..50, |simulation| {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = made.clone();
        let ending = simulation.run(move |world| {
            let link = Faulty::new(world.runtime(), TakesOver::all()).before(Method::Draining, Fault::Hangs);
            hand_over(world, First::new(Counts(world.runtime(), counted), link), 1).unwrap()
        });
        let report = ending.returned();
        assert!(report.is_clean(), "{report}");
        assert_eq!(made.load(Ordering::Relaxed), 1, "{report}");
    });
}

#[test]
fn a_link_that_is_set_up_wrongly_fails_the_start_by_name() {
    let ending = Simulation::seeded(9).run(|world| {
        let wrong = |why: &str| {
            Faulty::new(world.runtime(), TakesOver::all()).before(Method::Prepare, Fault::Fails(why.into()))
        };
        let chain =
            First::new(world.runtime(), wrong("no key")).then(TakesOver::all()).then(wrong("no path"));
        let error = Shutdown::embedded(world.runtime()).hand_over_to(chain).start().expect_err("it starts");
        told(&error)
    });
    let told = ending.returned();
    assert!(told.ends_with("link 1: no key; link 3: no path"), "{told}");
}

fn told(error: &dyn std::error::Error) -> String {
    error.source().map_or(error.to_string(), |cause| format!("{error}: {}", told(cause)))
}

#[test]
fn without_threads_links_that_wait_are_still_bounded() {
    let plans = [Plan::that(Fault::Hangs), Plan::taking(ALL)];
    let ending = Simulation::seeded(10).run(|world| {
        let jobs = Jobs::new();
        let shutdown = Shutdown::embedded(world.runtime())
            .component("jobs", jobs.clone())
            .hand_over_to(chain(world, &plans, &world.recorder()))
            .grace(Duration::from_secs(60))
            .reserve(Reserve::HandOver, SLICE)
            .start()
            .unwrap();
        let _job = jobs.begin("job-0", 0).unwrap();
        world.limit_threads(0);
        shutdown.begin("a test");
        shutdown.hurry();
        shutdown.finished_blocking()
    });
    let report = ending.returned();
    assert_eq!(ids(&report.jobs.handed_over), ["job-0"], "{report}");
}

/// What may go wrong with a link, drawn by a seed.
fn draw(dice: &mut fastrand::Rng) -> Option<Fault> {
    let time = Duration::from_millis(dice.u64(0..4000));
    match dice.u32(0..12) {
        0 => Some(Fault::Hangs),
        1 => Some(Fault::Blocks),
        2 => Some(Fault::Slow(time)),
        3 => Some(Fault::BlocksFor(time)),
        4 => Some(Fault::Fails("drawn".into())),
        5 => Some(Fault::Panics("drawn".into())),
        _ => None,
    }
}

#[test]
fn whatever_links_do_every_job_is_accounted_for_once() {
    Simulation::sweep(0..300, |simulation| {
        let dice = &mut fastrand::Rng::with_seed(simulation.seed());
        let count = dice.usize(1..6);
        let plans: Vec<_> = (0..dice.usize(1..5))
            .map(|_| Plan { before: draw(dice), after: draw(dice), ..Plan::taking(dice.usize(0..6)) })
            .collect();
        let report = simulation.run(|world| go_down(world, &plans, count).unwrap()).returned();
        let context = Context(&plans, &report);
        let jobs = &report.jobs;
        let mut all = [ids(&jobs.handed_over), ids(&jobs.unacknowledged), ids(&jobs.in_doubt)].concat();
        all.sort();
        assert_eq!(all, (0..count).map(|n| format!("job-{n}")).collect::<Vec<_>>(), "{context}");
        let mut theirs: Vec<_> = plans.iter().flat_map(taken).collect();
        let mut handed_over = ids(&jobs.handed_over);
        theirs.sort();
        handed_over.sort();
        assert_eq!(theirs, handed_over, "the links took other jobs than were handed over: {context}");
        assert_ne!(report.notifiers[0].incomplete, Outcome::Late, "{context}");
        // A link that takes all and does nothing wrong is reached, wherever it is.
        if plans.iter().any(|plan| plan.before.is_none() && plan.most >= count) {
            assert_eq!(handed_over.len(), count, "{context}");
        }
    });
}

struct Context<'a>(&'a [Plan], &'a Report);

impl fmt::Display for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#?}\n{}", self.0, self.1)
    }
}
