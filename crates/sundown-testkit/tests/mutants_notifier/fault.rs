//! A right notifier with an outside world in memory, and a place for what is wrong.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use sundown::{Deadline, HandOver, IncompleteJob, Notifier, NotifyError, Report};
use sundown_testkit::conformance::{Notifying, Outside};

/// The outside world: it does as it is told.
pub(crate) struct World {
    outside: Outside,
    taken: Mutex<Vec<String>>,
}

/// What it says to a job.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Taken,
    Refused,
    /// Nothing, until shortly before the deadline.
    Silence,
}

impl World {
    /// What it would say to the next job.
    pub(crate) fn mood(&self) -> Answer {
        let before = self.taken.lock().unwrap().len();
        match self.outside {
            Outside::AcceptsOnly(most) if before >= most => Answer::Refused,
            Outside::HangsAfter(most) if before >= most => Answer::Silence,
            Outside::Refuses => Answer::Refused,
            Outside::Hangs => Answer::Silence,
            _ => Answer::Taken,
        }
    }

    pub(crate) fn offer(&self, job: &IncompleteJob, deadline: &Deadline) -> Answer {
        let answer = self.mood();
        match answer {
            Answer::Taken => self.take(job.key().to_string()),
            Answer::Silence => thread::sleep(deadline.remaining().saturating_sub(Duration::from_millis(100))),
            Answer::Refused => {}
        }
        answer
    }

    pub(crate) fn take(&self, key: String) {
        self.taken.lock().unwrap().push(key);
    }

    pub(crate) fn refuses(&self) -> bool {
        self.outside == Outside::Refuses
    }
}

pub(crate) type Ended = Result<(), NotifyError>;

pub(crate) fn failed(what: &str) -> Ended {
    Err(NotifyError::new(what))
}

/// What is wrong: each method is right unless a fault says otherwise.
#[sundown::async_trait]
pub(crate) trait Fault: Send + Sync + 'static {
    async fn prepare(&self) -> Ended {
        Ok(())
    }

    async fn incomplete(&self, world: &World, hand_over: &HandOver) -> Ended {
        let mut refused = 0;
        for job in hand_over.jobs() {
            match world.offer(job, hand_over.deadline()) {
                Answer::Taken => drop(hand_over.acknowledge(job.key())),
                Answer::Refused => refused += 1,
                Answer::Silence => return failed("no answer"),
            }
        }
        if refused == 0 { Ok(()) } else { failed("not all were accepted") }
    }

    async fn finished(&self, world: &World, _report: &Report) -> Ended {
        if world.refuses() { failed("refused") } else { Ok(()) }
    }
}

/// Nothing is wrong.
pub(crate) struct None;

impl Fault for None {}

pub(crate) fn fresh<F: Fault>(outside: Outside, fault: F) -> Notifying {
    let world = Arc::new(World { outside, taken: Mutex::default() });
    let asked = world.clone();
    Notifying::new(Mutant(fault, world), move || asked.taken.lock().unwrap().clone())
}

struct Mutant<F>(F, Arc<World>);

#[sundown::async_trait]
impl<F: Fault> Notifier for Mutant<F> {
    async fn prepare(&self) -> Ended {
        self.0.prepare().await
    }

    async fn incomplete(&self, hand_over: &HandOver) -> Ended {
        self.0.incomplete(&self.1, hand_over).await
    }

    async fn finished(&self, report: &Report) -> Ended {
        self.0.finished(&self.1, report).await
    }
}
