//! All that a client got over HTTP/2, and how that ended.

use std::{collections::HashMap, fmt, time::Instant};

use h2::Reason;

use super::{EVERY_STREAM, Frame};
use crate::http::{End, Framing, Reply};

/// All that a client got, from the beginning.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// Every frame.
    pub frames: Vec<Frame>,
    /// How many bytes of another frame came after them.
    pub cut: usize,
    /// What came after the last one.
    pub end: End,
    /// When that came.
    pub at: Instant,
    pub(super) methods: Methods,
}

/// What was asked on each stream.
pub(super) type Methods = HashMap<u32, String>;

impl Transcript {
    /// The answer on this stream, as much of it as there is: it is whole if the server has ended it. `None` if even its
    /// head did not come.
    ///
    /// # Panics
    ///
    /// When frames are no answer, or come after its end.
    pub fn reply(&self, stream: u32) -> Option<Reply> {
        reply(&self.frames, stream, &self.methods)
    }

    /// Why the server has reset this stream, if it did.
    ///
    /// # Panics
    ///
    /// When it did twice.
    pub fn reset(&self, stream: u32) -> Option<Reason> {
        reset(&self.frames, stream)
    }

    /// The last stream and the reason of each GOAWAY.
    pub fn goaways(&self) -> Vec<(u32, Reason)> {
        goaways(&self.frames)
    }

    /// The one answer in it, which is whole: on this stream.
    ///
    /// # Panics
    ///
    /// When it is not so.
    pub fn whole_reply(&self, stream: u32) -> Reply {
        let reply = self.reply(stream).unwrap_or_else(|| panic!("no answer on stream {stream}: {self}"));
        assert!(reply.is_whole, "cut: {self}");
        reply
    }

    /// Asserts that the connection ended as it should: it was said first that it ends, then after which stream, and then
    /// it did, in order.
    ///
    /// # Panics
    ///
    /// When it did not.
    pub fn assert_farewell(&self, last: u32) {
        let expected = [EVERY_STREAM, last].map(|last| (last, Reason::NO_ERROR));
        assert_eq!(self.goaways(), expected, "{self}");
        assert_eq!((self.cut, self.end), (0, End::Fin), "{self}");
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for frame in &self.frames {
            match frame {
                Frame::Data { stream, bytes, ends } => {
                    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
                    let length = bytes.len();
                    write!(f, "Data {{ stream: {stream}, {length} bytes: {shown:?}, ends: {ends} }}, ")?;
                }
                frame => write!(f, "{frame:?}, ")?,
            }
        }
        write!(f, "{} bytes of a frame, {:?}", self.cut, self.end)
    }
}

pub(super) fn goaways(frames: &[Frame]) -> Vec<(u32, Reason)> {
    let goaways = frames.iter().filter_map(|frame| match frame {
        Frame::GoAway { last, reason } => Some((*last, *reason)),
        _ => None,
    });
    goaways.collect()
}

pub(super) fn reset(frames: &[Frame], of: u32) -> Option<Reason> {
    let mut resets = frames.iter().filter_map(|frame| match frame {
        Frame::Reset { stream, reason } if *stream == of => Some(*reason),
        _ => None,
    });
    let reason = resets.next();
    assert_eq!(resets.next(), None, "stream {of} is reset twice: {frames:?}");
    reason
}

/// Puts an answer together (RFC 9113 § 8.1).
pub(super) fn reply(frames: &[Frame], stream: u32, methods: &Methods) -> Option<Reply> {
    let mut interim = Vec::new();
    let mut reply: Option<Reply> = None;
    let mut is_over = false;
    for frame in frames.iter().filter(|frame| frame.stream() == stream) {
        // Credit for a request's body may cross anything.
        if matches!(frame, Frame::WindowUpdate { .. }) {
            continue;
        }
        assert!(!is_over, "after the end of stream {stream}: {frame:?}");
        match (frame, &mut reply) {
            (Frame::Headers { fields, ends, .. }, None) => {
                let status = fields.iter().find(|(name, _)| name == ":status").map(|(_, status)| status);
                let status: u16 =
                    status.and_then(|status| status.parse().ok()).expect("an answer has a status");
                if (100..200).contains(&status) {
                    assert!(!ends, "an interim answer is not the last");
                    interim.push(status);
                    continue;
                }
                let fields = fields.iter().filter(|(name, _)| name != ":status").cloned().collect();
                let interim = std::mem::take(&mut interim);
                let (body, trailers, framing) = (Vec::new(), Vec::new(), Framing::Frames);
                reply = Some(Reply { interim, status, fields, framing, body, trailers, is_whole: *ends });
            }
            (Frame::Headers { fields, ends, .. }, Some(reply)) if !reply.is_whole => {
                assert!(*ends, "a second head on stream {stream}: {fields:?}");
                reply.trailers = fields.clone();
                reply.is_whole = true;
            }
            (Frame::Data { bytes, ends, .. }, Some(reply)) if !reply.is_whole => {
                reply.body.extend_from_slice(bytes);
                reply.is_whole = *ends;
            }
            // After a whole answer: that the rest of the request is not wanted.
            (Frame::Reset { .. }, _) => is_over = true,
            _ => panic!("on stream {stream}, out of place: {frame:?}"),
        }
    }
    reply.inspect(|reply| assert_plausible(reply, methods.get(&stream)))
}

fn assert_plausible(reply: &Reply, method: Option<&String>) {
    let names = reply.fields.iter().chain(&reply.trailers).map(|(name, _)| name);
    for name in names {
        // RFC 9113 § 8.2.
        let is_lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
        let is_good = is_lower && !name.starts_with(':');
        let is_of_http_1 = matches!(&**name, "connection" | "transfer-encoding" | "keep-alive" | "upgrade");
        assert!(is_good && !is_of_http_1, "{name} has no place in {reply}");
    }
    let is_bodyless = method.is_some_and(|method| method == "HEAD") || matches!(reply.status, 204 | 304);
    assert!(!is_bodyless || reply.body.is_empty(), "a body: {reply}");
    if let Some(length) = reply.field("content-length")
        && reply.is_whole
        && !is_bodyless
    {
        assert_eq!(length.parse().ok(), Some(reply.body.len()), "it ends, and is not all: {reply}");
    }
}
