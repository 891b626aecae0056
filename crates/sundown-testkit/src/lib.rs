//! What to test your own parts of [`sundown`] with.
//!
//! Whoever implements one of the core's contracts (a [`Runtime`](sundown::Runtime), a
//! [`Drainable`](sundown::Drainable), a [`Notifier`](sundown::Notifier)) runs its [`conformance`] suite: one macro, one
//! test a rule, and the name of the test that fails is the rule that was broken.
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
