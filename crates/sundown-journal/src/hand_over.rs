//! Handing over what earlier processes left, outside of any shutdown.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use futures_channel::oneshot;
use sundown::{Fate, HandOver, IncompleteJob, JobId, Notifier, NotifyError, Runtime, panic_message};

use crate::{
    Journal, WriteError,
    recovered::Held,
    store::{End, Note},
};

/// What came of handing over what earlier processes left.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct HandedOver {
    /// What somebody else is responsible for from here on. The journal has forgotten it.
    pub acknowledged: Vec<JobId>,
    /// How many jobs are left over as before.
    pub left: usize,
    /// What the notifier said, if it was not content.
    pub error: Option<NotifyError>,
}

impl Journal {
    /// Offers all that earlier processes left to a notifier, for so long, and forgets what it acknowledges. The rest is
    /// left over as before.
    ///
    /// The notifier is prepared and asked on a thread of its own, in a [private place](Runtime::private) of the runtime's:
    /// it may block. When the time is over, it is dropped where it waits, and what it has not acknowledged is
    /// [in doubt](crate::Recovered::is_in_doubt): nobody can know how far it came.
    ///
    /// # Errors
    ///
    /// When the journal could not note what was acknowledged: then it may be offered once more.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, what was acknowledged by then is forgotten, and the rest is left over, in doubt.
    pub async fn hand_over(
        &self,
        notifier: impl Notifier,
        runtime: &impl Runtime,
        time: Duration,
    ) -> Result<HandedOver, WriteError> {
        let held = self.inner.pool.take_all();
        if held.is_empty() {
            return Ok(HandedOver::default());
        }
        self.let_go(held.iter().map(|held| held.job.found.row));
        // A year is for ever, and no moment is out of reach.
        let time = time.min(Duration::from_secs(365 * 24 * 3600));
        let until = Instant::now() + time;
        let offer = Arc::new(HandOver::of_left_over(held.iter().map(|held| held.job.offer()), until));
        let mut offered = Offered { journal: self, offer: offer.clone(), held, answered: false };
        let told = tell(notifier, runtime, offer);
        // By the runtime's clock, which may be another.
        let said = or_late(told, runtime.sleep_until(runtime.now() + time)).await;
        offered.answered = said.is_some();
        let late = || Err(NotifyError::new(format!("the notifier did not answer within {time:?}")));
        let error = said.unwrap_or_else(late).err();
        let acknowledged = offered.settle();
        let left = self.inner.pool.list().len();
        self.flush().await?;
        Ok(HandedOver { acknowledged, left, error })
    }
}

/// Asks the notifier on a thread of its own, until nobody waits for the answer.
fn tell(
    notifier: impl Notifier,
    runtime: &impl Runtime,
    offer: Arc<HandOver>,
) -> oneshot::Receiver<Result<(), NotifyError>> {
    let (mut told, answer) = oneshot::channel();
    let asked = runtime.private().and_then(|mut place| {
        thread::Builder::new().name("sundown-hand-over".into()).spawn(move || {
            let mut said = Err(NotifyError::new("the private place did not finish"));
            let asked = catch_unwind(AssertUnwindSafe(|| {
                place.drive(pin!(async {
                    let mut ask = pin!(async {
                        notifier.prepare().await?;
                        notifier.incomplete(&offer).await
                    });
                    poll_fn(|cx| {
                        if told.poll_canceled(cx).is_ready() {
                            return Poll::Ready(());
                        }
                        ask.as_mut().poll(cx).map(|answer| said = answer)
                    })
                    .await;
                }));
                drop(notifier);
            }));
            if let Err(panic) = asked {
                said = Err(NotifyError::new(format!("the notifier panicked: {}", panic_message(panic))));
            }
            drop(offer);
            // Late, and nobody waits.
            let _ = told.send(said);
        })
    });
    match asked {
        Ok(_thread) => answer,
        Err(error) => {
            let (told, answer) = oneshot::channel();
            let _ =
                told.send(Err(NotifyError::new("there is no place to ask the notifier in").because(error)));
            answer
        }
    }
}

/// What was said. `None`: it comes too late.
async fn or_late(
    said: oneshot::Receiver<Result<(), NotifyError>>,
    late: impl Future<Output = ()>,
) -> Option<Result<(), NotifyError>> {
    let (mut said, mut late) = (pin!(said), pin!(late));
    poll_fn(|cx| {
        if let Poll::Ready(said) = said.as_mut().poll(cx) {
            return Poll::Ready(Some(
                said.unwrap_or_else(|_| Err(NotifyError::new("the notifier said nothing"))),
            ));
        }
        late.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// What is out at the notifier's. Dropped, it comes back, but for what was acknowledged.
struct Offered<'a> {
    journal: &'a Journal,
    offer: Arc<HandOver>,
    held: Vec<Held>,
    /// The notifier is done with them.
    answered: bool,
}

impl Offered<'_> {
    fn settle(&mut self) -> Vec<JobId> {
        let (pool, queue) = (&self.journal.inner.pool, self.journal.queue());
        if !self.answered {
            self.offer.jobs().iter().for_each(|job| self.offer.doubt(job.key()));
        }
        let mut acknowledged = Vec::new();
        // In the same order: one was made of the other.
        let rest = self.held.drain(..).zip(self.offer.jobs()).filter_map(|(held, job)| {
            let row = held.job.found.row;
            if job.is_acknowledged() && !self.journal.keeps(row) {
                queue.forget(row);
                acknowledged.push(job.id().clone());
                return None;
            }
            if !is_doubted(job) || held.job.is_in_doubt() {
                return Some(held);
            }
            let end = End { reason: Some(job.reason().clone()), in_doubt: true };
            queue.note(row, Note { end: Some(end), ..Note::default() });
            Some(Held { job: held.job.doubted(), ..held })
        });
        let rest: Vec<_> = rest.collect();
        pool.give_back(rest);
        acknowledged
    }
}

/// It was sent, and nobody knows whether it arrived.
fn is_doubted(job: &IncompleteJob) -> bool {
    matches!(job.fate(), Fate::Doubted | Fate::InDoubt)
}

impl Drop for Offered<'_> {
    fn drop(&mut self) {
        self.settle();
    }
}

#[cfg(test)]
mod tests;
