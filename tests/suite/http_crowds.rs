//! Many clients at the moment of the signal: nobody is lost.

use std::{
    thread,
    time::{Duration, Instant},
};

use sundown_tests::http::{Client, End, Monitor, Service, terminate_and_hurry};

use super::PROGRAMS;

/// Half of the crowd comes on kept connections. Requests are sent one after another in some 20 ms, the signal in their
/// middle.
fn crowd(count: usize) -> (usize, usize) {
    const SPACE: Duration = Duration::from_micros(100);
    let monitor = Monitor::taking_all();
    let mut service = PROGRAMS.service(&[("THREADS", "2")], Some(&monitor));
    let mut kept: Vec<_> = (0..count / 2).map(|_| service.connect_kept()).collect();
    let began = Instant::now();
    let mut clients = Vec::new();
    for n in 0..count {
        while began.elapsed() < SPACE * u32::try_from(n).expect("a crowd is small") {
            thread::yield_now();
        }
        if n == count / 2 {
            service.terminate();
        }
        let mut client = if n % 2 == 0 { kept.pop().expect("half are kept") } else { service.connect() };
        client.get("/fast", &format!("n-{n}"));
        clients.push((n, client));
    }
    let sent = began.elapsed();
    assert!(sent < Duration::from_millis(500), "the machine is too busy for this test: {sent:?}");
    let mut refused = 0;
    for (n, mut client) in clients {
        let reply = if n < count / 2 { client.reply("GET") } else { client.only_reply("GET") };
        if reply.status == 200 {
            reply.assert_own(&format!("done n-{n}\n"));
        } else {
            reply.assert_retry("not-started");
            refused += 1;
        }
    }
    service.end().assert_code(0);
    (count - refused, refused)
}

#[test]
pub(super) fn of_a_thousand_requests_around_the_signal_none_is_lost() {
    let (mut served, mut refused) = (0, 0);
    for _ in 0..5 {
        let (more_served, more_refused) = crowd(200);
        served += more_served;
        refused += more_refused;
    }
    println!("of 1000 requests around the signal {served} were served and {refused} told to retry");
    assert_eq!(served + refused, 1000);
}

#[test]
fn thousands_that_wait_are_answered_in_a_fraction_of_the_answer_step() {
    const CROWD: usize = 2000;
    let monitor = Monitor::taking_all();
    let mut service = PROGRAMS.responder(&[], Some(&monitor));
    let mut clients = Vec::new();
    while clients.len() < CROWD {
        // No more at once than the accept queue holds.
        let some = clients.len()..clients.len() + 100;
        clients.extend(some.clone().map(|n| Client::asking(service.address, "/wait", &format!("n-{n}"))));
        some.for_each(|_| drop(service.child.wait_for("S ")));
    }
    let signalled = terminate_and_hurry(&service, &monitor);
    for (n, client) in clients.into_iter().enumerate() {
        client.only_reply("GET").assert_success("handed-over", &format!("n-{n}"));
    }
    let ending = service.end();
    ending.assert_code(0);
    println!("{CROWD} waiting clients: gone {:?} after the signal", ending.after(signalled));
    assert_eq!(monitor.jobs().len(), CROWD);
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
pub(super) fn who_uploads_to_a_blocked_process_gets_its_answer() {
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
