//! What to test your own parts of [`sundown`] with, and your own shutdown.
//!
//! * [`conformance`]: whoever implements one of the core's contracts (a [`Runtime`](sundown::Runtime), a
//!   [`Drainable`](sundown::Drainable), a [`Notifier`](sundown::Notifier)) runs its suite: one macro, one test a rule,
//!   and the name of the test that fails is the rule that was broken.
//! * [`simulation`]: a whole shutdown in virtual time, on one thread, in an order that a seed draws: thirty seconds of
//!   grace in a millisecond, and every failure again by its seed. Its [`World`](simulation::World) has the clock.
//! * [`Faulty`] components and notifiers hang, block, fail, panic or dawdle where they are told to; a [`Recorder`] has
//!   what happened in which order, and can hold a step while a test looks. Both work on real threads, too.
//!
//! # Examples
//!
//! ```
//! use sundown::Gate;
//! use sundown_testkit::conformance::{self, Subject};
//!
//! let verdict = conformance::drainable(|| {
//!     let gate = Gate::new();
//!     Subject::anonymous(gate.clone(), move || gate.enter().ok())
//! })
//! .run();
//! assert!(verdict.broken().is_empty(), "{verdict}");
//! ```

#![forbid(unsafe_code)]

pub mod conformance;
pub mod simulation;

mod fault;
mod recorder;

pub use self::{
    fault::{Fault, Faulty, Method, TakesOver},
    recorder::{Event, Hold, Recorder},
};
