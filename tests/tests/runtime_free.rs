//! What needs no runtime but a simulated one: what cannot work is refused when the shutdown is started, in one line with the name
//! and the number; and no crate brings a runtime along that is not its own.

#![forbid(unsafe_code)]

use std::{env, process::Command, time::Duration};

use sundown::{Builder, Gate, Grace, Reserve, Shutdown};
use sundown_testkit::simulation::{Simulation, World};
use sundown_tests::fixture::Unprepared;

/// What `start` says.
fn refusal(set_up: impl FnOnce(Builder) -> Builder) -> String {
    let start = |world: &World| {
        let builder = Shutdown::embedded(world.runtime()).grace(Duration::from_secs(10));
        set_up(builder).start().expect_err("it cannot work").to_string()
    };
    let error = Simulation::seeded(1).run(start).returned();
    assert!(!error.contains('\n'), "one line: {error:?}");
    error
}

#[test]
fn reserves_that_exceed_the_grace_are_refused_with_all_the_numbers() {
    let error = refusal(|builder| {
        builder
            .reserve(Reserve::HandOver, Duration::from_secs(8))
            .reserve(Reserve::Margin, Duration::from_secs(3))
    });
    assert_eq!(
        error,
        "11.000 s are reserved (hand over 8.000 s, margin 3.000 s), but the grace is 10 s (set by the program)"
    );
}

#[test]
fn an_order_that_cannot_work_is_refused_by_name() {
    let cycle = refusal(|builder| {
        builder
            .component("http", Gate::new())
            .after(["jobs"])
            .component("jobs", Gate::new())
            .after(["database"])
            .component("database", Gate::new())
            .after(["http"])
    });
    assert_eq!(cycle, "the order has a cycle: http after jobs after database after http");
    let unknown = refusal(|builder| builder.component("jobs", Gate::new()).after(["htp"]));
    assert_eq!(unknown, "component \"jobs\" comes after \"htp\", which does not exist");
    let twins = refusal(|builder| builder.component("jobs", Gate::new()).component("jobs", Gate::new()));
    assert_eq!(twins, "two components are called \"jobs\"");
    let nameless = refusal(|builder| builder.component("", Gate::new()));
    assert_eq!(nameless, "a component has an empty name");
}

#[test]
fn an_order_before_any_component_is_refused() {
    let error = refusal(|builder| builder.after(["http"]).component("http", Gate::new()));
    assert_eq!(error, "`after` speaks of the component added last, but none was added before it");
}

#[test]
fn a_grace_that_is_no_time_or_all_time_is_refused_with_where_it_came_from() {
    assert_eq!(
        refusal(|builder| builder.grace(Duration::ZERO)),
        "the grace is 0 s (set by the program): there is no time to shut down in"
    );
    assert_eq!(
        refusal(|builder| builder.grace(Grace::new(Duration::from_secs(u64::MAX)))),
        "the grace is 18446744073709551615 s (set by the program), at most 31536000 s make sense"
    );
}

#[test]
fn a_notifier_that_cannot_prepare_is_refused_by_name() {
    let error = refusal(|builder| builder.hand_over_to(Unprepared));
    assert_eq!(error, "notifier take-over could not prepare: failed: no route to monitor:443");
    let error = refusal(|builder| builder.tell(Unprepared));
    assert_eq!(error, "notifier told-1 could not prepare: failed: no route to monitor:443");
}

#[test]
fn two_that_are_to_take_over_are_refused() {
    let error = refusal(|builder| builder.hand_over_to(Unprepared).hand_over_to(Unprepared));
    assert_eq!(error, "2 notifiers were named to take over, only one can (others can be told, or chained)");
}

/// The packages that a package of this workspace brings along.
fn dependencies(package: &str) -> Vec<String> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let arguments =
        ["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    let tree = Command::new(env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()))
        .args(arguments)
        .args(["--manifest-path", manifest, "--package", package])
        .output()
        .expect("cargo runs this test");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).expect("names are text");
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn no_crate_brings_along_a_runtime_that_is_not_its_own() {
    let runtimes: &[&str] = &["smol", "async-std", "async-io", "mio", "sundown-tokio"];
    let cases: [(&str, &[&str], &[&str]); 11] = [
        ("sundown-smol", &["smol", "async-io"], &["tokio", "async-std"]),
        ("sundown-async-std", &["async-std", "async-io"], &["tokio", "smol"]),
        ("sundown-tokio", &["tokio"], &["smol", "async-std", "async-io"]),
        ("sundown", &["signal-hook"], &["tokio", "smol", "async-std", "async-io", "hyper"]),
        // hyper brings tokio's channels, and not its runtime.
        ("sundown-http", &["hyper"], runtimes),
        ("sundown-memory", &["memmap2"], &["tokio", "smol", "async-std", "async-io", "hyper"]),
        ("sundown-notify", &["ureq"], runtimes),
        ("sundown-notify", &["ureq"], &["tokio"]),
        ("sundown-journal", &["redb"], runtimes),
        ("sundown-journal", &["redb"], &["tokio"]),
        ("sundown-testkit", &["generator"], &["tokio", "smol", "async-std", "async-io"]),
    ];
    for (package, brings, brings_no) in cases {
        let found = dependencies(package);
        let has = |name: &&str| found.iter().any(|found| found == name);
        assert!(brings.iter().all(has), "{package} needs {brings:?}: {found:?}");
        assert!(!brings_no.iter().any(has), "{package} needs none of {brings_no:?}: {found:?}");
    }
}
