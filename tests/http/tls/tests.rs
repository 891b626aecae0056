//! The clients against rustls's own server.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread::{self, JoinHandle},
};

use rustix::net::sockopt;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::TLS12,
};

use super::*;
use crate::http::{End, Framing, h2};

type Server = StreamOwned<ServerConnection, TcpStream>;

/// A server of one connection.
fn serve(
    tls: &Tls,
    protocols: &[&str],
    script: impl FnOnce(Server) + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let files = tls.variables().map(|(_, file)| file);
    let chain = CertificateDer::pem_file_iter(&files[0]).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&files[1]).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap();
    let mut config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        script(StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream));
    });
    (address, thread)
}

/// Reads so many bytes.
fn read(server: &mut Server, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    server.read_exact(&mut bytes).unwrap();
    bytes
}

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: test\r\nx-job-id: it\r\n\r\n";

/// How a server ends.
#[derive(Clone, Copy, Debug)]
enum Farewell {
    Notified,
    Ragged,
    Reset,
    NotifiedAndReset,
}

/// The client's transcript of an answer whose end is the connection's.
fn answer(version: &'static SupportedProtocolVersion, farewell: Farewell) -> crate::http::Transcript {
    let tls = Tls::new();
    let (address, server) = serve(&tls, &["http/1.1"], move |mut server| {
        assert_eq!(read(&mut server, REQUEST.len()), REQUEST.as_bytes());
        server.write_all(b"HTTP/1.1 200 OK\r\n\r\nall").unwrap();
        server.flush().unwrap();
        // Until that was read: a reset may overtake it.
        read(&mut server, 4);
        if matches!(farewell, Farewell::Notified | Farewell::NotifiedAndReset) {
            server.conn.send_close_notify();
            server.flush().unwrap();
        }
        if matches!(farewell, Farewell::NotifiedAndReset) {
            // To the client's own close_notify, and its end: a reset would be in the way of them.
            assert_eq!(server.read(&mut [0]).unwrap(), 0);
            assert_eq!(server.sock.read(&mut [0]).unwrap(), 0);
        }
        if matches!(farewell, Farewell::Reset | Farewell::NotifiedAndReset) {
            sockopt::set_socket_linger(&server.sock, Some(std::time::Duration::ZERO)).unwrap();
        }
    });
    let mut client = tls.connect_by(address, version);
    client.get("/", "it");
    client.wait_for_bytes("HTTP/1.1 200 OK\r\n\r\nall".len());
    client.send("done");
    if matches!(farewell, Farewell::NotifiedAndReset) {
        client.half_close();
    }
    let transcript = client.end();
    server.join().unwrap();
    transcript
}

#[test]
fn an_end_is_clean_only_after_a_close_notify() {
    for version in [&TLS12, &TLS13] {
        let clean = answer(version, Farewell::Notified);
        let reply = clean.only_reply("GET");
        assert_eq!((reply.framing, &*reply.text()), (Framing::ToTheEnd, "all"), "{clean}");
        let ragged = answer(version, Farewell::Ragged);
        assert_eq!(ragged.end, End::Ragged, "{ragged}");
        assert!(!ragged.replies(&["GET"])[0].is_whole, "{ragged}");
        for farewell in [Farewell::Reset, Farewell::NotifiedAndReset] {
            let reset = answer(version, farewell);
            assert_eq!(reset.end, End::Reset, "{farewell:?}: {reset}");
        }
    }
}

#[test]
fn who_half_closes_says_so_and_is_still_answered() {
    let tls = Tls::new();
    let (address, server) = serve(&tls, &["http/1.1"], |mut server| {
        read(&mut server, REQUEST.len());
        assert_eq!(server.read(&mut [0]).unwrap(), 0, "there is a close_notify");
        server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        server.conn.send_close_notify();
        server.flush().unwrap();
    });
    let mut client = tls.connect(address);
    client.get("/", "it");
    client.half_close();
    assert_eq!(client.only_reply("GET").status, 204);
    server.join().unwrap();
}

#[test]
fn http_2_is_agreed_on_and_spoken() {
    let tls = Tls::new();
    let (address, server) = serve(&tls, &["http/1.1", "h2"], |mut server| {
        assert_eq!(read(&mut server, h2::PREFACE.len()), h2::PREFACE);
        // Settings of nobody, and `:status: 200` of the static table on stream 1, which ends there.
        let frames = [&[0, 0, 0, 4, 0, 0, 0, 0, 0][..], &[0, 0, 1, 1, 5, 0, 0, 0, 1, 0x88]].concat();
        server.write_all(&frames).unwrap();
        server.conn.send_close_notify();
        server.flush().unwrap();
        // To the client's end: what is unread would be a reset.
        let _ = server.read_to_end(&mut Vec::new());
    });
    let mut client = tls.connect_h2(address, h2::Manners::default());
    let stream = client.get("/", "it");
    assert_eq!(client.reply(stream).status, 200);
    client.half_close();
    let transcript = client.end();
    assert_eq!((transcript.end, transcript.whole_reply(stream).status), (End::Fin, 200), "{transcript}");
    server.join().unwrap();
}

#[test]
fn a_hello_is_what_a_server_waits_for() {
    let tls = Tls::new();
    let hello = tls.hello();
    // A record of a handshake, which ends where its length says.
    assert_eq!((hello[0], usize::from(u16::from_be_bytes([hello[3], hello[4]])) + 5), (22, hello.len()));
}

#[test]
fn the_files_go_with_it() {
    let (one, two) = (Tls::new(), Tls::new());
    let folder = one.folder().to_owned();
    assert!(one.authority().is_file() && one.folder() != two.folder());
    drop(one);
    assert!(!folder.exists() && two.folder().exists());
}
