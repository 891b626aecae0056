//! The examples of sundown. Start with `cargo run --example rehearsal`.

#![forbid(unsafe_code)]

/// Every Rust block of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
