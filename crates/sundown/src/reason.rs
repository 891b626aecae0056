//! Why a shutdown began.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Signal;

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
    /// The memory limit was near.
    Memory,
    /// The process that was doing the work ended without a word: it was killed, it crashed, or its machine was lost.
    /// (Of jobs that an earlier process left; no shutdown begins so.)
    Died,
}

const DROPPED: &str = "the shutdown's owner was dropped";
const MEMORY: &str = "the memory limit was near";
const DIED: &str = "the process died";
const REQUESTED: &str = "requested: ";

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Signal(signal) => write!(f, "{signal}"),
            Reason::Requested(why) => write!(f, "{REQUESTED}{why}"),
            Reason::Dropped => f.write_str(DROPPED),
            Reason::Memory => f.write_str(MEMORY),
            Reason::Died => f.write_str(DIED),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From the text that it serialises as; any other text is a reason in the program's own words.
impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let signal = Signal::ALL.into_iter().find(|signal| signal.name() == text);
        Ok(match (&*text, signal) {
            (_, Some(signal)) => Reason::Signal(signal),
            (DROPPED, _) => Reason::Dropped,
            (MEMORY, _) => Reason::Memory,
            (DIED, _) => Reason::Died,
            _ => Reason::Requested(text.strip_prefix(REQUESTED).unwrap_or(&text).to_owned()),
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_what_its_text_says() {
        let asked = |why: &str| Reason::Requested(why.into());
        let signals = Signal::ALL.map(Reason::Signal);
        let others =
            [Reason::Dropped, Reason::Memory, Reason::Died, asked("a new version"), asked("SIGTERM")];
        for reason in signals.into_iter().chain(others) {
            let text = serde_json::to_string(&reason).unwrap();
            assert_eq!(serde_json::from_str::<Reason>(&text).unwrap(), reason, "{text}");
        }
        assert_eq!(
            serde_json::from_str::<Reason>("\"of a later version\"").unwrap(),
            asked("of a later version")
        );
    }
}
