//! A client of HTTP/2 that sends what it likes: it goes on after it was told that the server goes away, and does not say
//! that it has heard unless it is told to.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use crate::stage::BOUND;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With this body.
    Whole(String),
    /// With this error code (RFC 9113 section 7).
    Reset(u32),
}

pub(crate) const REFUSED_STREAM: u32 = 7;

pub(crate) struct RawHttp2 {
    stream: TcpStream,
    bodies: HashMap<u32, Vec<u8>>,
    ends: HashMap<u32, End>,
    acknowledges: bool,
}

impl RawHttp2 {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        // Empty SETTINGS.
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).unwrap();
        RawHttp2 { stream, bodies: HashMap::new(), ends: HashMap::new(), acknowledges: false }
    }

    /// One that says that it has heard.
    pub(crate) fn acknowledging(self) -> Self {
        RawHttp2 { acknowledges: true, ..self }
    }

    pub(crate) fn get(&mut self, stream: u32, path: &str) {
        // `:method: GET` and `:scheme: http` of the static table; `:path` and `:authority` by their names in it (RFC 7541).
        let mut fields = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
        fields.extend_from_slice(path.as_bytes());
        fields.extend_from_slice(b"\x01\x04test");
        let mut frame = vec![0, 0, u8::try_from(fields.len()).unwrap(), HEADERS, END_STREAM | END_HEADERS];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(&fields);
        self.stream.write_all(&frame).unwrap();
    }

    /// Lets the server send so many more bytes, on the connection and on this stream.
    pub(crate) fn widen(&mut self, stream: u32, bytes: u32) -> std::io::Result<()> {
        for of in [0, stream] {
            let frame = [&[0, 0, 4, WINDOW_UPDATE, 0], &of.to_be_bytes()[..], &bytes.to_be_bytes()].concat();
            self.stream.write_all(&frame)?;
        }
        Ok(())
    }

    pub(crate) fn received(&self, stream: u32) -> usize {
        self.bodies.get(&stream).map_or(0, Vec::len)
    }

    pub(crate) fn has_ended(&self, stream: u32) -> bool {
        self.ends.contains_key(&stream)
    }

    /// Reads until the stream has ended.
    pub(crate) fn end(&mut self, stream: u32) -> End {
        while !self.ends.contains_key(&stream) {
            self.read_frame();
        }
        self.ends[&stream].clone()
    }

    /// Reads until it is told that the server goes away.
    pub(crate) fn wait_for_goaway(&mut self) {
        while self.read_frame() != GOAWAY {}
    }

    /// Returns the frame's type.
    pub(crate) fn read_frame(&mut self) -> u8 {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).expect("a frame comes");
        let [a, b, c, kind, flags, stream @ ..] = head;
        let stream = u32::from_be_bytes(stream);
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).expect("a frame is whole");
        if self.acknowledges && kind == PING && flags & ACK == 0 {
            let _ = self.stream.write_all(&[&[0, 0, 8, PING, ACK, 0, 0, 0, 0], &payload[..]].concat());
        }
        let body = self.bodies.entry(stream).or_default();
        match kind {
            DATA => body.extend_from_slice(&payload),
            RST_STREAM => {
                let code = u32::from_be_bytes(payload.try_into().unwrap());
                self.ends.entry(stream).or_insert(End::Reset(code));
                return kind;
            }
            HEADERS => {}
            _ => return kind,
        }
        if flags & END_STREAM != 0 {
            let body = String::from_utf8(body.clone()).unwrap();
            self.ends.insert(stream, End::Whole(body));
        }
        kind
    }
}
