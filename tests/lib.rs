//! Tests of sundown on real processes: what it promises is measured from outside, by the clock of whoever sends the
//! signal and sees the process go.
//!
//! A fixture (`fixtures/`) is a program that prints one line per event; a test (`tests/`) starts it as a [`Child`],
//! waits for its lines, sends it signals, and looks at its [`Ending`]. Nothing here sleeps to wait for something: it
//! waits for a line or for the end, with a bound. Many tests run a child per case, [side by side](side_by_side).

#![forbid(unsafe_code)]

pub mod http;

mod child;
mod ending;
mod record;
mod side;

pub use self::{
    child::{Child, Line},
    ending::{Ending, ROOM, promised},
    record::Record,
    side::{median, side_by_side},
};
