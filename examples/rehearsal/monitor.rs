//! The monitoring service: somebody who takes unfinished jobs over. It is this executable started again, so
//! that its acknowledgements come from another process, as in life. Both its sides are here: [`run`] is the
//! process, [`Monitor`] the handle of the one who started it.
//!
//! What it keeps true: each acknowledgement is written down as a [`Notice`], stamped just *before* the reply
//! is sent, so that nobody can rightly have acted on it earlier; and reply and line are one step, so that
//! none is lost at the end.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, ExitCode, exit};
use std::time::{Duration, Instant};
use std::{env, thread};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::clock::Stamp;
use crate::process::Process;
use crate::wire::{Broken, Wire};

/// The hidden first argument that makes this executable the monitor.
pub const ROLE: &str = "--as-monitor";

pub const DRAINING: &str = "dev.sundown.shutdown.draining.v1";
pub const INCOMPLETE: &str = "dev.sundown.job.incomplete.v1";
pub const FINISHED: &str = "dev.sundown.shutdown.finished.v1";

/// It thinks before it takes a job over, so that an answer which did not wait for that is clearly too early.
const THINKING: Duration = Duration::from_millis(40);

/// How long it keeps a connection, and how long its last lines may take.
const PATIENCE: Duration = Duration::from_secs(120);
const LAST_LINES: Duration = Duration::from_secs(2);

/// One event that the monitor acknowledged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// The CloudEvents type.
    pub kind: String,
    /// The CloudEvents id: the same again is a retry.
    pub id: String,
    /// The job, if it is about one.
    pub subject: Option<String>,
    pub acknowledged: Stamp,
}

/// What the monitor needs to know of a CloudEvent.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    subject: Option<String>,
}

/// The monitor as seen by whoever started it.
pub struct Monitor {
    process: Process,
    address: SocketAddr,
}

impl Monitor {
    pub fn start() -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        let mut process = Process::start("the monitor", command.arg(ROLE))?;
        let address = process.listening()?;
        Ok(Self { process, address })
    }

    pub fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// Sends it home and returns what it acknowledged, in the order of acknowledgement.
    pub fn finish(mut self) -> Result<Vec<Notice>> {
        drop(self.process.stdin());
        let lines = self.process.remaining_lines(LAST_LINES);
        let mut notices = lines
            .iter()
            .map(|line| serde_json::from_str::<Notice>(line))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|e| format!("cannot read what the monitor wrote: {e}"))?;
        notices.sort_by_key(|notice| notice.acknowledged);
        Ok(notices)
    }
}

/// The monitor process: serves until its stdin ends.
pub fn run() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("monitor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    say!("listening on {}", listener.local_addr()?);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || converse(stream));
        }
    });
    io::stdin().read_to_end(&mut Vec::new())?;
    // Whoever is between reply and line holds this lock; after it, nobody replies any more.
    let _quiet = io::stdout().lock();
    exit(0)
}

/// One connection, request after request.
fn converse(stream: TcpStream) {
    let Ok(mut wire) = Wire::new(stream, Instant::now() + PATIENCE) else { return };
    while let Ok(go_on) = listen(&mut wire) {
        if !go_on {
            return;
        }
    }
}

/// One request: false when it was the last of its connection.
fn listen(wire: &mut Wire) -> std::result::Result<bool, Broken> {
    let head = wire.head()?;
    if head.field("expect").is_some() {
        wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let body = wire.request_body(&head)?;
    match events(head.field("content-type").unwrap_or_default(), &body) {
        Ok(events) => acknowledge(wire, events)?,
        Err(error) => {
            eprintln!("monitor: refused a request: {error}");
            wire.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")?;
        }
    }
    Ok(!head.is_last())
}

/// A batch, or the one event that came alone.
fn events(media_type: &str, body: &[u8]) -> serde_json::Result<Vec<Event>> {
    if media_type.starts_with("application/cloudevents-batch+json") {
        serde_json::from_slice(body)
    } else {
        serde_json::from_slice(body).map(|event| vec![event])
    }
}

/// Takes all of `events` over: a 2xx is for the whole batch.
fn acknowledge(wire: &mut Wire, events: Vec<Event>) -> io::Result<()> {
    if events.iter().any(|event| event.kind == INCOMPLETE) {
        thread::sleep(THINKING);
    }
    let mut book = io::stdout().lock();
    let acknowledged = Stamp::now();
    wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")?;
    for Event { kind, id, subject } in events {
        let notice = Notice { kind, id, subject, acknowledged };
        writeln!(book, "{}", serde_json::to_string(&notice)?)?;
    }
    book.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_and_a_single_event_are_both_understood() {
        let one = br#"{"specversion":"1.0","type":"t","id":"1","source":"s","subject":"job-1"}"#;
        let batch = [b"[".as_slice(), one, b",", one, b"]"].concat();
        assert_eq!(events("application/cloudevents+json; charset=utf-8", one).unwrap().len(), 1);
        assert_eq!(events("application/cloudevents-batch+json", &batch).unwrap().len(), 2);
        assert!(events("application/cloudevents-batch+json", one).is_err());
    }
}
