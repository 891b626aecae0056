use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicUsize},
    },
    thread,
};

use rustix::event::PollFlags;

use super::{
    wire::{Version, new_tls},
    *,
};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What was sealed, or nothing; waits for the runtime to finish its step.
fn seal(tls: &Tls, answer: &[u8]) -> Option<Vec<u8>> {
    loop {
        match tls.seal(answer) {
            Sealed::Bytes(bytes) => return Some(bytes),
            Sealed::Impossible => return None,
            Sealed::Busy => thread::yield_now(),
        }
    }
}

#[test]
fn what_was_pending_comes_before_the_answer_and_close_notify_after_it() {
    for version in VERSIONS {
        let (wire, peer) = Wire::pair();
        let server = Server::new(wire.stuttering(333));
        let client = as_client(client(version, &[], peer), |client| read_all(client).unwrap());
        server.handshake().unwrap();
        let before = pattern(10_000);
        assert_eq!(server.write(&before).unwrap(), before.len());
        assert!(server.wire.once(|cx| server.tls.poll_flush(cx, &server.wire)).is_pending());
        let sealed = seal(&server.tls, ANSWER).unwrap();
        assert!(sealed.len() > before.len() / 2, "most of it was pending: {}", sealed.len());
        server.wire.send_all(&sealed);
        assert!(client.join().unwrap().1 == [&before, ANSWER].concat());
    }
}

#[test]
fn an_answer_of_any_length_is_sealed_whole() {
    for version in VERSIONS {
        let (server, client) = connected(version);
        let answer = pattern(5 * BATCH);
        let client = as_client(client, |client| read_all(client).unwrap());
        server.wire.send_all(&seal(&server.tls, &answer).unwrap());
        assert!(client.join().unwrap().1 == answer);
    }
}

#[test]
fn once_sealed_the_runtime_has_nothing_more_to_say() {
    for version in VERSIONS {
        let (server, mut client) = connected(version);
        server.wire.send_all(&seal(&server.tls, ANSWER).unwrap());
        assert_eq!(server.write(b"more").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(server.flush().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(server.close_notify().is_err());
        // It would be told of by an alert, after the end.
        client.sock.write_all(&[0xff; 30]).unwrap();
        assert_eq!(server.read(&mut [0; 10]).unwrap(), 0);
        assert_eq!(seal(&server.tls, ANSWER), None, "nor is it sealed twice");
        drop(server);
        assert_eq!(read_all(&mut client).unwrap(), ANSWER);
    }
}

#[test]
fn what_a_read_has_under_way_when_it_is_sealed_changes_nothing() {
    let (tls, is_time) = (new_tls(), Arc::new(AtomicBool::new(false)));
    let sealed = Arc::new(Mutex::new(None));
    let (wire, peer) = Wire::pair();
    let wire = wire.in_read({
        let (tls, is_time, sealed) = (tls.clone(), is_time.clone(), sealed.clone());
        move || {
            if is_time.swap(false, Ordering::Relaxed) {
                *sealed.lock().unwrap() = seal(&tls, ANSWER);
            }
        }
    });
    let server = Server { tls, wire };
    let client = as_client(client(VERSIONS[1], &[], peer), |client| {
        client.read_exact(&mut [0; 2]).unwrap();
        // It would be told of by an alert, after the end.
        client.sock.write_all(&[0xff; 30]).unwrap();
        read_all(client).unwrap()
    });
    server.handshake().unwrap();
    server.write_all(b"go");
    server.wire.wait_for(PollFlags::IN);
    is_time.store(true, Ordering::Relaxed);
    assert_eq!(server.read(&mut [0; 10]).unwrap(), 0);
    let bytes = sealed.lock().unwrap().take();
    server.wire.send_all(&bytes.unwrap());
    assert_eq!(client.join().unwrap().1, ANSWER);
}

#[test]
fn a_connection_without_a_request_is_ended_by_close_notify_alone() {
    for version in VERSIONS {
        let (server, mut client) = connected(version);
        server.wire.send_all(&seal(&server.tls, &[]).unwrap());
        assert_eq!(read_all(&mut client).unwrap(), b"");

        let (told, mut client) = connected(version);
        told.close_notify().unwrap();
        assert_eq!(seal(&told.tls, &[]).unwrap(), b"", "the runtime has told it");
        assert_eq!(read_all(&mut client).unwrap(), b"");
    }
}

#[test]
fn nothing_is_sealed_that_the_peer_could_not_understand() {
    let fresh = new_tls();
    assert_eq!(seal(&fresh, ANSWER), None, "before the handshake");

    let (wire, peer) = Wire::pair();
    let server = Server::new(wire);
    let mut half = client(VERSIONS[1], &[], peer);
    half.conn.write_tls(&mut half.sock).unwrap();
    assert!(server.wire.once(|cx| server.tls.poll_handshake(cx, &server.wire)).is_pending());
    assert_eq!(seal(&server.tls, ANSWER), None, "in the middle of it");
    assert_eq!(server.handshake().unwrap_err().kind(), io::ErrorKind::BrokenPipe);

    let (closed, _client) = connected(VERSIONS[1]);
    closed.close_notify().unwrap();
    assert_eq!(seal(&closed.tls, ANSWER), None, "after close_notify");

    let (forged, mut client) = connected(VERSIONS[1]);
    client.sock.write_all(&[0xff; 30]).unwrap();
    forged.read(&mut [0; 10]).unwrap_err();
    assert_eq!(seal(&forged.tls, ANSWER), None, "after an alert");
}

#[test]
fn the_transport_is_polled_under_no_lock_and_nothing_is_sealed_meanwhile() {
    let tls = new_tls();
    let busy = Arc::new(AtomicUsize::new(0));
    let (wire, peer) = Wire::pair();
    let wire = wire.in_write({
        let (tls, busy) = (tls.clone(), busy.clone());
        move || {
            assert!(tls.is_handshaking() || tls.alpn().is_some(), "the lock is free");
            assert_eq!(tls.seal(ANSWER), Sealed::Busy);
            busy.fetch_add(1, Ordering::Relaxed);
        }
    });
    let server = Server { tls, wire };
    let client = as_client(client(VERSIONS[1], &[], peer), |client| read_all(client).unwrap());
    server.handshake().unwrap();
    server.write_all(b"before, ");
    assert!(busy.load(Ordering::Relaxed) > 1);
    server.wire.send_all(&seal(&server.tls, b"after").unwrap());
    assert_eq!(client.join().unwrap().1, b"before, after");
}

#[test]
fn after_a_panic_in_the_middle_of_a_write_nothing_is_sent() {
    let (wire, peer) = Wire::pair();
    let panics = Arc::new(AtomicBool::new(false));
    let server = Server::new(wire.in_write({
        let panics = panics.clone();
        move || assert!(!panics.load(Ordering::Relaxed), "as it should")
    }));
    let client = as_client(client(VERSIONS[1], &[], peer), |_| ());
    server.handshake().unwrap();
    server.flush().unwrap();
    panics.store(true, Ordering::Relaxed);
    catch_unwind(AssertUnwindSafe(|| server.write(b"lost"))).unwrap_err();
    assert_eq!(seal(&server.tls, ANSWER), None);
    assert_eq!(server.write(b"more").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    client.join().unwrap();
}

#[test]
fn the_rescue_knows_what_has_come() {
    for version in VERSIONS {
        let (server, mut client) = connected(version);
        let receive = || server.tls.receive(server.wire.as_fd());
        assert_eq!(receive(), Received::Nothing);

        client.conn.writer().write_all(b"GET / HTTP/1.1\r\n").unwrap();
        let mut record = Vec::new();
        client.conn.write_tls(&mut record).unwrap();
        let (first, rest) = record.split_at(9);
        client.sock.write_all(first).unwrap();
        assert_eq!(receive(), Received::Partial);
        assert_eq!(receive(), Received::Partial);
        assert!(server.tls.has_unread());
        client.sock.write_all(rest).unwrap();
        assert_eq!(receive(), Received::Request(b"GET / HTTP/1.1\r\n".to_vec()));
        assert_eq!(receive(), Received::Nothing);

        if client.conn.refresh_traffic_keys().is_ok() {
            client.flush().unwrap();
            assert_eq!(receive(), Received::Nothing, "a key update asks for no answer");
        }
        send_close_notify(&mut client);
        assert_eq!(receive(), Received::End);
        server.wire.send_all(&seal(&server.tls, ANSWER).unwrap());
        assert_eq!(read_all(&mut client).unwrap(), ANSWER);
    }
}

#[test]
fn the_rescue_knows_what_the_runtime_has_read_in_part() {
    for version in VERSIONS {
        let (server, mut client) = connected(version);
        client.write_all(b"GET / HTTP/1.1\r\n").unwrap();
        assert_eq!(server.read_exact(3), b"GET");
        assert!(server.tls.has_unread());
        assert_eq!(server.tls.receive(server.wire.as_fd()), Received::Request(b" / HTTP/1.1\r\n".to_vec()));
        assert!(!server.tls.has_unread());
    }
}

#[test]
fn the_rescue_knows_what_is_no_connection() {
    let (wire, mut peer) = Wire::pair();
    let server = Server::new(wire);
    assert_eq!(server.tls.receive(server.wire.as_fd()), Received::Handshaking);
    peer.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    server.read(&mut [0; 10]).unwrap_err();
    assert_eq!(server.tls.receive(server.wire.as_fd()), Received::Failed);

    let (gone, client) = connected(VERSIONS[1]);
    client.sock.shutdown(Shutdown::Write).unwrap();
    assert_eq!(gone.tls.receive(gone.wire.as_fd()), Received::End);
}

const BODY: usize = 64 * 1024;
const ROUNDS: usize = 150;

/// How much of the body the runtime has read, and how much was sealed.
fn race(version: Version, spins: usize) -> (usize, usize) {
    let (wire, peer) = Wire::pair();
    // Tickets are still to be sent when the body comes, so the runtime's reads send them bit by bit.
    let server = Server::new(wire.stuttering(5));
    let client = as_client(client(version, &[], peer), |client| {
        for part in pattern(BODY).chunks(1024) {
            client.write_all(part).unwrap();
            if part[2] % 16 == 0 {
                let _ = client.conn.refresh_traffic_keys();
            }
        }
        let answer = read_all(client);
        client.sock.shutdown(Shutdown::Both).unwrap();
        answer
    });
    server.handshake().unwrap();
    let start = Barrier::new(2);
    let (body, sealed) = thread::scope(|scope| {
        let runtime = scope.spawn(|| {
            start.wait();
            let (mut body, mut buf) = (Vec::<u8>::new(), [0; 700]);
            loop {
                match server.read(&mut buf).unwrap() {
                    0 => return body,
                    bytes => body.extend(&buf[..bytes]),
                }
            }
        });
        start.wait();
        for _ in 0..spins {
            std::hint::spin_loop();
        }
        let sealed = seal(&server.tls, ANSWER).unwrap();
        server.wire.send_all(&sealed);
        (runtime.join().unwrap(), sealed.len())
    });
    assert_eq!(client.join().unwrap().1.unwrap(), ANSWER);
    assert!(pattern(BODY).starts_with(&body), "what was read is not what was sent");
    (body.len(), sealed)
}

#[test]
fn of_sealing_and_reading_at_once_the_client_sees_one_clean_answer() {
    for version in VERSIONS {
        let (mut cut, mut pending) = (0, 0);
        for round in 0..ROUNDS {
            let (read, sealed) = race(version, round * 400);
            cut += usize::from(0 < read && read < BODY);
            pending += usize::from(sealed > ANSWER.len() + 100);
        }
        assert!(cut > 0, "never in the middle of the body");
        assert!(pending > 0 || version.version == VERSIONS[0].version, "tickets were never pending");
    }
}
