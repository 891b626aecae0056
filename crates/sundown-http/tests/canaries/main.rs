//! Canaries for what hyper and h2 do and do not document, and the sources here lean on. Each test's name says what; if
//! one of them falls, so does what leans on it: look for that before you change anything here.
//!
//! Nothing here has a runtime, a socket or a clock: the connection is polled by hand, on a [`wire`] in memory, with a
//! waker that says whether it was woken.

#![forbid(unsafe_code)]

mod frames;
mod parts;
mod wire;

mod flushing;
mod http1;
mod http2;
mod http2_goaway;
mod tunnel;
