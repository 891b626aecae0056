//! The webhook against real sockets: a real shutdown with jobs in flight on one side, a monitor written by hand on the
//! other. What counts is the shutdown's report, and what the monitor has seen.

#![allow(clippy::unwrap_used, reason = "what helps tests is a test")]

mod monitor;
mod service;

mod acknowledging;
mod attempts;
mod setting_up;
mod wire;
