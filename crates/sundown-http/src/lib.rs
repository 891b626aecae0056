//! The reference responder of [`sundown`]: an HTTP/1 server whose every client gets an answer at a shutdown, and one
//! that is true.
//!
//! It depends on the core only, on no runtime and no adapter: sockets, time and tasks come through
//! [`sundown::Runtime`]. HTTP itself is hyper's. The pieces:
//!
//! * [`Server`] is the component: it accepts, drains like a lame duck, and concludes;
//! * a layer in front of the service races each handler with the answer step and answers in its place;
//! * a rescue thread does the same outside the runtime, on the sockets, when the runtime is blocked or gone;
//! * one atomic word a connection decides which of them writes.
//!
//! A client is told 2xx only if its job has completed or was taken over; otherwise 503 with `Retry-After`. The header
//! [`FATE`] says which: `handed-over`, `completed`, `unacknowledged`, `in-doubt`, `failed`, `not-started` or `no-job`.
//! [`JOB`] names the job. What cannot be answered, since its head is out, is cut so that the client can tell.
//! [`endings`] has every state that a connection can be in.
//!
//! The answer is a function of the request and its fate, and the owner's to choose: [`Server::answer`],
//! [`Server::answer_route`]. No choice makes a success of work that nobody knows of, but the one whose name says so.
//!
//! # Examples
//!
//! See [`Server`], and `examples/service/` in the workspace.

#![forbid(unsafe_code)]

mod server;

mod answer;
mod body;
mod chunk;
mod conn;
mod driver;
mod exchange;
mod io;
mod layer;
mod phase;
mod preface;
mod probe;
mod rescue;
mod streams;
mod timer;
#[cfg(feature = "tls")]
#[cfg_attr(not(test), expect(dead_code, reason = "no connection of the server speaks it yet"))]
mod tls;
mod traffic;
mod word;

#[doc = include_str!("../docs/endings.md")]
pub mod endings {}

pub use self::{
    answer::{Answer, FATE, JOB, JobIds, Unanswered, Verdict},
    exchange::{CommitError, RequestJob, RequestPayload},
    server::Server,
};
