//! Acts: one thread, started with the shutdown, asleep until something happens, armed until the process is gone.
//!
//! It owns the [`Machine`] and does what that decides ([`act`]); what came of it is noted in the [`record`]. Nothing
//! foreign runs here: calls into components, notifiers, hooks and wakers are [errands](crate::errand), and so is every
//! drop of something that a user made. What comes back is plain data.

mod act;
mod observe;
mod record;

use std::{
    sync::{Arc, OnceLock, mpsc::Sender},
    time::{Duration, Instant},
};

pub use self::observe::Observed;
pub(crate) use self::observe::{Observer, Observers, observer};
use self::record::Record;
use crate::{
    Deadline, Grace, InFlight, Reason, Signal,
    errand::{Errands, Place},
    host::{Awaited as _, DynHost, Inbox},
    jobs::IncompleteJob,
    latch::Shared,
    ledger::{Ledger, Notes},
    machine::{Machine, State, Turn},
    notifier::DynNotifier,
    plan::Timeline,
    progress::{Line, Step},
    report::{ComponentReport, ExitCodes, Outcome},
    shutdown::{Component, Hook, Hub},
    signals::Ownership,
};

/// What wakes the conductor.
pub(crate) enum Event {
    Begin {
        now: Instant,
        reason: Reason,
        grace: Option<Duration>,
    },
    Hurry(Instant),
    /// The shutdown is inside another, whose moments or steps have changed.
    Inside(Instant),
    Signal(Instant, Signal),
    InFlight(usize, Outcome, Option<InFlight>),
    Called(Call, Outcome),
    /// What observes a signal has ended.
    Observed(Signal, Outcome),
}

/// A call into somebody's code.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Closed(usize),
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
    host: DynHost,
    machine: Machine,
    hub: Arc<Hub>,
    errands: Errands,
    events: Inbox<Event>,
    mailbox: Sender<Event>,
    parts: Vec<Part>,
    desks: Vec<Desk>,
    hooks: Vec<Hook>,
    observers: Observers,
    ledger: Arc<Ledger>,
    /// What the notifiers were offered.
    offered: Vec<IncompleteJob>,
    /// The present step's end, for those who were given it.
    step_ends: Option<Deadline>,
    /// Set when the present step is over, for errands that keep others waiting.
    step_over: Shared,
    record: Record,
    shown: Shown,
    /// What was claimed is the parent's to hand over.
    waits_for_parent: bool,
    /// The user's own exit code, once it is known.
    exit_code: Arc<OnceLock<u8>>,
    /// Of the process, as long as this shutdown is to end it.
    ownership: Option<Ownership>,
    /// Unless a signal asks for its end, the process outlives the shutdown.
    keeps_process: bool,
}

/// What those who look on were last shown.
#[derive(Default, PartialEq)]
struct Shown {
    step: Option<Step>,
    turns: Vec<Turn>,
    timeline: Option<Timeline>,
    /// How many have said what they had in flight at the claim.
    looked: usize,
}

/// A component in the course of the shutdown.
struct Part {
    component: Component,
    /// Its latest finish, once its turn has come.
    deadline: Option<Deadline>,
    /// `close` has come back: a claim that follows at once must not overtake it.
    closed: Shared,
    /// Its name and age in flight are known, if they were asked for.
    looked: Shared,
    notes: Arc<Notes>,
}

/// What a conductor starts with.
pub(crate) struct Setup {
    pub(crate) machine: Machine,
    pub(crate) hub: Arc<Hub>,
    pub(crate) errands: Errands,
    pub(crate) events: Inbox<Event>,
    pub(crate) mailbox: Sender<Event>,
    pub(crate) desks: Vec<Desk>,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) observers: Observers,
    pub(crate) grace: Grace,
    pub(crate) exit_code: ExitCodes,
    pub(crate) ownership: Option<Ownership>,
    pub(crate) keeps_process: bool,
}

impl Conductor {
    pub(crate) fn new(setup: Setup) -> Self {
        let Setup { machine, hub, errands, events, mailbox, desks, hooks, observers, .. } = setup;
        let host = hub.host.clone();
        let record = Record::new(host.id(), setup.grace, setup.exit_code, &desks, &hooks);
        Conductor {
            machine,
            errands,
            events,
            mailbox,
            parts: Vec::new(),
            desks,
            hooks,
            observers,
            ledger: hub.ledger.clone(),
            hub,
            host,
            offered: Vec::new(),
            step_ends: None,
            step_over: Shared::default(),
            record,
            shown: Shown::default(),
            waits_for_parent: false,
            exit_code: Arc::default(),
            ownership: setup.ownership,
            keeps_process: setup.keeps_process,
        }
    }

    /// Returns when all is over; what is left is to be [disposed of](Self::dispose).
    pub(crate) fn run(&mut self) {
        loop {
            while let Some(action) = self.machine.poll_action() {
                self.act(action);
            }
            self.show();
            if self.machine.is_gone() {
                return;
            }
            match self.next_event() {
                Some(event) => self.hear(event),
                None => self.machine.handle_timeout(self.host.now()),
            }
        }
    }

    /// Shows those who look on what has changed, if anything has.
    fn show(&mut self) {
        let step = Step::of(self.machine.state());
        if self.shown.step == Some(step) && self.events.is_ready() {
            // A page costs as much as there are components: of what comes together, the last is shown.
            return;
        }
        let looked = |report: &&ComponentReport| has_looked(report);
        let looked = self.record.components.iter().filter(looked).count();
        let timeline = self.machine.timeline().copied();
        let same = self.shown.step == Some(step)
            && (self.shown.turns == self.machine.turns() && self.shown.timeline == timeline)
            && self.shown.looked == looked;
        // Before the beginning the board is right already.
        if same || step == Step::Running {
            return;
        }
        let turns = self.machine.turns().to_vec();
        let line = |((turn, part), report): ((&Turn, &Part), &ComponentReport)| Line {
            turn: *turn,
            deadline: part.deadline.clone(),
            stragglers: report.stragglers.clone().filter(|_| has_looked(report)),
        };
        let lines = turns.iter().zip(&self.parts).zip(&self.record.components).map(line).collect();
        if let Some(waiting) = self.hub.board.show(step, lines) {
            self.errands.wake(&waiting);
        }
        self.shown = Shown { step: Some(step), turns, timeline, looked };
    }

    /// The next event, or `None` when the machine's time has come: however many events wait, the time goes first.
    fn next_event(&mut self) -> Option<Event> {
        let until = self.machine.poll_timeout();
        if until.is_some_and(|at| at <= self.host.now()) {
            return None;
        }
        self.events.next(&*self.host, until)
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Begin { now, reason, grace } => {
                self.freeze(reason);
                self.machine.handle_begin(now, grace);
            }
            Event::Inside(now) => self.hear_parent(now),
            Event::Hurry(now) => self.cut_short(|machine| machine.handle_hurry(now)),
            Event::Signal(now, signal) => {
                self.observe(signal, now);
                if self.machine.would_begin(signal) {
                    self.freeze(Reason::Signal(signal));
                }
                self.cut_short(|machine| machine.handle_signal(now, signal));
            }
            Event::InFlight(at, outcome, in_flight) => {
                if !self.machine.is_past(State::Claiming) {
                    let report = &mut self.record.components[at];
                    report.in_flight = outcome;
                    report.stragglers = in_flight.or_else(|| Some(InFlight::unknown()));
                    self.hear_claimed(at);
                }
            }
            Event::Called(call, outcome) => self.hear_outcome(call, outcome),
            Event::Observed(signal, outcome) => self.hear_observed(signal, outcome),
        }
    }

    /// What a parent does ends the drain, or the wait for its hand-over.
    fn hear_parent(&mut self, now: Instant) {
        let hub = self.hub.clone();
        let Some(inside) = hub.inside.get() else { return };
        self.freeze(inside.reason());
        match inside.moments(now) {
            Some(moments) => self.machine.handle_inside(now, moments),
            // Who has not said whose child it is has its own last steps before the deadline.
            None => self.machine.handle_begin(now, Some(inside.deadline().remaining())),
        }
        if self.waits_for_parent && inside.is_settled() {
            self.machine.handle_answer(now, State::HandingOver, 0);
        }
        if inside.is_cut() {
            self.force_claimed();
        }
    }

    /// Notes it if this ends the drain.
    fn cut_short(&mut self, tell: impl FnOnce(&mut Machine)) {
        let drained = self.machine.is_at(State::Draining);
        tell(&mut self.machine);
        if drained && self.machine.is_at(State::Claiming) {
            self.note_hurry();
        }
    }

    fn note_hurry(&mut self) {
        if let Some(timeline) = self.machine.timeline() {
            self.record.step("hurried", self.host.now(), timeline);
        }
    }

    /// An answer in time is noted, and may be what the machine waits for. One that comes when its step is over is late,
    /// as the record says already.
    fn hear_outcome(&mut self, call: Call, outcome: Outcome) {
        let now = self.host.now();
        let step = match call {
            Call::Closed(at) => return self.hear_closed(now, at, outcome),
            Call::Drained(_) => State::Draining,
            Call::Claim(_) => State::Claiming,
            Call::Incomplete(at) if self.desks[at].takes_over => State::HandingOver,
            Call::Conclude(_) => State::Answering,
            Call::Force(_) => State::Forcing,
            Call::Release(_) | Call::Finished(_) => State::Releasing,
            Call::Draining(at) => {
                self.record.notifiers[at].draining = outcome;
                return;
            }
            Call::Incomplete(at) => {
                self.record.notifiers[at].incomplete = outcome;
                self.hear_told(at);
                return;
            }
        };
        if self.machine.is_past(step) {
            return;
        }
        match call {
            // What it says once it is claimed comes too late.
            Call::Drained(at) if self.is_claimed(at) => {}
            Call::Drained(at) => {
                self.record.components[at].drained = outcome;
                self.machine.handle_drained(now, at);
            }
            Call::Claim(at) => {
                let whole = matches!(outcome, Outcome::Done(_));
                self.record.components[at].claim = outcome;
                match self.machine.is_at(State::Draining) {
                    // It was cut.
                    true if whole => self.force_drop(at),
                    _ => self.hear_claimed(at),
                }
            }
            Call::Incomplete(at) => {
                self.record.notifiers[at].incomplete = outcome;
                self.machine.handle_answer(now, step, 0);
            }
            Call::Conclude(at) => {
                self.record.components[at].conclude = outcome;
                self.machine.handle_answer(now, step, at);
            }
            Call::Force(at) => {
                self.record.components[at].force = outcome;
                self.machine.handle_answer(now, step, at);
            }
            Call::Release(at) => {
                self.record.hooks[at].outcome = outcome;
                self.machine.handle_answer(now, step, at);
            }
            Call::Finished(at) => {
                self.record.notifiers[at].finished = outcome;
                self.hear_told(at);
            }
            Call::Closed(_) | Call::Draining(_) => {}
        }
    }

    /// A component that is closed drains, if its turn to do so has come.
    fn hear_closed(&mut self, now: Instant, at: usize, outcome: Outcome) {
        if !self.machine.is_at(State::Draining) && !self.machine.is_at(State::Claiming) {
            return;
        }
        let failed = outcome.is_failure();
        let report = &mut self.record.components[at];
        report.closed = outcome;
        if failed {
            report.drained = Outcome::NotCalled;
        }
        // In the claim it was closed without its turn, or too late for it.
        if self.machine.is_at(State::Draining) {
            if failed {
                self.machine.handle_drained(now, at);
            } else if !self.is_claimed(at) {
                self.drain(at);
            }
        }
    }

    /// Whether its jobs have been asked for, at the claim or before it.
    fn is_claimed(&self, at: usize) -> bool {
        self.record.components[at].claim != Outcome::NotCalled
    }

    /// A component has answered the claim when it has also said what it had in flight, if it was asked.
    fn hear_claimed(&mut self, at: usize) {
        let report = &self.record.components[at];
        if report.claim != Outcome::Late && report.in_flight != Outcome::Late {
            self.machine.handle_answer(self.host.now(), State::Claiming, at);
        }
    }

    /// A notifier has been told the end when it is also done with what it was told before: the hand-over waits for the
    /// one that takes over, and for no other.
    fn hear_told(&mut self, at: usize) {
        let report = &self.record.notifiers[at];
        let busy = !self.desks[at].takes_over && report.incomplete == Outcome::Late;
        if !busy && !matches!(report.finished, Outcome::NotCalled | Outcome::Late) {
            self.machine.handle_answer(self.host.now(), State::Releasing, self.record.hooks.len() + at);
        }
    }

    /// The first beginning: no component joins any more, and everyone's reason is this one.
    fn freeze(&mut self, reason: Reason) {
        if !self.machine.is_running() {
            return;
        }
        let (components, plan) = self.hub.roster.freeze();
        self.machine.freeze(plan);
        self.ledger.begin(&reason);
        self.record.begin(reason.clone(), &components);
        let part = |component| Part {
            component,
            deadline: None,
            closed: Shared::default(),
            looked: Shared::default(),
            notes: Arc::default(),
        };
        self.parts = components.into_iter().map(part).collect();
        let _ = self.hub.stages.reason.set(reason);
    }
}

/// Whether it has said what it had in flight at the claim, or that is over.
fn has_looked(report: &ComponentReport) -> bool {
    report.stragglers.is_some() && report.in_flight != Outcome::Late
}
