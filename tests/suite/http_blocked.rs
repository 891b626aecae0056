//! The runtime is blocked: who waits is answered all the same, from outside it.

use std::time::Duration;

use sundown_tests::{
    http::{Answer, Client, Monitor, Service, terminate_and_hurry},
    promised, side_by_side,
};

use super::PROGRAMS;

/// What blocks this has only one thread for everything: to accept, too.
const ONE_THREAD: [(&str, &str); 2] = [("THREADS", "1"), ("LIFE", "task")];

/// A service of one thread, which is blocked by the handler of `blocker`.
fn block(monitor: &Monitor, before: impl FnOnce(&mut Service)) -> (Service, Client) {
    let mut service = PROGRAMS.responder(&ONE_THREAD, Some(monitor));
    before(&mut service);
    let blocker = service.begin("/wait?block=true", "blocker");
    (service, blocker)
}

/// Handlers block all of so many threads.
fn block_all(service: &mut Service, threads: &str) -> Vec<(String, Client)> {
    let threads: usize = threads.parse().expect("it is a number");
    let ids: Vec<_> = (0..threads).map(|n| format!("blocked-{n}")).collect();
    let clients = service.block_together(&ids);
    ids.into_iter().zip(clients).collect()
}

#[test]
fn every_blocked_handlers_client_is_told_that_its_job_was_handed_over() {
    side_by_side(&["service 1", "responder 1", "responder 2"], |case| {
        let (program, threads) = case.split_once(' ').expect("it is a program and a number");
        let monitor = Monitor::taking_all();
        let variables = [("THREADS", threads), ("GRACE", "4")];
        let (service, clients) = if program == "service" {
            let mut service = PROGRAMS.service(&variables, Some(&monitor));
            let client = service.begin("/block?ms=60000", "blocked-0");
            (service, vec![("blocked-0".to_owned(), client)])
        } else {
            let mut service = PROGRAMS.responder(&variables, Some(&monitor));
            let clients = block_all(&mut service, threads);
            (service, clients)
        };
        let signalled = service.terminate();
        let mut ids = Vec::new();
        for (id, client) in clients {
            client.only_reply("GET").assert_success("handed-over", &id);
            ids.push(id);
        }
        let ending = service.end();
        ending.assert_within(promised(Duration::from_secs(4)), signalled);
        ending.assert_code(0);
        assert_eq!(monitor.jobs(), ids);
        assert!(!ending.has("D "), "nobody's effect was done: {}", ending.text());
    });
}

#[test]
fn a_blocked_client_is_answered_in_a_grace_of_a_second() {
    let monitor = Monitor::taking_all();
    let mut service = PROGRAMS.service(&[("THREADS", "1"), ("GRACE", "1")], Some(&monitor));
    let client = service.begin("/block?ms=60000", "blocked");
    let queued = Client::asking(service.address, "/fast", "queued");
    let signalled = service.terminate();
    client.only_reply("GET").assert_success("handed-over", "blocked");
    queued.only_reply("GET").assert_retry("not-started");
    let ending = service.end();
    assert!(ending.after(signalled) < Duration::from_secs(1), "{:?}", ending.after(signalled));
    ending.assert_code(0);
}

#[test]
pub(super) fn who_waits_in_the_accept_queue_of_a_blocked_process_gets_503() {
    side_by_side(&["1", "2"], |threads| {
        let monitor = Monitor::taking_all();
        let mut service = PROGRAMS.responder(&[("THREADS", threads), ("LIFE", "task")], Some(&monitor));
        let blocked = block_all(&mut service, threads);
        let queued: Vec<_> =
            (0..60).map(|n| Client::asking(service.address, "/fast", &format!("queued-{n}"))).collect();
        terminate_and_hurry(&service, &monitor);
        for (id, client) in blocked {
            client.only_reply("GET").assert_success("handed-over", &id);
        }
        for client in queued {
            client.only_reply("GET").assert_retry("not-started");
        }
        let ending = service.end();
        assert_eq!(ending.report().note("http", "answered from the accept queue"), 60);
        let started = monitor.jobs().iter().all(|id| id.starts_with("blocked-"));
        assert!(started, "what was never started is nobody's job: {:?}", monitor.jobs());
        ending.assert_code(0);
    });
}

#[test]
fn a_client_that_has_half_closed_is_answered() {
    let monitor = Monitor::taking_all();
    let (service, mut blocker) = block(&monitor, |_| {});
    blocker.half_close();
    let mut queued = Client::asking(service.address, "/fast", "queued");
    queued.half_close();
    let signalled = terminate_and_hurry(&service, &monitor);
    blocker.only_reply("GET").assert_success("handed-over", "blocker");
    queued.only_reply("GET").assert_retry("not-started");
    let ending = service.end();
    ending.assert_code(0);
    // The head start of the runtime, and the time that `main` is given to come back in.
    let waited = ending.after(signalled);
    assert!(waited < Duration::from_millis(1500), "nobody is left to wait for: {waited:?}");
}

#[test]
fn where_nobody_acknowledges_the_blocked_clients_are_told_to_retry() {
    let monitor = Monitor::start(|_| Answer::Status(500));
    let mut service = PROGRAMS.responder(&[("THREADS", "2")], Some(&monitor));
    let ids = ["a", "b"].map(str::to_owned);
    let clients = service.block_together(&ids);
    terminate_and_hurry(&service, &monitor);
    for client in clients {
        client.only_reply("GET").assert_retry("unacknowledged");
    }
    let ending = service.end();
    ending.assert_code(1);
    assert_eq!(ending.report().jobs("unacknowledged"), ids);
}

/// The threads that run tasks are blocked, and `main`, which accepts, may not be: then the connections' own tasks never
/// run.
#[test]
fn a_client_whose_connection_nobody_has_looked_at_is_answered() {
    side_by_side(&["1", "2"], |threads| {
        let monitor = Monitor::taking_all();
        let mut service = PROGRAMS.responder(&[("THREADS", threads)], Some(&monitor));
        let blocked = block_all(&mut service, threads);
        let asking: Vec<_> =
            (0..20).map(|n| Client::asking(service.address, "/fast", &format!("asking-{n}"))).collect();
        terminate_and_hurry(&service, &monitor);
        for client in asking {
            client.only_reply("GET").assert_retry("not-started");
        }
        for (id, client) in blocked {
            client.only_reply("GET").assert_success("handed-over", &id);
        }
        service.end().assert_code(0);
    });
}
