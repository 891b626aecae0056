//! What is drawn: a service, what it is doing, and what happens to it.

use std::time::Duration;

use sundown::{Overdue, Reserve, Signal};
use sundown_testkit::{Fault, Method};

/// One service, and one day in its life.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) grace: Duration,
    pub(crate) reserves: Vec<(Reserve, Duration)>,
    pub(crate) owns_process: bool,
    pub(crate) parts: Vec<Part>,
    pub(crate) taker: Option<Taker>,
    pub(crate) told: Vec<Vec<Mishap>>,
    pub(crate) hooks: Vec<Option<Fault>>,
    pub(crate) work: Vec<Work>,
    /// What ends it, the first of which begins; each at so long after the start.
    pub(crate) orders: Vec<(Duration, Order)>,
    pub(crate) main: Main,
    /// The runtime is blocked from then on.
    pub(crate) blocked: Option<Duration>,
    /// How late a thread of the shutdown's may start.
    pub(crate) late: Duration,
    /// From then on, only so many more threads can be had.
    pub(crate) threads: Option<(Duration, u64)>,
}

/// A component.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) kind: Kind,
    /// Places of those that it drains after.
    pub(crate) after: Vec<usize>,
    /// Its allowance.
    pub(crate) within: Option<(Duration, Overdue)>,
    pub(crate) mishaps: Vec<Mishap>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Gate,
    Jobs,
    /// A store that wraps a `Jobs`.
    Store,
}

/// A fault in a method, before its work or after it.
#[derive(Clone, Debug)]
pub(crate) struct Mishap {
    pub(crate) method: Method,
    pub(crate) fault: Fault,
    pub(crate) before: bool,
}

#[derive(Debug)]
pub(crate) struct Taker {
    pub(crate) first: usize,
    pub(crate) mishaps: Vec<Mishap>,
}

/// One unit of work in a component.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) part: usize,
    pub(crate) at: Duration,
    pub(crate) lasts: Duration,
    pub(crate) way: Way,
    /// On a thread of its own, or as a task of the runtime's.
    pub(crate) thread: bool,
    /// Permission is taken so long before.
    pub(crate) reserved: Option<Duration>,
}

/// How a unit of work ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Completes,
    Fails,
    /// Its effect takes so long.
    Commits(Duration),
    CommitsInVain(Duration),
    /// The commit is dropped: nobody can know.
    Forgets(Duration),
    Drops,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Signal(Signal),
    Begin,
    Within(Duration),
    Hurry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Main {
    /// Waits for the end and returns.
    Waits,
    /// Waits for something else.
    Hangs,
    /// Drops the owner.
    Drops,
}

impl Scenario {
    pub(crate) fn draw(seed: u64) -> Self {
        // Not the dice of the machine: those go on rolling.
        let dice = &mut Dice(fastrand::Rng::with_seed(!seed));
        let grace = dice.one_of(&[300, 1_000, 2_000, 4_000, 10_000, 10_000, 30_000, 600_000]);
        let calm = dice.in_a_hundred(25);
        let mut parts = (0..dice.0.usize(0..6)).map(|at| Part::draw(dice, at, calm)).collect::<Vec<_>>();
        // Dice of their own: who has none of it is what it was without.
        Dice(fastrand::Rng::with_seed(seed.rotate_left(32))).allowances(&mut parts, grace);
        let owns_process = dice.in_a_hundred(70);
        Scenario {
            grace: ms(grace),
            reserves: dice.reserves(grace),
            owns_process,
            taker: dice.in_a_hundred(75).then(|| Taker::draw(dice, calm)),
            told: (0..dice.0.usize(0..3)).map(|_| dice.mishaps(&Method::OF_NOTIFIERS, calm)).collect(),
            hooks: (0..dice.0.usize(0..3)).map(|_| dice.fault(calm)).collect(),
            work: dice.work(&parts, grace),
            orders: dice.orders(grace, owns_process),
            main: dice.one_of(&[Main::Waits, Main::Waits, Main::Waits, Main::Hangs, Main::Drops]),
            blocked: (!calm && dice.in_a_hundred(20)).then(|| ms(dice.0.u64(0..1_000))),
            late: if calm || dice.in_a_hundred(75) {
                Duration::ZERO
            } else {
                ms(dice.one_of(&[1, 40, 120, 400]))
            },
            threads: (!calm && dice.in_a_hundred(15)).then(|| (ms(dice.0.u64(0..1_000)), dice.0.u64(0..12))),
            parts,
        }
    }

    /// When main drops the owner, if it does: beside one of the orders.
    pub(crate) fn dropped(&self) -> Duration {
        self.orders[self.orders.len() / 2].0
    }

    /// Whether work of this component begins with a reservation.
    pub(crate) fn reserves_in(&self, component: &str) -> bool {
        self.work.iter().any(|work| work.reserved.is_some() && component == format!("part-{}", work.part))
    }

    /// Whether this job begins with a reservation.
    pub(crate) fn is_reserved(&self, job: &str) -> bool {
        let number = job.split('/').nth(1).and_then(|number| number.parse::<usize>().ok());
        number.is_some_and(|number| self.work[number].reserved.is_some())
    }

    /// Whether work of this component takes its time over a commit.
    pub(crate) fn commits_in(&self, component: &str) -> bool {
        self.work.iter().any(|work| {
            let commits = matches!(work.way, Way::Commits(_) | Way::CommitsInVain(_) | Way::Forgets(_));
            commits && component == format!("part-{}", work.part)
        })
    }

    /// Whether nothing is wrong with it.
    pub(crate) fn is_calm(&self) -> bool {
        let mishaps = self.parts.iter().map(|part| &part.mishaps).chain(&self.told);
        let mut mishaps = mishaps.chain(self.taker.iter().map(|taker| &taker.mishaps));
        mishaps.all(Vec::is_empty)
            && self.hooks.iter().all(Option::is_none)
            && self.has_threads()
            && self.late.is_zero()
    }

    pub(crate) fn has_threads(&self) -> bool {
        self.threads.is_none()
    }

    /// Whether every step has time: nobody shortens it, and nothing is shrunk to nothing.
    pub(crate) fn is_roomy(&self) -> bool {
        let within = |order: &(Duration, Order)| match order.1 {
            Order::Within(grace) => grace < ms(4_000),
            _ => false,
        };
        self.grace >= ms(4_000)
            && self.reserves.is_empty()
            && self.late.is_zero()
            && !self.orders.iter().any(within)
    }
}

impl Part {
    fn draw(dice: &mut Dice, at: usize, calm: bool) -> Self {
        let after = (0..at).filter(|_| dice.in_a_hundred(30)).collect();
        let kind = dice.one_of(&[Kind::Jobs, Kind::Store, Kind::Store, Kind::Gate]);
        Part { kind, after, within: None, mishaps: dice.mishaps(&Method::OF_COMPONENTS, calm) }
    }

    pub(crate) fn is_wrong(&self) -> bool {
        !self.mishaps.is_empty()
    }

    /// Whether a fault of this method may keep its work from being done, or its outcome from being told.
    pub(crate) fn is_wrong_in(&self, method: Method) -> bool {
        self.mishaps.iter().any(|mishap| mishap.method == method)
    }
}

impl Taker {
    fn draw(dice: &mut Dice, calm: bool) -> Self {
        let first = dice.one_of(&[usize::MAX, usize::MAX, 0, 1, 3]);
        Taker { first, mishaps: dice.mishaps(&Method::OF_NOTIFIERS, calm) }
    }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

struct Dice(fastrand::Rng);

impl Dice {
    fn in_a_hundred(&mut self, chance: u32) -> bool {
        self.0.u32(0..100) < chance
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.usize(0..choices.len())]
    }

    fn fault(&mut self, calm: bool) -> Option<Fault> {
        if calm || self.in_a_hundred(60) {
            return None;
        }
        let time = ms(self.one_of(&[1, 20, 60, 200, 300, 2_000, 20_000]));
        Some(match self.0.u32(0..6) {
            0 => Fault::Hangs,
            1 => Fault::Blocks,
            2 => Fault::Slow(time),
            3 => Fault::BlocksFor(time),
            4 => Fault::Fails("on purpose".into()),
            _ => Fault::Panics("on purpose".into()),
        })
    }

    /// At most one for each method.
    fn mishaps(&mut self, methods: &[Method], calm: bool) -> Vec<Mishap> {
        if self.in_a_hundred(50) {
            return Vec::new();
        }
        let mut mishaps = Vec::new();
        for &method in methods {
            let spared = calm || self.in_a_hundred(50);
            if let Some(fault) = self.fault(spared) {
                mishaps.push(Mishap { method, fault, before: self.in_a_hundred(70) });
            }
        }
        mishaps
    }

    /// In some services only.
    fn allowances(&mut self, parts: &mut [Part], grace: u64) {
        if self.in_a_hundred(60) {
            return;
        }
        for part in parts {
            let length = ms(self.one_of(&[1, 200, 1_000, grace / 4, grace]));
            let overdue =
                self.one_of(&[Overdue::StopWaiting, Overdue::Force, Overdue::Force, Overdue::StopTheRest]);
            part.within = self.in_a_hundred(60).then_some((length, overdue));
        }
    }

    fn reserves(&mut self, grace: u64) -> Vec<(Reserve, Duration)> {
        if self.in_a_hundred(80) {
            return Vec::new();
        }
        let reserve = self.one_of(&[Reserve::HandOver, Reserve::Answer, Reserve::Release, Reserve::Margin]);
        // Without a margin the platform may kill in the very moment of the end.
        vec![(reserve, ms(self.0.u64(1..grace)))]
    }

    fn work(&mut self, parts: &[Part], grace: u64) -> Vec<Work> {
        let mut work = Vec::new();
        for (part, _) in parts.iter().enumerate() {
            for _ in 0..self.0.usize(0..6) {
                let effect = ms(self.one_of(&[0, 1, 50, 1_000, grace]));
                let way = match self.0.u32(0..9) {
                    0..3 => Way::Completes,
                    3 => Way::Fails,
                    4 => Way::Commits(effect),
                    5 => Way::CommitsInVain(effect),
                    6 => Way::Forgets(effect),
                    7 => Way::Drops,
                    _ => Way::Never,
                };
                work.push(Work {
                    part,
                    at: ms(self.0.u64(0..1_500)),
                    lasts: ms(self.one_of(&[0, 1, 100, 1_000, grace / 2, grace])),
                    way,
                    thread: self.in_a_hundred(50),
                    reserved: self.in_a_hundred(20).then(|| ms(self.0.u64(0..500))),
                });
            }
        }
        work
    }

    fn orders(&mut self, grace: u64, owns_process: bool) -> Vec<(Duration, Order)> {
        let mut at = self.0.u64(0..1_000);
        let mut orders = Vec::new();
        for _ in 0..self.one_of(&[1, 1, 1, 2, 2, 3, 4, 5]) {
            let order = match self.0.u32(0..8) {
                0 => Order::Begin,
                1 => Order::Within(ms(self.one_of(&[0, 500, 4_000, grace / 2, grace * 2]))),
                2 if !orders.is_empty() => Order::Hurry,
                3..6 if owns_process => Order::Signal(self.one_of(&[Signal::Int, Signal::Quit])),
                _ if owns_process => Order::Signal(Signal::Term),
                _ => Order::Begin,
            };
            orders.push((ms(at), order));
            at += self.one_of(&[0, 50, 199, 200, 250, 1_000, grace / 2]);
        }
        orders
    }
}
