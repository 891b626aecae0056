//! A lull, waited for in virtual time.

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::time::Duration;

use sundown::{Gate, Jobs, Tasks};
use sundown_testkit::simulation::Simulation;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_lull_is_waited_for_without_an_end() {
    Simulation::seeded(1)
        .run(|world| {
            let (gate, began) = (Gate::new(), world.now());
            // One after another, each as soon as the last has gone; and others beside them.
            for (at, takes) in [(0, 3), (1, 1), (2, 2), (4, 2)] {
                let (gate, clock) = (gate.clone(), world.clone());
                world.spawn_task(async move {
                    clock.sleep(at * SECOND).await;
                    let _inside = gate.enter().unwrap();
                    clock.sleep(takes * SECOND).await;
                });
            }
            world.advance(SECOND / 2);
            world.block_on(gate.quiet());
            assert_eq!(world.now() - began, 4 * SECOND);
            world.advance(SECOND / 2);
            world.block_on(gate.quiet());
            assert_eq!(world.now() - began, 6 * SECOND);
            assert!(gate.enter().is_ok());
        })
        .returned();
}

#[test]
fn jobs_are_quiet_when_none_runs_and_none_is_promised() {
    Simulation::seeded(1)
        .run(|world| {
            let (jobs, began) = (Jobs::<()>::new(), world.now());
            let permit = jobs.reserve().unwrap();
            let clock = world.clone();
            world.spawn_task(async move {
                clock.sleep(SECOND).await;
                let job = permit.begin("image-17", ()).unwrap();
                clock.sleep(SECOND).await;
                job.complete().unwrap();
            });
            world.block_on(jobs.quiet());
            assert_eq!(world.now() - began, 2 * SECOND);
            assert!(jobs.begin("image-18", ()).is_ok());
        })
        .returned();
}

#[test]
fn tasks_are_quiet_when_none_runs_not_even_in_a_group_inside() {
    Simulation::seeded(1)
        .run(|world| {
            let (tasks, began) = (Tasks::new(world.runtime()), world.now());
            let (inner, clock) = (tasks.group("inner"), world.clone());
            let _task = inner.spawn("sleeps", async move { clock.sleep(SECOND).await }).unwrap();
            world.block_on(tasks.quiet());
            assert_eq!(world.now() - began, SECOND);
            assert!(tasks.spawn("another", async {}).is_ok());
        })
        .returned();
}
