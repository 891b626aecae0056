//! The reference responder of [`sundown`]: a server of HTTP/1 and HTTP/2 whose every client gets an answer at a shutdown,
//! and one that is true.
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
//! With the feature `tls`, `Server::tls` speaks TLS by rustls, whose state the rescue shares: it can seal an answer and
//! `close_notify` while the runtime is blocked.
//!
//! The answer is a function of the request and its fate, and the owner's to choose: [`Server::answer`],
//! [`Server::answer_route`]. No choice makes a success of work that nobody knows of, but the one whose name says so.
//!
//! What lasts has an end of its own:
//!
//! | what | how it ends | if its runtime is blocked |
//! |---|---|---|
//! | an [event stream](Server::event_streams) | in order, after an event, when traffic is quiet | it is cut |
//! | a gRPC stream | with `grpc-status: 14`, in the answer step | it is cut |
//! | a WebSocket, a tunnel | by its handler, which [is told](Closing) ([`GoingAway`] says 1001); nobody else writes on it | with the process |
//!
//! A drain waits for each, and the report names those that were left: `GET /feed (responding)`, `GET /chat (upgraded)`.
//! Where there are many, [their ends can be spread](Server::spread_closes) over the drain.
//!
//! # What it serves
//!
//! * [`Server::serve`]: an axum `Router`, tonic's `Routes`, any tower service.
//! * [`Server::serve_make_service`]: what makes a service for each connection, `ConnectInfo` included.
//! * [`HyperService`]: a bare hyper service.
//! * [`Responder`]: the layer alone, for those who keep their own server, with a table of what they then do without.
//! * [`serve_probes`]: health probes on a port of their own, which a blocked runtime does not keep waiting.
//!
//! # Coming from `axum::serve`
//!
//! The line that serves changes; the `Router` and its handlers stay as they are. The listener is the standard library's,
//! since the rescue needs it when there is no runtime; `into_std` makes one of tokio's.
//!
//! ```
//! use std::net::SocketAddr;
//! use axum::{Router, extract::ConnectInfo, routing::get};
//!
//! async fn peer(ConnectInfo(peer): ConnectInfo<SocketAddr>) -> String {
//!     peer.to_string()
//! }
//!
//! # async fn before(app: Router, listener: tokio::net::TcpListener) -> std::io::Result<()> {
//! // before:
//! axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
//! # }
//! # async fn after(app: Router, http: sundown_http::Server, shutdown: sundown::Shutdown) -> std::io::Result<()> {
//! // after:
//! http.serve_make_service(&shutdown, app.into_make_service_with_connect_info::<SocketAddr>()).await
//! # }
//! # async fn plain(app: Router, http: sundown_http::Server, shutdown: sundown::Shutdown) -> std::io::Result<()> {
//! // and where it was `axum::serve(listener, app).await`:
//! http.serve(&shutdown, app).await
//! # }
//! # let _: Router = Router::new().route("/", get(peer));
//! ```
//!
//! `with_graceful_shutdown` goes: the shutdown knows.
//!
//! # Sockets that are open already
//!
//! A [`Server`] takes any `std::net::TcpListener`: one that systemd has opened (socket activation) or a predecessor has
//! left, or any descriptor, by `TcpListener::from(owned_fd)`. Where others hold it too, say so with
//! [`shared_listener`](Server::shared_listener): its queue is then theirs when this process goes, and nobody in it is
//! refused.
//!
//! ```no_run
//! use listenfd::ListenFd;
//! use std::net::TcpListener;
//! use sundown_http::Server;
//!
//! // Inherited from systemd; or, started by hand, bound here.
//! let http = match ListenFd::from_env().take_tcp_listener(0)? {
//!     Some(listener) => Server::new(listener)?.shared_listener(),
//!     None => Server::new(TcpListener::bind("127.0.0.1:8080")?)?,
//! };
//! # std::io::Result::Ok(())
//! ```
//!
//! # Examples
//!
//! See [`Server`], and `examples/service/` in the workspace.

#![forbid(unsafe_code)]

mod server;

mod answer;
mod bell;
mod body;
mod chunk;
mod closing;
mod config;
mod conn;
mod course;
mod driver;
mod exchange;
mod going_away;
mod hyper_service;
mod io;
mod layer;
mod phase;
mod preface;
mod probe;
mod probes;
mod ramp;
mod rescue;
mod responder;
mod streams;
mod timer;
#[cfg_attr(not(feature = "tls"), path = "tls/off.rs")]
mod tls;
mod traffic;
mod wait;
mod word;

#[doc = include_str!("../docs/endings.md")]
pub mod endings {}

pub use self::{
    answer::{Answer, FATE, JOB, JobIds, Unanswered, Verdict},
    body::ResponseBody,
    closing::Closing,
    course::ServeError,
    exchange::{CommitError, RequestJob, RequestPayload},
    going_away::GoingAway,
    hyper_service::HyperService,
    layer::{AnswerLayer, Answering, ResponseFuture},
    probes::serve_probes,
    responder::Responder,
    server::Server,
};
