//! A client must tell apart what looks alike: each test scripts the other side of one connection, byte by
//! byte.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::*;

/// Lets a client ask once; `serve` has the other end of its connection, the request still unread.
fn ask(serve: impl FnOnce(TcpStream) + Send + 'static) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || serve(listener.accept().unwrap().0));
    let connection = Connection::open(address, Instant::now() + Duration::from_secs(5)).unwrap();
    let outcome = connection.exchange_last(&Request::new(Kind::Long, "/x", "job-1")).outcome;
    server.join().unwrap();
    outcome
}

/// Reads the request, says `answer`, and closes in good order.
fn say(answer: &'static str) -> Outcome {
    ask(move |mut stream| {
        read_request(&mut stream);
        stream.write_all(answer.as_bytes()).unwrap();
    })
}

fn read_request(stream: &mut TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
}

fn whole(outcome: Outcome) -> Answer {
    match outcome {
        Outcome::Answered(answer) => answer,
        other => panic!("no whole answer but {other:?}"),
    }
}

#[test]
fn a_whole_answer_is_understood_in_each_framing() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndon\r\n1\r\ne\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ndone",
    ] {
        let answer = whole(say(answer));
        assert_eq!((answer.status, answer.body.as_str(), answer.extra), (200, "done", 0));
    }
}

#[test]
fn the_fate_is_read_from_its_field() {
    let answer =
        whole(say("HTTP/1.1 503 X\r\nSundown-Fate: in-doubt\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(answer.fate, Some(Fate::InDoubt));
    assert!(answer.retry_after);
}

#[test]
fn a_body_that_ends_too_early_is_a_cut() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndon",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndone\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndone\r\n0\r\n",
    ] {
        assert!(matches!(say(answer), Outcome::Cut), "{answer:?}");
    }
}

#[test]
fn an_answer_of_no_byte_or_half_a_head_is_none() {
    assert!(matches!(say(""), Outcome::Silent));
    assert!(matches!(say("HTTP/1.1 200 OK\r\nConte"), Outcome::HalfHead));
    assert!(matches!(say("hello\r\n\r\n"), Outcome::Garbled(_)));
}

#[test]
fn a_close_with_the_request_unread_is_a_reset() {
    let outcome = ask(|stream| {
        stream.peek(&mut [0]).unwrap();
    });
    assert!(matches!(outcome, Outcome::Reset), "{outcome:?}");
}

#[test]
fn a_second_answer_is_counted_as_bytes_too_many() {
    let last = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\nHTTP/1.1 503 X\r\n\r\n";
    let kept = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 503 X\r\n\r\n";
    for answer in [last, kept] {
        assert_eq!(whole(say(answer)).extra, 18, "{answer:?}");
    }
}

#[test]
fn an_early_answer_ends_an_upload() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap().min(99)
    });
    let upload = Upload { pieces: 1000, size: 1, pause: Duration::from_secs(60) };
    let request = Request { upload: Some(upload), ..Request::new(Kind::Upload, "/upload", "job-1") };
    let connection = Connection::open(address, Instant::now() + Duration::from_secs(5)).unwrap();
    assert_eq!(whole(connection.exchange_last(&request).outcome).status, 200);
    assert_eq!(server.join().unwrap(), 1);
}
