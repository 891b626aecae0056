//! What happened to a job before.

use serde::{Deserialize, Serialize};

use crate::Reason;

/// The earlier attempts at a job, by this process or by ones that are gone. A receiver can tell by it which job has
/// brought its process down more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    attempts: u32,
    ends: Vec<Reason>,
}

impl Past {
    /// Of how many attempts the end is kept.
    pub const KEPT: usize = 8;

    /// The same with one more attempt, which ended so.
    #[must_use]
    pub fn and(mut self, end: Reason) -> Self {
        self.attempts = self.attempts.saturating_add(1);
        if self.ends.len() >= Self::KEPT {
            self.ends.drain(..=self.ends.len() - Self::KEPT);
        }
        self.ends.push(end);
        self
    }

    /// How often it was begun before.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How the latest of those attempts ended, in their order.
    pub fn ends(&self) -> &[Reason] {
        &self.ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_attempts_the_latest_ends_are_kept() {
        let mut past = Past::default();
        for n in 0..20 {
            past = past.and(Reason::Requested(n.to_string()));
            assert!(past.ends().len() <= Past::KEPT);
        }
        assert_eq!(past.attempts(), 20);
        let ends: Vec<_> = past.ends().iter().map(ToString::to_string).collect();
        assert_eq!((ends.len(), &*ends[0], &*ends[7]), (8, "requested: 12", "requested: 19"));
    }
}
