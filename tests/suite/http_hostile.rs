//! Clients that do as little as they can, and a system that has nothing left: neighbours get their answers no later,
//! and the process leaves on time.

use std::{
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use sundown_tests::{
    Ending, allow_descriptors,
    fixture::LARGE_STACKS,
    http::{Client, End, Monitor, Service, Transcript, terminate_and_hurry},
    promised, side_by_side,
};

use super::PROGRAMS;

const GRACE: Duration = Duration::from_secs(4);

/// When a neighbour is answered at the latest, counted from a signal that is hurried. (A blocked runtime has a head start;
/// the machine may be busy.)
const PROMPT: Duration = Duration::from_millis(1500);

fn start(monitor: &Monitor, blocked: bool) -> Service {
    let threads = if blocked { "1" } else { "2" };
    PROGRAMS.responder(&[("GRACE", "4"), ("THREADS", threads), ("LIFE", "task")], Some(monitor))
}

/// The client of a handler that waits; or that blocks the only thread there is.
fn neighbour(service: &mut Service, blocks: bool) -> Client {
    service.begin(&format!("/wait?block={blocks}"), "neighbour")
}

fn assert_answered(neighbour: Client, signalled: Instant) {
    let transcript = neighbour.end();
    transcript.only_reply("GET").assert_success("handed-over", "neighbour");
    let took = transcript.at.saturating_duration_since(signalled);
    assert!(took < PROMPT, "the neighbour was answered after {took:?}");
}

/// Clients that send a byte every 50 ms, whatever comes back.
struct Drip {
    stop: Sender<()>,
    thread: JoinHandle<Vec<Client>>,
}

impl Drip {
    fn start(mut clients: Vec<Client>) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            while stopped.recv_timeout(Duration::from_millis(50)) == Err(RecvTimeoutError::Timeout) {
                for client in &mut clients {
                    // Who has been answered may have been given up.
                    let _ = client.try_send("d");
                }
            }
            clients
        });
        Drip { stop, thread }
    }

    fn stop(self) -> Vec<Transcript> {
        self.stop.send(()).expect("it drips until then");
        self.thread.join().expect("nobody panics").into_iter().map(Client::end).collect()
    }
}

#[test]
fn slow_heads_and_bodies_keep_nobody_waiting_and_are_answered_themselves() {
    side_by_side(&[(false, false), (false, true), (true, true)], |&(blocked, hurried)| {
        let monitor = Monitor::taking_all();
        let mut service = start(&monitor, blocked);
        let heads: Vec<_> = (0..20)
            .map(|_| {
                let mut client = service.connect();
                client.send("GET /fast HTTP/1.1\r\nhost: test\r\nx-slow: ");
                client
            })
            .collect();
        let bodies: Vec<_> = (0..20)
            .map(|n| {
                let mut client = service.connect();
                let id = format!("body-{n}");
                client.send(format!(
                    "POST /read HTTP/1.1\r\nhost: test\r\nx-job-id: {id}\r\ncontent-length: 100000\r\n\r\nd"
                ));
                service.wait_for_start(&id);
                client
            })
            .collect();
        let neighbour = neighbour(&mut service, blocked);
        let drips = [Drip::start(heads), Drip::start(bodies)];
        let signalled = if hurried {
            let signalled = terminate_and_hurry(&service, &monitor);
            assert_answered(neighbour, signalled);
            signalled
        } else {
            let signalled = service.terminate();
            monitor.wait_for_draining();
            let asked = Instant::now();
            Client::asking(service.address, "/fast", "late").only_reply("GET").assert_own("fast late\n");
            assert!(
                asked.elapsed() < PROMPT,
                "who comes while draining is served after {:?}",
                asked.elapsed()
            );
            neighbour.only_reply("GET").assert_success("handed-over", "neighbour");
            signalled
        };
        let ending = service.end();
        ending.assert_within(promised(GRACE), signalled);
        ending.assert_code(0);
        let [heads, bodies] = drips.map(Drip::stop);
        for transcript in heads {
            transcript.replies(&["HEAD"])[0].assert_retry("not-started");
        }
        for (n, transcript) in bodies.iter().enumerate() {
            transcript.replies(&["POST"])[0].assert_success("handed-over", &format!("body-{n}"));
        }
    });
}

#[test]
fn who_never_reads_a_large_answer_keeps_nobody_and_is_cut() {
    let monitor = Monitor::taking_all();
    let mut service = start(&monitor, false);
    let deaf: Vec<_> = (0..8)
        .map(|n| {
            let mut client = Client::connect_narrow(service.address);
            client.get("/large?bytes=30000000", &format!("deaf-{n}"));
            client.wait_for_bytes(1000);
            client
        })
        .collect();
    let neighbour = neighbour(&mut service, false);
    let signalled = terminate_and_hurry(&service, &monitor);
    assert_answered(neighbour, signalled);
    let ending = service.end();
    ending.assert_within(promised(GRACE), signalled);
    ending.assert_code(1);
    assert_eq!(ending.report().note("http", "responses cut"), 8);
    for client in deaf {
        let transcript = client.end();
        assert!(!transcript.replies(&["GET"])[0].is_whole, "{transcript}");
    }
}

#[test]
fn who_never_closes_after_the_end_keeps_nobody() {
    side_by_side(&[false, true], |&blocked| {
        let monitor = Monitor::taking_all();
        let mut service = start(&monitor, blocked);
        let mut silent = vec![service.connect(), service.connect_kept()];
        let uploads: Vec<_> = (0..4)
            .map(|n| {
                let mut client = service.connect();
                let id = format!("up-{n}");
                client.send(format!(
                    "POST /wait HTTP/1.1\r\nhost: test\r\nx-job-id: {id}\r\ncontent-length: 100000\r\n\r\nd"
                ));
                service.wait_for_start(&id);
                client
            })
            .collect();
        let neighbour = neighbour(&mut service, blocked);
        silent.extend(blocked.then(|| service.connect()));
        let signalled = terminate_and_hurry(&service, &monitor);
        // All of them stay open until it has gone.
        let ending = service.end();
        ending.assert_within(promised(GRACE), signalled);
        ending.assert_code(0);
        silent.into_iter().for_each(|client| client.end().assert_silent());
        neighbour.only_reply("GET").assert_success("handed-over", "neighbour");
        for (n, client) in uploads.into_iter().enumerate() {
            client.only_reply("POST").assert_success("handed-over", &format!("up-{n}"));
        }
    });
}

fn ten_thousand_are_idle(blocked: bool) {
    let count = 10_000;
    allow_descriptors(count + 300);
    let monitor = Monitor::taking_all();
    let mut service = start(&monitor, blocked);
    // One that is served in between leaves room in the accept queue.
    let idle: Vec<_> =
        (0..count).map(|n| if n % 2 == 0 { service.connect() } else { service.connect_kept() }).collect();
    let neighbour = neighbour(&mut service, blocked);
    let signalled = terminate_and_hurry(&service, &monitor);
    let neighbour = neighbour.end();
    let ends: Vec<_> = idle.into_iter().map(Client::end).collect();
    let ending = service.end();
    let answered = neighbour.at.saturating_duration_since(signalled);
    let last = ends.iter().map(|transcript| transcript.at).max().expect("there are some");
    println!(
        "{count} idle connections, blocked: {blocked}: a client that waits was answered {answered:?} after the signal, \
         the last connection ended {:?} after it, the process was gone {:?} after it",
        last.saturating_duration_since(signalled),
        ending.after(signalled)
    );
    ends.iter().for_each(Transcript::assert_silent);
    neighbour.only_reply("GET").assert_success("handed-over", "neighbour");
    assert!(answered < PROMPT, "{answered:?}");
    ending.assert_within(promised(GRACE), signalled);
    ending.assert_code(0);
}

/// One after the other: they need all descriptors that a process is usually allowed.
#[test]
fn ten_thousand_idle_connections_end_at_once_alive_and_blocked() {
    ten_thousand_are_idle(false);
    ten_thousand_are_idle(true);
}

/// One that has no more descriptors when clients come, and a moment ago.
fn without_descriptors(blocked: bool) -> (Service, Client) {
    let variables = [&[("THREADS", "1"), ("GRACE", "4"), ("JOBS", "no")], &LARGE_STACKS[..]].concat();
    let mut service = PROGRAMS.responder(&variables, None);
    let mut client = Client::asking(service.address, "/starve?what=descriptors", "starving");
    service.child.wait_for("starved: ");
    client.reply("GET");
    if blocked {
        client.get("/wait?block=true", "");
        service.wait_for_start("");
    } else {
        client.get("/wait", "");
        service.wait_for_start("");
    }
    (service, client)
}

fn assert_on_time(service: Service, signalled: Instant) -> Ending {
    let ending = service.end();
    ending.assert_within(promised(GRACE), signalled);
    ending
}

#[test]
fn who_stands_in_the_queue_of_a_process_without_descriptors_is_answered() {
    side_by_side(&[false, true], |&blocked| {
        let (service, waiting) = without_descriptors(blocked);
        let queued: Vec<_> = (0..10).map(|_| Client::asking(service.address, "/fast", "queued")).collect();
        let signalled = service.terminate();
        waiting.only_reply("GET").assert_retry("no-job");
        for client in queued {
            client.only_reply("GET").assert_retry("not-started");
        }
        let ending = assert_on_time(service, signalled);
        assert_eq!(ending.report().note("http", "answered from the accept queue"), 10);
    });
}

#[test]
fn a_queue_that_cannot_be_emptied_delays_nobody_past_the_bound_and_the_report_says_so() {
    let (service, waiting) = without_descriptors(true);
    // The one descriptor that is left is theirs, one after the other.
    let queued: Vec<_> = (0..20).map(|_| service.connect()).collect();
    let signalled = service.terminate();
    waiting.only_reply("GET").assert_retry("no-job");
    let ending = assert_on_time(service, signalled);
    assert_eq!(ending.report().note("http", "locked out of the accept queue"), 1);
    let ends: Vec<_> = queued.into_iter().map(|client| client.end().end).collect();
    assert!(ends.contains(&End::Reset), "{ends:?}");
}
