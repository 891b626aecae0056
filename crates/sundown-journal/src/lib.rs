//! Jobs that survive the process.

#![forbid(unsafe_code)]
#![allow(dead_code)]
mod error;
mod store;
mod writer;

#[cfg(test)]
mod disk;

pub use self::error::{BeginError, CheckpointError, Full, JournalError, WriteError};
