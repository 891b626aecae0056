//! What has become of the jobs so far.

use sundown::{HandOver, IncompleteJob};

use super::{batch::Batch, verdict::Verdict};
use crate::event;

/// A hand-over on its way.
pub(super) struct Offer<'a> {
    hand_over: &'a HandOver,
    acknowledged: usize,
    last: String,
}

impl<'a> Offer<'a> {
    pub(super) fn new(hand_over: &'a HandOver) -> Self {
        Offer { hand_over, acknowledged: 0, last: "no time was left".into() }
    }

    /// A request has ended so.
    pub(super) fn settle(&mut self, batch: &Batch, verdict: &Verdict) {
        let keys = self.hand_over.jobs()[batch.places.clone()].iter().map(IncompleteJob::key);
        match verdict {
            Ok(reply) => {
                let mut taken = 0;
                for key in keys.filter(|&key| reply.names(&event::id(self.hand_over, key))) {
                    self.hand_over.acknowledge(key);
                    taken += 1;
                }
                if taken < batch.places.len() {
                    self.last = format!("a reply names {taken} of its {} events", batch.places.len());
                }
                self.acknowledged += taken;
            }
            Err(failure) => {
                if failure.in_doubt {
                    keys.for_each(|key| self.hand_over.doubt(key));
                }
                self.last.clone_from(&failure.why);
            }
        }
    }

    /// What is missing in the end.
    pub(super) fn end(self) -> Result<(), String> {
        let jobs = self.hand_over.jobs().len();
        match jobs - self.acknowledged {
            0 => Ok(()),
            missing => {
                Err(format!("{missing} of {jobs} jobs not acknowledged, the last failure: {}", self.last))
            }
        }
    }
}
