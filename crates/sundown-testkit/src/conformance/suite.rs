//! A suite of rules tried on one implementation, and the verdict.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use sundown::panic_message;

use super::{
    rules::Rule,
    trial::{Checked, Trial, Unmet},
};

/// How long something is waited for that the contract promises and gives no time for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A rule may wait a few times.
const WAITS: u32 = 4;

/// The rules of one contract, ready to be tried on one implementation.
///
/// # Examples
///
/// ```
/// # use sundown::Gate;
/// # use sundown_testkit::conformance::{self, Subject};
/// # let fresh = || {
/// #     let gate = Gate::new();
/// #     Subject::anonymous(gate.clone(), move || gate.enter().ok())
/// # };
/// conformance::drainable(fresh).assert();
/// ```
#[derive(Clone)]
pub struct Suite {
    contract: &'static str,
    rules: Vec<Bound>,
    patience: Duration,
}

/// A rule with the subject it is tried on.
#[derive(Clone)]
struct Bound {
    name: &'static str,
    contract: &'static str,
    check: Arc<dyn Fn(Duration) -> Checked + Send + Sync>,
}

impl Suite {
    pub(crate) fn new<S: Send + Sync + 'static>(
        contract: &'static str,
        rules: Vec<Rule<S>>,
        subject: S,
    ) -> Self {
        let subject = Arc::new(subject);
        let bind = |Rule { name, contract, check }| {
            let subject = subject.clone();
            let check = Arc::new(move |patience| check(&Trial { subject: subject.clone(), patience }));
            Bound { name, contract, check }
        };
        Suite { contract, rules: rules.into_iter().map(bind).collect(), patience: PATIENCE }
    }

    /// The names of the rules.
    pub fn rules(&self) -> Vec<&'static str> {
        self.rules.iter().map(|rule| rule.name).collect()
    }

    /// How long an event is waited for before its rule counts as broken. Default: 5 s. A rule as a whole may take four
    /// times that.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// This rule and no other.
    ///
    /// # Panics
    ///
    /// When the suite has no such rule.
    #[must_use]
    #[track_caller]
    pub fn only(mut self, name: &str) -> Self {
        self.must_have(name);
        self.rules.retain(|rule| rule.name == name);
        self
    }

    /// Every rule but this one.
    ///
    /// # Panics
    ///
    /// When the suite has no such rule.
    #[must_use]
    #[track_caller]
    pub fn without(mut self, name: &str) -> Self {
        self.must_have(name);
        self.rules.retain(|rule| rule.name != name);
        self
    }

    #[track_caller]
    fn must_have(&self, name: &str) {
        let has = self.rules.iter().any(|rule| rule.name == name);
        assert!(has, "no rule for a {} is called {name}", self.contract);
    }

    /// Tries every rule, one after another.
    ///
    /// A runtime that the whole process shares must not be tried twice at the same time: some rules block it.
    pub fn run(&self) -> Verdict {
        let ended = |rule: &Bound| (rule.name, rule.contract, self.check(rule));
        Verdict { contract: self.contract, rules: self.rules.iter().map(ended).collect() }
    }

    /// [`run`](Self::run) and [`assert`](Verdict::assert).
    ///
    /// # Panics
    ///
    /// When a rule is broken, or none was tried; the message names all that are broken or skipped.
    #[track_caller]
    pub fn assert(&self) {
        self.run().assert();
    }

    /// Checks a rule on a thread of its own, which is given up on if it does not end.
    fn check(&self, rule: &Bound) -> Checked {
        let (tell, ended) = mpsc::channel();
        let (check, patience) = (rule.check.clone(), self.patience);
        let run = move || drop(tell.send(catch_unwind(AssertUnwindSafe(|| check(patience)))));
        thread::Builder::new()
            .name(rule.name.to_owned())
            .spawn(run)
            .map_err(|error| Unmet::broken(format!("no thread could be started for it: {error}")))?;
        let bound = patience * WAITS;
        match ended.recv_timeout(bound) {
            Ok(Ok(checked)) => checked,
            Ok(Err(panic)) => Err(Unmet::broken(format!("it panicked: {}", panic_message(panic)))),
            Err(_) => Err(Unmet::broken(format!("it did not end within {bound:?}"))),
        }
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("contract", &self.contract).field("rules", &self.rules()).finish()
    }
}

/// Which rules an implementation keeps, and which it breaks. `Display` tells of each that it does not keep.
#[derive(Debug)]
#[must_use = "a verdict that nobody reads finds no defect"]
pub struct Verdict {
    contract: &'static str,
    rules: Vec<(&'static str, &'static str, Checked)>,
}

impl Verdict {
    /// The names of the broken rules.
    pub fn broken(&self) -> Vec<&'static str> {
        self.names(|ending| matches!(ending, Err(Unmet::Broken(_))))
    }

    /// The names of the rules that could not be tried, because the implementor's side does not support what they need.
    pub fn skipped(&self) -> Vec<&'static str> {
        self.names(|ending| matches!(ending, Err(Unmet::Skipped(_))))
    }

    fn names(&self, which: impl Fn(&Checked) -> bool) -> Vec<&'static str> {
        self.rules.iter().filter(|(_, _, ending)| which(ending)).map(|(name, ..)| *name).collect()
    }

    /// Does nothing if some rule was tried and none is broken.
    ///
    /// # Panics
    ///
    /// When a rule is broken; the message names all that are, with what was expected and seen. Also when nothing was
    /// tried: no rule is left, or all were skipped; the message says why of each.
    #[track_caller]
    pub fn assert(&self) {
        self.assert_unbroken();
        assert!(self.skipped().len() < self.rules.len(), "nothing was tried: {self}");
    }

    /// The same, but all may have been skipped.
    #[track_caller]
    pub(crate) fn assert_unbroken(&self) {
        assert!(self.broken().is_empty(), "{self}");
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, broken, skipped) = (self.rules.len(), self.broken().len(), self.skipped().len());
        write!(f, "{}: {broken} of {all} rules broken, {skipped} skipped", self.contract)?;
        for (name, contract, ending) in &self.rules {
            match ending {
                Ok(()) => {}
                Err(Unmet::Broken(seen)) => {
                    write!(f, "\n  broken: {name}\n    contract: {}\n    {seen}", contract.trim())?;
                }
                Err(Unmet::Skipped(why)) => write!(f, "\n  skipped: {name}: {why}")?,
            }
        }
        Ok(())
    }
}
