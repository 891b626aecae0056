//! How a mutant, a deliberately wrong implementation, is shown to break its rule.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use sundown_testkit::conformance::{Suite, Verdict};

/// How many rules are tried at a time: most of the time that broken ones take is spent waiting.
const SIDE_BY_SIDE: usize = 6;

/// Long enough for the other rules: those that it breaks are tried again.
const SHORT: Duration = Duration::from_millis(1500);

/// The suite finds this rule broken, and says this of it; and none besides but those that the same fault breaks.
#[track_caller]
pub(crate) fn breaks(suite: &Suite, rule: &str, also: &[&str], said: &str) {
    let verdict = patiently(suite, rule);
    assert!(verdict.broken() == [rule], "{rule} is not broken: {verdict}");
    assert!(
        verdict.to_string().contains(said),
        "{rule} is broken by something else than {said:?}: {verdict}"
    );
    let unexpected: Vec<_> = broken(&suite.clone().without(rule))
        .into_iter()
        .filter(|name| !also.contains(name))
        .filter(|name| !patiently(suite, name).broken().is_empty())
        .collect();
    assert!(unexpected.is_empty(), "besides {rule}, it breaks {unexpected:?}");
}

/// Alone, and with all patience: a busy machine breaks no rule.
fn patiently(suite: &Suite, rule: &str) -> Verdict {
    suite.clone().only(rule).run()
}

fn broken(suite: &Suite) -> Vec<&'static str> {
    let (rules, next, broken) = (suite.rules(), AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some(rule) = rules.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = suite.clone().only(rule).patience(SHORT).run();
                    broken.lock().unwrap().extend(verdict.broken());
                }
            });
        }
    });
    broken.into_inner().unwrap()
}

/// Makes a test of each mutant, `name: suite => rule, saying "what was seen", also [rules]`, and one that looks for a
/// rule without a mutant.
#[macro_export]
macro_rules! mutants {
    (
        $right:expr;
        $($name:ident: $mutant:expr
            => $rule:ident $(, saying $said:literal)? $(, also [$($also:ident),+ $(,)?])?;)+
    ) => {
        $(
            #[test]
            fn $name() {
                let also: &[&str] = &[$($(stringify!($also)),+)?];
                mutants::breaks(&$mutant, stringify!($rule), also, concat!($($said)?));
            }
        )+

        #[test]
        fn every_rule_has_a_mutant() {
            let shown = [$(stringify!($rule)),+];
            let mut rules = $right.rules();
            rules.retain(|rule| !shown.contains(rule));
            assert!(rules.is_empty(), "no mutant breaks {rules:?}");
        }

        #[test]
        fn the_right_one_breaks_no_rule() {
            let verdict = $right.run();
            assert!(verdict.broken().is_empty() && verdict.skipped().is_empty(), "{verdict}");
        }
    };
}
