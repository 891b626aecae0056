//! How a body ends that a shutdown does not let go on: by what it is.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::Frame;

use super::events::Events;
use crate::answer::is_grpc;

/// `UNAVAILABLE`: the call may be tried again (<https://grpc.github.io/grpc/core/md_doc_statuscodes.html>).
const UNAVAILABLE: HeaderValue = HeaderValue::from_static("14");

/// How a body ends before its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Early {
    /// By a cut that its reader can see.
    Cut,
    /// In order, after an event, as soon as its connection leaves: whoever reads events comes again for more.
    AfterEvent(Events),
    /// By a status in its trailers, where it would be cut: gRPC.
    Status,
    /// It has.
    Over,
}

impl Early {
    /// What is right for a body without a known length, behind this head. `event_streams`: the media types of those.
    pub(crate) fn of(head: &HeaderMap, is_framed: bool, event_streams: &[String]) -> Self {
        let Some(media_type) = media_type(head) else { return Early::Cut };
        let is = |other: &String| media_type.eq_ignore_ascii_case(other.as_bytes());
        if event_streams.iter().any(is) && !is_encoded(head) {
            return Early::AfterEvent(Events::default());
        }
        if is_framed && is_grpc(media_type) { Early::Status } else { Early::Cut }
    }
}

/// The trailers that tell a gRPC client to call somebody else.
pub(super) fn unavailable() -> Frame<Bytes> {
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert("grpc-status", UNAVAILABLE);
    trailers.insert("grpc-message", HeaderValue::from_static("shutting down before the stream had ended"));
    Frame::trailers(trailers)
}

/// The media type, without its parameters.
fn media_type(head: &HeaderMap) -> Option<&[u8]> {
    let value = head.get(header::CONTENT_TYPE)?.as_bytes();
    value.split(|byte| *byte == b';').next().map(<[u8]>::trim_ascii)
}

/// What is compressed has its events nowhere.
fn is_encoded(head: &HeaderMap) -> bool {
    head.get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content_type: &'static str, is_framed: bool) -> Early {
        let mut head = HeaderMap::new();
        head.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        Early::of(&head, is_framed, &["text/event-stream".to_owned()])
    }

    #[test]
    fn the_media_type_decides() {
        let events = Early::AfterEvent(Events::default());
        for content_type in
            ["text/event-stream", "Text/Event-Stream ; charset=utf-8", "text/event-stream;x=y"]
        {
            assert_eq!(of(content_type, false), events, "{content_type}");
        }
        for content_type in ["text/event-stream2", "text/plain; x=text/event-stream", "application/json", ""]
        {
            assert_eq!(of(content_type, false), Early::Cut, "{content_type}");
        }
        assert_eq!(Early::of(&HeaderMap::new(), false, &[]), Early::Cut);
    }

    #[test]
    fn grpc_has_trailers_only_where_there_are_streams() {
        for content_type in ["application/grpc", "application/grpc+proto", "Application/gRPC;x=y"] {
            assert_eq!(of(content_type, true), Early::Status, "{content_type}");
            assert_eq!(of(content_type, false), Early::Cut, "{content_type}");
        }
        for content_type in ["application/grpc-web+proto", "application/grpcs", "application/grp"] {
            assert_eq!(of(content_type, true), Early::Cut, "{content_type}");
        }
    }

    #[test]
    fn what_is_compressed_has_no_events_to_end_after() {
        for (encoding, early) in [("gzip", Early::Cut), ("identity", Early::AfterEvent(Events::default()))] {
            let mut head = HeaderMap::new();
            head.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            head.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
            assert_eq!(Early::of(&head, false, &["text/event-stream".to_owned()]), early, "{encoding}");
        }
    }

    #[test]
    fn who_leaves_lets_out_whole_events_only() {
        let frame = || Frame::data(Bytes::from_static(b": 1\n\ndata: 2\n\ndata"));
        for (leaves, let_out, between) in
            [(false, ": 1\n\ndata: 2\n\ndata", false), (true, ": 1\n\ndata: 2\n\n", true)]
        {
            let mut events = Events::default();
            events.let_frame_out(Frame::data(Bytes::from_static(b"data")), false);
            assert_eq!(events.let_frame_out(frame(), leaves).into_data().unwrap(), let_out);
            assert_eq!(events.are_between(), between);
        }
    }
}
