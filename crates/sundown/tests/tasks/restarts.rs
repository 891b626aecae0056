//! Restarts in virtual time: how often, after how long, and until when.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use crate::bare::{Bare, now};
use sundown::{JoinError, Restart, Tasks};
use sundown_testkit::{
    Recorder,
    simulation::{Simulation, World},
};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What each run does, given its number, from 1.
async fn played<F>(world: &World, restart: Restart, run: impl Fn(u32) -> F + Send + 'static) -> Played
where
    F: Future<Output = Result<u32, String>> + Send + 'static,
{
    let (tasks, events, runs) = (Tasks::new(world.runtime()), world.recorder(), Arc::new(AtomicU32::new(0)));
    let (noted, counted) = (events.clone(), runs.clone());
    let restarting = tasks.restarting(restart, move || {
        noted.note("run");
        run(counted.fetch_add(1, Ordering::Relaxed) + 1)
    });
    let end = tasks.try_spawn("task", restarting).unwrap().await;
    Played { tasks, events, end }
}

struct Played {
    tasks: Tasks,
    events: Recorder,
    end: Result<Result<u32, String>, JoinError>,
}

impl Played {
    /// When the runs began, in milliseconds.
    fn began(&self) -> Vec<u128> {
        self.events.events().iter().map(|event| event.at.as_millis()).collect()
    }
}

fn simulate(
    restart: Restart,
    run: impl Fn(u32) -> Result<u32, String> + Clone + Send + 'static,
    takes: Duration,
) -> Played {
    let ending = Simulation::seeded(1).run(move |world| {
        let (inner, run) = (world.clone(), run.clone());
        world.block_on(played(world, restart, move |n| {
            let (world, run) = (inner.clone(), run.clone());
            async move {
                world.sleep(takes).await;
                run(n)
            }
        }))
    });
    ending.returned()
}

fn fails(n: u32) -> Result<u32, String> {
    Err(format!("failed {n}"))
}

#[test]
fn a_task_that_fails_is_run_again_with_a_backoff_that_doubles_until_its_restarts_are_used_up() {
    let played = simulate(Restart::default(), fails, Duration::ZERO);
    assert_eq!(played.began(), [0, 100, 300, 700, 1_500, 3_100]);
    assert_eq!(played.end, Ok(Err("failed 6".into())));
    let counts = played.tasks.counts();
    assert_eq!((counts.restarted, counts.failed, counts.running), (5, 1, 0), "it is one task");
}

#[test]
fn a_backoff_is_no_longer_than_the_longest() {
    let restart = Restart::default().backoff(ms(100), ms(250));
    let played = simulate(restart, fails, Duration::ZERO);
    assert_eq!(played.began(), [0, 100, 300, 550, 800, 1_050]);
}

#[test]
fn a_task_that_ends_well_is_run_no_more() {
    let played = simulate(Restart::default(), |n| if n < 3 { fails(n) } else { Ok(n) }, Duration::ZERO);
    assert_eq!((played.began().len(), played.end), (3, Ok(Ok(3))));
}

#[test]
fn a_task_that_panics_is_run_again_and_at_last_it_has_panicked() {
    let panics = |n: u32| -> Result<u32, String> { panic!("on purpose, {n}") };
    let played = simulate(Restart::default().times(2), panics, ms(5));
    assert_eq!(played.end, Err(JoinError::Panicked("on purpose, 3".into())));
    assert_eq!((played.tasks.counts().panicked, played.tasks.counts().restarted), (1, 2));
}

#[test]
fn a_task_that_was_well_for_a_while_begins_to_count_anew() {
    // Each run is long enough but for the last two.
    let restart = Restart::default().times(1).well_after(ms(1_000));
    let ending = Simulation::seeded(1).run(|world| {
        let inner = world.clone();
        world.block_on(played(world, restart, move |n| {
            let world = inner.clone();
            async move {
                world.sleep(if n < 4 { ms(1_000) } else { ms(999) }).await;
                fails(n)
            }
        }))
    });
    let played = ending.returned();
    // The fourth is the one restart in a row after the third, which was well; it was not.
    assert_eq!(played.began(), [0, 1_100, 2_200, 3_300]);
    assert_eq!(played.end, Ok(Err("failed 4".into())));
}

#[test]
fn a_task_that_is_to_run_until_the_stop_is_run_again_after_it_ended_well() {
    let restart = Restart::default().after_ends().times(3);
    let played = simulate(restart, Ok, Duration::ZERO);
    assert_eq!((played.began().len(), played.end), (4, Ok(Ok(4))));
}

#[test]
fn a_factory_that_panics_is_a_run_that_panics() {
    let ending = Simulation::seeded(1).run(|world| {
        let restart = Restart::default().times(1);
        world.block_on(played(world, restart, |n| -> std::future::Ready<_> { panic!("no future {n}") }))
    });
    let played = ending.returned();
    assert_eq!(played.end, Err(JoinError::Panicked("no future 2".into())));
}

/// Plays a task that fails at once and for ever, in a group that is stopped after so long.
fn stopped_after(restart: Restart, time: Duration) -> (Duration, Vec<u128>, Tasks) {
    Simulation::seeded(1)
        .run(|world| {
            let (tasks, events) = (Tasks::new(world.runtime()), world.recorder());
            let noted = events.clone();
            let restarting = tasks.restarting(restart, move || {
                noted.note("run");
                std::future::ready(fails(1))
            });
            let task = tasks.try_spawn("task", restarting).unwrap();
            world.advance(time);
            tasks.stop("the test is over");
            assert_eq!(world.block_on(task), Ok(fails(1)));
            world.block_on(tasks.empty());
            let took = world.elapsed();
            world.advance(Duration::from_secs(3600));
            (took, events.events().iter().map(|event| event.at.as_millis()).collect(), tasks)
        })
        .returned()
}

#[test]
fn a_backoff_under_way_ends_at_the_stop_and_nothing_is_run_after_it() {
    let restart = Restart::default().backoff(Duration::from_secs(60), Duration::from_secs(60)).forever();
    let (took, began, tasks) = stopped_after(restart, ms(61_000));
    assert_eq!((took, began), (ms(61_000), vec![0, 60_000]));
    assert_eq!((tasks.counts().failed, tasks.counts().restarted), (1, 1));
}

#[test]
fn a_task_without_a_backoff_leaves_the_others_their_turn() {
    let restart = Restart::default().backoff(Duration::ZERO, Duration::ZERO).forever();
    let (bare, tasks) = Bare::with_tasks();
    let restarting = tasks.restarting(restart, || std::future::ready(Err::<(), _>("at once")));
    let task = tasks.try_spawn("spins", restarting).unwrap();
    bare.poll();
    for restarts in 0..5 {
        assert_eq!(tasks.counts().restarted, restarts, "one a poll");
        bare.poll();
    }
    task.abort();
    bare.poll();
    assert_eq!(now(task), Err(JoinError::Aborted));
}

#[test]
fn a_backoff_of_any_length_is_borne() {
    let restart = Restart::default().backoff(Duration::MAX, Duration::MAX).forever();
    let (took, began, _) = stopped_after(restart, ms(10));
    assert_eq!((took, began.len()), (ms(10), 1));
}
