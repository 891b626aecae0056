//! Exchanges that last: streams of events, WebSockets, tunnels. Each ends in its own order, together or spread over the
//! drain.

use std::{
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use sundown_tests::{
    http::{Client, End, Monitor, Reply, Service, Transcript, terminate_and_hurry},
    side_by_side,
};
use tungstenite::{Message, WebSocket, protocol::frame::coding::CloseCode};

use super::PROGRAMS;

/// A service of so many seconds, and the monitor that takes all its jobs over.
fn start(variables: &[(&str, &str)]) -> (Service, Monitor) {
    let monitor = Monitor::taking_all();
    (PROGRAMS.responder(variables, Some(&monitor)), monitor)
}

/// A reader of events, which have begun to come.
fn read_events(service: &mut Service, path: &str, version: &str, id: &str) -> Client {
    let mut client = service.connect();
    client.send(format!("GET {path} {version}\r\nhost: test\r\nx-job-id: {id}\r\n\r\n"));
    service.wait_for_start(id);
    client.wait_for_bytes(400);
    client
}

/// A connection that has switched protocols.
fn upgrade(service: &mut Service, request: &str, id: &str) -> Client {
    let mut client = service.connect();
    client.send(format!(
        "{request} HTTP/1.1\r\nhost: test\r\nx-job-id: {id}\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n"
    ));
    let method = request.split(' ').next().expect("it begins with a method");
    assert!(matches!(client.reply(method).status, 101 | 200));
    service.child.wait_for(&format!("U {id}"));
    client
}

/// The one reply, in which every event is whole.
fn whole_events(transcript: &Transcript) -> Reply {
    let reply = transcript.only_reply("GET");
    assert_events(&reply.text());
    reply
}

/// Every event is whole, and none is missing.
fn assert_events(text: &str) {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let events: Vec<_> = text.split_terminator("\n\n").collect();
    assert!(text.ends_with("\n\n") && !events.is_empty(), "cut in an event: {:?}", events.last());
    for (index, event) in events.iter().enumerate() {
        assert_eq!(*event, format!("id: {}\ndata: {{\ndata: }}", index + 1));
    }
}

#[test]
fn an_event_stream_ends_after_an_event_and_its_client_is_sent_elsewhere() {
    side_by_side(&["/events?bytes=7", "/events?bytes=61", "/events?bytes=1", "/events?bytes=500"], |path| {
        for version in ["HTTP/1.1", "HTTP/1.0"] {
            let (mut service, _monitor) = start(&[]);
            let reader = read_events(&mut service, path, version, "reader");
            // Something else lasts, so that there is somebody to come back to.
            let other = upgrade(&mut service, "GET /upgrade", "other");
            let signalled = service.terminate();
            let ended = reader.end();
            whole_events(&ended);
            assert!(ended.at - signalled < Duration::from_secs(3), "not at the end of the drain");
            let again = Client::asking(service.address, path, "again");
            again.only_reply("GET").assert_retry("not-started");
            drop(other);
            let ending = service.end();
            ending.assert_code(0);
            assert_eq!(ending.report().component("http", "drained"), "done");
            assert_eq!(
                ending.report().jobs("handed_over"),
                Vec::<String>::new(),
                "the end completes the job"
            );
        }
    });
}

#[test]
fn an_event_stream_that_comes_to_no_end_of_an_event_is_cut() {
    let (mut service, monitor) = start(&[]);
    let mut client = Client::asking(service.address, "/events?ms=600000", "it");
    service.wait_for_start("it");
    client.wait_for_bytes(1);
    terminate_and_hurry(&service, &monitor);
    let transcript = client.end();
    let [reply] = &transcript.replies(&["GET"])[..] else { panic!("{transcript}") };
    assert!(!reply.is_whole && transcript.end != End::None, "{transcript}");
    assert_eq!(monitor.jobs(), ["it"]);
    service.end().assert_code(0);
}

/// Nobody is there to end it in order: all that is left is that its reader can tell.
#[test]
fn an_event_stream_of_a_blocked_runtime_is_cut() {
    let (mut service, monitor) = start(&[("THREADS", "1")]);
    let reader = read_events(&mut service, "/events?bytes=61", "HTTP/1.1", "reader");
    let blocker = service.begin("/wait?block=true", "blocker");
    terminate_and_hurry(&service, &monitor);
    blocker.only_reply("GET").assert_success("handed-over", "blocker");
    let transcript = reader.end();
    let [reply] = &transcript.replies(&["GET"])[..] else { panic!("{transcript}") };
    assert!(!reply.is_whole && transcript.end != End::None, "{transcript}");
    service.end().assert_code(0);
}

#[test]
fn a_drain_waits_for_an_upgraded_connection() {
    side_by_side(&["GET /upgrade", "CONNECT /tunnel"], |request| {
        let (mut service, monitor) = start(&[]);
        let mut client = upgrade(&mut service, request, "it");
        service.terminate();
        monitor.wait_for_draining();
        // Until long after traffic is quiet.
        assert!(service.child.stays_for(Duration::from_millis(1500)), "it is waited for");
        for n in 0..3 {
            let message = format!("message {n}");
            client.send(&message);
            client.wait_for_bytes(message.len() * (n + 1));
        }
        client.half_close();
        let transcript = client.end();
        let said = String::from_utf8_lossy(&transcript.bytes);
        assert_eq!((&*said, transcript.end), ("message 0message 1message 2", End::Fin), "{transcript}");
        let ending = service.end();
        ending.assert_code(0);
        assert_eq!(ending.report().component("http", "drained"), "done");
    });
}

#[test]
fn an_upgraded_connection_that_lasts_is_named_and_not_written_on() {
    let cases = [("GET /upgrade", "2"), ("CONNECT /tunnel", "2"), ("GET /upgrade", "1")];
    side_by_side(&cases, |(request, threads)| {
        let (mut service, monitor) = start(&[("THREADS", threads)]);
        let client = upgrade(&mut service, request, "it");
        // On one thread, the rescue has everything to do.
        let blocker = (*threads == "1").then(|| service.begin("/wait?block=true", "blocker"));
        terminate_and_hurry(&service, &monitor);
        let transcript = client.end();
        assert!(transcript.bytes.is_empty() && transcript.end != End::None, "{transcript}");
        drop(blocker);
        let ending = service.end();
        let names = ending.report().names_in_flight("http");
        assert!(names.contains(&format!("{request} (upgraded) [it]")), "{names:?}");
    });
}

/// A WebSocket that has echoed.
fn open_websocket(service: &mut Service, id: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(service.address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(15))).expect("it is a socket");
    let request = http::Request::builder()
        .uri(format!("ws://{}/websocket", service.address))
        .header("host", "test")
        .header("x-job-id", id)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", tungstenite::handshake::client::generate_key())
        .body(())
        .expect("it is a request");
    let (mut socket, _) = tungstenite::client(request, stream).expect("it is accepted");
    socket.send(Message::text("hello")).expect("it is open");
    assert_eq!(socket.read().expect("it echoes"), Message::text("hello"));
    socket
}

/// Waits for its end, which is in order. Returns when the goodbye came.
fn assert_going_away(mut socket: WebSocket<TcpStream>) -> Instant {
    let Ok(Message::Close(Some(goodbye))) = socket.read() else { panic!("no goodbye") };
    let at = Instant::now();
    assert_eq!(goodbye.code, CloseCode::Away);
    let end = socket.read();
    assert!(matches!(end, Err(tungstenite::Error::ConnectionClosed)), "{end:?}");
    at
}

#[test]
fn a_websocket_is_told_that_its_server_goes_away() {
    let (mut service, _monitor) = start(&[]);
    let sockets: Vec<_> = (0..5).map(|n| open_websocket(&mut service, &n.to_string())).collect();
    let signalled = service.terminate();
    for socket in sockets {
        assert!(assert_going_away(socket) - signalled < Duration::from_secs(3));
    }
    let ending = service.end();
    ending.assert_code(0);
    assert_eq!(ending.report().component("http", "drained"), "done");
    assert!(ending.after(signalled) < Duration::from_secs(4), "{:?}", ending.after(signalled));
}

/// Asserts that moments fill the time to the last of them, with room for a slow machine.
fn assert_spread(mut moments: Vec<Instant>, from: Instant) {
    moments.sort();
    let after: Vec<_> = moments.iter().map(|at| at.saturating_duration_since(from)).collect();
    let last = *after.last().expect("there are some");
    assert!(last > Duration::from_secs(3), "a drain of more than half of 10 s: {after:?}");
    for part in 0..5 {
        let has = after.iter().any(|at| (last * part / 5..=last * (part + 1) / 5).contains(at));
        assert!(has, "nobody left in the fifth {part}: {after:?}");
    }
}

#[test]
fn event_streams_end_one_by_one_where_closes_are_spread() {
    let (mut service, _monitor) = start(&[("SPREAD", "yes")]);
    let path = "/events?bytes=61&ms=20";
    let read = |n: usize| read_events(&mut service, path, "HTTP/1.1", &n.to_string());
    let readers: Vec<_> = (0..20).map(read).collect();
    let signalled = service.terminate();
    let readers: Vec<_> = readers.into_iter().map(|reader| thread::spawn(|| reader.end())).collect();
    let ended: Vec<_> = readers.into_iter().map(|reader| reader.join().expect("it reads")).collect();
    ended.iter().for_each(|transcript| drop(whole_events(transcript)));
    assert_spread(ended.iter().map(|transcript| transcript.at).collect(), signalled);
    let ending = service.end();
    ending.assert_code(0);
    assert_eq!(ending.report().component("http", "drained"), "done");
}

#[test]
fn websockets_are_told_one_by_one_where_closes_are_spread() {
    let (mut service, _monitor) = start(&[("SPREAD", "yes")]);
    let sockets: Vec<_> = (0..20).map(|n| open_websocket(&mut service, &n.to_string())).collect();
    let signalled = service.terminate();
    let told: Vec<_> =
        sockets.into_iter().map(|socket| thread::spawn(|| assert_going_away(socket))).collect();
    assert_spread(told.into_iter().map(|told| told.join().expect("it is told")).collect(), signalled);
    service.end().assert_code(0);
}

#[test]
fn until_its_moment_a_connection_goes_on_where_closes_are_spread() {
    let (mut service, monitor) = start(&[("SPREAD", "yes")]);
    // The first leaves when three fifths of the drain have gone.
    let mut kept = service.connect_kept();
    let other = upgrade(&mut service, "GET /upgrade", "other");
    let signalled = service.terminate();
    monitor.wait_for_draining();
    // Until its turn has come, and traffic has long been quiet.
    while Client::asking(service.address, "/fast", "new").reply("GET").status != 503 {}
    kept.get("/fast", "kept");
    let reply = kept.reply("GET");
    reply.assert_own("fast kept\n");
    assert_eq!(reply.field("connection"), None, "{reply}");
    let ended = kept.end();
    ended.assert_silent();
    assert!(ended.at - signalled > Duration::from_secs(2), "{:?}", ended.at - signalled);
    drop(other);
    service.end().assert_code(0);
}

#[test]
fn with_nothing_that_lasts_closes_that_are_spread_take_no_longer() {
    let (mut service, _monitor) = start(&[("SPREAD", "yes")]);
    let idle: Vec<_> = (0..10).map(|_| service.connect_kept()).collect();
    let waiting = service.begin("/committing?ms=700", "it");
    let signalled = service.terminate();
    waiting.only_reply("GET").assert_own("effect it\n");
    let ending = service.end();
    idle.into_iter().for_each(|idle| idle.end().assert_silent());
    ending.assert_code(0);
    assert_eq!(ending.report().component("http", "drained"), "done");
    assert!(ending.after(signalled) < Duration::from_secs(3), "{:?}", ending.after(signalled));
}

/// What came on a stream of HTTP/2 that was asked for before the signal: all of its body, and its trailers.
fn stream_of_http_2(
    path: &str,
    terminate: impl FnOnce(&Service, &Monitor),
) -> (Vec<u8>, Option<http::HeaderMap>) {
    let (mut service, monitor) = start(&[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    let came = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(service.address).await.expect("it listens");
        let (mut client, connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
        tokio::spawn(connection);
        let uri = format!("http://test{path}");
        let request = http::Request::builder().uri(uri).header("x-job-id", "it").body(());
        let sent = client.send_request(request.expect("it is a request"), true);
        let mut body = sent.expect("it is sent").0.await.expect("it is answered").into_body();
        let mut came = body.data().await.expect("it begins").expect("it goes on").to_vec();
        service.wait_for_start("it");
        terminate(&service, &monitor);
        while let Some(data) = body.data().await {
            let data = data.expect("it is not cut");
            came.extend_from_slice(&data);
            let _ = body.flow_control().release_capacity(data.len());
        }
        (came, body.trailers().await.expect("it ends in order"))
    });
    service.end().assert_code(0);
    came
}

#[test]
fn a_grpc_stream_that_cannot_end_says_unavailable() {
    let (came, trailers) = stream_of_http_2("/grpc-stream", |service, monitor| {
        terminate_and_hurry(service, monitor);
    });
    assert_eq!(came, b"beginning\n");
    assert_eq!(trailers.expect("it has trailers")["grpc-status"], "14");
}

#[test]
fn an_event_stream_of_http_2_ends_after_an_event() {
    let (came, trailers) = stream_of_http_2("/events?bytes=61", |service, _| {
        service.terminate();
    });
    assert_events(&String::from_utf8(came).expect("it is text"));
    assert_eq!(trailers, None);
}

#[test]
fn a_drain_waits_for_a_tunnel_of_http_2() {
    let (mut service, monitor) = start(&[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(service.address).await.expect("it listens");
        let (mut client, connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
        let connection = tokio::spawn(connection);
        let request = http::Request::builder().method("CONNECT").uri("tunnel:80").header("x-job-id", "it");
        let sent = client.send_request(request.body(()).expect("it is a request"), false);
        let (answer, mut out) = sent.expect("it is sent");
        let answer = answer.await.expect("it is answered");
        assert_eq!(answer.status(), 200);
        let mut back = answer.into_body();
        service.child.wait_for("U it");
        service.terminate();
        monitor.wait_for_draining();
        // Longer than a peer without streams may take to let go.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        out.send_data("message".into(), false).expect("it is open");
        assert_eq!(back.data().await.expect("it is open").expect("it is not cut"), "message");
        out.send_data("".into(), true).expect("it is open");
        while let Some(end) = back.data().await {
            assert_eq!(end.expect("it ends in order"), "");
        }
        drop((client, out, back));
        connection.await.expect("it is polled").expect("it ends in order");
    });
    let ending = service.end();
    ending.assert_code(0);
    assert_eq!(ending.report().component("http", "drained"), "done");
}

/// The end of one side of a connection that is its own is not the end of the other.
#[test]
fn what_comes_after_an_upgraded_connections_owner_has_said_his_last_is_his_to_read() {
    let (mut service, _monitor) = start(&[]);
    let mut client = upgrade(&mut service, "GET /upgrade?done=true", "it");
    client.send("all of it");
    client.half_close();
    service.child.wait_for("H all of it");
    client.end().assert_silent();
    service.terminate();
    service.end().assert_code(0);
}
