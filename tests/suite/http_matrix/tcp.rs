//! The rows of TCP: 33 to 41.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec};
use sundown_tests::{
    http::{Client, End, Monitor, terminate_and_hurry},
    side_by_side,
};

use super::{
    Case, PROGRAMS, alive, blocked, both,
    looks::{ask_late, handed_over},
    stage::{Act, Stage, before_the_signal, end, gone},
};

pub(super) const CASES: [Case; 8] = [
    both(33, "an answer while more is being sent", |stage| {
        let mut client = stage.begin("POST /wait HTTP/1.1", "content-length: 3000000\r\n");
        client.send(vec![b'u'; 60_000]);
        let id = stage.id.clone();
        end(move || {
            client.wait_for_bytes(1);
            // It is read and forgotten.
            let _ = client.try_send(vec![b'u'; 1_000_000]);
            client.only_reply("POST").assert_success("handed-over", &id);
        })
    }),
    alive(34, "a handler's answer, larger than the client's buffer", |stage| {
        let mut client = narrow(stage, &format!("POST /large?bytes={LARGE} HTTP/1.1"));
        stage.wait_for_start();
        end(move || {
            let _ = client.try_send(vec![b'u'; UPLOAD]);
            whole(client, "POST");
        })
    }),
    blocked(34, "a refusal", |_| {
        before_the_signal(|stage| {
            let mut client = narrow(stage, "POST /fast HTTP/1.1");
            stage.must_not_start();
            end(move || {
                let _ = client.try_send(vec![b'u'; UPLOAD]);
                client.only_reply("HEAD").assert_retry("not-started");
            })
        })
    }),
    alive(35, "an answer that nobody has read when the process goes", |stage| {
        let mut client = Client::connect_narrow(stage.service.address);
        client.send(stage.head(&format!("GET /large?bytes={LARGE} HTTP/1.1"), ""));
        stage.wait_for_start();
        gone(move || whole(client, "GET"))
    }),
    both(35, "a client that stays", |stage| {
        let client = stage.begin("GET /wait HTTP/1.1", "");
        let id = stage.id.clone();
        gone(move || client.only_reply("GET").assert_success("handed-over", &id))
    }),
    both(37, "a request that crosses the end", crossing),
    alive(38, "right before the signal", |_| {
        before_the_signal(|stage| {
            let client = stage.connect();
            ask_late(stage, client)
        })
    }),
    both(33, "an answer to a body that is not sent", |stage| {
        let client = stage.begin("POST /wait HTTP/1.1", "content-length: 3000000\r\n");
        handed_over(stage, client, "POST", |_| ())
    }),
];

const LARGE: usize = 100_000;
const UPLOAD: usize = 4_000_000;

/// Little of an answer fits into its buffer, and it has much to send.
fn narrow(stage: &mut Stage, line: &str) -> Client {
    let mut client = Client::connect_narrow(stage.service.address);
    client.send(stage.head(line, &format!("content-length: {UPLOAD}\r\n")));
    client
}

fn whole(client: Client, method: &str) {
    let reply = client.only_reply(method);
    assert_eq!((reply.status, reply.body.len()), (200, LARGE));
}

/// It meets the end of one side, and not a reset: its client may try it again.
fn crossing(stage: &mut Stage) -> Act {
    let mut socket = TcpStream::connect(stage.service.address).expect("it listens");
    socket.set_read_timeout(Some(Duration::from_secs(15))).expect("it is a socket");
    let request = stage.head("GET /fast HTTP/1.1", "");
    socket.write_all(request.as_bytes()).expect("it is open");
    let mut some = [0; 1024];
    assert!(socket.read(&mut some).is_ok_and(|read| some[..read].starts_with(b"HTTP/1.1 200 ")));
    stage.wait_for_start();
    end(move || {
        assert_eq!(socket.read(&mut some).expect("its end is in order"), 0);
        socket.write_all(request.as_bytes()).expect("it was open when it was sent");
        // A reset comes at once, if it does.
        let at_once = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let mut fds = [PollFd::new(&socket, PollFlags::empty())];
        rustix::event::poll(&mut fds, Some(&at_once)).expect("it is a socket");
        assert!(!fds[0].revents().intersects(PollFlags::ERR), "the request was reset");
    })
}

/// Two processes on one port, each with a queue of its own.
#[test]
pub(super) fn a_queue_beside_others_on_its_port_is_answered() {
    const CROWD: usize = 40;
    side_by_side(&[false, true], |is_blocked| {
        let monitor = Monitor::taking_all();
        let start = |port: &str| {
            let variables = [("THREADS", "1"), ("LIFE", "task"), ("PORT", port), ("REUSE_PORT", "yes")];
            PROGRAMS.responder(&variables, Some(&monitor))
        };
        let mut ends = start("0");
        let waits = ends.begin(&format!("/wait?block={is_blocked}"), "waits");
        let stays = start(&ends.address.port().to_string());
        let clients: Vec<_> =
            (0..CROWD).map(|n| Client::asking(ends.address, "/fast", &n.to_string())).collect();
        terminate_and_hurry(&ends, &monitor);
        waits.only_reply("GET").assert_success("handed-over", "waits");
        let mut refused = 0;
        for (n, mut client) in clients.into_iter().enumerate() {
            let reply = client.reply("GET");
            match reply.field("sundown-fate") {
                None => reply.assert_own(&format!("fast {n}\n")),
                Some("handed-over") => reply.assert_success("handed-over", &n.to_string()),
                _ => {
                    reply.assert_retry("not-started");
                    client.end().assert_silent();
                    refused += 1;
                }
            }
        }
        assert!(refused > 0 || !is_blocked, "nobody was in its queue");
        ends.end().assert_code(0);
        // Nobody is left but the other.
        let reply = Client::asking(stays.address, "/fast", "after").reply("GET");
        reply.assert_own("fast after\n");
    });
}

/// Where the network goes with the process, what has not arrived would go with it.
#[test]
pub(super) fn a_process_outlives_what_it_has_written() {
    side_by_side(&[false, true], |is_blocked| {
        let monitor = Monitor::taking_all();
        let service = PROGRAMS.first_responder(&[("THREADS", "1")], Some(&monitor));
        let Some(mut service) = service else { return };
        let mut client = Client::connect_narrow(service.address);
        client.get(&format!("/large?bytes={LARGE}"), "it");
        service.wait_for_start("it");
        client.wait_for_bytes(1);
        let blocker = is_blocked.then(|| service.begin("/wait?block=true", "blocker"));
        terminate_and_hurry(&service, &monitor);
        if let Some(blocker) = blocker {
            blocker.only_reply("GET").assert_success("handed-over", "blocker");
        }
        // As long as its client may yet read.
        assert!(service.child.stays_for(Duration::from_millis(400)), "it has gone");
        let transcript = client.end();
        let [reply] = &transcript.replies(&["GET"])[..] else { panic!("{transcript}") };
        assert_eq!((reply.body.len(), transcript.end), (LARGE, End::Fin), "{transcript}");
        service.end();
    });
}
