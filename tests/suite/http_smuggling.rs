//! Requests whose end can be read in two ways, in whole before the shutdown or in two parts around it: what follows them
//! is never taken for a request, each gets one answer at most, and neighbours are not disturbed.

use sundown_tests::{
    http::{Client, End, Monitor, Service, Transcript, terminate_and_hurry},
    side_by_side,
};

use super::PROGRAMS;

/// What is hidden in the part whose meaning is doubtful.
const HIDDEN: &str = "GET /fast HTTP/1.1\r\nhost: test\r\nx-job-id: hidden\r\n\r\n";

/// What becomes of a request that is read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// It is refused.
    Refused(u16),
    /// It is served, and what follows is not looked at any more.
    Last,
}

/// The fields that make it doubtful, its body, and what becomes of it.
const SHAPES: [(&str, &str, Read); 12] = [
    ("content-length: 5\r\ncontent-length: 6", "aaaaa", Read::Refused(400)),
    ("content-length: 5, 6", "aaaaa", Read::Refused(400)),
    ("content-length: +5", "aaaaa", Read::Refused(400)),
    ("content-length: 18446744073709551617", "a", Read::Refused(400)),
    // RFC 9112 section 6.1: by the chunks alone, and the connection ends.
    ("content-length: 4\r\ntransfer-encoding: chunked", "0\r\n\r\n", Read::Last),
    ("transfer-encoding: chunked\r\ncontent-length: 200", "0\r\n\r\n", Read::Last),
    ("transfer-encoding: chunked, identity", "0\r\n\r\n", Read::Refused(400)),
    ("transfer-encoding: xchunked", "0\r\n\r\n", Read::Refused(400)),
    // A fold, a bare CR, a space before the colon.
    ("x-folded: a\r\n content-length: 5", "aaaaa", Read::Refused(400)),
    ("x-bare: a\rcontent-length: 5", "aaaaa", Read::Refused(400)),
    ("content-length : 5", "aaaaa", Read::Refused(400)),
    // The handler answers without a look at its body.
    ("transfer-encoding: chunked", "fffffffffffffffff\r\na\r\n", Read::Last),
];

fn request(shape: usize) -> (String, String) {
    let (fields, body, _) = SHAPES[shape];
    let head = format!("POST /fast HTTP/1.1\r\nhost: test\r\nx-job-id: shape-{shape}\r\n{fields}\r\n\r\n");
    (head, format!("{body}{HIDDEN}"))
}

fn start(blocked: bool) -> (Service, Monitor, Client) {
    let monitor = Monitor::taking_all();
    let threads = if blocked { "1" } else { "2" };
    let mut service = PROGRAMS.responder(&[("THREADS", threads), ("LIFE", "task")], Some(&monitor));
    let neighbour = service.begin("/wait", "neighbour");
    (service, monitor, neighbour)
}

fn end(service: Service, neighbour: Client) {
    neighbour.only_reply("GET").assert_success("handed-over", "neighbour");
    let ending = service.end();
    ending.assert_code(0);
    assert!(!ending.has("S hidden"), "it was smuggled in: {}", ending.text());
}

fn only_status(transcript: &Transcript) -> u16 {
    // Whatever else came would belong to the hidden one.
    let replies = transcript.replies(&["POST"]);
    let [reply] = &replies[..] else { panic!("{transcript}") };
    assert!(reply.is_whole && matches!(transcript.end, End::Fin | End::Reset), "{transcript}");
    reply.status
}

#[test]
fn a_request_with_two_ends_gets_one_answer_and_hides_none() {
    let (service, monitor, neighbour) = start(false);
    for (shape, (fields, _, read)) in SHAPES.iter().enumerate() {
        let (head, rest) = request(shape);
        let mut client = service.connect();
        client.send(head + &rest);
        let status = only_status(&client.end());
        let expected = match read {
            Read::Refused(status) => *status,
            Read::Last => 200,
        };
        assert_eq!(status, expected, "{fields:?}");
    }
    terminate_and_hurry(&service, &monitor);
    end(service, neighbour);
}

/// One part is there at the signal; the other comes while draining, or when the answer may be on its way.
#[test]
fn a_request_with_two_ends_that_comes_around_the_signal_gets_one_answer_at_most() {
    let cases = [(false, false), (false, true), (true, true)];
    side_by_side(&cases, |&(blocked, hurried)| {
        let (mut service, monitor, neighbour) = start(blocked);
        // In the middle of the head, at its end, and not before the rest.
        let mut clients = Vec::new();
        for shape in 0..SHAPES.len() {
            let (head, rest) = request(shape);
            for cut in [head.len() - 8, head.len(), 0] {
                let mut client = service.connect();
                client.send(&head[..cut]);
                clients.push((client, format!("{}{rest}", &head[cut..])));
            }
        }
        // All of them are accepted, most of them are read.
        service.connect_kept();
        let blocker = blocked.then(|| service.begin("/wait?block=true", "blocker"));
        service.terminate();
        monitor.wait_for_draining();
        if !hurried {
            clients.iter_mut().for_each(|(client, rest)| drop(client.try_send(&*rest)));
        }
        service.child.signal(rustix::process::Signal::INT);
        for (mut client, rest) in clients {
            if hurried {
                let _ = client.try_send(&rest);
            }
            let transcript = client.end();
            if !transcript.bytes.is_empty() {
                let status = only_status(&transcript);
                assert!(matches!(status, 200 | 400 | 503), "{transcript}");
            }
        }
        if let Some(blocker) = blocker {
            blocker.only_reply("GET").assert_success("handed-over", "blocker");
        }
        end(service, neighbour);
    });
}

/// hyper's own limits: a hundred fields, 400 kB of head.
#[test]
fn a_head_over_the_limit_gets_431_and_across_the_signal_one_answer() {
    let fields: String = (0..150).map(|n| format!("x-{n}: v\r\n")).collect();
    let large = format!("x-large: {}\r\n", "l".repeat(600_000));
    side_by_side(&[fields, large], |fields| {
        let (service, monitor, neighbour) = start(false);
        let head = format!("GET /fast HTTP/1.1\r\nhost: test\r\n{fields}\r\n");
        let mut client = service.connect();
        let _ = client.try_send(&head);
        let transcript = client.end();
        assert_eq!(only_status(&transcript), 431, "{transcript}");
        let mut late = service.connect();
        let half = head.len() / 2;
        let _ = late.try_send(&head[..half]);
        service.terminate();
        monitor.wait_for_draining();
        let _ = late.try_send(&head[half..]);
        service.child.signal(rustix::process::Signal::INT);
        let transcript = late.end();
        assert!(matches!(only_status(&transcript), 431 | 503), "{transcript}");
        end(service, neighbour);
    });
}
