//! Where a component stands among the others: what it comes after, how long it may take, and how soon its jobs are
//! offered. Words only: what they come to is the [plan](crate::plan)'s.

use std::time::Duration;

use serde::Serialize;

/// Where a component stands among the others, for those who [join](crate::Handle::component) a running service. (The
/// [`Builder`](crate::Builder) has methods of the same names for the component added last.)
///
/// The names of those it comes after are an order already: `["http", "consumer"]`.
///
/// # Examples
///
/// ```
/// # use std::time::Duration;
/// # fn join(shutdown: &sundown::Shutdown, cache: sundown::Gate) -> Result<(), sundown::AddComponentError> {
/// use sundown::{Order, Overdue};
///
/// let order = Order::new().after(["http"]).within(Duration::from_secs(2), Overdue::Force);
/// shutdown.component("cache", cache, order)
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "an order says nothing until a component has it"]
pub struct Order {
    pub(crate) after: Vec<String>,
    pub(crate) phase: Option<String>,
    pub(crate) allowance: Option<Allowance>,
    pub(crate) hand_over_priority: i32,
}

/// A component's own part of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) length: Duration,
    pub(crate) overdue: Overdue,
}

/// What happens to a component that has not drained when its [allowance](Order::within) is over. Whichever it is, nobody
/// waits for it any longer, and the report [says so](crate::ComponentReport::cut).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Overdue {
    /// It goes on, and is claimed with the others.
    StopWaiting,
    /// Its jobs are claimed at once, and once that is done it is [forced](crate::Drainable::force), while the others go on
    /// draining. The jobs are handed over with all others.
    ///
    /// This is for what must not hold on to something that others need. Its clients are answered only if they still can
    /// be when it has dropped what was left: a server is better left to its own end. A component whose claim fails, or
    /// hangs, is not forced before the others are: it may still hold jobs that nobody knows of. Nor is one whose allowance
    /// ends the drain of all, since then everything comes in its order anyway. A [shutdown
    /// inside](crate::Handle#inside-another) has its components forced, and still hands over itself or waits for its parent.
    Force,
    /// There is no point in going on without it: all are claimed, as if somebody had
    /// [hurried](crate::Handle::hurry).
    StopTheRest,
}

impl Overdue {
    /// What is done then, in words.
    pub(crate) fn done(self) -> &'static str {
        match self {
            Overdue::StopWaiting => "no longer waited for",
            Overdue::Force => "claimed and forced",
            Overdue::StopTheRest => "the rest stopped",
        }
    }
}

impl Order {
    /// At once, for as long as there is time.
    pub fn new() -> Self {
        Order::default()
    }

    /// It drains after these components: it is closed when they have ended, or their time is over.
    pub fn after<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.after.extend(names.into_iter().map(Into::into));
        self
    }

    /// It belongs to this phase, one of [those of the service](crate::Builder::phases): it drains after every component of
    /// the phases before it. Called again, the last call counts.
    pub fn phase(mut self, name: impl Into<String>) -> Self {
        self.phase = Some(name.into());
        self
    }

    /// It has at most so long from its turn, and at the end of that this happens. Called again, the last call counts.
    ///
    /// The allowance takes time away and never adds any: it ends with the component's latest finish at the latest, however
    /// long it is. (Who wakes up late, since the platform had stopped it, listens for a moment longer.) None at all is an
    /// error when the shutdown is started.
    pub fn within(mut self, allowance: Duration, overdue: Overdue) -> Self {
        self.allowance = Some(Allowance { length: allowance, overdue });
        self
    }

    /// The jobs of components with a higher priority are offered first to the notifier that takes over; 0 if this is not
    /// called. Those of one priority are offered in the order in which their components were added. Those
    /// that come through a [shutdown inside](crate::Handle#inside-another) have its priority and its place.
    pub fn hand_over_priority(mut self, priority: i32) -> Self {
        self.hand_over_priority = priority;
        self
    }
}

impl<const N: usize> From<[&str; N]> for Order {
    fn from(after: [&str; N]) -> Self {
        Order::new().after(after)
    }
}

impl<const N: usize> From<&[&str; N]> for Order {
    fn from(after: &[&str; N]) -> Self {
        Order::new().after(*after)
    }
}

impl From<&[&str]> for Order {
    fn from(after: &[&str]) -> Self {
        Order::new().after(after.iter().copied())
    }
}
