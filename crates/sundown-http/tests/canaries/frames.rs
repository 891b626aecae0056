//! Frames of HTTP/2, byte by byte (RFC 9113 § 4): written for the peer, and taken apart.

/// The client's first bytes.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The reasons that appear here (RFC 9113 § 7).
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;

/// The highest id that a stream can have.
pub(crate) const EVERY_STREAM: u32 = (1 << 31) - 1;

const ACK: u8 = 0x1;
pub(crate) const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;

/// What is looked at of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Headers { stream: u32, ends: bool },
    Data { stream: u32, bytes: Vec<u8>, ends: bool },
    Reset { stream: u32, reason: u32 },
    GoAway { last: u32, reason: u32 },
    Ping { payload: Vec<u8>, is_ack: bool },
    Settings { is_ack: bool },
    Other { kind: u8 },
}

impl Frame {
    /// The frames in these bytes, of which none may be cut.
    pub(crate) fn all(mut bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let (head, rest) = bytes.split_at(9);
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let (payload, rest) = rest.split_at(length);
            frames.push(Frame::parse(head[3], head[4], number(&head[5..]), payload));
            bytes = rest;
        }
        frames
    }

    fn parse(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Frame {
        let (ends, is_ack) = (flags & END_STREAM != 0, flags & ACK != 0);
        match kind {
            DATA => Frame::Data { stream, bytes: payload.to_vec(), ends },
            HEADERS => Frame::Headers { stream, ends },
            RST_STREAM => Frame::Reset { stream, reason: number(payload) },
            GO_AWAY => Frame::GoAway { last: number(payload), reason: number(&payload[4..]) },
            PING => Frame::Ping { payload: payload.to_vec(), is_ack },
            SETTINGS => Frame::Settings { is_ack },
            kind => Frame::Other { kind },
        }
    }

    /// The stream whose answer this is part of.
    pub(crate) fn stream(&self) -> Option<u32> {
        match self {
            Frame::Headers { stream, .. } | Frame::Data { stream, .. } | Frame::Reset { stream, .. } => {
                Some(*stream)
            }
            _ => None,
        }
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames here are small");
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The settings of a client that is content with the defaults.
pub(crate) fn settings() -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[])
}

pub(crate) fn settings_ack() -> Vec<u8> {
    frame(SETTINGS, ACK, 0, &[])
}

/// `GET /`, or what reads like it, with a body to come unless it ends.
pub(crate) fn request(stream: u32, ends: bool) -> Vec<u8> {
    // Indexed fields of the static table (RFC 7541, appendix A): `:method: GET`, `:scheme: http`, `:path: /`; then a
    // literal one whose name is indexed: `:authority`.
    let block = [&[0x82, 0x86, 0x84, 0x01, 4], &b"test"[..]].concat();
    frame(HEADERS, END_HEADERS | if ends { END_STREAM } else { 0 }, stream, &block)
}

/// `CONNECT` to `to:80`, with a tunnel to come.
pub(crate) fn connect(stream: u32) -> Vec<u8> {
    // Literal fields whose names are indexed: `:method` and `:authority` (RFC 7541 section 6.2.2).
    let block = [&[0x02, 7][..], b"CONNECT", &[0x01, 5], b"to:80"].concat();
    frame(HEADERS, END_HEADERS, stream, &block)
}

pub(crate) fn pong(payload: &[u8]) -> Vec<u8> {
    frame(PING, ACK, 0, payload)
}
