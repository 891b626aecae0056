//! Proves a shutdown.
//!
//! * [`simulation`]: a whole shutdown in virtual time, on one thread, in an order that a seed draws: thirty seconds of
//!   grace in a millisecond, and every failure again by its seed.
//! * [`Faulty`] components and notifiers, which hang, block, fail, panic or dawdle where they are told to.
//! * A [`Recorder`] of what happened in which order, which can hold a step while a test looks.

#![forbid(unsafe_code)]

pub mod simulation;

mod fault;
mod recorder;

pub use self::{
    fault::{Fault, Faulty, Method, TakesOver},
    recorder::{Event, Hold, Recorder},
};
