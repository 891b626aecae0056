//! One client's side of one exchange: what it sent, what it got, and when. A client says what it saw and
//! judges nothing; that is for `promises`.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::cast::Kind;
use crate::clock::Stamp;
use crate::head::Head;
use crate::wire::{Between, Broken, Wire};

/// How long a newcomer knocks.
const KNOCK: Duration = Duration::from_millis(500);

/// How long a client that has its answer waits for the end of the connection.
const FAREWELL: Duration = Duration::from_secs(1);

/// What an answer says became of the request, in its `Sundown-Fate` field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    HandedOver,
    Completed,
    Unacknowledged,
    InDoubt,
    NotStarted,
    NoJob,
    Unknown(String),
}

impl Fate {
    fn parse(value: &str) -> Self {
        match value {
            "handed-over" => Self::HandedOver,
            "completed" => Self::Completed,
            "unacknowledged" => Self::Unacknowledged,
            "in-doubt" => Self::InDoubt,
            "not-started" => Self::NotStarted,
            "no-job" => Self::NoJob,
            other => Self::Unknown(other.to_owned()),
        }
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub fate: Option<Fate>,
    /// The job it speaks of.
    pub job: Option<String>,
    pub retry_after: bool,
    pub body: String,
    pub first_byte: Stamp,
    /// Bytes that came after its end.
    pub extra: usize,
    /// It was the last of its connection, by its own word.
    pub is_last: bool,
}

#[derive(Clone, Debug)]
pub enum Outcome {
    Answered(Answer),
    /// A head came, and less body than it announced.
    Cut,
    /// The connection ended within a head.
    HalfHead,
    Garbled(String),
    /// Reset before the first byte of an answer.
    Reset,
    /// Closed in good order before the first byte of an answer.
    Silent,
    /// Nothing, or not all, when the curtain fell.
    Late,
    /// No connection came about.
    NoWayIn(io::ErrorKind),
    /// Bytes came that nobody had asked for.
    Unsolicited(usize),
}

/// What one client saw of one request, or of a connection on which it asked for nothing.
#[derive(Clone, Debug)]
pub struct Visit {
    pub kind: Kind,
    pub job: Option<String>,
    /// The connection had served an earlier request.
    pub reused: bool,
    pub connected: Option<Stamp>,
    /// Just before the first byte of the request; none if nothing was asked.
    pub sent: Option<Stamp>,
    pub ended: Stamp,
    pub outcome: Outcome,
}

impl Visit {
    /// A request that never found a connection.
    pub fn no_way_in(request: &Request, kind: io::ErrorKind) -> Self {
        let (job, ended, outcome) = (request.job.clone(), Stamp::now(), Outcome::NoWayIn(kind));
        Self { kind: request.kind, job, reused: false, connected: None, sent: None, ended, outcome }
    }

    pub fn answer(&self) -> Option<&Answer> {
        match &self.outcome {
            Outcome::Answered(answer) => Some(answer),
            _ => None,
        }
    }

    /// The fate of a whole answer with this status.
    pub fn fate(&self, status: u16) -> Option<&Fate> {
        self.answer().filter(|answer| answer.status == status).and_then(|answer| answer.fate.as_ref())
    }
}

/// A body sent piece by piece.
#[derive(Clone)]
pub struct Upload {
    pub pieces: usize,
    pub size: usize,
    pub pause: Duration,
}

#[derive(Clone)]
pub struct Request {
    pub kind: Kind,
    pub path: String,
    pub job: Option<String>,
    pub upload: Option<Upload>,
}

impl Request {
    pub fn new(kind: Kind, path: impl Into<String>, job: impl Into<String>) -> Self {
        Self { kind, path: path.into(), job: Some(job.into()), upload: None }
    }

    fn head(&self) -> String {
        let method = if self.upload.is_some() { "POST" } else { "GET" };
        let mut head = format!("{method} {} HTTP/1.1\r\nHost: rehearsal\r\n", self.path);
        if let Some(job) = &self.job {
            head += &format!("X-Job-Id: {job}\r\n");
        }
        if let Some(upload) = &self.upload {
            head += &format!("Content-Length: {}\r\n", upload.pieces * upload.size);
        }
        head + "\r\n"
    }
}

/// A client's end of a connection.
pub struct Connection {
    wire: Wire,
    made: Stamp,
    served: usize,
    curtain: Instant,
}

impl Connection {
    /// Connects; nothing on this connection will wait past `curtain`.
    pub fn open(address: SocketAddr, curtain: Instant) -> io::Result<Self> {
        let wire = Wire::connect(address, KNOCK, curtain)?;
        Ok(Self { wire, made: Stamp::now(), served: 0, curtain })
    }

    /// What has arrived between two exchanges.
    pub fn between(&mut self) -> Between {
        self.wire.between()
    }

    /// Sends one request and waits for what comes of it. A connection that cannot go on is seen to its end.
    pub fn exchange(&mut self, request: &Request) -> Visit {
        let sent = Stamp::now();
        let reused = self.served > 0;
        self.wire.take_first_byte();
        self.send(request);
        let mut outcome = self.receive().unwrap_or_else(|outcome| outcome);
        let ended = Stamp::now();
        if let Outcome::Answered(answer) = &mut outcome {
            self.served += 1;
            if answer.is_last {
                answer.extra = self.see_out();
            }
        }
        self.visit(request, reused, Some(sent), ended, outcome)
    }

    /// Exchanges one request, then ends the connection and sees that nothing follows the answer.
    pub fn exchange_last(mut self, request: &Request) -> Visit {
        let mut visit = self.exchange(request);
        match &mut visit.outcome {
            Outcome::Answered(answer) if !answer.is_last => {
                self.wire.half_close();
                answer.extra = self.see_out();
            }
            _ => {}
        }
        visit
    }

    /// Says nothing until the other side ends the connection.
    pub fn wait_for_the_end(mut self, kind: Kind) -> Visit {
        let reused = self.served > 0;
        let outcome = match self.wire.leftover() {
            (0, Ok(())) => Outcome::Silent,
            (0, Err(Broken::Reset)) => Outcome::Reset,
            (0, Err(_)) => Outcome::Late,
            (count, _) => Outcome::Unsolicited(count),
        };
        let nothing = Request { kind, path: String::new(), job: None, upload: None };
        self.visit(&nothing, reused, None, Stamp::now(), outcome)
    }

    fn visit(
        &self,
        of: &Request,
        reused: bool,
        sent: Option<Stamp>,
        ended: Stamp,
        outcome: Outcome,
    ) -> Visit {
        let connected = Some(self.made);
        Visit { kind: of.kind, job: of.job.clone(), reused, connected, sent, ended, outcome }
    }

    /// A failed write is no outcome: the answer may be waiting all the same, and reading tells.
    fn send(&mut self, request: &Request) {
        if self.wire.send(request.head().as_bytes()).is_err() {
            return;
        }
        let Some(upload) = &request.upload else { return };
        let piece = vec![b'x'; upload.size];
        for _ in 0..upload.pieces {
            if self.wire.send(&piece).is_err() || self.wire.has_begun_within(upload.pause) {
                return;
            }
        }
    }

    fn receive(&mut self) -> Result<Outcome, Outcome> {
        let head = self.wire.head();
        let first_byte = self.wire.take_first_byte();
        let head = head.map_err(|broken| before_the_body(broken, first_byte.is_some()))?;
        let status = head.status().map_err(|broken| before_the_body(broken, true))?;
        let mut body = Vec::new();
        if status != 204 && status != 304 {
            self.wire.answer_body(&head, &mut body).map_err(within_the_body)?;
        }
        let first_byte = first_byte.unwrap_or_else(Stamp::now);
        Ok(Outcome::Answered(answer(&head, status, &body, first_byte)))
    }

    /// Waits for the other side to end the connection, and counts what comes before it does.
    fn see_out(&mut self) -> usize {
        self.wire.set_until(self.curtain.min(Instant::now() + FAREWELL));
        self.wire.leftover().0
    }
}

fn answer(head: &Head, status: u16, body: &[u8], first_byte: Stamp) -> Answer {
    Answer {
        status,
        fate: head.field("sundown-fate").map(Fate::parse),
        job: head.field("sundown-job").map(str::to_owned),
        retry_after: head.field("retry-after").is_some(),
        body: String::from_utf8_lossy(body).into_owned(),
        first_byte,
        extra: 0,
        is_last: head.is_last(),
    }
}

fn before_the_body(broken: Broken, begun: bool) -> Outcome {
    match broken {
        Broken::Late => Outcome::Late,
        Broken::Garbled(what) => Outcome::Garbled(what),
        Broken::Closed | Broken::Reset if begun => Outcome::HalfHead,
        Broken::Closed => Outcome::Silent,
        Broken::Reset => Outcome::Reset,
    }
}

fn within_the_body(broken: Broken) -> Outcome {
    match broken {
        Broken::Late => Outcome::Late,
        Broken::Garbled(what) => Outcome::Garbled(what),
        Broken::Closed | Broken::Reset => Outcome::Cut,
    }
}

#[cfg(test)]
mod tests;
