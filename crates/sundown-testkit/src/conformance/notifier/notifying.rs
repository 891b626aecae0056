//! A notifier on trial, and its outside world.

use std::{collections::BTreeSet, fmt, sync::Arc};

use sundown::{Notifier, Runtime};

use crate::conformance::lent::Lent;

/// What the outside world does with the jobs that it is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outside {
    /// It accepts every job.
    Accepts,
    /// It refuses every job, and all other news.
    Refuses,
    /// It says nothing, and neither accepts nor refuses.
    Hangs,
    /// It accepts so many jobs, and refuses the rest.
    AcceptsOnly(usize),
    /// It accepts so many jobs, and says nothing to the rest.
    HangsAfter(usize),
}

/// A notifier on trial, with its outside world.
pub struct Notifying {
    pub(super) notifier: Arc<dyn Notifier>,
    taken: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    pub(super) runtime: Lent,
}

/// What every rule begins with.
pub(super) type Fresh = Box<dyn Fn(Outside) -> Option<Notifying> + Send + Sync>;

impl Notifying {
    /// A fresh notifier, and a closure that asks its outside world which jobs it has accepted, by their
    /// [keys](sundown::Key) as text.
    pub fn new(notifier: impl Notifier, taken: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        Notifying { notifier: Arc::new(notifier), taken: Box::new(taken), runtime: Lent::bare() }
    }

    /// The notifier is driven in this runtime's private places, by its adapter. Without it, on plain threads.
    #[must_use]
    pub fn on(mut self, runtime: impl Runtime) -> Self {
        self.runtime = Lent::new(runtime);
        self
    }

    /// What the outside has accepted, each once: it may have been offered more than once.
    pub(super) fn taken(&self) -> BTreeSet<String> {
        (self.taken)().into_iter().collect()
    }
}

impl fmt::Debug for Notifying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifying").field("taken", &(self.taken)().len()).finish_non_exhaustive()
    }
}
