//! From values to JSON, with a bound and without a panic: what serialises is foreign code.

use std::{
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde::Serialize;
use sundown::panic_message;

/// Why something is not JSON.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unencoded {
    /// It would be longer than it may be.
    #[error("longer than {0} bytes")]
    TooLong(usize),
    #[error("{0}")]
    Failed(String),
}

/// As JSON of at most so many bytes; what is longer is not made to its end.
pub(crate) fn encode_within<T: Serialize>(value: &T, most: usize) -> Result<Vec<u8>, Unencoded> {
    let mut room = Room { text: Vec::new(), most, is_full: false };
    match catch_unwind(AssertUnwindSafe(|| serde_json::to_writer(&mut room, value))) {
        Ok(Ok(())) => Ok(room.text),
        Ok(Err(_)) if room.is_full => Err(Unencoded::TooLong(most)),
        Ok(Err(error)) => Err(Unencoded::Failed(error.to_string())),
        Err(panic) => Err(Unencoded::Failed(format!("it panicked: {}", panic_message(panic)))),
    }
}

/// Takes in so much and no more.
struct Room {
    text: Vec<u8>,
    most: usize,
    is_full: bool,
}

impl Write for Room {
    fn write(&mut self, some: &[u8]) -> io::Result<usize> {
        if some.len() > self.most - self.text.len() {
            self.is_full = true;
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.text.extend_from_slice(some);
        Ok(some.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_not_made_to_its_end() {
        assert_eq!(encode_within(&"four", 6).unwrap(), b"\"four\"");
        assert!(matches!(encode_within(&"four", 5), Err(Unencoded::TooLong(5))));
        // It would be as long as the memory.
        struct Endless;
        impl Serialize for Endless {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(std::iter::repeat(0))
            }
        }
        assert!(matches!(encode_within(&Endless, 4096), Err(Unencoded::TooLong(4096))));
    }
}
