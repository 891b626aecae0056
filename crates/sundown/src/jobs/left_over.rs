//! A job that an earlier process left.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    id::{JobId, Key},
    incomplete::{AnyEntry, Entry, IncompleteJob, Opaque, Unfinished},
    past::Past,
    word::{Fate, Word},
};
use crate::Reason;

/// A job that an earlier process left incomplete, as a store that outlives its process has kept it. Nobody does it now:
/// it can be offered to somebody, with those of a shutdown ([`Claims::left_over`](crate::Claims::left_over)) or by itself
/// ([`HandOver::of_left_over`](crate::HandOver::of_left_over)).
///
/// # Examples
///
/// ```
/// # use std::time::{Duration, Instant};
/// use sundown::{HandOver, Key, LeftOver, Past, Reason, Uuid};
///
/// let key = Key::new(Uuid::new_v4(), 17);
/// let past = Past::default().and(Reason::Memory);
/// let job = LeftOver::new(key, "image-17".try_into()?, "resizer", "resize to 640 px").past(past);
/// let offer = HandOver::of_left_over([job], Instant::now() + Duration::from_secs(5));
/// assert_eq!(offer.jobs()[0].attempts(), 2);
/// assert_eq!(*offer.jobs()[0].reason(), Reason::Died);
/// # Ok::<(), sundown::InvalidJobId>(())
/// ```
pub struct LeftOver {
    key: Key,
    id: JobId,
    component: Arc<str>,
    age: Duration,
    past: Past,
    reason: Reason,
    in_doubt: bool,
    payload: Box<Opaque>,
    checkpoint: Option<Arc<Opaque>>,
}

impl LeftOver {
    /// A job of which nothing more is known than that its process died.
    pub fn new(
        key: Key,
        id: JobId,
        component: impl Into<Arc<str>>,
        payload: impl Serialize + Send + Sync + 'static,
    ) -> Self {
        LeftOver {
            key,
            id,
            component: component.into(),
            age: Duration::ZERO,
            past: Past::default(),
            reason: Reason::Died,
            in_doubt: false,
            payload: Box::new(payload),
            checkpoint: None,
        }
    }

    /// How long ago it was begun. Default: zero.
    #[must_use]
    pub fn age(self, age: Duration) -> Self {
        LeftOver { age, ..self }
    }

    /// The attempts before the one that its process left. Default: none.
    #[must_use]
    pub fn past(self, past: Past) -> Self {
        LeftOver { past, ..self }
    }

    /// Why its process left it. Default: [`Reason::Died`].
    #[must_use]
    pub fn reason(self, reason: Reason) -> Self {
        LeftOver { reason, ..self }
    }

    /// Its effect, or its hand-over to somebody else, may have happened.
    #[must_use]
    pub fn in_doubt(self) -> Self {
        LeftOver { in_doubt: true, ..self }
    }

    /// How far it had come.
    #[must_use]
    pub fn checkpoint(self, checkpoint: impl Serialize + Send + Sync + 'static) -> Self {
        LeftOver { checkpoint: Some(Arc::new(checkpoint)), ..self }
    }

    /// As one that a shutdown has taken.
    pub(crate) fn taken(self, now: Instant) -> IncompleteJob {
        let LeftOver { key, id, component, age, past, reason, in_doubt, payload, checkpoint } = self;
        let word = Word::new();
        word.advance(Fate::Running, Fate::Taken);
        let entry = Entry::new(now, key, id, payload, past, word);
        if let Some(checkpoint) = checkpoint {
            entry.set_checkpoint(checkpoint);
        }
        let job = Unfinished(Arc::new(entry));
        IncompleteJob { job, component, age, reason: Arc::new(reason), in_doubt, is_left_over: true }
    }
}

impl fmt::Debug for LeftOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeftOver")
            .field("id", &self.id)
            .field("key", &self.key)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}
