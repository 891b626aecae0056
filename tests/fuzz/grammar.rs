//! What clients send: requests of every kind, and what is left of them when they have been damaged.

use std::ops::Range;

/// The first bytes of HTTP/2, and its first frame.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The beginning of a TLS 1.2 handshake.
const CLIENT_HELLO: &[u8] =
    b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03sundownsundownsundownsundownsund\x00\x00\
    \x02\x13\x01\x01\x00";

/// A request as it was before anybody damaged it, by its places among the bytes of its connection.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) id: String,
    pub(crate) head: Range<usize>,
    /// Its answer may end with the connection, and then a cut is a reset, which takes the head of the answer along.
    pub(crate) may_reset: bool,
}

/// All that a connection sends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) bytes: Vec<u8>,
    /// The requests in it; empty if it was damaged.
    pub(crate) requests: Vec<Sent>,
    pub(crate) is_intact: bool,
    pub(crate) is_preface: bool,
}

impl Script {
    /// `name` tells its requests from all others of the round. `block`: how long a handler blocks at most.
    pub(crate) fn draw(dice: &mut fastrand::Rng, name: &str, block: u64) -> Self {
        let mut script = Script { is_intact: true, ..Script::default() };
        match dice.u8(..40) {
            0 | 1 => {
                let mut bytes = PREFACE.to_vec();
                bytes.extend((0..dice.usize(..40)).map(|_| dice.u8(..)));
                return Script { bytes, is_preface: true, ..Script::default() };
            }
            2 => return Script { bytes: CLIENT_HELLO.to_vec(), ..Script::default() },
            3 => {
                let bytes = (0..dice.usize(1..200)).map(|_| dice.u8(..)).collect();
                return Script { bytes, ..Script::default() };
            }
            _ => {}
        }
        let requests = if dice.u8(..3) == 0 { dice.usize(2..5) } else { 1 };
        for n in 0..requests {
            script.request(dice, format!("{name}-{n}"), block);
        }
        if dice.u8(..4) == 0 {
            let length = script.bytes.len();
            script.bytes.truncate(dice.usize(1..=length));
        }
        if dice.bool() {
            script.damage(dice);
        }
        script
    }

    /// One request whose handler never answers.
    pub(crate) fn never(name: &str) -> Self {
        let (path, id) = (format!("/never/0/{name}"), name.to_owned());
        let bytes = format!("GET {path} HTTP/1.1\r\nhost: test\r\nx-job-id: {id}\r\n\r\n").into_bytes();
        let sent = Sent { method: "GET", path, id, head: 0..bytes.len(), may_reset: false };
        Script { bytes, requests: vec![sent], is_intact: true, is_preface: false }
    }

    fn request(&mut self, dice: &mut fastrand::Rng, id: String, block: u64) {
        let (what, time) = match dice.u8(..24) {
            0..6 => ("fast", 0),
            6..9 => ("slow", dice.u64(..600)),
            9..12 => ("never", 0),
            12 => ("block", dice.u64(..50)),
            // Rare: its runtime is lost for the round.
            13 => ("block", if dice.u8(..3) == 0 { block } else { 5 }),
            14..17 => ("stream", dice.u64(..150)),
            17 => ("torn", dice.u64(..50)),
            18 => ("panic", 0),
            19..22 => ("read", 0),
            22 => ("upgrade", 0),
            _ => ("large", 0),
        };
        let method = match dice.u8(..12) {
            0..5 => "GET",
            5 => "HEAD",
            6 => "CONNECT",
            7 => "PUT",
            _ => "POST",
        };
        let path = format!("/{what}/{time}/{id}");
        let target = if method == "CONNECT" { "example.com:443" } else { &path };
        let version = if dice.u8(..5) == 0 { "1.0" } else { "1.1" };
        let mut head = format!("{method} {target} HTTP/{version}\r\nhost: test\r\nx-job-id: {id}\r\n");
        if what == "upgrade" {
            head.push_str("connection: upgrade\r\nupgrade: fuzz\r\n");
        } else if dice.u8(..5) == 0 {
            head.push_str(if version == "1.0" {
                "connection: keep-alive\r\n"
            } else {
                "connection: close\r\n"
            });
        }
        if dice.u8(..40) == 0 {
            head.push_str(&format!("x-long: {}\r\n", "l".repeat(dice.usize(..20_000))));
        }
        let mut body = Vec::new();
        if method == "POST" || method == "PUT" {
            if dice.u8(..4) == 0 {
                head.push_str("expect: 100-continue\r\n");
            }
            let length = if dice.u8(..8) == 0 { dice.usize(..300_000) } else { dice.usize(..200) };
            if version == "1.1" && dice.bool() {
                head.push_str("transfer-encoding: chunked\r\n");
                let mut left = length;
                while left > 0 {
                    let chunk = dice.usize(1..=left);
                    body.extend(format!("{chunk:x}\r\n{}\r\n", "c".repeat(chunk)).bytes());
                    left -= chunk;
                }
                body.extend(b"0\r\n\r\n");
            } else {
                head.push_str(&format!("content-length: {length}\r\n"));
                body.resize(length, b'b');
            }
        }
        head.push_str("\r\n");
        let start = self.bytes.len();
        self.bytes.extend(head.bytes());
        let head = start..self.bytes.len();
        self.bytes.extend(body);
        // A target without a path has none.
        let path = if method == "CONNECT" { String::new() } else { path };
        let may_reset = version == "1.0" && ["stream", "torn"].contains(&what);
        self.requests.push(Sent { method, path, id, head, may_reset });
    }

    fn damage(&mut self, dice: &mut fastrand::Rng) {
        self.requests.clear();
        self.is_intact = false;
        for _ in 0..dice.usize(1..4) {
            if self.bytes.is_empty() {
                return;
            }
            // Most of what matters is in the first lines.
            let reach = if dice.bool() { self.bytes.len().min(120) } else { self.bytes.len() };
            let at = dice.usize(..reach);
            match dice.u8(..11) {
                0 => self.bytes[at] ^= 1 << dice.u8(..8),
                1 => self.bytes[at] = dice.u8(..),
                2 => self.insert(at, dice.choice([&b"\r"[..], b"\n", b"\r\n", b"\0", b"\r\n\r\n", b" "])),
                3 => {
                    self.field(dice.choice(["content-length: 5", "content-length: 0", "content-length: -1"]))
                }
                4 => self
                    .field(dice.choice(["transfer-encoding: chunked", "transfer-encoding: gzip, chunked"])),
                5 => {
                    let field = dice.choice([
                        "transfer-encoding: chunked\r\ncontent-length: 3",
                        "content-length: 3\r\ncontent-length: 4",
                    ]);
                    self.field(field);
                }
                6 => {
                    let huge = format!("x-huge: {}", "h".repeat(dice.usize(..600_000)));
                    self.field(Some(&huge));
                }
                7 => {
                    let many: Vec<_> = (0..dice.usize(..150)).map(|n| format!("x-{n}: y")).collect();
                    self.field(Some(&many.join("\r\n")));
                }
                8 => drop(self.bytes.drain(at..(at + dice.usize(1..20)).min(self.bytes.len()))),
                9 => self.field(dice.choice([
                    "x-job-id: another",
                    "x-job-id:",
                    "upgrade: h2c",
                    "expect: 200-ok",
                ])),
                _ => {
                    let again = self.bytes[at..(at + 60).min(self.bytes.len())].to_vec();
                    self.insert(at, Some(&again));
                }
            }
        }
    }

    fn insert(&mut self, at: usize, what: Option<&[u8]>) {
        self.bytes.splice(at..at, what.unwrap_or_default().iter().copied());
    }

    /// Puts a field behind the first line.
    fn field(&mut self, field: Option<&str>) {
        let line = self.bytes.windows(2).position(|two| two == b"\r\n").map_or(0, |line| line + 2);
        let field = format!("{}\r\n", field.unwrap_or_default());
        self.insert(line, Some(field.as_bytes()));
    }
}
