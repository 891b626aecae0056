//! A small runtime, and its adapter: what to copy for a runtime of your own.
//!
//! * [`timer`]: who is to be woken when. Knows no clock.
//! * [`reactor`]: waits in `poll(2)` for sockets and timers, and wakes; or drives one future where it stands.
//! * [`executor`]: threads that run tasks, and one that turns their reactor.
//! * [`socket`]: non-blocking sockets of the standard library's that wait in a reactor.
//! * [`adapter`]: the five methods of [`sundown::Runtime`], in terms of the above.
//!
//! Of a runtime that exists already, only the adapter remains to be written, and the part of the sockets that makes
//! its I/O work through `&self`.

mod adapter;
mod executor;
mod reactor;
mod socket;
mod timer;

pub use self::{adapter::YourRuntime, executor::Executor, reactor::Reactor};
