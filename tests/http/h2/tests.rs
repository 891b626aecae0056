//! The client against h2's own server, and against bytes where that is too polite.

use std::{
    collections::HashMap,
    future::Future,
    io::Read,
    net::{SocketAddr, TcpListener},
    thread::{self, JoinHandle},
};

use ::h2::{
    Reason,
    server::{self, Connection, SendResponse},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use tokio::net::TcpStream;

use super::*;
use crate::http::{End, Framing, stream::Stream};

type Server = Connection<TcpStream, Bytes>;
type Exchange = (Request<::h2::RecvStream>, SendResponse<Bytes>);

/// A server of one connection.
fn serve<F: Future<Output = ()>>(
    script: impl FnOnce(Server) -> F + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (stream, _) = listener.accept().unwrap();
            stream.set_nonblocking(true).unwrap();
            let connection = server::handshake(TcpStream::from_std(stream).unwrap()).await.unwrap();
            script(connection).await;
        });
    });
    (address, thread)
}

async fn accept(server: &mut Server) -> Exchange {
    server.accept().await.expect("a request comes").expect("it is good")
}

/// Serves to the end.
async fn finish(mut server: Server) {
    while let Some(Ok(_)) = server.accept().await {}
}

fn ok() -> Response<()> {
    Response::builder().header("x-plain", "grün").header("x-long", "l".repeat(300)).body(()).unwrap()
}

#[test]
fn an_answer_is_read_with_its_fields_its_body_and_its_trailers() {
    const LARGE: usize = 1_000_000;
    let (address, server) = serve(|mut server| async move {
        let (request, mut respond) = accept(&mut server).await;
        assert_eq!(
            (request.uri().path(), request.headers()["x-job-id"].as_bytes()),
            ("/it", "it".as_bytes())
        );
        assert_eq!(request.headers()["x-long"].len(), 7000);
        let mut send = respond.send_response(ok(), false).unwrap();
        send.send_data(vec![b'x'; LARGE].into(), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("14"));
        send.send_trailers(trailers).unwrap();
        drop((request, respond, send));
        server.graceful_shutdown();
        finish(server).await;
    });
    let mut client = Client::connect(address);
    let long = "l".repeat(7000);
    let stream = client.request("GET", "/it", &[("x-job-id", "it"), ("x-long", &long)], true);
    let transcript = client.end();
    let reply = transcript.whole_reply(stream);
    assert_eq!((reply.status, reply.framing, reply.body.len()), (200, Framing::Frames, LARGE));
    let lengths = ["x-plain", "x-long"].map(|name| reply.field(name).map(str::len));
    assert_eq!(lengths, [Some("grün".len()), Some(300)], "{reply}");
    assert_eq!(reply.trailers, [("grpc-status".to_owned(), "14".to_owned())]);
    transcript.assert_farewell(stream);
    server.join().unwrap();
}

#[test]
fn streams_are_told_apart_and_so_are_answers_that_end_and_that_do_not() {
    let (address, server) = serve(|mut server| async move {
        let (_one, mut respond_one) = accept(&mut server).await;
        let (two, mut respond_two) = accept(&mut server).await;
        let (_three, mut respond_three) = accept(&mut server).await;
        let mut send = respond_one.send_response(ok(), false).unwrap();
        send.send_data("part".into(), false).unwrap();
        let late = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE).body(()).unwrap();
        respond_two.send_response(late, true).unwrap();
        respond_three.send_reset(Reason::REFUSED_STREAM);
        drop((two, respond_two));
        // Once the part is on its way.
        let (four, mut respond_four) = accept(&mut server).await;
        send.send_reset(Reason::INTERNAL_ERROR);
        respond_four.send_response(ok(), true).unwrap();
        drop((four, respond_four));
        server.graceful_shutdown();
        finish(server).await;
    });
    let mut client = Client::connect(address);
    let one = client.get("/", "one");
    let two = client.request("POST", "/", &[], false);
    client.data(two, &[b'u'; 40_000], false);
    let three = client.get("/", "three");
    client.wait_for(|frame| matches!(frame, Frame::Data { bytes, .. } if bytes == b"part"));
    let four = client.request("HEAD", "/", &[], true);
    assert_eq!(client.reply(four).status, 200);
    let transcript = client.end();
    let cut = transcript.reply(one).unwrap();
    assert_eq!(
        (&*cut.text(), cut.is_whole, transcript.reset(one)),
        ("part", false, Some(Reason::INTERNAL_ERROR))
    );
    let rest_unwanted = (transcript.whole_reply(two).status, transcript.reset(two));
    assert_eq!(rest_unwanted, (503, Some(Reason::NO_ERROR)));
    assert!(transcript.reply(three).is_none());
    assert_eq!(transcript.reset(three), Some(Reason::REFUSED_STREAM));
    transcript.assert_farewell(four);
    server.join().unwrap();
}

#[test]
fn who_acknowledges_no_ping_is_told_no_last_stream_before_it_does() {
    let (address, server) = serve(|mut server| async move {
        let (request, mut respond) = accept(&mut server).await;
        respond.send_response(ok(), true).unwrap();
        drop((request, respond));
        server.graceful_shutdown();
        finish(server).await;
    });
    let manners = Manners { acknowledges_pings: false, ..Manners::default() };
    let mut client = Client::connect_with(address, manners);
    let stream = client.get("/", "it");
    client.reply(stream);
    client.wait_for(|frame| matches!(frame, Frame::Ping { is_ack: false, .. }));
    assert_eq!(transcript::goaways(client.frames()), [(EVERY_STREAM, Reason::NO_ERROR)]);
    assert!(!server.is_finished());
    client.acknowledge();
    client.end().assert_farewell(stream);
    server.join().unwrap();
}

#[test]
fn a_window_holds_an_answer_up() {
    let (address, server) = serve(|mut server| async move {
        let (request, mut respond) = accept(&mut server).await;
        let mut send = respond.send_response(ok(), false).unwrap();
        send.send_data("0123456789".into(), true).unwrap();
        drop((request, respond, send));
        // Until the client is gone.
        finish(server).await;
    });
    let mut client = Client::connect_with(address, Manners { window: 4, ..Manners::default() });
    let stream = client.get("/", "it");
    client.wait_for(|frame| matches!(frame, Frame::Data { .. }));
    client.half_close();
    let transcript = client.end();
    let reply = transcript.reply(stream).unwrap();
    assert_eq!((&*reply.text(), reply.is_whole), ("0123", false), "{transcript}");
    server.join().unwrap();
}

/// A peer that sends these bytes, and returns all that it got.
fn send(bytes: Vec<u8>) -> (SocketAddr, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = Stream::plain(stream).unwrap();
        stream.send(&bytes).unwrap();
        let mut got = Vec::new();
        stream.socket().read_to_end(&mut got).unwrap();
        got
    });
    (address, thread)
}

#[test]
fn what_is_not_to_be_acknowledged_is_not_until_asked_to() {
    let ping = [&frame::settings(0)[..], &[0, 0, 8, 6, 0, 0, 0, 0, 0], b"12345678"].concat();
    for polite in [true, false] {
        for asked in [true, false] {
            let (address, peer) = send(ping.clone());
            let manners =
                Manners { acknowledges_pings: polite, acknowledges_settings: polite, ..Manners::default() };
            let mut client = Client::connect_with(address, manners);
            client.wait_for(|frame| matches!(frame, Frame::Ping { .. }));
            if asked {
                client.acknowledge();
            }
            client.half_close();
            let transcript = client.end();
            assert_eq!(transcript.end, End::Fin);
            let acks = [frame::settings_ack(), frame::pong(*b"12345678")].concat();
            let got = peer.join().unwrap();
            assert_eq!(got.ends_with(&acks), polite || asked);
            assert_eq!(
                got.windows(acks.len()).filter(|window| *window == acks).count(),
                usize::from(polite || asked)
            );
        }
    }
}

#[test]
fn half_a_greeting_is_sent_as_it_is_and_half_a_frame_is_counted() {
    let (address, peer) = send(vec![0, 0, 8, 6]);
    let mut client = Client::connect_raw(address, &PREFACE[..10]);
    client.half_close();
    let transcript = client.end();
    assert_eq!((transcript.frames.len(), transcript.cut, transcript.end), (0, 4, End::Fin));
    assert_eq!(peer.join().unwrap(), &PREFACE[..10]);
}

fn head(ends: bool) -> Frame {
    Frame::Headers { stream: 1, fields: vec![(":status".to_owned(), "200".to_owned())], ends }
}

fn data(ends: bool) -> Frame {
    Frame::Data { stream: 1, bytes: b"data".to_vec(), ends }
}

fn is_refused(frames: &[Frame]) -> bool {
    std::panic::catch_unwind(|| transcript::reply(frames, 1, &HashMap::new())).is_err()
}

#[test]
fn what_is_no_answer_is_refused() {
    let reset = || Frame::Reset { stream: 1, reason: Reason::NO_ERROR };
    for good in [&[head(true)][..], &[head(false), data(false), data(true), reset()], &[head(false), reset()]]
    {
        assert!(!is_refused(good), "{good:?}");
    }
    let bad = [
        &[head(false), head(false)][..],
        &[head(true), head(true)],
        &[data(true)],
        &[head(true), data(true)],
        &[head(false), data(true), data(true)],
        &[reset(), head(true)],
        // Trailers have no status.
        &[head(false), data(false), head(true)],
    ];
    for bad in bad {
        assert!(is_refused(bad), "{bad:?}");
    }
}

#[test]
fn an_answer_that_ends_short_of_its_length_is_refused() {
    let mut fields = vec![(":status".to_owned(), "200".to_owned())];
    fields.push(("content-length".to_owned(), "5".to_owned()));
    let head = Frame::Headers { stream: 1, fields, ends: false };
    assert!(is_refused(&[head.clone(), data(true)]));
    assert!(!is_refused(&[head, data(false)]), "it is cut, and does not say that it is whole");
}
