//! What people have works, and ends as it should: their own servers behind the layer alone, bare hyper services, gRPC,
//! sockets that others have opened, probes on a port of their own.

#![allow(clippy::unwrap_used, reason = "what helps tests is a test")]

mod alone;
mod answers;
mod given_up;
mod grpc;
mod hyper_service;
mod inherited;
mod late;
mod probes;
mod raw;
mod slow;
mod stage;
