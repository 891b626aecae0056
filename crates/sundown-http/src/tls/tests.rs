mod rescue;
mod wire;

use std::{
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
    os::{fd::AsFd, unix::net::UnixStream},
    sync::{Arc, atomic::Ordering},
    task::Poll,
};

use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};

use self::wire::{
    Server, VERSIONS, Wire, as_client, client, connected, pattern, read_all, send_close_notify, server_config,
};
use super::*;

#[test]
fn a_handshake_byte_by_byte_is_a_handshake() {
    for version in VERSIONS {
        let (wire, peer) = Wire::pair();
        let server = Server::new(wire.stuttering(1));
        let client = as_client(client(version, &[], peer), |client| {
            client.write_all(b"question").unwrap();
            read_all(client).unwrap()
        });
        assert!(server.tls.is_handshaking());
        assert_eq!(server.read_exact(8), b"question");
        assert!(!server.tls.is_handshaking());
        server.write_all(b"answer");
        server.close_notify().unwrap();
        assert_eq!(client.join().unwrap().1, b"answer");
    }
}

#[test]
fn a_write_before_the_handshake_waits_for_it() {
    for version in VERSIONS {
        let (wire, peer) = Wire::pair();
        let server = Server::new(wire);
        let client = as_client(client(version, &[], peer), |client| read_all(client).unwrap());
        server.write_all(b"first");
        server.close_notify().unwrap();
        assert_eq!(client.join().unwrap().1, b"first");
    }
}

#[test]
fn what_a_narrow_socket_takes_piece_by_piece_arrives_in_order() {
    for version in VERSIONS {
        let (wire, peer) = Wire::pair();
        set_socket_send_buffer_size(&wire, 4096).unwrap();
        set_socket_recv_buffer_size(&peer, 4096).unwrap();
        let server = Server::new(wire.stuttering(1999));
        let client = as_client(client(version, &[], peer), |client| read_all(client).unwrap());
        let sent = pattern(300_000);
        server.write_all(&sent);
        server.close_notify().unwrap();
        assert!(client.join().unwrap().1 == sent);
    }
}

#[test]
fn plaintext_is_accepted_only_behind_ciphertext_that_is_in_the_socket() {
    for version in VERSIONS {
        let (server, mut client) = connected(version);
        let (chunk, mut accepted) = (pattern(100_000), 0);
        let write = |at: usize| {
            let bufs = [IoSlice::new(&chunk[at..])];
            server.wire.once(|cx| server.tls.poll_write_vectored(cx, &server.wire, &bufs))
        };
        // The first write that the socket does not take whole is the last to be accepted.
        server.wire.at_once.store(10, Ordering::Relaxed);
        set_socket_send_buffer_size(&server.wire, 4096).unwrap();
        while let Poll::Ready(bytes) = write(accepted) {
            accepted += bytes.unwrap();
        }
        assert!(0 < accepted && accepted <= BATCH, "{accepted}");
        assert!(server.wire.once(|cx| server.tls.poll_flush(cx, &server.wire)).is_pending());
        let reader = std::thread::spawn(move || {
            let mut all = vec![0; accepted];
            client.read_exact(&mut all).unwrap();
            (client, all)
        });
        server.flush().unwrap();
        assert!(reader.join().unwrap().1 == chunk[..accepted]);
    }
}

#[test]
fn a_poll_that_is_given_up_loses_nothing() {
    for version in VERSIONS {
        let (wire, peer) = Wire::pair();
        let server = Server::new(wire.stuttering(100));
        let client = as_client(client(version, &[], peer), |client| read_all(client).unwrap());
        server.handshake().unwrap();
        let sent = pattern(5000);
        assert_eq!(server.write(&sent).unwrap(), sent.len());
        // Each of these sends a little, and is forgotten.
        for _ in 0..5 {
            assert!(server.wire.once(|cx| server.tls.poll_flush(cx, &server.wire)).is_pending());
        }
        server.close_notify().unwrap();
        assert!(client.join().unwrap().1 == sent);
    }
}

#[test]
fn empty_reads_and_writes_do_nothing() {
    let (server, client) = connected(VERSIONS[1]);
    assert_eq!(server.write(&[]).unwrap(), 0);
    assert_eq!(server.read(&mut []).unwrap(), 0);
    server.flush().unwrap();
    server.close_notify().unwrap();
    assert_eq!(read_all(&mut { client }).unwrap(), b"");
}

#[test]
fn a_long_body_is_read_through_a_small_buffer() {
    for version in VERSIONS {
        let (server, client) = connected(version);
        let sent = pattern(200_000);
        let body = sent.clone();
        let client = as_client(client, move |client| {
            for (at, part) in body.chunks(20_000).enumerate() {
                client.write_all(part).unwrap();
                if at % 3 == 0 {
                    // Only TLS 1.3 has it.
                    let _ = client.conn.refresh_traffic_keys();
                }
            }
            send_close_notify(client);
        });
        let (mut read, mut buf) = (Vec::<u8>::new(), [0; 100]);
        loop {
            match server.read(&mut buf).unwrap() {
                0 => break,
                bytes => read.extend(&buf[..bytes]),
            }
        }
        assert!(read == sent);
        assert!(!server.tls.has_unread());
        client.join().unwrap();
    }
}

#[test]
fn an_answer_goes_out_after_the_client_has_closed_its_side() {
    for version in VERSIONS {
        let (server, mut client) = connected(version);
        send_close_notify(&mut client);
        client.sock.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read(&mut [0; 10]).unwrap(), 0);
        server.write_all(b"answer");
        server.close_notify().unwrap();
        assert_eq!(read_all(&mut client).unwrap(), b"answer");
    }
}

#[test]
fn after_close_notify_nothing_is_written_and_reading_goes_on() {
    for version in VERSIONS {
        let (server, mut client) = connected(version);
        server.close_notify().unwrap();
        server.close_notify().unwrap();
        assert_eq!(server.write(b"more").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        rustix::net::shutdown(&server.wire, rustix::net::Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut client).unwrap(), b"", "close_notify, once");
        client.write_all(b"late").unwrap();
        assert_eq!(server.read_exact(4), b"late");
    }
}

#[test]
fn without_close_notify_the_client_sees_a_cut() {
    let (server, mut client) = connected(VERSIONS[1]);
    server.write_all(b"half");
    drop(server);
    assert_eq!(read_all(&mut client).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_fin_without_close_notify_is_an_end_and_in_the_handshake_an_error() {
    for version in VERSIONS {
        let (server, mut client) = connected(version);
        client.write_all(b"GET").unwrap();
        client.sock.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read_exact(3), b"GET");
        assert_eq!(server.read(&mut [0; 10]).unwrap(), 0);
        assert_eq!(server.read(&mut [0; 10]).unwrap(), 0, "and stays it");
    }
    let (wire, peer) = Wire::pair();
    let server = Server::new(wire);
    drop(peer);
    assert_eq!(server.handshake().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(server.read(&mut [0; 10]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    server.close_notify().unwrap();
}

/// Type, version, length, level, description.
fn alert(mut peer: UnixStream) -> [u8; 7] {
    let mut alert = [0; 7];
    peer.read_exact(&mut alert).unwrap();
    alert
}

#[test]
fn what_is_not_tls_is_told_so_by_an_alert() {
    for sent in
        [&b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"[..], &[22, 3, 1, 0, 5, 9, 0, 0, 1, 0], &[0xff; 64]]
    {
        let (wire, mut peer) = Wire::pair();
        let server = Server::new(wire);
        peer.write_all(sent).unwrap();
        let error = server.read(&mut [0; 10]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        assert_eq!(server.handshake().unwrap_err().kind(), io::ErrorKind::InvalidData);
        let alert = alert(peer);
        assert_eq!((alert[0], alert[5]), (21, 2), "a fatal alert: {alert:?}");
    }
}

#[test]
fn what_came_before_forged_bytes_is_read_before_the_error() {
    for version in VERSIONS {
        let (server, mut client) = connected(version);
        client.write_all(b"whole").unwrap();
        client.sock.write_all(&[23, 3, 3, 0, 40]).unwrap();
        client.sock.write_all(&[7; 40]).unwrap();
        assert_eq!(server.read_exact(5), b"whole");
        assert_eq!(server.read(&mut [0; 10]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(server.write(b"answer").unwrap_err().kind(), io::ErrorKind::InvalidData);
        let error = client.read(&mut [0; 10]).unwrap_err().to_string();
        assert!(error.contains("BadRecordMac"), "{error}");
    }
}

#[test]
fn what_was_agreed_is_known_after_the_handshake() {
    let cases: [(&[&str], Alpn); 4] = [
        (&["h2", "http/1.1"], Alpn::Http2),
        (&["http/1.1"], Alpn::Http1),
        (&["other"], Alpn::Unspecified),
        (&[], Alpn::Unspecified),
    ];
    for version in VERSIONS {
        for (offered, agreed) in cases {
            let (wire, peer) = Wire::pair();
            let config = server_config(&["h2", "http/1.1", "other"]);
            let server = Server { tls: Arc::new(Tls::new(Arc::new(config)).unwrap()), wire };
            assert_eq!(server.tls.alpn(), None);
            let client = as_client(client(version, offered, peer), |_| ());
            server.handshake().unwrap();
            server.flush().unwrap();
            assert_eq!(server.tls.alpn(), Some(agreed));
            client.join().unwrap();
        }
    }
}

#[test]
fn tickets_reach_the_client_with_a_flush_and_no_write() {
    let (server, mut client) = connected(VERSIONS[1]);
    drop(server);
    assert_eq!(read_all(&mut client).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert!(client.conn.tls13_tickets_received() > 0);
}

#[test]
fn early_data_is_refused_at_start_up() {
    let mut config = server_config(&[]);
    config.max_early_data_size = 1024;
    let error = Tls::new(Arc::new(config)).unwrap_err().to_string();
    assert!(error.contains("early data"), "{error}");
}

#[test]
fn a_waiting_writer_is_not_displaced_by_a_reader() {
    let (server, mut client) = connected(VERSIONS[1]);
    server.wire.at_once.store(1, Ordering::Relaxed);
    set_socket_send_buffer_size(&server.wire, 4096).unwrap();
    let bytes = pattern(BATCH);
    server.write(&bytes).unwrap();
    assert!(server.wire.once(|cx| server.tls.poll_flush(cx, &server.wire)).is_pending());
    server.wire.at_once.store(usize::MAX, Ordering::Relaxed);
    // There is room again, which the writer will be told of. Whoever reads leaves the rest to it.
    client.write_all(b"x").unwrap();
    let writes = server.wire.writes();
    assert_eq!(server.read_exact(1), b"x");
    assert_eq!(server.wire.writes(), writes);
}
