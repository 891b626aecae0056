//! A connection that is the rescue's to finish, from its first byte to its last.

use std::{
    io, mem,
    net::TcpStream,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    event::PollFlags,
    io::Errno,
    net::{RecvFlags, SendFlags, Shutdown},
};

use crate::{
    answer::{Told, Wording},
    conn::{self, Conn},
    preface::{self, Protocol},
    tls::{Received, Sealed},
};

/// How long a client that was just accepted may take to send its first byte, and one that was answered to go away.
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) struct Client {
    socket: Socket,
    stage: Stage,
    /// The runtime was in the way.
    is_contended: bool,
}

enum Socket {
    Taken(Arc<Conn>),
    /// Over TLS nobody shakes hands with it any more.
    Accepted {
        stream: TcpStream,
        tls: bool,
    },
}

enum Stage {
    /// Nothing has come yet.
    Silent {
        until: Instant,
        lingers: bool,
        then: Over,
    },
    /// It is known what is said, and how it goes over the wire when the runtime is out of the way.
    Sealing {
        answer: Vec<u8>,
        lingers: bool,
        then: Over,
    },
    /// As long as it takes, within the time there is.
    Sending {
        bytes: Vec<u8>,
        sent: usize,
        lingers: bool,
        then: Over,
    },
    /// Answered; read on until the peer has gone.
    Lingering {
        until: Instant,
        then: Over,
    },
    Over(Over),
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// A request that a handler had was answered.
    Exchange,
    /// A request that had not been read, or not whole, was refused.
    Partial,
    /// A client from the accept queue was refused.
    Queued,
    /// The client went away before its answer was out.
    Unanswered,
    /// There was nothing to answer.
    Silent,
}

impl Over {
    /// What has become of it if the answer cannot be sent.
    fn unanswered(self) -> Self {
        if self == Over::Silent { self } else { Over::Unanswered }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Taken(conn) => conn.as_fd(),
            Socket::Accepted { stream, .. } => stream.as_fd(),
        }
    }
}

impl Client {
    /// Is told this, in the clear: nothing, if there is nothing to say.
    pub(super) fn answered(conn: &Arc<Conn>, answer: Vec<u8>, lingers: bool, then: Over) -> Self {
        Self::taken(conn, Stage::Sealing { answer, lingers, then })
    }

    /// The runtime has read nothing of it.
    pub(super) fn silent(conn: &Arc<Conn>, until: Instant, lingers: bool) -> Self {
        Self::taken(conn, Stage::Silent { until, lingers, then: Over::Partial })
    }

    fn taken(conn: &Arc<Conn>, stage: Stage) -> Self {
        Client { socket: Socket::Taken(conn.clone()), stage, is_contended: false }
    }

    pub(super) fn accepted(stream: TcpStream, tls: bool) -> Self {
        let stage = Stage::Silent { until: Instant::now() + PATIENCE, lingers: false, then: Over::Queued };
        Client { socket: Socket::Accepted { stream, tls }, stage, is_contended: false }
    }

    pub(super) fn interest(&self) -> PollFlags {
        match self.stage {
            Stage::Sending { .. } => PollFlags::OUT,
            _ => PollFlags::IN,
        }
    }

    /// When it is waited for no longer.
    pub(super) fn until(&self) -> Option<Instant> {
        match self.stage {
            Stage::Silent { until, .. } | Stage::Lingering { until, .. } => Some(until),
            Stage::Sealing { .. } | Stage::Sending { .. } | Stage::Over(_) => None,
        }
    }

    /// Whether it has not got all of its answer.
    pub(super) fn waits(&self) -> bool {
        match self.stage {
            Stage::Sealing { then, .. } | Stage::Sending { then, .. } => then != Over::Silent,
            _ => false,
        }
    }

    /// Whether the runtime is in the way, for a moment.
    pub(super) fn is_contended(&self) -> bool {
        self.is_contended
    }

    /// Goes as far as the socket lets it; says how it ended, once it has.
    pub(super) fn go_on(&mut self, now: Instant, wording: &Wording) -> Option<Over> {
        self.is_contended = false;
        loop {
            let next = match &mut self.stage {
                Stage::Silent { until, lingers, then } => {
                    let (until, lingers, then) = (*until, *lingers, *then);
                    match self.socket.receive() {
                        Received::Busy => {
                            self.is_contended = true;
                            None
                        }
                        Received::Nothing | Received::Partial if now < until => None,
                        Received::Request(first) => {
                            let answer = refusal(self.socket.tell(&first), wording);
                            Some(Stage::Sealing { answer, lingers: true, then })
                        }
                        // Nobody can know that it is a request.
                        _ => {
                            let lingers = lingers || self.socket.has_bytes();
                            Some(Stage::Sealing { answer: Vec::new(), lingers, then: Over::Silent })
                        }
                    }
                }
                Stage::Sealing { answer, lingers, then } => {
                    let (lingers, then) = (*lingers, *then);
                    match self.socket.seal(answer) {
                        Sealed::Busy => {
                            self.is_contended = true;
                            None
                        }
                        Sealed::Bytes(bytes) => Some(Stage::Sending { bytes, sent: 0, lingers, then }),
                        Sealed::Impossible => {
                            let then = then.unanswered();
                            Some(Stage::Sending { bytes: Vec::new(), sent: 0, lingers, then })
                        }
                    }
                }
                Stage::Sending { .. } => self.send(),
                Stage::Lingering { until, then } => {
                    let (until, then) = (*until, *then);
                    match discard(self.as_fd()) {
                        Err(error) if is_early(&error) && now < until => None,
                        _ => Some(Stage::Over(then)),
                    }
                }
                Stage::Over(how) => return Some(*how),
            };
            self.stage = next?;
        }
    }

    fn send(&mut self) -> Option<Stage> {
        let fd = match &self.socket {
            Socket::Taken(conn) => conn.as_fd(),
            Socket::Accepted { stream, .. } => stream.as_fd(),
        };
        let Stage::Sending { bytes, sent, lingers, then } = &mut self.stage else { return None };
        while *sent < bytes.len() {
            match rustix::net::send(fd, &bytes[*sent..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(more) => *sent += more,
                // Who waits for nothing is not waited for.
                Err(Errno::AGAIN) if *then == Over::Silent => break,
                Err(Errno::AGAIN) => return None,
                Err(Errno::INTR) => {}
                Err(_) => return Some(Stage::Over(then.unanswered())),
            }
        }
        let (lingers, then) = (*lingers, *then);
        self.half_close();
        Some(match lingers {
            true => Stage::Lingering { until: Instant::now() + PATIENCE, then },
            false => Stage::Over(then),
        })
    }

    fn half_close(&self) {
        // The peer may be gone already.
        let _ = rustix::net::shutdown(self, Shutdown::Write);
    }
}

impl Socket {
    /// What has come, if nobody has read it.
    fn receive(&self) -> Received {
        let (fd, tls) = match self {
            Socket::Taken(conn) => match conn.tls() {
                Some(tls) => return tls.receive(conn.as_fd()),
                None => (conn.as_fd(), false),
            },
            Socket::Accepted { stream, tls } => (stream.as_fd(), *tls),
        };
        match conn::peek(fd, &mut [0; 4]) {
            Ok([]) => Received::End,
            Ok(_) if tls => Received::Handshaking,
            Ok(first) => Received::Request(first.to_vec()),
            Err(error) if is_early(&error) => Received::Nothing,
            Err(_) => Received::Failed,
        }
    }

    /// What it speaks, if these are its first bytes.
    fn tell(&self, first: &[u8]) -> Option<Protocol> {
        match self {
            Socket::Taken(conn) => conn.tell(first),
            Socket::Accepted { .. } => preface::tell(first),
        }
    }

    /// How an answer goes over the wire.
    fn seal(&self, answer: &mut Vec<u8>) -> Sealed {
        match self {
            Socket::Taken(conn) => match conn.tls() {
                Some(tls) => tls.seal(answer),
                None => Sealed::Bytes(mem::take(answer)),
            },
            Socket::Accepted { .. } => Sealed::Bytes(mem::take(answer)),
        }
    }

    /// Whether there is more than was read.
    fn has_bytes(&self) -> bool {
        match self {
            Socket::Taken(conn) => conn.has_bytes(),
            Socket::Accepted { stream, .. } => conn::has_bytes(stream.as_fd()),
        }
    }
}

/// What is said to one whose request nobody has read, in its own protocol: nothing, if that cannot be known.
fn refusal(protocol: Option<Protocol>, wording: &Wording) -> Vec<u8> {
    match protocol {
        Some(Protocol::Http1) => Told::unread(wording).into_bytes(),
        Some(Protocol::Http2) => preface::GO_AWAY.to_vec(),
        None => Vec::new(),
    }
}

fn is_early(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Reads on and forgets, until the end or an error; or enough for one round.
fn discard(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut chunk = [0; 16 * 1024];
    for _ in 0..16 {
        if rustix::net::recv(fd, &mut chunk, RecvFlags::DONTWAIT)?.0 == 0 {
            return Ok(());
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}
