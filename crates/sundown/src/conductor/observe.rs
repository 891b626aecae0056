//! Who observes signals, without the shutdown having to begin for that.
//!
//! What is kept true:
//!
//! 1. **One observation at a time, in the order of the arrivals**: what is done for SIGCONT never overtakes what is
//!    still being done for the SIGTSTP before it.
//! 2. **After each arrival its observers run**, but one that waits for its turn need not wait twice: as the system has it,
//!    a signal is pending or it is not. So what waits is bounded by how many signals there are.
//! 3. **An observer that hangs or panics is named** in the report, with those that had to wait for it.

use std::{collections::VecDeque, fmt, future::Future, sync::Arc, time::Instant};

use super::{Conductor, Event};
use crate::{
    BoxFuture, Signal,
    errand::{Place, Seat},
    host::DynHost,
    report::Outcome,
};

/// A signal that has arrived, for those who [observe](crate::Builder::on_signal) it.
#[derive(Clone)]
pub struct Observed {
    signal: Signal,
    at: Instant,
    host: DynHost,
}

impl Observed {
    /// Which one.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// When it was seen, by the clock of the [runtime](crate::Runtime::now)'s machine.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// Does what the signal would have done if nobody listened: SIGTSTP stops the process until its SIGCONT, SIGCONT and
    /// SIGWINCH do nothing, and the others end it here and now, without a shutdown. Nothing, if the process was started
    /// with the signal ignored, or is the first of a container, which the system spares all that.
    pub fn act_by_default(&self) {
        self.host.act_by_default(self.signal);
    }
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed").field("signal", &self.signal).field("at", &self.at).finish_non_exhaustive()
    }
}

/// What is done when a signal is observed.
pub(crate) type Observer = Arc<dyn Fn(Observed) -> BoxFuture<'static, ()> + Send + Sync>;

/// A closure of the user's as that.
pub(crate) fn observer<F, Fut>(observe: F) -> Observer
where
    F: Fn(Observed) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    Arc::new(move |observed| Box::pin(observe(observed)))
}

/// All of them, and whose turn it is.
pub(crate) struct Observers {
    each: Vec<(Signal, Observer)>,
    place: Option<Arc<Place>>,
    waiting: VecDeque<(Signal, Instant)>,
    busy: Option<Signal>,
}

impl Observers {
    /// A place is needed where anybody observes anything.
    pub(crate) fn new(each: Vec<(Signal, Observer)>, place: Option<Arc<Place>>) -> Self {
        Observers { each, place, waiting: VecDeque::new(), busy: None }
    }

    /// The last arrival is the last to be observed.
    fn admit(&mut self, signal: Signal, at: Instant) {
        if self.each.iter().any(|(observed, _)| *observed == signal) {
            self.waiting.retain(|(waiting, _)| *waiting != signal);
            self.waiting.push_back((signal, at));
        }
    }

    /// The next one's, if it can have its turn.
    fn next(&mut self) -> Option<(Signal, Instant, Arc<Place>, Vec<Observer>)> {
        let place = self.place.clone()?;
        if self.busy.is_some() {
            return None;
        }
        let (signal, at) = self.waiting.pop_front()?;
        self.busy = Some(signal);
        let each = self.each.iter().filter(|(observed, _)| *observed == signal);
        Some((signal, at, place, each.map(|(_, observer)| observer.clone()).collect()))
    }

    /// What the report has to say of those that are not done.
    fn unfinished(&self) -> Vec<String> {
        let Some(busy) = self.busy else { return Vec::new() };
        let hung = format!("what observes {busy} had not ended");
        let waited = self
            .waiting
            .iter()
            .map(|(signal, _)| format!("{signal} was not observed: it had to wait for {busy}"));
        std::iter::once(hung).chain(waited).collect()
    }
}

impl Conductor {
    /// A signal has arrived: whoever observes it is told, in its turn.
    pub(super) fn observe(&mut self, signal: Signal, at: Instant) {
        self.observers.admit(signal, at);
        self.observe_next();
    }

    /// An observation is over, and the next one can begin.
    pub(super) fn hear_observed(&mut self, signal: Signal, outcome: Outcome) {
        self.observers.busy = None;
        if outcome.is_failure() {
            self.record.warnings.push(format!("what observes {signal} {outcome}"));
        }
        self.observe_next();
    }

    /// Noted in the report that is about to be published.
    pub(super) fn note_unobserved(&mut self) {
        self.record.warnings.extend(self.observers.unfinished());
    }

    fn observe_next(&mut self) {
        if self.hub.finished.is_set() {
            return;
        }
        let Some((signal, at, place, observers)) = self.observers.next() else { return };
        let observed = Observed { signal, at, host: self.host.clone() };
        let work = async move {
            for observer in observers {
                observer(observed.clone()).await;
            }
            Ok(())
        };
        let (mailbox, finished, step_over) =
            (self.mailbox.clone(), self.hub.finished.clone(), self.step_over.clone());
        self.errands.run(&format!("on-{signal}"), move |seat| {
            let cancel = if seat == Seat::Own { finished } else { step_over };
            // An error means that nobody waits any more.
            let tell = |outcome| drop(mailbox.send(Event::Observed(signal, outcome)));
            place.drive(Box::pin(work), cancel, tell);
        });
    }
}
