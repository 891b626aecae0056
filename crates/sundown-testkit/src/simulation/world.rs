//! What code under simulation sees of its machine.

use std::{
    fmt,
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use sundown::{Environment, Runtime, Signal, host::Host};

use super::{
    Virtual,
    machine::{Machine, When},
    runtime,
    scheduler::Pause,
};
use crate::Recorder;

/// The world of a simulated process: its clock, its threads, its runtime, and whoever sends it signals.
///
/// The clock is manual: it stands still while anybody can go on, and a test that steps through a shutdown holds the main
/// thread. Nothing else runs until that waits: by [`advance`](Self::advance) for so much time, by
/// [`advance_to_next`](Self::advance_to_next) until something happens, by [`settle`](Self::settle) for no time.
#[derive(Clone)]
pub struct World {
    machine: Arc<Machine>,
    seed: u64,
}

impl World {
    pub(super) fn new(machine: Arc<Machine>, seed: u64) -> Self {
        World { machine, seed }
    }

    /// The seed of this run, for whatever else it is to decide.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    // ---- the clock

    /// The current moment.
    pub fn now(&self) -> Instant {
        self.machine.now()
    }

    /// How long the process has been running.
    pub fn elapsed(&self) -> Duration {
        self.machine.elapsed()
    }

    /// Lets so much time pass for the calling thread, and all happen that happens meanwhile.
    pub fn advance(&self, by: Duration) {
        let until = self.now() + by;
        self.machine.wait(&mut When(|| false), Some(until));
    }

    /// Lets time pass until something happens, and all happen that happens then. Returns how long that took.
    ///
    /// # Panics
    ///
    /// When nobody waits for any moment.
    pub fn advance_to_next(&self) -> Duration {
        self.settle();
        let before = self.now();
        self.machine.wait(&mut When(|| self.now() != before), None);
        self.settle();
        self.now() - before
    }

    /// Lets all others go on until each of them waits; no time passes.
    pub fn settle(&self) {
        self.machine.give_way(Pause::Settles);
    }

    /// A place at which another thread may run instead of this one.
    pub fn give_way(&self) {
        self.machine.give_way(Pause::Yields);
    }

    // ---- threads and tasks

    /// The runtime of this world, for [`Shutdown::process`](sundown::Shutdown::process) and
    /// [`embedded`](sundown::Shutdown::embedded).
    pub fn runtime(&self) -> Virtual {
        Virtual::new(self.machine.clone())
    }

    /// Starts a thread. A panic in it ends it, and fails the run in the end.
    ///
    /// # Panics
    ///
    /// When there are [no more threads](Self::limit_threads).
    pub fn spawn(&self, name: &str, body: impl FnOnce() + Send + 'static) {
        let spawned = self.machine.start_now(name.to_owned(), Box::new(body));
        spawned.expect("the world has a thread left, or was told otherwise");
    }

    /// Starts a task on the [runtime](Self::runtime). A panic in it ends it, and fails the run in the end.
    pub fn spawn_task(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime().spawn(Box::pin(task));
    }

    /// Drives a future on the calling thread.
    ///
    /// # Panics
    ///
    /// When a destructor calls it that runs because of a panic, and the future has to wait: nobody waits while unwinding.
    pub fn block_on<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        let mut result = None;
        runtime::drive(&self.machine, pin!(async { result = Some(future.await) }));
        result.expect("nobody waits while unwinding")
    }

    /// A future that resolves when so much time has passed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + Sync + use<> {
        self.runtime().sleep_until(self.now() + time)
    }

    /// A recorder of this world's events.
    pub fn recorder(&self) -> Recorder {
        let machine = self.machine.clone();
        let notes = self.machine.clone();
        Recorder::of(machine, move |event| notes.note(event))
    }

    // ---- what can go wrong

    /// From here on no task of the runtime runs, or they do again.
    pub fn block_runtime(&self, blocked: bool) {
        self.machine.block_runtime(blocked);
    }

    /// So many more threads can be started, and none after them. Tasks are not counted.
    pub fn limit_threads(&self, more: u64) {
        self.machine.limit_threads(more);
    }

    /// From here on, each thread that a shutdown starts begins to run up to so much later, as on a machine that is short
    /// of processors.
    pub fn delay_threads(&self, by: Duration) {
        self.machine.delay_threads(by);
    }

    /// From here on the process runs on the platform that shows so. Without this, on none that shows.
    pub fn set_environment(&self, environment: Environment) {
        self.machine.set_environment(environment);
    }

    /// The process is sent a signal. If no shutdown listens, it acts by its default: for most, that is the end of the
    /// process. (There is no job control: what would stop it does nothing.)
    pub fn signal(&self, signal: Signal) {
        self.machine.signal(signal);
        if self.machine.is_over() {
            self.give_way();
        }
    }

    /// The platform sends SIGTERM now, and kills the process when the grace is over.
    pub fn terminate(&self, grace: Duration) {
        self.machine.kill_at(self.now() + grace);
        self.signal(Signal::Term);
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("seed", &self.seed)
            .field("elapsed", &self.elapsed())
            .finish_non_exhaustive()
    }
}
