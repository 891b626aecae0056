//! The rows of HTTP/1: 1 to 22.

use sundown_tests::http::{Client, End, Framing, Reply};

use super::{
    Case, alive, blocked, both,
    looks::{ask_late, cut, cut_reply, handed_over, no_switch, refused, refused_unread, served_last, silent},
    stage::{Act, Stage, before_the_signal, claimed, draining, end, gone, quiet},
};

pub(super) const CASES: [Case; 41] = [
    both(1, "accepted", |stage| silent(stage.connect())),
    blocked(1, "in the accept queue", |_| before_the_signal(|stage| silent(stage.connect()))),
    both(2, "kept", |stage| silent(stage.connect_kept())),
    alive(3, "on a new connection", |_| {
        before_the_signal(|stage| {
            let fresh = stage.connect();
            ask_late(stage, fresh)
        })
    }),
    alive(3, "on a kept one", |stage| {
        let kept = stage.connect_kept();
        before_the_signal(|stage| ask_late(stage, kept))
    }),
    blocked(3, "on a new connection", |stage| {
        let fresh = stage.connect();
        before_the_signal(|stage| refused(stage, fresh))
    }),
    blocked(3, "on a kept one", |stage| {
        let kept = stage.connect_kept();
        before_the_signal(|stage| refused(stage, kept))
    }),
    blocked(3, "in the accept queue", |_| {
        before_the_signal(|stage| {
            let queued = stage.connect();
            refused(stage, queued)
        })
    }),
    both(4, "the first", |stage| {
        let fresh = stage.connect();
        part_of_a_head(fresh)
    }),
    both(4, "after an answer", |stage| part_of_a_head(stage.connect_kept())),
    both(4, "behind a request", |stage| {
        let mut client = stage.connect();
        client.send(stage.head("GET /fast HTTP/1.1", "") + "GET /fast HTT");
        assert_eq!(client.reply("GET").status, 200);
        refused_unread(client)
    }),
    blocked(4, "unread", |_| before_the_signal(|stage| part_of_a_head(stage.connect()))),
    both(5, "that ignores it", |stage| upload(stage, "POST /wait HTTP/1.1")),
    both(5, "that reads it", |stage| upload(stage, "POST /read HTTP/1.1")),
    both(6, "POST", |stage| {
        let client = stage.begin("POST /wait HTTP/1.1", EXPECT);
        handed_over(stage, client, "POST", |reply| assert!(reply.interim.is_empty(), "{:?}", reply.interim))
    }),
    both(7, "POST", |stage| {
        let mut client = stage.begin("POST /read HTTP/1.1", EXPECT);
        client.wait_for_bytes("HTTP/1.1 100 Continue\r\n\r\n".len());
        handed_over(stage, client, "POST", |reply| assert_eq!(reply.interim, [100]))
    }),
    both(8, "GET", |stage| {
        let client = stage.begin("GET /wait HTTP/1.1", "");
        handed_over(stage, client, "GET", |reply| assert!(!reply.body.is_empty()))
    }),
    both(8, "POST", |stage| {
        let client = stage.begin("POST /wait HTTP/1.1", "content-length: 0\r\n");
        handed_over(stage, client, "POST", |_| ())
    }),
    both(9, "GET", |stage| {
        let client = stage.begin("GET /length HTTP/1.1", "");
        cut(client, Framing::Length(1000), End::Fin)
    }),
    both(10, "GET", |stage| {
        let client = stage.begin("GET /chunked HTTP/1.1", "");
        cut(client, Framing::Chunked, End::Fin)
    }),
    both(11, "GET", |stage| {
        let client = stage.begin("GET /chunked HTTP/1.0", "");
        cut(client, Framing::ToTheEnd, End::Reset)
    }),
    alive(12, "GET", |stage| {
        let mut client = stage.begin(EVENTS, "");
        client.wait_for_bytes(1000);
        quiet(move |_| {
            let reply = client.only_reply("GET");
            assert_eq!(reply.framing, Framing::Chunked);
            let text = reply.text();
            let is_whole = ["\n\n", "\r\n\r\n", "\r\r"].iter().any(|end| text.ends_with(end));
            assert!(is_whole, "cut in an event: {text:?}");
            end(|| ())
        })
    }),
    blocked(12, "GET", |stage| {
        let mut client = stage.begin(EVENTS, "");
        client.wait_for_bytes(1000);
        end(move || drop(cut_reply(&client.end(), End::Fin)))
    }),
    both(13, "the second has a handler", |stage| {
        let [first, second] = ["/fast", "/wait"].map(|path| stage.head(&format!("GET {path} HTTP/1.1"), ""));
        let third = "GET /fast HTTP/1.1\r\nhost: test\r\nx-job-id: third\r\n\r\n";
        let mut client = stage.connect();
        client.send([&first, &second, third].concat());
        // Of the first, and of the second.
        stage.wait_for_start();
        stage.wait_for_start();
        client.reply("GET").assert_own(&format!("fast {}\n", stage.id));
        handed_over(stage, client, "GET", |_| ())
    }),
    both(14, "HEAD", |stage| {
        let client = stage.begin("HEAD /wait HTTP/1.1", "");
        handed_over(stage, client, "HEAD", |reply| {
            let length = reply.field("content-length").and_then(|length| length.parse::<usize>().ok());
            assert!(length.is_some_and(|length| length > 0), "{reply}");
        })
    }),
    both(15, "GET", |stage| {
        let client = stage.begin("GET /wait HTTP/1.0", "");
        handed_over(stage, client, "GET", sized)
    }),
    both(15, "GET, to be kept", |stage| {
        let client = stage.begin("GET /wait HTTP/1.0", "connection: keep-alive\r\n");
        handed_over(stage, client, "GET", sized)
    }),
    both(16, "GET", |stage| {
        let client = stage.begin("GET /wait HTTP/1.1", "connection: upgrade\r\nupgrade: websocket\r\n");
        no_switch(stage, client, "GET")
    }),
    both(17, "CONNECT", |stage| {
        let mut client = stage.connect();
        let id = &stage.id;
        client.send(format!("CONNECT elsewhere:80 HTTP/1.1\r\nhost: elsewhere:80\r\nx-job-id: {id}\r\n\r\n"));
        stage.wait_for_start();
        no_switch(stage, client, "CONNECT")
    }),
    both(18, "a protocol that nobody here knows", |stage| {
        let mut client = switched(stage, "GET /upgrade HTTP/1.1", "connection: upgrade\r\nupgrade: echo\r\n");
        client.send("echo");
        client.wait_for_bytes(4);
        end(move || {
            let transcript = client.end();
            assert_eq!((&*transcript.bytes, transcript.end), (&b"echo"[..], End::Fin), "{transcript}");
        })
    }),
    both(18, "a WebSocket", |stage| {
        let client = switched(
            stage,
            "GET /websocket HTTP/1.1",
            "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        );
        let is_told = !stage.is_blocked;
        end(move || {
            let transcript = client.end();
            // A frame that closes, not masked, its length, and 1001 (RFC 6455 section 5.5.1).
            let is_close = matches!(transcript.bytes[..], [0x88, length, 0x03, 0xE9, ..]
                if usize::from(length) + 2 == transcript.bytes.len());
            assert!(if is_told { is_close } else { transcript.bytes.is_empty() }, "{transcript}");
            assert_eq!(transcript.end, End::Fin, "{transcript}");
        })
    }),
    both(19, "GET", |stage| {
        let mut client = stage.begin("GET /wait HTTP/1.1", "");
        client.half_close();
        handed_over(stage, client, "GET", |_| ())
    }),
    alive(20, "on a new connection", |stage| {
        let fresh = stage.connect();
        draining(|stage| served_last(stage, fresh))
    }),
    alive(20, "on a kept one", |stage| {
        let kept = stage.connect_kept();
        draining(|stage| served_last(stage, kept))
    }),
    alive(20, "on one that comes", |_| {
        draining(|stage| {
            let comes = stage.connect();
            served_last(stage, comes)
        })
    }),
    blocked(20, "on a kept connection", |stage| {
        let kept = stage.connect_kept();
        draining(|stage| refused(stage, kept))
    }),
    alive(21, "on a new connection", |_| {
        claimed(|stage| {
            let mut late = stage.connect();
            late.get("/fast", &stage.id);
            stage.must_not_start();
            end(move || late.only_reply("GET").assert_retry("not-started"))
        })
    }),
    blocked(21, "on a kept one", |stage| {
        let kept = stage.connect_kept();
        claimed(|stage| refused(stage, kept))
    }),
    both(22, "an answer that its client does not read", |stage| {
        let mut client = Client::connect_narrow(stage.service.address);
        client.get("/large?bytes=60000000", &stage.id);
        stage.wait_for_start();
        client.wait_for_bytes(1000);
        gone(move || {
            let reply = cut_reply(&client.end(), End::Fin);
            assert_eq!((reply.status, reply.framing), (200, Framing::Length(60_000_000)));
        })
    }),
    both(32, "HTTP/1", |stage| {
        let client = stage.begin("GET /wait HTTP/1.1", "via: 1.1 front\r\nx-forwarded-proto: https\r\n");
        handed_over(stage, client, "GET", |_| ())
    }),
    alive(32, "HTTP/1, to be kept", |stage| silent(stage.connect_kept())),
];

const EXPECT: &str = "expect: 100-continue\r\ncontent-length: 9\r\n";
const EVENTS: &str = "GET /events?bytes=61&ms=20 HTTP/1.1";

fn part_of_a_head(mut client: Client) -> Act {
    client.send("GET /fast HT");
    refused_unread(client)
}

fn upload(stage: &mut Stage, line: &str) -> Act {
    let mut client = stage.begin(line, "content-length: 3000000\r\n");
    client.send(vec![b'u'; 60_000]);
    handed_over(stage, client, "POST", |_| ())
}

fn switched(stage: &mut Stage, line: &str, fields: &str) -> Client {
    let mut client = stage.begin(line, fields);
    let reply = client.reply("GET");
    assert_eq!(reply.status, 101, "{reply}");
    client
}

fn sized(reply: &Reply) {
    assert_eq!(reply.framing, Framing::Length(reply.body.len()), "{reply}");
}
