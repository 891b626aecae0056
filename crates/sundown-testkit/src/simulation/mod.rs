//! A whole shutdown in virtual time, on one thread, replayed to the letter by its seed.
//!
//! What runs is the shutdown itself: its conductor, its errands, its timeline, the same code as in a service. Only the
//! machine under it is made up: threads are stacks that one real thread switches between, as the seed draws, and the
//! clock moves only when all of them wait, to the next moment that any of them waits for. So thirty seconds of grace
//! take a millisecond, an order of events that happens once in a million can be found, and a failure happens again.
//!
//! What must hold for that:
//!
//! * Everything under test waits through the simulation ([`World`], its [runtime](Virtual), sundown's own types, or
//!   anything else that waits by a `Waker`), not on real time, real threads or real sockets.
//! * No lock of `std`'s is held across a wait: whoever else wants it would block the one real thread, for good.
//! * Nothing depends on what differs between two runs of a program, such as the order in a `HashMap`. (A
//!   [`Jobs`](sundown::Jobs) has its name from the shutdown that it has joined: begin jobs after `start`.)
//! * Thread-locals are shared: all threads of a simulation are one.
//!
//! Between two waits a thread is not interrupted; [`World::give_way`] is a place where it can be. So the simulation finds
//! wrong orders of steps, not data races between atomics: those are for tests on real threads.
//!
//! When the process is over, each thread that waits is unwound, and destructors run. One that waits does so no longer,
//! and one that waits for a *report* aborts, as a panic in a destructor does.

mod machine;
mod runtime;
mod scheduler;
mod world;

use std::{
    env, fmt,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use sundown::Signal;

use self::machine::{Fate, Machine, Over};
pub use self::{runtime::Virtual, world::World};

/// The variable that has a [sweep](Simulation::sweep) run this seed alone, and trace it.
pub const SEED_VARIABLE: &str = "SUNDOWN_SEED";

/// One run of a simulated process.
///
/// # Examples
///
/// Half a minute of grace, in which a job does not end:
///
/// ```
/// use std::time::Duration;
/// use sundown::{Jobs, Shutdown, Signal};
/// use sundown_testkit::{TakesOver, simulation::{Exit, Simulation}};
///
/// let ending = Simulation::seeded(7).run(|world| {
///     let jobs = Jobs::new();
///     let shutdown = Shutdown::process(world.runtime())
///         .component("jobs", jobs.clone())
///         .hand_over_to(TakesOver::all())
///         .grace(Duration::from_secs(30))
///         .start()?;
///     let job = jobs.begin("image-17", "640 px").expect("nothing drains yet");
///
///     world.terminate(Duration::from_secs(30)); // SIGTERM, and the kill thirty seconds later
///     let report = shutdown.finished_blocking();
///
///     assert!(job.complete().is_err(), "somebody else has it");
///     assert_eq!(report.jobs.handed_over[0].id.as_str(), "image-17");
///     assert!(world.elapsed() > Duration::from_secs(20), "it was waited for");
///     Ok::<_, sundown::StartError>(report.is_clean())
/// });
/// assert!(matches!(ending.exit, Exit::Returned(Ok(true))));
/// ```
#[derive(Clone, Debug)]
pub struct Simulation {
    seed: u64,
    traced: bool,
}

impl Simulation {
    /// The run that this seed stands for.
    pub fn seeded(seed: u64) -> Self {
        Simulation { seed, traced: false }
    }

    /// Prints to stderr, after the end, which thread ran when, and what was [recorded](World::recorder).
    pub fn traced(mut self) -> Self {
        self.traced = true;
        self
    }

    /// Runs `main` as the main thread of a process, to the end of that process: when `main` returns, when the shutdown
    /// ends it, or when the platform kills it.
    ///
    /// # Panics
    ///
    /// When `main` does, or a thread or a task (once `main` has ended), or when nobody can go on.
    pub fn run<T>(&self, main: impl FnOnce(&World) -> T) -> Ending<T> {
        let machine = Machine::new(self.seed, self.traced);
        let world = World::new(machine.clone(), self.seed);
        let ended = scheduler::run(&machine, || main(&world));
        let traced = machine.traced();
        traced.iter().for_each(|line| eprintln!("{line}"));
        let exit = match (ended, machine.fate()) {
            (Err(panic), _) if !panic.is::<Over>() => resume_unwind(panic),
            (_, Some(Fate::Exited(status))) => Exit::Exited(status),
            (_, Some(Fate::Killed)) => Exit::Killed,
            (_, Some(Fate::Signalled(signal))) => Exit::Signalled(signal),
            (Ok(value), None) => Exit::Returned(value),
            (Err(_), None) => unreachable!("main is only unwound when the process has ended"),
        };
        if !traced.is_empty() {
            eprintln!("{:>12.6} s  {exit}", machine.elapsed().as_secs_f64());
        }
        Ending { exit, took: machine.elapsed(), fingerprint: machine.fingerprint() }
    }

    /// The seed that it stands for.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Tests one simulation for each seed, on as many real threads as there are processors: each on one of them. If the
    /// environment names a seed in [`SEED_VARIABLE`], that one alone is tested, and [traced](Self::traced).
    ///
    /// # Panics
    ///
    /// When a test does; its seed is printed to stderr. When the variable names no seed, or none of these.
    pub fn sweep(seeds: Range<u64>, test: impl Fn(Simulation) + Sync) {
        if let Ok(seed) = env::var(SEED_VARIABLE) {
            let seed =
                seed.parse().unwrap_or_else(|_| panic!("{SEED_VARIABLE} is {seed:?}, which is no seed"));
            assert!(seeds.contains(&seed), "{SEED_VARIABLE} is {seed}, which is not one of {seeds:?}");
            return test(Simulation::seeded(seed).traced());
        }
        let next = AtomicU64::new(seeds.start);
        let work = || {
            loop {
                // Relaxed: the number stands for itself.
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    return;
                }
                let tested = catch_unwind(AssertUnwindSafe(|| test(Simulation::seeded(seed))));
                if let Err(panic) = tested {
                    eprintln!("seed {seed} failed; {SEED_VARIABLE}={seed} replays it, traced");
                    // The others need not go on.
                    next.store(seeds.end, Ordering::Relaxed);
                    resume_unwind(panic);
                }
            }
        };
        let workers = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            let failed =
                workers.into_iter().filter_map(|worker| worker.join().err()).reduce(|first, _| first);
            if let Some(panic) = failed {
                resume_unwind(panic);
            }
        });
    }
}

/// How a simulated process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending<T> {
    /// By whom.
    pub exit: Exit<T>,
    /// After how much of its time.
    pub took: Duration,
    /// Of the order in which its threads ran, and when: the same for each run of one seed.
    pub fingerprint: u64,
}

impl<T> Ending<T> {
    /// What `main` returned.
    ///
    /// # Panics
    ///
    /// When something else has ended the process.
    #[track_caller]
    pub fn returned(self) -> T {
        match self.exit {
            Exit::Returned(value) => value,
            other => panic!("main has not returned: {other}"),
        }
    }
}

/// What ended a simulated process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit<T> {
    /// `main` returned this.
    Returned(T),
    /// The shutdown did, with this status, since `main` had not returned in time.
    Exited(i32),
    /// A signal did, since nobody listened.
    Signalled(Signal),
    /// The platform did, when the grace was over: a promise was broken.
    Killed,
}

impl<T> fmt::Display for Exit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Returned(_) => f.write_str("main returned"),
            Exit::Exited(status) => write!(f, "the shutdown exited with {status}"),
            Exit::Signalled(signal) => write!(f, "{signal} ended it"),
            Exit::Killed => f.write_str("the platform killed it"),
        }
    }
}
