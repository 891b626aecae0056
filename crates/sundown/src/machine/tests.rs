//! The machine alone, in virtual time.

use super::*;
use crate::{
    Order,
    phases::Phases,
    plan::{Ordered, Reserve},
};

/// A machine with a clock that only the test moves.
struct Rig {
    machine: Machine,
    start: Instant,
    now: Duration,
    log: Vec<Action>,
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

impl Rig {
    fn new(grace: Duration, components: &[(&str, &[&str])]) -> Self {
        Self::with(grace, Reserves::default(), components)
    }

    fn with(grace: Duration, reserves: Reserves, components: &[(&str, &[&str])]) -> Self {
        let owned = components.iter().map(|(name, after)| ((*name).to_owned(), Order::from(*after)));
        Self::of(grace, reserves, &owned.collect::<Vec<_>>())
    }

    fn of(grace: Duration, reserves: Reserves, components: &[Ordered]) -> Self {
        let mut machine = Machine::new(grace, reserves, 1);
        machine.freeze(Plan::new(components, &Phases::default()).unwrap());
        Rig { machine, start: Instant::now(), now: Duration::ZERO, log: Vec::new() }
    }

    fn at(&self) -> Instant {
        self.start + self.now
    }

    fn told(&mut self) -> Vec<Action> {
        let actions: Vec<_> = std::iter::from_fn(|| self.machine.poll_action()).collect();
        self.log.extend(&actions);
        actions
    }

    /// Moves the clock to the machine's next timeout.
    fn wait(&mut self) -> Duration {
        let at = self.machine.poll_timeout().expect("a shutdown under way always has a timeout");
        self.now = at.saturating_duration_since(self.start);
        self.machine.handle_timeout(at);
        self.now
    }

    fn signal(&mut self, signal: Signal) {
        self.machine.handle_signal(self.at(), signal);
    }

    fn begin(&mut self) {
        self.machine.handle_begin(self.at(), None);
    }
}

#[test]
fn the_transitions_are_those_that_are_documented() {
    let table: String = TRANSITIONS
        .iter()
        .map(|(from, cause, to)| {
            format!("{:<12} {:<9} {:?}\n", format!("{from:?}"), format!("{cause:?}"), to)
        })
        .collect();
    assert_eq!(table, include_str!("transitions.txt"), "\n{table}");
}

#[test]
fn no_state_can_be_left_in_two_ways_for_one_cause_and_none_goes_back() {
    for (n, (from, cause, to)) in TRANSITIONS.iter().enumerate() {
        assert!((*from as u8) < *to as u8);
        assert!(!TRANSITIONS[..n].iter().any(|(f, c, _)| (f, c) == (from, cause)));
    }
}

#[test]
fn with_nobody_answering_every_step_still_runs_in_its_time() {
    let mut rig = Rig::new(ms(10_000), &[("http", &[])]);
    rig.begin();
    assert_eq!(rig.told(), [Action::Announce, Action::Close(0)]);
    let steps: Vec<_> = std::iter::from_fn(|| {
        let at = rig.wait();
        rig.told().pop().map(|action| (at.as_millis(), action))
    })
    .take(7)
    .collect();
    assert_eq!(
        steps,
        [
            (6_500, Action::Claim),
            (6_750, Action::HandOver),
            (7_500, Action::Answer),
            (9_000, Action::Force),
            (9_187, Action::Release),
            (9_562, Action::Finish),
            (9_750, Action::Exit(None)),
        ]
    );
    assert!(rig.machine.is_gone());
}

#[test]
fn with_everybody_answering_at_once_it_takes_no_time_at_all() {
    let mut rig = Rig::new(ms(10_000), &[("http", &[]), ("jobs", &["http"])]);
    rig.signal(Signal::Term);
    let at = rig.at();
    while let Some(action) = rig.machine.poll_action() {
        rig.log.push(action);
        let machine = &mut rig.machine;
        let mut answer = |step| (0..2).for_each(|who| machine.handle_answer(at, step, who));
        match action {
            Action::Close(component) => machine.handle_drained(at, component),
            Action::Claim => answer(State::Claiming),
            Action::HandOver => answer(State::HandingOver),
            Action::Answer => answer(State::Answering),
            Action::Force => answer(State::Forcing),
            Action::Release => answer(State::Releasing),
            Action::Announce | Action::Tighten | Action::Cut(..) | Action::Finish | Action::Exit(_) => {}
        }
    }
    let closed = |n| rig.log.iter().position(|action| *action == Action::Close(n));
    assert!(closed(0) < closed(1));
    assert_eq!(rig.log.last(), Some(&Action::Finish));
    assert_eq!(rig.wait(), ms(750), "main has the release reserve to return");
}

#[test]
fn a_component_is_closed_when_those_before_it_have_ended_or_are_overdue() {
    let mut rig = Rig::new(ms(10_000), &[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("free", &[])]);
    rig.begin();
    assert_eq!(rig.told(), [Action::Announce, Action::Close(0), Action::Close(3)]);
    rig.now = ms(500);
    rig.machine.handle_drained(rig.at(), 0);
    assert_eq!(rig.told(), [Action::Close(1)]);
    // b never ends: c waits until two thirds of the 6.5 s of drain are over, and no longer.
    let at = rig.wait();
    assert!(ms(4_333) <= at && at <= ms(4_334), "{at:?}");
    assert_eq!(rig.told(), [Action::Close(2)]);
    rig.machine.handle_drained(rig.at(), 2);
    rig.machine.handle_drained(rig.at(), 3);
    assert_eq!(rig.told(), [], "b still drains: its time is up at the claim");
    rig.now = ms(5_000);
    rig.machine.handle_drained(rig.at(), 1);
    assert_eq!(rig.told(), [Action::Claim]);
}

#[test]
fn a_repeated_term_never_forces() {
    let mut rig = Rig::new(ms(10_000), &[("http", &[])]);
    for n in 0..5 {
        rig.now = ms(n * 300);
        rig.signal(Signal::Term);
    }
    assert_eq!(rig.told(), [Action::Announce, Action::Close(0)]);
}

#[test]
fn a_second_interrupt_hurries_and_a_third_exits() {
    let mut rig = Rig::new(ms(10_000), &[("http", &[])]);
    rig.signal(Signal::Int);
    rig.now = ms(50);
    rig.signal(Signal::Int);
    assert_eq!(rig.told(), [Action::Announce, Action::Close(0)], "one Ctrl-C delivered twice");
    rig.now = ms(300);
    rig.signal(Signal::Int);
    assert_eq!(rig.told(), [Action::Tighten, Action::Claim]);
    let end = rig.machine.timeline().unwrap().exit.duration_since(rig.start);
    assert!(end < ms(4_000), "a hurried shutdown does not take the grace: {end:?}");
    rig.now = ms(600);
    rig.signal(Signal::Quit);
    assert_eq!(rig.told(), [Action::Exit(Some(Signal::Quit))]);
    assert!(rig.machine.is_gone());
}

#[test]
fn after_a_beginning_of_another_kind_the_first_interrupt_hurries() {
    let mut rig = Rig::new(ms(10_000), &[("http", &[])]);
    rig.signal(Signal::Term);
    rig.signal(Signal::Int);
    assert!(rig.told().contains(&Action::Claim));
}

#[test]
fn a_table_says_what_a_signal_means() {
    let table = Escalation::none()
        .on(Signal::Term, [Urgency::Hurry])
        .on(Signal::Quit, [Urgency::Begin, Urgency::Exit])
        .on(Signal::Hup, []);
    let rig = || {
        let mut rig = Rig::new(ms(10_000), &[("http", &[])]);
        rig.machine = rig.machine.with_escalation(table.clone());
        rig
    };
    let mut hurries = rig();
    hurries.signal(Signal::Int);
    hurries.signal(Signal::Hup);
    assert_eq!(hurries.told(), [], "neither means anything");
    assert!(hurries.machine.is_running() && !hurries.machine.is_signalled());
    hurries.signal(Signal::Term);
    assert_eq!(hurries.told(), [Action::Announce, Action::Close(0), Action::Tighten, Action::Claim]);

    let mut exits = rig();
    exits.begin();
    exits.told();
    exits.signal(Signal::Quit);
    assert_eq!(
        exits.told(),
        [Action::Exit(Some(Signal::Quit))],
        "a beginning is a beginning, whoever asked for it"
    );
}

#[test]
fn a_signal_may_exit_before_anything_has_begun() {
    let mut rig = Rig::new(ms(10_000), &[("http", &[])]);
    rig.machine = rig.machine.with_escalation(Escalation::none().on(Signal::Usr1, [Urgency::Exit]));
    assert!(!rig.machine.would_begin(Signal::Usr1));
    rig.signal(Signal::Usr1);
    assert_eq!(rig.told(), [Action::Exit(Some(Signal::Usr1))]);
    assert!(rig.machine.is_gone());
}

#[test]
fn a_nearer_deadline_tightens_and_a_later_one_does_not() {
    let mut rig = Rig::new(ms(5_000), &[("http", &[])]);
    rig.machine.handle_begin(rig.at(), Some(ms(60_000)));
    let exit = |rig: &Rig| rig.machine.timeline().unwrap().exit.duration_since(rig.start).as_millis();
    assert_eq!(exit(&rig), 58_500);
    rig.told();
    rig.now = ms(1_000);
    rig.signal(Signal::Term);
    assert_eq!(rig.told(), [Action::Tighten]);
    assert_eq!(exit(&rig), 5_750);
    rig.machine.handle_begin(rig.at(), Some(ms(60_000)));
    assert_eq!((rig.told(), exit(&rig)), (vec![], 5_750));
}

#[test]
fn a_nearer_end_never_moves_a_moment_away() {
    for at in [0, 1_000, 3_000, 6_400] {
        for grace in [0, 100, 2_000, 3_500, 8_000, 8_999] {
            let mut rig = Rig::new(ms(10_000), &[("http", &[]), ("jobs", &["http"])]);
            rig.begin();
            let (before, first) = (*rig.machine.timeline().unwrap(), rig.machine.latest_finish(0));
            rig.now = ms(at);
            rig.machine.handle_begin(rig.at(), Some(ms(grace)));
            let after = rig.machine.timeline().unwrap();
            let moments = |t: &Timeline| [t.claim, t.answer, t.release, t.exit, t.kill];
            for (before, after) in moments(&before).into_iter().zip(moments(after)) {
                assert!(after <= before, "{grace} ms at {at} ms");
            }
            assert!(rig.machine.latest_finish(0) <= first);
        }
    }
}

#[test]
fn a_deadline_that_has_nearly_passed_still_runs_every_step() {
    let mut rig = Rig::new(ms(10_000), &[("http", &[])]);
    rig.begin();
    rig.told();
    rig.now = ms(2_000);
    rig.machine.handle_begin(rig.at(), Some(Duration::ZERO));
    let actions = rig.told();
    for step in
        [Action::Claim, Action::HandOver, Action::Answer, Action::Force, Action::Release, Action::Finish]
    {
        assert!(actions.contains(&step), "{step:?} is missing from {actions:?}");
    }
}

#[test]
fn answers_that_come_late_or_twice_change_nothing() {
    let mut rig = Rig::new(ms(10_000), &[("http", &[])]);
    rig.machine.handle_drained(rig.at(), 0);
    rig.machine.handle_answer(rig.at(), State::Claiming, 0);
    rig.machine.handle_hurry(rig.at());
    assert_eq!(rig.told(), []);
    rig.begin();
    rig.wait();
    rig.told();
    rig.machine.handle_drained(rig.at(), 0);
    rig.machine.handle_answer(rig.at(), State::Answering, 0);
    assert_eq!(rig.told(), []);
}

#[test]
fn reserves_of_zero_are_possible() {
    let mut reserves = Reserves::default();
    for reserve in [Reserve::HandOver, Reserve::Answer, Reserve::Release, Reserve::Margin] {
        reserves.set(reserve, Duration::ZERO);
    }
    let mut rig = Rig::with(ms(1_000), reserves.clone(), &[("http", &[])]);
    rig.begin();
    assert_eq!(rig.wait(), ms(1_000));
    assert!(rig.machine.is_gone());

    // With time to spare they cost nobody theirs.
    let mut early = Rig::with(ms(10_000), reserves, &[("http", &[])]);
    early.begin();
    early.now = ms(10);
    early.machine.handle_drained(early.at(), 0);
    assert_eq!(early.wait(), ms(260), "the claim is waited for");
    early.machine.handle_answer(early.at(), State::HandingOver, 0);
    early.machine.handle_answer(early.at(), State::Answering, 0);
    assert_eq!(early.wait(), ms(510), "so is force");
    early.machine.handle_answer(early.at(), State::Releasing, 0);
    assert_eq!(early.wait(), ms(760), "and main");
}

#[test]
fn after_a_standstill_those_who_were_asked_have_their_time_again() {
    let mut rig = Rig::new(ms(10_000), &[("a", &[])]);
    rig.begin();
    rig.machine.handle_hurry(rig.at());
    assert_eq!(rig.told().last(), Some(&Action::Claim));
    let wakes = rig.machine.poll_timeout().unwrap() + STALL;
    rig.machine.handle_timeout(wakes);
    assert!(rig.machine.is_at(State::Claiming), "the claim could not answer either");
    let again = rig.machine.poll_timeout().unwrap();
    assert_eq!(again, wakes + PATIENCE);
    rig.machine.handle_timeout(again + STALL);
    assert_eq!(rig.told(), [Action::HandOver], "once");
}

#[test]
fn a_standstill_moves_no_step_beyond_its_time() {
    let mut rig = Rig::new(ms(10_000), &[("a", &[])]);
    rig.begin();
    rig.machine.handle_hurry(rig.at());
    let timeline = *rig.machine.timeline().unwrap();
    for (now, state) in [
        (timeline.answer - ms(2), State::Claiming),
        (timeline.answer - ms(1), State::HandingOver),
        (timeline.answer, State::Answering),
        (timeline.release, State::Forcing),
        (timeline.exit, State::Gone),
    ] {
        rig.machine.handle_timeout(now);
        assert!(rig.machine.is_at(state), "{state:?}: {:?}", rig.machine);
    }
}

#[test]
fn nobody_waits_for_a_component_whose_allowance_is_over() {
    let within = |ms: Duration, overdue| Order::new().within(ms, overdue);
    let mut rig = Rig::of(
        ms(10_000),
        Reserves::default(),
        &[
            ("slow".into(), within(ms(1_000), Overdue::StopWaiting)),
            ("next".into(), within(ms(2_000), Overdue::Force).after(["slow"])),
            ("prompt".into(), within(ms(500), Overdue::Force)),
        ],
    );
    rig.begin();
    assert_eq!(rig.told(), [Action::Announce, Action::Close(0), Action::Close(2)]);
    rig.machine.handle_drained(rig.at(), 2);
    assert_eq!(rig.wait(), ms(1_000));
    assert_eq!(rig.told(), [Action::Cut(0, Overdue::StopWaiting), Action::Close(1)]);
    assert_eq!(rig.wait(), ms(3_000), "from its own turn");
    assert_eq!(rig.told(), [Action::Cut(1, Overdue::Force), Action::Claim], "none is left to wait for");
    rig.machine.handle_drained(rig.at(), 0);
    assert_eq!(rig.told(), [], "what comes late changes nothing");
}

#[test]
fn an_allowance_adds_no_time() {
    let long = Order::new().within(Duration::MAX, Overdue::Force);
    let components = [("a".into(), long.clone()), ("b".into(), long.after(["a"]))];
    let mut rig = Rig::of(ms(10_000), Reserves::default(), &components);
    rig.begin();
    rig.told();
    assert_eq!(rig.wait(), ms(3_250));
    assert_eq!(rig.told(), [Action::Cut(0, Overdue::Force), Action::Close(1)]);
    assert_eq!(rig.wait(), ms(6_500));
    assert_eq!(rig.told(), [Action::Claim], "the last one's time is over with everybody's");
}

#[test]
fn a_component_that_stops_the_rest_hurries() {
    let stops = Order::new().within(ms(1_000), Overdue::StopTheRest);
    let components =
        [("vital".into(), stops), ("a".into(), Order::new()), ("b".into(), Order::from(["vital"]))];
    let mut rig = Rig::of(ms(10_000), Reserves::default(), &components);
    rig.begin();
    rig.told();
    assert_eq!(rig.wait(), ms(1_000));
    assert_eq!(rig.told(), [Action::Cut(0, Overdue::StopTheRest), Action::Tighten, Action::Claim]);
    let end = rig.machine.timeline().unwrap().exit.duration_since(rig.start);
    assert!(end < ms(5_000), "{end:?}");
}

#[test]
fn a_component_that_drains_in_its_allowance_is_not_cut() {
    let stops = Order::new().within(ms(1_000), Overdue::StopTheRest);
    let components = [("vital".into(), stops), ("a".into(), Order::new())];
    let mut rig = Rig::of(ms(10_000), Reserves::default(), &components);
    rig.begin();
    rig.told();
    rig.now = ms(999);
    rig.machine.handle_drained(rig.at(), 0);
    assert_eq!((rig.wait(), rig.told()), (ms(6_500), vec![Action::Claim]));
}

#[test]
fn a_nearer_end_cuts_at_once_whom_it_leaves_no_time() {
    let forced = Order::new().within(ms(3_000), Overdue::Force);
    let components = [("a".into(), forced), ("b".into(), Order::from(["a"]))];
    let mut rig = Rig::of(ms(10_000), Reserves::default(), &components);
    rig.begin();
    rig.told();
    rig.now = ms(2_000);
    rig.machine.handle_begin(rig.at(), Some(ms(3_000)));
    assert_eq!(rig.told(), [Action::Tighten, Action::Cut(0, Overdue::Force), Action::Close(1)]);
}

#[test]
fn after_a_standstill_who_was_not_heard_is_not_cut() {
    let stops = || Order::new().within(ms(1_000), Overdue::StopTheRest);
    let components = [("a".into(), stops()), ("b".into(), Order::new())];
    let mut rig = Rig::of(ms(10_000), Reserves::default(), &components);
    rig.begin();
    rig.told();
    rig.now = ms(1_200);
    rig.machine.handle_timeout(rig.at());
    assert_eq!((rig.told(), rig.machine.poll_timeout()), (vec![], Some(rig.at() + STALL)));
    let mut again = Rig::of(ms(10_000), Reserves::default(), &components);
    again.begin();
    again.now = ms(1_200);
    again.machine.handle_timeout(again.at());
    again.told();
    again.wait();
    assert_eq!(again.told(), [Action::Cut(0, Overdue::StopTheRest), Action::Tighten, Action::Claim]);

    rig.machine.handle_drained(rig.at(), 0);
    assert_eq!((rig.wait(), rig.told()), (ms(6_500), vec![Action::Claim]), "it had drained");
}

#[test]
fn a_standstill_adds_no_time_to_the_latest_finish() {
    let forced = Order::new().within(ms(1_000), Overdue::Force);
    let components = [("a".into(), forced), ("b".into(), Order::from(["a"]))];
    let mut rig = Rig::of(ms(10_000), Reserves::default(), &components);
    rig.begin();
    rig.told();
    for now in [ms(3_240), ms(3_250)] {
        assert_eq!(rig.told(), []);
        rig.now = now;
        rig.machine.handle_timeout(rig.at());
    }
    assert_eq!(rig.told(), [Action::Cut(0, Overdue::Force), Action::Close(1)]);
}
