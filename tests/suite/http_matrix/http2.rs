//! The rows of HTTP/2 and gRPC, in clear: 23 to 29 without 27, and 32.

use h2::Reason;
use sundown_tests::http::{
    End,
    h2::{Client, EVERY_STREAM, Frame, Manners, Transcript},
};

use super::{
    Case, alive, blocked, both,
    stage::{Act, Stage, before_the_signal, claimed, end},
};

pub(super) const CASES: [Case; 17] = [
    both(23, "its streams are over", |stage| {
        let mut client = Client::connect(stage.service.address);
        let stream = client.get("/fast", &stage.id);
        client.reply(stream).assert_own(&format!("fast {}\n", stage.id));
        if stage.is_blocked {
            return cut(client, None);
        }
        end(move || client.end().assert_farewell(stream))
    }),
    both(23, "pings are not acknowledged", |stage| {
        let manners = Manners { acknowledges_pings: false, ..Manners::default() };
        let mut client = Client::connect_with(stage.service.address, manners);
        let stream = client.get("/wait", &stage.id);
        stage.wait_for_start();
        if stage.is_blocked {
            return cut(client, stream);
        }
        let id = stage.id.clone();
        end(move || {
            let transcript = client.end();
            transcript.whole_reply(stream).assert_success("handed-over", &id);
            // That it ends is said; after which stream would be said later.
            assert_eq!(transcript.goaways(), [(EVERY_STREAM, Reason::NO_ERROR)], "{transcript}");
            assert_eq!((transcript.cut, transcript.end), (0, End::Fin), "{transcript}");
        })
    }),
    both(24, "GET", |stage| begun(stage, "GET", "/wait", &[], handed_over)),
    both(24, "HEAD", |stage| begun(stage, "HEAD", "/wait", &[], handed_over)),
    both(24, "a body that is not all there", |stage| {
        let mut client = Client::connect(stage.service.address);
        let id = stage.id.clone();
        let stream = client.request("POST", "/wait", &[("x-job-id", &id)], false);
        client.data(stream, b"part", false);
        stage.wait_for_start();
        if stage.is_blocked {
            return cut(client, stream);
        }
        end(move || {
            let transcript = client.end();
            transcript.whole_reply(stream).assert_success("handed-over", &id);
            assert_eq!(transcript.reset(stream), Some(Reason::NO_ERROR), "{transcript}");
            transcript.assert_farewell(stream);
        })
    }),
    both(24, "several", |stage| {
        let mut client = Client::connect(stage.service.address);
        let id = stage.id.clone();
        let streams = [0; 3].map(|_| {
            let stream = client.get("/wait", &id);
            stage.wait_for_start();
            stream
        });
        if stage.is_blocked {
            return cut(client, streams[2]);
        }
        end(move || {
            let transcript = client.end();
            for stream in streams {
                transcript.whole_reply(stream).assert_success("handed-over", &id);
            }
            transcript.assert_farewell(streams[2]);
        })
    }),
    both(25, "of no known length", |stage| begun(stage, "GET", "/chunked", &[], reset)),
    both(25, "of a known length", |stage| begun(stage, "GET", "/length", &[], reset)),
    alive(26, "opened before it read of the end", |stage| {
        let (client, stream) = waiting(stage);
        claimed(move |stage| {
            let mut client = client;
            let late = client.get("/fast", &stage.id);
            refused(stage, client, stream, late)
        })
    }),
    alive(26, "opened on a new connection", |_| {
        claimed(|stage| {
            let mut client = Client::connect(stage.service.address);
            let late = client.get("/fast", &stage.id);
            stage.must_not_start();
            end(move || {
                let transcript = client.end();
                assert_refused(&transcript, late);
            })
        })
    }),
    alive(26, "opened after the last that counts", |stage| {
        let (client, stream) = waiting(stage);
        claimed(move |stage| {
            let mut client = client;
            client.wait_for(|frame| matches!(frame, Frame::GoAway { last, .. } if *last == stream));
            let late = client.get("/fast", &stage.id);
            refused(stage, client, stream, late)
        })
    }),
    blocked(26, "on a connection that is open", |stage| {
        let (client, _) = waiting(stage);
        before_the_signal(|stage| {
            let mut client = client;
            let late = client.get("/fast", &stage.id);
            cut(client, late)
        })
    }),
    both(28, "POST", |stage| begun(stage, "POST", "/wait", &GRPC, unavailable)),
    both(29, "POST", |stage| begun(stage, "POST", "/grpc-stream", &GRPC, unavailable_at_last)),
    both(32, "HTTP/2", |stage| begun(stage, "GET", "/wait", &[("x-forwarded-proto", "https")], handed_over)),
    both(32, "HTTP/2, with a head that is out", |stage| begun(stage, "GET", "/chunked", &[], reset)),
    alive(32, "HTTP/2, idle", |stage| {
        let client = Client::connect(stage.service.address);
        end(move || client.end().assert_farewell(0))
    }),
];

const GRPC: [(&str, &str); 2] = [("content-type", "application/grpc"), ("te", "trailers")];

/// What is to be seen of a stream with this job; and the connection ends as it should.
type Says = fn(&Transcript, u32, &str);

/// A request whose handler has begun.
fn begun(stage: &mut Stage, method: &str, path: &str, fields: &[(&str, &str)], says: Says) -> Act {
    let mut client = Client::connect(stage.service.address);
    let id = stage.id.clone();
    let fields: Vec<_> = [("x-job-id", &*id)].into_iter().chain(fields.iter().copied()).collect();
    let stream = client.request(method, path, &fields, true);
    stage.wait_for_start();
    if stage.is_blocked {
        return cut(client, stream);
    }
    end(move || {
        let transcript = client.end();
        says(&transcript, stream, &id);
        transcript.assert_farewell(stream);
    })
}

fn handed_over(transcript: &Transcript, stream: u32, id: &str) {
    transcript.whole_reply(stream).assert_success("handed-over", id);
}

fn reset(transcript: &Transcript, stream: u32, _: &str) {
    assert!(transcript.reply(stream).is_some_and(|reply| !reply.is_whole), "{transcript}");
    assert_eq!(transcript.reset(stream), Some(Reason::INTERNAL_ERROR), "{transcript}");
}

fn unavailable(transcript: &Transcript, stream: u32, _: &str) {
    let reply = transcript.whole_reply(stream);
    let says = ["content-type", "grpc-status", "content-length"].map(|name| reply.field(name));
    assert_eq!((reply.status, says), (200, [Some("application/grpc"), Some("14"), None]), "{reply}");
    // The head is the trailers too.
    let has_data = transcript.frames.iter().any(|frame| matches!(frame, Frame::Data { .. }));
    assert!(!has_data && reply.trailers.is_empty(), "{transcript}");
}

fn unavailable_at_last(transcript: &Transcript, stream: u32, _: &str) {
    let reply = transcript.whole_reply(stream);
    let status = reply.trailers.iter().find(|(name, _)| name == "grpc-status");
    assert_eq!(status.map(|(_, status)| &**status), Some("14"), "{transcript}");
}

/// A connection with a stream that keeps it, which has not read anything.
fn waiting(stage: &mut Stage) -> (Client, u32) {
    let mut client = Client::connect(stage.service.address);
    let stream = client.get("/wait", "keeps");
    stage.service.wait_for_start("keeps");
    (client, stream)
}

/// The one stream is answered, and the late one can be tried anywhere.
fn refused(stage: &mut Stage, client: Client, stream: u32, late: u32) -> Act {
    stage.must_not_start();
    end(move || {
        let transcript = client.end();
        transcript.whole_reply(stream).assert_success("handed-over", "keeps");
        assert_refused(&transcript, late);
    })
}

/// It is said that no handler has seen it (RFC 9113 section 8.7).
fn assert_refused(transcript: &Transcript, late: u32) {
    let is_above = transcript.goaways().last().is_some_and(|(last, _)| *last < late);
    let is_reset = transcript.reset(late) == Some(Reason::REFUSED_STREAM);
    assert!(transcript.reply(late).is_none() && (is_above || is_reset), "{transcript}");
    assert_eq!((transcript.cut, transcript.end), (0, End::Fin), "{transcript}");
}

/// What a blocked runtime leaves: nothing more is said, and nothing looks whole.
pub(super) fn cut(client: Client, stream: impl Into<Option<u32>>) -> Act {
    let stream = stream.into();
    end(move || {
        let transcript = client.end();
        if let Some(stream) = stream {
            assert!(transcript.reply(stream).is_none_or(|reply| !reply.is_whole), "{transcript}");
            assert_eq!(transcript.reset(stream), None, "{transcript}");
        }
        assert!(transcript.goaways().is_empty(), "{transcript}");
        assert!(matches!(transcript.end, End::Fin | End::Reset), "{transcript}");
    })
}
