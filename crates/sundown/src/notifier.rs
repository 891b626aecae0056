//! How the outside world hears of a shutdown, and who takes over what could not finish.

use std::{collections::HashMap, sync::Arc, time::Instant};

use async_trait::async_trait;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    Deadline, Reason, Report,
    host::System,
    jobs::{IncompleteJob, Key, LeftOver},
};

/// Announces a shutdown to the outside world (a monitoring service, a log); it does not wake waiters, that is
/// [`Watch`](crate::Watch).
///
/// Exactly one notifier takes over ([`hand_over_to`](crate::Builder::hand_over_to)); any number are told
/// ([`tell`](crate::Builder::tell)), whose acknowledgements count for nothing.
///
/// Everything of one notifier is driven in one private place from [`prepare`](Self::prepare) to the end, so a client
/// built there works when the service's runtime does not. The methods may block their thread.
///
/// # Examples
///
/// ```
/// use sundown::{HandOver, Notifier, NotifyError};
///
/// struct Stdout;
///
/// #[sundown::async_trait]
/// impl Notifier for Stdout {
///     async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
///         for job in hand_over.jobs() {
///             println!("incomplete: {}", job.id());
///             // The line is out: whoever reads our output is responsible from here on.
///             hand_over.acknowledge(job.key());
///         }
///         Ok(())
///     }
/// }
/// ```
///
/// Wrong is to acknowledge before it is known:
///
/// ```ignore
/// hand_over.acknowledge(job.key()); // the client is told 200 …
/// self.client.post(job).await?;     // … and this fails: nobody knows of the job
/// ```
#[async_trait]
pub trait Notifier: Send + Sync + 'static {
    /// Called when the shutdown is started, long before it begins: build clients, open connections.
    ///
    /// # Errors
    ///
    /// An error, or no answer within five seconds, fails [`start`](crate::Builder::start).
    ///
    /// # Cancel safety
    ///
    /// It is dropped where it waits when `start` fails; then nothing else is called.
    async fn prepare(&self) -> Result<(), NotifyError> {
        Ok(())
    }

    /// Draining has begun. Best effort, beside the drain.
    ///
    /// # Errors
    ///
    /// They are in the report, and change nothing else.
    ///
    /// # Cancel safety
    ///
    /// It is dropped where it waits when the drain is over, and [`incomplete`](Self::incomplete) may follow at once.
    async fn draining(&self, notice: &Notice) -> Result<(), NotifyError> {
        let _ = notice;
        Ok(())
    }

    /// Take these jobs over: [`acknowledge`](HandOver::acknowledge) each that is now somebody else's responsibility,
    /// as soon as that is known. What was acknowledged counts even if the call then fails, hangs or panics.
    ///
    /// Not called when there is nothing to hand over. Returns by the [deadline](HandOver::deadline).
    ///
    /// # Errors
    ///
    /// A refusal by the outside is an error, even of a part, so that the report can say why. Errors are in the report;
    /// jobs not acknowledged stay unacknowledged.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped where it waits. What was acknowledged by then counts.
    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError>;

    /// How it ended, as far as it is known beside the release hooks. Best effort, if time is left.
    ///
    /// # Errors
    ///
    /// They are in the report, and change nothing else.
    ///
    /// # Cancel safety
    ///
    /// It is dropped where it waits when the shutdown has finished.
    async fn finished(&self, report: &Report) -> Result<(), NotifyError> {
        let _ = report;
        Ok(())
    }
}

/// Why a notifier could not do its work.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct NotifyError {
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl NotifyError {
    /// An error with a message of its own: lower case, no full stop, naming the thing and the number.
    pub fn new(message: impl Into<String>) -> Self {
        NotifyError { message: message.into(), source: None }
    }

    /// The same, with what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The message with all its causes, as the report has it.
    pub fn describe(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }
}

/// The beginning of a shutdown, for the outside.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Notice {
    /// Names this shutdown in all that is sent about it.
    pub shutdown: Uuid,
    /// Why it began.
    pub reason: Reason,
    /// The end of the time in which a notice is of use: the claim.
    #[serde(skip)]
    pub deadline: Deadline,
}

/// The jobs that could not finish, offered to whoever takes over.
pub struct HandOver {
    id: Uuid,
    shutdown: Uuid,
    reason: Reason,
    deadline: Deadline,
    /// Those that were taken, then those whose effect had begun.
    all: Vec<IncompleteJob>,
    taken: usize,
    by_key: HashMap<Key, usize>,
    takes_over: bool,
}

impl HandOver {
    pub(crate) fn new(
        (id, shutdown): (Uuid, Uuid),
        reason: Reason,
        deadline: Deadline,
        jobs: Vec<IncompleteJob>,
        takes_over: bool,
    ) -> Self {
        let (mut all, begun): (Vec<_>, Vec<_>) =
            jobs.into_iter().partition(|job| !job.has_begun_its_effect());
        let taken = all.len();
        all.extend(begun);
        let by_key = all.iter().enumerate().map(|(at, job)| (job.key(), at)).collect();
        HandOver { id, shutdown, reason, deadline, all, taken, by_key, takes_over }
    }

    /// Offers jobs that an earlier process left, outside of any shutdown: to a notifier's
    /// [`incomplete`](Notifier::incomplete), where acknowledgements count until the hand-over is dropped. What was
    /// acknowledged, each job [says itself](IncompleteJob::is_acknowledged).
    ///
    /// It stands for a shutdown of its own, which began since a process [died](Reason::Died).
    pub fn of_left_over(jobs: impl IntoIterator<Item = LeftOver>, until: Instant) -> Self {
        let host = System::shared();
        let now = host.now();
        let jobs = jobs.into_iter().map(|job| job.taken(now)).collect();
        let deadline = Deadline::new(&host, now, until);
        HandOver::new((host.id(), host.id()), Reason::Died, deadline, jobs, true)
    }

    /// What nobody has acknowledged so far, with an end of its own that is no later than the whole's: for a notifier that
    /// asks several others, one after another. Acknowledgements in the part count in the whole.
    #[must_use]
    pub fn rest(&self, until: Instant) -> Self {
        let jobs = self.all.iter().filter(|job| !job.is_acknowledged()).map(IncompleteJob::listed).collect();
        let (ids, deadline) = ((self.id, self.shutdown), self.deadline.no_later_than(until));
        HandOver::new(ids, self.reason.clone(), deadline, jobs, self.takes_over)
    }

    /// Names this hand-over: with a job's [`key`](IncompleteJob::key), an identifier that is unique and the same in every
    /// retry.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Names the shutdown that it belongs to, as its [`Notice`] and its [`Report`] do.
    pub fn shutdown(&self) -> Uuid {
        self.shutdown
    }

    /// Why the service is shutting down.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// When the hand-over ends; later acknowledgements come too late.
    pub fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    /// What is offered: somebody has to do these. (None, if all are [in doubt](Self::in_doubt).) The order is fixed: by
    /// their components' [priority](crate::Order::hand_over_priority), then by their components.
    pub fn jobs(&self) -> &[IncompleteJob] {
        &self.all[..self.taken]
    }

    /// Jobs whose own effect had begun when the hand-over did, in a fixed order. Most will still end well, and then the
    /// report of the shutdown says so; of the others nobody can know whether the effect happened. Do not do them again
    /// unseen. To acknowledge one is to say that somebody knows of it: it stays in doubt.
    pub fn in_doubt(&self) -> &[IncompleteJob] {
        &self.all[self.taken..]
    }

    /// The job is now somebody else's responsibility. Returns whether that counts: the first time, in time, by the
    /// notifier that takes over.
    pub fn acknowledge(&self, key: Key) -> bool {
        self.takes_over && self.find(key).is_some_and(IncompleteJob::acknowledge)
    }

    /// The job was sent, and nobody can know whether it arrived: unless it is acknowledged after all, it is in doubt
    /// instead of unacknowledged.
    pub fn doubt(&self, key: Key) {
        if self.takes_over
            && let Some(job) = self.find(key)
        {
            job.doubt();
        }
    }

    fn find(&self, key: Key) -> Option<&IncompleteJob> {
        self.by_key.get(&key).map(|&at| &self.all[at])
    }
}

impl std::fmt::Debug for HandOver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HandOver")
            .field("id", &self.id)
            .field("jobs", &self.jobs().len())
            .field("in_doubt", &self.in_doubt().len())
            .finish_non_exhaustive()
    }
}

/// A notifier as the conductor keeps it.
pub(crate) type DynNotifier = Arc<dyn Notifier>;
