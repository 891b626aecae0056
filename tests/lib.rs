//! Tests of sundown on real processes: what it promises is measured from outside, by the clock of whoever sends the
//! signal and sees the process go.
//!
//! A [`fixture`] is a program that prints one line per event; `bin/` has one program for each runtime, in which
//! all fixtures are. A test starts it as a [`Child`], waits for its lines, sends it signals, and looks at its
//! [`Ending`]. The tests are the same for every runtime: they are in `suite/`, which `tests/` brings together with each
//! runtime's [`Programs`].
//!
//! Nothing here sleeps to wait for something: it waits for a line or for the end, with a bound. Many tests run a child
//! per case, [side by side](side_by_side).

#![forbid(unsafe_code)]

pub mod fixture;
pub mod http;

mod child;
mod ending;
mod programs;
mod record;
mod scale;
mod side;

pub use self::{
    child::{Child, Line},
    ending::{Ending, ROOM, promised},
    programs::Programs,
    record::Record,
    scale::{allow_descriptors, sized},
    side::{median, side_by_side},
};
