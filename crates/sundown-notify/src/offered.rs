//! All jobs of a hand-over: those that somebody has to do, and those whose effect may have happened.

use sundown::{Fate, HandOver, IncompleteJob};

pub(crate) trait Offered {
    /// First those to be done, then those in doubt.
    fn all(&self) -> impl ExactSizeIterator<Item = &IncompleteJob>;

    /// One of them by its place among all.
    fn at(&self, place: usize) -> &IncompleteJob;
}

impl Offered for HandOver {
    fn all(&self) -> impl ExactSizeIterator<Item = &IncompleteJob> {
        (0..self.jobs().len() + self.in_doubt().len()).map(|place| self.at(place))
    }

    fn at(&self, place: usize) -> &IncompleteJob {
        match place.checked_sub(self.jobs().len()) {
            None => &self.jobs()[place],
            Some(place) => &self.in_doubt()[place],
        }
    }
}

/// Nobody has acknowledged it, and it has not ended by itself.
pub(crate) fn is_open(job: &IncompleteJob) -> bool {
    !job.is_acknowledged() && !has_ended(job)
}

/// Its effect had begun, and has ended since.
pub(crate) fn has_ended(job: &IncompleteJob) -> bool {
    matches!(job.fate(), Fate::Completed | Fate::Failed)
}
