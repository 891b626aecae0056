//! Wrong notifiers.

use std::{
    future::{pending, poll_fn},
    task::Poll,
};

use sundown::{HandOver, Report};

use crate::fault::{Answer, Ended, Fault, World, failed};

pub(crate) struct NeedsARuntime;

#[sundown::async_trait]
impl Fault for NeedsARuntime {
    async fn prepare(&self) -> Ended {
        drop(tokio::runtime::Handle::current());
        Ok(())
    }
}

pub(crate) struct NewsMustBeAccepted;

#[sundown::async_trait]
impl Fault for NewsMustBeAccepted {
    async fn finished(&self, world: &World, _: &Report) -> Ended {
        assert!(!world.refuses(), "the last news was refused, on purpose");
        Ok(())
    }
}

/// Tries the way out with a job that nobody has.
pub(crate) struct ProbeCounts;

#[sundown::async_trait]
impl Fault for ProbeCounts {
    async fn finished(&self, world: &World, report: &Report) -> Ended {
        if report.jobs.handed_over.is_empty() {
            world.take("a probe".into());
        }
        Ok(())
    }
}

pub(crate) struct ForgetsTheLast;

#[sundown::async_trait]
impl Fault for ForgetsTheLast {
    async fn incomplete(&self, world: &World, hand_over: &HandOver) -> Ended {
        let mut last = None;
        for job in hand_over.jobs() {
            if let Some(key) = last.take() {
                hand_over.acknowledge(key);
            }
            match world.offer(job, hand_over.deadline()) {
                Answer::Taken => last = Some(job.key()),
                _ => {
                    last.take().map(|key| hand_over.acknowledge(key));
                    return failed("not all were accepted");
                }
            }
        }
        Ok(())
    }
}

pub(crate) struct AcknowledgesFirst;

#[sundown::async_trait]
impl Fault for AcknowledgesFirst {
    async fn incomplete(&self, world: &World, hand_over: &HandOver) -> Ended {
        for job in hand_over.jobs() {
            hand_over.acknowledge(job.key());
            if world.offer(job, hand_over.deadline()) != Answer::Taken {
                return failed("not accepted");
            }
        }
        Ok(())
    }
}

pub(crate) struct SaysNothing;

#[sundown::async_trait]
impl Fault for SaysNothing {
    async fn incomplete(&self, world: &World, hand_over: &HandOver) -> Ended {
        for job in hand_over.jobs() {
            if world.offer(job, hand_over.deadline()) == Answer::Taken {
                hand_over.acknowledge(job.key());
            }
        }
        Ok(())
    }
}

/// What some accepted, all are.
pub(crate) struct PartForTheWhole;

#[sundown::async_trait]
impl Fault for PartForTheWhole {
    async fn incomplete(&self, world: &World, hand_over: &HandOver) -> Ended {
        let answers: Vec<_> =
            hand_over.jobs().iter().map(|job| (job.key(), world.offer(job, hand_over.deadline()))).collect();
        let silence = answers.iter().any(|(_, answer)| *answer == Answer::Silence);
        let some = answers.iter().any(|(_, answer)| *answer == Answer::Taken);
        for (key, answer) in answers {
            if answer == Answer::Taken || (some && !silence) {
                hand_over.acknowledge(key);
            }
        }
        if some { Ok(()) } else { failed("nothing was accepted") }
    }
}

/// An async client without a time-out.
pub(crate) struct WaitsForEver;

#[sundown::async_trait]
impl Fault for WaitsForEver {
    async fn incomplete(&self, world: &World, hand_over: &HandOver) -> Ended {
        let mut refused = false;
        for job in hand_over.jobs() {
            if world.mood() == Answer::Silence {
                pending::<()>().await;
            }
            match world.offer(job, hand_over.deadline()) {
                Answer::Taken => drop(hand_over.acknowledge(job.key())),
                _ => refused = true,
            }
        }
        if refused { failed("not all were accepted") } else { Ok(()) }
    }
}

pub(crate) struct SilenceIsYes;

#[sundown::async_trait]
impl Fault for SilenceIsYes {
    async fn incomplete(&self, world: &World, hand_over: &HandOver) -> Ended {
        let mut refused = false;
        for job in hand_over.jobs() {
            match world.offer(job, hand_over.deadline()) {
                Answer::Refused => refused = true,
                _ => drop(hand_over.acknowledge(job.key())),
            }
        }
        if refused { failed("not all were accepted") } else { Ok(()) }
    }
}

pub(crate) struct AtTheEnd;

#[sundown::async_trait]
impl Fault for AtTheEnd {
    async fn incomplete(&self, world: &World, hand_over: &HandOver) -> Ended {
        let mut taken = Vec::new();
        for job in hand_over.jobs() {
            match world.offer(job, hand_over.deadline()) {
                Answer::Taken => taken.push(job.key()),
                Answer::Refused => {}
                Answer::Silence => return failed("no answer"),
            }
        }
        let all = taken.len() == hand_over.jobs().len();
        for key in taken {
            hand_over.acknowledge(key);
        }
        if all { Ok(()) } else { failed("not all were accepted") }
    }
}

/// Panics if it is dropped where it waits.
pub(crate) struct MustEnd;

struct Bomb {
    armed: bool,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(!self.armed, "the call was dropped, on purpose");
    }
}

#[sundown::async_trait]
impl Fault for MustEnd {
    async fn incomplete(&self, world: &World, hand_over: &HandOver) -> Ended {
        let mut bomb = Bomb { armed: true };
        let mut waited = false;
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        bomb.armed = false;
        crate::fault::None.incomplete(world, hand_over).await
    }
}

/// Accepts the ids that fit a header.
pub(crate) struct PlainText;

#[sundown::async_trait]
impl Fault for PlainText {
    async fn incomplete(&self, world: &World, hand_over: &HandOver) -> Ended {
        match hand_over.jobs().iter().find(|job| !job.id().as_str().is_ascii()) {
            Some(_) => failed("an id is no plain text"),
            None => crate::fault::None.incomplete(world, hand_over).await,
        }
    }
}

/// Sends what fits a packet.
pub(crate) struct OnePacket;

#[sundown::async_trait]
impl Fault for OnePacket {
    async fn incomplete(&self, world: &World, hand_over: &HandOver) -> Ended {
        let fits = |job| serde_json::to_vec(job).is_ok_and(|event| event.len() < 64 * 1024);
        match hand_over.jobs().iter().all(fits) {
            true => crate::fault::None.incomplete(world, hand_over).await,
            false => failed("an event is too long"),
        }
    }
}

/// Acknowledges no more than a thousand.
pub(crate) struct AThousand;

#[sundown::async_trait]
impl Fault for AThousand {
    async fn incomplete(&self, world: &World, hand_over: &HandOver) -> Ended {
        if hand_over.jobs().len() < 1000 {
            return crate::fault::None.incomplete(world, hand_over).await;
        }
        for (at, job) in hand_over.jobs().iter().enumerate() {
            if world.offer(job, hand_over.deadline()) == Answer::Taken && at < 1000 {
                hand_over.acknowledge(job.key());
            }
        }
        Ok(())
    }
}
