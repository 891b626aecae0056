//! What happened, in order; and points at which a test can hold a step, look, and let go.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sundown::{
    Runtime,
    host::{Host, Latch},
};

/// Records what happens, in the order in which it does.
///
/// Clones are the same recorder. [`World::recorder`](crate::simulation::World::recorder) makes one of a simulation;
/// [`on`](Self::on) one of real threads.
///
/// # Examples
///
/// A hand-over is held, and nobody is answered meanwhile:
///
/// ```
/// use std::time::Duration;
/// use sundown::{Jobs, Shutdown};
/// use sundown_testkit::{Faulty, TakesOver, simulation::Simulation};
///
/// Simulation::seeded(1).run(|world| {
///     let (jobs, events) = (Jobs::new(), world.recorder());
///     let shutdown = Shutdown::embedded(world.runtime())
///         .component("jobs", Faulty::new(world.runtime(), jobs.clone()).recorded("jobs", &events))
///         .hand_over_to(Faulty::new(world.runtime(), TakesOver::all()).recorded("taker", &events))
///         .grace(Duration::from_secs(10))
///         .start()?;
///     let _job = jobs.begin("image-17", ()).expect("nothing drains yet");
///
///     let held = events.hold("taker incomplete");
///     shutdown.begin("a test");
///     shutdown.hurry();
///     assert!(held.reached_within(Duration::from_secs(1)));
///     world.advance(Duration::from_millis(100));
///     assert!(!events.has("jobs conclude"));
///     held.release();
///
///     assert!(shutdown.finished_blocking().is_clean());
///     events.assert_order(&["jobs claim", "taker incomplete", "jobs conclude", "jobs force"]);
///     Ok::<_, sundown::StartError>(())
/// });
/// ```
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    host: Arc<dyn Host>,
    began: Instant,
    /// Told of each event before it is recorded; says whether it counts.
    listen: Box<dyn Fn(&str) -> bool + Send + Sync>,
    /// Guards the lists, and nothing that anybody waits for.
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    events: Vec<Event>,
    holds: Vec<Arc<Point>>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub what: String,
    /// How long after the recorder was made.
    pub at: Duration,
}

impl Recorder {
    /// A recorder of whatever happens on the threads of this runtime.
    pub fn on(runtime: &impl Runtime) -> Self {
        Self::of(runtime.host(), |_| true)
    }

    pub(crate) fn of(host: Arc<dyn Host>, listen: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        let began = host.now();
        Recorder {
            shared: Arc::new(Shared { host, began, listen: Box::new(listen), inside: Mutex::default() }),
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.shared.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that something happens. If a test [holds](Self::hold) it, this blocks the calling thread until it lets go.
    pub fn note(&self, what: impl Into<String>) {
        let (what, at) = (what.into(), self.shared.host.now().saturating_duration_since(self.shared.began));
        if !(self.shared.listen)(&what) {
            return;
        }
        let held = {
            let mut inside = self.inside();
            let held = inside.holds.iter().position(|point| *point.what == *what);
            let held = held.map(|at| inside.holds.remove(at));
            inside.events.push(Event { what, at });
            held
        };
        if let Some(point) = held {
            point.reached.set();
            self.shared.host.wait(&mut &point.released, None);
        }
    }

    /// The next event of this name is held when it comes.
    pub fn hold(&self, what: &str) -> Hold {
        let point =
            Arc::new(Point { what: what.to_owned(), reached: Latch::default(), released: Latch::default() });
        self.inside().holds.push(point.clone());
        Hold { recorder: self.clone(), point }
    }

    /// All that has happened so far.
    pub fn events(&self) -> Vec<Event> {
        self.inside().events.clone()
    }

    /// Whether this has happened.
    pub fn has(&self, what: &str) -> bool {
        self.position(what).is_some()
    }

    /// The place in the order of the first event of this name.
    pub fn position(&self, what: &str) -> Option<usize> {
        self.inside().events.iter().position(|event| event.what == what)
    }

    /// Asserts that these have happened in this order, whatever came between.
    ///
    /// # Panics
    ///
    /// When one is missing, or came too early.
    #[track_caller]
    pub fn assert_order(&self, names: &[&str]) {
        let events = self.events();
        let mut rest = events.iter();
        for name in names {
            let found = rest.any(|event| event.what == *name);
            assert!(found, "no {name:?} in its place of {names:?}:\n{self}");
        }
    }
}

impl fmt::Display for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.events().iter().try_for_each(|event| writeln!(f, "{:>12.3?} {}", event.at, event.what))
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("events", &self.inside().events.len()).finish_non_exhaustive()
    }
}

/// A step that is held when it comes: see [`Recorder::hold`]. Dropping this lets it go.
pub struct Hold {
    recorder: Recorder,
    point: Arc<Point>,
}

struct Point {
    what: String,
    reached: Latch,
    released: Latch,
}

impl Hold {
    /// Blocks the calling thread until the step has come, and for no longer than this. Returns whether it has.
    pub fn reached_within(&self, time: Duration) -> bool {
        let host = &self.recorder.shared.host;
        host.wait(&mut &self.point.reached, Some(host.now() + time))
    }

    /// Lets it go on; if it has not come yet, it will not be held.
    pub fn release(self) {}
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.recorder.inside().holds.retain(|point| !Arc::ptr_eq(point, &self.point));
        self.point.released.set();
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("what", &self.point.what).finish_non_exhaustive()
    }
}
