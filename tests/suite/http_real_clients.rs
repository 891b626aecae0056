//! What curl and Python's `http.client` make of it, with the runtime alive and blocked.

use serde_json::json;
use sundown_tests::{
    http::{Client, Framing, Monitor, Service, Tool, terminate_and_hurry},
    side_by_side,
};

use super::PROGRAMS;

/// Whether the runtime's only thread is blocked at the answer step.
const BLOCKED: [bool; 2] = [false, true];

/// A service that has one thread for everything if it is to be blocked, and the monitor that takes all its jobs over.
fn start(blocked: bool) -> (Service, Monitor) {
    let monitor = Monitor::taking_all();
    let variables: &[_] = if blocked { &[("THREADS", "1"), ("LIFE", "task")] } else { &[] };
    (PROGRAMS.responder(variables, Some(&monitor)), monitor)
}

fn wait(blocked: bool) -> &'static str {
    if blocked { "/wait?block=true" } else { "/wait" }
}

/// Blocks the service's one thread, if it is to be.
fn block(service: &mut Service, blocked: bool) -> Option<Client> {
    blocked.then(|| service.begin(wait(true), "blocker"))
}

/// `curl` on job `it` of this service, once its handler has begun.
fn curl(service: &mut Service, path: &str, arguments: &[&str], input: Vec<u8>) -> Tool {
    let url = format!("http://{}{path}", service.address);
    let curl = Tool::curl(&[arguments, &["-H", "x-job-id: it", &url]].concat(), input);
    service.wait_for_start("it");
    curl
}

/// Python on job `it`; it is given the service's host, its port and this path.
fn python(service: &Service, program: &str, path: &str) -> Tool {
    let (host, port) = (service.address.ip().to_string(), service.address.port().to_string());
    Tool::python(program, &[&host, &port, path])
}

#[test]
fn curl_that_waits_is_told_that_its_job_was_handed_over() {
    let asked = [(&[][..], "GET"), (&["-I"], "HEAD"), (&["--http1.0"], "GET"), (&["-X", "DELETE"], "DELETE")];
    let cases: Vec<_> = BLOCKED.iter().flat_map(|blocked| asked.map(|asked| (*blocked, asked))).collect();
    side_by_side(&cases, |(blocked, (arguments, method))| {
        let (mut service, monitor) = start(*blocked);
        let curl = curl(&mut service, wait(*blocked), arguments, Vec::new());
        terminate_and_hurry(&service, &monitor);
        let reply = curl.end().reply(method);
        reply.assert_success("handed-over", "it");
        assert_eq!(matches!(reply.framing, Framing::Bodyless), *method == "HEAD", "{reply}");
        assert_eq!(monitor.jobs(), ["it"]);
        service.end().assert_code(0);
    });
}

#[test]
fn curl_that_waits_for_100_continue_gets_the_answer_instead() {
    side_by_side(&BLOCKED, |blocked| {
        let (mut service, monitor) = start(*blocked);
        // It would send its body without the 100 too, if it comes late.
        let patient = [
            "--expect100-timeout",
            "25",
            "-H",
            "expect: 100-continue",
            "--data-binary",
            "@-",
            "-w",
            "%{size_upload}",
        ];
        let curl = curl(&mut service, wait(*blocked), &patient, vec![b'u'; 2_000_000]);
        terminate_and_hurry(&service, &monitor);
        let mut said = curl.end();
        assert_eq!(said.out.pop(), Some(b'0'), "nothing was uploaded: {said}");
        let reply = said.reply("POST");
        reply.assert_success("handed-over", "it");
        assert!(reply.interim.is_empty(), "{:?}", reply.interim);
        service.end().assert_code(0);
    });
}

#[test]
fn curl_that_got_100_continue_and_sent_its_body_gets_the_answer_after_it() {
    side_by_side(&BLOCKED, |blocked| {
        let (mut service, monitor) = start(*blocked);
        let patient = ["--expect100-timeout", "25", "-H", "expect: 100-continue", "--data-binary", "@-"];
        let curl = curl(&mut service, "/read", &patient, vec![b'u'; 2_000_000]);
        service.child.wait_for("E it");
        let blocker = block(&mut service, *blocked);
        terminate_and_hurry(&service, &monitor);
        let reply = curl.end().reply("POST");
        reply.assert_success("handed-over", "it");
        assert_eq!(reply.interim, [100]);
        drop(blocker);
        service.end().assert_code(0);
    });
}

#[test]
fn curl_gets_the_answer_while_it_is_still_uploading() {
    side_by_side(&BLOCKED, |blocked| {
        let (mut service, monitor) = start(*blocked);
        let eager = ["-H", "expect:", "--data-binary", "@-"];
        let curl = curl(&mut service, wait(*blocked), &eager, vec![b'u'; 20_000_000]);
        terminate_and_hurry(&service, &monitor);
        curl.end().reply("POST").assert_success("handed-over", "it");
        service.end().assert_code(0);
    });
}

/// What curl calls a partial file, in its list of exit codes: <https://curl.se/docs/manpage.html#18>.
const PARTIAL: i32 = 18;

#[test]
fn curl_can_tell_that_a_body_was_cut() {
    let cases: Vec<_> =
        BLOCKED.iter().flat_map(|blocked| ["/chunked", "/length"].map(|path| (*blocked, path))).collect();
    side_by_side(&cases, |(blocked, path)| {
        let (mut service, monitor) = start(*blocked);
        // As people use it: it looks at the chunks itself.
        let curl = curl(&mut service, path, &["--no-include", "--no-raw"], Vec::new());
        let blocker = block(&mut service, *blocked);
        terminate_and_hurry(&service, &monitor);
        let said = curl.end();
        assert_eq!((said.code, &*said.out), (PARTIAL, &b"beginning\n"[..]), "{said}");
        drop(blocker);
        service.end().assert_code(0);
    });
}

/// It sends all of a body before it looks for an answer.
const UPLOAD: &str = "
import http.client, json, sys
connection = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=30)
connection.request('POST', sys.argv[3], body=b'u' * 8_000_000, headers={'x-job-id': 'it'})
answer = connection.getresponse()
body = answer.read().decode()
print(json.dumps({'status': answer.status, 'fate': answer.getheader('sundown-fate'), 'body': body}))
";

#[test]
fn python_gets_the_answer_to_an_upload_that_nobody_reads() {
    side_by_side(&BLOCKED, |blocked| {
        let (mut service, monitor) = start(*blocked);
        let python = python(&service, UPLOAD, wait(*blocked));
        service.wait_for_start("it");
        terminate_and_hurry(&service, &monitor);
        let said = python.end().json();
        assert_eq!((&said["status"], &said["fate"]), (&json!(200), &json!("handed-over")), "{said}");
        service.end().assert_code(0);
    });
}

/// The handler has answered, and does not care.
#[test]
fn python_gets_a_handlers_own_answer_to_an_upload_that_nobody_reads() {
    let (service, _monitor) = start(false);
    let said = python(&service, UPLOAD, "/large?bytes=3").end().json();
    assert_eq!(said, json!({"status": 200, "fate": null, "body": "xxx"}));
    service.terminate();
    service.end().assert_code(0);
}

/// Three requests; the last waits.
const REUSE: &str = "
import http.client, json, sys
connection = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=30)
ports, answers = [], []
for path, job in ('/fast', 'one'), ('/fast', 'two'), (sys.argv[3], 'it'):
    connection.request('GET', path, headers={'x-job-id': job})
    ports.append(connection.sock.getsockname()[1])
    answer = connection.getresponse()
    answer.read()
    answers.append([answer.status, answer.getheader('sundown-fate'), connection.sock is None])
print(json.dumps({'connections': len(set(ports)), 'answers': answers}))
";

#[test]
fn python_uses_its_connection_again_until_it_is_told_that_it_was_the_last_time() {
    side_by_side(&BLOCKED, |blocked| {
        let (mut service, monitor) = start(*blocked);
        let python = python(&service, REUSE, wait(*blocked));
        service.wait_for_start("it");
        terminate_and_hurry(&service, &monitor);
        let said = python.end().json();
        let answers = json!([[200, null, false], [200, null, false], [200, "handed-over", true]]);
        assert_eq!(said, json!({"connections": 1, "answers": answers}));
        service.end().assert_code(0);
    });
}
