//! What goes over the wire: [CloudEvents 1.0 as JSON](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md).
//!
//! Payloads are foreign code. One that fails to serialise, or panics, costs its event the payload and nothing else:
//! [`incomplete`] always makes an event.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::SystemTime,
};

use serde::Serialize;
use sundown::{HandOver, IncompleteJob, JobId, Key, Notice, Reason, Report, Uuid, panic_message};

/// The media type of a batch: an array of events.
pub(crate) const BATCH: &str = "application/cloudevents-batch+json";

/// The id of the event about the job at this place of the hand-over, the same in every retry, and whoever is offered it.
pub(crate) fn id(hand_over: &HandOver, place: usize) -> String {
    format!("{}-{}", hand_over.id(), hand_over.jobs()[place].key())
}

/// Draining has begun.
pub(crate) fn draining(source: &str, notice: &Notice) -> Result<Vec<u8>, String> {
    let (id, subject) = (format!("{}-draining", notice.shutdown), notice.shutdown.to_string());
    encode("dev.sundown.shutdown.draining.v1", &id, source, &subject, notice)
}

/// How it ended.
pub(crate) fn finished(source: &str, report: &Report) -> Result<Vec<u8>, String> {
    let (id, subject) = (format!("{}-finished", report.shutdown), report.shutdown.to_string());
    encode("dev.sundown.shutdown.finished.v1", &id, source, &subject, report)
}

/// One job that could not finish; without payload and checkpoint, and with an `error`, if they do not serialise.
pub(crate) fn incomplete(source: &str, hand_over: &HandOver, place: usize) -> Vec<u8> {
    const TYPE: &str = "dev.sundown.job.incomplete.v1";
    let (job, shutdown) = (&hand_over.jobs()[place], hand_over.shutdown());
    let (id, subject) = (&id(hand_over, place), job.id().as_str());
    encode(TYPE, id, source, subject, &Whole { job, shutdown }).unwrap_or_else(|error| {
        let data = Bare {
            job: job.id(),
            key: job.key(),
            component: job.component(),
            age_ms: u64::try_from(job.age().as_millis()).unwrap_or(u64::MAX),
            attempts: job.attempts(),
            reason: job.reason(),
            earlier_ends: job.earlier_ends(),
            in_doubt: job.is_in_doubt(),
            payload: (),
            checkpoint: (),
            shutdown,
            error: format!("the payload or the checkpoint does not serialise: {error}"),
        };
        encode(TYPE, id, source, subject, &data).expect("text and numbers serialise")
    })
}

#[derive(Serialize)]
struct Event<'a, D> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    r#type: &'static str,
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    data: &'a D,
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    job: &'a IncompleteJob,
    shutdown: Uuid,
}

#[derive(Serialize)]
struct Bare<'a> {
    job: &'a JobId,
    key: Key,
    component: &'a str,
    age_ms: u64,
    attempts: u32,
    reason: &'a Reason,
    earlier_ends: &'a [Reason],
    in_doubt: bool,
    payload: (),
    checkpoint: (),
    shutdown: Uuid,
    error: String,
}

fn encode<D: Serialize>(
    r#type: &'static str,
    id: &str,
    source: &str,
    subject: &str,
    data: &D,
) -> Result<Vec<u8>, String> {
    let event = Event {
        specversion: "1.0",
        id,
        source,
        r#type,
        subject,
        time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        datacontenttype: "application/json",
        data,
    };
    match catch_unwind(AssertUnwindSafe(|| serde_json::to_vec(&event))) {
        Ok(encoded) => encoded.map_err(|error| error.to_string()),
        Err(panic) => {
            let message = format!("it panicked: {}", panic_message(&*panic));
            // What was thrown may throw again when it is dropped.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(panic)));
            Err(message)
        }
    }
}
