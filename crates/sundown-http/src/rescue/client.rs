//! A connection that is the rescue's to finish, from its first byte to its last.

use std::{
    io,
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
};

/// How long a client that was just accepted may take to send its first byte, and one that was answered to go away.
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) struct Client {
    socket: Socket,
    stage: Stage,
}

enum Socket {
    Taken(Arc<Conn>),
    Accepted(TcpStream),
}

enum Stage {
    /// Nothing has come yet.
    Silent {
        until: Instant,
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

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Taken(conn) => conn.as_fd(),
            Socket::Accepted(stream) => stream.as_fd(),
        }
    }
}

impl Client {
    pub(super) fn answered(conn: &Arc<Conn>, bytes: Vec<u8>, lingers: bool, then: Over) -> Self {
        let stage = Stage::Sending { bytes, sent: 0, lingers, then };
        Client { socket: Socket::Taken(conn.clone()), stage }
    }

    /// The runtime has answered; only the linger is left.
    pub(super) fn finished(conn: &Arc<Conn>) -> Self {
        let stage = Stage::Lingering { until: Instant::now() + PATIENCE, then: Over::Silent };
        Client { socket: Socket::Taken(conn.clone()), stage }
    }

    /// It came late and has sent nothing.
    pub(super) fn newcomer(conn: &Arc<Conn>, until: Instant) -> Self {
        Client { socket: Socket::Taken(conn.clone()), stage: Stage::Silent { until, then: Over::Partial } }
    }

    pub(super) fn accepted(stream: TcpStream) -> Self {
        let stage = Stage::Silent { until: Instant::now() + PATIENCE, then: Over::Queued };
        Client { socket: Socket::Accepted(stream), stage }
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
            Stage::Sending { .. } | Stage::Over(_) => None,
        }
    }

    /// Whether it has not got all of its answer.
    pub(super) fn waits(&self) -> bool {
        matches!(self.stage, Stage::Sending { .. })
    }

    /// Goes as far as the socket lets it; says how it ended, once it has.
    pub(super) fn go_on(&mut self, now: Instant, wording: &Wording) -> Option<Over> {
        loop {
            let next = match &mut self.stage {
                Stage::Silent { until, then } => {
                    let (until, then) = (*until, *then);
                    match conn::peek(self.as_fd(), &mut [0; 4]) {
                        Err(error) if is_early(&error) && now < until => None,
                        Ok(first) if !first.is_empty() => {
                            let bytes = refusal(first, wording);
                            Some(Stage::Sending { bytes, sent: 0, lingers: true, then })
                        }
                        _ => {
                            self.half_close();
                            Some(Stage::Over(Over::Silent))
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
            Socket::Accepted(stream) => stream.as_fd(),
        };
        let Stage::Sending { bytes, sent, lingers, then } = &mut self.stage else { return None };
        while *sent < bytes.len() {
            match rustix::net::send(fd, &bytes[*sent..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(more) => *sent += more,
                Err(Errno::AGAIN) => return None,
                Err(Errno::INTR) => {}
                Err(_) => return Some(Stage::Over(Over::Unanswered)),
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

/// What is said to one whose request nobody has read, in its own protocol: nothing, if that cannot be known.
pub(super) fn refusal(first: &[u8], wording: &Wording) -> Vec<u8> {
    match preface::tell(first) {
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
