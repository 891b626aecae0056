//! A child process that cannot outlive the rehearsal: it is killed when its guard is dropped, on every path.
//! Its output is read by threads of their own, so that a full pipe never blocks it; it must say `listening on
//! ADDRESS` when ready.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::Result;
use crate::clock::Stamp;

/// How long a process may take until it listens.
const START_BOUND: Duration = Duration::from_secs(10);

/// How a process left, and when that was noticed.
#[derive(Clone, Copy, Debug)]
pub struct Departure {
    pub at: Stamp,
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// It had to be killed by the rehearsal.
    pub killed: bool,
}

impl Departure {
    fn now(status: ExitStatus, killed: bool) -> Self {
        Self { at: Stamp::now(), code: status.code(), signal: status.signal(), killed }
    }
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.killed, self.code, self.signal) {
            (true, ..) => write!(f, "killed at the end of the grace"),
            (_, Some(code), _) => write!(f, "exit code {code}"),
            (.., Some(signal)) => write!(f, "ended by signal {signal}"),
            _ => write!(f, "ended in an unknown way"),
        }
    }
}

pub struct Process {
    name: &'static str,
    child: Child,
    lines: Receiver<String>,
    complaints: Option<JoinHandle<String>>,
}

impl Process {
    /// Starts `command` with its output in our hands; `name` is what error messages call it.
    pub fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(
                |e| format!("cannot start {name} {}: {e}", command.get_program().to_string_lossy()),
            )?;
        let (said, lines) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(|line| line.ok()) {
                    // Nobody may be listening any more; the pipe is emptied all the same.
                    let _ = said.send(line);
                }
            });
        }
        let complaints = child.stderr.take().map(|mut stderr| {
            thread::spawn(move || {
                let mut text = Vec::new();
                // What came before a read error is still worth showing.
                let _ = stderr.read_to_end(&mut text);
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        Ok(Self { name, child, lines, complaints })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the line that says where the process listens.
    pub fn listening(&mut self) -> Result<SocketAddr> {
        let until = Instant::now() + START_BOUND;
        let name = self.name;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => match line.strip_prefix("listening on ") {
                    Some(address) => {
                        let address = address.trim();
                        return address.parse().map_err(|_| {
                            format!("{name} listens on {address:?}, which is no address").into()
                        });
                    }
                    None => continue,
                },
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("{name} did not listen within {START_BOUND:?}").into());
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let gone = self.kill()?;
                    let last = self.last_words();
                    return Err(format!("{name} ended before it listened, {gone}; it said: {last}").into());
                }
            }
        }
    }

    /// How it left, if it has.
    pub fn departed(&mut self) -> Result<Option<Departure>> {
        let status = self.child.try_wait()?;
        Ok(status.map(|status| Departure::now(status, false)))
    }

    /// Ends it now, if it has not left by itself.
    pub fn kill(&mut self) -> Result<Departure> {
        if let Some(departure) = self.departed()? {
            return Ok(departure);
        }
        self.child.kill()?;
        Ok(Departure::now(self.child.wait()?, true))
    }

    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Every line of stdout not yet taken, to its end; the process must be about to leave.
    pub fn remaining_lines(&self, bound: Duration) -> Vec<String> {
        let until = Instant::now() + bound;
        let mut lines = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            lines.push(line);
        }
        lines
    }

    /// All of stderr; only after it has left, or this would wait for it.
    pub fn complaints(&mut self) -> String {
        self.complaints.take().and_then(|reader| reader.join().ok()).unwrap_or_default()
    }

    /// The last line of stderr, for an error message; only after it has left.
    pub fn last_words(&mut self) -> String {
        let text = self.complaints();
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        last.unwrap_or("nothing").trim().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if it has left already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
