//! How a suite lists its rules: once, for the call that runs them all and for the macro that makes a test of each.

use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use super::{
    Suite,
    trial::{Checked, Trial},
};

/// A rule before it is tried on something: its name, what the contract says, and how that is checked.
pub(crate) struct Rule<S> {
    pub(crate) name: &'static str,
    pub(crate) contract: &'static str,
    pub(crate) check: fn(&Trial<S>) -> Checked,
}

/// Lists the rules of a suite as `module::rule`, each with what the contract says. The `$` is handed in, since a macro
/// that makes a macro cannot write its own.
macro_rules! rules {
    (
        $dollar:tt,
        $(#[$about:meta])*
        macro $stamp:ident, fn $suite:ident, $subject:ty;
        $($(#[doc = $contract:literal])+ $module:ident::$rule:ident,)+
    ) => {
        fn rules() -> Vec<$crate::conformance::rules::Rule<$subject>> {
            vec![$($crate::conformance::rules::Rule {
                name: stringify!($rule),
                contract: concat!($($contract),+),
                check: $module::$rule,
            }),+]
        }

        $(#[$about])*
        #[macro_export]
        macro_rules! $stamp {
            ($dollar subject:expr) => {
                $(
                    #[test]
                    fn $rule() {
                        $crate::conformance::assert_rule(
                            $crate::conformance::$suite($dollar subject),
                            stringify!($rule),
                        );
                    }
                )+
            };
        }
    };
}

/// One rule's test, as the macros make it. The rules of a process take turns: some block the runtime, which may be
/// shared by all, and some measure time.
///
/// # Panics
///
/// When the rule is broken.
#[doc(hidden)]
#[track_caller]
pub fn assert_rule(suite: Suite, name: &str) {
    static TURN: Mutex<()> = Mutex::new(());
    // A broken rule has poisoned it; the next one has its turn all the same.
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let verdict = suite.only(name).run();
    if !verdict.skipped().is_empty() {
        // Past the capture of a test that passes: nobody should believe that it was tried.
        let said = verdict.to_string();
        let _ = said.lines().skip(1).try_for_each(|line| writeln!(io::stderr(), "{line}"));
    }
    // Skipped is no failure of one rule's test: others of the suite are tried.
    verdict.assert_unbroken();
}
