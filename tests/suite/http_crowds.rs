//! Many clients that wait, and much that nobody reads: everybody gets all of the answer.

use std::{thread, time::Duration};

use sundown_tests::{
    allow_descriptors,
    http::{Client, End, Monitor, Service, terminate_and_hurry},
    sized,
};

use super::PROGRAMS;

/// So many wait, on a runtime that is alive or that the first of them blocks.
fn thousands_wait(count: usize, blocked: bool) {
    // A debug build shares its machine with other tests.
    let bound = Duration::from_millis(sized(4000, 500));
    allow_descriptors(count as u64 + 200);
    let monitor = Monitor::taking_all();
    let mut service = PROGRAMS.responder(&[("THREADS", "1"), ("BATCH", "1000")], Some(&monitor));
    let mut clients = Vec::new();
    while clients.len() < count {
        // No more at once than the accept queue holds.
        let some = clients.len()..(clients.len() + 100).min(count);
        clients.extend(some.clone().map(|n| Client::asking(service.address, "/wait", &format!("n-{n}"))));
        some.for_each(|_| drop(service.child.wait_for("S ")));
    }
    let blocker = blocked.then(|| service.begin("/wait?block=true", "blocker"));
    let signalled = terminate_and_hurry(&service, &monitor);
    let ends: Vec<_> = clients.into_iter().map(Client::end).collect();
    for (n, transcript) in ends.iter().enumerate() {
        transcript.only_reply("GET").assert_success("handed-over", &format!("n-{n}"));
    }
    if let Some(client) = blocker {
        client.only_reply("GET").assert_success("handed-over", "blocker");
    }
    let ending = service.end();
    ending.assert_code(0);
    let report = ending.report();
    let last = ends.iter().map(|transcript| transcript.at).max().expect("somebody waits");
    let last = last.saturating_duration_since(signalled).saturating_sub(report.began("claim"));
    let told = report.began("answer") - report.began("claim");
    let rescued = report.note("http", "answered by the rescue");
    println!(
        "{count} waiting clients, blocked: {blocked}: fates known {told:?} after the claim, the last answered {last:?} \
         after it, {rescued} by the rescue; gone {:?} after the signal",
        ending.after(signalled)
    );
    assert!(last < bound, "the last was answered {last:?} after the claim");
}

#[test]
fn thousands_that_wait_are_answered_in_a_fraction_of_the_answer_step() {
    thousands_wait(sized(2000, 4000), false);
}

#[test]
fn thousands_that_wait_for_a_blocked_process_are_answered_as_fast() {
    thousands_wait(sized(2000, 4000), true);
}

const LARGE: usize = 100_000;
const UPLOAD: usize = 4_000_000;

/// Sends all of its upload before it reads anything.
fn upload(mut client: Client, sent_before: usize) {
    let _ = client.try_send(vec![b'u'; UPLOAD - sent_before]);
    let transcript = client.end();
    let [reply] = &transcript.replies(&["POST"])[..] else { panic!("{transcript}") };
    assert_eq!((reply.status, reply.body.len(), transcript.end), (200, LARGE, End::Fin), "{transcript}");
}

fn begin_upload(service: &mut Service, id: &str) -> Client {
    let mut client = Client::connect_narrow(service.address);
    client.send(format!(
        "POST /large?bytes={LARGE} HTTP/1.1\r\nhost: test\r\nx-job-id: {id}\r\ncontent-length: {UPLOAD}\r\n\r\n"
    ));
    client.send(vec![b'u'; 1000]);
    service.wait_for_start(id);
    client
}

/// A close would reset the connection, and destroy it.
#[test]
fn an_answer_that_ignores_its_upload_arrives_while_running() {
    let monitor = Monitor::taking_all();
    let mut service = PROGRAMS.responder(&[], Some(&monitor));
    for n in 0..8 {
        let client = begin_upload(&mut service, &format!("up-{n}"));
        upload(client, 1000);
    }
}

#[test]
fn an_answer_that_ignores_its_upload_arrives_at_the_shutdown() {
    for hurried in [false, true] {
        let monitor = Monitor::taking_all();
        let mut service = PROGRAMS.responder(&[], Some(&monitor));
        let clients: Vec<_> = (0..8).map(|n| begin_upload(&mut service, &format!("up-{n}"))).collect();
        if hurried {
            terminate_and_hurry(&service, &monitor);
        } else {
            service.terminate();
            monitor.wait_for_draining();
        }
        thread::scope(|scope| {
            for client in clients {
                scope.spawn(|| upload(client, 1000));
            }
        });
        service.end().assert_code(0);
    }
}

#[test]
fn who_uploads_to_a_blocked_process_gets_its_answer() {
    let monitor = Monitor::taking_all();
    let mut service = PROGRAMS.responder(&[("THREADS", "1")], Some(&monitor));
    let blocker = service.begin("/wait?block=true", "blocker");
    let queued: Vec<_> = (0..8)
        .map(|n| {
            let mut client = Client::connect_narrow(service.address);
            client.send(format!(
                "POST /fast HTTP/1.1\r\nhost: test\r\nx-job-id: {n}\r\ncontent-length: {UPLOAD}\r\n\r\n"
            ));
            client
        })
        .collect();
    terminate_and_hurry(&service, &monitor);
    thread::scope(|scope| {
        for mut client in queued {
            scope.spawn(move || {
                let _ = client.try_send(vec![b'u'; UPLOAD]);
                client.only_reply("HEAD").assert_retry("not-started");
            });
        }
    });
    blocker.only_reply("GET").assert_success("handed-over", "blocker");
    service.end().assert_code(0);
}
