//! Notifiers for [`sundown`]: who is told of a shutdown, and who takes over the jobs that could not finish.
//!
//! There is one so far, the [`Webhook`]. It posts [CloudEvents] to a monitoring service: that draining has begun, each
//! job that is incomplete, and the report at the end. A reply of 2xx takes the jobs of its request over; the clients
//! that wait for them are then told the truth.
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
//! Every request is a `POST` of `application/cloudevents-batch+json`, an array even of one event:
//!
//! | `type` | `subject` | `data` |
//! |---|---|---|
//! | `dev.sundown.shutdown.draining.v1` | the shutdown's id | `shutdown`, `reason` |
//! | `dev.sundown.job.incomplete.v1` | the job's id | `shutdown`, `job`, `key`, `component`, `age_ms`, `attempts`, `reason`, `earlier_ends`, `in_doubt`, `payload`, `checkpoint` |
//! | `dev.sundown.shutdown.finished.v1` | the shutdown's id | the [`Report`](sundown::Report) |
//!
//! Effects are at least once: an event may arrive again, with the same `id`; and two events can have one `subject`,
//! when a job of that id was begun twice.
//!
//! [CloudEvents]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md

#![forbid(unsafe_code)]

mod webhook;

mod event;

pub use self::webhook::{Webhook, WebhookError};
