//! What has become of the jobs so far.

use std::{cell::RefCell, collections::HashSet};

use sundown::{HandOver, IncompleteJob, Key};

use super::{batch::Batch, verdict::Verdict};
use crate::{
    event,
    offered::{Offered, has_ended},
};

/// The jobs that were sent without what somebody needs to do them.
#[derive(Default)]
pub(super) struct Emptied(RefCell<Vec<String>>);

impl Emptied {
    /// As many as an error names.
    const NAMED: usize = 3;

    pub(super) fn note(&self, job: &IncompleteJob, why: &str) {
        self.0.borrow_mut().push(format!("{}: {why}", job.id()));
    }

    pub(super) fn end(&self) -> Result<(), String> {
        let emptied = self.0.borrow();
        let named = emptied.iter().take(Self::NAMED).cloned().collect::<Vec<_>>().join("; ");
        match emptied.len().saturating_sub(Self::NAMED) {
            _ if emptied.is_empty() => Ok(()),
            0 => Err(format!("{named} (sent without)")),
            more => Err(format!("{named}; and {more} more (sent without)")),
        }
    }
}

/// A hand-over on its way.
pub(super) struct Offer<'a> {
    hand_over: &'a HandOver,
    /// By replies.
    acknowledged: HashSet<Key>,
    last: String,
}

impl<'a> Offer<'a> {
    pub(super) fn new(hand_over: &'a HandOver) -> Self {
        Offer { hand_over, acknowledged: HashSet::new(), last: "no time was left".into() }
    }

    /// A request has ended so.
    pub(super) fn settle(&mut self, batch: &Batch, verdict: &Verdict) {
        let keys = batch.places.clone().map(|place| self.hand_over.at(place).key());
        match verdict {
            Ok(reply) => {
                let mut taken = 0;
                for key in keys.filter(|&key| reply.names(&event::id(self.hand_over, key))) {
                    self.hand_over.acknowledge(key);
                    self.acknowledged.insert(key);
                    taken += 1;
                }
                if taken < batch.places.len() {
                    self.last = format!("a reply names {taken} of its {} events", batch.places.len());
                }
            }
            Err(failure) => {
                if failure.in_doubt {
                    keys.for_each(|key| self.hand_over.doubt(key));
                }
                self.last.clone_from(&failure.why);
            }
        }
    }

    /// What is missing in the end. An effect that has ended since needs nobody to know of it.
    pub(super) fn end(self) -> Result<(), String> {
        let is_missing = |key| !self.acknowledged.contains(&key);
        let missing = self.hand_over.all().filter(|job| is_missing(job.key()) && !has_ended(job)).count();
        match missing {
            0 => Ok(()),
            _ => Err(format!(
                "{missing} of {} jobs not acknowledged, the last failure: {}",
                self.hand_over.all().len(),
                self.last
            )),
        }
    }
}
