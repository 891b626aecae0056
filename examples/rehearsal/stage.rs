//! What every client knows: where the service is, when the signal comes, and when the curtain falls, past
//! which nobody waits.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Connection, Request, Visit};
use crate::grace;

/// How long after the grace a client still waits before it counts as left without an answer.
const CURTAIN: Duration = Duration::from_secs(3);

/// What every client knows.
pub struct Stage {
    address: SocketAddr,
    signal_at: Instant,
    grace: Duration,
    curtain: Instant,
    left: AtomicBool,
}

impl Stage {
    pub fn new(address: SocketAddr, signal_at: Instant, grace: Duration) -> Arc<Self> {
        let curtain = signal_at + grace + CURTAIN;
        Arc::new(Self { address, signal_at, grace, curtain, left: AtomicBool::new(false) })
    }

    /// The service has left: nobody need come any more.
    pub fn lower_curtain(&self) {
        // Relaxed: it carries no data, and who sees it late knocks once more at a closed door.
        self.left.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.left.load(Ordering::Relaxed) || Instant::now() >= self.curtain
    }

    pub fn open(&self) -> io::Result<Connection> {
        Connection::open(self.address, self.curtain)
    }

    /// One request on a connection of its own.
    pub fn visit(&self, request: &Request) -> Visit {
        match self.open() {
            Ok(connection) => connection.exchange_last(request),
            Err(error) => Visit::no_way_in(request, error.kind()),
        }
    }

    pub fn signal_at(&self) -> Instant {
        self.signal_at
    }

    /// The moment at `share` of the time that the service has for draining.
    pub fn within_drain(&self, share: f64) -> Instant {
        self.signal_at + grace::drain(self.grace).mul_f64(share)
    }

    /// A time that no work of this length survives, however soon it is begun.
    pub fn forever(&self) -> Duration {
        self.grace * 3
    }
}

pub fn sleep_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(Instant::now()));
}
