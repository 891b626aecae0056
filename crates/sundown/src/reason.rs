//! Why a shutdown began.

use std::fmt;

use serde::{Serialize, Serializer};

/// Why a shutdown began.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The process was sent this signal.
    Signal(Signal),
    /// The program asked for it, in its own words.
    Requested(String),
    /// The owner of the shutdown was dropped: `main` returned early or panicked.
    Dropped,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Signal(signal) => write!(f, "{signal}"),
            Reason::Requested(why) => write!(f, "requested: {why}"),
            Reason::Dropped => f.write_str("the shutdown's owner was dropped"),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<&str> for Reason {
    fn from(why: &str) -> Self {
        Reason::Requested(why.to_owned())
    }
}

impl From<String> for Reason {
    fn from(why: String) -> Self {
        Reason::Requested(why)
    }
}

/// A signal that means shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// SIGTERM, what platforms send.
    Term,
    /// SIGINT, what a terminal sends.
    Int,
    /// SIGQUIT, what some images name as their stop signal.
    Quit,
}

impl Signal {
    /// Its number, the same on every Unix.
    pub fn number(self) -> u8 {
        match self {
            Signal::Int => 2,
            Signal::Quit => 3,
            Signal::Term => 15,
        }
    }

    pub(crate) fn from_number(number: i32) -> Option<Self> {
        [Signal::Term, Signal::Int, Signal::Quit]
            .into_iter()
            .find(|signal| i32::from(signal.number()) == number)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Signal::Term => "SIGTERM",
            Signal::Int => "SIGINT",
            Signal::Quit => "SIGQUIT",
        })
    }
}
