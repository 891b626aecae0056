//! The webhook and its monitor.

mod acknowledging;
mod attempts;
mod connection;
mod setting_up;
mod signing;
mod wire;
