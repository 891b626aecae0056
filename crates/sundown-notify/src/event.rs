//! What is told: [CloudEvents 1.0 as JSON](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md).
//!
//! Payloads are foreign code. One that fails to serialise, or panics, costs its event the payload and nothing else:
//! [`incomplete`] always makes an event.

use std::{
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    time::SystemTime,
};

use serde::Serialize;
use sundown::{HandOver, IncompleteJob, JobId, Key, Notice, Reason, Report, Uuid, panic_message};

/// The media type of a batch: an array of events.
pub(crate) const BATCH: &str = "application/cloudevents-batch+json";

/// The id of the event about this job, the same in every retry and in every [rest](HandOver::rest).
pub(crate) fn id(hand_over: &HandOver, key: Key) -> String {
    format!("{}-{key}", hand_over.id())
}

/// One event.
#[derive(Serialize)]
pub(crate) struct Event<'a, D> {
    specversion: &'static str,
    id: String,
    source: &'a str,
    r#type: &'static str,
    subject: String,
    time: String,
    datacontenttype: &'static str,
    #[serde(flatten)]
    line: Option<Line>,
    data: D,
}

/// What a [log line](crate::LogLine) has besides, as
/// [extension attributes](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#extension-context-attributes).
#[derive(Serialize)]
struct Line {
    level: &'static str,
    message: String,
}

impl<'a, D: Serialize> Event<'a, D> {
    fn new(r#type: &'static str, id: String, source: &'a str, subject: String, data: D) -> Self {
        Event {
            specversion: "1.0",
            id,
            source,
            r#type,
            subject,
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            datacontenttype: "application/json",
            line: None,
            data,
        }
    }

    /// As a line of a log.
    pub(crate) fn logged(mut self, level: &'static str, message: impl Into<String>) -> Self {
        self.line = Some(Line { level, message: message.into() });
        self
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, Unencoded> {
        encode_within(self, usize::MAX)
    }
}

/// Draining has begun.
pub(crate) fn draining<'a>(source: &'a str, notice: &'a Notice) -> Event<'a, &'a Notice> {
    let id = format!("{}-draining", notice.shutdown);
    Event::new("dev.sundown.shutdown.draining.v1", id, source, notice.shutdown.to_string(), notice)
}

/// How it ended.
pub(crate) fn finished<'a, D: Serialize>(source: &'a str, report: &Report, data: D) -> Event<'a, D> {
    let id = format!("{}-finished", report.shutdown);
    Event::new("dev.sundown.shutdown.finished.v1", id, source, report.shutdown.to_string(), data)
}

/// One job that could not finish, with this to say about it.
pub(crate) fn about<'a, D: Serialize>(
    source: &'a str,
    hand_over: &HandOver,
    job: &IncompleteJob,
    data: D,
) -> Event<'a, D> {
    let id = id(hand_over, job.key());
    Event::new("dev.sundown.job.incomplete.v1", id, source, job.id().as_str().into(), data)
}

/// One job that could not finish; without payload and checkpoint, and with an `error`, if they do not serialise.
pub(crate) fn incomplete(source: &str, hand_over: &HandOver, job: &IncompleteJob) -> Vec<u8> {
    about(source, hand_over, job, Whole::of(hand_over, job)).encode().unwrap_or_else(|error| {
        let data = Bare {
            known: Known::of(hand_over, job),
            payload: (),
            checkpoint: (),
            error: format!("the payload or the checkpoint does not serialise: {error}"),
        };
        about(source, hand_over, job, data).encode().expect("text and numbers serialise")
    })
}

/// All that there is to say about a job.
#[derive(Serialize)]
pub(crate) struct Whole<'a> {
    #[serde(flatten)]
    job: &'a IncompleteJob,
    reason: &'a Reason,
    shutdown: Uuid,
}

impl<'a> Whole<'a> {
    pub(crate) fn of(hand_over: &'a HandOver, job: &'a IncompleteJob) -> Self {
        Whole { job, reason: hand_over.reason(), shutdown: hand_over.shutdown() }
    }
}

/// The same without what is the service's own, and may be secret: payload and checkpoint.
#[derive(Serialize)]
pub(crate) struct Known<'a> {
    #[serde(flatten)]
    job: Facts<'a>,
    reason: &'a Reason,
    shutdown: Uuid,
}

impl<'a> Known<'a> {
    pub(crate) fn of(hand_over: &'a HandOver, job: &'a IncompleteJob) -> Self {
        Known { job: Facts::of(job), reason: hand_over.reason(), shutdown: hand_over.shutdown() }
    }
}

/// What a job is, without payload and checkpoint.
#[derive(Serialize)]
pub(crate) struct Facts<'a> {
    job: &'a JobId,
    key: Key,
    component: &'a str,
    age_ms: u64,
}

impl<'a> Facts<'a> {
    pub(crate) fn of(job: &'a IncompleteJob) -> Self {
        Facts {
            job: job.id(),
            key: job.key(),
            component: job.component(),
            age_ms: u64::try_from(job.age().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[derive(Serialize)]
struct Bare<'a> {
    #[serde(flatten)]
    known: Known<'a>,
    payload: (),
    checkpoint: (),
    error: String,
}

/// Why something is not JSON.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unencoded {
    /// It would be longer than it may be.
    #[error("longer than {0} bytes")]
    TooLong(usize),
    #[error("{0}")]
    Failed(String),
}

/// As JSON of at most so many bytes; what is longer is not made to its end.
pub(crate) fn encode_within<T: Serialize>(value: &T, most: usize) -> Result<Vec<u8>, Unencoded> {
    let mut room = Room { text: Vec::new(), most, is_full: false };
    match catch_unwind(AssertUnwindSafe(|| serde_json::to_writer(&mut room, value))) {
        Ok(Ok(())) => Ok(room.text),
        Ok(Err(_)) if room.is_full => Err(Unencoded::TooLong(most)),
        Ok(Err(error)) => Err(Unencoded::Failed(error.to_string())),
        Err(panic) => {
            let message = format!("it panicked: {}", panic_message(&*panic));
            // What was thrown may throw again when it is dropped.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(panic)));
            Err(Unencoded::Failed(message))
        }
    }
}

/// Takes in so much and no more.
struct Room {
    text: Vec<u8>,
    most: usize,
    is_full: bool,
}

impl Write for Room {
    fn write(&mut self, some: &[u8]) -> io::Result<usize> {
        if some.len() > self.most - self.text.len() {
            self.is_full = true;
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.text.extend_from_slice(some);
        Ok(some.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_not_made_to_its_end() {
        assert_eq!(encode_within(&"four", 6).unwrap(), b"\"four\"");
        assert!(matches!(encode_within(&"four", 5), Err(Unencoded::TooLong(5))));
        // It would be as long as the memory.
        struct Endless;
        impl Serialize for Endless {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(std::iter::repeat(0))
            }
        }
        assert!(matches!(encode_within(&Endless, 4096), Err(Unencoded::TooLong(4096))));
    }
}
