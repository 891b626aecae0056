//! What each signal asks of a shutdown: a table, which the machine works from.

use std::{collections::BTreeMap, fmt};

use crate::Signal;

/// What a signal asks for. Each asks for more than those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Urgency {
    /// The shutdown begins, with the usual grace.
    Begin,
    /// The drain is over: straight to the claim. If nothing has begun yet, it begins as well.
    Hurry,
    /// The process exits at once, with 128 + the signal's number. No job is handed over and nobody is answered any more.
    Exit,
}

impl fmt::Display for Urgency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Urgency::Begin => "begin",
            Urgency::Hurry => "hurry",
            Urgency::Exit => "exit",
        })
    }
}

/// Which signal means what to the [shutdown of a process](crate::Shutdown::process).
///
/// Each signal has a ladder: what it asks for, the mildest first. An arrival asks for the lowest rung that no signal has
/// asked for yet: with `begin, hurry, exit`, the first begins unless the shutdown is under way already, the next hurries,
/// and the one after that exits. A ladder with nothing left to ask for has no effect, but the deadline is tightened if
/// the usual grace, counted from this arrival, ends sooner. Repeats of one signal within 200 ms count as one: a terminal
/// and a parent may both deliver it.
///
/// A signal with an empty ladder is swallowed. One that is not in the table, and that nobody
/// [observes](crate::Builder::on_signal), does what it would do without a shutdown.
///
/// The default:
///
/// ```
/// use sundown::Escalation;
///
/// let table = "SIGTERM: begin\nSIGINT: begin, hurry, exit\nSIGQUIT: begin, hurry, exit\n";
/// assert_eq!(Escalation::default().to_string(), table);
/// ```
///
/// A platform may repeat SIGTERM, so it never does more than begin. (Heroku: <https://devcenter.heroku.com/articles/dyno-shutdown-behavior>)
///
/// # Examples
///
/// As nginx has it: SIGQUIT takes its time, SIGTERM does not, and SIGHUP is no reason to end:
///
/// ```
/// use sundown::{Escalation, Signal, Urgency};
///
/// let table = Escalation::none()
///     .on(Signal::Quit, [Urgency::Begin])
///     .on(Signal::Term, [Urgency::Hurry])
///     .on(Signal::Int, [Urgency::Hurry, Urgency::Exit])
///     .on(Signal::Hup, []);
/// # let _ = table;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a table does nothing until a builder has it"]
pub struct Escalation {
    ladders: BTreeMap<Signal, Vec<Urgency>>,
}

impl Default for Escalation {
    fn default() -> Self {
        let insists = [Urgency::Begin, Urgency::Hurry, Urgency::Exit];
        Escalation::none()
            .on(Signal::Term, [Urgency::Begin])
            .on(Signal::Int, insists)
            .on(Signal::Quit, insists)
    }
}

impl Escalation {
    /// No signal means anything: each does what it would do without a shutdown. With such a table only the program
    /// begins, and the process is still ended when the shutdown is over.
    pub fn none() -> Self {
        Escalation { ladders: BTreeMap::new() }
    }

    /// This signal asks for these, one after another, the mildest first; for nothing if there are none. Replaces what it
    /// asked for before.
    pub fn on(mut self, signal: Signal, ladder: impl IntoIterator<Item = Urgency>) -> Self {
        self.ladders.insert(signal, ladder.into_iter().collect());
        self
    }

    /// This signal is taken out of the table: it does what it would do without a shutdown.
    pub fn leave(mut self, signal: Signal) -> Self {
        self.ladders.remove(&signal);
        self
    }

    /// Whether every ladder goes up.
    pub(crate) fn check(&self) -> Result<(), EscalationError> {
        let falls = |ladder: &[Urgency]| ladder.windows(2).any(|pair| pair[0] >= pair[1]);
        match self.ladders.iter().find(|(_, ladder)| falls(ladder)) {
            Some((signal, ladder)) => Err(EscalationError::Order { signal: *signal, ladder: listed(ladder) }),
            None => Ok(()),
        }
    }

    /// Those that are listened to.
    pub(crate) fn signals(&self) -> impl Iterator<Item = Signal> + '_ {
        self.ladders.keys().copied()
    }

    /// Whether this signal asks for anything.
    pub(crate) fn asks(&self, signal: Signal) -> bool {
        self.ladders.get(&signal).is_some_and(|ladder| !ladder.is_empty())
    }

    /// What an arrival asks for, if signals have asked for nothing beyond these before.
    pub(crate) fn next(&self, signal: Signal, begun: bool, hurried: bool) -> Option<Urgency> {
        let open = |urgency: &&Urgency| match urgency {
            Urgency::Begin => !begun,
            Urgency::Hurry => !hurried,
            Urgency::Exit => true,
        };
        self.ladders.get(&signal)?.iter().find(open).copied()
    }
}

impl fmt::Display for Escalation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ladders.iter().try_for_each(|(signal, ladder)| writeln!(f, "{signal}: {}", listed(ladder)))
    }
}

fn listed(ladder: &[Urgency]) -> String {
    match ladder {
        [] => "swallowed".to_owned(),
        some => some.iter().map(Urgency::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// Why a table cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EscalationError {
    /// A signal asks for less than it has asked for before, or for the same again.
    #[error("{signal} asks for {ladder}: each has to be more than the one before it")]
    Order {
        /// Which one.
        signal: Signal,
        /// What it asks for.
        ladder: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ladder_that_does_not_go_up_is_refused_by_the_signals_name() {
        let refused = |ladder: &[Urgency]| {
            let table = Escalation::default().on(Signal::Hup, ladder.iter().copied());
            table.check().map_err(|error| error.to_string())
        };
        assert_eq!(refused(&[]), Ok(()));
        assert_eq!(refused(&[Urgency::Begin, Urgency::Exit]), Ok(()));
        assert_eq!(
            refused(&[Urgency::Exit, Urgency::Begin]),
            Err("SIGHUP asks for exit, begin: each has to be more than the one before it".into())
        );
        assert!(refused(&[Urgency::Hurry, Urgency::Hurry]).is_err());
    }

    #[test]
    fn the_lowest_rung_that_is_still_open_is_next() {
        let table = Escalation::default()
            .on(Signal::Hup, [])
            .on(Signal::Usr1, [Urgency::Begin, Urgency::Exit])
            .on(Signal::Usr2, [Urgency::Hurry]);
        let next = |signal| {
            [(false, false), (true, false), (true, true)]
                .map(|(begun, hurried)| table.next(signal, begun, hurried))
        };
        let (begin, hurry, exit) = (Some(Urgency::Begin), Some(Urgency::Hurry), Some(Urgency::Exit));
        assert_eq!(next(Signal::Term), [begin, None, None]);
        assert_eq!(next(Signal::Int), [begin, hurry, exit]);
        assert_eq!(next(Signal::Usr1), [begin, exit, exit]);
        assert_eq!(next(Signal::Usr2), [hurry, hurry, None]);
        assert_eq!(next(Signal::Hup), [None; 3]);
        assert_eq!(next(Signal::Cont), [None; 3]);
    }
}
