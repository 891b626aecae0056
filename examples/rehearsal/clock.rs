//! One clock for all processes of a rehearsal. Who acknowledged before who answered can only be told if
//! monitor and clients read the same clock, so every stamp is the system's wall clock. Should it be set in
//! the middle of a rehearsal, the stamps lie; a second run settles it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp(u64);

impl Stamp {
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(since.as_nanos() as u64)
    }

    /// Seconds from `start` to this stamp; negative if it came before.
    pub fn since(self, start: Self) -> f64 {
        (i128::from(self.0) - i128::from(start.0)) as f64 / 1e9
    }

    pub fn plus(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time.as_nanos() as u64))
    }

    pub fn minus(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(time.as_nanos() as u64))
    }
}
