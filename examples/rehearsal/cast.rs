//! The parts that clients play. What each of them may expect follows from its part alone.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Quick,
    Kept,
    AtSignal,
    Medium,
    Upload,
    Stream,
    Long,
    Blocked,
    LongUpload,
    LongStream,
    Returning,
    Newcomer,
    Idle,
    Probe,
}

impl Kind {
    pub const ALL: [Self; 14] = [
        Self::Quick,
        Self::Kept,
        Self::AtSignal,
        Self::Medium,
        Self::Upload,
        Self::Stream,
        Self::Long,
        Self::Blocked,
        Self::LongUpload,
        Self::LongStream,
        Self::Returning,
        Self::Newcomer,
        Self::Idle,
        Self::Probe,
    ];

    /// Who they are, for the table.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Quick => "quick, a connection each",
            Self::Kept => "quick, on kept connections",
            Self::AtSignal => "quick, at the very signal",
            Self::Medium => "can finish while draining",
            Self::Upload => "upload that ends",
            Self::Stream => "stream that ends",
            Self::Long => "longer than the grace",
            Self::Blocked => "blocks its thread",
            Self::LongUpload => "upload that cannot end",
            Self::LongStream => "stream that cannot end",
            Self::Returning => "kept, back after the signal",
            Self::Newcomer => "newcomers after the signal",
            Self::Idle => "idle, say nothing",
            Self::Probe => "readiness probe",
        }
    }

    /// Its answers have a head long before their end.
    pub fn is_stream(self) -> bool {
        matches!(self, Self::Stream | Self::LongStream)
    }

    /// It asks for work in time for the work to be done.
    pub fn can_finish(self) -> bool {
        matches!(self, Self::Quick | Self::Kept | Self::AtSignal | Self::Medium | Self::Upload | Self::Stream)
    }

    /// Its work takes longer than the grace.
    pub fn cannot_finish(self) -> bool {
        matches!(self, Self::Long | Self::Blocked | Self::LongUpload | Self::LongStream)
    }
}
