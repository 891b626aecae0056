//! What the fixtures do, on whatever runtime: each program of `bin/` brings a [`Stage`], and its first argument says
//! what is [played](play) on it.

mod begin_again;
mod responder;
mod second_try;
mod stage;
mod starve;
mod table;
mod unruly;

use std::{env, io::Write, process::ExitCode};

pub use self::{begin_again::begin_again_with, second_try::Unprepared, stage::Stage, starve::LARGE_STACKS};

/// Plays the fixture that the first argument names.
pub fn play<S: Stage>() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let name = arguments.next().unwrap_or_default();
    match name.to_str() {
        Some("unruly") => unruly::play::<S>(arguments),
        Some("responder") => responder::play::<S>(),
        Some("table") => table::play::<S>(arguments),
        Some("second_try") => second_try::play::<S>(arguments),
        _ => {
            say(&format!("no such fixture: {name:?}"));
            ExitCode::from(2)
        }
    }
}

/// Prints an event. A reader that is gone is no reason to panic.
pub fn say(event: &str) {
    let _ = writeln!(std::io::stdout(), "{event}");
}
