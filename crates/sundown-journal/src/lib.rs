//! Jobs that survive the process, for [`sundown`].
//!
//! Many processes die without notice: SIGKILL, the memory limit, a machine that is lost. Nothing is handed over then, and
//! what was in hand is forgotten. A [`Journal`] keeps each job in a file from before its work begins until it has ended
//! or somebody else has acknowledged it:
//!
//! * [`DurableJobs`] are [`Jobs`](sundown::Jobs) whose `begin` resolves when the job is on the disk, and a component of
//!   the shutdown like them;
//! * the next process finds what an earlier one [left](Journal::left_over), and why, and [resumes](DurableJobs::resume)
//!   it or [hands it over](Journal::hand_over);
//! * a [`LastLink`] uses the journal for the hand-over alone: nothing is written while running.
//!
//! # Examples
//!
//! ```
//! # use std::time::Duration;
//! use sundown::Shutdown;
//! use sundown_journal::Journal;
//! # use sundown_tokio::Tokio;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = std::env::temp_dir().join(format!("sundown-journal-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory)?;
//! # let path = directory.join("jobs.journal");
//! # {
//! // The first process …
//! let journal = Journal::open(&path)?;
//! let jobs = journal.jobs("resizer");
//! let job = jobs.begin("image-17", "resize to 640 px".to_owned()).await?;
//! job.checkpoint(&"decoded")?;
//! # journal.flush().await?;
//! # journal.close()?;
//! // … dies here. Nobody has said a word.
//! # }
//!
//! // The next one:
//! let journal = Journal::open(&path)?;
//! let jobs = journal.jobs::<String>("resizer");
//! let shutdown = Shutdown::embedded(Tokio::current())
//!     .component("resizer", jobs.clone())
//!     .grace(Duration::from_secs(10))
//!     .start()?;
//!
//! for left in journal.left_over() {
//!     assert_eq!(left.reason().to_string(), "the process died");
//!     assert_eq!(left.checkpoint::<String>()?.as_deref(), Some("decoded"));
//!     let job = jobs.resume(&left).await?; // the second attempt
//!     assert_eq!(job.payload(), "resize to 640 px");
//!     job.complete()?;
//! }
//! shutdown.begin("the example is over");
//! assert!(shutdown.finished().await.is_clean());
//! # std::fs::remove_dir_all(directory)?;
//! # Ok(()) }
//! ```
//!
//! # What is promised
//!
//! * A job whose `begin` has returned is found by the next process unless its end was said: whatever kills the process,
//!   and, on a disk that keeps what it has synced, whatever happens to the machine.
//! * Its end is written with the next batch, or within 100 ms. So effects happen **at least once**: who dies between an
//!   effect and the note of it leaves a job that looks incomplete. Its id says which work it is, for those who must not do
//!   it twice.
//! * What was left is forgotten when somebody has acknowledged it, or it was resumed and has ended. What a shutdown could
//!   not hand over stays, with the shutdown's reason, and is offered again: by hand at the next start, else with the next
//!   shutdown's jobs.
//! * While the disk is full or fails, `begin` says so, running work goes on, and nothing acknowledged is lost. After a
//!   failed sync the file is not trusted any more: what it holds goes to a new one, which takes its place.
//! * One process at a time has a journal. A file of a newer version, and one that is no journal, are refused, and not
//!   touched. Every page is verified when a journal is opened; one that is damaged is refused too.
//! * It holds so many jobs and bytes at most ([`Options`]), and its file is copied when most of it is empty.
//! * Payloads may be secret: its files are readable by their owner only.
//!
//! # What it costs
//!
//! One thread writes: it takes all that has come, writes it as one transaction of [redb], and syncs once. A lone caller's
//! `begin` takes little more than a sync, and many callers share one. Jobs without a journal pay nothing for it.
//!
//! [redb]: https://docs.rs/redb

#![forbid(unsafe_code)]

mod journal;

mod jobs;

mod component;
mod job;
mod reservation;

mod recovered;

mod hand_over;
mod last_link;

mod error;
mod store;
mod text;
mod writer;

#[cfg(test)]
mod disk;

pub use self::{
    error::{BeginError, CheckpointError, Full, JournalError, ResumeError, WriteError},
    hand_over::HandedOver,
    job::{DurableCommit, DurableJob},
    jobs::DurableJobs,
    journal::{Journal, Options},
    last_link::LastLink,
    recovered::Recovered,
    reservation::DurableReservation,
};
