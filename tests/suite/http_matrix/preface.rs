//! Row 27: connections of HTTP/2 without a stream, and those that have not got so far.

use h2::Reason;
use sundown_tests::http::{
    End,
    h2::{Client, Frame, PREFACE},
};

use super::{
    Case, blocked, both,
    http2::cut,
    stage::{Act, Stage, before_the_signal, end},
};

pub(super) const CASES: [Case; 9] = [
    both(27, "idle", |stage| {
        let client = Client::connect(stage.service.address);
        if stage.is_blocked {
            return cut(client, None);
        }
        end(move || client.end().assert_farewell(0))
    }),
    both(27, "the preface alone", |stage| {
        let client = Client::connect_raw(stage.service.address, PREFACE);
        if stage.is_blocked {
            return cut(client, None);
        }
        end(move || {
            let transcript = client.end();
            let goaways = transcript.goaways();
            assert!(!goaways.is_empty(), "{transcript}");
            assert!(goaways.iter().all(|goaway| goaway.1 == Reason::NO_ERROR), "{transcript}");
            assert_eq!((transcript.cut, transcript.end), (0, End::Fin), "{transcript}");
        })
    }),
    both(27, "half of the preface", |stage| half(stage)),
    both(27, "two bytes of the preface", |stage| {
        nothing(Client::connect_raw(stage.service.address, &PREFACE[..2]))
    }),
    blocked(27, "a greeting, unread", |_| {
        before_the_signal(|stage| gone_away(Client::connect(stage.service.address)))
    }),
    blocked(27, "a greeting and a request, unread", |_| {
        before_the_signal(|stage| {
            let mut client = Client::connect(stage.service.address);
            client.get("/fast", &stage.id);
            stage.must_not_start();
            gone_away(client)
        })
    }),
    blocked(27, "the preface alone, unread", |stage| {
        let mut client = Client::connect_raw(stage.service.address, b"");
        before_the_signal(move |_| {
            client.send(PREFACE);
            gone_away(client)
        })
    }),
    blocked(27, "half of the preface, unread", |_| before_the_signal(|stage| half(stage))),
    blocked(27, "two bytes of the preface, unread", |_| {
        before_the_signal(|stage| nothing(Client::connect_raw(stage.service.address, &PREFACE[..2])))
    }),
];

/// An end, and nothing of HTTP/1. (It acknowledges nothing: that would be the other half.)
fn half(stage: &Stage) -> Act {
    let mut client = stage.connect();
    client.send(&PREFACE[..20]);
    end(move || {
        let transcript = client.end();
        assert!(!transcript.bytes.windows(4).any(|bytes| bytes == b"HTTP"), "{transcript}");
        assert_eq!(transcript.end, End::Fin, "{transcript}");
    })
}

/// Nobody has looked at it, and so it is told.
fn gone_away(client: Client) -> Act {
    end(move || {
        let transcript = client.end();
        assert_eq!(transcript.goaways(), [(0, Reason::NO_ERROR)], "{transcript}");
        assert!(matches!(transcript.frames[..], [Frame::Settings { is_ack: false }, _]), "{transcript}");
        assert_eq!((transcript.cut, transcript.end), (0, End::Fin), "{transcript}");
    })
}

/// Nobody can know what it speaks.
fn nothing(client: Client) -> Act {
    end(move || {
        let transcript = client.end();
        assert!(transcript.frames.is_empty(), "{transcript}");
        assert_eq!((transcript.cut, transcript.end), (0, End::Fin), "{transcript}");
    })
}
