//! The jobs that earlier processes left, until somebody sees to them.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use serde::de::DeserializeOwned;
use sundown::{JobId, Key, LeftOver, Past, Reason};

use crate::{
    store::{Found, Row, key_of},
    text::{Payload, Text},
    writer::Space,
};

/// A job that an earlier process left incomplete, as the journal has found it.
///
/// Whoever sees to it knows that its effect may have happened: the process may have died between the effect and the
/// note of it. Where it is [in doubt](Self::is_in_doubt), that is likely.
#[derive(Clone)]
pub struct Recovered {
    pub(crate) found: Arc<Found>,
    component: Arc<str>,
    reason: Reason,
    in_doubt: bool,
}

impl Recovered {
    pub(crate) fn new(found: Found, component: Arc<str>, reason: Reason) -> Self {
        Recovered { component, reason, in_doubt: found.end.in_doubt, found: Arc::new(found) }
    }

    pub(crate) fn doubted(self) -> Self {
        Recovered { in_doubt: true, ..self }
    }

    /// Which begin it was.
    pub fn key(&self) -> Key {
        key_of(self.found.row)
    }

    /// Which work it is.
    pub fn id(&self) -> &JobId {
        &self.found.record.id
    }

    /// Whose it was.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// How long ago it was begun, by the machine's clock, which may have been set meanwhile.
    pub fn age(&self) -> Duration {
        let began = SystemTime::UNIX_EPOCH + Duration::from_millis(self.found.record.began);
        SystemTime::now().duration_since(began).unwrap_or_default()
    }

    /// How often it was begun.
    pub fn attempts(&self) -> u32 {
        self.found.record.past.attempts().saturating_add(1)
    }

    /// What cut the last attempt short: [`Reason::Died`], if the process did not say.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// What cut those before short, of the latest [`Past::KEPT`], in their order.
    pub fn earlier_ends(&self) -> &[Reason] {
        self.found.record.past.ends()
    }

    /// Its commit, or its hand-over, is known to have begun.
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// What it is about.
    ///
    /// # Errors
    ///
    /// When the payload is not of that type.
    pub fn payload<P: DeserializeOwned>(&self) -> serde_json::Result<P> {
        serde_json::from_str(self.found.record.payload.get())
    }

    /// How far it had come, if that was noted.
    ///
    /// # Errors
    ///
    /// When the checkpoint is not of that type.
    pub fn checkpoint<C: DeserializeOwned>(&self) -> serde_json::Result<Option<C>> {
        self.found.checkpoint.as_ref().map(|checkpoint| serde_json::from_str(checkpoint.get())).transpose()
    }

    /// The attempts at it, this one included.
    pub(crate) fn past(&self) -> Past {
        self.found.record.past.clone().and(self.reason.clone())
    }

    /// As a notifier is offered it.
    pub(crate) fn offer(&self) -> LeftOver {
        let payload = Payload(self.found.record.clone());
        let offer = LeftOver::new(self.key(), self.id().clone(), self.component.clone(), payload)
            .age(self.age())
            .past(self.found.record.past.clone())
            .reason(self.reason.clone());
        let offer = if self.in_doubt { offer.in_doubt() } else { offer };
        match &self.found.checkpoint {
            Some(checkpoint) => offer.checkpoint(Text(checkpoint.clone())),
            None => offer,
        }
    }
}

impl fmt::Debug for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovered")
            .field("id", self.id())
            .field("component", &self.component)
            .field("attempts", &self.attempts())
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// One of them, with the room that it takes. Who has this sees to the job; nobody else can.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) job: Recovered,
    /// Given back with the job's end.
    pub(crate) _space: Space,
}

/// Those that nobody sees to at the moment.
#[derive(Debug)]
pub(crate) struct Pool {
    /// The lock guards the lists; no job's code runs under it.
    lists: Mutex<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    jobs: BTreeMap<Row, Held>,
    /// The components that have jobs in this process, and will see to their own.
    components: HashSet<Arc<str>>,
}

impl Pool {
    pub(crate) fn new(found: impl Iterator<Item = Held>) -> Self {
        let jobs = found.map(|held| (held.job.found.row, held)).collect();
        Pool { lists: Mutex::new(Lists { jobs, ..Lists::default() }) }
    }

    pub(crate) fn list(&self) -> Vec<Recovered> {
        self.lock().jobs.values().map(|held| held.job.clone()).collect()
    }

    pub(crate) fn take(&self, row: Row) -> Option<Held> {
        self.lock().jobs.remove(&row)
    }

    pub(crate) fn take_all(&self) -> Vec<Held> {
        std::mem::take(&mut self.lock().jobs).into_values().collect()
    }

    /// Those of the component, and those whose component is not there.
    pub(crate) fn take_of(&self, component: &str) -> Vec<Held> {
        let mut lists = self.lock();
        let lists = &mut *lists;
        let taken =
            |job: &Recovered| *job.component == *component || !lists.components.contains(&job.component);
        let (taken, left) =
            std::mem::take(&mut lists.jobs).into_iter().partition(|(_, held): &(Row, Held)| taken(&held.job));
        lists.jobs = left;
        BTreeMap::into_values(taken).collect()
    }

    pub(crate) fn give_back(&self, held: impl IntoIterator<Item = Held>) {
        self.lock().jobs.extend(held.into_iter().map(|held| (held.job.found.row, held)));
    }

    pub(crate) fn add_component(&self, component: Arc<str>) {
        self.lock().components.insert(component);
    }

    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
