//! How far the server is in its shutdown: one word that only goes forward.

use std::sync::atomic::{AtomicU8, Ordering};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    Serving = 0,
    /// The lame duck: serves what is already on its way, each response the last of its connection.
    Draining,
    /// Traffic is quiet: who comes now is refused, and who was there before leaves at a moment of its own. Only where
    /// the owner of the server has chosen that.
    Spreading,
    /// Traffic is quiet: idle connections are closed, and new requests refused.
    Closing,
    /// Jobs are claimed: nothing new starts.
    Claimed,
    /// Fates are known: who still waits is answered.
    Answering,
    /// Nobody waits for an effect under way any more.
    LastCall,
    /// What is left is cut.
    Forced,
}

const ALL: [Phase; 8] = [
    Phase::Serving,
    Phase::Draining,
    Phase::Spreading,
    Phase::Closing,
    Phase::Claimed,
    Phase::Answering,
    Phase::LastCall,
    Phase::Forced,
];

#[derive(Debug, Default)]
pub(crate) struct PhaseCell(AtomicU8);

impl PhaseCell {
    #[inline]
    pub(crate) fn get(&self) -> Phase {
        // Acquire: who sees `Answering` also sees the fates that were settled before it.
        ALL[usize::from(self.0.load(Ordering::Acquire)) % ALL.len()]
    }

    /// Returns whether that was news.
    pub(crate) fn advance(&self, to: Phase) -> bool {
        self.0.fetch_max(to as u8, Ordering::AcqRel) < to as u8
    }
}
