//! Shutdowns inside another, in virtual time.

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sundown::{
    AddComponentError, Builder, Claims, Deadline, Drainable, Gate, IncompleteJob, Jobs, Outcome, Overdue,
    Reason, Receipt, Report, Shutdown,
};
use sundown_testkit::{
    Fault, Faulty, Method, Recorder, TakesOver,
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

/// A store that notes what it is told of its jobs: what a responder tells its clients.
struct Told(Jobs<()>, Recorder);

#[sundown::async_trait]
impl Drainable for Told {
    fn joined(&self, watch: &sundown::Watch) {
        self.0.joined(watch);
    }

    fn close(&self, _: &Deadline) {
        self.0.close();
    }

    async fn drained(&self) {
        self.0.empty().await;
    }

    fn in_flight(&self) -> sundown::InFlight {
        self.0.in_flight()
    }

    fn claim(&self, claims: &Claims) {
        self.0.claim(claims);
    }

    async fn conclude(&self, receipt: &Receipt) {
        self.0.conclude().await;
        let fates: Vec<_> = receipt.jobs().iter().map(|job: &IncompleteJob| job.fate().to_string()).collect();
        self.1.note(format!("told {}", fates.join(" ")));
    }
}

/// A plug-in with jobs, in a host.
struct Stage {
    jobs: Jobs<()>,
    events: Recorder,
    plugin: Shutdown,
    host: Shutdown,
}

fn stage(
    world: &World,
    plugin: impl FnOnce(Builder) -> Builder,
    host: impl FnOnce(Builder) -> Builder,
) -> Stage {
    let (jobs, events) = (Jobs::new(), world.recorder());
    let builder = Shutdown::embedded(world.runtime())
        .component("jobs", Told(jobs.clone(), events.clone()))
        .grace(Duration::from_secs(3));
    let plugin = plugin(builder).start().unwrap();
    let builder = Shutdown::embedded(world.runtime()).component("plugin", plugin.handle()).grace(GRACE);
    let host = host(builder).start().unwrap();
    Stage { jobs, events, plugin, host }
}

fn takes_over(builder: Builder) -> Builder {
    builder.hand_over_to(TakesOver::all())
}

fn alone(builder: Builder) -> Builder {
    builder
}

/// The lists of jobs, each by component and id.
fn lists(report: &Report) -> [Vec<String>; 3] {
    let jobs = &report.jobs;
    [&jobs.handed_over, &jobs.unacknowledged, &jobs.in_doubt]
        .map(|lines| lines.iter().map(|line| format!("{} {}", line.component, line.id)).collect())
}

#[test]
fn a_child_drains_in_its_parents_time_and_for_its_reason() {
    simulate(|world| {
        let stage = stage(world, alone, takes_over);
        let job = stage.jobs.begin("image-17", ()).unwrap();
        stage.host.begin("a test");
        world.advance(ms(100));
        let deadline = world.block_on(stage.plugin.watch().draining());
        assert_eq!(
            deadline.at(),
            world.now() + DRAIN - ms(100),
            "its own grace is shorter, and does not count"
        );
        world.advance(Duration::from_secs(5));
        job.complete().unwrap();
        let report = stage.host.finished_blocking();
        assert!(report.is_clean(), "{report}");
        assert_eq!((report.took, report.jobs.completed), (ms(5_100), 1));
        let own = stage.plugin.finished_blocking();
        assert_eq!((own.reason.clone(), own.jobs.completed), (Reason::Requested("a test".into()), 1));
        let inner = report.components[0].inner.as_ref().unwrap();
        assert_eq!(inner.shutdown, own.shutdown);
        assert!(report.to_string().contains("      component jobs: turn at 0 ms; drain done"), "{report}");
    });
}

#[test]
fn a_parents_nearer_deadline_is_the_childs() {
    simulate(|world| {
        let stage = stage(world, alone, takes_over);
        let _job = stage.jobs.begin("image-17", ()).unwrap();
        stage.host.begin("a test");
        world.advance(ms(100));
        let deadline = world.block_on(stage.plugin.watch().draining());
        stage.host.begin_within("at once", ms(4_000));
        world.settle();
        let host = world.block_on(stage.host.watch().draining());
        assert!(host.at() < world.now() + ms(4_000));
        assert_eq!(deadline.at(), host.at());
        assert!(stage.plugin.deadline().unwrap().at() < stage.host.deadline().unwrap().at());
        let report = stage.host.finished_blocking();
        assert!(report.is_clean() && report.took < ms(4_100), "{report}");
    });
}

#[test]
fn what_a_child_cannot_finish_its_parent_hands_over_and_its_clients_hear_so() {
    for hurried in [false, true] {
        simulate(|world| {
            let stage = stage(world, alone, takes_over);
            let _job = stage.jobs.begin("image-17", ()).unwrap();
            stage.host.begin("a test");
            world.advance(ms(100));
            if hurried {
                stage.host.hurry();
            }
            let report = stage.host.finished_blocking();
            assert!(report.is_clean(), "{report}");
            assert_eq!(lists(&report), [vec!["plugin/jobs image-17".to_owned()], vec![], vec![]]);
            assert_eq!(report.took, if hurried { ms(100) } else { DRAIN }, "{report}");
            stage.events.assert_order(&["told handed-over"]);
            let own = stage.plugin.finished_blocking();
            assert_eq!(lists(&own), [vec!["jobs image-17".to_owned()], vec![], vec![]]);
            assert!(own.is_clean() && own.warnings.is_empty(), "{own}");
            let part = &report.components[0];
            let inner = part.inner.as_ref().unwrap();
            let stragglers = inner.components[0].stragglers.as_ref().unwrap();
            assert_eq!(stragglers.units()[0].name, "image-17", "{report}");
            let stragglers = part.stragglers.as_ref().unwrap();
            assert_eq!(stragglers.units()[0].name, "jobs/image-17", "{report}");
        });
    }
}

#[test]
fn what_the_parents_notifier_does_not_take_the_child_does_not_call_taken() {
    for (fault, fate) in [(Fault::Fails("on purpose".into()), "unacknowledged"), (Fault::Hangs, "in-doubt")] {
        simulate(|world| {
            let taker =
                Faulty::new(world.runtime(), TakesOver::all()).before(Method::Incomplete, fault.clone());
            let stage = stage(world, alone, |builder| builder.hand_over_to(taker));
            let _job = stage.jobs.begin("image-17", ()).unwrap();
            stage.host.begin("a test");
            let report = stage.host.finished_blocking();
            let lost = vec!["plugin/jobs image-17".to_owned()];
            let expected = if fate == "in-doubt" { [vec![], vec![], lost] } else { [vec![], lost, vec![]] };
            assert_eq!(lists(&report), expected, "{report}");
            assert!(!report.is_clean() && report.took < GRACE);
            stage.events.assert_order(&[&format!("told {fate}")]);
            assert!(!stage.plugin.finished_blocking().is_clean());
        });
    }
}

#[test]
fn a_child_with_a_taker_of_its_own_hands_over_itself() {
    for hurried in [false, true] {
        simulate(|world| {
            let events = world.recorder();
            let taker = |name| Faulty::new(world.runtime(), TakesOver::all()).recorded(name, &events);
            let stage = stage(
                world,
                |plugin| plugin.hand_over_to(taker("plugin's")),
                |host| host.hand_over_to(taker("host's")),
            );
            let _job = stage.jobs.begin("image-17", ()).unwrap();
            stage.host.begin("a test");
            world.advance(ms(100));
            if hurried {
                stage.host.hurry();
            }
            let report = stage.host.finished_blocking();
            assert!(report.is_clean(), "{report}");
            assert_eq!(lists(&report), [vec!["plugin/jobs image-17".to_owned()], vec![], vec![]]);
            assert!(events.has("plugin's incomplete") && !events.has("host's incomplete"), "{events}");
            stage.events.assert_order(&["told handed-over"]);
        });
    }
}

#[test]
fn a_child_that_ends_alone_leaves_its_parent_untouched() {
    simulate(|world| {
        let stage = stage(world, alone, takes_over);
        let _job = stage.jobs.begin("image-17", ()).unwrap();
        stage.plugin.begin("it is unloaded");
        let own = stage.plugin.finished_blocking();
        assert_eq!((own.jobs.unacknowledged.len(), own.took < Duration::from_secs(3)), (1, true), "{own}");
        assert!(!stage.host.watch().is_draining());
        stage.host.begin("a test");
        let report = stage.host.finished_blocking();
        assert!(report.is_clean() && report.components[0].inner.is_none(), "{report}");
        assert_eq!((report.took, lists(&report)), (Duration::ZERO, [vec![], vec![], vec![]]));
        assert_eq!(stage.plugin.finished_blocking().shutdown, own.shutdown, "its report stays available");
    });
}

#[test]
fn a_child_that_was_ending_alone_hands_over_to_its_parent_if_that_begins_in_time() {
    simulate(|world| {
        let stage = stage(world, |plugin| plugin.grace(GRACE * 2), takes_over);
        let _job = stage.jobs.begin("image-17", ()).unwrap();
        stage.plugin.begin("it is unloaded");
        world.advance(ms(100));
        stage.host.begin("a test");
        let report = stage.host.finished_blocking();
        assert_eq!(lists(&report), [vec!["plugin/jobs image-17".to_owned()], vec![], vec![]], "{report}");
        assert_eq!(stage.plugin.finished_blocking().reason, Reason::Requested("it is unloaded".into()));
    });
}

#[test]
fn what_was_dropped_in_a_child_that_has_drained_is_handed_over_and_holds_nobody_up() {
    simulate(|world| {
        let other = Gate::new();
        let stage =
            stage(world, alone, |host| takes_over(host).component("other", other.clone()).after(["plugin"]));
        let inside = other.enter().unwrap();
        let job = stage.jobs.begin("image-17", ()).unwrap();
        stage.host.begin("a test");
        world.advance(ms(100));
        drop(job);
        world.advance(ms(100));
        assert!(other.is_closed(), "its turn has come");
        assert!(!stage.events.has("told handed-over"), "nobody has it yet");
        drop(inside);
        let report = stage.host.finished_blocking();
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.took, ms(200));
        assert_eq!(lists(&report), [vec!["plugin/jobs image-17".to_owned()], vec![], vec![]]);
        assert!(matches!(report.components[0].drained, Outcome::Done(_)), "{report}");
        stage.events.assert_order(&["told handed-over"]);
    });
}

/// Its drain is over, and the rest is its parent's: who hurries it does not cut the hand-over short.
#[test]
fn a_child_that_is_hurried_or_dropped_waits_for_its_parent_and_its_parent_not_for_it() {
    for dropped in [false, true] {
        simulate(|world| {
            let (other, mut held) = (Gate::new(), None);
            let component = |host: Builder| takes_over(host).component("other", other.clone());
            let Stage { jobs, events, plugin, host } = stage(world, alone, component);
            let inside = other.enter().unwrap();
            let job = jobs.begin("image-17", ()).unwrap();
            host.begin("a test");
            world.advance(ms(100));
            plugin.hurry();
            if dropped {
                world.spawn("drops it", move || drop(plugin));
            } else {
                held = Some(plugin);
            }
            world.advance(ms(5_000));
            assert!(job.commit().is_err(), "it was claimed when the child was hurried");
            assert!(!events.has("told handed-over") && !events.has("told unacknowledged"), "{events}");
            drop(inside);
            let report = host.finished_blocking();
            assert_eq!(lists(&report), [vec!["plugin/jobs image-17".to_owned()], vec![], vec![]], "{report}");
            assert_eq!(report.took, ms(5_100), "{report}");
            events.assert_order(&["told handed-over"]);
            drop(held);
        });
    }
}

#[test]
fn a_childs_jobs_are_offered_even_if_another_part_of_it_hangs_in_its_claim() {
    simulate(|world| {
        let hangs = Faulty::new(world.runtime(), Jobs::<()>::new()).before(Method::Claim, Fault::Blocks);
        let stage = stage(world, |plugin| plugin.component("hangs", hangs), takes_over);
        let _job = stage.jobs.begin("image-17", ()).unwrap();
        stage.host.begin("a test");
        let report = stage.host.finished_blocking();
        assert_eq!(lists(&report), [vec!["plugin/jobs image-17".to_owned()], vec![], vec![]], "{report}");
        assert!(!report.is_clean(), "who hangs is named: {report}");
        let inner = report.components[0].inner.as_ref().unwrap();
        assert_eq!(inner.components[1].claim, Outcome::Late, "{report}");
    });
}

#[test]
fn what_hangs_in_a_child_is_named_and_holds_its_parent_no_longer_than_its_time() {
    for method in Method::OF_COMPONENTS {
        for fault in [Fault::Hangs, Fault::Blocks, Fault::Panics("on purpose".into())] {
            if method == Method::Joined {
                continue;
            }
            simulate(|world| {
                let part = Faulty::new(world.runtime(), Gate::new()).before(method, fault.clone());
                let stage = stage(world, |plugin| plugin.component("part", part), takes_over);
                let _job = stage.jobs.begin("image-17", ()).unwrap();
                stage.host.begin("a test");
                let report = stage.host.finished_blocking();
                assert!(report.took < GRACE, "{method} {fault:?}: {report}");
                assert_eq!(report.jobs.handed_over.len(), 1, "{method} {fault:?}: {report}");
                let inner = report.components[0].inner.as_ref();
                assert!(inner.is_some(), "{method} {fault:?}: {report}");
            });
        }
    }
}

#[test]
fn where_no_thread_is_left_a_childs_jobs_reach_who_takes_over_all_the_same() {
    simulate(|world| {
        let stage = stage(world, alone, takes_over);
        let _job = stage.jobs.begin("image-17", ()).unwrap();
        world.limit_threads(0);
        stage.host.begin("a test");
        let report = stage.host.finished_blocking();
        assert_eq!(lists(&report), [vec!["plugin/jobs image-17".to_owned()], vec![], vec![]], "{report}");
        assert!(report.is_clean() && report.took < GRACE, "{report}");
        stage.events.assert_order(&["told handed-over"]);
    });
}

#[test]
fn a_grandchilds_jobs_reach_who_takes_over() {
    simulate(|world| {
        let (jobs, events) = (Jobs::new(), world.recorder());
        let embedded = || Shutdown::embedded(world.runtime()).grace(GRACE);
        let inner = embedded().component("jobs", Told(jobs.clone(), events.clone())).start().unwrap();
        let middle = embedded().component("inner", inner).start().unwrap();
        let outer = embedded().component("middle", middle).hand_over_to(TakesOver::all()).start().unwrap();
        let (_job, done) = (jobs.begin("image-17", ()).unwrap(), jobs.begin("image-18", ()).unwrap());
        outer.begin("a test");
        world.advance(ms(100));
        done.complete().unwrap();
        let report = outer.finished_blocking();
        assert!(report.is_clean(), "{report}");
        assert_eq!(lists(&report), [vec!["middle/inner/jobs image-17".to_owned()], vec![], vec![]]);
        assert_eq!((report.jobs.completed, report.took), (1, DRAIN), "{report}");
        events.assert_order(&["told handed-over"]);
        assert_eq!(report.components[0].stragglers.as_ref().unwrap().units()[0].name, "inner/jobs/image-17");
    });
}

#[test]
fn who_would_be_inside_itself_is_refused_and_goes_on_well() {
    simulate(|world| {
        let stage = stage(world, alone, takes_over);
        let refused = |result| assert!(matches!(result, Err(AddComponentError::Inside(_))), "{result:?}");
        refused(stage.host.component("myself", stage.host.handle(), []));
        refused(stage.plugin.component("host", stage.host.handle(), []));
        refused(stage.plugin.component("myself", Arc::new(stage.plugin.handle()), []));
        let other = Shutdown::embedded(world.runtime()).grace(GRACE).start().unwrap();
        other.component("host", stage.host.handle(), []).unwrap();
        refused(stage.plugin.component("other", other.handle(), []));

        let _job = stage.jobs.begin("image-17", ()).unwrap();
        other.begin("a test");
        let report = other.finished_blocking();
        assert_eq!(report.components.len(), 1);
        assert_eq!(lists(&report)[0], ["host/plugin/jobs image-17"], "{report}");
    });
}

#[test]
fn what_a_child_lost_its_parent_has_lost() {
    simulate(|world| {
        let gate = Gate::new();
        let stage = stage(world, |plugin| plugin.component("gate", gate.clone()), takes_over);
        let _inside = gate.enter().unwrap();
        stage.host.begin("a test");
        let report = stage.host.finished_blocking();
        assert!(!report.is_clean());
        assert_eq!(report.components[0].lost, 1, "{report}");
    });
}

#[test]
fn a_child_that_was_never_told_of_its_parent_ends_within_its_deadline_all_the_same() {
    struct Silent(sundown::Handle);
    #[sundown::async_trait]
    impl Drainable for Silent {
        fn close(&self, deadline: &Deadline) {
            self.0.close(deadline);
        }
        async fn drained(&self) {
            self.0.drained().await;
        }
    }
    simulate(|world| {
        let jobs = Jobs::new();
        let plugin = Shutdown::embedded(world.runtime()).component("jobs", jobs.clone()).grace(GRACE);
        let plugin = plugin.start().unwrap();
        let host =
            Shutdown::embedded(world.runtime()).component("plugin", Silent(plugin.handle())).grace(GRACE);
        let host = host.start().unwrap();
        let _job = jobs.begin("image-17", ()).unwrap();
        host.begin("a test");
        assert!(host.finished_blocking().took < DRAIN);
        assert!(plugin.finished_blocking().took < DRAIN);
    });
}

/// Whatever the order of the steps, each job has one fate, in one list.
#[test]
fn each_of_a_childs_jobs_is_accounted_for_once_whatever_the_order_of_the_steps() {
    Simulation::sweep(0..300, |simulation| {
        let report = simulation.run(|world| {
            let stage = stage(world, alone, takes_over);
            let fates = Arc::new(Mutex::new(0));
            for n in 0..4_u64 {
                let job = stage.jobs.begin(format!("image-{n}"), ()).unwrap();
                let (inner, fates) = (world.clone(), fates.clone());
                world.spawn_task(async move {
                    // About when the claim comes.
                    inner.sleep(ms(1_000)).await;
                    inner.give_way();
                    match job.commit() {
                        Ok(commit) => {
                            inner.give_way();
                            commit.done();
                        }
                        Err(_) => *fates.lock().unwrap() += 1,
                    }
                });
            }
            stage.host.begin("a test");
            world.advance(ms(1_000));
            if world.seed() % 2 == 0 {
                stage.plugin.hurry();
            }
            world.give_way();
            stage.host.hurry();
            let report = stage.host.finished_blocking();
            (report, *fates.lock().unwrap())
        });
        let (report, taken) = report.returned();
        let [handed_over, unacknowledged, in_doubt] = lists(&report);
        assert!(unacknowledged.is_empty() && in_doubt.is_empty(), "{report}");
        assert!(handed_over.len() >= taken, "{report}");
        assert_eq!(handed_over.len() + usize::try_from(report.jobs.completed).unwrap(), 4, "{report}");
        assert!(report.is_clean(), "{report}");
    });
}

/// Whatever goes wrong beside them, in the child, in the parent or in who takes over: what a client was told of its job is
/// what the parent's report says, and each job is there once.
#[test]
fn what_a_childs_clients_are_told_is_what_its_parents_report_says_whatever_else_goes_wrong() {
    let faults = [Fault::Hangs, Fault::Blocks, Fault::Panics("on purpose".into()), Fault::Slow(ms(700))];
    Simulation::sweep(0..400, |simulation| {
        let seed = simulation.seed();
        let pick = |of: u64, count: usize| usize::try_from(seed / of).unwrap() % count;
        let fault = || faults[pick(5, faults.len())].clone();
        let ending = simulation.run(|world| {
            let method = Method::OF_COMPONENTS[pick(1, Method::OF_COMPONENTS.len())];
            let method = if method == Method::Joined { Method::Close } else { method };
            let beside = || Faulty::new(world.runtime(), Gate::new()).before(method, fault());
            let taker = || match seed % 3 {
                0 => Faulty::new(world.runtime(), TakesOver::all()).before(Method::Incomplete, fault()),
                _ => Faulty::new(world.runtime(), TakesOver::all()),
            };
            let stage = stage(
                world,
                |plugin| match seed % 5 {
                    0 => plugin.component("beside", beside()),
                    1 => plugin.hand_over_to(taker()),
                    _ => plugin,
                },
                |host| match seed % 7 {
                    0 => host.component("beside", beside()).hand_over_to(taker()),
                    1 => host.within(DRAIN - ms(5), Overdue::Force).hand_over_to(taker()),
                    2 => host.within(DRAIN - ms(5), Overdue::StopWaiting).hand_over_to(taker()),
                    3 => {
                        let host = host.within(DRAIN - ms(300), Overdue::Force);
                        host.component("beside", beside()).hand_over_to(taker())
                    }
                    _ => host.hand_over_to(taker()),
                },
            );
            for n in 0..3 {
                let job = stage.jobs.begin(format!("image-{n}"), ()).unwrap();
                let inner = world.clone();
                world.spawn_task(async move {
                    inner.sleep(DRAIN - ms(20) + ms(10) * n).await;
                    if let Ok(commit) = job.commit() {
                        inner.sleep(ms(15)).await;
                        commit.done();
                    }
                });
            }
            stage.host.begin("a test");
            if seed.is_multiple_of(11) {
                world.advance(ms(100));
                stage.host.hurry();
            }
            (stage.host.finished_blocking(), stage.events.events())
        });
        let (report, events) = ending.returned();
        assert!(report.took < GRACE, "{report}");
        let [handed_over, unacknowledged, in_doubt] = lists(&report);
        let listed = [&handed_over, &unacknowledged, &in_doubt].map(Vec::len);
        let known = listed.iter().sum::<usize>() + usize::try_from(report.jobs.completed).unwrap();
        assert_eq!(known, 3, "{report}");
        let told = events.iter().find_map(|event| event.what.strip_prefix("told "));
        if let Some(told) = told {
            let count = |fate| told.split(' ').filter(|told| *told == fate).count();
            assert_eq!(
                [count("handed-over"), count("unacknowledged"), count("in-doubt")],
                listed,
                "{report}"
            );
        }
    });
}

/// Of those that go before their parents begin, nobody takes the jobs over.
#[test]
fn a_child_that_leaves_with_an_abandoned_job_waits_for_no_parent() {
    simulate(|world| {
        let stage = stage(world, alone, takes_over);
        let job = stage.jobs.begin("image-17", ()).unwrap();
        let leaves = stage.host.remove_component("plugin");
        world.spawn_task(async move {
            leaves.await.unwrap();
        });
        world.advance(ms(100));
        drop(job);
        world.advance(ms(100));
        assert!(stage.events.has("told unacknowledged"), "{}", stage.events);
        let own = stage.plugin.finished_blocking();
        assert_eq!(lists(&own), [vec![], vec!["jobs image-17".to_owned()], vec![]], "{own}");
        assert!(own.took < GRACE, "{own}");
        assert_eq!(own.warnings, ["nobody was named to take over unfinished jobs"]);
        stage.host.begin("a test");
        assert!(stage.host.finished_blocking().is_clean());
    });
}

#[test]
fn a_child_that_is_forced_when_its_allowance_is_over_still_hands_over() {
    for own_taker in [false, true] {
        simulate(|world| {
            let (jobs, events, other) = (Jobs::new(), world.recorder(), Gate::new());
            let slow = Faulty::new(world.runtime(), TakesOver::all())
                .before(Method::Incomplete, Fault::Slow(ms(200)))
                .recorded("plugin's", &events);
            let work = Faulty::new(world.runtime(), Gate::new()).recorded("work", &events);
            let plugin = Shutdown::embedded(world.runtime())
                .component("jobs", Told(jobs.clone(), events.clone()))
                .component("work", work)
                .grace(GRACE);
            let plugin = if own_taker { plugin.hand_over_to(slow) } else { plugin };
            let plugin = plugin.start().unwrap();
            let host = Shutdown::embedded(world.runtime())
                .component("plugin", plugin.handle())
                .within(ms(500), Overdue::Force)
                .component("other", other.clone())
                .hand_over_to(TakesOver::all())
                .grace(GRACE)
                .start()
                .unwrap();
            let inside = other.enter().unwrap();
            let _job = jobs.begin("image-17", ()).unwrap();
            host.begin("a test");
            world.advance(ms(600));
            assert!(events.has("work force"), "what is left of it is dropped at once: {events}");
            world.advance(ms(900));
            drop(inside);
            let report = host.finished_blocking();
            assert_eq!(lists(&report), [vec!["plugin/jobs image-17".to_owned()], vec![], vec![]], "{report}");
            assert!(report.is_clean(), "{report}");
            events.assert_order(&["told handed-over"]);
            drop(plugin);
        });
    }
}

#[test]
fn what_a_grandchild_hands_over_itself_is_in_every_report_above_it_once() {
    simulate(|world| {
        let jobs = [Jobs::new(), Jobs::new()];
        let embedded = || Shutdown::embedded(world.runtime()).grace(GRACE);
        let inner =
            embedded().component("jobs", jobs[0].clone()).hand_over_to(TakesOver::all()).start().unwrap();
        let middle = embedded().component("inner", inner).component("jobs", jobs[1].clone()).start().unwrap();
        let outer = embedded().component("middle", middle).hand_over_to(TakesOver::all()).start().unwrap();
        let begun = jobs.each_ref().map(|jobs| (jobs.begin("a", ()).unwrap(), jobs.begin("b", ()).unwrap()));
        outer.begin("a test");
        world.advance(ms(100));
        let _held = begun.map(|(held, done)| {
            done.complete().unwrap();
            held
        });
        let report = outer.finished_blocking();
        let mut lists = lists(&report);
        lists[0].sort();
        assert_eq!(
            lists,
            [vec!["middle/inner/jobs a".to_owned(), "middle/jobs a".to_owned()], vec![], vec![]],
            "{report}"
        );
        assert_eq!(report.jobs.completed, 2, "{report}");
        assert!(report.is_clean(), "{report}");
    });
}

#[test]
fn a_child_that_is_two_components_has_its_jobs_in_the_report_once() {
    for own_taker in [false, true] {
        simulate(|world| {
            let jobs = Jobs::new();
            let plugin = Shutdown::embedded(world.runtime()).component("jobs", jobs.clone()).grace(GRACE);
            let plugin = if own_taker { takes_over(plugin) } else { plugin };
            let plugin = plugin.start().unwrap();
            let host = Shutdown::embedded(world.runtime())
                .component("plugin", plugin.handle())
                .component("again", plugin.handle());
            let host = takes_over(host).grace(GRACE).start().unwrap();
            let _job = jobs.begin("image-17", ()).unwrap();
            host.begin("a test");
            let report = host.finished_blocking();
            assert_eq!((report.jobs.handed_over.len(), report.is_clean()), (1, true), "{report}");
            let total = |at: usize| report.components[at].stragglers.as_ref().unwrap().total();
            assert_eq!([total(0), total(1)], [Some(1); 2], "each is asked: {report}");
        });
    }
}

#[test]
fn a_childs_jobs_have_the_priority_of_the_child() {
    simulate(|world| {
        let (first, last) = (Jobs::new(), Jobs::new());
        let plugin = Shutdown::embedded(world.runtime()).component("jobs", first.clone()).grace(GRACE);
        let plugin = plugin.start().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let host = Shutdown::embedded(world.runtime())
            .component("other", last.clone())
            .component("plugin", plugin.handle())
            .hand_over_priority(1)
            .hand_over_to(Seen(seen.clone()))
            .grace(GRACE);
        let host = host.start().unwrap();
        let _held = (first.begin("first", ()).unwrap(), last.begin("last", ()).unwrap());
        host.begin("a test");
        host.finished_blocking();
        assert_eq!(*seen.lock().unwrap(), ["first", "last"]);
    });
}

/// Takes all over, and notes in which order they came.
struct Seen(Arc<Mutex<Vec<String>>>);

#[sundown::async_trait]
impl sundown::Notifier for Seen {
    async fn incomplete(&self, hand_over: &sundown::HandOver) -> Result<(), sundown::NotifyError> {
        for job in hand_over.jobs() {
            self.0.lock().unwrap().push(job.id().to_string());
            hand_over.acknowledge(job.key());
        }
        Ok(())
    }
}

/// A wrapper that does not say that it joined cannot be refused.
#[test]
fn one_that_is_inside_itself_unnoticed_is_asked_once_and_ends_in_time() {
    struct Silent(sundown::Handle);
    #[sundown::async_trait]
    impl Drainable for Silent {
        fn close(&self, deadline: &Deadline) {
            self.0.close(deadline);
        }
        async fn drained(&self) {
            self.0.drained().await;
        }
        fn in_flight(&self) -> sundown::InFlight {
            self.0.in_flight()
        }
        fn claim(&self, claims: &Claims) {
            self.0.claim(claims);
        }
    }
    simulate(|world| {
        let host = Shutdown::embedded(world.runtime()).grace(GRACE).start().unwrap();
        host.component("myself", Silent(host.handle()), []).unwrap();
        assert_eq!(host.progress().snapshot().components[0].in_flight.total(), Some(1));
        host.begin("a test");
        assert!(host.finished_blocking().took < GRACE);
    });
}

/// The shutdown may begin between its joining and its being told so.
#[test]
fn a_child_that_is_told_late_whose_child_it_is_hands_over_to_it_all_the_same() {
    struct Late(sundown::Handle, Arc<Mutex<Option<sundown::Watch>>>);
    #[sundown::async_trait]
    impl Drainable for Late {
        fn joined(&self, watch: &sundown::Watch) {
            *self.1.lock().unwrap() = Some(watch.clone());
        }
        fn close(&self, deadline: &Deadline) {
            self.0.close(deadline);
        }
        async fn drained(&self) {
            self.0.drained().await;
        }
        fn claim(&self, claims: &Claims) {
            self.0.claim(claims);
        }
        async fn conclude(&self, receipt: &Receipt) {
            self.0.conclude(receipt).await;
        }
    }
    simulate(|world| {
        let (jobs, watch) = (Jobs::new(), Arc::new(Mutex::new(None)));
        let plugin = Shutdown::embedded(world.runtime()).component("jobs", jobs.clone()).grace(GRACE);
        let plugin = plugin.start().unwrap();
        let host = Shutdown::embedded(world.runtime())
            .component("plugin", Late(plugin.handle(), watch.clone()))
            .hand_over_to(TakesOver::all())
            .grace(GRACE);
        let host = host.start().unwrap();
        let _job = jobs.begin("image-17", ()).unwrap();
        host.begin("a test");
        world.advance(ms(100));
        plugin.handle().joined(&watch.lock().unwrap().take().unwrap());
        world.advance(ms(100));
        host.hurry();
        let report = host.finished_blocking();
        assert_eq!(lists(&report), [vec!["plugin/jobs image-17".to_owned()], vec![], vec![]], "{report}");
    });
}
