//! The threads of a simulated process: stacks of their own on one real thread, of which one runs at any moment.
//!
//! The real thread's own stack is the simulated process's main thread. Whenever it pauses, it runs the others until it
//! is its own turn again. Invariants:
//!
//! 1. **The seed decides.** Who runs next is drawn from all who may be able to; nothing else has a say.
//! 2. **Time moves only when nobody can go on**, and then to the next moment that anybody waits for. Whoever could not go
//!    on looks again when anybody else has run: [`Machine::epoch`] counts that.
//! 3. **Nobody suspends while unwinding**: what a destructor would wait for, it does without. So there is never more
//!    than one panic under way on the real thread.
//! 4. **Nothing outlives the process**: once it is over, every thread that still waits is unwound. Whatever a thread
//!    throws, the scheduler keeps all the others.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    thread,
    time::Instant,
};

use generator::{Generator, Gn};
use sundown::host::{Host, swallow};

use super::machine::{Machine, Over, Spawned};

/// What a thread does when it pauses.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pause {
    /// It has not begun, and does not before this.
    Starts(Instant),
    /// It can go on at any time.
    Yields,
    /// It waits for something, and for no longer than this.
    Waits(Option<Instant>),
    /// It waits until nobody else can go on at this moment.
    Settles,
    /// It has ended.
    Ends,
}

/// In machine words: two mebibytes, as `std` gives its threads. The system maps what is used.
const STACK: usize = 0x4_0000;

/// More than any shutdown needs; fewer than one has the patience for.
const MOST_STEPS: u64 = 10_000_000;

/// How often a thread is resumed that does not end when the process is over.
const MOST_ENDINGS: u64 = 100_000;

struct Thread {
    name: String,
    number: u64,
    body: Body,
    state: Waiting,
}

enum Body {
    Fresh(Box<dyn FnOnce() + Send>),
    Begun(Generator<'static, (), Pause>),
}

/// What is known of a thread that does not run.
struct Waiting {
    pause: Pause,
    /// The epoch in which it last could not go on.
    looked: u64,
}

/// All threads but the main one.
#[derive(Default)]
struct Scheduler {
    threads: Vec<Thread>,
    started: u64,
    steps: u64,
}

thread_local! {
    static SCHEDULER: RefCell<Scheduler> = RefCell::default();
    /// The machine whose process this real thread runs.
    static MACHINE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs the process's main thread, and then whatever is left to its end.
pub(super) fn run<T>(machine: &Machine, main: impl FnOnce() -> T) -> thread::Result<T> {
    assert!(MACHINE.get().is_none(), "a simulation cannot run inside another");
    MACHINE.set(Some(machine.number()));
    let ended = catch_unwind(AssertUnwindSafe(main));
    machine.end();
    let unwound = unwind_all(machine);
    MACHINE.set(None);
    match (ended, unwound, machine.panics().first()) {
        (Err(own), ..) if !own.is::<Over>() => Err(own),
        (_, Err(stuck), _) => panic!("{stuck}"),
        (_, _, Some(panic)) => Err(panic),
        (ended, ..) => ended,
    }
}

/// Gives way to the other threads. Returns when it may be time to go on.
pub(super) fn pause(machine: &Machine, pause: Pause) {
    assert!(
        MACHINE.get() == Some(machine.number()),
        "only threads of a simulation can wait in it, while it runs: this one was started by std (not by \
         `World::spawn`), or the simulation is another, or over"
    );
    if generator::is_generator() {
        #[expect(
            deprecated,
            reason = "its scope would have to be handed through the shutdown and foreign code"
        )]
        generator::yield_with(pause);
    } else {
        let mut scheduler = SCHEDULER.take();
        let ran = scheduler.run_until_mains_turn(machine, pause);
        // Back where the end finds it, before anything panics.
        SCHEDULER.set(scheduler);
        if let Err(stuck) = ran {
            panic!("{stuck}");
        }
    }
    if machine.is_over() {
        resume_unwind(Box::new(Over));
    }
}

/// Resumes every thread that has begun until it has ended: the machine is over, so that each unwinds.
fn unwind_all(machine: &Machine) -> Result<(), String> {
    swallow(|| drop(machine.take_spawned()));
    let mut scheduler = SCHEDULER.take();
    let mut stuck = Ok(());
    while let Some(Thread { name, body, .. }) = scheduler.threads.pop() {
        match body {
            Body::Fresh(body) => swallow(|| drop(body)),
            Body::Begun(mut stack) => {
                let ended =
                    (0..MOST_ENDINGS).any(|_| matches!(resume(&mut stack), Ok(Pause::Ends) | Err(())));
                if !ended {
                    // Its stack is lost: it cannot be dropped while it runs on.
                    std::mem::forget(stack);
                    stuck = Err(format!("thread {name} goes on when its process is over"));
                }
            }
        }
    }
    stuck
}

/// `Err`: its stack has overflowed.
fn resume(stack: &mut Generator<'static, (), Pause>) -> Result<Pause, ()> {
    catch_unwind(AssertUnwindSafe(|| stack.resume())).map(|pause| pause.unwrap_or(Pause::Ends)).map_err(drop)
}

enum Choice {
    Main,
    Other(usize),
    Nobody,
}

impl Scheduler {
    fn run_until_mains_turn(&mut self, machine: &Machine, pause: Pause) -> Result<(), String> {
        let main = Waiting { pause, looked: machine.epoch() };
        while !machine.is_over() {
            self.steps += 1;
            if self.steps == MOST_STEPS {
                return Err(format!("the simulation does not end: {}", self.names()));
            }
            self.admit(machine);
            match self.choose(machine, &main) {
                Choice::Main => return Ok(()),
                Choice::Other(at) => self.resume(machine, at)?,
                Choice::Nobody => self.pass_time(machine, &main)?,
            }
        }
        Ok(())
    }

    /// Takes in the threads that were started.
    fn admit(&mut self, machine: &Machine) {
        for Spawned { name, body, not_before } in machine.take_spawned() {
            self.started += 1;
            let state = Waiting { pause: Pause::Starts(not_before), looked: 0 };
            self.threads.push(Thread { name, number: self.started, body: Body::Fresh(body), state });
        }
    }

    /// One of those who may be able to go on, as the seed has it; if there is none, of those who let everybody else go
    /// first.
    fn choose(&self, machine: &Machine, main: &Waiting) -> Choice {
        let (epoch, now) = (machine.epoch(), machine.now());
        let goes_on = |waiting: &Waiting| match waiting.pause {
            Pause::Starts(not_before) => not_before <= now,
            Pause::Yields => true,
            Pause::Waits(_) => waiting.looked != epoch,
            Pause::Settles | Pause::Ends => false,
        };
        let settles = |waiting: &Waiting| matches!(waiting.pause, Pause::Settles);
        self.draw(machine, main, goes_on)
            .or_else(|| self.draw(machine, main, settles))
            .unwrap_or(Choice::Nobody)
    }

    fn draw(&self, machine: &Machine, main: &Waiting, wanted: impl Fn(&Waiting) -> bool) -> Option<Choice> {
        let others = self.threads.iter().enumerate().filter(|(_, thread)| wanted(&thread.state));
        let count = others.clone().count() + usize::from(wanted(main));
        let (at, _) = match machine.draw(count)? {
            0 if wanted(main) => return Some(Choice::Main),
            n => others.clone().nth(n - usize::from(wanted(main)))?,
        };
        Some(Choice::Other(at))
    }

    fn resume(&mut self, machine: &Machine, at: usize) -> Result<(), String> {
        let Thread { name, number, body, .. } = self.threads.swap_remove(at);
        machine.trace(number, &name);
        let mut stack = match body {
            Body::Begun(stack) => stack,
            Body::Fresh(body) => {
                // What it does before its first wait, others may wait for.
                machine.advance_epoch();
                let panics = machine.panics();
                Gn::new_opt(STACK, move || {
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
                        panics.keep(panic);
                    }
                    Pause::Ends
                })
            }
        };
        match resume(&mut stack) {
            Ok(Pause::Ends) => machine.advance_epoch(),
            Ok(pause) => {
                let state = Waiting { pause, looked: machine.epoch() };
                self.threads.push(Thread { name, number, body: Body::Begun(stack), state });
            }
            Err(()) => return Err(format!("thread {name} has overflowed its stack of 2 MiB")),
        }
        Ok(())
    }

    /// Nobody can go on now: the next moment comes that somebody waits for.
    fn pass_time(&self, machine: &Machine, main: &Waiting) -> Result<(), String> {
        let waiting = self.threads.iter().map(|thread| &thread.state).chain([main]);
        let moments = waiting.filter_map(|waiting| match waiting.pause {
            Pause::Starts(not_before) => Some(not_before),
            Pause::Waits(until) => until,
            Pause::Yields | Pause::Settles | Pause::Ends => None,
        });
        match machine.pass_time(moments.min()) {
            true => Ok(()),
            false => {
                let (after, names) = (machine.elapsed(), self.names());
                Err(format!(
                    "deadlock after {after:?}: nobody can go on, and nobody waits for a moment: {names}"
                ))
            }
        }
    }

    /// Who is there, for a message.
    fn names(&self) -> String {
        let names: Vec<_> = self.threads.iter().map(|thread| thread.name.as_str()).collect();
        match names.is_empty() {
            true => "main waits, and there is nobody else".to_owned(),
            false => format!("main waits, and so do {}", names.join(", ")),
        }
    }
}
