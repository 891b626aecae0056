//! Handlers that end when a shutdown takes their exchange: each client gets one whole answer, and it is true.

use std::time::Duration;

use sundown_tests::http::{Answer, Client, Monitor, Service, terminate_and_hurry};

use super::PROGRAMS;

const CROWD: usize = 250;

/// The ids of one crowd, and when the handler of each is to end, in microseconds around the moment: four in ten within
/// 3 ms of it, and a few up to 40 ms away, lest a slow machine miss it altogether.
fn crowd() -> Vec<(String, i64)> {
    let half = CROWD as i64 / 2;
    let place = |n: usize| i64::try_from(n).expect("a crowd is small") - half;
    let at = |n| 40_000 * place(n).pow(3) / half.pow(3);
    (0..CROWD).map(|n| (format!("job-{n:03}"), at(n))).collect()
}

/// Sends the crowd's requests; the handlers have begun.
fn begin(service: &mut Service, path: impl Fn(i64) -> String) -> Vec<(String, Client)> {
    let clients: Vec<_> = crowd()
        .into_iter()
        .map(|(id, at)| {
            let client = service.begin(&path(at), &id);
            (id, client)
        })
        .collect();
    clients
}

/// Who was answered by its handler, if the others' answers are what `instead` says.
fn own(clients: Vec<(String, Client)>, instead: impl Fn(&str, sundown_tests::http::Reply)) -> Vec<String> {
    let mut own = Vec::new();
    for (id, client) in clients {
        let reply = client.only_reply("GET");
        if reply.field("sundown-fate").is_none() {
            reply.assert_own(&format!("own {id}\n"));
            own.push(id);
        } else {
            instead(&id, reply);
        }
    }
    own
}

#[test]
fn a_job_that_commits_around_the_claim_is_done_or_handed_over_and_its_client_knows_which() {
    let (mut done, mut handed_over) = (0, 0);
    for threads in ["1", "2", "1", "2"] {
        let monitor = Monitor::taking_all();
        let mut service = PROGRAMS.responder(&[("GRACE", "2"), ("THREADS", threads)], Some(&monitor));
        let clients = begin(&mut service, |at| format!("/around-claim?us={at}"));
        service.terminate();
        let mut all = own(clients, |id, reply| reply.assert_success("handed-over", id));
        done += all.len();
        let taken = monitor.jobs();
        handed_over += taken.len();
        all.extend(taken);
        all.sort();
        let ids: Vec<_> = crowd().into_iter().map(|(id, _)| id).collect();
        assert_eq!(all, ids, "each is done or handed over, and none is both");
        service.end().assert_code(0);
    }
    println!("of {} jobs {done} were done and {handed_over} handed over", 4 * CROWD);
    assert!(done > 0 && handed_over > 0, "the race did not happen: {done} done");
}

#[test]
fn a_handler_that_ends_around_the_answer_step_answers_or_is_answered_for() {
    let (mut answered, mut told) = (0, 0);
    for threads in ["1", "2", "2"] {
        // One job, which the monitor takes its time for: the others end while it does, and after.
        let monitor = Monitor::start(|_| Answer::AcknowledgeAfter(Duration::from_millis(20)));
        let mut service = PROGRAMS.responder(&[("THREADS", threads)], Some(&monitor));
        let slow = service.begin("/wait", "slow");
        let clients = begin(&mut service, |at| format!("/after-claim?done=true&us={}", (23_000 + at).max(0)));
        terminate_and_hurry(&service, &monitor);
        answered += own(clients, |id, reply| {
            reply.assert_success("completed", id);
        })
        .len();
        told += CROWD;
        slow.only_reply("GET").assert_success("handed-over", "slow");
        service.end().assert_code(0);
    }
    told -= answered;
    println!("of {} handlers {answered} answered and {told} were answered for", 3 * CROWD);
    assert!(answered > 0 && told > 0, "the race did not happen: {answered} answered");
}

#[test]
fn a_blocking_handler_that_ends_around_the_rescue_answers_or_is_answered_for() {
    /// In this time after the claim, the handlers block their threads; 250 ms later, the rescue begins.
    const DELAY: Duration = Duration::from_millis(100);
    const RESCUE: i64 = 353_000;
    /// Handlers that end meanwhile, in microseconds: a runtime that does nothing at all would not be waited for so long.
    const PACE: [i64; 4] = [160_000, 220_000, 280_000, 335_000];
    // One for each handler, and some to spare.
    let threads = (CROWD + PACE.len() + 2).to_string();
    let (mut answered, mut told) = (0, 0);
    for _ in 0..4 {
        let monitor = Monitor::start(|_| Answer::AcknowledgeAfter(DELAY));
        let mut service = PROGRAMS.responder(&[("THREADS", &threads)], Some(&monitor));
        let slow = service.begin("/wait", "slow");
        let pace = PACE
            .map(|us| service.begin(&format!("/after-claim?block=true&done=true&us={us}"), &us.to_string()));
        let clients =
            begin(&mut service, |at| format!("/after-claim?block=true&done=true&us={}", RESCUE + at));
        terminate_and_hurry(&service, &monitor);
        answered += own(clients, |id, reply| {
            reply.assert_success("completed", id);
        })
        .len();
        slow.only_reply("GET").assert_success("handed-over", "slow");
        pace.map(|client| client.only_reply("GET").status).iter().for_each(|status| assert_eq!(*status, 200));
        let ending = service.end();
        ending.assert_code(0);
        told += ending.report().note("http", "answered by the rescue");
    }
    println!("of {} blocking handlers {answered} answered, {told} exchanges were rescued", 4 * CROWD);
    assert!(answered > 0 && told > 0, "the race did not happen: {answered} answered, {told} rescued");
}
