//! Lesson 8: testing with the clock.
//!
//! A service that takes the runtime it is given can be tested without one: the testkit simulates a whole process, with
//! threads, signals and thirty seconds of grace, in about a millisecond of real time. The clock stands still until
//! everybody waits; a test moves it, and looks. A seed draws the order of whatever happens at once, and the same seed
//! draws it again: when a sweep fails, `SUNDOWN_SEED` with the number that it prints replays that run.
//!
//! ```text
//! cargo run --example 08_testing_with_the_clock
//! ```

#![forbid(unsafe_code)]

use std::{error::Error, time::Duration};

use sundown::{Jobs, Notifier, Runtime, Shutdown, Signal, StartError};
use sundown_testkit::{
    Fault, Faulty, Method, TakesOver,
    simulation::{Exit, Simulation, World},
};

const GRACE: Duration = Duration::from_secs(30);

/// The service under test: it knows no runtime, and none of this is written for the test.
fn set_up(runtime: impl Runtime, jobs: &Jobs<u32>, monitor: impl Notifier) -> Result<Shutdown, StartError> {
    Shutdown::process(runtime).component("jobs", jobs.clone()).hand_over_to(monitor).grace(GRACE).start()
}

/// Two jobs, of which one ends in time.
fn a_slow_job_is_handed_over(world: &World) -> Result<(), Box<dyn Error>> {
    let (jobs, monitor) = (Jobs::new(), TakesOver::all());
    let shutdown = set_up(world.runtime(), &jobs, monitor.clone())?;
    let (quick, slow) = (jobs.begin("quick", 1)?, jobs.begin("slow", 2)?);

    world.signal(Signal::Term);
    world.advance(Duration::from_secs(10));
    println!("{:?}: draining is {}", world.elapsed(), shutdown.watch().is_draining());
    quick.complete()?;

    let report = shutdown.finished_blocking();
    let taken: Vec<_> = monitor.taken().iter().map(ToString::to_string).collect();
    println!("{:?}: the monitor has {}", world.elapsed(), taken.join(", "));
    println!(
        "{:?}: {} completed; slow can commit: {}",
        world.elapsed(),
        report.jobs.completed,
        slow.commit().is_ok()
    );
    Ok(())
}

/// A monitor that hangs: what is promised holds on every seed.
fn a_hung_monitor_costs_no_promise(world: &World) -> Result<(), Box<dyn Error>> {
    let jobs = Jobs::new();
    let hangs = Faulty::new(world.runtime(), TakesOver::all()).before(Method::Incomplete, Fault::Blocks);
    let _shutdown = set_up(world.runtime(), &jobs, hangs)?;
    let _endless = jobs.begin("endless", 3)?;
    world.terminate(GRACE); // SIGTERM now, and the platform's SIGKILL after the grace
    world.advance(2 * GRACE); // a main that does not come back
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Exit::Returned(tested) = Simulation::seeded(8).run(a_slow_job_is_handed_over).exit {
        tested?;
    }
    Simulation::sweep(0..100, |simulation| {
        let ending = simulation.run(a_hung_monitor_costs_no_promise);
        assert!(matches!(ending.exit, Exit::Exited(1)), "the job is lost, and the exit code says so");
        assert!(ending.took < GRACE, "the platform did not have to kill it");
    });
    println!("a hundred seeds on which the monitor hangs: gone in time on each");
    Ok(())
}
