//! What is wrong is refused with one clear line, and disturbs nobody else.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use sundown_tests::{
    Child,
    http::{End, Framing, Monitor, Service, terminate_and_hurry},
};

use super::PROGRAMS;

fn start() -> (Service, Monitor) {
    let monitor = Monitor::taking_all();
    (PROGRAMS.responder(&[], Some(&monitor)), monitor)
}

#[test]
fn a_wrong_job_id_gets_a_400_that_says_why_and_the_connection_goes_on() {
    let long = vec![b'i'; 257];
    let very_long = vec![b'i'; 10_000];
    let cases: [(&[u8], &str); 5] = [
        (b"", "empty"),
        (&long, "257"),
        (&very_long, "10000"),
        (b"caf\xe9", "utf-8"),
        (b"a\tb", "control character"),
    ];
    let (mut service, monitor) = start();
    let neighbour = service.begin("/wait", "neighbour");
    let mut client = service.connect();
    for (id, why) in cases {
        client.send([b"GET /fast HTTP/1.1\r\nhost: test\r\nx-job-id: ", id, b"\r\n\r\n"].concat());
        let reply = client.reply("GET");
        let text = reply.text();
        println!("{}", text.trim_end());
        assert_eq!((reply.status, reply.field("connection")), (400, None), "{reply}");
        assert!(text.starts_with("header x-job-id: ") && text.lines().count() == 1, "{text:?}");
        assert!(text.contains(why), "{text:?} says {why:?}");
    }
    client.get("/fast", &"i".repeat(256));
    assert_eq!(client.reply("GET").status, 200, "256 bytes are an id");
    terminate_and_hurry(&service, &monitor);
    neighbour.only_reply("GET").assert_success("handed-over", "neighbour");
    service.end().assert_code(0);
}

#[test]
fn two_job_ids_get_a_400_that_says_how_many() {
    let (service, _monitor) = start();
    let mut client = service.connect();
    client.send("GET /fast HTTP/1.1\r\nhost: test\r\nx-job-id: a\r\nx-job-id: b\r\n\r\n");
    let reply = client.reply("GET");
    assert_eq!(reply.status, 400);
    let text = reply.text();
    println!("{}", text.trim_end());
    assert!(text.starts_with("header x-job-id: ") && text.lines().count() == 1, "{text:?}");
    assert!(text.contains('2'), "it names the number: {text:?}");
    client.get("/fast", "one");
    client.reply("GET").assert_own("fast one\n");
}

#[test]
fn a_wrong_job_id_of_a_head_request_gets_no_body() {
    let (service, _monitor) = start();
    let mut client = service.connect();
    client.send("HEAD /fast HTTP/1.1\r\nhost: test\r\nx-job-id:\r\n\r\n");
    assert_eq!(client.reply("HEAD").status, 400);
    client.get("/fast", "one");
    client.reply("GET").assert_own("fast one\n");
}

#[test]
fn the_body_of_a_refused_request_is_not_taken_for_the_next_one() {
    let (service, _monitor) = start();
    let mut client = service.connect();
    let body = "GET /fast HTTP/1.1\r\nhost: test\r\nx-job-id: smuggled\r\n\r\n";
    let length = body.len();
    client.send(format!(
        "POST /fast HTTP/1.1\r\nhost: test\r\nx-job-id:\r\ncontent-length: {length}\r\n\r\n{body}"
    ));
    assert_eq!(client.reply("POST").status, 400);
    // It is not said that the connection ends.
    if client.try_send("GET /fast HTTP/1.1\r\nhost: test\r\nx-job-id: one\r\n\r\n").is_ok() {
        client.reply("GET").assert_own("fast one\n");
    }
}

const GARBAGE: [&str; 4] = [
    "\x16\x03\x01\x02\x00\x01\x00\x01\u{7f}",
    "GET\r\n\r\n",
    "GET / HTTP/1.1\r\nx-job-id: a\x01b\r\n\r\n",
    "GET / HTTP/1.1\r\nhost test\r\n\r\n",
];

#[test]
fn a_garbage_head_gets_one_400_and_an_end_and_disturbs_nobody() {
    let (mut service, monitor) = start();
    let neighbour = service.begin("/wait", "neighbour");
    for garbage in GARBAGE {
        let mut client = service.connect();
        client.send(garbage);
        let reply = client.only_reply("GET");
        assert_eq!((reply.status, reply.framing), (400, Framing::Length(0)), "{garbage:?}: {reply}");
    }
    terminate_and_hurry(&service, &monitor);
    neighbour.only_reply("GET").assert_success("handed-over", "neighbour");
    service.end().assert_code(0);
}

#[test]
fn a_garbage_head_gets_no_second_answer_at_the_shutdown() {
    let (mut service, monitor) = start();
    let mut clients = Vec::new();
    for garbage in GARBAGE {
        let mut client = service.connect();
        client.send(garbage);
        client.wait_for_bytes(1);
        clients.push(client);
    }
    let neighbour = service.begin("/wait", "neighbour");
    let late: Vec<_> = GARBAGE.iter().map(|garbage| (garbage, service.connect())).collect();
    service.terminate();
    monitor.wait_for_draining();
    for (garbage, mut client) in late {
        client.send(garbage);
        clients.push(client);
    }
    service.child.signal(rustix::process::Signal::INT);
    for client in clients {
        let transcript = client.end();
        let [reply] = &transcript.replies(&["GET"])[..] else { panic!("{transcript}") };
        // Who was read too late gets the other refusal, without a body.
        assert!(matches!(reply.status, 400 | 503) && transcript.end == End::Fin, "{transcript}");
        assert!(reply.body.is_empty(), "{transcript}");
    }
    neighbour.only_reply("GET").assert_success("handed-over", "neighbour");
    service.end().assert_code(0);
}

#[test]
fn a_service_that_cannot_start_says_why_in_one_line_and_exits_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("the loopback interface is there");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let cases: [(&str, &str, &[&str]); 8] = [
        ("PORT", &port, &["cannot listen on 127.0.0.1:", &port]),
        ("PORT", "99999", &["PORT", "99999"]),
        ("PORT", "http", &["PORT", "http"]),
        ("SINK_URL", "nonsense", &["SINK_URL", "nonsense"]),
        ("GRACE", "abc", &["GRACE", "abc"]),
        ("GRACE", "-1", &["GRACE", "-1"]),
        ("THREADS", "0", &["THREADS", "0"]),
        ("THREADS", "many", &["THREADS", "many"]),
    ];
    for (name, value, says) in cases {
        let began = Instant::now();
        let mut variables = vec![("PORT", "0"), ("GRACE", "10")];
        variables.retain(|(other, _)| *other != name);
        variables.push((name, value));
        let ending = Child::spawn(PROGRAMS.service, "", &variables).end();
        let complaints = &ending.complaints;
        println!("{name}={value}: {}", complaints.trim_end());
        assert!(ending.status.code().is_some_and(|code| code != 0), "{name}={value}: {}", ending.status);
        assert_eq!(complaints.lines().count(), 1, "{complaints:?}");
        assert!(says.iter().all(|what| complaints.contains(what)), "{complaints:?} says {says:?}");
        assert!(ending.after(began) < Duration::from_secs(2), "at once");
        assert!(!ending.has("listening"), "{}", ending.text());
    }
}
