//! What the conductor does when the machine has decided.

use std::{cmp::Reverse, collections::HashMap, sync::Arc, time::Duration};

use super::{Call, Conductor, Event};
use crate::{
    Claims, Deadline, HandOver, Notice, Overdue, Receipt, Signal,
    errand::{Place, Seat, observe},
    jobs::IncompleteJob,
    latch::Shared,
    machine::{Action, State},
    plan::Timeline,
    progress::Step,
    report::{Outcome, Report},
    shutdown::Inside,
};

/// How long a claim waits for what was asked just before it, and should return at once; and its largest part of the
/// claim's own time.
const PATIENCE: Duration = Duration::from_millis(50);
const PATIENCE_PART: u32 = 2;

impl Conductor {
    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Announce => self.announce(),
            Action::Tighten => self.tighten(),
            Action::Close(at) => self.close(at),
            Action::Cut(at, overdue) => self.cut(at, overdue),
            Action::Claim => self.claim(),
            Action::HandOver => self.hand_over(),
            Action::Answer => self.answer(),
            Action::Force => self.force(),
            Action::Release => self.release(),
            Action::Finish => self.finish(),
            Action::Exit(signal) => self.exit(signal),
        }
    }

    fn announce(&mut self) {
        let timeline = self.timeline();
        self.step("announce");
        let stages = self.hub.stages.clone();
        let claim = Deadline::new(&self.host, timeline.begun, timeline.claim);
        let _ = stages.work_ends.set(claim.clone());
        let _ = stages.ends.set(Deadline::new(&self.host, timeline.begun, timeline.exit));
        let moment = |at| Deadline::new(&self.host, timeline.begun, at);
        let _ = stages.answers.set((moment(timeline.answer), moment(timeline.release)));
        // Who was leaving has been closed already, with all the time in the world.
        for (at, part) in self.parts.iter().enumerate() {
            if let (Some(leaving), Some(latest)) = (&part.component.leaving, self.machine.latest_finish(at)) {
                leaving.tighten(latest);
            }
        }
        stages.draining.set();
        self.errands.wake(&stages.draining);
        let notice =
            Notice { shutdown: self.record.shutdown, reason: self.record.reason.clone(), deadline: claim };
        for at in 0..self.desks.len() {
            let (notifier, notice) = (self.desks[at].notifier.clone(), notice.clone());
            self.record.notifiers[at].draining = Outcome::Late;
            let draining = async move { notifier.draining(&notice).await.map_err(|error| error.describe()) };
            self.notify(at, Call::Draining(at), self.hub.claimed.clone(), draining);
        }
        self.step("drain");
    }

    /// Moves every deadline that was given out.
    fn tighten(&mut self) {
        let timeline = self.timeline();
        if let (Some(claim), Some(exit)) = (self.hub.stages.work_ends.get(), self.hub.stages.ends.get()) {
            claim.tighten(timeline.claim);
            exit.tighten(timeline.exit);
        }
        if let Some((hand_over, answers)) = self.hub.stages.answers.get() {
            hand_over.tighten(timeline.answer);
            answers.tighten(timeline.release);
        }
        for (at, part) in self.parts.iter().enumerate() {
            let Some(latest) = self.machine.latest_finish(at) else { continue };
            part.deadline.iter().chain(&part.component.leaving).for_each(|deadline| deadline.tighten(latest));
        }
        if let (Some(deadline), Some(ends)) = (&self.step_ends, self.machine.ends()) {
            deadline.tighten(ends);
        }
        // When all have moved.
        self.hub.stages.family.tell_children(self.host.now());
    }

    /// It is this component's turn to drain.
    fn close(&mut self, at: usize) {
        let timeline = self.timeline();
        let latest = self.machine.latest_finish(at).unwrap_or(timeline.claim);
        let deadline = Deadline::new(&self.host, timeline.begun, latest);
        if let Some(leaving) = &self.parts[at].component.leaving {
            leaving.tighten(latest);
        }
        self.parts[at].deadline = Some(deadline.clone());
        self.record.components[at].turn = Some(self.host.now().saturating_duration_since(timeline.begun));
        self.record.components[at].drained = Outcome::Late;
        self.call_close(at, deadline);
    }

    /// In an errand of its own: a drain that hangs must not keep others open, nor a close that hangs the claim away.
    fn call_close(&mut self, at: usize, deadline: Deadline) {
        self.record.components[at].closed = Outcome::Late;
        let part = &self.parts[at];
        let (component, closed) = (part.component.drainable.clone(), part.closed.clone());
        let (tell, host) = (self.tell(Call::Closed(at)), self.host.clone());
        self.errands.run(&part.component.name, move |_| {
            let (outcome, _) = observe(&*host, || component.close(&deadline));
            // Told before the claim may go on: then it is known before the claim is over.
            tell(outcome);
            closed.set();
        });
    }

    pub(super) fn drain(&self, at: usize) {
        let component = self.parts[at].component.drainable.clone();
        let (name, place) = (&self.parts[at].component.name, self.parts[at].component.place.clone());
        let drained = async move {
            component.drained().await;
            Ok(())
        };
        self.drive(name, place, Call::Drained(at), self.hub.claimed.clone(), drained);
    }

    /// This component's allowance is over.
    fn cut(&mut self, at: usize, overdue: Overdue) {
        self.record.cut(at, overdue, self.host.now(), &self.timeline());
        match overdue {
            Overdue::StopWaiting => {}
            // It is forced when its jobs are in the ledger: what it drops before that would be lost.
            Overdue::Force => self.claim_from(at),
            Overdue::StopTheRest => self.note_hurry(),
        }
    }

    fn claim(&mut self) {
        self.step("claim");
        // Ends our own errands that only wait for the drain.
        self.hub.claimed.set();
        self.errands.wake(&self.hub.claimed);
        for at in 0..self.parts.len() {
            match self.record.components[at].claim {
                Outcome::NotCalled => self.claim_from(at),
                // It was cut.
                _ => self.hear_claimed(at),
            }
        }
    }

    /// Asks a component for its unfinished jobs.
    fn claim_from(&mut self, at: usize) {
        let now = self.host.now();
        let left = self.machine.ends().map_or(Duration::ZERO, |ends| ends.saturating_duration_since(now));
        let until = Some(now + PATIENCE.min(left / PATIENCE_PART));
        if !matches!(self.record.components[at].drained, Outcome::Done(_)) {
            self.look(at);
        }
        if self.parts[at].deadline.is_none() {
            // Its turn never came.
            let over = Deadline::new(&self.host, self.timeline().begun, now);
            self.call_close(at, over);
        }
        let looks = self.record.components[at].in_flight == Outcome::Late;
        let part = &self.parts[at];
        let name = part.component.name.clone();
        let component = part.component.drainable.clone();
        let (closed, looked) = (part.closed.clone(), part.looked.clone());
        let claims = Claims::new(self.ledger.clone(), name.as_str().into());
        self.record.components[at].claim = Outcome::Late;
        let (tell, host) = (self.tell(Call::Claim(at)), self.host.clone());
        self.errands.run(&name, move |_| {
            // Not before it, and not without it if it hangs.
            host.wait(&mut &*closed, until);
            let _ = !looks || host.wait(&mut &*looked, until);
            tell(observe(&*host, || component.claim(&claims)).0);
        });
    }

    /// Asks a component what it has in flight, beside its claim.
    fn look(&mut self, at: usize) {
        self.record.components[at].in_flight = Outcome::Late;
        self.record.components[at].stragglers = Some(crate::InFlight::unknown());
        let part = &self.parts[at];
        let (component, looked) = (part.component.drainable.clone(), part.looked.clone());
        let (mailbox, host) = (self.mailbox.clone(), self.host.clone());
        self.errands.run(&part.component.name, move |_| {
            let (outcome, in_flight) = observe(&*host, || component.in_flight());
            looked.set();
            let _ = mailbox.send(Event::InFlight(at, outcome, in_flight));
        });
    }

    fn hand_over(&mut self) {
        self.step("hand over");
        let stages = self.hub.stages.clone();
        stages.claimed.set();
        self.errands.wake(&stages.claimed);
        self.offered = self.offered_by_rank();
        let taker = self.desks.iter().any(|desk| desk.takes_over);
        let inside = self.hub.inside.get();
        // What nobody is there to take is the parent's to hand over, unless that is over.
        let wait = !self.offered.is_empty() && !taker && inside.is_some_and(Inside::hands_over);
        if !self.offered.is_empty() && !taker && inside.is_none_or(Inside::is_alone) {
            self.record.warnings.push("nobody was named to take over unfinished jobs".into());
        }
        if !self.offered.is_empty() {
            self.offer();
        }
        if wait {
            self.waits_for_parent = true;
            // Its parent need not wait for it before that.
            self.hub.at_rest.set();
            self.errands.wake(&self.hub.at_rest);
        } else if self.offered.is_empty() || !taker {
            self.machine.handle_answer(self.host.now(), State::HandingOver, 0);
        }
    }

    /// The jobs of the highest priority first, and those of one priority by their component's place. (Claims run side by
    /// side: in which order they come in, says nothing.)
    fn offered_by_rank(&self) -> Vec<IncompleteJob> {
        let ranks: HashMap<&str, _> = (self.parts.iter().map(|part| &part.component).enumerate())
            .map(|(at, component)| (&*component.name, (Reverse(component.order.hand_over_priority), at)))
            .collect();
        let last = (Reverse(0), usize::MAX);
        self.ledger.offered_by(|component| ranks.get(component).copied().unwrap_or(last))
    }

    fn offer(&mut self) {
        let ends = self.step_deadline();
        let ids = (self.host.id(), self.record.shutdown);
        for at in 0..self.desks.len() {
            let (notifier, takes_over) = (self.desks[at].notifier.clone(), self.desks[at].takes_over);
            let reason = self.record.reason.clone();
            let offer = HandOver::new(ids, reason, ends.clone(), self.offered.clone(), takes_over);
            self.record.notifiers[at].incomplete = Outcome::Late;
            let incomplete =
                async move { notifier.incomplete(&offer).await.map_err(|error| error.describe()) };
            self.notify(at, Call::Incomplete(at), self.hub.finished.clone(), incomplete);
        }
    }

    fn answer(&mut self) {
        self.step("answer");
        let taker = self.desks.iter().position(|desk| desk.takes_over);
        let late = taker.is_some_and(|at| self.record.notifiers[at].incomplete == Outcome::Late);
        // Offered by the parent, perhaps, which has not said how that ended.
        let untold = self.waits_for_parent
            && self.ledger.is_passed_on()
            && !self.hub.inside.get().is_some_and(Inside::is_settled);
        let hung = late || untold;
        self.ledger.settle(&self.offered, hung);
        let ends = self.step_deadline();
        for at in 0..self.parts.len() {
            let part = &self.parts[at];
            let receipt = Receipt::new(
                self.ledger.clone(),
                part.component.name.as_str().into(),
                ends.clone(),
                part.notes.clone(),
            );
            let component = part.component.drainable.clone();
            let conclude = async move {
                component.conclude(&receipt).await;
                Ok(())
            };
            self.record.components[at].conclude = Outcome::Late;
            let (name, place) = (&part.component.name, part.component.place.clone());
            self.drive(name, place, Call::Conclude(at), self.hub.finished.clone(), conclude);
        }
    }

    fn force(&mut self) {
        self.step("force");
        for at in 0..self.parts.len() {
            match self.record.components[at].force {
                Outcome::NotCalled => self.force_drop(at),
                // It was cut, and has not come back.
                Outcome::Late => {}
                _ => self.machine.handle_answer(self.host.now(), State::Forcing, at),
            }
        }
    }

    /// Has those drop what is left whose jobs are in the ledger, since its parent does not wait.
    pub(super) fn force_claimed(&mut self) {
        for at in 0..self.parts.len() {
            let report = &self.record.components[at];
            if matches!(report.claim, Outcome::Done(_)) && report.force == Outcome::NotCalled {
                self.force_drop(at);
            }
        }
    }

    /// Has a component drop what is left.
    pub(super) fn force_drop(&mut self, at: usize) {
        self.record.components[at].force = Outcome::Late;
        let part = &self.parts[at];
        let (component, tell) = (part.component.drainable.clone(), self.tell(Call::Force(at)));
        let host = self.host.clone();
        self.errands.run(&part.component.name, move |_| tell(observe(&*host, || component.force()).0));
    }

    fn release(&mut self) {
        self.step("release");
        let so_far = Arc::new(self.report_so_far());
        for (at, hook) in std::mem::take(&mut self.hooks).into_iter().enumerate() {
            self.record.hooks[at].outcome = Outcome::Late;
            let run = async move {
                hook.run.await;
                Ok(())
            };
            self.drive(&hook.name, hook.place, Call::Release(at), self.hub.finished.clone(), run);
        }
        for at in 0..self.desks.len() {
            self.record.notifiers[at].finished = Outcome::Late;
            let (notifier, report) = (self.desks[at].notifier.clone(), so_far.clone());
            let finished = async move { notifier.finished(&report).await.map_err(|error| error.describe()) };
            self.notify(at, Call::Finished(at), self.hub.finished.clone(), finished);
        }
    }

    fn finish(&mut self) {
        self.step("finish");
        match self.errands.spared() {
            0 => {}
            n => self
                .record
                .warnings
                .push(format!("{n} calls had to share one thread: no other could be started")),
        }
        self.ledger.close();
        self.note_unobserved();
        let report = self.record.report(self.host.now(), &self.timeline(), &self.ledger, self.notes());
        if self.keeps_process && !self.machine.is_signalled() {
            // Before the end is known: somebody may start another shutdown then.
            self.give_the_process_back();
        }
        self.ask_for_the_exit_code(&report);
        let _ = self.hub.report.set(report);
        self.show();
        self.hub.finished.set();
        self.errands.wake(&self.hub.finished);
        self.hub.at_rest.set();
        self.errands.wake(&self.hub.at_rest);
        if self.ownership.is_none() {
            // Nothing to guard: the owner goes on living.
            self.machine.handle_left(self.host.now());
        }
    }

    /// The user's own code for it, if there is one: computed beforehand, since a `main` that does not come back is ended
    /// from here.
    fn ask_for_the_exit_code(&self, report: &Report) {
        if self.ownership.is_some() && report.has_own_exit_code() {
            let (report, code, host) = (report.clone(), self.exit_code.clone(), self.host.clone());
            self.errands.run("exit-code", move |_| {
                if let (_, Some(status)) = observe(&*host, || report.exit_status()) {
                    let _ = code.set(status);
                }
            });
        }
    }

    /// Its signals do again what they did. Those that were seen and not heard do so now: nobody else will hear them.
    fn give_the_process_back(&mut self) {
        drop(self.ownership.take());
        let now = self.host.now();
        while let Some(event) = self.events.next(&*self.host, Some(now)) {
            if let Event::Signal(_, signal) = event {
                self.host.act_by_default(signal);
            }
        }
    }

    fn exit(&mut self, signal: Option<Signal>) {
        if self.ownership.is_some() {
            let status = match signal {
                Some(signal) => signal.exit_status(),
                None => {
                    let own = self.exit_code.get().copied();
                    own.unwrap_or_else(|| self.hub.report.get().map_or(1, Report::plain_exit_status))
                }
            };
            self.host.exit(status.into());
        }
    }

    /// Has what users made dropped where foreign code may run. With `broken`, waiters first learn that it is over.
    pub(crate) fn dispose(self, broken: bool) {
        let Conductor { host, errands, record, hub, parts, desks, hooks, observers, ledger, offered, .. } =
            self;
        let record = if broken {
            let _ = hub.report.set(record.broken(host.now()));
            if let Some(waiting) = hub.board.show(Step::Finished, Vec::new()) {
                errands.wake(&waiting);
            }
            hub.finished.set();
            errands.wake(&hub.finished);
            hub.at_rest.set();
            errands.wake(&hub.at_rest);
            None
        } else {
            Some(record)
        };
        errands.run("dispose", move |_| {
            drop((ledger.empty(), offered, parts, desks, hooks, observers, record, hub));
        });
    }

    // ---- the insides

    /// Calls a notifier in its own place.
    fn notify(
        &self,
        at: usize,
        call: Call,
        cancel: Shared,
        work: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        let desk = &self.desks[at];
        self.drive(&desk.name, desk.place.clone(), call, cancel, work);
    }

    fn drive(
        &self,
        name: &str,
        place: Arc<Place>,
        call: Call,
        cancel: Shared,
        work: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        let (tell, step_over) = (self.tell(call), self.step_over.clone());
        self.errands.run(name, move |seat| {
            let cancel = if seat == Seat::Own { cancel } else { step_over };
            place.drive(Box::pin(work), cancel, tell);
        });
    }

    fn tell(&self, call: Call) -> impl FnOnce(Outcome) + Send + use<> {
        let mailbox = self.mailbox.clone();
        // An error means that nobody waits any more.
        move |outcome| drop(mailbox.send(Event::Called(call, outcome)))
    }

    fn timeline(&self) -> Timeline {
        *self.machine.timeline().expect("the machine acts only once the shutdown has begun")
    }

    /// The end of the present step, live.
    fn step_deadline(&mut self) -> Deadline {
        let timeline = self.timeline();
        let deadline =
            Deadline::new(&self.host, timeline.begun, self.machine.ends().unwrap_or(timeline.exit));
        self.step_ends.insert(deadline).clone()
    }

    fn step(&mut self, step: &'static str) {
        self.record.step(step, self.host.now(), &self.timeline());
        self.step_ends = None;
        let over = std::mem::take(&mut self.step_over);
        over.set();
        if self.errands.spared() > 0 {
            self.errands.wake(&over);
        }
    }

    fn notes(&self) -> impl Iterator<Item = Arc<crate::ledger::Notes>> + '_ {
        self.parts.iter().map(|part| part.notes.clone())
    }

    /// The report before the hooks are called and the notifiers told: what may still end well is no failure yet.
    fn report_so_far(&self) -> Report {
        let mut report = self.record.report(self.host.now(), &self.timeline(), &self.ledger, self.notes());
        for (notifier, desk) in report.notifiers.iter_mut().zip(&self.desks) {
            if !desk.takes_over && notifier.incomplete == Outcome::Late {
                notifier.incomplete = Outcome::Pending;
            }
            notifier.finished = Outcome::Pending;
        }
        for hook in &mut report.release {
            hook.outcome = Outcome::Pending;
        }
        report
    }
}
