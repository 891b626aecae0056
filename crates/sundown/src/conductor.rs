//! Acts: one thread, started with the shutdown, asleep until something happens, armed until the process is gone.
//!
//! It owns the [`Machine`] and does what that decides. Nothing foreign runs here: calls into components, notifiers,
//! hooks and wakers are [errands](crate::errand), and so is every drop of something that a user made. What comes back
//! is plain data.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::{
    BoxFuture, Claims, Deadline, Grace, HandOver, InFlight, Notice, Reason, Receipt, Runtime, Signal,
    errand::{Errands, Place, drive, observe},
    jobs::IncompleteJob,
    latch::{Latch, Shared},
    ledger::{Ledger, Notes},
    machine::{Action, Machine, State},
    notifier::DynNotifier,
    report::{CallReport, ComponentReport, NotifierReport, Outcome, Report, StepReport},
    shutdown::{Component, Hook, Hub},
};

/// How long a claim waits for a close under way, which should return at once.
const CLOSE_PATIENCE: Duration = Duration::from_millis(50);

/// What wakes the conductor.
pub(crate) enum Event {
    Begin { now: Instant, reason: Reason, grace: Option<Duration> },
    Hurry(Instant),
    Signal(Instant, Signal),
    InFlight(usize, Outcome, Option<InFlight>),
    Called(Call, Outcome),
}

/// A call into somebody's code.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Drained(usize),
    Claim(usize),
    Conclude(usize),
    Force(usize),
    Draining(usize),
    Incomplete(usize),
    Finished(usize),
    Release(usize),
}

/// A notifier with its place. The first is the one that takes over, if there is one.
pub(crate) struct Desk {
    pub(crate) name: String,
    pub(crate) takes_over: bool,
    pub(crate) notifier: DynNotifier,
    pub(crate) place: Arc<Place>,
}

pub(crate) struct Conductor {
    pub(crate) machine: Machine,
    pub(crate) hub: Arc<Hub>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) errands: Errands,
    pub(crate) events: Receiver<Event>,
    pub(crate) mailbox: Sender<Event>,
    pub(crate) desks: Vec<Desk>,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) owns_process: bool,
    pub(crate) grace: Grace,
    pub(crate) cast: Cast,
}

/// What belongs to the shutdown once it has begun.
#[derive(Default)]
pub(crate) struct Cast {
    id: Uuid,
    begun: Option<Instant>,
    components: Vec<Component>,
    deadlines: Vec<Option<Deadline>>,
    /// Opened when `close` has come back: a claim that follows at once must not overtake it.
    closed: Vec<Shared>,
    notes: Vec<Arc<Notes>>,
    reports: Vec<ComponentReport>,
    notifiers: Vec<NotifierReport>,
    hooks: Vec<CallReport>,
    steps: Vec<StepReport>,
    warnings: Vec<String>,
    ledger: Arc<Ledger>,
    offered: Vec<IncompleteJob>,
    hand_over_ended: bool,
    step_ends: Option<Deadline>,
}

impl Conductor {
    pub(crate) fn run(mut self) {
        loop {
            while let Some(action) = self.machine.poll_action() {
                self.act(action);
            }
            if self.machine.is_gone() {
                break;
            }
            match self.next_event() {
                Some(event) => self.hear(event),
                None => self.machine.handle_timeout(Instant::now()),
            }
        }
        self.dispose();
    }

    /// The next event, or `None` when the machine's time has come.
    fn next_event(&self) -> Option<Event> {
        let Some(at) = self.machine.poll_timeout() else { return self.events.recv().ok() };
        match self.events.recv_timeout(at.saturating_duration_since(Instant::now())) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => unreachable!("the conductor holds a sender itself"),
        }
    }

    // ---- what comes in

    fn hear(&mut self, event: Event) {
        match event {
            Event::Begin { now, reason, grace } => {
                self.freeze(reason);
                self.machine.handle_begin(now, grace);
            }
            Event::Hurry(now) => self.machine.handle_hurry(now),
            Event::Signal(now, signal) => {
                self.freeze(Reason::Signal(signal));
                self.machine.handle_signal(now, signal);
            }
            Event::InFlight(at, outcome, in_flight) => {
                let report = &mut self.cast.reports[at];
                report.in_flight = outcome;
                report.stragglers = in_flight.or_else(|| Some(InFlight::unknown()));
                self.hear_claimed(at);
            }
            Event::Called(call, outcome) => self.hear_outcome(call, outcome),
        }
    }

    fn hear_outcome(&mut self, call: Call, outcome: Outcome) {
        let now = Instant::now();
        let (step, who) = match call {
            Call::Drained(at) => {
                self.cast.reports[at].drained = outcome;
                self.machine.handle_drained(now, at);
                return;
            }
            Call::Draining(at) => {
                self.cast.notifiers[at].draining = outcome;
                return;
            }
            Call::Incomplete(at) => {
                self.cast.notifiers[at].incomplete = outcome;
                if !self.desks[at].takes_over {
                    self.hear_told(at);
                    return;
                }
                self.cast.hand_over_ended = true;
                (State::HandingOver, 0)
            }
            Call::Claim(at) => {
                self.cast.reports[at].claim = outcome;
                self.hear_claimed(at);
                return;
            }
            Call::Conclude(at) => {
                self.cast.reports[at].conclude = outcome;
                (State::Answering, at)
            }
            Call::Force(at) => {
                self.cast.reports[at].force = outcome;
                (State::Forcing, at)
            }
            Call::Release(at) => {
                self.cast.hooks[at].outcome = outcome;
                (State::Releasing, at)
            }
            Call::Finished(at) => {
                self.cast.notifiers[at].finished = outcome;
                self.hear_told(at);
                return;
            }
        };
        self.machine.handle_answer(now, step, who);
    }

    /// A component has answered the claim when it has also said what it had in flight, if it was asked.
    fn hear_claimed(&mut self, at: usize) {
        let report = &self.cast.reports[at];
        if report.claim != Outcome::Late && report.in_flight != Outcome::Late {
            self.machine.handle_answer(Instant::now(), State::Claiming, at);
        }
    }

    /// A notifier has been told the end when it is also done with what it was told before: the hand-over waits for the
    /// one that takes over, and for no other.
    fn hear_told(&mut self, at: usize) {
        let report = &self.cast.notifiers[at];
        let busy = !self.desks[at].takes_over && report.incomplete == Outcome::Late;
        if !busy && !matches!(report.finished, Outcome::NotCalled | Outcome::Late) {
            self.machine.handle_answer(Instant::now(), State::Releasing, self.cast.hooks.len() + at);
        }
    }

    /// The first beginning: no component joins any more, and everyone's reason is this one.
    fn freeze(&mut self, reason: Reason) {
        if !self.machine.is_running() {
            return;
        }
        let (components, plan) = self.hub.roster.freeze();
        self.machine.freeze(plan);
        let cast = &mut self.cast;
        cast.id = Uuid::new_v4();
        cast.deadlines = components.iter().map(|_| None).collect();
        cast.closed = components.iter().map(|_| Shared::default()).collect();
        cast.notes = components.iter().map(|_| Arc::default()).collect();
        cast.reports = components.iter().map(|component| blank(&component.name)).collect();
        cast.components = components;
        cast.hooks = self
            .hooks
            .iter()
            .map(|hook| CallReport { name: hook.name.clone(), outcome: Outcome::NotCalled })
            .collect();
        cast.notifiers = self
            .desks
            .iter()
            .map(|desk| NotifierReport {
                name: desk.name.clone(),
                draining: Outcome::NotCalled,
                incomplete: Outcome::NotCalled,
                finished: Outcome::NotCalled,
            })
            .collect();
        let _ = self.hub.stages.reason.set(reason);
    }

    // ---- what goes out

    fn act(&mut self, action: Action) {
        match action {
            Action::Announce => self.announce(),
            Action::Tighten => self.tighten(),
            Action::Close(at) => self.close(at),
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
        let timeline = *self.timeline();
        self.cast.begun = Some(timeline.begun);
        self.step("announce");
        let deadline = |at| Deadline::new(self.runtime.clone(), timeline.begun, at);
        let stages = &self.hub.stages;
        let (claim, exit) = (deadline(timeline.claim), deadline(timeline.exit));
        let _ = stages.work_ends.set(claim.clone());
        let _ = stages.ends.set(exit);
        stages.draining.set();
        let hub = self.hub.clone();
        self.errands.run("announce", move || hub.stages.draining.wake());
        let notice = Notice { shutdown: self.cast.id, reason: self.reason(), deadline: claim };
        for at in 0..self.desks.len() {
            let (notifier, notice) = (self.desks[at].notifier.clone(), notice.clone());
            let call = async move { notifier.draining(&notice).await.map_err(describe) };
            self.cast.notifiers[at].draining = Outcome::Late;
            self.notify(at, Call::Draining(at), self.hub.claimed.clone(), call);
        }
        self.step("drain");
    }

    fn tighten(&mut self) {
        let timeline = *self.timeline();
        if let (Some(claim), Some(exit)) = (self.hub.stages.work_ends.get(), self.hub.stages.ends.get()) {
            claim.set(timeline.claim);
            exit.set(timeline.exit);
        }
        for at in 0..self.cast.components.len() {
            if let (Some(deadline), Some(latest)) = (&self.cast.deadlines[at], self.machine.latest_finish(at))
            {
                deadline.set(latest);
            }
        }
        if let Some(deadline) = &self.cast.step_ends {
            deadline.set(deadline.at().min(timeline.exit));
        }
    }

    fn close(&mut self, at: usize) {
        let latest = self.machine.latest_finish(at).unwrap_or(self.timeline().claim);
        let deadline = Deadline::new(self.runtime.clone(), self.timeline().begun, latest);
        self.cast.deadlines[at] = Some(deadline.clone());
        let (component, is_closed) =
            (self.cast.components[at].drainable.clone(), self.cast.closed[at].clone());
        let (runtime, cancel, tell) =
            (self.runtime.clone(), self.hub.claimed.clone(), self.tell(Call::Drained(at)));
        self.errands.run(&self.cast.components[at].name, move || {
            let (closed, _) = observe(|| {
                component.close(&deadline);
                Ok(())
            });
            is_closed.set();
            match (closed, runtime.private()) {
                (closed, _) if closed.is_failure() => tell(closed),
                (_, Err(error)) => tell(Outcome::Failed(format!("no place to run: {error}"))),
                (_, Ok(mut place)) => {
                    let drained = async move {
                        component.drained().await;
                        Ok(())
                    };
                    drive(&mut *place, Box::pin(drained), cancel, tell);
                }
            }
        });
    }

    fn claim(&mut self) {
        self.step("claim");
        // Nobody's turn comes any more: who has not been closed is closed with its claim.
        let ended = Deadline::new(self.runtime.clone(), self.timeline().begun, Instant::now());
        self.hub.stages.claimed.set();
        self.hub.claimed.set();
        let hub = self.hub.clone();
        self.errands.run("claimed", move || {
            hub.claimed.wake();
            hub.stages.claimed.wake();
        });
        // Half of what a claim may take.
        let patience = CLOSE_PATIENCE.min(self.timeline().tail.hand_over / 8);
        for at in 0..self.cast.components.len() {
            let name = self.cast.components[at].name.clone();
            if !matches!(self.cast.reports[at].drained, Outcome::Done(_)) {
                self.ask_in_flight(at);
            }
            let unclosed = self.cast.deadlines[at].is_none();
            let (component, ended) = (self.cast.components[at].drainable.clone(), ended.clone());
            let is_closed = self.cast.closed[at].clone();
            let claims = Claims::new(self.cast.ledger.clone(), name.as_str().into());
            self.call(&name, Call::Claim(at), move || {
                if unclosed {
                    component.close(&ended);
                } else {
                    is_closed.wait_until(Some(Instant::now() + patience));
                }
                component.claim(&claims);
            });
        }
    }

    fn ask_in_flight(&mut self, at: usize) {
        let report = &mut self.cast.reports[at];
        if report.drained == Outcome::NotCalled {
            report.drained = Outcome::Late;
        }
        report.in_flight = Outcome::Late;
        report.stragglers = Some(InFlight::unknown());
        let (component, mailbox) = (self.cast.components[at].drainable.clone(), self.mailbox.clone());
        self.errands.run(&report.name, move || {
            let (outcome, in_flight) = observe(|| Ok(component.in_flight()));
            let _ = mailbox.send(Event::InFlight(at, outcome, in_flight));
        });
    }

    fn hand_over(&mut self) {
        self.step("hand over");
        let taker = self.desks.iter().any(|desk| desk.takes_over);
        self.cast.offered = self.cast.ledger.taken();
        if self.cast.offered.is_empty() || !taker {
            if !self.cast.offered.is_empty() {
                self.cast.warnings.push("nobody was named to take over unfinished jobs".into());
            }
            self.cast.hand_over_ended = true;
            self.machine.handle_answer(Instant::now(), State::HandingOver, 0);
        }
        if self.cast.offered.is_empty() {
            return;
        }
        let ends = Deadline::new(self.runtime.clone(), self.timeline().begun, self.timeline().answer);
        self.cast.step_ends = Some(ends.clone());
        let ids = (Uuid::new_v4(), self.cast.id);
        for at in 0..self.desks.len() {
            let desk = &self.desks[at];
            let offer =
                HandOver::new(ids, self.reason(), ends.clone(), self.cast.offered.clone(), desk.takes_over);
            let notifier = desk.notifier.clone();
            let call = async move { notifier.incomplete(&offer).await.map_err(describe) };
            self.cast.notifiers[at].incomplete = Outcome::Late;
            self.notify(at, Call::Incomplete(at), self.hub.finished.clone(), call);
        }
    }

    fn answer(&mut self) {
        self.step("answer");
        self.cast.ledger.settle(&self.cast.offered, !self.cast.hand_over_ended);
        let ends = Deadline::new(self.runtime.clone(), self.timeline().begun, self.timeline().release);
        self.cast.step_ends = Some(ends.clone());
        for at in 0..self.cast.components.len() {
            let name = self.cast.components[at].name.clone();
            let receipt = Receipt::new(
                self.cast.ledger.clone(),
                name.as_str().into(),
                ends.clone(),
                self.cast.notes[at].clone(),
            );
            let component = self.cast.components[at].drainable.clone();
            let conclude = async move {
                component.conclude(&receipt).await;
                Ok(())
            };
            self.cast.reports[at].conclude = Outcome::Late;
            let (runtime, cancel, tell) =
                (self.runtime.clone(), self.hub.finished.clone(), self.tell(Call::Conclude(at)));
            self.errands.run(&name, move || match runtime.private() {
                Ok(mut place) => drive(&mut *place, Box::pin(conclude), cancel, tell),
                Err(error) => tell(Outcome::Failed(format!("no place to run: {error}"))),
            });
        }
    }

    fn force(&mut self) {
        self.step("force");
        for at in 0..self.cast.components.len() {
            let component = self.cast.components[at].drainable.clone();
            self.cast.reports[at].force = Outcome::Late;
            let name = self.cast.components[at].name.clone();
            self.call(&name, Call::Force(at), move || component.force());
        }
    }

    fn release(&mut self) {
        self.step("release");
        let so_far = Arc::new(self.report_so_far());
        for (at, hook) in std::mem::take(&mut self.hooks).into_iter().enumerate() {
            self.cast.hooks[at].outcome = Outcome::Late;
            let (runtime, cancel, tell) =
                (self.runtime.clone(), self.hub.finished.clone(), self.tell(Call::Release(at)));
            let name = hook.name;
            let run = async move {
                hook.run.await;
                Ok(())
            };
            self.errands.run(&name, move || match runtime.private() {
                Ok(mut place) => drive(&mut *place, Box::pin(run), cancel, tell),
                Err(error) => tell(Outcome::Failed(format!("no place to run: {error}"))),
            });
        }
        for at in 0..self.desks.len() {
            self.cast.notifiers[at].finished = Outcome::Late;
            let (notifier, report) = (self.desks[at].notifier.clone(), so_far.clone());
            let call = async move { notifier.finished(&report).await.map_err(describe) };
            self.notify(at, Call::Finished(at), self.hub.finished.clone(), call);
        }
    }

    fn finish(&mut self) {
        self.step("finish");
        let report = self.report();
        let _ = self.hub.report.set(report);
        self.hub.finished.set();
        let hub = self.hub.clone();
        self.errands.run("finished", move || hub.finished.wake());
        if !self.owns_process {
            // Nothing to guard: the owner goes on living.
            self.machine.handle_left(Instant::now());
        }
    }

    fn exit(&mut self, signal: Option<Signal>) {
        if self.owns_process {
            let status = match signal {
                Some(signal) => 128 + i32::from(signal.number()),
                None => self.hub.report.get().map_or(1, |report| i32::from(report.exit_status())),
            };
            // `_exit`: no destructors and no exit hooks, which may hang.
            signal_hook::low_level::exit(status);
        }
    }

    // ---- the insides

    /// Calls a component's plain method.
    fn call(&self, name: &str, call: Call, work: impl FnOnce() + Send + 'static) {
        let tell = self.tell(call);
        self.errands.run(name, move || {
            let (outcome, _) = observe(|| {
                work();
                Ok(())
            });
            tell(outcome);
        });
    }

    /// Calls a notifier in its own place.
    fn notify(
        &self,
        at: usize,
        call: Call,
        cancel: Arc<Latch>,
        work: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        let (place, tell): (_, _) = (self.desks[at].place.clone(), self.tell(call));
        let work: BoxFuture<'static, _> = Box::pin(work);
        self.errands.run(&self.desks[at].name, move || place.drive(work, cancel, tell));
    }

    fn tell(&self, call: Call) -> impl FnOnce(Outcome) + Send + use<> {
        let mailbox = self.mailbox.clone();
        move |outcome| drop(mailbox.send(Event::Called(call, outcome)))
    }

    fn timeline(&self) -> &crate::plan::Timeline {
        self.machine.timeline().expect("the machine acts only once the shutdown has begun")
    }

    fn reason(&self) -> Reason {
        self.hub.stages.reason.get().cloned().unwrap_or(Reason::Dropped)
    }

    fn step(&mut self, step: &'static str) {
        let at = self.cast.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        self.cast.steps.push(StepReport { step, at });
    }

    /// The report before the hooks are called and the notifiers told: what may still end well is no failure yet.
    fn report_so_far(&self) -> Report {
        let mut report = self.report();
        for (notifier, desk) in report.notifiers.iter_mut().zip(&self.desks) {
            if !desk.takes_over && notifier.incomplete == Outcome::Late {
                notifier.incomplete = Outcome::Pending;
            }
        }
        report
    }

    fn report(&self) -> Report {
        let timeline = self.timeline();
        let now = Instant::now();
        let mut components = self.cast.reports.clone();
        for (report, notes) in components.iter_mut().zip(&self.cast.notes) {
            report.notes = notes.read();
        }
        let mut jobs = self.cast.ledger.close();
        for component in components.iter().filter(|component| component.claim.is_failure()) {
            let listed = self.cast.ledger.of(&component.name).len();
            let total = component.stragglers.as_ref().and_then(InFlight::total).unwrap_or(0);
            jobs.unnamed_in_doubt += total.saturating_sub(listed) as u64;
        }
        Report {
            shutdown: self.cast.id,
            reason: self.reason(),
            grace: self.grace.clone(),
            took: now.saturating_duration_since(timeline.begun),
            unused: timeline.exit.saturating_duration_since(now),
            steps: self.cast.steps.clone(),
            components,
            jobs,
            notifiers: self.cast.notifiers.clone(),
            release: self.cast.hooks.clone(),
            warnings: self.cast.warnings.clone(),
        }
    }

    /// What users made is dropped where foreign code may run.
    fn dispose(self) {
        let Conductor { errands, cast, desks, hooks, runtime, .. } = self;
        errands.run("dispose", move || drop((cast, desks, hooks, runtime)));
    }
}

fn describe(error: crate::NotifyError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn blank(name: &str) -> ComponentReport {
    ComponentReport {
        name: name.to_owned(),
        drained: Outcome::NotCalled,
        stragglers: None,
        in_flight: Outcome::NotCalled,
        claim: Outcome::Late,
        conclude: Outcome::NotCalled,
        force: Outcome::NotCalled,
        notes: Vec::new(),
    }
}
