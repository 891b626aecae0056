//! The machine that a simulated process runs on: its clock, the dice, and what the process has asked of it.

use std::{
    any::Any,
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
    thread,
    time::{Duration, Instant},
};

use sundown::{
    Environment, Signal, Uuid,
    host::{Awaited, Host, Signals, swallow},
};

use super::scheduler::{self, Pause};

const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// How threads are unwound when the process is over.
pub(super) struct Over;

/// A thread that was started and has not run yet.
pub(super) struct Spawned {
    pub(super) name: String,
    pub(super) body: Box<dyn FnOnce() + Send>,
    pub(super) not_before: Instant,
}

/// How the process ended, if it was not by `main`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Exited(i32),
    Killed,
    Signalled(Signal),
}

pub(super) struct Machine {
    number: u64,
    began: Instant,
    /// Guards the machine's own state; no waker and no destructor of anybody's runs under it.
    state: Mutex<State>,
    panics: Arc<Panics>,
}

/// What threads have thrown, [`Over`] apart: it fails the run.
#[derive(Default)]
pub(super) struct Panics(Mutex<Option<Box<dyn Any + Send>>>);

impl Panics {
    pub(super) fn keep(&self, panic: Box<dyn Any + Send>) {
        if panic.is::<Over>() {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_none() {
            *kept = Some(panic);
            return;
        }
        drop(kept);
        swallow(|| drop(panic));
    }

    pub(super) fn first(&self) -> Option<Box<dyn Any + Send>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

struct State {
    now: Instant,
    dice: fastrand::Rng,
    /// Counts whatever might let somebody go on.
    epoch: u64,
    spawned: Vec<Spawned>,
    threads_left: u64,
    /// How late a thread of the shutdown's may start.
    latest_start: Duration,
    timers: BTreeMap<(Instant, u64), Waker>,
    next_timer: u64,
    runtime_blocked: bool,
    environment: Environment,
    owned: bool,
    signals: Option<Signals>,
    kill_at: Option<Instant>,
    fate: Option<Fate>,
    over: bool,
    trace: Trace,
}

/// Which threads ran when: a fingerprint of it, and, where it is wanted, each of them.
#[derive(Default)]
struct Trace {
    print: u64,
    lines: Option<Vec<String>>,
}

impl State {
    fn is_over(&self) -> bool {
        self.over || self.fate.is_some()
    }

    /// The first end stands; when `main` has returned, nothing else ends the process.
    fn end_with(&mut self, fate: Fate) {
        if !self.over {
            self.fate.get_or_insert(fate);
        }
    }

    /// There is no job control here: what would stop the process does nothing.
    fn act_by_default(&mut self, signal: Signal) {
        if signal.ends_by_default() {
            self.end_with(Fate::Signalled(signal));
        }
    }

    fn admit(&mut self, name: String, body: Box<dyn FnOnce() + Send>, late: Duration) {
        self.epoch += 1;
        self.spawned.push(Spawned { name, body, not_before: self.now + late });
    }
}

impl Machine {
    pub(super) fn new(seed: u64, traced: bool) -> Arc<Self> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        // A century from the real clock, so that nobody can take the one for the other.
        let began = Instant::now() + CENTURY;
        let state = State {
            now: began,
            dice: fastrand::Rng::with_seed(seed),
            epoch: 1,
            spawned: Vec::new(),
            threads_left: u64::MAX,
            latest_start: Duration::ZERO,
            timers: BTreeMap::new(),
            next_timer: 0,
            runtime_blocked: false,
            environment: Environment::default(),
            owned: false,
            signals: None,
            kill_at: None,
            fate: None,
            over: false,
            trace: Trace { print: seed, lines: traced.then(Vec::new) },
        };
        // Relaxed: the number stands for itself.
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        Arc::new(Machine { number, began, state: Mutex::new(state), panics: Arc::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- for the scheduler

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn panics(&self) -> Arc<Panics> {
        self.panics.clone()
    }

    pub(super) fn epoch(&self) -> u64 {
        self.state().epoch
    }

    /// Something has happened that others may wait for.
    pub(super) fn advance_epoch(&self) {
        self.state().epoch += 1;
    }

    pub(super) fn is_over(&self) -> bool {
        self.state().is_over()
    }

    pub(super) fn end(&self) {
        self.state().over = true;
    }

    pub(super) fn take_spawned(&self) -> Vec<Spawned> {
        std::mem::take(&mut self.state().spawned)
    }

    /// One of so many, each as likely as another.
    pub(super) fn draw(&self, count: usize) -> Option<usize> {
        (count > 0).then(|| self.state().dice.usize(..count))
    }

    /// Moves on to the next moment: that of a timer, or this one. Returns whether there is any.
    pub(super) fn pass_time(&self, waited_for: Option<Instant>) -> bool {
        let mut state = self.state();
        let timer = state.timers.first_key_value().map(|((at, _), _)| *at);
        let Some(next) = timer.into_iter().chain(waited_for).chain(state.kill_at).min() else { return false };
        state.now = state.now.max(next);
        if state.kill_at.is_some_and(|at| at <= state.now) {
            state.end_with(Fate::Killed);
        }
        state.epoch += 1;
        let now = state.now;
        let later = state.timers.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut state.timers, later);
        drop(state);
        due.into_values().for_each(|waker| swallow(|| waker.wake()));
        true
    }

    pub(super) fn trace(&self, number: u64, who: &str) {
        let at = self.elapsed();
        let trace = &mut self.state().trace;
        for byte in number.to_le_bytes().into_iter().chain(who.bytes()).chain(at.as_nanos().to_le_bytes()) {
            // FNV-1a.
            trace.print = (trace.print ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        if let Some(lines) = &mut trace.lines {
            lines.push(match number {
                0 => format!("{:>12.6} s  - {who}", at.as_secs_f64()),
                _ => format!("{:>12.6} s  {who} #{number}", at.as_secs_f64()),
            });
        }
    }

    /// Something happens that a test records. Returns whether it does: not when the process is over.
    pub(super) fn note(&self, event: &str) -> bool {
        if self.is_over() {
            return false;
        }
        self.trace(0, event);
        self.advance_epoch();
        true
    }

    // ---- for the world and its runtime

    pub(super) fn elapsed(&self) -> Duration {
        self.now().saturating_duration_since(self.began)
    }

    pub(super) fn fate(&self) -> Option<Fate> {
        self.state().fate
    }

    pub(super) fn fingerprint(&self) -> u64 {
        self.state().trace.print
    }

    pub(super) fn traced(&self) -> Vec<String> {
        self.state().trace.lines.take().unwrap_or_default()
    }

    /// Lets others go on.
    pub(super) fn give_way(&self, until: Pause) {
        if !thread::panicking() {
            scheduler::pause(self, until);
        }
        self.advance_epoch();
    }

    /// Wakes at this moment; the number is for taking that back.
    pub(super) fn set_timer(&self, at: Instant, waker: Waker) -> u64 {
        let mut state = self.state();
        state.next_timer += 1;
        let key = state.next_timer;
        state.timers.insert((at, key), waker);
        key
    }

    pub(super) fn drop_timer(&self, at: Instant, key: u64) {
        let waker = self.state().timers.remove(&(at, key));
        drop(waker);
    }

    /// Starts a thread, so late.
    fn start(&self, name: String, body: Box<dyn FnOnce() + Send>, late: Duration) -> io::Result<()> {
        let mut state = self.state();
        if state.over || state.threads_left == 0 {
            return Err(io::Error::from(io::ErrorKind::WouldBlock));
        }
        state.threads_left -= 1;
        state.admit(name, body, late);
        Ok(())
    }

    /// Starts the thread of a task, of which a runtime has as many as it likes.
    pub(super) fn start_task(&self, body: Box<dyn FnOnce() + Send>) {
        let mut state = self.state();
        if !state.is_over() {
            state.admit("task".into(), body, Duration::ZERO);
        }
    }

    /// Starts a thread of the test's own.
    pub(super) fn start_now(&self, name: String, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        self.start(name, body, Duration::ZERO)
    }

    pub(super) fn limit_threads(&self, more: u64) {
        self.state().threads_left = more;
    }

    pub(super) fn delay_threads(&self, by: Duration) {
        self.state().latest_start = by;
    }

    pub(super) fn block_runtime(&self, blocked: bool) {
        let mut state = self.state();
        state.runtime_blocked = blocked;
        state.epoch += 1;
    }

    pub(super) fn is_runtime_blocked(&self) -> bool {
        self.state().runtime_blocked
    }

    /// A signal arrives. Without anybody to hear it, it acts by its default.
    pub(super) fn signal(&self, signal: Signal) {
        let now = self.now();
        let mut state = self.state();
        state.epoch += 1;
        match &state.signals {
            Some(signals) if signals.wanted().contains(&signal) => drop(signals.deliver(now, signal)),
            _ => state.act_by_default(signal),
        }
    }

    /// From here on this is what tells of the platform.
    pub(super) fn set_environment(&self, environment: Environment) {
        self.state().environment = environment;
    }

    /// The platform kills the process then.
    pub(super) fn kill_at(&self, at: Instant) {
        let mut state = self.state();
        state.kill_at = state.kill_at.into_iter().chain([at]).min();
    }
}

/// A condition that a simulated thread waits for. The real one never blocks on it.
pub(super) struct When<F>(pub(super) F);

impl<F: FnMut() -> bool> Awaited for When<F> {
    fn is_ready(&mut self) -> bool {
        (self.0)()
    }

    fn block(&mut self, _: Option<Instant>) -> bool {
        self.is_ready()
    }
}

impl Host for Machine {
    fn now(&self) -> Instant {
        self.state().now
    }

    fn environment(&self) -> Environment {
        self.state().environment.clone()
    }

    fn id(&self) -> Uuid {
        Uuid::from_u128(self.state().dice.u128(..))
    }

    fn spawn(&self, name: String, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        let late = {
            let mut state = self.state();
            let most = state.latest_start.as_micros() as u64;
            Duration::from_micros(state.dice.u64(..=most))
        };
        self.start(name, body, late)
    }

    fn wait(&self, event: &mut dyn Awaited, until: Option<Instant>) -> bool {
        loop {
            // Somebody who unwinds does not wait: see the invariants of the scheduler.
            let ready = event.is_ready();
            if ready || thread::panicking() || until.is_some_and(|until| until <= self.now()) {
                self.advance_epoch();
                return ready;
            }
            scheduler::pause(self, Pause::Waits(until));
        }
    }

    fn own(&self) -> bool {
        !std::mem::replace(&mut self.state().owned, true)
    }

    fn disown(&self) {
        let mut state = self.state();
        let signals = state.signals.take();
        state.owned = false;
        drop(state);
        drop(signals);
    }

    fn listen(&self, signals: Signals) -> io::Result<()> {
        self.state().signals = Some(signals);
        Ok(())
    }

    fn act_by_default(&self, signal: Signal) {
        self.state().act_by_default(signal);
    }

    fn exit(&self, status: i32) {
        self.state().end_with(Fate::Exited(status));
    }
}
