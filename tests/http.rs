//! HTTP as it is on the wire: a [`Client`] that interprets nothing, the [`Transcript`] of all that it got, each
//! [`Reply`] in it taken apart to the byte, a [`Monitor`] that takes jobs over as it is told, and the [`Service`] that
//! all of them are about.

mod client;
mod monitor;
mod reply;
mod service;

pub use self::{
    client::{Client, End, Transcript},
    monitor::{Answer, Monitor},
    reply::{Framing, Reply},
    service::{Service, terminate_and_hurry},
};
