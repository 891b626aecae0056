//! A client: it sends its script in pieces, at its moments, and keeps what it gets and when.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use rustix::net::sockopt;
use sundown::Watch;
use sundown_tests::http::End;

use crate::plan::{Last, Plan};

/// How long an end is waited for: longer than any grace and any handler.
const BOUND: Duration = Duration::from_secs(15);

/// What a client got.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) bytes: Vec<u8>,
    pub(crate) end: End,
    /// How much of the script was on its way, at most, when so many bytes had come.
    pub(crate) marks: Vec<(usize, usize)>,
    /// How much had been taken by the system, and when.
    pub(crate) sent: Vec<(usize, Instant)>,
}

impl Plan {
    /// `None` if nobody listens any more. `finished` returns when the shutdown has.
    pub(crate) fn play(
        &self,
        address: SocketAddr,
        began: Instant,
        watch: &Watch,
        finished: impl FnOnce(),
    ) -> Option<Got> {
        sleep_until(self.connects.resolve(began, watch));
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
        stream.set_nodelay(true).ok()?;
        // Who is not read from gives up.
        stream.set_write_timeout(Some(Duration::from_millis(300))).ok()?;
        let got = Got { bytes: Vec::new(), end: End::None, marks: Vec::new(), sent: Vec::new() };
        let mut line = Line { stream, got, over: false };
        let mut at = 0;
        for &(end, moment) in &self.pieces {
            let until = moment.resolve(began, watch);
            match self.last {
                Last::Deaf => sleep_until(until),
                _ => line.read_until(until, at),
            }
            if line.over {
                break;
            }
            if line.stream.write_all(&self.script.bytes[at..end]).is_err() {
                // Some of it may have gone.
                at = end;
                break;
            }
            at = end;
            line.got.sent.push((at, Instant::now()));
        }
        match self.last {
            Last::Read => {}
            // It may be gone already.
            Last::HalfClose => drop(line.stream.shutdown(Shutdown::Write)),
            Last::Reset => {
                let _ = sockopt::set_socket_linger(&line.stream, Some(Duration::ZERO));
                return Some(line.got);
            }
            Last::Deaf => finished(),
        }
        line.read_until(Instant::now() + BOUND, at);
        Some(line.got)
    }
}

fn sleep_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

struct Line {
    stream: TcpStream,
    got: Got,
    over: bool,
}

impl Line {
    /// Reads until then, or to the end. `sent`: how much may have been sent by now.
    fn read_until(&mut self, until: Instant, sent: usize) {
        let mut some = [0; 16 * 1024];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if self.over || left.is_zero() {
                return;
            }
            let read = self.stream.set_read_timeout(Some(left)).and_then(|()| self.stream.read(&mut some));
            match read {
                Ok(0) => self.end(End::Fin),
                Ok(read) => {
                    self.got.bytes.extend_from_slice(&some[..read]);
                    self.got.marks.push((self.got.bytes.len(), sent));
                }
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(_) => self.end(End::Reset),
            }
        }
    }

    fn end(&mut self, end: End) {
        self.got.end = end;
        self.over = true;
    }
}
