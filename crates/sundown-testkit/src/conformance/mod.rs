//! Suites of rules, one for each contract that others implement.
//!
//! | contract | one call | one test a rule |
//! |---|---|---|
//! | [`Runtime`](sundown::Runtime), with its sockets | [`runtime`] | [`runtime_conformance!`](crate::runtime_conformance) |
//! | [`Drainable`](sundown::Drainable) | [`drainable`] | [`drainable_conformance!`](crate::drainable_conformance) |
//! | [`Notifier`](sundown::Notifier) | [`notifier`] | [`notifier_conformance!`](crate::notifier_conformance) |
//!
//! Each takes a closure that makes a fresh subject, since every rule begins with one. A rule is a sentence; broken, it
//! says what the contract promises, what was expected and what was seen. Every rule is bounded in time: an
//! implementation that hangs breaks the rule, and the thread it hangs on is given up on.
//!
//! The rules hold implementations to the contract and to nothing else: what they measure is bounded with room for a
//! slow and busy machine.

#[macro_use]
mod rules;
mod suite;
mod trial;

mod drainable;
mod notifier;
mod runtime;

mod bare;
mod flag;
mod lent;

#[doc(hidden)]
pub use self::rules::assert_rule;
pub use self::{
    drainable::{Piece, Subject, drainable},
    notifier::{Notifying, Outside, notifier},
    runtime::{Running, runtime},
    suite::{Suite, Verdict},
};
