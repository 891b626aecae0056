//! Jobs that survive the process.

#![forbid(unsafe_code)]

mod journal;

mod jobs;

mod job;

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
    jobs::{DurableJobs, DurableReservation},
    journal::{Journal, Options},
    last_link::LastLink,
    recovered::Recovered,
};
