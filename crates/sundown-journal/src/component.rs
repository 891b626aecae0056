//! What a component's durable jobs have in common, whatever their payload.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use sundown::{Claims, Fate, IncompleteJob};

use crate::{
    Journal,
    recovered::Held,
    store::{End, Note, Row, row_of},
};

/// What does not depend on the payload.
pub(crate) struct Component {
    pub(crate) journal: Journal,
    pub(crate) name: Arc<str>,
    pub(crate) run: u64,
    /// The jobs of earlier processes that the claim has offered, until it is known who took them over. The lock guards
    /// the list.
    pub(crate) offered: Mutex<HashMap<Row, Held>>,
    /// That of its jobs' keys, once one was written.
    pub(crate) instance: OnceLock<u128>,
}

impl Component {
    /// A job of its own is about to be written.
    pub(crate) fn writes(&self, row: Row) {
        self.instance.get_or_init(|| {
            self.journal.instances().insert(row.0);
            row.0
        });
    }

    pub(crate) fn offered(&self) -> MutexGuard<'_, HashMap<Row, Held>> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers what earlier processes left, once.
    pub(crate) fn offer(&self, claims: &Claims) {
        let held = self.journal.inner.pool.take_of(&self.name);
        self.journal.let_go(held.iter().map(|held| held.job.found.row));
        for held in &held {
            claims.left_over(held.job.offer());
        }
        self.offered().extend(held.into_iter().map(|held| (held.job.found.row, held)));
    }

    /// Notes what is known of the claimed jobs, and says how many stay.
    pub(crate) fn settle(&self, jobs: &[IncompleteJob]) -> u64 {
        let queue = self.journal.queue();
        let mut stay = 0;
        for job in jobs {
            let row = row_of(job.key());
            let ended = matches!(job.fate(), Fate::Completed | Fate::Failed);
            // What the journal itself has acknowledged is not forgotten for that. In this order: by whom is known as soon
            // as it is acknowledged.
            let acknowledged = job.is_acknowledged();
            let kept = self.journal.keeps(row);
            if ended || (acknowledged && !kept) {
                queue.forget(row);
                self.journal.let_go([row]);
                let held = self.offered().remove(&row);
                drop(held);
                continue;
            }
            stay += 1;
            if !kept {
                let end = End { reason: Some(job.reason().clone()), in_doubt: job.is_in_doubt() };
                queue.note(row, Note { end: Some(end), ..Note::default() });
            }
        }
        stay
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        if let Some(instance) = self.instance.get() {
            self.journal.instances().remove(instance);
        }
    }
}
