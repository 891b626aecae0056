//! What groups of tasks promise: every end counted, nothing slipping in, groups that stop alone, restarts within limits.

#![allow(clippy::unwrap_used)] // nothing here but a test

mod bare;
mod ends;
mod fates;
mod groups;
mod races;
mod restarts;
mod service;
mod types;
