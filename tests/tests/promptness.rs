//! Promise 8: it leaves as soon as it can. On every runtime, in a binary of its own, and one test at a time, since this
//! is measured: nothing else runs beside it.

#![forbid(unsafe_code)]

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use sundown_tests::{
    Child, Programs,
    http::{Client, Monitor, Service},
    median,
};

const RUNTIMES: [Programs; 3] = [
    Programs::new("tokio", env!("CARGO_BIN_EXE_on_tokio"), env!("CARGO_BIN_EXE_service_tokio")),
    Programs::new("smol", env!("CARGO_BIN_EXE_on_smol"), env!("CARGO_BIN_EXE_service_smol")),
    Programs::new("async-std", env!("CARGO_BIN_EXE_on_async_std"), env!("CARGO_BIN_EXE_service_async_std")),
];
const RUNS: usize = 20;

/// Whose turn it is to measure.
static TURN: Mutex<()> = Mutex::new(());

/// The lame duck's quiet interval.
const QUIET: Duration = Duration::from_millis(250);

/// The median is what is promised, with room for a slow machine; a single run may meet a busy one.
fn assert_prompt(what: &str, bound: Duration, run: impl Fn(Programs) -> Duration) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for programs in RUNTIMES {
        let (median, longest) = median((0..RUNS).map(|_| run(programs)).collect());
        println!("{}: {what}: median {median:?}, longest {longest:?} of {RUNS}", programs.runtime);
        assert!(median < bound, "{}: {what}: median {median:?} of {RUNS}, bound {bound:?}", programs.runtime);
    }
}

fn gone_after(child: Child, event: Instant) -> Duration {
    let ending = child.end();
    ending.assert_code(0);
    assert!(ending.has("release") && ending.has("finished"), "no step was left out: {}", ending.text());
    ending.after(event)
}

#[test]
fn with_nothing_in_flight_it_is_gone_at_once() {
    assert_prompt("from the signal to the end", Duration::from_millis(100), |programs| {
        let child = programs.ready("--jobs 0");
        let signalled = child.signal(Signal::TERM);
        gone_after(child, signalled)
    });
}

#[test]
fn it_is_gone_as_soon_as_the_last_guard_is() {
    assert_prompt("from the last guard to the end", Duration::from_millis(60), |programs| {
        let mut child = programs.ready("--jobs 0 --hold");
        child.signal(Signal::TERM);
        child.wait_for("witness draining");
        let released = child.tell("release");
        gone_after(child, released)
    });
}

fn served_after(service: Service, monitor: &Monitor, event: Instant) -> Duration {
    let ending = service.end();
    ending.assert_code(0);
    assert_eq!(monitor.jobs(), [""; 0], "nothing was handed over");
    ending.after(event)
}

#[test]
fn it_is_gone_as_soon_as_the_last_response_is_out() {
    assert_prompt(
        "from the last byte of the last response to the end",
        Duration::from_millis(60),
        |programs| {
            let monitor = Monitor::taking_all();
            let mut service = programs.service(&[("THREADS", "2")], Some(&monitor));
            let mut client = service.begin("/sleep?ms=600", "last");
            let signalled = service.terminate();
            client.reply("GET").assert_own("done last\n");
            let answered = Instant::now();
            assert!(answered - signalled > QUIET + Duration::from_millis(100), "the lame duck is over");
            // The client goes on holding its end.
            let gone = served_after(service, &monitor, answered);
            client.end().assert_silent();
            gone
        },
    );
}

#[test]
fn with_nothing_in_flight_it_is_gone_when_traffic_is_quiet() {
    let bound = QUIET + Duration::from_millis(100);
    assert_prompt("from the signal to the end, idle", bound, |programs| {
        let monitor = Monitor::taking_all();
        let mut service = programs.service(&[("THREADS", "2")], Some(&monitor));
        let idle = [service.connect(), service.connect_kept()];
        let signalled = service.terminate();
        let gone = served_after(service, &monitor, signalled);
        idle.into_iter().for_each(|client| client.end().assert_silent());
        gone
    });
}

#[test]
fn a_crowd_of_idle_clients_that_hold_their_ends_does_not_keep_it() {
    for programs in RUNTIMES {
        let monitor = Monitor::taking_all();
        let mut service = programs.service(&[("THREADS", "2")], Some(&monitor));
        let idle: Vec<_> = (0..300).map(|_| service.connect_kept()).collect();
        let signalled = service.terminate();
        let gone = served_after(service, &monitor, signalled);
        assert!(gone < QUIET + Duration::from_millis(250), "{}: gone after {gone:?}", programs.runtime);
        idle.into_iter().for_each(|client| client.end().assert_silent());
    }
}

#[test]
fn probes_do_not_keep_it() {
    for programs in RUNTIMES {
        let monitor = Monitor::taking_all();
        let service = programs.service(&[("THREADS", "2")], Some(&monitor));
        let signalled = service.terminate();
        monitor.wait_for_draining();
        // A platform asks, again and again.
        while let Ok(mut client) = Client::try_connect(service.address) {
            let asked = client.try_send("GET /readyz HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
            if asked.is_err() || client.end().bytes.is_empty() {
                break;
            }
        }
        let gone = served_after(service, &monitor, signalled);
        assert!(gone < 3 * QUIET, "{}: gone after {gone:?}", programs.runtime);
    }
}
