//! The threads of a simulated process: stacks of their own on one real thread, of which one runs at any moment.
//!
//! The real thread's own stack is the simulated process's main thread. Whenever it pauses, it runs the others until it
//! is its own turn again. Invariants:
//!
//! 1. **The seed decides.** Who runs next is drawn from all who may be able to; nothing else has a say.
//! 2. **Time moves only when nobody can go on**, and then to the next moment that anybody waits for.
//! 3. **Nobody suspends while unwinding**: what a destructor would wait for, it does without. So there is never more
//!    than one panic under way on the real thread.
//! 4. **Nothing outlives the process**: once it is over, every thread that still waits is unwound.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    thread,
    time::Instant,
};

use generator::{Generator, Gn};
use sundown::host::Host;

use super::machine::{Machine, Over, Spawned};

/// What a thread does when it pauses.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pause {
    /// It waits for something, and for no longer than this.
    Waits(Option<Instant>),
    /// It has not begun, and does not before this.
    Starts(Instant),
    /// It can go on at any time.
    Yields,
    /// It waits until nobody else can go on at this moment.
    Settles,
    /// It has ended.
    Ends,
}

/// In machine words: half a mebibyte, of which the system maps what is used.
const STACK: usize = 0x1_0000;

/// More than any shutdown needs; fewer than one has the patience for.
const MOST_STEPS: u64 = 10_000_000;

struct Thread {
    name: String,
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
    /// The state of affairs in which it last could not go on.
    looked: u64,
}

/// All threads but the main one.
#[derive(Default)]
struct Crew {
    threads: Vec<Thread>,
    steps: u64,
}

thread_local! {
    static CREW: RefCell<Crew> = RefCell::default();
    /// The machine whose process this real thread runs.
    static ABOARD: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs the process's main thread, and then whatever is left to its end.
pub(super) fn run<T>(machine: &Machine, main: impl FnOnce() -> T) -> thread::Result<T> {
    let outer = ABOARD.replace(Some(machine.number()));
    assert!(outer.is_none(), "a simulation cannot run inside another");
    let ended = catch_unwind(AssertUnwindSafe(main));
    machine.end();
    unwind_all(machine);
    ABOARD.set(None);
    ended
}

/// Gives way to the other threads. Returns when it may be time to go on.
pub(super) fn pause(machine: &Machine, pause: Pause) {
    assert!(
        ABOARD.get() == Some(machine.number()),
        "only threads of a simulation can wait in it: this one was started by std, or belongs to another"
    );
    if generator::is_generator() {
        #[expect(
            deprecated,
            reason = "its scope would have to be handed through the shutdown and foreign code"
        )]
        generator::yield_with(pause);
    } else {
        let mut crew = CREW.take();
        let ran = crew.run_until_mains_turn(machine, pause);
        // Back where the end finds it, before anything can panic.
        CREW.set(crew);
        if let Err(stuck) = ran {
            panic!("{stuck}");
        }
    }
    if machine.is_over() {
        resume_unwind(Box::new(Over));
    }
}

/// Resumes every thread that has begun until it has ended: the machine is over, so that each unwinds.
fn unwind_all(machine: &Machine) {
    contain(|| drop(machine.take_spawned()));
    let mut crew = CREW.take();
    while let Some(thread) = crew.threads.pop() {
        match thread.body {
            Body::Fresh(body) => contain(|| drop(body)),
            Body::Begun(mut stack) => while !matches!(stack.resume(), Some(Pause::Ends) | None) {},
        }
    }
}

/// A panic ends its thread, as ever; [`Over`] is how it is meant to end.
fn contain(body: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(body));
}

enum Choice {
    Main,
    Other(usize),
    Nobody,
}

impl Crew {
    fn run_until_mains_turn(&mut self, machine: &Machine, pause: Pause) -> Result<(), String> {
        let main = Waiting { pause, looked: machine.affairs() };
        while !machine.is_over() {
            self.steps += 1;
            if self.steps == MOST_STEPS {
                return Err(format!("the simulation does not end: {}", self.roll()));
            }
            self.enlist(machine);
            match self.choose(machine, &main) {
                Choice::Main => return Ok(()),
                Choice::Other(at) => self.resume(machine, at),
                Choice::Nobody => self.pass_time(machine, &main)?,
            }
        }
        Ok(())
    }

    /// Takes in the threads that were started.
    fn enlist(&mut self, machine: &Machine) {
        for Spawned { name, body, not_before } in machine.take_spawned() {
            let state = Waiting { pause: Pause::Starts(not_before), looked: 0 };
            self.threads.push(Thread { name, body: Body::Fresh(body), state });
        }
    }

    /// One of those who may be able to go on, as the seed has it; if there is none, of those who let everybody else go
    /// first.
    fn choose(&self, machine: &Machine, main: &Waiting) -> Choice {
        let (affairs, now) = (machine.affairs(), machine.now());
        let goes_on = |waiting: &Waiting| match waiting.pause {
            Pause::Starts(not_before) => not_before <= now,
            Pause::Waits(_) => waiting.looked != affairs,
            Pause::Yields => true,
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

    fn resume(&mut self, machine: &Machine, at: usize) {
        let Thread { name, body, .. } = self.threads.swap_remove(at);
        machine.trace(&name);
        let mut stack = match body {
            Body::Begun(stack) => stack,
            Body::Fresh(body) => Gn::new_opt(STACK, move || {
                contain(body);
                Pause::Ends
            }),
        };
        match stack.resume() {
            Some(Pause::Ends) | None => machine.stir(),
            Some(pause) => {
                let state = Waiting { pause, looked: machine.affairs() };
                self.threads.push(Thread { name, body: Body::Begun(stack), state });
            }
        }
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
                Err(format!("deadlock: nobody can go on, and nobody waits for a moment: {}", self.roll()))
            }
        }
    }

    /// Who is there, for a message.
    fn roll(&self) -> String {
        let names: Vec<_> = self.threads.iter().map(|thread| thread.name.as_str()).collect();
        format!("main and [{}] wait", names.join(", "))
    }
}
