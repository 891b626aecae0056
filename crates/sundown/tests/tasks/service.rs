//! Tasks as a component of a shutdown, in virtual time.

use std::{future::pending, sync::mpsc, time::Duration};

use sundown::{Gate, Outcome, RemoveComponentError, Report, Runtime, Shutdown, Tasks, Then};
use sundown_testkit::simulation::{Exit, Simulation, World};

const GRACE: Duration = Duration::from_secs(10);
/// Of which so much is for the drain.
const DRAIN: Duration = Duration::from_millis(6_500);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A service of these tasks, which runs for a second, and is begun if nobody has.
fn serve(set_up: impl Fn(&World, &Tasks)) -> (Report, Tasks) {
    Simulation::seeded(1)
        .run(|world| {
            let tasks = Tasks::new(world.runtime());
            let builder = Shutdown::embedded(world.runtime()).component("tasks", tasks.clone());
            let shutdown = builder.grace(GRACE).start().unwrap();
            set_up(world, &tasks);
            world.advance(Duration::from_secs(1));
            shutdown.begin("the test is over");
            (shutdown.finished_blocking(), tasks.clone())
        })
        .returned()
}

fn notes(report: &Report) -> Vec<(&str, u64)> {
    let notes = report.components[0].notes.iter().filter(|(_, count)| *count > 0);
    notes.map(|(what, count)| (&**what, *count)).collect()
}

#[test]
fn tasks_that_are_told_end_in_time_with_their_groups_deadline() {
    let (report, tasks) = serve(|world, tasks| {
        let (inner, watch) = (world.clone(), tasks.watch());
        let end = async move {
            let deadline = watch.draining().await;
            assert_eq!(deadline.remaining(), DRAIN);
            assert_eq!(watch.reason().unwrap().to_string(), "requested: the test is over");
            inner.sleep(ms(300)).await;
        };
        drop(tasks.group("inner").spawn("obedient", {
            let watch = tasks.watch();
            async move { drop(watch.draining().await) }
        }));
        drop(tasks.spawn("slow", end).unwrap());
    });
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.took, notes(&report)), (ms(300), vec![("tasks completed", 2)]));
    assert!(tasks.is_stopped());
}

#[test]
fn tasks_that_do_not_end_are_named_lost_and_aborted() {
    let (report, tasks) = serve(|_, tasks| {
        drop(tasks.group("inner").spawn("endless", pending::<()>()).unwrap());
    });
    let component = &report.components[0];
    assert_eq!((&component.drained, component.lost), (&Outcome::Late, 1), "{report}");
    let unit = &component.stragglers.as_ref().unwrap().units()[0];
    assert_eq!((&*unit.name, unit.age), ("inner/endless", Some(Duration::from_secs(1) + DRAIN)));
    assert_eq!(tasks.counts().aborted, 1);
}

#[test]
fn a_claim_that_comes_without_a_close_stops_the_tasks_too() {
    let report = Simulation::seeded(1)
        .run(|world| {
            let (first, tasks) = (Gate::new(), Tasks::new(world.runtime()));
            let shutdown = Shutdown::embedded(world.runtime())
                .component("first", first.clone())
                .component("tasks", tasks.clone())
                .after(["first"])
                .grace(GRACE)
                .start()
                .unwrap();
            let _inside = first.enter().unwrap();
            let (watch, inner) = (tasks.watch(), tasks.group("inner"));
            let task = tasks.spawn("task", async move {
                watch.claimed().await;
                inner.watch().claimed().await;
                watch.draining().await.has_passed()
            });
            shutdown.begin("a test");
            world.advance(ms(100));
            assert!(!tasks.watch().is_draining(), "its turn has not come");
            drop(tasks.spawn("may still come", async {}).unwrap());
            shutdown.hurry();
            let report = shutdown.finished_blocking();
            assert_eq!(world.block_on(task.unwrap()), Ok(true));
            report
        })
        .returned();
    assert_eq!(report.components[1].claim, Outcome::Done(Duration::ZERO), "{report}");
}

#[test]
fn a_vital_task_that_fails_begins_the_shutdown_which_is_not_clean() {
    let (report, _) = serve(|world, tasks| {
        let fails = world.sleep(ms(500));
        let fails = async move {
            fails.await;
            Err::<(), _>("no such table")
        };
        drop(tasks.group("inner").task("reader").vital(Then::Shutdown).try_spawn(fails).unwrap());
    });
    let why = "task inner/reader failed: no such table";
    assert_eq!(report.reason.to_string(), format!("requested: {why}"));
    assert_eq!(report.components[0].drained, Outcome::Panicked(why.into()), "{report}");
    assert!(!report.is_clean());
    assert_eq!(notes(&report), [("tasks failed", 1)]);
}

#[test]
fn a_vital_task_that_panics_before_there_is_a_shutdown_begins_it_when_there_is() {
    let report = Simulation::seeded(1)
        .run(|world| {
            let tasks = Tasks::new(world.runtime());
            let task = tasks.task("reader").vital(Then::Shutdown).spawn(async { panic!("on purpose") });
            assert!(world.block_on(task.unwrap()).is_err());
            let builder = Shutdown::embedded(world.runtime()).component("tasks", tasks.clone());
            builder.grace(GRACE).start().unwrap().finished_blocking()
        })
        .returned();
    assert_eq!(report.reason.to_string(), "requested: task reader panicked: on purpose");
    assert!(!report.is_clean());
}

#[test]
fn the_end_of_the_main_task_is_a_reason_and_no_failure() {
    let (report, _) = serve(|_, tasks| {
        drop(tasks.task("main").vital(Then::Shutdown).spawn(async {}).unwrap());
    });
    assert_eq!(report.reason.to_string(), "requested: task main ended");
    assert!(report.is_clean(), "{report}");
}

#[test]
fn a_task_that_ends_when_it_is_told_to_has_not_ended_early() {
    let (report, _) = serve(|_, tasks| {
        let inner = tasks.group("inner");
        let watch = inner.watch();
        let task = inner.task("obedient").on_end(Then::Shutdown);
        drop(task.spawn(async move { drop(watch.draining().await) }).unwrap());
        inner.stop("alone");
    });
    assert_eq!(report.reason.to_string(), "requested: the test is over");
}

#[test]
fn a_task_may_stop_its_group_alone() {
    let (report, tasks) = serve(|_, tasks| {
        let inner = tasks.group("pipeline");
        let watch = inner.watch();
        let ends = async move {
            drop(watch.draining().await);
            assert_eq!(watch.reason().unwrap().to_string(), "requested: task pipeline/source ended");
        };
        drop(inner.spawn("sink", ends).unwrap());
        drop(inner.task("source").on_end(Then::StopGroup).spawn(async {}).unwrap());
        let (outer, watch) = (tasks.clone(), inner.watch());
        let observes = async move {
            inner.empty().await;
            assert!(watch.is_draining() && !outer.is_stopped());
        };
        drop(tasks.spawn("observer", observes).unwrap());
    });
    assert_eq!(report.reason.to_string(), "requested: the test is over");
    assert_eq!(notes(&report), [("tasks completed", 3)], "{report}");
    assert_eq!(tasks.counts().completed, 3);
}

#[test]
fn a_failure_that_is_ignored_is_noted_and_does_no_more() {
    let (report, _) = serve(|_, tasks| {
        drop(tasks.spawn("panics", async { panic!("on purpose") }).unwrap());
    });
    assert!(report.is_clean(), "{report}");
    assert_eq!(notes(&report), [("tasks panicked", 1)]);
}

#[test]
fn a_part_of_the_time_ends_earlier_and_what_is_left_is_aborted() {
    let (report, tasks) = serve(|_, tasks| {
        let brief = tasks.group("brief").within(Duration::from_secs(2));
        let watch = brief.watch();
        let endless = async move {
            assert_eq!(watch.draining().await.remaining(), Duration::from_secs(2));
            pending::<()>().await;
        };
        drop(brief.spawn("endless", endless).unwrap());
    });
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.took, notes(&report)), (Duration::from_secs(2), vec![("tasks aborted", 1)]));
    assert_eq!(tasks.counts().aborted, 1);
}

#[test]
fn a_part_that_is_longer_than_what_there_is_changes_nothing() {
    let (report, _) = serve(|_, tasks| {
        let long = tasks.group("long").within(Duration::from_secs(60));
        let watch = long.watch();
        drop(long.spawn("endless", async move {
            assert_eq!(watch.draining().await.remaining(), DRAIN);
            pending::<()>().await;
        }));
    });
    assert_eq!(report.components[0].lost, 1, "{report}");
}

#[test]
fn a_group_that_was_stopped_alone_follows_the_shutdown_when_it_comes() {
    let (_, tasks) = serve(|world, tasks| {
        let (inner, outer, world) = (tasks.group("inner"), tasks.watch(), world.clone());
        let observes = async move {
            inner.stop("alone");
            let deadline = inner.watch().draining().await;
            assert!(deadline.remaining() > GRACE);
            outer.draining().await;
            world.sleep(ms(1)).await;
            assert_eq!(deadline.remaining(), DRAIN - ms(1));
        };
        drop(tasks.spawn("observer", observes).unwrap());
    });
    assert_eq!(tasks.counts().completed, 1);
}

#[test]
fn tasks_on_a_blocked_runtime_cost_nobody_the_deadline() {
    let ending = Simulation::seeded(1).run(|world| {
        let tasks = Tasks::new(world.runtime());
        let builder = Shutdown::process(world.runtime()).component("tasks", tasks.clone());
        let shutdown = builder.grace(GRACE).start().unwrap();
        drop(tasks.group("brief").within(ms(100)).spawn("endless", pending::<()>()).unwrap());
        world.advance(ms(10));
        world.block_runtime(true);
        world.terminate(GRACE);
        let report = shutdown.finished_blocking();
        assert_eq!(report.components[0].lost, 1, "{report}");
        report.took
    });
    assert!(ending.exit != Exit::Killed, "{:?}", ending.exit);
    assert!(ending.returned() < GRACE);
}

#[test]
fn whatever_the_order_of_things_every_task_is_counted_once() {
    Simulation::sweep(0..200, |simulation| {
        let ending = simulation.run(|world| {
            let tasks = Tasks::new(world.runtime());
            let builder = Shutdown::embedded(world.runtime()).component("tasks", tasks.clone());
            let shutdown = builder.grace(GRACE).start().unwrap();
            let dice = world.seed();
            let mut begun = 0;
            for n in 0..6_u64 {
                let group = if n % 2 == 0 { tasks.clone() } else { tasks.group("inner") };
                let (watch, sleep) = (group.watch(), world.sleep(ms(dice.wrapping_mul(n + 3) % 40)));
                let task = group.task("task").on_panic(Then::StopGroup).spawn(async move {
                    sleep.await;
                    match (dice + n) % 4 {
                        0 => drop(watch.draining().await),
                        1 => panic!("on purpose"),
                        2 => pending().await,
                        _ => {}
                    }
                });
                begun += u64::from(task.is_ok());
                world.advance(ms(dice % 7));
            }
            shutdown.begin("the test is over");
            shutdown.hurry();
            let report = shutdown.finished_blocking();
            world.block_on(tasks.empty());
            let counts = tasks.counts();
            let ended = counts.completed + counts.panicked + counts.aborted;
            assert_eq!((ended, counts.running), (begun, 0), "{counts:?} {report}");
        });
        ending.returned();
    });
}

#[test]
fn a_group_that_was_stopped_alone_follows_a_deadline_that_comes_nearer_later() {
    let (inner, outer) = Simulation::seeded(1)
        .run(|world| {
            let tasks = Tasks::new(world.runtime());
            let builder = Shutdown::embedded(world.runtime()).component("tasks", tasks.clone());
            let shutdown = builder.grace(GRACE).start().unwrap();
            let inner = tasks.group("inner");
            drop(inner.spawn("endless", pending::<()>()).unwrap());
            inner.stop("alone");
            shutdown.begin("the test is over");
            world.advance(ms(10));
            shutdown.begin_within("sooner", Duration::from_secs(2));
            world.advance(ms(10));
            let remaining = |tasks: &Tasks| tasks.watch().draining_blocking().remaining();
            let remains = (remaining(&inner), remaining(&tasks));
            drop(shutdown);
            remains
        })
        .returned();
    assert!(outer < Duration::from_secs(2), "{outer:?}");
    assert_eq!(inner, outer);
}

#[test]
fn a_vital_task_that_fails_while_its_group_leaves_is_in_the_report() {
    let report = Simulation::seeded(1)
        .run(|world| {
            let tasks = Tasks::new(world.runtime());
            let builder = Shutdown::embedded(world.runtime()).component("tasks", tasks.clone());
            let shutdown = builder.grace(GRACE).start().unwrap();
            let watch = tasks.watch();
            let fails = async move {
                watch.draining().await;
                Err::<(), _>("it cannot")
            };
            drop(tasks.task("vital").on_error(Then::Shutdown).try_spawn(fails).unwrap());
            let (leaving, (say, said)) = (shutdown.remove_component("tasks"), mpsc::channel());
            drop(world.runtime().spawn(Box::pin(async move { drop(say.send(leaving.await)) })));
            world.advance(ms(100));
            assert!(matches!(said.recv().unwrap(), Err(RemoveComponentError::Draining(_))));
            shutdown.finished_blocking()
        })
        .returned();
    assert_eq!(report.reason.to_string(), "requested: task vital failed: it cannot");
    assert_eq!(
        report.components[0].drained,
        Outcome::Panicked("task vital failed: it cannot".into()),
        "{report}"
    );
    assert!(!report.is_clean(), "{report}");
}
