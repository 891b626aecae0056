#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod watch;

mod status;
mod trouble;

mod forecast;
mod sentry;

mod counter;
mod hierarchy;
mod level;
mod membership;

#[cfg(test)]
#[path = "../tests/tree/mod.rs"]
mod tree;

pub use self::{
    status::Status,
    trouble::Trouble,
    watch::{MemoryWatch, StartError, Watching},
};
