//! What a rule is checked with: a subject, patience, and words for what was expected.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::Duration,
};

use sundown::panic_message;

/// How a rule ended.
pub(crate) type Checked<T = ()> = Result<T, Unmet>;

/// Why a rule was not met.
#[derive(Clone, Debug)]
pub(crate) enum Unmet {
    /// The implementation breaks it: what was expected, and what was seen.
    Broken(String),
    /// It could not be tried: what the implementor's side does not support.
    Skipped(String),
}

impl Unmet {
    pub(crate) fn broken(seen: impl Into<String>) -> Self {
        Unmet::Broken(seen.into())
    }

    pub(crate) fn skipped(why: impl Into<String>) -> Self {
        Unmet::Skipped(why.into())
    }
}

/// Holds, or breaks the rule with this message.
pub(crate) fn require(holds: bool, seen: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Unmet::Broken(seen())) }
}

/// Turns errors into broken rules.
pub(crate) trait OrBroken<T> {
    /// `what` must not fail.
    fn or_broken(self, what: &str) -> Checked<T>;
}

impl<T, E: fmt::Display> OrBroken<T> for Result<T, E> {
    fn or_broken(self, what: &str) -> Checked<T> {
        self.map_err(|error| Unmet::Broken(format!("{what} failed: {error}")))
    }
}

/// What "returns at once" may take on a busy machine.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(1);

/// One rule's look at a subject.
pub(crate) struct Trial<S> {
    pub(crate) subject: Arc<S>,
    pub(crate) patience: Duration,
}

impl<S> Trial<S> {
    /// Waits for an event.
    pub(crate) fn wait<T>(&self, event: &Receiver<T>, expected: &str) -> Checked<T> {
        wait(event, self.patience, expected)
    }

    /// Does it on a thread of its own, which is given up on if it takes too long.
    pub(crate) fn off_thread<T: Send + 'static>(
        &self,
        what: &str,
        does: impl FnOnce() -> T + Send + 'static,
    ) -> Checked<T> {
        bounded(what, self.patience, does)
    }

    /// The same, for what must not wait for anything.
    pub(crate) fn at_once<T: Send + 'static>(
        &self,
        what: &str,
        does: impl FnOnce() -> T + Send + 'static,
    ) -> Checked<T> {
        bounded(what, self.patience.min(AT_ONCE), does)
    }
}

pub(crate) fn wait<T>(event: &Receiver<T>, patience: Duration, expected: &str) -> Checked<T> {
    event.recv_timeout(patience).map_err(|error| {
        Unmet::Broken(match error {
            RecvTimeoutError::Timeout => format!("expected {expected}: it did not come within {patience:?}"),
            RecvTimeoutError::Disconnected => {
                format!("expected {expected}: whoever was to bring it was dropped")
            }
        })
    })
}

fn bounded<T: Send + 'static>(
    what: &str,
    bound: Duration,
    does: impl FnOnce() -> T + Send + 'static,
) -> Checked<T> {
    let (tell, ended) = channel();
    let run = move || drop(tell.send(catch_unwind(AssertUnwindSafe(does))));
    thread::Builder::new().spawn(run).or_broken("a thread")?;
    match ended.recv_timeout(bound) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(panic)) => Err(Unmet::Broken(format!("{what} panicked: {}", panic_message(panic)))),
        Err(_) => Err(Unmet::Broken(format!("{what} did not return within {bound:?}"))),
    }
}
