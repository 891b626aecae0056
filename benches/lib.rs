//! What the responder costs while nothing is shut down, against hyper alone.
//!
//! The same [service] is served by each [stack](stack::Stack): by hyper's HTTP/1 on the sockets, timers and
//! tasks of the tokio adapter, and by [`sundown_http::Server`], which stands on the same. `serve` is the program whose
//! instructions are counted, `heap` the one whose allocations are; `cost` runs both and compares. The load is one
//! client that asks and waits: what is counted is work, not waiting.

#![forbid(unsafe_code)]

pub mod client;
pub mod service;
pub mod stack;

mod bare;
/// The responder's own, which it does not give away.
#[path = "../crates/sundown-http/src/timer/lazy.rs"]
mod lazy;
