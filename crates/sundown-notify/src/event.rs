//! What is told: [CloudEvents 1.0 as JSON](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md).
//!
//! Payloads are foreign code. One that fails to serialise, or panics, costs its event the payload and nothing else:
//! [`whole`] always makes an event.

mod data;
mod encode;

use std::time::SystemTime;

use serde::Serialize;
use sundown::{HandOver, Key, Uuid};

use self::data::Bare;
pub(crate) use self::{
    data::{Counts, Facts, Known, Named, Numbers, Whole},
    encode::{Unencoded, encode_within},
};
use crate::offered::Offered;

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
        self.encode_within(usize::MAX)
    }

    pub(crate) fn encode_within(&self, most: usize) -> Result<Vec<u8>, Unencoded> {
        encode_within(self, most)
    }
}

/// Draining has begun.
pub(crate) fn draining<D: Serialize>(source: &str, shutdown: Uuid, data: D) -> Event<'_, D> {
    let id = format!("{shutdown}-draining");
    Event::new("dev.sundown.shutdown.draining.v1", id, source, shutdown.to_string(), data)
}

/// How it ended.
pub(crate) fn finished<D: Serialize>(source: &str, shutdown: Uuid, data: D) -> Event<'_, D> {
    let id = format!("{shutdown}-finished");
    Event::new("dev.sundown.shutdown.finished.v1", id, source, shutdown.to_string(), data)
}

/// One job of a hand-over, by its [place](Offered::at): it could not finish, or its effect had begun.
pub(crate) fn job<'a, D: Serialize>(
    source: &'a str,
    hand_over: &HandOver,
    place: usize,
    data: D,
) -> Event<'a, D> {
    let r#type = match place < hand_over.jobs().len() {
        true => "dev.sundown.job.incomplete.v1",
        false => "dev.sundown.job.in-doubt.v1",
    };
    let job = hand_over.at(place);
    Event::new(r#type, id(hand_over, job.key()), source, job.id().as_str().into(), data)
}

/// The same with all that is known; without payload and checkpoint, and with an `error`, if they do not serialise: the
/// error is told, too.
pub(crate) fn whole(source: &str, hand_over: &HandOver, place: usize, wrong: impl FnOnce(&str)) -> Vec<u8> {
    let event = job(source, hand_over, place, Whole::of(hand_over, hand_over.at(place)));
    event.encode().unwrap_or_else(|error| {
        let error = format!("the payload or the checkpoint does not serialise: {error}");
        wrong(&error);
        let event = job(source, hand_over, place, Bare::of(hand_over, hand_over.at(place), error));
        event.encode().expect("text and numbers serialise")
    })
}
