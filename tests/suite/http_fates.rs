//! What a client is told is what became of its job, whatever the monitor and the handler do.

use std::{net::TcpListener, time::Duration};

use sundown_tests::{
    http::{Answer, Client, Monitor, Reply, Service, h2, terminate_and_hurry},
    side_by_side,
};

use super::PROGRAMS;

/// Asks for `path` once for each id; the handlers have begun.
fn crowd(service: &mut Service, path: &str, ids: &[String]) -> Vec<Client> {
    let clients = ids.iter().map(|id| Client::asking(service.address, path, id)).collect();
    ids.iter().for_each(|_| service.wait_for_start(""));
    clients
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("job-{n:03}")).collect()
}

/// The ids whose clients were told success, and the answers of the others.
fn successes(ids: &[String], clients: Vec<Client>) -> (Vec<String>, Vec<Reply>) {
    let (mut told, mut others) = (Vec::new(), Vec::new());
    for (id, client) in ids.iter().zip(clients) {
        let reply = client.only_reply("GET");
        if reply.status == 200 {
            reply.assert_success("handed-over", id);
            told.push(id.clone());
        } else {
            others.push(reply);
        }
    }
    (told, others)
}

#[test]
fn where_the_monitor_refuses_everybody_is_told_to_retry() {
    let monitor = Monitor::start(|_| Answer::Status(500));
    let mut service = PROGRAMS.service(&[("THREADS", "2")], Some(&monitor));
    let ids = ids(5);
    let clients = crowd(&mut service, "/sleep?ms=60000", &ids);
    terminate_and_hurry(&service, &monitor);
    let (told, others) = successes(&ids, clients);
    assert!(told.is_empty(), "{told:?}");
    others.iter().for_each(|reply| reply.assert_retry("unacknowledged"));
    let ending = service.end();
    ending.assert_code(1);
    for id in ids {
        let line = format!("unacknowledged: {id} of http");
        assert!(ending.complaints.contains(&line), "{}", ending.complaints);
    }
}

#[test]
fn where_nobody_listens_for_the_jobs_everybody_is_told_to_retry() {
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let url = format!("http://{}/", nobody.expect("it was bound"));
    let mut service = PROGRAMS.service(&[("THREADS", "1"), ("GRACE", "2"), ("SINK_URL", &url)], None);
    let alive = service.begin("/sleep?ms=60000", "alive");
    let blocked = service.begin("/block?ms=60000", "blocked");
    service.terminate();
    alive.only_reply("GET").assert_retry("unacknowledged");
    blocked.only_reply("GET").assert_retry("unacknowledged");
    let ending = service.end();
    ending.assert_code(1);
    for line in ["unacknowledged: alive of http", "unacknowledged: blocked of http"] {
        assert!(ending.complaints.contains(line), "{}", ending.complaints);
    }
}

#[test]
fn of_many_jobs_those_of_the_acknowledged_batch_are_handed_over() {
    let monitor = Monitor::start(|batch| if batch == 0 { Answer::Acknowledge } else { Answer::Hang });
    let mut service = PROGRAMS.service(&[("THREADS", "2")], Some(&monitor));
    let ids = ids(150);
    let clients = crowd(&mut service, "/sleep?ms=60000", &ids);
    terminate_and_hurry(&service, &monitor);
    let (told, others) = successes(&ids, clients);
    assert_eq!(told, monitor.jobs_of_batch(0));
    assert_eq!((told.len(), others.len()), (100, 50));
    // They were sent, and not a word came back.
    others.iter().for_each(|reply| reply.assert_retry("in-doubt"));
    service.end().assert_code(1);
}

#[test]
fn of_many_blocked_jobs_those_that_the_monitor_names_are_handed_over() {
    let named = ["job-001", "job-003"].map(str::to_owned);
    let theirs = named.to_vec();
    let monitor = Monitor::start(move |_| Answer::Only(theirs.clone()));
    let mut service = PROGRAMS.responder(&[("THREADS", "4")], Some(&monitor));
    let ids = ids(4);
    let clients = service.block_together(&ids);
    terminate_and_hurry(&service, &monitor);
    let (told, others) = successes(&ids, clients);
    assert_eq!(told, named);
    others.iter().for_each(|reply| reply.assert_retry("unacknowledged"));
    let report = service.end();
    report.assert_code(1);
    assert_eq!(report.report().jobs("handed_over"), named);
}

#[test]
fn of_jobs_sent_one_by_one_the_first_is_handed_over_and_the_rest_are_not() {
    let monitor = Monitor::start(|batch| if batch == 0 { Answer::Acknowledge } else { Answer::Hang });
    let mut service = PROGRAMS.responder(&[("BATCH", "1")], Some(&monitor));
    let ids = ids(3);
    let clients: Vec<_> = ids.iter().map(|id| service.begin("/wait", id)).collect();
    terminate_and_hurry(&service, &monitor);
    let (told, others) = successes(&ids, clients);
    assert_eq!(told, monitor.jobs_of_batch(0));
    assert_eq!(others.len(), 2);
    others.iter().for_each(|reply| assert_eq!(reply.status, 503));
    service.end().assert_code(1);
}

/// Awaiting, and blocking the only thread.
const BLOCKS: [bool; 2] = [false, true];

/// Asks for `path` with job `it` and this `Accept`; what came back, and how the monitor took it.
fn told(block: bool, path: &str, accept: &str, variables: &[(&str, &str)], monitor: &Monitor) -> Reply {
    let mut service = PROGRAMS.responder(&[&[("THREADS", "1")], variables].concat(), Some(monitor));
    let mut client = service.connect();
    let head =
        format!("GET {path}?block={block} HTTP/1.1\r\nhost: test\r\nx-job-id: it\r\naccept: {accept}\r\n");
    client.send(head + "\r\n");
    service.wait_for_start("it");
    terminate_and_hurry(&service, monitor);
    let reply = client.only_reply("GET");
    drop(service.end());
    reply
}

#[test]
fn who_prefers_json_gets_it_as_a_problem_or_a_success() {
    side_by_side(&BLOCKS, |&block| {
        let json =
            |reply: &Reply| serde_json::from_slice::<serde_json::Value>(&reply.body).expect("it is JSON");
        let refusing = Monitor::start(|_| Answer::Status(500));
        let reply = told(block, "/wait", "application/problem+json", &[], &refusing);
        reply.assert_retry("unacknowledged");
        assert_eq!(reply.field("content-type"), Some("application/problem+json"), "{reply}");
        let problem = json(&reply);
        assert_eq!(
            (&problem["status"], &problem["fate"]),
            (&503.into(), &"unacknowledged".into()),
            "{reply}"
        );

        let reply = told(block, "/wait", "application/json, */*;q=0.1", &[], &Monitor::taking_all());
        reply.assert_success("handed-over", "it");
        assert_eq!(reply.field("content-type"), Some("application/json"), "{reply}");
        assert_eq!(json(&reply)["fate"], "handed-over", "{reply}");
    });
}

#[test]
fn a_route_has_an_answer_of_its_own_and_it_may_not_lie() {
    side_by_side(&BLOCKS, |&block| {
        let monitor = || Monitor::start(|_| Answer::Status(500));
        let reply = told(block, "/answered/so", "*/*", &[], &monitor());
        assert_eq!((reply.status, &*reply.text()), (409, "mine: unacknowledged\n"), "{reply}");
        assert_eq!(reply.field("sundown-fate"), Some("unacknowledged"), "{reply}");
        for path in ["/answered/with-a-panic", "/answered/with-success"] {
            let reply = told(block, path, "*/*", &[], &monitor());
            reply.assert_retry("unacknowledged");
            assert_eq!(reply.text(), "shutting down; not taken over\n");
        }
    });
}

#[test]
fn where_success_is_claimed_even_if_work_is_lost_everybody_is_told_200() {
    side_by_side(&BLOCKS, |&block| {
        let monitor = || Monitor::start(|_| Answer::Status(500));
        for path in ["/wait", "/answered/with-success"] {
            let reply = told(block, path, "*/*", &[("CLAIM", "success")], &monitor());
            reply.assert_success("unacknowledged", "it");
        }
    });
}

#[test]
fn who_waits_for_a_job_that_is_done_is_never_told_to_retry() {
    side_by_side(&BLOCKS, |block| {
        let monitor = Monitor::start(|_| Answer::Status(500));
        let mut service = PROGRAMS.responder(&[("THREADS", "1")], Some(&monitor));
        let client = service.begin(&format!("/done?block={block}"), "it");
        service.child.wait_for("D it");
        terminate_and_hurry(&service, &monitor);
        client.only_reply("GET").assert_success("completed", "it");
        let ending = service.end();
        ending.assert_code(0);
        assert_eq!(monitor.jobs(), [""; 0], "there is nothing to take over");
    });
}

#[test]
fn a_job_in_mid_commit_when_the_time_is_over_is_in_doubt() {
    side_by_side(&BLOCKS, |block| {
        let monitor = Monitor::taking_all();
        let mut service = PROGRAMS.responder(&[("THREADS", "1")], Some(&monitor));
        let client = service.begin(&format!("/committing?ms=60000&block={block}"), "it");
        service.child.wait_for("C it");
        terminate_and_hurry(&service, &monitor);
        client.only_reply("GET").assert_retry("in-doubt");
        let ending = service.end();
        ending.assert_code(1);
        assert_eq!(ending.report().jobs("in_doubt"), ["it"]);
        assert_eq!(monitor.jobs(), [""; 0], "nobody may do it again before it is known");
    });
}

#[test]
fn a_job_whose_commit_has_just_ended_gets_its_own_answer_even_if_the_rescue_looks() {
    side_by_side(&BLOCKS, |block| {
        let monitor = Monitor::taking_all();
        let mut service = PROGRAMS.responder(&[("THREADS", "1")], Some(&monitor));
        let client = service.begin(&format!("/committing?ms=600&us=20000&block={block}"), "it");
        service.child.wait_for("C it");
        terminate_and_hurry(&service, &monitor);
        service.child.wait_for("D it");
        // It looks at everybody when somebody comes.
        let newcomer = Client::asking(service.address, "/fast", "newcomer");
        client.only_reply("GET").assert_own("effect it\n");
        newcomer.only_reply("GET").assert_retry("not-started");
        service.end().assert_code(0);
    });
}

/// Nobody but the runtime can answer on its stream.
#[test]
fn a_stream_whose_commit_does_not_end_is_told_that_it_is_in_doubt() {
    let monitor = Monitor::taking_all();
    let mut service = PROGRAMS.responder(&[("THREADS", "1"), ("GRACE", "4")], Some(&monitor));
    let mut client = h2::Client::connect(service.address);
    let stream = client.get("/committing?ms=60000", "it");
    service.child.wait_for("C it");
    terminate_and_hurry(&service, &monitor);
    client.end().whole_reply(stream).assert_retry("in-doubt");
    let report = service.end().report();
    assert_eq!(report.jobs("in_doubt"), ["it"]);
    assert_eq!(report.note("http", "answered by the layer"), 1);
}

/// Its handler never comes back; nobody else wakes the rescue.
#[test]
fn a_job_whose_commit_has_ended_is_answered_for_as_soon_as_that() {
    side_by_side(&BLOCKS, |block| {
        let monitor = Monitor::taking_all();
        let reserves = [("THREADS", "2"), ("GRACE", "20"), ("ANSWER", "3000")];
        let mut service = PROGRAMS.responder(&reserves, Some(&monitor));
        let client = service.begin(&format!("/committing?ms=700&us=60000000&block={block}"), "it");
        service.child.wait_for("C it");
        terminate_and_hurry(&service, &monitor);
        let done = service.child.wait_for("D it").at;
        let reply = client.only_reply("GET");
        reply.assert_success("completed", "it");
        // A moment for its handler, and room for a busy machine: far from the 2.25 s after which nobody is waited for.
        let took = done.elapsed();
        assert!(took < Duration::from_millis(800), "answered {took:?} after the commit");
        service.end().assert_code(0);
    });
}

#[test]
fn a_job_whose_commit_ends_during_the_answer_step_gets_its_own_answer() {
    side_by_side(&BLOCKS, |block| {
        let monitor = Monitor::taking_all();
        let mut service = PROGRAMS.responder(&[("THREADS", "1")], Some(&monitor));
        let other = service.begin("/wait", "other");
        let client = service.begin(&format!("/committing?ms=600&block={block}"), "it");
        service.child.wait_for("C it");
        terminate_and_hurry(&service, &monitor);
        other.only_reply("GET").assert_success("handed-over", "other");
        client.only_reply("GET").assert_own("effect it\n");
        let ending = service.end();
        ending.assert_code(0);
        assert_eq!(monitor.jobs(), ["other"]);
        assert!(ending.has("D it"));
    });
}
