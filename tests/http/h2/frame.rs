//! Frames of HTTP/2 (RFC 9113), written and read.

use fluke_hpack::Decoder;
pub use h2::Reason;

use crate::http::reply::Fields;

/// What a client begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The highest id that a stream can have.
pub const EVERY_STREAM: u32 = (1 << 31) - 1;

/// As large as a frame may be by default.
const LARGEST: usize = 1 << 14;

/// One frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in RFC 9113")]
pub enum Frame {
    Data {
        stream: u32,
        bytes: Vec<u8>,
        ends: bool,
    },
    /// With what continues it.
    Headers {
        stream: u32,
        fields: Vec<(String, String)>,
        ends: bool,
    },
    Reset {
        stream: u32,
        reason: Reason,
    },
    Settings {
        is_ack: bool,
    },
    Ping {
        payload: [u8; 8],
        is_ack: bool,
    },
    GoAway {
        last: u32,
        reason: Reason,
    },
    WindowUpdate {
        stream: u32,
    },
}

impl Frame {
    /// The stream that it belongs to; 0 is the connection.
    pub fn stream(&self) -> u32 {
        match self {
            Frame::Data { stream, .. }
            | Frame::Headers { stream, .. }
            | Frame::Reset { stream, .. }
            | Frame::WindowUpdate { stream } => *stream,
            Frame::Settings { .. } | Frame::Ping { .. } | Frame::GoAway { .. } => 0,
        }
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED_OR_PRIORITY: u8 = 0x28;

/// Reads frames.
pub(super) struct Reader {
    pub(super) unread: Vec<u8>,
    decoder: Decoder<'static>,
}

impl Default for Reader {
    fn default() -> Self {
        let mut decoder = Decoder::new();
        // What our settings say.
        decoder.set_max_allowed_table_size(0);
        decoder.set_max_table_size(0);
        Reader { unread: Vec::new(), decoder }
    }
}

impl Reader {
    /// The next frame, if all of it has come.
    pub(super) fn next(&mut self) -> Option<Frame> {
        let (length, kind, flags, stream) = head(&self.unread)?;
        let mut payload = self.unread.get(9..9 + length)?.to_vec();
        let mut taken = 9 + length;
        let mut is_all = kind != HEADERS || flags & END_HEADERS != 0;
        while !is_all {
            let (length, kind, flags, continued) = head(&self.unread[taken..])?;
            assert_eq!((kind, continued), (CONTINUATION, stream), "headers are continued at once");
            payload.extend(self.unread.get(taken + 9..taken + 9 + length)?);
            taken += 9 + length;
            is_all = flags & END_HEADERS != 0;
        }
        self.unread.drain(..taken);
        Some(self.read(kind, flags, stream, payload))
    }

    fn read(&mut self, kind: u8, flags: u8, stream: u32, payload: Vec<u8>) -> Frame {
        let (ends, is_ack) = (flags & END_STREAM != 0, flags & ACK != 0);
        match kind {
            DATA | HEADERS => {
                assert_ne!(stream, 0, "an answer belongs to a stream");
                assert_eq!(flags & PADDED_OR_PRIORITY, 0, "servers here do not pad");
                if kind == DATA {
                    return Frame::Data { stream, bytes: payload, ends };
                }
                let fields = self.decoder.decode(&payload);
                let fields = fields.unwrap_or_else(|error| panic!("no headers: {error:?}"));
                let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                let fields = fields.into_iter().map(|(name, value)| (text(name), text(value))).collect();
                Frame::Headers { stream, fields, ends }
            }
            RST_STREAM => Frame::Reset { stream, reason: number(&payload).into() },
            SETTINGS => Frame::Settings { is_ack },
            PING => Frame::Ping { payload: payload.try_into().expect("a ping has eight bytes"), is_ack },
            GO_AWAY => Frame::GoAway { last: number(&payload), reason: number(&payload[4..]).into() },
            WINDOW_UPDATE => Frame::WindowUpdate { stream },
            kind => panic!("a server sends no frame of type {kind} here"),
        }
    }
}

/// Length, type, flags, stream.
fn head(bytes: &[u8]) -> Option<(usize, u8, u8, u32)> {
    let head = bytes.get(..9)?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    assert!(length <= LARGEST, "no frame: {:?}", String::from_utf8_lossy(bytes));
    Some((length, head[3], head[4], number(&head[5..])))
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().expect("it has four bytes"))
}

/// Bytes of a frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() <= LARGEST, "it fits into a frame");
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Settings: no table for headers, no pushes, and streams of this window.
pub(super) fn settings(window: u32) -> Vec<u8> {
    const HEADER_TABLE_SIZE: u16 = 1;
    const ENABLE_PUSH: u16 = 2;
    const INITIAL_WINDOW_SIZE: u16 = 4;
    let settings = [(HEADER_TABLE_SIZE, 0), (ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, window)];
    let bytes =
        settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(SETTINGS, 0, 0, &bytes.collect::<Vec<u8>>())
}

pub(super) fn settings_ack() -> Vec<u8> {
    frame(SETTINGS, ACK, 0, &[])
}

pub(super) fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

pub(super) fn pong(payload: [u8; 8]) -> Vec<u8> {
    frame(PING, ACK, 0, &payload)
}

pub(super) fn data(stream: u32, bytes: &[u8], ends: bool) -> Vec<u8> {
    let (chunks, rest) = bytes.split_at(bytes.len().saturating_sub(1) / LARGEST * LARGEST);
    let mut frames: Vec<u8> =
        chunks.chunks(LARGEST).flat_map(|chunk| frame(DATA, 0, stream, chunk)).collect();
    frames.extend(frame(DATA, if ends { END_STREAM } else { 0 }, stream, rest));
    frames
}

pub(super) fn headers(stream: u32, fields: &Fields, ends: bool) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal that goes into no table, with a new name (RFC 7541 § 6.2.2).
        block.push(0);
        put_string(&mut block, name);
        put_string(&mut block, value);
    }
    frame(HEADERS, END_HEADERS | if ends { END_STREAM } else { 0 }, stream, &block)
}

/// As it is, with its length in front: an integer with a prefix of seven bits (RFC 7541 § 5.1).
fn put_string(block: &mut Vec<u8>, text: &str) {
    const PREFIX: usize = 127;
    if text.len() < PREFIX {
        block.push(text.len() as u8);
    } else {
        block.push(PREFIX as u8);
        let mut rest = text.len() - PREFIX;
        while rest >= 128 {
            block.push((rest % 128 + 128) as u8);
            rest /= 128;
        }
        block.push(rest as u8);
    }
    block.extend(text.as_bytes());
}
