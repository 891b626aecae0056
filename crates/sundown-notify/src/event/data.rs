//! What events say, in full and, where there is no room or no permission, in part.

use serde::Serialize;
use sundown::{HandOver, IncompleteJob, JobId, JobsReport, Key, Reason, Uuid};

/// All that there is to say about a job.
#[derive(Serialize)]
pub(crate) struct Whole<'a> {
    #[serde(flatten)]
    job: &'a IncompleteJob,
    shutdown: Uuid,
}

impl<'a> Whole<'a> {
    pub(crate) fn of(hand_over: &'a HandOver, job: &'a IncompleteJob) -> Self {
        Whole { job, shutdown: hand_over.shutdown() }
    }
}

/// The same without what is the service's own, and may be secret: payload and checkpoint.
#[derive(Serialize)]
pub(crate) struct Known<'a> {
    #[serde(flatten)]
    job: Facts<'a>,
    shutdown: Uuid,
}

impl<'a> Known<'a> {
    pub(crate) fn of(hand_over: &'a HandOver, job: &'a IncompleteJob) -> Self {
        Known { job: Facts::of(job), shutdown: hand_over.shutdown() }
    }
}

/// What a job is, without payload and checkpoint.
#[derive(Serialize)]
pub(crate) struct Facts<'a> {
    job: &'a JobId,
    key: Key,
    component: &'a str,
    age_ms: u64,
    attempts: u32,
    reason: &'a Reason,
    earlier_ends: &'a [Reason],
    in_doubt: bool,
}

impl<'a> Facts<'a> {
    pub(crate) fn of(job: &'a IncompleteJob) -> Self {
        Facts {
            job: job.id(),
            key: job.key(),
            component: job.component(),
            age_ms: u64::try_from(job.age().as_millis()).unwrap_or(u64::MAX),
            attempts: job.attempts(),
            reason: job.reason(),
            earlier_ends: job.earlier_ends(),
            in_doubt: job.is_in_doubt(),
        }
    }
}

/// The same where payload or checkpoint do not serialise.
#[derive(Serialize)]
pub(super) struct Bare<'a> {
    #[serde(flatten)]
    known: Known<'a>,
    payload: (),
    checkpoint: (),
    error: String,
}

impl<'a> Bare<'a> {
    pub(super) fn of(hand_over: &'a HandOver, job: &'a IncompleteJob, error: String) -> Self {
        Bare { known: Known::of(hand_over, job), payload: (), checkpoint: (), error }
    }
}

/// The least that names a job.
#[derive(Serialize)]
pub(crate) struct Named<'a> {
    job: &'a JobId,
    key: Key,
}

impl<'a> Named<'a> {
    pub(crate) fn of(job: &'a IncompleteJob) -> Self {
        Named { job: job.id(), key: job.key() }
    }
}

/// The least that can be said of a shutdown.
#[derive(Serialize)]
pub(crate) struct Numbers {
    pub(crate) shutdown: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) counts: Option<Counts>,
}

/// How many jobs ended how.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Counts {
    completed: u64,
    failed: u64,
    handed_over: usize,
    unacknowledged: usize,
    in_doubt: u64,
}

impl Counts {
    pub(crate) fn of(jobs: &JobsReport) -> Self {
        Counts {
            completed: jobs.completed,
            failed: jobs.failed,
            handed_over: jobs.handed_over.len(),
            unacknowledged: jobs.unacknowledged.len(),
            in_doubt: jobs.in_doubt.len() as u64 + jobs.unnamed_in_doubt,
        }
    }
}
