//! The runtime is alive: each state that a connection can be in at the answer step has its right ending.

use std::{thread, time::Duration};

use sundown_tests::http::{Answer, Client, End, Framing, Monitor, Service, terminate_and_hurry};

use super::PROGRAMS;

/// A service, and the monitor that takes all its jobs over.
fn start(variables: &[(&str, &str)]) -> (Service, Monitor) {
    let monitor = Monitor::taking_all();
    (PROGRAMS.responder(variables, Some(&monitor)), monitor)
}

/// A connection on which this was sent, once the handler of job `it` has begun.
fn begin(service: &mut Service, request: &str) -> Client {
    let mut client = service.connect();
    client.send(request);
    service.wait_for_start("it");
    client
}

/// Ends the service, which has nothing to be sorry for.
fn finish(service: Service) {
    service.end().assert_code(0);
}

#[test]
fn a_client_that_waits_is_told_that_its_job_was_handed_over() {
    let (mut service, monitor) = start(&[]);
    let client = service.begin("/wait", "it");
    terminate_and_hurry(&service, &monitor);
    let reply = client.only_reply("GET");
    reply.assert_success("handed-over", "it");
    assert_eq!(reply.framing, Framing::Length(reply.body.len()));
    assert_eq!(monitor.jobs(), ["it"]);
    finish(service);
}

#[test]
pub(super) fn of_pipelined_requests_the_first_outstanding_one_is_answered() {
    for blocked in ["", "?block=true"] {
        let (mut service, monitor) = start(&[("THREADS", "1")]);
        let get =
            |path: &str, id: &str| format!("GET {path} HTTP/1.1\r\nhost: test\r\nx-job-id: {id}\r\n\r\n");
        let wait = format!("/wait{blocked}");
        let mut client = service.connect();
        // The answer to the first is on its way when the runtime is blocked by the second.
        client.send([get("/fast", "one"), get(&wait, "two"), get("/fast", "three")].concat());
        service.wait_for_start("two");
        terminate_and_hurry(&service, &monitor);
        let transcript = client.end();
        let replies = transcript.replies(&["GET"; 3]);
        assert!(replies.iter().all(|reply| reply.is_whole) && transcript.end == End::Fin, "{transcript}");
        if blocked.is_empty() {
            let [one, two] = &replies[..] else { panic!("{transcript}") };
            one.assert_own("fast one\n");
            two.assert_success("handed-over", "two");
        } else if let [one, rest @ ..] = &replies[..] {
            // If the first answer was still in the blocked runtime, there can be none after it.
            one.assert_own("fast one\n");
            rest.iter().for_each(|two| two.assert_success("handed-over", "two"));
        }
        let ending = service.end();
        assert!(!ending.has("S three"), "{} {}", ending.text(), ending.complaints);
    }
}

#[test]
fn the_client_of_a_handler_that_panics_gets_500_and_nobody_else_is_disturbed() {
    let (mut service, monitor) = start(&[]);
    let neighbour = service.begin("/wait", "neighbour");
    let client = begin(&mut service, "GET /panic HTTP/1.1\r\nhost: test\r\nx-job-id: it\r\n\r\n");
    let reply = client.only_reply("GET");
    assert_eq!((reply.status, reply.field("sundown-fate")), (500, None), "{reply}");
    service.connect_kept();
    terminate_and_hurry(&service, &monitor);
    neighbour.only_reply("GET").assert_success("handed-over", "neighbour");
    assert_eq!(monitor.jobs(), ["neighbour"], "the other has failed");
    finish(service);
}

#[test]
fn the_client_of_a_handler_that_panics_while_draining_is_told_who_took_its_job_over() {
    let (mut service, monitor) = start(&[]);
    let client = service.begin("/panic-draining", "it");
    let neighbour = service.begin("/wait", "neighbour");
    terminate_and_hurry(&service, &monitor);
    client.only_reply("GET").assert_success("handed-over", "it");
    neighbour.only_reply("GET").assert_success("handed-over", "neighbour");
    assert_eq!(monitor.jobs(), ["it", "neighbour"]);
    finish(service);
}

#[test]
fn a_slow_reader_gets_all_of_a_large_answer() {
    const SIZE: usize = 3_000_000;
    for hurried in [false, true] {
        let (mut service, monitor) = start(&[]);
        let mut client = Client::connect_narrow(service.address);
        client.get(&format!("/large?bytes={SIZE}"), "it");
        service.wait_for_start("it");
        client.wait_for_bytes(1000);
        if hurried {
            terminate_and_hurry(&service, &monitor);
        } else {
            service.terminate();
            monitor.wait_for_draining();
        }
        let reply = client.only_reply("GET");
        assert_eq!((reply.status, reply.body.len()), (200, SIZE));
        finish(service);
    }
}

#[test]
fn a_client_whose_runtime_is_dropped_before_the_servers_turn_is_answered() {
    let (mut service, _monitor) = start(&[("LIFE", "dropped"), ("FIRST", "300")]);
    let client = service.begin("/wait", "it");
    service.terminate();
    service.child.wait_for("dropped");
    let reply = client.only_reply("GET");
    assert!(matches!(reply.status, 200 | 503), "{reply}");
    service.end();
}

#[test]
fn a_client_that_waits_when_its_runtime_is_dropped_is_answered() {
    let (mut service, monitor) = start(&[("LIFE", "dropped-when-told")]);
    let client = service.begin("/wait", "it");
    let idle = service.connect_kept();
    service.terminate();
    // Once the server's turn has come.
    while Client::asking(service.address, "/fast", "x").reply("GET").field("connection").is_none() {}
    service.child.tell("drop");
    service.child.wait_for("dropped");
    client.only_reply("GET").assert_success("handed-over", "it");
    idle.end().assert_silent();
    assert_eq!(monitor.jobs(), ["it"]);
    finish(service);
}

#[test]
fn who_waits_for_a_service_that_never_served_gets_503() {
    let (service, _monitor) = start(&[("LIFE", "never")]);
    let clients: Vec<_> = (0..20).map(|n| Client::asking(service.address, "/fast", &n.to_string())).collect();
    let idle = service.connect();
    service.terminate();
    for client in clients {
        client.only_reply("GET").assert_retry("not-started");
    }
    idle.end().assert_silent();
    finish(service);
}

#[test]
fn who_waits_for_a_service_that_begins_to_serve_while_draining_is_answered() {
    let (service, _monitor) = start(&[("LIFE", "late")]);
    let ask = |n: u32| (n, Client::asking(service.address, "/fast", &n.to_string()));
    let clients: Vec<_> = (0..20).map(ask).collect();
    service.terminate();
    for (n, client) in clients {
        let reply = client.only_reply("GET");
        match reply.status {
            200 => reply.assert_own(&format!("fast {n}\n")),
            _ => reply.assert_retry("not-started"),
        }
    }
    finish(service);
}

/// The lame duck has a cap: when it ends, a request may be on its way on a connection that has just come.
#[test]
fn who_came_just_before_idle_connections_are_closed_is_still_answered() {
    let (mut service, monitor) = start(&[("GRACE", "2")]);
    let busy = service.begin("/wait", "busy");
    let idle = service.connect_kept();
    service.terminate();
    monitor.wait_for_draining();
    let mut late = Vec::new();
    thread::scope(|scope| {
        let closed = scope.spawn(|| idle.end().assert_silent());
        while !closed.is_finished() {
            late.push(service.connect());
            thread::sleep(Duration::from_millis(5)); // a pace, not a wait: those that came last are looked at
        }
    });
    for mut client in late.into_iter().rev().take(10) {
        client.get("/fast", "late");
        client.only_reply("GET").assert_retry("not-started");
    }
    busy.only_reply("GET").assert_success("handed-over", "busy");
    finish(service);
}

#[test]
fn a_response_that_a_slow_reader_does_not_get_whole_is_a_loss() {
    let (mut service, _monitor) = start(&[("GRACE", "1")]);
    let mut client = Client::connect_narrow(service.address);
    client.get("/large?bytes=60000000", "it");
    service.wait_for_start("it");
    client.wait_for_bytes(1000);
    service.terminate();
    let ending = service.end();
    ending.assert_code(1);
    assert_eq!(ending.report().note("http", "responses cut"), 1, "{} {}", ending.text(), ending.complaints);
    drop(client);
}

#[test]
fn the_monitors_reply_is_waited_for_before_anybody_is_answered() {
    let delay = Duration::from_millis(300);
    let monitor = Monitor::start(move |_| Answer::AcknowledgeAfter(delay));
    let mut service = PROGRAMS.responder(&[], Some(&monitor));
    let client = service.begin("/wait", "it");
    let signalled = terminate_and_hurry(&service, &monitor);
    let transcript = client.end();
    transcript.only_reply("GET").assert_success("handed-over", "it");
    assert!(transcript.at - signalled >= delay);
    finish(service);
}

#[test]
fn a_job_id_outside_ascii_comes_back_as_it_was() {
    for block in [false, true] {
        let (mut service, monitor) = start(&[("THREADS", "1")]);
        let client = service.begin(&format!("/wait?block={block}"), "größe-ß");
        terminate_and_hurry(&service, &monitor);
        client.only_reply("GET").assert_success("handed-over", "größe-ß");
        assert_eq!(monitor.jobs(), ["größe-ß"]);
        finish(service);
    }
}

#[test]
fn two_requests_with_one_job_id_are_two_jobs() {
    let (mut service, monitor) = start(&[]);
    let clients = [service.begin("/wait", "twin"), service.begin("/wait", "twin")];
    terminate_and_hurry(&service, &monitor);
    for client in clients {
        client.only_reply("GET").assert_success("handed-over", "twin");
    }
    assert_eq!(monitor.jobs(), ["twin", "twin"]);
    finish(service);
}

#[test]
fn clients_that_have_gone_keep_nobody() {
    for blocked in [false, true] {
        let (mut service, monitor) = start(&[("THREADS", "1")]);
        let (reset, closed) = (service.begin("/wait", "reset"), service.begin("/wait", "closed"));
        let stays = service.begin(&format!("/wait?block={blocked}"), "stays");
        reset.reset();
        drop(closed);
        let signalled = terminate_and_hurry(&service, &monitor);
        stays.only_reply("GET").assert_success("handed-over", "stays");
        let ending = service.end();
        ending.assert_code(0);
        // The head start of a blocked runtime, and the time that `main` is given to come back in.
        let waited = ending.after(signalled);
        assert!(waited < Duration::from_millis(1500), "{waited:?}");
        assert_eq!(monitor.jobs(), ["closed", "reset", "stays"], "the jobs are handed over all the same");
    }
}
