//! The rescue: answers on the sockets themselves, outside the runtime, whatever the runtime has not answered in time.
//!
//! It runs on the errand thread of the server's `conclude` and blocks there in `poll(2)`. What it may write is decided
//! by the state word of each connection ([`word`](crate::word)); it never writes on one that it has not taken.
//!
//! 1. A healthy runtime answers by itself within milliseconds, and is given a head start for it; a handler whose job was
//!    in mid-commit gets one of its own when the commit has ended.
//! 2. Then everything that can be taken is: a waiting exchange gets the answer that its fate decides, part of a head
//!    or bytes in the kernel get a 503 without a body, an idle connection gets an end.
//! 3. Connections that wait in the accept queue are accepted, and told 503 once they have sent something. (Over TLS they
//!    get an end: nobody has shaken hands with them, so they have not asked.) When nobody else is left, or the time is
//!    nearly over, [the door](door) is shut, *before* they are told, and it is closed behind the last: the queue comes to
//!    an end, and nobody who has connected is reset.
//! 4. Where bytes may come that nobody reads, it lingers, lest they destroy the answer.

mod client;
mod door;

use std::{
    collections::HashMap,
    io,
    sync::Arc,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags};
use sundown::{BoxFuture, Deadline, Receipt};

use self::client::{Client, Over};
use crate::{
    answer::{Told, Wording},
    conn::Conn,
    driver::GOODBYE,
    exchange::Exchange,
    phase,
    server::Shared,
    wait::{DEAF, poll},
    word::{Phase, Took},
};

/// The longest head start of the runtime, its largest part of the time there is, and how long the runtime may do nothing
/// in it.
const HEAD_START: Duration = Duration::from_millis(250);
const HEAD_START_PART: u32 = 4;
const STALL: Duration = Duration::from_millis(100);

/// How long a handler may take from the end of its commit to its response.
const AFTER_COMMIT: Duration = Duration::from_millis(200);

/// What is left of the time when it stops, so that it returns in it; and its largest part of the time there is.
const SPARE: Duration = Duration::from_millis(25);
const SPARE_PART: u32 = 20;

/// A system call of the runtime's is in our way: it takes microseconds, unless its thread was descheduled.
const CONTENTION: Duration = Duration::from_millis(1);

/// How long nobody must come before the door is closed: a handshake may be under way, and would be reset half-way
/// through it.
const QUIET: Duration = Duration::from_millis(2);

/// As many clients as are accepted before those that are there go on.
const A_ROUND: usize = 64;

pub(crate) struct Rescue<'a> {
    server: &'a Arc<Shared>,
    wording: Wording,
    deadline: Deadline,
    spare: Duration,
    began: Instant,
    /// When the runtime last did something.
    heard: Instant,
    clients: Vec<Client>,
    /// Connections whose jobs we found in mid-commit, by their places in memory.
    commits: HashMap<*const Conn, Committing>,
    /// Who is accepted speaks TLS.
    tls: bool,
    /// The network may go with this process, and with it what has not arrived: it waits until those it has answered have
    /// gone.
    outlives: bool,
    /// Nobody new joins the accept queue.
    shut: bool,
    /// The last attempt to accept failed for a reason that does not pass at once.
    deaf: bool,
    counts: Counts,
}

/// A handler about its effect.
struct Committing {
    /// Keeps its place in memory from being somebody else's.
    conn: Arc<Conn>,
    /// Ring when the effect is over, for as long as they are here.
    _bells: Vec<BoxFuture<'static, ()>>,
    /// Until when the handler may answer, once it is.
    until: Option<Instant>,
}

impl Committing {
    fn new(conn: &Arc<Conn>, exchange: &Exchange, server: &Arc<Shared>) -> Self {
        let mut bells = exchange.decisions();
        let waker = Waker::from(server.clone());
        for bell in &mut bells {
            // From here on it has our waker.
            let _ = bell.as_mut().poll(&mut Context::from_waker(&waker));
        }
        Committing { conn: conn.clone(), _bells: bells, until: None }
    }
}

#[derive(Default)]
struct Counts {
    exchanges: u64,
    partial: u64,
    queued: u64,
    unanswered: u64,
}

impl Counts {
    fn count(&mut self, over: Over) {
        match over {
            Over::Exchange => self.exchanges += 1,
            Over::Partial => self.partial += 1,
            Over::Queued => self.queued += 1,
            Over::Unanswered => self.unanswered += 1,
            Over::Silent => {}
        }
    }
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
    pub(crate) fn new(server: &'a Arc<Shared>, deadline: Deadline) -> Self {
        let now = Instant::now();
        Rescue {
            wording: server.wording(),
            tls: server.speaks_tls(),
            server,
            spare: SPARE.min(deadline.remaining() / SPARE_PART),
            deadline,
            began: now,
            heard: now + HEAD_START,
            clients: Vec::new(),
            commits: HashMap::new(),
            // The first process of a container, with which its network ends.
            outlives: std::process::id() == 1,
            shut: false,
            deaf: false,
            counts: Counts::default(),
        }
    }

    /// Answers everyone, and returns when nobody waits any more or the time is over.
    pub(crate) fn run(mut self, receipt: &Receipt) {
        self.give_head_start();
        self.answer_everyone();
        let locked_out = self.deaf;
        if !self.server.shares_listener() {
            // If the time was over before.
            self.server.stop_listening();
        }
        for client in &self.clients {
            self.counts.unanswered += u64::from(client.waits());
        }
        let left = self.server.conns();
        let exchanges =
            || left.iter().filter(|conn| conn.word.phase() != Phase::Taken).flat_map(|conn| conn.exchanges());
        let responding = exchanges().any(|exchange| exchange.is_in_flight() && !exchange.waits());
        self.counts.unanswered += exchanges().filter(|exchange| exchange.waits()).count() as u64;
        receipt.note("answered by the rescue", self.counts.exchanges);
        receipt.note("partial heads answered", self.counts.partial);
        receipt.note("answered from the accept queue", self.counts.queued);
        receipt.note("unanswered", self.counts.unanswered);
        if locked_out {
            receipt.note("locked out of the accept queue", 1);
        }
        // What is still being sent will be cut; who waits in a queue that cannot be accepted from is reset.
        if self.counts.unanswered == 0 && !responding && !locked_out {
            receipt.seen_to();
        }
    }

    fn answer_everyone(&mut self) {
        loop {
            // Before the look: while the door is open the runtime may let somebody in behind it.
            let open = self.server.is_listening() && !self.server.shares_listener();
            let left = self.take_what_can_be_taken();
            let accepted = self.accept_the_queue(left == Left::Nothing);
            self.go_on();
            let nobody = self.clients.is_empty();
            let over = nobody && left == Left::Nothing && !accepted && !self.deaf;
            if (over && !open) || self.time_left().is_zero() {
                return;
            }
            // Who was accepted may be over already, and then nobody would wake us; nor does the door when it closes.
            if !over && (!accepted || !nobody) {
                self.wait(left);
            }
        }
    }

    fn time_left(&self) -> Duration {
        self.deadline.remaining().saturating_sub(self.spare)
    }

    /// Waits until the runtime has answered every exchange that was in a handler, or has had its time.
    fn give_head_start(&self) {
        let until = self.began + HEAD_START.min(self.deadline.remaining() / HEAD_START_PART);
        let mut waiting = self.server.conns();
        loop {
            while waiting.last().is_some_and(|conn| !waits(conn)) {
                waiting.pop();
            }
            let left = until.saturating_duration_since(Instant::now()).min(STALL);
            if waiting.is_empty() || left.is_zero() {
                return;
            }
            let rung = poll(&mut [PollFd::new(&self.server.bell, PollFlags::IN)], Some(left));
            self.server.bell.silence();
            if !rung {
                return;
            }
        }
    }

    /// Looks at every connection once.
    fn take_what_can_be_taken(&mut self) -> Left {
        // A job in mid-commit may yet be done; but not for ever. First its own runtime may say so.
        let last_chance = self.last_chance().is_zero();
        if self.last_call().is_zero() {
            self.server.go_on(phase::Phase::LastCall);
        }
        let mut left = if self.server.is_accepting() { Left::Contention } else { Left::Nothing };
        for conn in self.server.conns() {
            left = left.max(match conn.word.phase() {
                Phase::Taken | Phase::Upgraded => Left::Nothing,
                Phase::Responding => Left::Runtime,
                Phase::Framed => self.left_on_streams(&conn),
                Phase::Handler if !last_chance && self.may_yet_answer(&conn) => Left::Runtime,
                Phase::Idle | Phase::Handler => match conn.word.try_take() {
                    Some(took) => {
                        self.take(conn, took);
                        Left::Nothing
                    }
                    None if conn.word.is_busy() => Left::Contention,
                    None => Left::Runtime,
                },
            });
        }
        self.commits.retain(|_, commit| commit.conn.word.phase() == Phase::Handler);
        left
    }

    /// A connection of HTTP/2 is the runtime's alone: what it does not do in time is not done.
    fn left_on_streams(&self, conn: &Conn) -> Left {
        let exchanges = conn.exchanges();
        let committing = || exchanges.iter().any(|exchange| exchange.is_committing());
        let responding = exchanges.iter().any(|exchange| !exchange.waits() && !exchange.is_upgraded());
        if responding || !self.goodbye().is_zero() || (!self.last_chance().is_zero() && committing()) {
            Left::Runtime
        } else {
            Left::Nothing
        }
    }

    /// How long until peers of HTTP/2 that have not let us go are waited for no longer, if the runtime hears nothing more.
    fn goodbye(&self) -> Duration {
        (self.heard + GOODBYE).saturating_duration_since(Instant::now())
    }

    /// Whether a handler is about its effect, or was until a moment ago: then it may have a response.
    fn may_yet_answer(&mut self, conn: &Arc<Conn>) -> bool {
        let key = Arc::as_ptr(conn);
        let Some(exchange) = conn.exchange() else { return false };
        if !exchange.is_committing() && !self.commits.contains_key(&key) {
            return false;
        }
        let new = || Committing::new(conn, &exchange, self.server);
        let commit = self.commits.entry(key).or_insert_with(new);
        // Only now: an effect that is over by now rings no bell.
        if exchange.is_committing() {
            return true;
        }
        let now = Instant::now();
        let may = now < *commit.until.get_or_insert(now + AFTER_COMMIT);
        if !may {
            self.commits.remove(&key);
        }
        may
    }

    /// How long until jobs in mid-commit are waited for no longer: three quarters in.
    fn last_call(&self) -> Duration {
        self.until_eighth(6)
    }

    /// How long until whoever has still not been told by the runtime is told from here.
    fn last_chance(&self) -> Duration {
        self.until_eighth(7)
    }

    fn until_eighth(&self, eighth: u32) -> Duration {
        let (gone, left) = (self.began.elapsed(), self.time_left());
        ((gone + left) * eighth / 8).saturating_sub(gone)
    }

    /// Decides what a connection that is ours now is told.
    fn take(&mut self, conn: Arc<Conn>, took: Took) {
        // Nobody else changes it any more.
        let exchange = conn.exchange();
        let mut client = match (took, exchange) {
            (Took::Exchange, Some(exchange)) => {
                let lingers = exchange.has_body || conn.has_bytes() || self.outlives;
                let answer = Told::of(&exchange, &self.wording).into_bytes();
                Client::answered(&conn, answer, lingers, Over::Exchange)
            }
            (Took::Exchange, None) | (Took::PartialHead, _) => {
                let answer = Told::unread(&self.wording).into_bytes();
                Client::answered(&conn, answer, true, Over::Partial)
            }
            // Whatever is said could be the wrong protocol.
            (Took::Untold, _) => Client::answered(&conn, Vec::new(), true, Over::Partial),
            // Of a newcomer, a request is on its way.
            (Took::Idle, _) => {
                Client::silent(&conn, conn.newcomer().unwrap_or_else(Instant::now), self.outlives)
            }
            // The runtime may have been about to close it.
            (Took::Finished, _) => {
                let lingers = conn.must_linger() || self.outlives;
                Client::answered(&conn, Vec::new(), lingers, Over::Silent)
            }
        };
        // At once: the owner's function may keep the next one waiting.
        match client.go_on(Instant::now(), &self.wording) {
            Some(over) => self.counts.count(over),
            None => self.clients.push(client),
        }
        // The runtime, if it is there, lets go of its side; if its task is gone, this was the last place it stood in.
        self.server.wake(&conn);
        self.server.unregister_if_closed(&conn);
    }

    /// Takes everyone out of the accept queue, and if nobody is left elsewhere, closes it behind them. Returns whether
    /// anybody was there.
    fn accept_the_queue(&mut self, last: bool) -> bool {
        if self.server.shares_listener() {
            // Who waits there is somebody else's.
            return false;
        }
        if !self.shut && self.server.is_listening() && (last || self.last_chance().is_zero()) {
            door::shut(&self.server.listener);
            self.shut = true;
        }
        let mut accepted = false;
        self.deaf = false;
        for _ in 0..A_ROUND {
            match self.server.listener.accept() {
                Ok((stream, _)) => {
                    accepted = true;
                    if stream.set_nonblocking(true).is_ok() {
                        self.clients.push(Client::accepted(stream, self.tls));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let door = PollFd::new(&self.server.listener, PollFlags::IN);
                    if last && poll(&mut [door], Some(QUIET.min(self.time_left()))) {
                        continue;
                    }
                    if last {
                        self.server.stop_listening();
                    }
                    break;
                }
                // The door is closed, whoever did it.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.server.stop_listening();
                    break;
                }
                // One at a time is more than none: the next comes in when this one has gone.
                Err(_) if self.server.give_up_spare() => {}
                Err(_) => {
                    self.deaf = true;
                    break;
                }
            }
        }
        accepted
    }

    /// Lets every client go as far as its socket lets it.
    fn go_on(&mut self) {
        let now = Instant::now();
        let (wording, counts) = (&self.wording, &mut self.counts);
        self.clients.retain_mut(|client| {
            let over = client.go_on(now, wording);
            over.into_iter().for_each(|over| counts.count(over));
            over.is_none()
        });
    }

    /// Sleeps until something moves.
    fn wait(&mut self, left: Left) {
        let now = Instant::now();
        // One that is over by now was not when we looked: then we look again at once.
        let hopes = self.commits.values().filter_map(|commit| commit.until);
        let patience = self.clients.iter().filter_map(Client::until).chain(hopes).min();
        let mut sleep = self.time_left();
        if let Some(until) = patience {
            sleep = sleep.min(until.saturating_duration_since(now));
        }
        let is_contended = self.clients.iter().any(Client::is_contended);
        match if is_contended { Left::Contention } else { left } {
            Left::Contention => sleep = sleep.min(CONTENTION),
            Left::Runtime => {
                let hopes = [self.last_call(), self.last_chance(), self.goodbye()]
                    .into_iter()
                    .filter(|hope| !hope.is_zero());
                sleep = hopes.map(|hope| hope + CONTENTION).fold(sleep, Duration::min);
            }
            Left::Nothing => {}
        }
        let mut fds = vec![PollFd::new(&self.server.bell, PollFlags::IN)];
        if self.deaf {
            sleep = sleep.min(DEAF);
        } else if self.server.is_listening() && !self.server.shares_listener() {
            fds.push(PollFd::new(&self.server.listener, PollFlags::IN));
        }
        // What a contended one has to say changes nothing.
        let clients = self.clients.iter().filter(|client| !client.is_contended());
        fds.extend(clients.map(|client| PollFd::new(client, client.interest())));
        poll(&mut fds, Some(sleep));
        if fds[0].revents().contains(PollFlags::IN) {
            self.heard = self.heard.max(Instant::now());
        }
        self.server.bell.silence();
    }
}

/// Whether somebody waits for the answer to a request that has been begun.
fn waits(conn: &Conn) -> bool {
    match conn.word.phase() {
        Phase::Handler => true,
        Phase::Framed => conn.exchanges().iter().any(|exchange| exchange.waits()),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
