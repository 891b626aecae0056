//! The examples of sundown.
//!
//! * The numbered lessons, one idea each, to be read in order: `cargo run --example 01_first_drain`. What they print is
//!   in `expected/`, and a test compares.
//! * `service_tokio`, `service_smol`, `service_async_std`: the service one would deploy, the same on each runtime.
//! * `your_own_runtime`: what a fourth runtime needs.
//! * `crash_recovery`: a service that is killed again and again, and loses nothing.
//! * `rehearsal`: real processes, a crowd, and a SIGTERM; it checks the promises that can be seen from outside.

#![forbid(unsafe_code)]

/// Every Rust block of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
