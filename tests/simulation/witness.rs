//! What the workers of a service saw of their own work.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sundown::{Commit, Gate, Job, Jobs, Taken, Watch};
use sundown_testkit::simulation::World;

use crate::scenario::{Way, Work};

/// What became of a job, as its worker saw it, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Begun,
    Committing,
    Completed,
    Failed,
    /// Its commit was dropped.
    Forgotten,
    /// It was dropped while the service ran, or while it drained.
    Dropped {
        draining: bool,
    },
    Taken,
}

/// Every job that was begun, by its id.
#[derive(Clone, Default)]
pub(crate) struct Witness(Arc<Mutex<BTreeMap<String, (Seen, Duration)>>>);

impl Witness {
    pub(crate) fn saw(&self, job: &str, seen: Seen, at: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(job.to_owned(), (seen, at));
    }

    pub(crate) fn jobs(&self) -> BTreeMap<String, (Seen, Duration)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Where a unit of work is done.
#[derive(Clone)]
pub(crate) enum Shop {
    Gate(Gate),
    Jobs(Jobs<Duration>),
}

/// One worker.
pub(crate) struct Worker {
    pub(crate) world: World,
    pub(crate) work: Work,
    pub(crate) id: String,
    pub(crate) shop: Shop,
    pub(crate) watch: Watch,
    pub(crate) witness: Witness,
}

impl Worker {
    pub(crate) async fn run(self) {
        let early = self.work.reserved.unwrap_or_default();
        self.world.sleep(self.work.at.saturating_sub(early)).await;
        match self.shop.clone() {
            Shop::Gate(gate) => self.pass(&gate).await,
            Shop::Jobs(jobs) => self.work(&jobs).await,
        }
    }

    async fn pass(&self, gate: &Gate) {
        let Ok(_guard) = gate.enter() else { return };
        match self.work.way {
            Way::Never => std::future::pending().await,
            _ => self.world.sleep(self.work.lasts).await,
        }
    }

    async fn work(&self, jobs: &Jobs<Duration>) {
        let begun = match self.work.reserved {
            Some(early) => {
                let Ok(permit) = jobs.reserve() else { return };
                self.world.sleep(early).await;
                permit.begin(self.id.as_str(), self.work.lasts).ok()
            }
            None => jobs.begin(self.id.as_str(), self.work.lasts).ok(),
        };
        let Some(job) = begun else { return };
        self.saw(Seen::Begun);
        // Somebody else's turn, between any two steps.
        self.world.give_way();
        self.world.sleep(self.work.lasts).await;
        job.checkpoint("almost done");
        match self.work.way {
            Way::Completes => self.ended(Seen::Completed, job.complete()),
            Way::Fails => self.ended(Seen::Failed, job.fail()),
            Way::Commits(effect) => self.effect(job, effect, Seen::Completed, Commit::done).await,
            Way::CommitsInVain(effect) => self.effect(job, effect, Seen::Failed, Commit::failed).await,
            Way::Forgets(effect) => self.effect(job, effect, Seen::Forgotten, drop).await,
            Way::Drops => {
                let draining = self.watch.is_draining();
                drop(job);
                self.saw(Seen::Dropped { draining });
            }
            Way::Never => {
                job.taken().await;
                self.saw(Seen::Taken);
            }
        }
    }

    async fn effect(
        &self,
        job: Job<Duration>,
        effect: Duration,
        seen: Seen,
        end: impl FnOnce(Commit<Duration>),
    ) {
        match job.commit() {
            Ok(commit) => {
                self.saw(Seen::Committing);
                self.world.sleep(effect).await;
                end(commit);
                self.saw(seen);
            }
            Err(Taken) => self.saw(Seen::Taken),
        }
    }

    fn ended(&self, seen: Seen, ended: Result<(), Taken>) {
        self.saw(ended.map_or(Seen::Taken, |()| seen));
    }

    fn saw(&self, seen: Seen) {
        self.witness.saw(&self.id, seen, self.world.elapsed());
    }
}
