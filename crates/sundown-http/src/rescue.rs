//! The rescue: answers on the sockets themselves, outside the runtime, whatever the runtime has not answered in time.
//!
//! It runs on the errand thread of the server's `conclude` and blocks there in `poll(2)`. What it may write is decided
//! by the state word of each connection ([`word`](crate::word)); it never writes on one that it has not taken.
//!
//! 1. A healthy runtime answers by itself within milliseconds, and is given a head start for it.
//! 2. Then everything that can be taken is: a waiting exchange gets the answer that its fate decides, part of a head
//!    or bytes in the kernel get a 503 without a body, an idle connection gets an end.
//! 3. Connections that wait in the accept queue are accepted, and told 503 once they have sent something.
//! 4. Where bytes may come that nobody reads, it lingers, lest they destroy the answer.

use std::{
    io,
    net::TcpStream,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    net::{RecvFlags, SendFlags, Shutdown},
};
use sundown::{Deadline, Receipt};

use crate::{
    answer::{Answer, Wording},
    conn::{self, Conn},
    server::Shared,
    word::{Phase, Took},
};

/// The longest head start of the runtime, and its largest part of the time there is.
const HEAD_START: Duration = Duration::from_millis(250);
const HEAD_START_PART: u32 = 4;

/// How long a client that was just accepted may take to send its first byte, and one that was answered to go away.
const PATIENCE: Duration = Duration::from_millis(500);

/// A system call of the runtime's is in our way: it takes microseconds, unless its thread was descheduled.
const CONTENTION: Duration = Duration::from_millis(1);

pub(crate) struct Rescue<'a> {
    server: &'a Shared,
    wording: Wording,
    deadline: Deadline,
    began: Instant,
    clients: Vec<Client>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    rescued: u64,
    partial: u64,
    queued: u64,
    unanswered: u64,
}

/// What a look over the connections leaves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    Nothing,
    /// The runtime is at it; the bell will ring.
    Runtime,
    /// We are in each other's way, for a moment.
    Contention,
}

impl<'a> Rescue<'a> {
    pub(crate) fn new(server: &'a Shared, deadline: Deadline) -> Self {
        Rescue {
            wording: server.wording(),
            server,
            deadline,
            began: Instant::now(),
            clients: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Answers everyone, and returns when nobody waits any more or the time is over.
    pub(crate) fn run(mut self, receipt: &Receipt) {
        self.give_head_start();
        loop {
            let left = self.take_what_can_be_taken();
            let accepted = self.accept_the_queue();
            let now = Instant::now();
            for client in &mut self.clients {
                client.go_on(now, &self.wording);
            }
            let counts = &mut self.counts;
            self.clients.retain(|client| !client.is_over(counts));
            let over = self.clients.is_empty() && left == Left::Nothing && !accepted;
            if over || self.deadline.has_passed() {
                break;
            }
            self.wait(left);
        }
        self.server.stop_listening();
        self.counts.unanswered += self.clients.iter().filter(|client| client.is_waiting()).count() as u64;
        receipt.note("answered by the rescue", self.counts.rescued);
        receipt.note("partial heads answered", self.counts.partial);
        receipt.note("answered from the accept queue", self.counts.queued);
        receipt.note("unanswered", self.counts.unanswered);
    }

    /// Waits until the runtime has answered every exchange that was in a handler, or has had its time.
    fn give_head_start(&self) {
        let until = self.began + HEAD_START.min(self.deadline.remaining() / HEAD_START_PART);
        let mut waiting = self.server.conns();
        loop {
            while waiting.last().is_some_and(|conn| conn.word.phase() != Phase::Handler) {
                waiting.pop();
            }
            let left = until.saturating_duration_since(Instant::now());
            if waiting.is_empty() || left.is_zero() {
                return;
            }
            let mut bell = [PollFd::new(self.server.bell(), PollFlags::IN)];
            poll(&mut bell, left);
            self.server.silence_bell();
        }
    }

    /// Looks at every connection once.
    fn take_what_can_be_taken(&mut self) -> Left {
        // A job in mid-commit may yet be done; but not for ever.
        let last_chance = self.deadline.remaining() <= self.began.elapsed() / 3;
        let mut left = Left::Nothing;
        for conn in self.server.conns() {
            let phase = conn.word.phase();
            if matches!(phase, Phase::Taken | Phase::Upgraded) {
                continue;
            }
            let exchange = conn.exchange();
            if phase == Phase::Responding
                || (!last_chance && exchange.as_ref().is_some_and(|exchange| exchange.is_committing()))
            {
                left = left.max(Left::Runtime);
                continue;
            }
            let Some(took) = conn.word.try_take() else {
                left = left.max(if conn.word.is_busy() { Left::Contention } else { Left::Runtime });
                continue;
            };
            let client = match took {
                Took::Exchange => {
                    self.counts.rescued += 1;
                    let (answer, lingers) = match &exchange {
                        Some(exchange) => (Answer::of(exchange, &self.wording), exchange.has_body),
                        None => (Answer::never_started(None, &self.wording), true),
                    };
                    Client::answered(&conn, answer, lingers)
                }
                Took::PartialHead => {
                    self.counts.partial += 1;
                    Client::answered(&conn, Answer::never_started(None, &self.wording), true)
                }
                Took::Idle if conn.has_bytes() => {
                    self.counts.partial += 1;
                    Client::answered(&conn, Answer::never_started(None, &self.wording), true)
                }
                Took::Idle => {
                    conn.half_close();
                    conn.task.wake();
                    continue;
                }
                Took::Finished => {
                    // The runtime may have been about to.
                    conn.half_close();
                    if !conn.must_linger() {
                        conn.task.wake();
                        continue;
                    }
                    Client::finished(&conn)
                }
            };
            // The runtime, if it is there, lets go of its side.
            conn.task.wake();
            self.clients.push(client);
        }
        left
    }

    /// Takes everyone out of the accept queue. Returns whether anybody was there.
    fn accept_the_queue(&mut self) -> bool {
        let mut accepted = false;
        while let Ok((stream, _)) = self.server.listener.accept() {
            accepted = true;
            if stream.set_nonblocking(true).is_ok() {
                self.clients.push(Client::accepted(stream));
            }
        }
        accepted
    }

    /// Sleeps until something moves.
    fn wait(&self, left: Left) {
        let now = Instant::now();
        let patience = self.clients.iter().map(|client| client.until).min();
        let mut sleep = self.deadline.remaining();
        if let Some(until) = patience {
            sleep = sleep.min(until.saturating_duration_since(now));
        }
        match left {
            Left::Contention => sleep = sleep.min(CONTENTION),
            Left::Runtime => {
                // The last chance of those in mid-commit comes three quarters in.
                let whole = self.began.elapsed() + self.deadline.remaining();
                let last_chance = (whole * 3 / 4).saturating_sub(self.began.elapsed());
                if !last_chance.is_zero() {
                    sleep = sleep.min(last_chance + CONTENTION);
                }
            }
            Left::Nothing => {}
        }
        let mut fds = vec![
            PollFd::new(self.server.bell(), PollFlags::IN),
            PollFd::new(&self.server.listener, PollFlags::IN),
        ];
        fds.extend(self.clients.iter().map(|client| PollFd::new(client, client.interest())));
        poll(&mut fds, sleep);
        self.server.silence_bell();
    }
}

fn poll(fds: &mut [PollFd<'_>], at_most: Duration) {
    // An interrupted wait is a short one: the caller looks again.
    let at_most = Timespec::try_from(at_most).unwrap_or(Timespec { tv_sec: i64::from(i32::MAX), tv_nsec: 0 });
    let _ = rustix::event::poll(fds, Some(&at_most));
}

/// A connection that is ours to finish.
struct Client {
    socket: Socket,
    stage: Stage,
    /// When we wait no longer.
    until: Instant,
}

enum Socket {
    Taken(Arc<Conn>),
    Accepted(TcpStream),
}

enum Stage {
    /// Accepted; nothing has come yet.
    Silent,
    Sending {
        bytes: Vec<u8>,
        sent: usize,
        lingers: bool,
    },
    Lingering,
    Over(Over),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Answered,
    /// From the accept queue.
    Queued,
    /// Nobody was there to answer.
    Left,
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
    fn new(socket: Socket, stage: Stage) -> Self {
        Client { socket, stage, until: Instant::now() + PATIENCE }
    }

    fn answered(conn: &Arc<Conn>, answer: Answer, lingers: bool) -> Self {
        let stage = Stage::Sending { bytes: answer.into_bytes(), sent: 0, lingers };
        Client::new(Socket::Taken(conn.clone()), stage)
    }

    fn finished(conn: &Arc<Conn>) -> Self {
        Client::new(Socket::Taken(conn.clone()), Stage::Lingering)
    }

    fn accepted(stream: TcpStream) -> Self {
        Client::new(Socket::Accepted(stream), Stage::Silent)
    }

    fn interest(&self) -> PollFlags {
        match self.stage {
            Stage::Sending { .. } => PollFlags::OUT,
            _ => PollFlags::IN,
        }
    }

    fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Sending { .. })
    }

    fn is_over(&self, counts: &mut Counts) -> bool {
        let Stage::Over(how) = self.stage else { return false };
        match how {
            Over::Queued => counts.queued += 1,
            Over::Left => counts.unanswered += u64::from(matches!(self.socket, Socket::Taken(_))),
            Over::Answered => {}
        }
        true
    }

    /// Goes as far as the socket lets it.
    fn go_on(&mut self, now: Instant, wording: &Wording) {
        loop {
            let before = std::mem::discriminant(&self.stage);
            match &mut self.stage {
                Stage::Silent => match conn::peek(self.as_fd()) {
                    Ok(0) => self.stage = Stage::Over(Over::Left),
                    Ok(_) => {
                        let bytes = Answer::never_started(None, wording).into_bytes();
                        self.stage = Stage::Sending { bytes, sent: 0, lingers: true };
                    }
                    Err(error) if is_early(&error) && now < self.until => {}
                    Err(_) => self.stage = Stage::Over(Over::Left),
                },
                Stage::Sending { .. } => self.send(),
                Stage::Lingering => match discard(self.as_fd()) {
                    Err(error) if is_early(&error) && now < self.until => {}
                    _ => self.stage = Stage::Over(self.answered_how()),
                },
                Stage::Over(_) => {}
            }
            if before == std::mem::discriminant(&self.stage) {
                return;
            }
        }
    }

    fn send(&mut self) {
        let fd = match &self.socket {
            Socket::Taken(conn) => conn.as_fd(),
            Socket::Accepted(stream) => stream.as_fd(),
        };
        let Stage::Sending { bytes, sent, lingers } = &mut self.stage else { return };
        while *sent < bytes.len() {
            match rustix::net::send(fd, &bytes[*sent..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(more) => *sent += more,
                Err(rustix::io::Errno::AGAIN) => return,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => {
                    self.stage = Stage::Over(Over::Left);
                    return;
                }
            }
        }
        let lingers = *lingers;
        let _ = rustix::net::shutdown(fd, Shutdown::Write);
        self.until = Instant::now() + PATIENCE;
        self.stage = if lingers { Stage::Lingering } else { Stage::Over(self.answered_how()) };
    }

    fn answered_how(&self) -> Over {
        match self.socket {
            Socket::Taken(_) => Over::Answered,
            Socket::Accepted(_) => Over::Queued,
        }
    }
}

fn is_early(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Reads on and forgets, until the end or an error.
fn discard(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut chunk = [0; 16 * 1024];
    while rustix::net::recv(fd, &mut chunk, RecvFlags::DONTWAIT)?.0 > 0 {}
    Ok(())
}
