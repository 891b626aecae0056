//! Decides: what happens next at a shutdown, and until when it is waited for.
//!
//! Sans-io: no clock, lock, waker or log. Facts come in through `handle_*`, each with the time at which it became
//! known; decisions go out through `poll_action` and `poll_timeout`. It counts, it does not hold jobs. Invariants:
//!
//! 1. **Every transition is in [`TRANSITIONS`]**, and the states only go forward.
//! 2. **Every state but the first and the last has a timeout**, so that nothing anybody does or fails to do keeps a
//!    later step from its time.
//! 3. **The end only comes nearer.** Nothing here moves `kill` away.
//! 4. **A fact that comes late changes nothing**: who answers for a step that is over has missed it.

use std::{
    collections::VecDeque,
    fmt,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    Escalation, Overdue, Signal, Urgency,
    grace::LONGEST,
    order::Allowance,
    plan::{Plan, Reserves, Timeline},
};

/// Where a shutdown is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Running,
    Draining,
    Claiming,
    HandingOver,
    Answering,
    Forcing,
    Releasing,
    Leaving,
    Gone,
}

/// Why it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A signal, a request, or the owner's drop.
    Begun,
    /// Everyone that the step waited for has answered.
    Done,
    /// The step's time is over.
    Late,
    /// Somebody is in a hurry.
    Hurried,
    /// A signal that exits at once: a third interrupt.
    Insisted,
}

/// All that can happen.
pub(crate) const TRANSITIONS: &[(State, Cause, State)] = &[
    (State::Running, Cause::Begun, State::Draining),
    (State::Running, Cause::Insisted, State::Gone),
    (State::Draining, Cause::Done, State::Claiming),
    (State::Draining, Cause::Late, State::Claiming),
    (State::Draining, Cause::Hurried, State::Claiming),
    (State::Draining, Cause::Insisted, State::Gone),
    (State::Claiming, Cause::Done, State::HandingOver),
    (State::Claiming, Cause::Late, State::HandingOver),
    (State::Claiming, Cause::Insisted, State::Gone),
    (State::HandingOver, Cause::Done, State::Answering),
    (State::HandingOver, Cause::Late, State::Answering),
    (State::HandingOver, Cause::Insisted, State::Gone),
    (State::Answering, Cause::Done, State::Forcing),
    (State::Answering, Cause::Late, State::Forcing),
    (State::Answering, Cause::Insisted, State::Gone),
    (State::Forcing, Cause::Done, State::Releasing),
    (State::Forcing, Cause::Late, State::Releasing),
    (State::Forcing, Cause::Insisted, State::Gone),
    (State::Releasing, Cause::Done, State::Leaving),
    (State::Releasing, Cause::Late, State::Leaving),
    (State::Releasing, Cause::Insisted, State::Gone),
    (State::Leaving, Cause::Done, State::Gone),
    (State::Leaving, Cause::Late, State::Gone),
    (State::Leaving, Cause::Insisted, State::Gone),
];

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Tell everybody that the service is draining.
    Announce,
    /// The deadlines have moved nearer.
    Tighten,
    /// It is this component's turn: close it, and wait until it has drained.
    Close(usize),
    /// This component's allowance is over.
    Cut(usize, Overdue),
    /// Ask every component for its unfinished jobs.
    Claim,
    /// Offer the claimed jobs to the notifier. (If there are none, that is over at once.)
    HandOver,
    /// Tell every component what was taken over.
    Answer,
    /// Have every component drop what is left.
    Force,
    /// Run the release hooks.
    Release,
    /// Publish the report.
    Finish,
    /// End the process: because `main` has not, or because this signal exits at once.
    Exit(Option<Signal>),
}

/// Two deliveries of one signal within this time are one: a terminal and a parent may both send it.
const REPEAT: Duration = Duration::from_millis(200);

/// Components are asked side by side for what is in memory; who has not answered by then counts with what it said.
const PATIENCE: Duration = Duration::from_millis(250);

/// Who wakes up so much after its time was kept from running: so may those be that it asked (their platform throttles the
/// process, its machine was paused). They have their time again, once.
const STALL: Duration = Duration::from_millis(50);

/// `main` has at least this long to return, if there is time, even where nothing is reserved for it.
const LEAVE_WAIT: Duration = Duration::from_millis(250);

/// How far a component's drain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Turn {
    /// Its turn has not come: the shutdown has not begun, or others come first.
    Waiting,
    /// It drains.
    Draining,
    /// It still drains, but those after it wait no longer.
    Overdue,
    /// Its allowance is over: nobody waits for it.
    Cut,
    /// It has nothing in flight any more, or could not be asked.
    Ended,
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Turn::Waiting => "waiting",
            Turn::Draining => "draining",
            Turn::Overdue => "overdue",
            Turn::Cut => "cut",
            Turn::Ended => "ended",
        })
    }
}

#[derive(Debug)]
pub(crate) struct Machine {
    state: State,
    grace: Duration,
    reserves: Reserves,
    plan: Plan,
    timeline: Option<Timeline>,
    turns: Vec<Turn>,
    /// When each component's turn came, if it has.
    turn_came: Vec<Option<Instant>>,
    /// Those that the present step still waits for.
    awaited: Vec<usize>,
    /// When the present step ends, if not with its part of the timeline.
    step_ends: Option<Instant>,
    /// How long those that it asks have once more, if all stood still; nothing, if they have had it.
    patience: Option<Duration>,
    release_parties: usize,
    escalation: Escalation,
    /// It is inside another shutdown, which gives it its time.
    inside: bool,
    /// A signal has asked for the end of the process.
    signalled: bool,
    /// A signal has hurried.
    interrupted: bool,
    last_signals: [Option<Instant>; Signal::ALL.len()],
    actions: VecDeque<Action>,
}

impl Machine {
    pub(crate) fn new(grace: Duration, reserves: Reserves, release_parties: usize) -> Self {
        Machine {
            state: State::Running,
            grace,
            reserves,
            plan: Plan::default(),
            timeline: None,
            turns: Vec::new(),
            turn_came: Vec::new(),
            awaited: Vec::new(),
            step_ends: None,
            patience: None,
            release_parties,
            escalation: Escalation::default(),
            inside: false,
            signalled: false,
            interrupted: false,
            last_signals: [None; Signal::ALL.len()],
            actions: VecDeque::new(),
        }
    }

    /// With another table than the default.
    pub(crate) fn with_escalation(mut self, escalation: Escalation) -> Self {
        self.escalation = escalation;
        self
    }

    pub(crate) fn is_running(&self) -> bool {
        self.state == State::Running
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    /// Whether this signal would begin the shutdown.
    pub(crate) fn would_begin(&self, signal: Signal) -> bool {
        let next = self.escalation.next(signal, false, false);
        self.is_running() && matches!(next, Some(Urgency::Begin | Urgency::Hurry))
    }

    /// Whether a signal has asked for the end of the process.
    pub(crate) fn is_signalled(&self) -> bool {
        self.signalled
    }

    pub(crate) fn is_at(&self, state: State) -> bool {
        self.state == state
    }

    /// Whether that step is over.
    pub(crate) fn is_past(&self, step: State) -> bool {
        self.state > step
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// How far each component has come; none before the beginning.
    pub(crate) fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// The components, final from now on. Before the shutdown begins.
    pub(crate) fn freeze(&mut self, plan: Plan) {
        debug_assert!(self.is_running());
        self.turns = vec![Turn::Waiting; plan.len()];
        self.turn_came = vec![None; plan.len()];
        self.plan = plan;
    }

    /// The moments of the shutdown, once it has begun.
    pub(crate) fn timeline(&self) -> Option<&Timeline> {
        self.timeline.as_ref()
    }

    /// When the component's time is over, as far as that is known.
    pub(crate) fn latest_finish(&self, component: usize) -> Option<Instant> {
        let timeline = self.timeline.as_ref()?;
        Some(match self.turn_came[component] {
            Some(turn) => self.plan.finish(component, turn, timeline),
            None => self.plan.latest_finish(component, timeline),
        })
    }

    // ---- what comes in

    /// A shutdown is wanted within so much time, or the usual grace.
    pub(crate) fn handle_begin(&mut self, now: Instant, grace: Option<Duration>) {
        if self.inside && grace.is_none() {
            // The usual grace is that of one which stands alone.
            return;
        }
        let kill = now + grace.unwrap_or(self.grace).min(LONGEST);
        if self.is_running() {
            let tail = self.reserves.resolve(kill - now);
            self.timeline = Some(Timeline::new(now, kill, tail));
            self.go_on(now, Cause::Begun);
        } else {
            self.tighten(now, kill);
        }
    }

    /// It is inside another shutdown, which gives it these moments.
    pub(crate) fn handle_inside(&mut self, now: Instant, moments: Timeline) {
        self.inside = true;
        match self.timeline {
            None => {
                self.timeline = Some(moments);
                self.go_on(now, Cause::Begun);
            }
            Some(before) => {
                let timeline = before.tightened(moments);
                self.timeline = Some(timeline);
                if timeline != before {
                    self.actions.push_back(Action::Tighten);
                    self.handle_timeout(now);
                }
            }
        }
    }

    /// A signal has arrived.
    pub(crate) fn handle_signal(&mut self, now: Instant, signal: Signal) {
        if !self.escalation.asks(signal) {
            return;
        }
        let last = &mut self.last_signals[signal as usize];
        if last.is_some_and(|last| now.saturating_duration_since(last) < REPEAT) {
            return;
        }
        *last = Some(now);
        self.signalled = true;
        match self.escalation.next(signal, !self.is_running(), self.interrupted) {
            Some(Urgency::Exit) => {
                self.go_on(now, Cause::Insisted);
                self.actions = [Action::Exit(Some(signal))].into();
            }
            Some(Urgency::Hurry) => {
                self.handle_begin(now, None);
                self.interrupted = true;
                self.handle_hurry(now);
            }
            // Who asks for nothing more says once again that the process is to end.
            Some(Urgency::Begin) | None => self.handle_begin(now, None),
        }
    }

    /// The drain is not worth waiting for.
    pub(crate) fn handle_hurry(&mut self, now: Instant) {
        let Some(timeline) = self.timeline else { return };
        if self.state == State::Draining {
            if self.inside {
                // What comes after its drain waits for the other's steps.
                self.timeline = Some(Timeline { claim: timeline.claim.min(now), ..timeline });
                self.actions.push_back(Action::Tighten);
                return self.go_on(now, Cause::Hurried);
            }
            let tail = self.reserves.resolve(timeline.kill.saturating_duration_since(now));
            let kill = timeline.kill.min(now + tail.length());
            self.timeline = Some(timeline.tightened(Timeline::new(now, kill, tail)));
            self.actions.push_back(Action::Tighten);
            self.go_on(now, Cause::Hurried);
        }
    }

    /// The component has nothing in flight any more, or its drain has panicked.
    pub(crate) fn handle_drained(&mut self, now: Instant, component: usize) {
        if self.state == State::Draining && self.turns[component] != Turn::Cut {
            self.turns[component] = Turn::Ended;
            self.take_turns(now);
        }
    }

    /// One of those that the step waits for has answered.
    pub(crate) fn handle_answer(&mut self, now: Instant, step: State, who: usize) {
        if self.state == step {
            self.awaited.retain(|awaited| *awaited != who);
            if self.awaited.is_empty() {
                self.go_on(now, Cause::Done);
            }
        }
    }

    /// The time that `poll_timeout` named has come.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while self.ends().is_some_and(|ends| ends <= now) {
            if self.stood_still(now) {
                break;
            }
            self.go_on(now, Cause::Late);
        }
        if self.state == State::Draining {
            self.take_turns(now);
        }
    }

    /// Nothing is left to guard: there is no process to end.
    pub(crate) fn handle_left(&mut self, now: Instant) {
        if self.state == State::Leaving {
            self.go_on(now, Cause::Done);
        }
    }

    // ---- what goes out

    /// What is to be done now; to be called until there is nothing.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When `handle_timeout` wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let draining = self.turns.iter().enumerate().filter(|(_, turn)| **turn == Turn::Draining);
        let overdue = draining.filter_map(|(at, _)| self.latest_finish(at)).min();
        match self.state {
            State::Draining => self.ends().into_iter().chain(overdue).min(),
            _ => self.ends(),
        }
    }

    // ---- the insides

    /// When the present step ends at the latest.
    pub(crate) fn ends(&self) -> Option<Instant> {
        let timeline = self.timeline.as_ref()?;
        let latest = match self.state {
            State::Running | State::Gone => return None,
            State::Draining => timeline.claim,
            State::Claiming | State::HandingOver => timeline.answer,
            State::Answering => timeline.release,
            // A quarter of the release reserve is kept for `main` to return in.
            State::Releasing => timeline.exit - timeline.tail.release / 4,
            State::Forcing | State::Leaving => timeline.exit,
        };
        Some(self.step_ends.map_or(latest, |ends| ends.min(latest)))
    }

    fn tighten(&mut self, now: Instant, kill: Instant) {
        let Some(timeline) = self.timeline else { return };
        if kill < timeline.kill {
            let tail = self.reserves.resolve(kill.saturating_duration_since(now));
            self.timeline = Some(timeline.tightened(Timeline::new(timeline.begun, kill, tail)));
            self.actions.push_back(Action::Tighten);
            self.handle_timeout(now);
        }
    }

    fn go_on(&mut self, now: Instant, cause: Cause) {
        let entry = TRANSITIONS.iter().find(|(from, why, _)| (*from, *why) == (self.state, cause));
        let Some((_, _, next)) = entry else { return };
        self.state = *next;
        self.step_ends = None;
        self.patience = None;
        self.awaited.clear();
        self.enter(now);
    }

    fn enter(&mut self, now: Instant) {
        if self.is_gone() {
            return self.actions.push_back(Action::Exit(None));
        }
        let timeline = self.timeline.expect("a shutdown that goes on has begun");
        let left = |until: Instant| until.saturating_duration_since(now);
        match self.state {
            State::Running | State::Gone => unreachable!("no transition leads back, and the last is seen to"),
            State::Draining => {
                self.actions.push_back(Action::Announce);
                self.take_turns(now);
            }
            State::Claiming => {
                self.wait(now, PATIENCE.min(left(timeline.answer) / 4));
                self.ask(now, Action::Claim, self.plan.len());
            }
            State::HandingOver => self.ask(now, Action::HandOver, 1),
            State::Answering => self.ask(now, Action::Answer, self.plan.len()),
            State::Forcing => {
                self.wait(now, PATIENCE.min(left(timeline.exit) / 4));
                self.ask(now, Action::Force, self.plan.len());
            }
            State::Releasing => self.ask(now, Action::Release, self.release_parties),
            State::Leaving => {
                self.wait(now, timeline.tail.release.max(LEAVE_WAIT));
                self.actions.push_back(Action::Finish);
            }
        }
    }

    /// The step has this long.
    fn wait(&mut self, now: Instant, patience: Duration) {
        self.step_ends = Some(now + patience);
        self.patience = Some(patience);
    }

    /// If so, the step has its time again; but no more than half of what is left, since those behind it need some too.
    fn stood_still(&mut self, now: Instant) -> bool {
        let Some(patience) = self.patience else { return false };
        if self.step_ends.is_none_or(|ends| now < ends + STALL) {
            return false;
        }
        (self.step_ends, self.patience) = (None, None);
        let Some(left) = self.ends().map(|latest| latest.saturating_duration_since(now)) else {
            return false;
        };
        self.step_ends = Some(now + patience.min(left / 2));
        !left.is_zero()
    }

    /// Begins a step that waits for so many.
    fn ask(&mut self, now: Instant, action: Action, parties: usize) {
        self.actions.push_back(action);
        self.awaited = (0..parties).collect();
        if parties == 0 {
            self.go_on(now, Cause::Done);
        }
    }

    /// Starts whoever waits for nobody any more; goes on when nobody is left to wait for.
    fn take_turns(&mut self, now: Instant) {
        if self.end_turns(now) {
            return self.handle_hurry(now);
        }
        for at in 0..self.turns.len() {
            let over = |other: &usize| matches!(self.turns[*other], Turn::Ended | Turn::Overdue | Turn::Cut);
            if self.turns[at] == Turn::Waiting && self.plan.after(at).iter().all(over) {
                self.turns[at] = Turn::Draining;
                self.turn_came[at] = Some(now);
                self.actions.push_back(Action::Close(at));
            }
        }
        if self.turns.iter().all(|turn| matches!(turn, Turn::Ended | Turn::Cut)) {
            self.go_on(now, Cause::Done);
        }
    }

    /// Waits no longer for those whose time is over; returns whether one of them stops the rest.
    fn end_turns(&mut self, now: Instant) -> bool {
        let mut stops = false;
        for at in 0..self.turns.len() {
            let over = self.latest_finish(at).filter(|latest| *latest <= now);
            let Some(over) = over.filter(|_| self.turns[at] == Turn::Draining) else { continue };
            match self.plan.allowance(at) {
                None => self.turns[at] = Turn::Overdue,
                Some(allowance) if self.has_more(now, at, over, allowance) => {}
                Some(Allowance { overdue, .. }) => {
                    self.turns[at] = Turn::Cut;
                    self.actions.push_back(Action::Cut(at, overdue));
                    stops |= overdue == Overdue::StopTheRest;
                }
            }
        }
        stops
    }

    /// After a standstill a component may have drained, and not have been heard: it has a moment more, if there is time.
    fn has_more(&mut self, now: Instant, at: usize, over: Instant, allowance: Allowance) -> bool {
        if now < over + STALL {
            return false;
        }
        self.turn_came[at] = (now + STALL).checked_sub(allowance.length);
        self.latest_finish(at).is_some_and(|latest| latest > now)
    }
}

#[cfg(test)]
mod tests;
