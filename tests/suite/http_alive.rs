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
fn a_head_request_gets_the_headers_and_no_body() {
    let (mut service, monitor) = start(&[]);
    let client = begin(&mut service, "HEAD /wait HTTP/1.1\r\nhost: test\r\nx-job-id: it\r\n\r\n");
    terminate_and_hurry(&service, &monitor);
    client.only_reply("HEAD").assert_success("handed-over", "it");
    finish(service);
}

#[test]
fn an_http_1_0_client_gets_a_length() {
    let (mut service, monitor) = start(&[]);
    let plain = begin(&mut service, "GET /wait HTTP/1.0\r\nx-job-id: it\r\n\r\n");
    let kept = begin(&mut service, "GET /wait HTTP/1.0\r\nconnection: keep-alive\r\nx-job-id: it\r\n\r\n");
    terminate_and_hurry(&service, &monitor);
    for client in [plain, kept] {
        let reply = client.only_reply("GET");
        reply.assert_success("handed-over", "it");
        assert!(matches!(reply.framing, Framing::Length(_)), "{reply}");
    }
    finish(service);
}

#[test]
fn a_client_that_has_half_closed_is_answered() {
    let (mut service, monitor) = start(&[]);
    let mut client = service.begin("/wait", "it");
    client.half_close();
    terminate_and_hurry(&service, &monitor);
    client.only_reply("GET").assert_success("handed-over", "it");
    finish(service);
}

#[test]
fn who_waits_for_100_continue_gets_the_answer_instead() {
    let (mut service, monitor) = start(&[]);
    let client = begin(
        &mut service,
        "POST /wait HTTP/1.1\r\nhost: test\r\nx-job-id: it\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n",
    );
    terminate_and_hurry(&service, &monitor);
    let reply = client.only_reply("POST");
    reply.assert_success("handed-over", "it");
    assert!(reply.interim.is_empty(), "{:?}", reply.interim);
    finish(service);
}

#[test]
fn who_got_100_continue_and_sent_no_body_gets_the_answer_after_it() {
    for threads in ["1", "2"] {
        let (mut service, monitor) = start(&[("THREADS", threads)]);
        let mut client = begin(
            &mut service,
            "POST /read HTTP/1.1\r\nhost: test\r\nx-job-id: it\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n",
        );
        client.wait_for_bytes("HTTP/1.1 100 Continue\r\n\r\n".len());
        // On one thread, the rescue answers after the runtime's 100.
        let blocker = (threads == "1").then(|| service.begin("/wait?block=true", "blocker"));
        terminate_and_hurry(&service, &monitor);
        let reply = client.only_reply("POST");
        reply.assert_success("handed-over", "it");
        assert_eq!(reply.interim, [100]);
        if let Some(blocker) = blocker {
            blocker.only_reply("GET").assert_success("handed-over", "blocker");
        }
        finish(service);
    }
}

#[test]
fn of_pipelined_requests_the_first_outstanding_one_is_answered() {
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

const STREAMS: [(&str, &str); 2] = [("/chunked", "HTTP/1.1"), ("/length", "HTTP/1.1")];

#[test]
fn a_body_that_cannot_end_is_cut_so_that_the_client_can_tell() {
    for (path, version) in STREAMS {
        let (mut service, monitor) = start(&[]);
        let request = format!("GET {path} {version}\r\nhost: test\r\nx-job-id: it\r\n\r\n");
        let client = begin(&mut service, &request);
        terminate_and_hurry(&service, &monitor);
        let transcript = client.end();
        let [reply] = &transcript.replies(&["GET"])[..] else { panic!("{transcript}") };
        assert_eq!((reply.status, &*reply.text()), (200, "beginning\n"), "{transcript}");
        assert!(!reply.is_whole && transcript.end != End::None, "{transcript}");
        assert_eq!(monitor.jobs(), ["it"]);
        finish(service);
    }
}

#[test]
fn a_body_that_cannot_end_is_cut_by_the_end_of_a_blocked_process() {
    for (path, version) in STREAMS {
        let (mut service, monitor) = start(&[("THREADS", "1")]);
        let request = format!("GET {path} {version}\r\nhost: test\r\nx-job-id: it\r\n\r\n");
        let mut client = begin(&mut service, &request);
        client.wait_for_bytes(1);
        let blocker = service.begin("/wait?block=true", "blocker");
        terminate_and_hurry(&service, &monitor);
        blocker.only_reply("GET").assert_success("handed-over", "blocker");
        let transcript = client.end();
        let [reply] = &transcript.replies(&["GET"])[..] else { panic!("{transcript}") };
        assert!(!reply.is_whole && transcript.end != End::None, "{transcript}");
        finish(service);
    }
}

/// Where the end of the body is the end of the connection, one in order would mean that it is whole.
#[test]
fn a_body_that_ends_with_the_connection_is_cut_by_a_reset() {
    for threads in ["1", "2"] {
        let (mut service, monitor) = start(&[("THREADS", threads)]);
        let mut client = begin(&mut service, "GET /chunked HTTP/1.0\r\nx-job-id: it\r\n\r\n");
        client.wait_for_bytes(1);
        let blocker = (threads == "1").then(|| service.begin("/wait?block=true", "blocker"));
        terminate_and_hurry(&service, &monitor);
        let transcript = client.end();
        let [reply] = &transcript.replies(&["GET"])[..] else { panic!("{transcript}") };
        assert_eq!((reply.status, reply.framing), (200, Framing::ToTheEnd), "{transcript}");
        assert_eq!(transcript.end, End::Reset, "{transcript}");
        drop(blocker);
        finish(service);
    }
}

#[test]
fn who_asks_for_a_tunnel_or_an_upgrade_is_never_told_2xx() {
    let requests = [
        ("CONNECT", "CONNECT elsewhere:80 HTTP/1.1\r\nhost: elsewhere:80\r\nx-job-id: it\r\n\r\n"),
        (
            "GET",
            "GET /wait HTTP/1.1\r\nhost: test\r\nx-job-id: it\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        ),
    ];
    for (method, request) in requests {
        for blocked in [false, true] {
            let (mut service, monitor) = start(&[("THREADS", "1")]);
            let client = begin(&mut service, request);
            let blocker = blocked.then(|| service.begin("/wait?block=true", "blocker"));
            terminate_and_hurry(&service, &monitor);
            let reply = client.only_reply(method);
            // Its job is somebody else's: it is not told to send it again.
            let said = ["sundown-fate", "sundown-job", "retry-after"].map(|name| reply.field(name));
            assert_eq!((reply.status, said), (503, [Some("handed-over"), Some("it"), None]), "{reply}");
            drop(blocker);
            finish(service);
        }
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

#[test]
fn an_idle_connection_gets_an_end_and_no_bytes() {
    let (mut service, _monitor) = start(&[]);
    let (fresh, kept) = (service.connect(), service.connect_kept());
    service.terminate();
    fresh.end().assert_silent();
    kept.end().assert_silent();
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
fn part_of_a_head_that_came_with_a_request_gets_a_503_too() {
    let (service, monitor) = start(&[]);
    let mut client = service.connect();
    client.send("GET /fast HTTP/1.1\r\nhost: test\r\nx-job-id: whole\r\n\r\nGET /fast HTT");
    assert_eq!(client.reply("GET").status, 200);
    service.terminate();
    monitor.wait_for_draining();
    client.only_reply("GET").assert_retry("not-started");
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
fn part_of_a_head_gets_a_503_without_a_body() {
    let (mut service, monitor) = start(&[]);
    let (mut fresh, mut kept) = (service.connect(), service.connect_kept());
    fresh.send("GET /fast HT");
    kept.send("GET /fast HT");
    service.connect_kept();
    terminate_and_hurry(&service, &monitor);
    fresh.only_reply("HEAD").assert_retry("not-started");
    kept.only_reply("HEAD").assert_retry("not-started");
    finish(service);
}

#[test]
fn who_asks_while_draining_is_served_and_told_that_it_was_the_last() {
    let (mut service, monitor) = start(&[]);
    let (fresh, mut kept) = (service.connect(), service.connect_kept());
    let mut fresh = fresh;
    service.terminate();
    monitor.wait_for_draining();
    // The announcement is not the server's turn yet: that has come when somebody is told so.
    let told = || Client::asking(service.address, "/fast", "probe").only_reply("GET");
    while told().field("connection") != Some("close") {}
    for client in [&mut fresh, &mut kept] {
        client.get("/fast", "late");
    }
    for client in [fresh, kept] {
        let reply = client.only_reply("GET");
        reply.assert_own("fast late\n");
        assert_eq!(reply.field("connection"), Some("close"));
    }
    finish(service);
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

/// Between the claim and the answer step.
#[test]
fn a_request_that_comes_after_the_claim_gets_503_and_no_handler() {
    let monitor = Monitor::start(|_| Answer::AcknowledgeAfter(Duration::from_millis(400)));
    let mut service = PROGRAMS.responder(&[], Some(&monitor));
    let waiting = service.begin("/wait", "waiting");
    terminate_and_hurry(&service, &monitor);
    monitor.wait_for_jobs();
    let late = Client::asking(service.address, "/fast", "late");
    late.only_reply("GET").assert_retry("not-started");
    waiting.only_reply("GET").assert_success("handed-over", "waiting");
    let ending = service.end();
    ending.assert_code(0);
    assert!(!ending.has("S late"), "{} {}", ending.text(), ending.complaints);
}

#[test]
fn an_upload_is_answered_while_it_is_still_being_sent() {
    for path in ["/wait", "/read"] {
        let (mut service, monitor) = start(&[]);
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: test\r\nx-job-id: it\r\ncontent-length: 3000000\r\n\r\n");
        let mut client = begin(&mut service, &head);
        client.send(vec![b'u'; 60_000]);
        terminate_and_hurry(&service, &monitor);
        client.wait_for_bytes(1);
        let _ = client.try_send(vec![b'u'; 2_000_000]);
        client.only_reply("POST").assert_success("handed-over", "it");
        finish(service);
    }
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
