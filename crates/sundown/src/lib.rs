//! Ends an async service on time, whatever runtime it runs on and whatever state that runtime is in.
//!
//! A platform sends SIGTERM and, some seconds later, SIGKILL. In between, a [`Shutdown`] stops taking work, lets work
//! finish, hands the jobs that cannot finish to whoever takes over, lets every component answer those who still wait,
//! and leaves: on time even when the runtime is blocked, as soon as it can otherwise.
//!
//! ```text
//! signal ─ announce ─ drain ───────────────────── claim ─ hand over ─ answer ─ force ─ release ─ exit ┄ SIGKILL
//!          readiness  each component in its turn:  who     acknowl-    every    drop    flush     margin
//!          goes red   closed, then drained         owns    edged       client   rest    telemetry
//! ```
//!
//! What a service deals with:
//!
//! * [`Shutdown`] is set up once, with the components and their order, and owns signals and exit;
//! * a [`Watch`] tells tasks that the service is draining, and [interrupts](Watch::interrupt) what waits; [`Readiness`]
//!   tells the load balancer;
//! * a [`Gate`] counts anonymous work, [`Jobs`] hold named work that somebody else could finish;
//! * [`Tasks`] are named, supervised tasks, which are told to stop and waited for;
//! * a [`Drainable`] is a component: a server, a consumer, a job store of your own; so is a [`ChildProcess`], a [`Thread`],
//!   and a [shutdown inside another](Handle#inside-another);
//! * a [`Notifier`] tells the outside, and takes jobs over;
//! * [`Progress`] says how it is coming along, the [`Report`] what happened.
//!
//! The crate knows no runtime and no HTTP: an adapter (`sundown-tokio`) implements [`Runtime`], and `sundown-http` is
//! a component like any other.
//!
//! # Examples
//!
//! ```
//! # use std::time::Duration;
//! use sundown::{Jobs, Shutdown};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # #[tokio::main(flavor = "current_thread")] async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let jobs = Jobs::new();
//! let shutdown = Shutdown::embedded(sundown_tokio::Tokio::current())
//!     .component("jobs", jobs.clone())
//!     .grace(Duration::from_secs(2))
//!     .start()?;
//!
//! let job = jobs.begin("image-17", "resize to 640 px")?;
//! shutdown.begin("the example is over");
//! let deadline = shutdown.watch().draining().await;
//! assert!(!deadline.has_passed());
//! job.complete()?; // in time: nothing is handed over
//!
//! let report = shutdown.finished().await;
//! assert!(report.is_clean());
//! assert_eq!(report.jobs.completed, 1);
//! # Ok(()) }
//! # run() }
//! ```
//!
//! # Panics
//!
//! Panics of components, notifiers and hooks are caught and reported, which needs unwinding: with `panic = "abort"`
//! the first one ends the process.

#![forbid(unsafe_code)]

mod shutdown;

mod component;
mod deadline;
mod escalation;
mod gate;
mod grace;
mod interrupt;
mod jobs;
mod notifier;
mod on_drain;
mod order;
mod process;
mod progress;
mod readiness;
mod reason;
mod report;
mod runtime;
mod schedule;
mod signal;
mod spawned;
mod tasks;
mod thread;
mod watch;

#[doc(hidden)]
pub mod host;

mod conductor;
mod errand;
mod latch;
mod ledger;
mod machine;
mod phases;
mod plan;
mod signals;
mod sync;

#[cfg(all(test, loom))]
mod models;

pub use async_trait::async_trait;
pub use uuid::Uuid;

pub use self::{
    component::{Drainable, InFlight, Unit},
    conductor::Observed,
    deadline::Deadline,
    errand::panic_message,
    escalation::{Escalation, EscalationError, Urgency},
    gate::{Draining, Gate, Guard},
    grace::{Environment, GRACE_VARIABLE, Grace, GraceError, Provenance},
    interrupt::{Interrupt, Interrupted, When},
    jobs::{
        BeginError, Commit, Fate, IncompleteJob, InvalidJobId, Job, JobId, Jobs, Key, LeftOver, Past,
        Reservation, Taken, Ticket,
    },
    ledger::{Claims, JobLine, JobsReport, Receipt},
    machine::Turn,
    notifier::{HandOver, Notice, Notifier, NotifyError},
    on_drain::{OnDrain, on_drain},
    order::{Order, Overdue},
    plan::{PlanError, Reserve},
    process::ChildProcess,
    progress::{ComponentSnapshot, Progress, Snapshot, Step},
    readiness::Readiness,
    reason::Reason,
    report::{CallReport, ComponentReport, CutReport, NotifierReport, Outcome, Report, StepReport},
    runtime::{AbortHandle, Accept, BoxFuture, Drive, Runtime, Transport},
    schedule::{ComponentSchedule, Schedule, StepSchedule},
    shutdown::{AddComponentError, Builder, Handle, RemoveComponentError, Shutdown, StartError},
    signal::{Signal, SignalError},
    spawned::Spawned,
    tasks::{
        JoinError, JoinHandle, Restart, TaskBuilder, TaskCounts, TaskEnd, TaskFate, Tasks, Then, Tracked,
    },
    thread::Thread,
    watch::Watch,
};
