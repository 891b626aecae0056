//! A client of HTTP/2.

use std::{fmt, io, net::SocketAddr, time::Instant};

use super::{
    EVERY_STREAM, Frame, Manners, PREFACE, Transcript,
    frame::{self, Reader},
    transcript::{self, Methods},
};
use crate::http::{Reply, stream::Stream};

/// What every connection and stream has to begin with (RFC 9113 § 6.9.2).
const FIRST_WINDOW: usize = 65_535;

/// One connection.
pub struct Client {
    stream: Stream,
    manners: Manners,
    reader: Reader,
    frames: Vec<Frame>,
    methods: Methods,
    next_stream: u32,
    /// How many bytes of bodies it has sent.
    sent: usize,
}

impl Client {
    /// Connects in clear, and greets.
    ///
    /// # Panics
    ///
    /// When nobody listens there.
    pub fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, Manners::default())
    }

    /// The same, with these manners.
    ///
    /// # Panics
    ///
    /// When nobody listens there.
    pub fn connect_with(address: SocketAddr, manners: Manners) -> Self {
        Self::over(connect(address), manners)
    }

    /// Connects in clear, and sends these bytes instead of a greeting: a [`PREFACE`], part of it, nothing.
    ///
    /// # Panics
    ///
    /// When nobody listens there.
    pub fn connect_raw(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Self {
        let mut client = Self::mute(connect(address), Manners::default());
        client.send(bytes);
        client
    }

    pub(in crate::http) fn over(stream: Stream, manners: Manners) -> Self {
        let mut client = Self::mute(stream, manners);
        // All that it may of the connection's window: only the streams' one counts.
        let more = frame::window_update(0, EVERY_STREAM - FIRST_WINDOW as u32);
        client.send([PREFACE, &frame::settings(manners.window), &more].concat());
        client
    }

    pub(in crate::http) fn mute(stream: Stream, manners: Manners) -> Self {
        Client {
            stream,
            manners,
            reader: Reader::default(),
            frames: Vec::new(),
            methods: Methods::new(),
            next_stream: 1,
            sent: 0,
        }
    }

    /// Sends `GET` with this job id. Returns its stream.
    ///
    /// # Panics
    ///
    /// When it cannot be sent.
    pub fn get(&mut self, path: &str, id: &str) -> u32 {
        self.request("GET", path, &[("x-job-id", id)], true)
    }

    /// Sends the head of a request, with these fields in lower case. It ends there, or [`data`](Self::data) is to come.
    /// Returns its stream.
    ///
    /// # Panics
    ///
    /// When it cannot be sent.
    pub fn request(&mut self, method: &str, path: &str, fields: &[(&str, &str)], ends: bool) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        self.methods.insert(stream, method.to_owned());
        let scheme = if self.stream.is_secure() { "https" } else { "http" };
        let mut all = vec![(":method", method), (":authority", "localhost")];
        if method != "CONNECT" {
            all.extend([(":scheme", scheme), (":path", path)]);
        }
        all.extend(fields);
        let all = all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.send(frame::headers(stream, &all, ends));
        stream
    }

    /// Sends part of a request's body.
    ///
    /// # Panics
    ///
    /// When it cannot be sent, or is more in all than a server has to take.
    pub fn data(&mut self, stream: u32, bytes: &[u8], ends: bool) {
        self.sent += bytes.len();
        assert!(self.sent <= FIRST_WINDOW, "this client does not look at windows");
        self.send(frame::data(stream, bytes, ends));
    }

    /// Sends these bytes.
    ///
    /// # Panics
    ///
    /// When they cannot be sent.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the service takes what is sent to it");
    }

    /// Sends these bytes, if the other side takes them.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.send(bytes.as_ref())
    }

    /// Ends our side; the other may still send.
    ///
    /// # Panics
    ///
    /// When the connection is broken.
    pub fn half_close(&mut self) {
        self.stream.half_close().expect("the connection stands");
    }

    /// All frames that it has looked at, in their order.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Reads until there is such a frame, among all from the beginning.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn wait_for(&mut self, is_it: impl Fn(&Frame) -> bool) -> Frame {
        let mut looked_at = 0;
        loop {
            if let Some(frame) = self.frames[looked_at..].iter().find(|frame| is_it(frame)) {
                return frame.clone();
            }
            looked_at = self.frames.len();
            self.read_more();
        }
    }

    /// Acknowledges the settings and the pings that have come, and that its manners have kept it from.
    ///
    /// # Panics
    ///
    /// When it cannot be sent.
    pub fn acknowledge(&mut self) {
        let late = self.frames.iter().filter(|frame| !self.manners.acknowledges(frame));
        let acks: Vec<_> = late.flat_map(acknowledgement).collect();
        self.send(acks);
    }

    /// The answer on this stream, to its end.
    ///
    /// # Panics
    ///
    /// When it does not come or is cut.
    pub fn reply(&mut self, stream: u32) -> Reply {
        loop {
            if let Some(reply) = transcript::reply(&self.frames, stream, &self.methods)
                && reply.is_whole
            {
                return reply;
            }
            if let Some(reason) = transcript::reset(&self.frames, stream) {
                panic!("stream {stream} was reset: {reason:?} after {:?}", self.frames);
            }
            self.read_more();
        }
    }

    fn read_more(&mut self) {
        let read = self.stream.read(&mut self.reader.unread);
        if let Err(end) = read {
            panic!("{end:?} instead of more after {:?}", self.frames);
        }
        self.take_frames();
    }

    fn take_frames(&mut self) {
        while let Some(frame) = self.reader.next() {
            if self.manners.acknowledges(&frame) {
                // Who has closed does not read it, and that is no mistake.
                let _ = self.stream.send(&acknowledgement(&frame));
            }
            self.frames.push(frame);
        }
    }

    /// Reads to the end of the connection.
    pub fn end(mut self) -> Transcript {
        let end = loop {
            if let Err(end) = self.stream.read(&mut self.reader.unread) {
                break end;
            }
            self.take_frames();
        };
        let (frames, cut, methods) = (self.frames, self.reader.unread.len(), self.methods);
        Transcript { frames, cut, end, at: Instant::now(), methods }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("stream", &self.stream).field("frames", &self.frames).finish()
    }
}

fn connect(address: SocketAddr) -> Stream {
    Stream::connect(address).unwrap_or_else(|error| panic!("connecting to {address}: {error}"))
}

/// Nothing, if a frame asks for none.
fn acknowledgement(frame: &Frame) -> Vec<u8> {
    match frame {
        Frame::Settings { is_ack: false } => frame::settings_ack(),
        Frame::Ping { payload, is_ack: false } => frame::pong(*payload),
        _ => Vec::new(),
    }
}
