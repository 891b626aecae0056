//! Over TLS everybody is answered as in clear, with the runtime alive and blocked, and told by a close_notify that this
//! was all: or not told, where it was not.

use std::time::Duration;

use ::h2::Reason;
use rustls::{
    SupportedProtocolVersion,
    version::{TLS12, TLS13},
};
use sundown_tests::{
    http::{Answer, Client, End, Framing, Monitor, Service, Tls, Tool, h2, terminate_and_hurry},
    side_by_side,
};

use super::PROGRAMS;

type Version = &'static SupportedProtocolVersion;

/// Whether the runtime's only thread is blocked at the answer step.
const BLOCKED: [bool; 2] = [false, true];

/// Each version, alive and blocked.
const CASES: [(&SupportedProtocolVersion, bool); 4] =
    [(&TLS12, false), (&TLS12, true), (&TLS13, false), (&TLS13, true)];

/// A service over TLS, and the monitor that takes all its jobs over.
struct Stage {
    tls: Tls,
    service: Service,
    monitor: Monitor,
}

impl Stage {
    fn with(variables: &[(&str, &str)], monitor: Monitor) -> Self {
        let tls = Tls::new();
        let files = tls.variables();
        let mut all: Vec<_> = files.iter().map(|(name, file)| (*name, &**file)).collect();
        all.extend(variables);
        let service = PROGRAMS.responder(&all, Some(&monitor));
        Stage { tls, service, monitor }
    }

    /// Of one thread for everything, if that is to be blocked.
    fn new(blocked: bool) -> Self {
        let variables: &[_] = if blocked { &[("THREADS", "1"), ("LIFE", "task")] } else { &[] };
        Self::with(variables, Monitor::taking_all())
    }

    fn connect(&self, version: Version) -> Client {
        self.tls.connect_by(self.service.address, version)
    }

    /// A connection on which this was sent, once the handler of job `it` has begun.
    fn begin(&mut self, version: Version, request: &str) -> Client {
        let mut client = self.connect(version);
        client.send(request);
        self.service.wait_for_start("it");
        client
    }

    /// A connection that has served a request.
    fn connect_kept(&self, version: Version) -> Client {
        let mut client = self.connect(version);
        client.get("/fast", "before");
        client.reply("GET").assert_own("fast before\n");
        client
    }

    /// Blocks the one thread, if it is to be.
    fn block(&mut self, blocked: bool) -> Option<Client> {
        let mut client = blocked.then(|| self.tls.connect(self.service.address))?;
        client.get(wait(true), "blocker");
        self.service.wait_for_start("blocker");
        Some(client)
    }

    fn terminate(&self) {
        terminate_and_hurry(&self.service, &self.monitor);
    }

    /// Ends the service, which has nothing to be sorry for.
    fn finish(self, blocker: Option<Client>) {
        if let Some(blocker) = blocker {
            blocker.only_reply("GET").assert_success("handed-over", "blocker");
        }
        self.service.end().assert_code(0);
    }
}

fn wait(blocked: bool) -> &'static str {
    if blocked { "/wait?block=true" } else { "/wait" }
}

fn ask(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: test\r\nx-job-id: it\r\n\r\n")
}

#[test]
fn a_client_that_waits_is_told_that_its_job_was_handed_over() {
    side_by_side(&CASES, |(version, blocked)| {
        for method in ["GET", "HEAD"] {
            let mut stage = Stage::new(*blocked);
            let client = stage.begin(version, &ask(method, wait(*blocked)));
            stage.terminate();
            client.only_reply(method).assert_success("handed-over", "it");
            assert_eq!(stage.monitor.jobs(), ["it"]);
            let ending = stage.service.end();
            ending.assert_code(0);
            assert_eq!(ending.report().note("http", "answered by the rescue"), u64::from(*blocked));
        }
    });
}

#[test]
fn a_client_that_has_half_closed_is_answered() {
    side_by_side(&CASES, |(version, blocked)| {
        let mut stage = Stage::new(*blocked);
        let mut client = stage.begin(version, &ask("GET", wait(*blocked)));
        client.half_close();
        stage.terminate();
        client.only_reply("GET").assert_success("handed-over", "it");
        stage.finish(None);
    });
}

#[test]
fn an_idle_connection_gets_a_close_notify_and_no_bytes() {
    side_by_side(&CASES, |(version, blocked)| {
        let mut stage = Stage::new(*blocked);
        let kept = [stage.connect_kept(version), stage.connect_kept(version)];
        let fresh = stage.connect(version);
        // Whose handshake is over for the server too.
        stage.connect_kept(version);
        let blocker = stage.block(*blocked);
        stage.terminate();
        for client in kept.into_iter().chain([fresh]) {
            client.end().assert_silent();
        }
        stage.finish(blocker);
    });
}

/// It could be a HEAD.
#[test]
fn part_of_a_head_gets_a_503_without_a_body() {
    side_by_side(&CASES, |(version, blocked)| {
        let mut stage = Stage::new(*blocked);
        let (mut fresh, mut kept) = (stage.connect(version), stage.connect_kept(version));
        fresh.send("GET /fast HT");
        kept.send("GET /fast HT");
        stage.connect_kept(version);
        let blocker = stage.block(*blocked);
        stage.terminate();
        for client in [fresh, kept] {
            client.only_reply("HEAD").assert_retry("not-started");
        }
        stage.finish(blocker);
    });
}

#[test]
fn an_upload_is_answered_while_it_is_still_being_sent() {
    let cases: Vec<_> = CASES.iter().flat_map(|case| ["/wait", "/read"].map(|path| (*case, path))).collect();
    side_by_side(&cases, |((version, blocked), path)| {
        let mut stage = Stage::new(*blocked);
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: test\r\nx-job-id: it\r\ncontent-length: 3000000\r\n\r\n");
        let mut client = stage.begin(version, &head);
        client.send(vec![b'u'; 60_000]);
        let blocker = stage.block(*blocked);
        stage.terminate();
        client.wait_for_bytes(1);
        let _ = client.try_send(vec![b'u'; 1_000_000]);
        client.only_reply("POST").assert_success("handed-over", "it");
        stage.finish(blocker);
    });
}

#[test]
fn who_waits_for_100_continue_gets_the_answer_after_it_or_instead() {
    let cases: Vec<_> = CASES.iter().flat_map(|case| ["/wait", "/read"].map(|path| (*case, path))).collect();
    side_by_side(&cases, |((version, blocked), path)| {
        let mut stage = Stage::new(*blocked);
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: test\r\nx-job-id: it\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n"
        );
        let mut client = stage.begin(version, &head);
        if *path == "/read" {
            client.wait_for_bytes("HTTP/1.1 100 Continue\r\n\r\n".len());
        }
        let blocker = stage.block(*blocked);
        stage.terminate();
        let reply = client.only_reply("POST");
        reply.assert_success("handed-over", "it");
        assert_eq!(reply.interim.len(), usize::from(*path == "/read"), "{:?}", reply.interim);
        stage.finish(blocker);
    });
}

#[test]
fn of_pipelined_requests_the_first_outstanding_one_is_answered() {
    side_by_side(&CASES, |(version, blocked)| {
        let mut stage = Stage::new(*blocked);
        let get =
            |path: &str, id: &str| format!("GET {path} HTTP/1.1\r\nhost: test\r\nx-job-id: {id}\r\n\r\n");
        let mut client = stage.connect(version);
        client.send([get("/fast", "one"), get("/wait", "two"), get("/fast", "three")].concat());
        client.reply("GET").assert_own("fast one\n");
        stage.service.wait_for_start("two");
        let blocker = stage.block(*blocked);
        stage.terminate();
        client.only_reply("GET").assert_success("handed-over", "two");
        stage.finish(blocker);
    });
}

#[test]
fn a_request_that_a_blocked_runtime_has_not_read_gets_503() {
    side_by_side(&[&TLS12, &TLS13], |version| {
        let mut stage = Stage::new(true);
        let mut kept: Vec<_> = (0..10).map(|_| stage.connect_kept(version)).collect();
        let blocker = stage.block(true);
        kept.iter_mut().for_each(|client| client.get("/fast", "unread"));
        stage.terminate();
        for client in kept {
            client.only_reply("HEAD").assert_retry("not-started");
        }
        stage.finish(blocker);
    });
}

/// In clear, where the end of the body is the end of the connection, it takes a reset.
#[test]
fn a_body_that_cannot_end_is_cut_without_a_close_notify() {
    let bodies = [("/chunked", "1.1"), ("/length", "1.1"), ("/chunked", "1.0")];
    let cases: Vec<_> = CASES.iter().flat_map(|case| bodies.map(|body| (*case, body))).collect();
    side_by_side(&cases, |((version, blocked), (path, http))| {
        let mut stage = Stage::new(*blocked);
        let request = format!("GET {path} HTTP/{http}\r\nhost: test\r\nx-job-id: it\r\n\r\n");
        let mut client = stage.begin(version, &request);
        client.wait_for_bytes(1);
        let blocker = stage.block(*blocked);
        stage.terminate();
        let transcript = client.end();
        let [reply] = &transcript.replies(&["GET"])[..] else { panic!("{transcript}") };
        assert_eq!((reply.status, &*reply.text()), (200, "beginning\n"), "{transcript}");
        assert_eq!(reply.framing == Framing::ToTheEnd, *http == "1.0", "{transcript}");
        assert!(!reply.is_whole && transcript.end == End::Ragged, "{transcript}");
        stage.finish(blocker);
    });
}

#[test]
fn a_body_that_ends_with_the_connection_is_whole_after_a_close_notify() {
    let stage = Stage::new(false);
    let mut client = stage.connect(&TLS13);
    client.send("GET /large?bytes=100000 HTTP/1.0\r\nx-job-id: it\r\n\r\n");
    let reply = client.only_reply("GET");
    assert_eq!((reply.status, reply.body.len()), (200, 100_000));
    stage.service.terminate();
    stage.finish(None);
}

#[test]
fn who_has_not_finished_its_handshake_gets_an_end() {
    side_by_side(&BLOCKED, |blocked| {
        let mut stage = Stage::new(*blocked);
        let hello = stage.tls.hello();
        let sent = [&hello[..], &hello[..20], &[]];
        let connect = |bytes: &[u8]| {
            let mut client = stage.service.connect();
            client.send(bytes);
            client
        };
        let mut clients: Vec<_> = sent.iter().map(|bytes| connect(bytes)).collect();
        // Whoever came before that has been looked at.
        stage.connect_kept(&TLS13);
        let blocker = stage.block(*blocked);
        // In the accept queue, if that is where they are.
        clients.extend(sent.iter().map(|bytes| {
            let mut client = stage.service.connect();
            client.send(bytes);
            client
        }));
        stage.terminate();
        for client in clients {
            let transcript = client.end();
            assert_eq!(transcript.end, End::Fin, "{transcript}");
            let is_http = transcript.bytes.windows(4).any(|bytes| bytes == b"HTTP");
            assert!(!is_http, "not in clear: {transcript}");
        }
        stage.finish(blocker);
    });
}

#[test]
fn who_speaks_no_tls_gets_an_end() {
    side_by_side(&BLOCKED, |blocked| {
        let mut stage = Stage::new(*blocked);
        let before = Client::asking(stage.service.address, "/fast", "clear");
        // An alert says what is wrong with it.
        let transcript = before.end();
        assert!(transcript.bytes.first() == Some(&21) && transcript.end == End::Fin, "{transcript}");
        let blocker = stage.block(*blocked);
        let queued = blocked.then(|| Client::asking(stage.service.address, "/fast", "clear"));
        stage.terminate();
        if let Some(queued) = queued {
            queued.end().assert_silent();
        }
        let Stage { service, .. } = stage;
        drop(blocker);
        let ending = service.end();
        ending.assert_code(0);
        assert_eq!(ending.report().note("http", "answered from the accept queue"), 0);
    });
}

#[test]
fn a_client_that_waits_when_its_runtime_is_dropped_is_answered() {
    side_by_side(&[&TLS12, &TLS13], |version| {
        let mut stage = Stage::with(&[("LIFE", "dropped-when-told")], Monitor::taking_all());
        let client = stage.begin(version, &ask("GET", "/wait"));
        stage.service.terminate();
        // Once the server's turn has come.
        loop {
            let mut probe = stage.connect(version);
            probe.get("/fast", "x");
            if probe.reply("GET").field("connection").is_some() {
                break;
            }
        }
        stage.service.child.tell("drop");
        stage.service.child.wait_for("dropped");
        client.only_reply("GET").assert_success("handed-over", "it");
        assert_eq!(stage.monitor.jobs(), ["it"]);
        stage.finish(None);
    });
}

#[test]
fn each_stream_of_http_2_has_its_answer_and_the_connection_its_farewell() {
    let stage = Stage::new(false);
    let mut service = stage.service;
    let mut client = stage.tls.connect_h2(service.address, h2::Manners::default());
    let streams = ["one", "two", "three"].map(|id| {
        let stream = client.get("/wait", id);
        service.wait_for_start(id);
        (id, stream)
    });
    terminate_and_hurry(&service, &stage.monitor);
    let transcript = client.end();
    for (id, stream) in streams {
        transcript.whole_reply(stream).assert_success("handed-over", id);
    }
    transcript.assert_farewell(streams[2].1);
    assert_eq!(stage.monitor.jobs().len(), 3);
    service.end().assert_code(0);
}

#[test]
fn a_stream_that_comes_after_the_claim_is_refused_so_that_it_may_be_tried_again() {
    let stage = Stage::with(&[], Monitor::start(|_| Answer::AcknowledgeAfter(Duration::from_millis(400))));
    let mut service = stage.service;
    let mut waiting = stage.tls.connect_h2(service.address, h2::Manners::default());
    let stream = waiting.get("/wait", "waiting");
    service.wait_for_start("waiting");
    terminate_and_hurry(&service, &stage.monitor);
    stage.monitor.wait_for_jobs();
    let mut late = stage.tls.connect_h2(service.address, h2::Manners::default());
    let refused = late.get("/fast", "late");
    assert_eq!(late.end().reset(refused), Some(h2::Reason::REFUSED_STREAM));
    waiting.end().whole_reply(stream).assert_success("handed-over", "waiting");
    service.end().assert_code(0);
}

/// Nobody has read that it greets, or all of that.
#[test]
fn who_greets_a_blocked_runtime_in_http_2_is_told_to_go_away() {
    let mut stage = Stage::new(true);
    let connect = || stage.tls.connect_h2_mute(stage.service.address);
    let (mut greeting, mut beginning, silent) = (connect(), connect(), connect());
    stage.connect_kept(&TLS13);
    let blocker = stage.block(true);
    greeting.send([h2::PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat());
    // Both have agreed on it, so this is enough.
    beginning.send("P");
    stage.terminate();
    for client in [greeting, beginning] {
        let transcript = client.end();
        assert_eq!(transcript.goaways(), [(0, Reason::NO_ERROR)], "{transcript}");
        assert_eq!((transcript.cut, transcript.end), (0, End::Fin), "{transcript}");
    }
    let transcript = silent.end();
    assert!(transcript.frames.is_empty() && transcript.end == End::Fin, "{transcript}");
    stage.finish(blocker);
}

#[test]
fn curl_is_answered_over_http_1_and_http_2() {
    let cases = [("--http1.1", false), ("--http1.1", true), ("--http2", false)];
    side_by_side(&cases, |(version, blocked)| {
        let mut stage = Stage::new(*blocked);
        let url = format!("https://localhost:{}{}", stage.service.address.port(), wait(*blocked));
        let authority = stage.tls.authority();
        let authority = authority.to_str().expect("temporary files have plain names");
        let arguments = [version, "-4", "--cacert", authority, "-H", "x-job-id: it", &url];
        let curl = Tool::curl(&arguments, Vec::new());
        stage.service.wait_for_start("it");
        stage.terminate();
        let said = curl.end();
        let head = String::from_utf8_lossy(&said.out);
        if *version == "--http2" {
            assert!(
                said.code == 0 && head.starts_with("HTTP/2 200") && head.contains("handed-over"),
                "{said}"
            );
        } else {
            said.reply("GET").assert_success("handed-over", "it");
        }
        stage.finish(None);
    });
}

const CROWD: usize = 120;

/// When each handler of a crowd is to end, in microseconds around the moment: most of them within 3 ms of it, and a few
/// up to 40 ms away, lest a slow machine miss it altogether.
fn crowd() -> Vec<(String, i64)> {
    let half = CROWD as i64 / 2;
    let at = |n: usize| 40_000 * (n as i64 - half).pow(5) / half.pow(5);
    (0..CROWD).map(|n| (format!("job-{n:03}"), at(n))).collect()
}

#[test]
fn a_handler_that_ends_around_the_rescue_answers_or_is_answered_for() {
    /// In this time after the claim, the handlers block their threads; 250 ms later, the rescue begins.
    const DELAY: Duration = Duration::from_millis(100);
    const RESCUE: i64 = 353_000;
    /// Handlers that end meanwhile, in microseconds: a runtime that does nothing at all would not be waited for so long.
    const PACE: [i64; 4] = [160_000, 220_000, 280_000, 335_000];
    let threads = (CROWD + PACE.len() + 2).to_string();
    let (mut answered, mut told) = (0, 0);
    for version in [&TLS12, &TLS13, &TLS12, &TLS13] {
        let monitor = Monitor::start(|_| Answer::AcknowledgeAfter(DELAY));
        let mut stage = Stage::with(&[("THREADS", &threads)], monitor);
        let mut begin = |path: &str, id: &str| {
            let mut client = stage.connect(version);
            client.get(path, id);
            stage.service.wait_for_start(id);
            client
        };
        let slow = begin("/wait", "slow");
        let pace =
            PACE.map(|us| begin(&format!("/after-claim?block=true&done=true&us={us}"), &us.to_string()));
        let clients: Vec<_> = crowd()
            .into_iter()
            .map(|(id, at)| {
                let path = format!("/after-claim?block=true&done=true&us={}", RESCUE + at);
                (begin(&path, &id), id)
            })
            .collect();
        stage.terminate();
        for (client, id) in clients {
            let reply = client.only_reply("GET");
            match reply.field("sundown-fate") {
                None => {
                    reply.assert_own(&format!("own {id}\n"));
                    answered += 1;
                }
                Some(_) => reply.assert_success("completed", &id),
            }
        }
        slow.only_reply("GET").assert_success("handed-over", "slow");
        for client in pace {
            assert_eq!(client.only_reply("GET").status, 200);
        }
        let ending = stage.service.end();
        ending.assert_code(0);
        told += ending.report().note("http", "answered by the rescue");
    }
    println!("of {} blocking handlers {answered} answered, {told} exchanges were rescued", 4 * CROWD);
    assert!(answered > 0 && told > 0, "the race did not happen: {answered} answered, {told} rescued");
}
