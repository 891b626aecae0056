//! Notifiers for [`sundown`]: who is told of a shutdown, and who takes over the jobs that could not finish.
//!
//! | notifier | where it goes | takes over |
//! |---|---|---|
//! | [`Webhook`] | a monitoring service, by HTTP | the jobs that the service acknowledges |
//! | [`First`] | the first of several notifiers, then the next | what any of them acknowledges |
//! | [`TerminationLog`] | a file that outlives the container; Kubernetes shows it | nothing |
//! | [`Systemd`] | the service manager: ready, stopping, how far, alive | nothing |
//! | [`LogLine`] | standard error, or any other log: a line of JSON for each event | nothing |
//!
//! One takes over ([`hand_over_to`](sundown::Builder::hand_over_to)), any number are told
//! ([`tell`](sundown::Builder::tell)). Whoever takes nothing over can be given to either, and acknowledges no job: that a
//! line was written makes nobody responsible. To several monitors that are all to have the jobs, `tell` the others.
//!
//! Payloads and checkpoints may be secret. The webhook sends them, to the one who is to do the job. Logs and the
//! termination message have them only if asked for.
//!
//! # Examples
//!
//! ```
//! # use std::{io::{Read, Write}, net::TcpListener, thread, time::Duration};
//! use sundown::{Jobs, Shutdown};
//! use sundown_notify::Webhook;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let monitor = TcpListener::bind("127.0.0.1:0")?;
//! # let url = format!("http://{}/events", monitor.local_addr()?);
//! # thread::spawn(move || {
//! #     for mut stream in monitor.incoming().flatten() {
//! #         let (mut request, mut some) = (Vec::new(), [0; 4096]);
//! #         while !request.ends_with(b"]") {
//! #             let length = stream.read(&mut some).unwrap();
//! #             request.extend_from_slice(&some[..length]);
//! #         }
//! #         stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
//! #     }
//! # });
//! let jobs = Jobs::new();
//! let shutdown = Shutdown::embedded(sundown_tokio::Tokio::current())
//!     .component("jobs", jobs.clone())
//!     .hand_over_to(Webhook::new(url)?.header("authorization", "Bearer s3cr3t"))
//!     .grace(Duration::from_secs(10))
//!     .start()?;
//!
//! let _job = jobs.begin("image-17", "resize to 640 px")?;
//! shutdown.begin("the example is over");
//! shutdown.hurry(); // the job does not finish
//!
//! let report = shutdown.finished().await;
//! assert!(report.is_clean()); // the monitor has taken it over
//! assert_eq!(report.jobs.handed_over[0].id.as_str(), "image-17");
//! # Ok(()) }
//! ```
//!
//! # On the wire
//!
//! Every request of the [`Webhook`] is a `POST` of `application/cloudevents-batch+json`, an array even of one event, and
//! every line of a [`LogLine`] is such an event. The JSON Schema with every field is `schema/events.json` in the
//! repository.
//!
//! | `type` | when | `id` | `subject` | `data` |
//! |---|---|---|---|---|
//! | `dev.sundown.shutdown.draining.v1` | at once | the shutdown's id, `-draining` | the shutdown's id | `shutdown`, `reason` |
//! | `dev.sundown.job.incomplete.v1` | at the hand-over | the hand-over's id, `-`, the job's `key` | the job's id | `shutdown`, `job`, `key`, `component`, `age_ms`, `attempts`, `reason`, `earlier_ends`, `in_doubt`, `payload`, `checkpoint` |
//! | `dev.sundown.job.in-doubt.v1` | likewise | likewise | likewise | likewise |
//! | `dev.sundown.shutdown.finished.v1` | at the end, if there is time | the shutdown's id, `-finished` | the shutdown's id | the [`Report`](sundown::Report) |
//!
//! Effects are at least once, and events may arrive in any order: a receiver drops those whose `id` it has seen. An id is
//! the same in every attempt and for every link of a [`First`]. Two events can have one `subject`, when a job of that id
//! was begun twice.
//!
//! An *incomplete* job is to be done by whoever acknowledges it. If it is `in_doubt`, it was sent to somebody else before, or
//! left by a process that died in mid-commit: look before doing it again. The effect of a job of the type *in-doubt* had
//! begun when the hand-over did, and most still end well, which the last event says. Who looks at the incomplete ones alone
//! does nothing twice.
//!
//! There may be more fields, and more types, in later versions: ignore what you do not know.
//!
//! [CloudEvents]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md

#![forbid(unsafe_code)]

mod first;
mod log_line;
mod systemd;
mod termination_log;
mod webhook;

mod event;
mod offered;

pub use self::{
    first::First,
    log_line::LogLine,
    systemd::Systemd,
    termination_log::TerminationLog,
    webhook::{Webhook, WebhookError},
};
