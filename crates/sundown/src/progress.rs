//! How a shutdown is coming along, for those who look on: a status page, a terminal, a parent.
//!
//! The conductor draws a new page for each change, and puts it on the [`Board`](board::Board) in place of the last. What it
//! keeps true:
//!
//! 1. **Nobody is held up by who looks on.** A page is plain data; who looks holds the board's lock for as long as it takes
//!    to copy a pointer. Wakers are run by errands, and only if somebody waits.
//! 2. **Who is slow costs nothing.** There is one page, the latest: nothing is kept for anybody.
//! 3. **No change is missed.** A page has the latch that is set when the next one is up, after that is up: who waits for
//!    it, and looks again, sees the next page or a later one.
//! 4. **Who asks pays.** What is in flight is foreign code's to say: it is asked on the thread of whoever wants to know.

mod board;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use serde::Serialize;

pub(crate) use self::board::{Board, Line, Page};
use crate::{
    Deadline, Drainable, InFlight, Reason,
    latch::{Shared, Waiting, swallow},
    machine::{State, Turn},
    panic_message,
    report::Short,
    shutdown::Hub,
};

/// Follows a shutdown: what it is doing, and what each component has in flight.
///
/// [`snapshot`](Self::snapshot) tells how it stands at any time; [`changed`](Self::changed), or the [`Stream`] that this is,
/// tells of each change: a step, a component's turn or end, a tightened deadline, a component that joins. Who is slow is told
/// the latest alone. A follower has seen nothing at first: it begins with how it stands. It ends when the shutdown has, after
/// [`Step::Finished`].
///
/// A change of counts is no change of the shutdown's: who wants to see them fall asks now and again. Components are asked on
/// the thread that asks here, one after another; one that blocks in [`in_flight`](Drainable::in_flight) blocks that thread, and
/// one that panics counts as unknown.
///
/// # Examples
///
/// ```
/// # use std::time::Duration;
/// use sundown::{Jobs, Shutdown, Step};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # #[tokio::main(flavor = "current_thread")] async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let jobs = Jobs::new();
/// let shutdown = Shutdown::embedded(sundown_tokio::Tokio::current())
///     .component("jobs", jobs.clone())
///     .grace(Duration::from_secs(2))
///     .start()?;
/// let job = jobs.begin("image-17", ())?;
///
/// let mut progress = shutdown.progress();
/// shutdown.begin("the example is over");
/// let mut job = Some(job);
/// let mut last = Step::Running;
/// while let Some(now) = progress.changed().await {
///     println!("{now}"); // draining (requested: the example is over), 1.949 s left …
///     last = now.step;
///     if now.step == Step::Drain {
///         job.take().map(|job| job.complete()).transpose()?;
///     }
/// }
/// assert_eq!(last, Step::Finished);
/// # Ok(()) }
/// # run() }
/// ```
#[must_use = "a follower does nothing unless it is asked"]
pub struct Progress {
    hub: Arc<Hub>,
    /// The number of the latest page that was told.
    seen: Option<u64>,
    /// For the page after that.
    next: Option<Waiting<Shared>>,
}

impl Progress {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Progress { hub, seen: None, next: None }
    }

    /// How it stands now. It counts as told only what [`changed`](Self::changed) has told.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.hub, &self.hub.board.page())
    }

    /// Resolves when something has changed since it last did, with how it stands then: at once the first time. `None` when
    /// the shutdown is over and that was told.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was not told is told the next time.
    pub async fn changed(&mut self) -> Option<Snapshot> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for Progress {
    type Item = Snapshot;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Snapshot>> {
        loop {
            let page = self.hub.board.page();
            if self.seen != Some(page.number) {
                (self.seen, self.next) = (Some(page.number), None);
                return Poll::Ready(Some(Snapshot::of(&self.hub, &page)));
            }
            if page.step == Step::Finished {
                return Poll::Ready(None);
            }
            let next = self.next.get_or_insert_with(|| Waiting::new(page.turned.clone()));
            ready!(Pin::new(next).poll(cx));
            self.next = None;
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("step", &self.hub.board.page().step).finish_non_exhaustive()
    }
}

/// What a shutdown is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Step {
    /// It has not begun.
    Running,
    /// Components are closed and drain, each in its turn.
    Drain,
    /// Unfinished jobs are taken from those who do them.
    Claim,
    /// They are offered to whoever takes over.
    HandOver,
    /// Those who wait are told what has become of their work.
    Answer,
    /// What is left is dropped.
    Force,
    /// The release hooks run.
    Release,
    /// It is over, and there is a [`Report`](crate::Report).
    Finished,
}

impl Step {
    pub(crate) fn of(state: State) -> Self {
        match state {
            State::Running => Step::Running,
            State::Draining => Step::Drain,
            State::Claiming => Step::Claim,
            State::HandingOver => Step::HandOver,
            State::Answering => Step::Answer,
            State::Forcing => Step::Force,
            State::Releasing => Step::Release,
            State::Leaving | State::Gone => Step::Finished,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Running => "running",
            Step::Drain => "draining",
            Step::Claim => "claiming",
            Step::HandOver => "handing over",
            Step::Answer => "answering",
            Step::Force => "forcing",
            Step::Release => "releasing",
            Step::Finished => "finished",
        })
    }
}

/// How a shutdown stands: see [`Progress`].
///
/// `Display` is the text for people, a line for each component; `Serialize` the record for machines.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// What it is doing.
    pub step: Step,
    /// Why it has begun, if it has.
    pub reason: Option<Reason>,
    /// How long until the process is gone, once it has begun.
    pub left: Option<Duration>,
    /// Every component, in the order in which they joined.
    pub components: Vec<ComponentSnapshot>,
}

/// How a component stands.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ComponentSnapshot {
    /// What it is called.
    pub name: String,
    /// How far its drain has come; after the claim, how far it had come.
    pub turn: Turn,
    /// How long until its latest finish, once its turn has come.
    pub left: Option<Duration>,
    /// What it has in flight; from the claim on, what it had then.
    pub in_flight: InFlight,
}

impl Snapshot {
    /// Asks foreign code.
    pub(crate) fn of(hub: &Hub, page: &Page) -> Self {
        let ends = hub.stages.ends.get().filter(|_| page.step != Step::Running);
        let component = |(at, (name, drainable)): (usize, (String, Option<Arc<dyn Drainable>>))| {
            let line = page.lines.get(at);
            ComponentSnapshot {
                turn: line.map_or(Turn::Waiting, |line| line.turn),
                left: line.and_then(|line| line.deadline.as_ref()).map(Deadline::remaining),
                in_flight: in_flight(page, line, drainable),
                name,
            }
        };
        Snapshot {
            step: page.step,
            reason: hub.stages.reason.get().filter(|_| page.step != Step::Running).cloned(),
            left: ends.map(Deadline::remaining),
            components: hub.roster.members().into_iter().enumerate().map(component).collect(),
        }
    }
}

fn in_flight(page: &Page, line: Option<&Line>, drainable: Option<Arc<dyn Drainable>>) -> InFlight {
    let known = line.and_then(|line| line.stragglers.clone());
    let ended = line.is_some_and(|line| line.turn == Turn::Ended);
    let in_flight = match (known, &drainable) {
        (Some(known), _) => known,
        _ if ended => InFlight::counted(0),
        (None, Some(drainable)) if page.step != Step::Finished => {
            let asked = catch_unwind(AssertUnwindSafe(|| drainable.in_flight()));
            // What was thrown may throw again when it is dropped.
            asked.map_err(|panic| drop(panic_message(panic))).unwrap_or_default()
        }
        _ => InFlight::unknown(),
    };
    // Perhaps the last that holds it.
    swallow(|| drop(drainable));
    in_flight
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.step)?;
        if let Some(reason) = &self.reason {
            write!(f, " ({reason})")?;
        }
        if let Some(left) = self.left {
            write!(f, ", {} left", Short(left))?;
        }
        for component in &self.components {
            write!(f, "\n  {}: {}", component.name, component.turn)?;
            if component.turn != Turn::Ended {
                write!(f, ", {}", component.in_flight)?;
            }
            if let (Turn::Draining, Some(left)) = (component.turn, component.left) {
                write!(f, "; {} left", Short(left))?;
            }
        }
        Ok(())
    }
}
