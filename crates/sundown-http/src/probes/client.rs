//! One who asks, from the first byte of the question to the last of the answer.

use std::{
    fmt::Write as _,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant, SystemTime},
};

use http::{Method, StatusCode, Uri};
use rustix::event::PollFlags;
use sundown::Readiness;

use crate::{
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
        let text = "the head is longer than 4096 bytes".to_owned();
        return (head.len() > HEAD)
            .then(|| message(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &text, false));
    }
    if preface::tell(head) == Some(Protocol::Http2) {
        return Some(preface::GO_AWAY.to_vec());
    }
    Some(match asked(head) {
        None => message(StatusCode::BAD_REQUEST, "this is no HTTP/1 request", true),
        Some((method, path)) => {
            let with_body = method != Method::HEAD;
            match Probe::at(&path) {
                None => message(StatusCode::NOT_FOUND, "there are /livez and /readyz", with_body),
                Some(_) if method != Method::GET && with_body => {
                    message(StatusCode::METHOD_NOT_ALLOWED, "ask with GET or HEAD", true)
                }
                Some(probe) => {
                    let (status, text) = probe.answer(Some(readiness));
                    message(status, &text, with_body)
                }
            }
        }
    })
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

/// The whole of an answer (RFC 9112 section 2.1).
fn message(status: StatusCode, text: &str, with_body: bool) -> Vec<u8> {
    let mut message = format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or(""));
    let date = httpdate::fmt_http_date(SystemTime::now());
    // Writing to a String cannot fail.
    let _ = write!(message, "date: {date}\r\ncontent-type: text/plain; charset=utf-8\r\n");
    let _ = write!(message, "content-length: {}\r\ncache-control: no-store\r\n", text.len() + 1);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        message.push_str("allow: GET, HEAD\r\n");
    }
    message.push_str("connection: close\r\n\r\n");
    if with_body {
        message.push_str(text);
        message.push('\n');
    }
    message.into_bytes()
}
