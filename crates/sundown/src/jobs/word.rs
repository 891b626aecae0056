//! The one word that decides what becomes of a job.
//!
//! ```text
//!            commit            done
//! Running ───────────> Committing ───> Completed
//!    │ │                   └─────────> Failed | InDoubt (dropped, or unfinished at the end)
//!    │ └── dropped ──> Failed          (while running)
//!    │            └──> Abandoned ─┐    (while draining)
//!    └────────── claim ───────────┴──> Taken ──> HandedOver | Unacknowledged | InDoubt
//!                                        └─ Doubted ─┘
//! ```
//!
//! Every arrow is a compare-and-swap; of two that leave one state, one wins. All are `AcqRel`: whoever sees a state
//! also sees what was done before it was reached. Without that, the thread that claims a job could read the payload's
//! checkpoint as it was before the job's own last write; and who sees *completed* could miss the effect.

use std::fmt;

use serde::Serialize;

use crate::sync::atomic::{AtomicU8, Ordering};

/// What became of a job, or what it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
#[repr(u8)]
pub enum Fate {
    /// It runs.
    Running = 0,
    /// Its effect is under way; it can no longer be taken.
    Committing,
    /// Its effect is done.
    Completed,
    /// It ended by itself without an effect.
    Failed,
    /// It was dropped while draining, and waits for the claim.
    Abandoned,
    /// The claim has it; it can no longer commit. Who takes it over is not known yet.
    Taken,
    /// The claim has it, it was sent, and whether it arrived is not known yet.
    Doubted,
    /// Somebody else has acknowledged responsibility for it.
    HandedOver,
    /// Nobody has taken it over.
    Unacknowledged,
    /// Its commit or its hand-over had begun, and nobody can know how it ended.
    InDoubt,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fate::Running => "running",
            Fate::Committing => "committing",
            Fate::Completed => "completed",
            Fate::Failed => "failed",
            Fate::Abandoned => "abandoned",
            Fate::Taken => "taken",
            Fate::Doubted => "doubted",
            Fate::HandedOver => "handed-over",
            Fate::Unacknowledged => "unacknowledged",
            Fate::InDoubt => "in-doubt",
        })
    }
}

const ALL: [Fate; 10] = [
    Fate::Running,
    Fate::Committing,
    Fate::Completed,
    Fate::Failed,
    Fate::Abandoned,
    Fate::Taken,
    Fate::Doubted,
    Fate::HandedOver,
    Fate::Unacknowledged,
    Fate::InDoubt,
];

pub(crate) struct Word {
    state: AtomicU8,
    /// The mutant of the claim race: looks first and marks later.
    #[cfg(test)]
    torn: bool,
}

impl Word {
    pub(crate) fn new() -> Self {
        Word {
            state: AtomicU8::new(Fate::Running as u8),
            #[cfg(test)]
            torn: false,
        }
    }

    #[cfg(test)]
    pub(crate) fn torn() -> Self {
        Word { torn: true, ..Word::new() }
    }

    pub(crate) fn fate(&self) -> Fate {
        ALL[usize::from(self.state.load(Ordering::Acquire))]
    }

    /// Goes from one state to another, if it is in the first.
    pub(crate) fn advance(&self, from: Fate, to: Fate) -> bool {
        #[cfg(test)]
        if self.torn {
            let can = self.fate() == from;
            std::thread::yield_now();
            if can {
                self.state.store(to as u8, Ordering::SeqCst);
            }
            return can;
        }
        self.state.compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The claim's side of the race.
    pub(crate) fn take(&self) -> bool {
        // Abandoned last: a job only ever goes from running to abandoned.
        self.advance(Fate::Running, Fate::Taken) || self.advance(Fate::Abandoned, Fate::Taken)
    }

    /// Somebody else is responsible from here on.
    pub(crate) fn acknowledge(&self) -> bool {
        // In this order: a word goes from taken to doubted, never back.
        self.advance(Fate::Taken, Fate::HandedOver) || self.advance(Fate::Doubted, Fate::HandedOver)
    }

    /// The hand-over is over: what was not acknowledged is not, or, if nobody can know, in doubt.
    pub(crate) fn settle(&self, hung: bool) {
        let _ = self.advance(Fate::Taken, if hung { Fate::InDoubt } else { Fate::Unacknowledged })
            || self.advance(Fate::Doubted, Fate::InDoubt);
    }
}
