//! What holds on every runtime, as tests of the programs that the file above names.

use super::PROGRAMS;

mod adapters;
mod components;
mod ends;
mod notifiers;
mod refusals;
mod scarcity;
mod signals;

mod http_alive;
mod http_bad_input;
mod http_blocked;
mod http_crowds;
mod http_fates;
mod http_races;
