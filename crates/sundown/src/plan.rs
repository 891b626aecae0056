//! What the machine works from: the order of the components, and the time reserved for what comes last.
//!
//! Durations only, measured from the end; a [`Timeline`] is what they come to once a shutdown has begun.

use std::{
    cmp::Reverse,
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::{Grace, Order, order::Allowance, phases::Phases, report::Short};

/// A part of the tail, the end of the grace whose time is set aside before the drain gets the rest.
///
/// Where the defaults would take more than half of what the program's own reserves leave, they shrink in proportion:
/// with a grace of 1 s and no reserves of its own, half a second is drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reserve {
    /// For the notifier that takes over. Default: 10 % of the grace, 0.5 s to 5 s.
    HandOver,
    /// For answering clients, lingering close included. Default: 15 % of the grace, 0.75 s to 3 s.
    Answer,
    /// For release hooks, and for `main` to return. Default: 7.5 % of the grace, 0.25 s to 5 s.
    Release,
    /// Between our leaving and the platform's kill. Default: 2.5 % of the grace, at least 0.25 s.
    Margin,
}

impl Reserve {
    const ALL: [Reserve; 4] = [Reserve::HandOver, Reserve::Answer, Reserve::Release, Reserve::Margin];

    fn default_of(self, grace: Duration) -> Duration {
        let (per_mille, least, most) = match self {
            Reserve::HandOver => (100, 500, 5_000),
            Reserve::Answer => (150, 750, 3_000),
            Reserve::Release => (75, 250, 5_000),
            Reserve::Margin => (25, 250, u64::MAX),
        };
        share(grace, per_mille, 1000).clamp(Duration::from_millis(least), Duration::from_millis(most))
    }
}

/// What the user reserved; the rest are defaults.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reserves {
    set: [Option<Duration>; 4],
}

impl Reserves {
    pub(crate) fn set(&mut self, reserve: Reserve, length: Duration) {
        self.set[reserve as usize] = Some(length);
    }

    fn fixed(&self) -> Duration {
        self.set.iter().flatten().fold(Duration::ZERO, |sum, length| sum.saturating_add(*length))
    }

    /// Whether what the user reserved fits into the grace.
    pub(crate) fn check(&self, grace: &Grace) -> Result<(), PlanError> {
        let all_set = self.set.iter().all(Option::is_some);
        if self.fixed() < grace.planned() || (all_set && self.fixed() == grace.planned()) {
            return Ok(());
        }
        let names =
            Reserve::ALL.iter().zip(&self.set).filter_map(|(reserve, set)| set.map(|set| (reserve, set)));
        let list: Vec<_> = names.map(|(reserve, set)| format!("{} {}", reserve.word(), Short(set))).collect();
        Err(PlanError::Reserves { reserved: self.fixed(), list: list.join(", "), grace: grace.clone() })
    }

    /// The tail for so much time. Defaults that would take more than half of what the user's own leave shrink in
    /// proportion, so that there is time to drain even in a small grace. When a nearer deadline leaves the user's own no
    /// room, all shrink together.
    pub(crate) fn resolve(&self, available: Duration) -> Tail {
        let fixed = self.fixed();
        let defaults = || Reserve::ALL.into_iter().filter(|reserve| self.set[*reserve as usize].is_none());
        let wanted: Duration = defaults().map(|reserve| reserve.default_of(available)).sum();
        let free = available.saturating_sub(fixed) / 2;
        let cramped = fixed > available / 4 * 3 && fixed.saturating_add(wanted) > available;
        let of = |reserve: Reserve| {
            let set = self.set[reserve as usize];
            let length = set.unwrap_or_else(|| reserve.default_of(available));
            match set {
                _ if cramped => scale(length, available, fixed.saturating_add(wanted)),
                None if wanted > free => scale(length, free, wanted),
                _ => length,
            }
        };
        Tail {
            hand_over: of(Reserve::HandOver),
            answer: of(Reserve::Answer),
            release: of(Reserve::Release),
            margin: of(Reserve::Margin),
        }
    }
}

impl Reserve {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Reserve::HandOver => "hand over",
            Reserve::Answer => "answer",
            Reserve::Release => "release",
            Reserve::Margin => "margin",
        }
    }
}

/// The reserved end of the grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) hand_over: Duration,
    pub(crate) answer: Duration,
    pub(crate) release: Duration,
    pub(crate) margin: Duration,
}

impl Tail {
    pub(crate) fn length(&self) -> Duration {
        self.hand_over + self.answer + self.release + self.margin
    }
}

/// The moments of one shutdown: when each step begins at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeline {
    pub(crate) begun: Instant,
    pub(crate) claim: Instant,
    pub(crate) answer: Instant,
    pub(crate) release: Instant,
    pub(crate) exit: Instant,
    /// When the platform kills.
    pub(crate) kill: Instant,
    pub(crate) tail: Tail,
}

impl Timeline {
    /// `tail` is measured from `kill`; what does not fit before `begun` is cut.
    pub(crate) fn new(begun: Instant, kill: Instant, tail: Tail) -> Self {
        let before = |at: Instant, length: Duration| at.checked_sub(length).map_or(begun, |at| at.max(begun));
        let exit = before(kill, tail.margin);
        let release = before(exit, tail.release);
        let answer = before(release, tail.answer);
        let claim = before(answer, tail.hand_over);
        Timeline { begun, claim, answer, release, exit, kill, tail }
    }

    /// The nearer of the two, moment by moment: for a nearer end the reserves are smaller too, and would let the claim
    /// come later.
    pub(crate) fn tightened(&self, by: Timeline) -> Self {
        Timeline {
            begun: self.begun,
            claim: self.claim.min(by.claim),
            answer: self.answer.min(by.answer),
            release: self.release.min(by.release),
            exit: self.exit.min(by.exit),
            kill: self.kill.min(by.kill),
            tail: by.tail,
        }
    }
}

/// The components in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    nodes: Vec<Node>,
    /// Components on the longest path.
    depth: u32,
}

#[derive(Clone, Debug)]
struct Node {
    after: Vec<usize>,
    /// Components on the longest path of those that wait for this one.
    behind: u32,
    allowance: Option<Allowance>,
}

/// A component's name, and where it stands.
pub(crate) type Ordered = (String, Order);

impl Plan {
    pub(crate) fn new(components: &[Ordered], phases: &Phases) -> Result<Self, PlanError> {
        let mut places = HashMap::new();
        for (at, (name, order)) in components.iter().enumerate() {
            if name.is_empty() {
                return Err(PlanError::NoName);
            }
            if places.insert(name.as_str(), at).is_some() {
                return Err(PlanError::TwoOfOneName { name: name.clone() });
            }
            if order.allowance.is_some_and(|allowance| allowance.length.is_zero()) {
                return Err(PlanError::NoAllowance { name: name.clone() });
            }
        }
        let members = phases.members(components)?;
        let mut nodes = Vec::with_capacity(components.len());
        for (name, order) in components {
            let find = |other: &String| {
                let unknown = || PlanError::Unknown { name: name.clone(), after: other.clone() };
                places.get(other.as_str()).copied().ok_or_else(unknown)
            };
            let mut after = order.after.iter().map(find).collect::<Result<Vec<_>, _>>()?;
            after.extend(members.before(order));
            nodes.push(Node { after, behind: 0, allowance: order.allowance });
        }
        let mut plan = Plan { nodes, depth: 0 };
        plan.measure().map_err(|cycle| {
            let names: Vec<_> = cycle.into_iter().map(|at| in_words(&components[at])).collect();
            PlanError::Cycle { path: names.join(" after ") }
        })?;
        Ok(plan)
    }

    /// Sets `behind` and `depth`; the longest path of n nodes settles within n rounds, or there is a cycle.
    fn measure(&mut self) -> Result<(), Vec<usize>> {
        for _ in 0..=self.nodes.len() {
            let mut settled = true;
            for at in 0..self.nodes.len() {
                let least = self.nodes[at].behind + 1;
                for before in self.nodes[at].after.clone() {
                    if self.nodes[before].behind < least {
                        self.nodes[before].behind = least;
                        settled = false;
                    }
                }
            }
            if settled {
                self.depth = self.nodes.iter().map(|node| node.behind + 1).max().unwrap_or(0);
                return Ok(());
            }
        }
        Err(self.find_cycle())
    }

    /// Walks back from every node until one comes again. Only called when a cycle exists.
    fn find_cycle(&self) -> Vec<usize> {
        fn walk(nodes: &[Node], path: &mut Vec<usize>, done: &mut [bool]) -> bool {
            let at = *path.last().expect("a path starts somewhere");
            for &next in &nodes[at].after {
                if let Some(start) = path.iter().position(|seen| *seen == next) {
                    path.drain(..start);
                    path.push(next);
                    return true;
                }
                if !done[next] {
                    path.push(next);
                    if walk(nodes, path, done) {
                        return true;
                    }
                    path.pop();
                }
            }
            done[at] = true;
            false
        }
        let mut done = vec![false; self.nodes.len()];
        for start in 0..self.nodes.len() {
            let mut path = vec![start];
            if !done[start] && walk(&self.nodes, &mut path, &mut done) {
                return path;
            }
        }
        Vec::new()
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn after(&self, component: usize) -> &[usize] {
        &self.nodes[component].after
    }

    pub(crate) fn allowance(&self, component: usize) -> Option<Allowance> {
        self.nodes[component].allowance
    }

    /// All components, none before one that it comes after.
    pub(crate) fn in_turn(&self) -> Vec<usize> {
        let mut all: Vec<_> = (0..self.len()).collect();
        all.sort_by_key(|at| Reverse(self.nodes[*at].behind));
        all
    }

    /// When a component's time is over whose turn came then: at its latest finish, or with its allowance.
    pub(crate) fn finish(&self, component: usize, turn: Instant, timeline: &Timeline) -> Instant {
        let latest = self.latest_finish(component, timeline);
        let allowed = self.allowance(component).and_then(|allowance| turn.checked_add(allowance.length));
        allowed.map_or(latest, |allowed| allowed.min(latest))
    }

    /// When those that come after this component stop waiting for it: the drain is shared in equal parts along the
    /// longest path, counted from its end.
    pub(crate) fn latest_finish(&self, component: usize, timeline: &Timeline) -> Instant {
        let drain = timeline.claim.saturating_duration_since(timeline.begun);
        timeline.claim - share(drain, self.nodes[component].behind, self.depth)
    }
}

/// A component as a message names it.
fn in_words((name, order): &Ordered) -> String {
    order.phase.as_ref().map_or_else(|| name.clone(), |phase| format!("{name} (of phase {phase})"))
}

/// Why the arithmetic or the order of a shutdown cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A component without a name.
    #[error("a component has an empty name")]
    NoName,
    /// Two components of one name.
    #[error("two components are called {name:?}")]
    TwoOfOneName {
        /// The name.
        name: String,
    },
    /// A component comes after one that does not exist.
    #[error("component {name:?} comes after {after:?}, which does not exist")]
    Unknown {
        /// The component.
        name: String,
        /// What it names.
        after: String,
    },
    /// Components wait for each other.
    #[error("the order has a cycle: {path}")]
    Cycle {
        /// The components on it.
        path: String,
    },
    /// A component is allowed no time at all.
    #[error("component {name:?} has an allowance of 0 s: it would be closed and not waited for")]
    NoAllowance {
        /// Its name.
        name: String,
    },
    /// A phase without a name.
    #[error("a phase has an empty name")]
    NoPhaseName,
    /// A phase that is named twice in the order of the phases.
    #[error("phase {phase:?} comes twice in the order of the phases")]
    TwoOfOnePhase {
        /// The phase.
        phase: String,
    },
    /// A component of a phase that is not among the phases.
    #[error("component {name:?} is of phase {phase:?}, which is not among the phases")]
    UnknownPhase {
        /// The component.
        name: String,
        /// What it names.
        phase: String,
    },
    /// The user's own reserves exceed the grace.
    #[error("{} are reserved ({list}), but the grace is {grace}", Short(*reserved))]
    Reserves {
        /// Their sum.
        reserved: Duration,
        /// Each of them.
        list: String,
        /// What there is.
        grace: Grace,
    },
}

fn share(whole: Duration, part: u32, of: u32) -> Duration {
    scale(whole, Duration::from_nanos(u64::from(part)), Duration::from_nanos(u64::from(of)))
}

/// `length × to / from`, without overflow.
fn scale(length: Duration, to: Duration, from: Duration) -> Duration {
    if from.is_zero() {
        return Duration::ZERO;
    }
    // A length is at most some 2^55 ns (a year), as is `to`: the product fits.
    let nanos = length.as_nanos().saturating_mul(to.as_nanos()) / from.as_nanos();
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn plan(components: &[(&str, &[&str])]) -> Result<Plan, String> {
        let owned: Vec<Ordered> =
            components.iter().map(|(name, after)| ((*name).into(), Order::from(*after))).collect();
        Plan::new(&owned, &Phases::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_tail_of_ten_seconds_is_what_the_documentation_says() {
        let tail = Reserves::default().resolve(ms(10_000));
        assert_eq!(tail, Tail { hand_over: ms(1000), answer: ms(1500), release: ms(750), margin: ms(250) });
    }

    #[test]
    fn a_small_grace_keeps_half_for_the_drain() {
        for grace in [1, 10, 999, 2_000, 3_400] {
            let tail = Reserves::default().resolve(ms(grace));
            assert!(tail.length() <= ms(grace) / 2, "{grace} ms: {tail:?}");
            assert!(tail.margin > Duration::ZERO);
        }
    }

    #[test]
    fn what_the_user_reserved_stands_and_the_defaults_give_way() {
        let mut reserves = Reserves::default();
        reserves.set(Reserve::HandOver, ms(1500));
        let tail = reserves.resolve(ms(2000));
        assert_eq!(tail.hand_over, ms(1500));
        assert!(tail.length() <= ms(1750));
    }

    #[test]
    fn reserves_that_exceed_the_grace_are_refused_with_the_numbers() {
        let mut reserves = Reserves::default();
        reserves.set(Reserve::HandOver, ms(8000));
        reserves.set(Reserve::Margin, ms(3000));
        let error = reserves.check(&Grace::new(ms(10_000))).unwrap_err().to_string();
        assert_eq!(
            error,
            "11.000 s are reserved (hand over 8.000 s, margin 3.000 s), but the grace is 10 s (set by the program)"
        );
        assert!(reserves.resolve(ms(100)).length() <= ms(100), "a nearer deadline shrinks them");
        reserves.set(Reserve::Margin, Duration::MAX);
        assert!(reserves.check(&Grace::new(ms(10_000))).is_err());
    }

    #[test]
    fn the_latest_finish_is_counted_back_over_the_longest_path() {
        let plan =
            plan(&[("http", &[]), ("jobs", &["http"]), ("db", &["jobs", "cache"]), ("cache", &[])]).unwrap();
        let begun = Instant::now();
        let tail = Tail { hand_over: ms(0), answer: ms(0), release: ms(0), margin: ms(0) };
        let timeline = Timeline::new(begun, begun + ms(9000), tail);
        let finish = |at| plan.latest_finish(at, &timeline).duration_since(begun).as_millis();
        assert_eq!([finish(0), finish(1), finish(2), finish(3)], [3000, 6000, 9000, 6000]);
    }

    #[test]
    fn an_order_that_cannot_work_is_refused_by_name() {
        assert_eq!(plan(&[("a", &[]), ("a", &[])]).unwrap_err(), "two components are called \"a\"");
        assert_eq!(
            plan(&[("a", &["b"])]).unwrap_err(),
            "component \"a\" comes after \"b\", which does not exist"
        );
        assert_eq!(plan(&[("a", &["a"])]).unwrap_err(), "the order has a cycle: a after a");
        assert_eq!(
            plan(&[("z", &[]), ("a", &["z", "b"]), ("b", &["c"]), ("c", &["a"])]).unwrap_err(),
            "the order has a cycle: a after b after c after a"
        );
        assert_eq!(plan(&[("", &[])]).unwrap_err(), "a component has an empty name");
        let none = Order::new().within(Duration::ZERO, crate::Overdue::Force);
        assert_eq!(
            Plan::new(&[("a".into(), none)], &Phases::default()).unwrap_err().to_string(),
            "component \"a\" has an allowance of 0 s: it would be closed and not waited for"
        );
    }
}
