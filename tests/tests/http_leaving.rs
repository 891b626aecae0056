//! Promise 8, for HTTP: ready to leave, it leaves.

use std::time::{Duration, Instant};

use sundown_tests::{
    http::{Monitor, Service},
    median,
};

const SERVICE: &str = env!("CARGO_BIN_EXE_service_tokio");
const RUNS: usize = 20;

/// The lame duck's quiet interval.
const QUIET: Duration = Duration::from_millis(250);

/// What is promised is the median, with room for a slow machine.
fn assert_prompt(what: &str, bound: Duration, run: impl Fn() -> Duration) {
    let (median, longest) = median((0..RUNS).map(|_| run()).collect());
    println!("{what}: median {median:?}, longest {longest:?} of {RUNS}");
    assert!(median < bound, "{what}: median {median:?} of {RUNS}, bound {bound:?}");
}

fn gone_after(service: Service, monitor: &Monitor, event: Instant) -> Duration {
    let ending = service.end();
    ending.assert_code(0);
    assert_eq!(monitor.jobs(), [""; 0], "nothing was handed over");
    ending.after(event)
}

#[test]
fn it_is_gone_as_soon_as_the_last_response_is_out() {
    assert_prompt("from the last byte of the last response to the end", Duration::from_millis(60), || {
        let monitor = Monitor::taking_all();
        let mut service = Service::start(SERVICE, &[("THREADS", "2")], Some(&monitor));
        let mut client = service.begin("/sleep?ms=600", "last");
        let signalled = service.terminate();
        client.reply("GET").assert_own("done last\n");
        let answered = Instant::now();
        assert!(answered - signalled > QUIET + Duration::from_millis(100), "the lame duck is over");
        // The client goes on holding its end.
        let gone = gone_after(service, &monitor, answered);
        client.end().assert_silent();
        gone
    });
}

#[test]
fn with_nothing_in_flight_it_is_gone_when_traffic_is_quiet() {
    let bound = QUIET + Duration::from_millis(100);
    assert_prompt("from the signal to the end, idle", bound, || {
        let monitor = Monitor::taking_all();
        let mut service = Service::start(SERVICE, &[("THREADS", "2")], Some(&monitor));
        let idle = [service.connect(), service.connect_kept()];
        let signalled = service.terminate();
        let gone = gone_after(service, &monitor, signalled);
        idle.into_iter().for_each(|client| client.end().assert_silent());
        gone
    });
}

#[test]
fn a_crowd_of_idle_clients_that_hold_their_ends_does_not_keep_it() {
    let monitor = Monitor::taking_all();
    let mut service = Service::start(SERVICE, &[("THREADS", "2")], Some(&monitor));
    let idle: Vec<_> = (0..300).map(|_| service.connect_kept()).collect();
    let signalled = service.terminate();
    let gone = gone_after(service, &monitor, signalled);
    assert!(gone < QUIET + Duration::from_millis(250), "gone after {gone:?}");
    idle.into_iter().for_each(|client| client.end().assert_silent());
}

#[test]
fn probes_do_not_keep_it() {
    let monitor = Monitor::taking_all();
    let service = Service::start(SERVICE, &[("THREADS", "2")], Some(&monitor));
    let signalled = service.terminate();
    monitor.wait_for_draining();
    // A platform asks, again and again.
    while let Ok(mut client) = sundown_tests::http::Client::try_connect(service.address) {
        let asked = client.try_send("GET /readyz HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        if asked.is_err() || client.end().bytes.is_empty() {
            break;
        }
    }
    let gone = gone_after(service, &monitor, signalled);
    assert!(gone < 3 * QUIET, "gone after {gone:?}");
}
