//! The system has nothing left to give when the shutdown begins: no thread, or no descriptor.

use std::time::Duration;

use sundown_tests::{
    Child, Ending,
    fixture::LARGE_STACKS,
    http::{Client, Monitor, Service},
    promised, side_by_side,
};

use super::PROGRAMS;

const GRACE: Duration = Duration::from_secs(4);
const JOBS: [&str; 2] = ["job-1", "job-2"];
const NONE: [&str; 0] = [];

/// What becomes of the good parts.
const GOOD: [&[&str]; 5] = [
    &["gate close", "gate drained", "gate claim", "gate conclude", "gate force", "release"],
    &["jobs close", "jobs claim", "taker incomplete", "jobs conclude", "jobs force", "release"],
    &["taker draining SIGTERM", "taker incomplete", "jobs force", "taker finished"],
    // One that is only told is not waited for.
    &["jobs force", "witness finished"],
    &["witness draining SIGTERM", "witness incomplete"],
];

/// The runtime's flavours, alive and blocked.
const FLAVOURS: [&str; 4] = ["", "--multi-thread", "--blocked", "--blocked --multi-thread"];

/// A service that can have no more of these, as it has shown.
fn without(what: &str, arguments: &str) -> Child {
    let mut child = PROGRAMS.unruly_with(&format!("--without {what} {arguments}"), &LARGE_STACKS);
    let starved = child.wait_for("starved: ").text;
    let error = match what {
        "threads" => "Resource temporarily unavailable",
        _ => "Too many open files",
    };
    assert!(starved.contains(error), "{starved}");
    child.wait_for("ready");
    child
}

fn assert_shared(ending: &Ending) {
    let warnings = ending.report().warnings();
    let shared = warnings.iter().any(|warning| warning.contains("calls had to share one thread"));
    assert!(shared, "{warnings:?}");
}

#[test]
fn without_a_thread_all_calls_share_one_and_all_is_done() {
    side_by_side(&FLAVOURS, |flavour| {
        let ending = without("threads", flavour).terminate(GRACE, &GOOD);
        assert_eq!(ending.told().jobs("handed_over"), JOBS);
        ending.assert_code(0);
        if flavour.contains("blocked") {
            return; // `main` prints no report
        }
        assert_shared(&ending);
        assert_eq!(ending.report().component("gate", "drained"), "done");
    });
}

#[test]
fn without_a_thread_who_gives_it_back_costs_nobody_anything_but_time() {
    let cases = [
        ("never-drains", "drained", "late", 0),
        ("panics-in-close", "closed", "panicked: on purpose in close", 1),
        ("panics-in-drained", "drained", "panicked: on purpose in drained", 1),
        ("panics-in-in_flight", "in_flight", "panicked: on purpose in in_flight", 1),
        ("panics-in-claimed", "claim", "panicked: on purpose in claimed", 1),
        ("panics-in-conclude", "conclude", "panicked: on purpose in conclude", 1),
        ("panics-in-force", "force", "panicked: on purpose in force", 1),
        ("dawdles-in-conclude", "conclude", "done", 0),
    ];
    side_by_side(&cases, |&(name, step, outcome, code)| {
        let ending = without("threads", &format!("--component {name}")).terminate(GRACE, &GOOD);
        assert_shared(&ending);
        let report = ending.report();
        assert_eq!(report.component(name, step), outcome);
        assert_eq!(report.jobs("handed_over").len(), JOBS.len() + 1);
        ending.assert_code(code);
    });
}

/// What the report says of those behind the one that blocks: how many jobs were handed over, whose step is late.
#[test]
fn without_a_thread_who_blocks_forfeits_those_behind_it_and_the_report_says_so() {
    let cases = [
        ("--told blocks-in-draining", 0, ("jobs", "drained")),
        ("--component blocks-in-close", 0, ("jobs", "claim")),
        ("--component blocks-in-claimed", 0, ("jobs", "claim")),
        ("--component blocks-in-conclude", 3, ("jobs", "conclude")),
        ("--component blocks-in-force", 3, ("jobs", "force")),
    ];
    side_by_side(&cases, |&(culprit, handed_over, (component, step))| {
        let ending = without("threads", culprit).terminate(GRACE, &[&["taker draining SIGTERM"]]);
        assert_shared(&ending);
        let report = ending.report();
        assert_eq!(report.component(component, step), "late", "{}", ending.text());
        assert_eq!(report.jobs("handed_over").len(), handed_over);
        assert_eq!(report.hook("good"), "late");
        ending.assert_code(1);
    });
}

/// One that gives its thread back is told to stop when its step is over: the steps after it are everybody's.
#[test]
fn without_a_thread_a_call_that_hangs_gives_way_when_its_step_is_over() {
    let cases =
        ["--told hangs-in-incomplete", "--taker hangs-in-incomplete", "--component hangs-in-conclude"];
    side_by_side(&cases, |culprit| {
        let order = ["gate claim", "gate conclude", "gate force", "release"];
        let ending = without("threads", culprit).terminate(GRACE, &[&order]);
        assert_shared(&ending);
        let report = ending.report();
        assert_eq!(report.component("gate", "force"), "done", "{}", ending.text());
        assert_eq!(report.hook("good"), "done", "{}", ending.text());
        ending.assert_code(1);
    });
}

#[test]
fn without_a_thread_a_hand_over_that_blocks_leaves_the_jobs_in_doubt() {
    let ending = without("threads", "--taker blocks-in-incomplete")
        .terminate(GRACE, &[&["jobs claim", "taker incomplete"]]);
    assert_shared(&ending);
    let report = ending.report();
    assert_eq!(report.jobs("in_doubt"), JOBS);
    assert_eq!(report.jobs("handed_over"), NONE);
    assert_eq!(report.component("jobs", "conclude"), "late");
    ending.assert_code(1);
}

/// Private places are made at the start.
#[test]
fn without_a_descriptor_all_is_done() {
    side_by_side(&FLAVOURS, |flavour| {
        let ending = without("descriptors", flavour).terminate(GRACE, &GOOD);
        assert_eq!(ending.told().jobs("handed_over"), JOBS);
        ending.assert_code(0);
    });
}

/// Who blocks its place may get no other: its own `conclude` is lost, and nothing else.
#[test]
fn without_a_descriptor_a_culprit_costs_only_its_own_part() {
    let culprits = ["never-drains", "panics-in-close", "panics-in-drained", "blocks-in-drained"];
    side_by_side(&culprits, |culprit| {
        let ending = without("descriptors", &format!("--component {culprit}")).terminate(GRACE, &GOOD);
        let report = ending.report();
        assert_eq!(report.jobs("handed_over").len(), JOBS.len() + 1);
        for name in ["gate", "jobs"] {
            assert_eq!(
                [report.component(name, "claim"), report.component(name, "conclude")],
                ["done", "done"]
            );
        }
    });
}

/// Nobody has used the runtime before.
#[test]
fn an_adapter_outside_its_runtime_needs_nothing_more_once_it_has_started() {
    if PROGRAMS.outside.is_some() {
        return; // There is none.
    }
    side_by_side(&["threads", "descriptors"], |what| {
        let ending = without(what, "--main outside --silent").terminate(GRACE, &[GOOD[0]]);
        assert_eq!(ending.report().component("gate", "drained"), "done");
        assert_eq!(ending.report().jobs("unacknowledged"), JOBS);
        ending.assert_code(1); // nobody takes over
    });
}

/// A responder that can have no more of these, which hands over to the monitor at this url, with clients that wait: one
/// of them for a handler that blocks, if asked for.
fn responder_without(what: &str, blocked: bool, monitor: &str) -> (Service, Vec<(&'static str, Client)>) {
    let variables = [&[("THREADS", "1"), ("GRACE", "4"), ("SINK_URL", monitor)], &LARGE_STACKS[..]].concat();
    let mut service = PROGRAMS.responder(&variables, None);
    let mut clients = vec![("a", service.begin("/wait", "a")), ("b", service.begin("/wait", "b"))];
    let mut starving = Client::asking(service.address, &format!("/starve?what={what}"), "starving");
    service.child.wait_for("starved: ");
    starving.reply("GET").assert_own("starved starving\n");
    if blocked {
        starving.get("/wait?block=true", "blocked");
        service.wait_for_start("blocked");
        clients.push(("blocked", starving));
    }
    (service, clients)
}

#[test]
fn without_a_thread_clients_are_told_that_their_jobs_were_handed_over() {
    // A name has to be looked up, an address has not.
    let cases = [("127.0.0.1", false), ("127.0.0.1", true), ("localhost", false), ("localhost", true)];
    side_by_side(&cases, |&(host, blocked)| {
        let monitor = Monitor::taking_all();
        let url = monitor.url().replace("127.0.0.1", host);
        let (service, clients) = responder_without("threads", blocked, &url);
        let signalled = service.terminate();
        monitor.wait_for_draining();
        for (id, client) in clients {
            client.only_reply("GET").assert_success("handed-over", id);
        }
        let ending = service.end();
        ending.assert_within(promised(GRACE), signalled);
        ending.assert_code(0);
    });
}

/// The monitor is out of reach, unless a connection is left from before.
#[test]
fn without_a_descriptor_clients_are_told_the_truth() {
    side_by_side(&[false, true], |blocked| {
        let monitor = Monitor::taking_all();
        let (service, clients) = responder_without("descriptors", *blocked, &monitor.url());
        let signalled = service.terminate();
        let told: Vec<_> = clients.into_iter().map(|(id, client)| (id, client.only_reply("GET"))).collect();
        let taken = monitor.jobs();
        for (id, reply) in told {
            match taken.iter().any(|job| job == id) {
                true => reply.assert_success("handed-over", id),
                false => reply.assert_retry("unacknowledged"),
            }
        }
        let ending = service.end();
        ending.assert_within(promised(GRACE), signalled);
        ending.assert_code(i32::from(taken.is_empty()));
    });
}
