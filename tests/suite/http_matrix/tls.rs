//! The rows of TLS: 30 and 31.

use sundown_tests::http::{
    Client, End, Framing, Tls,
    h2::{self, Manners},
};

use super::{
    Case, alive, blocked, both,
    looks::{cut_reply, handed_over, silent},
    play::play,
    stage::{Act, Stage, before_the_signal, end},
};

pub(super) const CASES: [Case; 12] = [
    both(30, "idle, fresh", |stage| silent(stage.connect())),
    both(30, "idle, kept", |stage| silent(stage.connect_kept())),
    both(30, "a handler is running", |stage| {
        let client = stage.begin("GET /wait HTTP/1.1", "");
        handed_over(stage, client, "GET", |_| ())
    }),
    both(30, "part of a head", |stage| {
        let mut client = stage.connect();
        client.send("GET /fast HT");
        end(move || client.only_reply("HEAD").assert_retry("not-started"))
    }),
    blocked(30, "a request, unread", |stage| {
        let mut client = stage.connect_kept();
        before_the_signal(move |stage| {
            client.get("/fast", &stage.id);
            stage.must_not_start();
            end(move || client.only_reply("HEAD").assert_retry("not-started"))
        })
    }),
    both(30, "a chunked body that cannot end", |stage| cut(stage, "GET /chunked HTTP/1.1", Framing::Chunked)),
    both(30, "a body that ends with the connection", |stage| {
        cut(stage, "GET /chunked HTTP/1.0", Framing::ToTheEnd)
    }),
    alive(30, "HTTP/2, a handler is running", |stage| {
        let (client, stream) = stream(stage);
        let id = stage.id.clone();
        end(move || {
            let transcript = client.end();
            transcript.whole_reply(stream).assert_success("handed-over", &id);
            transcript.assert_farewell(stream);
        })
    }),
    blocked(30, "HTTP/2, a handler is running", |stage| {
        let (client, stream) = stream(stage);
        end(move || {
            let transcript = client.end();
            assert!(transcript.reply(stream).is_none(), "{transcript}");
            // What it has acknowledged is unread when the process ends.
            assert!(matches!(transcript.end, End::Ragged | End::Reset), "{transcript}");
        })
    }),
    both(31, "nothing has come", |stage| unfinished(stage.service.connect())),
    both(31, "half of what the client says first", |stage| hello(stage, 2)),
    both(31, "all of what the client says first", |stage| hello(stage, 1)),
];

/// Alive, or blocked.
pub(super) fn play_all(is_blocked: bool) {
    play(Stage::new("1", is_blocked, Some(Tls::new())), CASES.iter());
}

fn stream(stage: &mut Stage) -> (h2::Client, u32) {
    let tls = stage.tls.as_ref().expect("the stage speaks it");
    let mut client = tls.connect_h2(stage.service.address, Manners::default());
    let stream = client.get("/wait", &stage.id);
    stage.wait_for_start();
    (client, stream)
}

/// Without a close_notify: so it cannot look whole (RFC 9112 section 9.8).
fn cut(stage: &mut Stage, line: &str, framing: Framing) -> Act {
    let mut client = stage.begin(line, "");
    client.wait_for_bytes(1);
    end(move || assert_eq!(cut_reply(&client.end(), End::Ragged).framing, framing))
}

/// This part of it.
fn hello(stage: &mut Stage, part: usize) -> Act {
    let hello = stage.tls.as_ref().expect("the stage speaks it").hello();
    let mut client = stage.service.connect();
    client.send(&hello[..hello.len() / part]);
    unfinished(client)
}

/// An end, and nothing in clear.
fn unfinished(client: Client) -> Act {
    end(move || {
        let transcript = client.end();
        assert!(!transcript.bytes.windows(4).any(|bytes| bytes == b"HTTP"), "{transcript}");
        assert_eq!(transcript.end, End::Fin, "{transcript}");
    })
}
