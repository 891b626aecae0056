//! What holds on every runtime, as tests of the programs that the file above names.

use super::PROGRAMS;

/// What a runtime may be: one thread that runs tasks, `main`'s own where it can be; or more than one.
const FLAVOURS: [&str; 2] = ["", "--multi-thread"];

/// Every case on every flavour.
fn on_each_flavour<C: Copy>(cases: &[C]) -> Vec<(&'static str, C)> {
    FLAVOURS.iter().flat_map(|flavour| cases.iter().map(move |case| (*flavour, *case))).collect()
}

mod adapters;
mod components;
mod ends;
mod escalation;
mod notifiers;
mod refusals;
mod scarcity;
mod signals;

mod http_accept_queue;
mod http_alive;
mod http_bad_input;
mod http_blocked;
mod http_crowds;
mod http_fates;
mod http_hostile;
mod http_long;
mod http_matrix;
mod http_races;
mod http_real_clients;
mod http_signal;
mod http_smuggling;
mod http_tls;
