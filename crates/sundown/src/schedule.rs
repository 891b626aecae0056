//! The plan run dry: what a shutdown with so much grace would come to, at the latest.
//!
//! The moments are those that the machine would keep with nobody draining: it is asked for none of them twice, since both
//! ask the [plan](crate::plan). A component that drains in time makes everything behind it earlier, and nothing later.

use std::{
    fmt,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    Grace, Overdue, PlanError, Reserve,
    grace::LONGEST,
    phases::Phases,
    plan::{Ordered, Plan, Reserves, Timeline},
    report::Short,
};

mod mermaid;

/// What a shutdown would come to: who waits for whom, and when each comes and ends at the latest, counted from the
/// beginning. [`Builder::plan`](crate::Builder::plan) and [`Handle::plan`](crate::Handle::plan) make it.
///
/// `Display` is the text for people, [`mermaid`](Self::mermaid) the picture, `Serialize` the record for machines.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let tokio = tokio::runtime::Builder::new_current_thread().build()?;
/// # let runtime = sundown_tokio::Tokio::of(tokio.handle().clone());
/// use std::time::Duration;
/// use sundown::{Gate, Overdue, Shutdown};
///
/// let schedule = Shutdown::embedded(runtime)
///     .phases(["ingress", "storage"])
///     .component("http", Gate::new())
///     .phase("ingress")
///     .component("database", Gate::new())
///     .phase("storage")
///     .within(Duration::from_secs(1), Overdue::StopWaiting)
///     .grace(Duration::from_secs(10))
///     .plan()?;
/// assert_eq!(
///     schedule.to_string(),
///     "\
/// plan for a grace of 10 s (set by the program)
///   at the latest   starts      ends
///   phase ingress     0 ms   3.250 s
///     http            0 ms   3.250 s
///   phase storage  3.250 s   4.250 s  after phase ingress
///     database     3.250 s   4.250 s  within 1.000 s, then no longer waited for
///   hand over      6.500 s   7.500 s  after the claim
///   answer         7.500 s   9.000 s
///   release        9.000 s   9.750 s  after force
///   margin         9.750 s  10.000 s
/// "
/// );
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Schedule {
    /// How much time the platform gives, and how that is known.
    pub grace: Grace,
    /// The phases that have any components, in their order.
    pub phases: Vec<StepSchedule>,
    /// Every component, in the order in which they were added.
    pub components: Vec<ComponentSchedule>,
    /// What is reserved for the end, in its order: `hand over`, which begins with the claim, `answer`, `release` and
    /// `margin`.
    pub reserves: Vec<StepSchedule>,
}

/// A phase or a reserve in a [`Schedule`].
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct StepSchedule {
    /// What it is called.
    pub name: String,
    /// When it begins at the latest.
    pub latest_start: Duration,
    /// When it is over at the latest.
    pub latest_finish: Duration,
}

/// A component in a [`Schedule`].
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ComponentSchedule {
    /// What it is called.
    pub name: String,
    /// When its turn comes at the latest.
    pub latest_start: Duration,
    /// When its time is over at the latest.
    pub latest_finish: Duration,
    /// The components that it is said to come after.
    pub after: Vec<String>,
    /// Its phase.
    pub phase: Option<String>,
    /// The time that it is allowed from its turn, and what happens then.
    pub within: Option<(Duration, Overdue)>,
    /// How soon its jobs are offered.
    pub hand_over_priority: i32,
}

impl Schedule {
    /// `begun` is any moment: it is only counted from.
    pub(crate) fn new(
        grace: Grace,
        components: &[Ordered],
        phases: &Phases,
        reserves: &Reserves,
        begun: Instant,
    ) -> Result<Self, PlanError> {
        let plan = Plan::new(components, phases)?;
        let length = grace.length().min(LONGEST);
        let timeline = Timeline::new(begun, begun + length, reserves.resolve(length));
        let after = |moment: Instant| moment.saturating_duration_since(begun);
        let step = |name: &str, (start, finish)| StepSchedule {
            name: name.to_owned(),
            latest_start: after(start),
            latest_finish: after(finish),
        };
        let latest = latest(&plan, &timeline);
        let component = |((name, order), (start, finish)): (&Ordered, &(_, _))| ComponentSchedule {
            name: name.clone(),
            latest_start: after(*start),
            latest_finish: after(*finish),
            after: order.after.clone(),
            phase: order.phase.clone(),
            within: order.allowance.map(|allowance| (allowance.length, allowance.overdue)),
            hand_over_priority: order.hand_over_priority,
        };
        let members = phases.members(components)?;
        let whole = |inside: &[usize]| {
            let start = inside.iter().map(|at| latest[*at].0).min().unwrap_or(begun);
            (start, inside.iter().map(|at| latest[*at].1).max().unwrap_or(begun))
        };
        let phases = members.of_each().map(|(name, inside)| step(name, whole(inside))).collect();
        let components = components.iter().zip(&latest).map(component).collect();
        let Timeline { claim, answer, release, exit, kill, .. } = timeline;
        let reserves = [
            (Reserve::HandOver, (claim, answer)),
            (Reserve::Answer, (answer, release)),
            (Reserve::Release, (release, exit)),
            (Reserve::Margin, (exit, kill)),
        ];
        let reserves = reserves.map(|(reserve, moments)| step(reserve.word(), moments)).into();
        Ok(Schedule { grace, phases, components, reserves })
    }
}

/// When each component's turn comes, and when its time is over, if everybody before it takes all of theirs.
fn latest(plan: &Plan, timeline: &Timeline) -> Vec<(Instant, Instant)> {
    let mut latest = vec![(timeline.begun, timeline.begun); plan.len()];
    for at in plan.in_turn() {
        let turn = plan.after(at).iter().map(|before| latest[*before].1).max().unwrap_or(timeline.begun);
        latest[at] = (turn, plan.finish(at, turn, timeline));
    }
    latest
}

impl ComponentSchedule {
    /// What is to be known of it besides its moments.
    fn remarks(&self) -> String {
        let after = (!self.after.is_empty()).then(|| format!("after {}", self.after.join(", ")));
        let within = self.within.map(|(length, overdue)| {
            let then = overdue.done();
            format!("within {}, then {then}", Short(length))
        });
        let priority =
            (self.hand_over_priority != 0).then(|| format!("hand-over priority {}", self.hand_over_priority));
        [after, within, priority].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

/// A line of the text: a name, when it begins, when it is over, and what is to be known besides.
type Line = [String; 4];

fn line(name: String, start: Duration, finish: Duration, remarks: String) -> Line {
    [name, Short(start).to_string(), Short(finish).to_string(), remarks]
}

impl Schedule {
    fn lines(&self) -> Vec<Line> {
        let mut lines = vec![["at the latest", "starts", "ends", ""].map(str::to_owned)];
        let mut before = None;
        for StepSchedule { name, latest_start, latest_finish } in &self.phases {
            let remarks = before.map_or_else(String::new, |before| format!("after phase {before}"));
            lines.push(line(format!("phase {name}"), *latest_start, *latest_finish, remarks));
            self.list(&mut lines, "  ", Some(name));
            before = Some(name);
        }
        self.list(&mut lines, "", None);
        let remarks = ["after the claim", "", "after force", ""];
        for (reserve, remarks) in self.reserves.iter().zip(remarks) {
            let StepSchedule { name, latest_start, latest_finish } = reserve;
            lines.push(line(name.clone(), *latest_start, *latest_finish, remarks.to_owned()));
        }
        lines
    }

    /// The components of a phase, or those of none, by their turns.
    fn list(&self, lines: &mut Vec<Line>, indent: &str, phase: Option<&String>) {
        let mut inside: Vec<_> = self.components.iter().filter(|it| it.phase.as_ref() == phase).collect();
        inside.sort_by_key(|it| it.latest_start);
        lines.extend(
            inside.into_iter().map(|it| {
                line(format!("{indent}{}", it.name), it.latest_start, it.latest_finish, it.remarks())
            }),
        );
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let (names, starts, ends) = (width(0), width(1), width(2));
        writeln!(f, "plan for a grace of {}", self.grace)?;
        for [name, start, end, remarks] in &lines {
            let line = format!("  {name:<names$}  {start:>starts$}  {end:>ends$}  {remarks}");
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
