//! HTTP as it is on the wire: a [`Client`] that interprets nothing, the [`Transcript`] of all that it got, each
//! [`Reply`] in it taken apart to the byte, the same for [HTTP/2](h2) and over [`Tls`], a [`Monitor`] that takes jobs
//! over as it is told, the [`Tool`]s that others wrote, and the [`Service`] that all of them are about.

pub mod h2;

mod client;
mod monitor;
mod reply;
mod service;
mod stream;
mod tls;
mod tool;
mod transcript;

pub use self::{
    client::Client,
    monitor::{Answer, Monitor},
    reply::{Framing, Reply},
    service::{Service, terminate_and_hurry},
    tls::Tls,
    tool::{Said, Tool},
    transcript::{End, Transcript},
};
