//! One who asks, from the first byte of the question to the last of the answer.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use http::{HeaderValue, Method, StatusCode, Uri, header::ALLOW};
use rustix::event::PollFlags;
use sundown::Readiness;

use crate::{
    answer::{Answer, Told},
    preface::{self, Protocol},
    probe::Probe,
};

/// How long one may take for all of it: probes give up after a second by default
/// (<https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/>).
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest head.
const HEAD: usize = 4096;

pub(super) struct Client {
    stream: TcpStream,
    until: Instant,
    stage: Stage,
}

enum Stage {
    Asking(Vec<u8>),
    Told {
        answer: Vec<u8>,
        sent: usize,
    },
    /// Answered; read on until it has gone, lest what it still sends destroys the answer.
    Lingering,
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Client {
    pub(super) fn new(stream: TcpStream) -> Self {
        Client { stream, until: Instant::now() + PATIENCE, stage: Stage::Asking(Vec::new()) }
    }

    pub(super) fn interest(&self) -> PollFlags {
        match self.stage {
            Stage::Told { .. } => PollFlags::OUT,
            Stage::Asking(_) | Stage::Lingering => PollFlags::IN,
        }
    }

    /// When it is waited for no longer.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Goes as far as the socket lets it. Returns whether there is more to come.
    pub(super) fn go_on(&mut self, now: Instant, readiness: &Readiness) -> bool {
        if self.until <= now {
            return false;
        }
        loop {
            match self.step(readiness) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    /// Returns whether there is more to come.
    fn step(&mut self, readiness: &Readiness) -> io::Result<bool> {
        match &mut self.stage {
            Stage::Asking(head) => {
                let mut some = [0; 1024];
                let read = self.stream.read(&mut some)?;
                head.extend_from_slice(&some[..read]);
                if read == 0 {
                    return Ok(false);
                }
                if let Some(answer) = answer(head, readiness) {
                    self.stage = Stage::Told { answer, sent: 0 };
                }
            }
            Stage::Told { answer, sent } => {
                *sent += self.stream.write(&answer[*sent..])?;
                if *sent == answer.len() {
                    self.stream.shutdown(Shutdown::Write)?;
                    self.stage = Stage::Lingering;
                }
            }
            Stage::Lingering => return Ok(self.stream.read(&mut [0; 1024])? > 0),
        }
        Ok(true)
    }
}

/// The answer to this head; `None` if it is not whole yet.
fn answer(head: &[u8], readiness: &Readiness) -> Option<Vec<u8>> {
    let ends = |end: &[u8]| head.windows(end.len()).any(|window| window == end);
    if !ends(b"\r\n\r\n") && !ends(b"\n\n") {
        // Nobody knows whether it asks for a body.
        let too_long = || {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            told(status, "the head is longer than 4096 bytes", &Method::HEAD)
        };
        return (head.len() > HEAD).then(|| too_long().into_bytes());
    }
    if preface::tell(head) == Some(Protocol::Http2) {
        return Some(preface::GO_AWAY.to_vec());
    }
    let Some((method, path)) = asked(head) else {
        let no_request = told(StatusCode::BAD_REQUEST, "this is no HTTP/1 request", &Method::GET);
        return Some(no_request.into_bytes());
    };
    let told = match Probe::at(&path) {
        None => told(StatusCode::NOT_FOUND, "there are /livez and /readyz", &method),
        Some(_) if method != Method::GET && method != Method::HEAD => {
            let answer = Answer::new(StatusCode::METHOD_NOT_ALLOWED).with_text("ask with GET or HEAD\n");
            Told::alone(answer.with_header(ALLOW, HeaderValue::from_static("GET, HEAD")), &method)
        }
        Some(probe) => {
            let (status, text) = probe.answer(Some(readiness));
            told(status, &text, &method)
        }
    };
    Some(told.into_bytes())
}

fn told(status: StatusCode, text: &str, method: &Method) -> Told {
    Told::alone(Answer::new(status).with_text(format!("{text}\n")), method)
}

/// The method and the path of a request line (RFC 9112 section 3).
fn asked(head: &[u8]) -> Option<(Method, String)> {
    let line = head.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty())?;
    let mut words = line.trim_ascii_end().split(|byte| *byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !version.starts_with(b"HTTP/1.") {
        return None;
    }
    let target = Uri::try_from(target).ok()?;
    Some((Method::from_bytes(method).ok()?, target.path().to_owned()))
}
