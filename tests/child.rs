//! A fixture's process, which cannot outlive its guard.

use std::{
    fmt::Debug,
    fs,
    io::{BufRead, BufReader, Read, Write},
    process::{Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::{Ending, promised};

/// How long anything is waited for: far more than any fixture takes, far less than for ever.
const BOUND: Duration = Duration::from_secs(15);

/// One event of a fixture, with the time at which it was read.
#[derive(Clone, Debug)]
pub struct Line {
    /// What the fixture printed.
    pub text: String,
    /// When it was read here.
    pub at: Instant,
}

/// A running fixture. It is killed when this is dropped; a failing test then shows all that it had printed.
pub struct Child {
    process: std::process::Child,
    pid: Pid,
    lines: Receiver<Line>,
    seen: Vec<Line>,
    /// When the process has become a zombie. It is not reaped before, so that its id stays its own.
    gone: Receiver<Instant>,
    /// Reads stderr to its end.
    complaints: Option<JoinHandle<String>>,
}

/// A program that ignores no signal from the start. Who runs the tests in the background, or by `nohup`, may have them
/// ignore some, and processes inherit that.
fn undisturbed(program: &str) -> Command {
    /// SIGHUP, SIGINT, SIGQUIT and SIGTERM, as the bits of a mask.
    const SENT: u64 = 0x4007;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    if ignored.is_none_or(|mask| mask & SENT == 0) {
        return Command::new(program);
    }
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP,INT,QUIT,TERM", program]);
    command
}

impl Child {
    /// Starts a fixture with these arguments, separated by spaces, and variables of the environment.
    pub fn spawn(program: &str, arguments: &str, variables: &[(&str, &str)]) -> Self {
        let mut process = undisturbed(program)
            .args(arguments.split_whitespace())
            // A trace takes longer than most steps of a shutdown may.
            .env("RUST_BACKTRACE", "0")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the fixture was built beside the test");
        let pid = Pid::from_child(&process);
        let stdout = process.stdout.take().expect("stdout is piped");
        let mut stderr = process.stderr.take().expect("stderr is piped");

        let (send_line, lines) = mpsc::channel();
        thread::spawn(move || {
            for text in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = send_line.send(Line { text, at: Instant::now() });
            }
        });
        let complaints = Some(thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        }));
        let (send_gone, gone) = mpsc::channel();
        thread::spawn(move || {
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            let _ = send_gone.send(Instant::now());
        });
        Child { process, pid, lines, seen: Vec::new(), gone, complaints }
    }

    /// The process. Its id stays its own until the [end](Self::end) has been waited for.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for a line that begins so, among those not waited for yet.
    ///
    /// # Panics
    ///
    /// When the fixture ends, or the bound is over, without it.
    pub fn wait_for(&mut self, beginning: &str) -> Line {
        let until = Instant::now() + BOUND;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.text.starts_with(beginning) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no line {beginning:?} within {BOUND:?}"),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the fixture ended without a line {beginning:?}")
                }
            }
        }
    }

    /// From here on signals go to the process that this one has started.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn signal_its_child(&mut self) {
        let id = self.pid.as_raw_nonzero();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.expect("the system tells of children");
        let child = children.split_whitespace().next().and_then(|child| child.parse().ok());
        self.pid = child.and_then(Pid::from_raw).expect("it has a child");
    }

    /// Sends a signal. Returns the moment just before.
    pub fn signal(&self, signal: Signal) -> Instant {
        let at = Instant::now();
        kill_process(self.pid, signal).expect("the child is not reaped yet");
        at
    }

    /// Waits until a signal has stopped it.
    ///
    /// # Panics
    ///
    /// When nothing does within the bound.
    pub fn wait_for_its_stop(&self) {
        let (pid, (send, stopped)) = (self.pid, mpsc::channel());
        // Taken note of, so that the next stop is another one.
        thread::spawn(move || {
            let _ = send.send(waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED));
        });
        let stop = stopped.recv_timeout(BOUND);
        assert!(matches!(stop, Ok(Ok(_))), "it has not stopped within {BOUND:?}: {stop:?}");
    }

    /// Writes a line to the fixture's stdin. Returns the moment just before.
    pub fn tell(&mut self, line: &str) -> Instant {
        let at = Instant::now();
        let stdin = self.process.stdin.as_mut().expect("stdin is piped");
        writeln!(stdin, "{line}").expect("the fixture reads its stdin");
        at
    }

    /// Whether it does not end by itself within this time.
    pub fn stays_for(&self, time: Duration) -> bool {
        self.gone.recv_timeout(time) == Err(RecvTimeoutError::Timeout)
    }

    /// Sends SIGTERM and waits for the end: within what this grace promises, and with events in each of these orders.
    ///
    /// # Panics
    ///
    /// When it comes too late, or out of order.
    pub fn terminate(self, grace: Duration, orders: &[&[&str]]) -> Ending {
        let signalled = self.signal(Signal::TERM);
        let ending = self.end();
        ending.assert_within(promised(grace), signalled);
        for order in orders {
            ending.assert_order(order);
        }
        ending
    }

    /// Waits until the process is gone.
    ///
    /// # Panics
    ///
    /// When it is not gone within the bound, or a thread of it has panicked that was not asked to.
    pub fn end(mut self) -> Ending {
        let at = match self.gone.recv_timeout(BOUND) {
            Ok(at) => at,
            Err(_) => panic!("the process is still there after {BOUND:?}"),
        };
        let status = self.process.wait().expect("it is our own child");
        // The pipe is closed with the process: this ends.
        let mut lines = std::mem::take(&mut self.seen);
        lines.extend(self.lines.iter());
        self.seen.clone_from(&lines);
        let ending = Ending { status, at, lines, complaints: self.complaints() };
        ending.assert_panics_on_purpose();
        ending
    }

    /// All that came on stderr. The process is gone: its pipe has an end.
    fn complaints(&mut self) -> String {
        self.complaints.take().and_then(|reader| reader.join().ok()).unwrap_or_default()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            self.seen.extend(self.lines.iter());
            let complaints = self.complaints();
            eprintln!("---- the fixture printed:");
            self.seen.iter().for_each(|line| eprintln!("{}", line.text));
            eprintln!("---- and complained:\n{complaints}");
        }
    }
}

impl Debug for Child {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Child").field("pid", &self.pid).finish_non_exhaustive()
    }
}
