//! The webhook and its monitor.

mod acknowledging;
mod attempts;
mod setting_up;
mod wire;
