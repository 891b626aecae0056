//! The notifiers against real sockets and files: a real shutdown with jobs in flight on one side, and on the other a
//! monitor, a service manager or a file system that does as a test tells it. What counts is the shutdown's report, and
//! what the other side has seen.

#![allow(clippy::unwrap_used, reason = "what helps tests is a test")]

mod authority;
mod monitor;
mod paper;
mod service;

mod log_line;
mod next_in_line;
#[cfg(target_os = "linux")]
mod systemd;
mod termination_log;
mod webhook;
