//! A child process as a component: told, waited for, killed.
//!
//! The one thing here that a simulation cannot play: it is about a process of the system's own. What it keeps true:
//!
//! 1. **No signal goes astray.** A process's number is free for others once it has been reaped. It is reaped, and signals are
//!    sent, under one lock; its end is waited for without reaping it.
//! 2. **No child is lost.** A thread of its own blocks until it ends, and reaps it, whether or not anybody still wants to
//!    know. There is no interval at which it looks.

use std::{
    fmt, io,
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Instant,
};

use async_trait::async_trait;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group, waitid};

use crate::{
    Claims, Deadline, Drainable, InFlight, Receipt, Signal, Unit,
    host::{DynHost, System},
    latch::{Latch, Waiting},
};

/// A child process as a component: told to end when its turn comes (SIGTERM, or [another](Self::told_by) signal), drained when
/// it has ended, killed at the claim.
///
/// How it ended is on its part of the report, as `exit code` or `ended by signal`, and [available](Self::status). One that had
/// to be killed is lost, and the report says so. Dropped without a shutdown, it lets go of its process, which goes on.
///
/// On all Unixes that can wait for a process without reaping it: all but OpenBSD. A thread waits for it, so that it is no zombie for longer than it need be. The program must not ignore SIGCHLD, nor reap
/// children that are not its own: how such a one ended nobody knows, and its number may be another's by then.
///
/// # Examples
///
/// ```
/// # use std::{process::Command, time::Duration};
/// use sundown::{ChildProcess, Shutdown};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # #[tokio::main(flavor = "current_thread")] async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let converter = ChildProcess::new(Command::new("sleep").arg("60").spawn()?)?;
/// let shutdown = Shutdown::embedded(sundown_tokio::Tokio::current())
///     .component("converter", converter)
///     .grace(Duration::from_secs(10))
///     .start()?;
/// shutdown.begin("the example is over");
/// let report = shutdown.finished().await;
/// assert!(report.is_clean());
/// assert_eq!(report.components[0].notes, [("ended by signal".to_owned(), 15)]);
/// # Ok(()) }
/// # run() }
/// ```
pub struct ChildProcess {
    watched: Arc<Watched>,
    told_by: Signal,
}

/// What the thread that waits shares with the component.
struct Watched {
    pid: Pid,
    whole_group: bool,
    host: DynHost,
    since: Instant,
    /// Guards the number: who holds it and finds the process not reaped may send it a signal.
    body: Mutex<Body>,
    /// How it ended, if anybody knows. Set before the latch.
    status: OnceLock<Option<ExitStatus>>,
    ended: Latch,
}

struct Body {
    child: Child,
    reaped: bool,
    /// Of a group: its leader is reaped only when nobody has a signal for the group any more, which has its number.
    kept: bool,
}

impl ChildProcess {
    /// The component of a process that was spawned before. What is wanted of its standard input and output is taken before
    /// that.
    ///
    /// # Errors
    ///
    /// When no thread can be had that waits for it. Then it is killed.
    pub fn new(mut child: Child) -> io::Result<Self> {
        // One that was waited for before has no number any more. An error means that somebody else has reaped it, which
        // the thread will find too.
        let ended = child.try_wait().unwrap_or(None);
        Self::watch(child, false, ended)
    }

    /// Spawns a process as the leader of a group of its own: signals go to all processes in it, those that it starts
    /// included. Its own end is waited for; whoever else is in the group then is killed at the claim.
    ///
    /// A terminal's interrupt does not reach a group of its own.
    ///
    /// # Errors
    ///
    /// When it cannot be spawned, or no thread can be had that waits for it. Then it is killed.
    pub fn group(command: &mut Command) -> io::Result<Self> {
        Self::watch(command.process_group(0).spawn()?, true, None)
    }

    /// By which signal it is told. Default: SIGTERM.
    #[must_use]
    pub fn told_by(mut self, signal: Signal) -> Self {
        self.told_by = signal;
        self
    }

    fn watch(child: Child, whole_group: bool, ended: Option<ExitStatus>) -> io::Result<Self> {
        let host = System::shared();
        let watched = Arc::new(Watched {
            pid: Pid::from_child(&child),
            whole_group,
            since: host.now(),
            body: Mutex::new(Body { child, reaped: ended.is_some(), kept: whole_group }),
            status: OnceLock::new(),
            ended: Latch::default(),
            host,
        });
        if ended.is_some() {
            let _ = watched.status.set(ended);
            watched.ended.set();
            return Ok(ChildProcess { watched, told_by: Signal::Term });
        }
        let theirs = watched.clone();
        let thread = format!("sundown-pid-{}", watched.id());
        if let Err(error) = watched.host.spawn(thread, Box::new(move || theirs.wait())) {
            // What nobody waits for is not left running.
            watched.signal(rustix::process::Signal::KILL);
            let mut body = watched.body();
            body.reaped = true;
            let _ = body.child.wait();
            return Err(error);
        }
        Ok(ChildProcess { watched, told_by: Signal::Term })
    }

    /// Its number, which may be another's once it has ended.
    pub fn id(&self) -> u32 {
        self.watched.id()
    }

    /// How it ended; `None` while it runs, or if somebody else has reaped it.
    pub fn status(&self) -> Option<ExitStatus> {
        self.watched.status.get().copied().flatten()
    }

    /// Resolves when it has ended, with its [`status`](Self::status): to begin the shutdown, or to start another.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn ended(&self) -> impl Future<Output = Option<ExitStatus>> + Send + Sync + 'static {
        let ended = Waiting::new(Ended(self.watched.clone()));
        let watched = self.watched.clone();
        async move {
            ended.await;
            watched.status.get().copied().flatten()
        }
    }
}

#[async_trait]
impl Drainable for ChildProcess {
    fn close(&self, _: &Deadline) {
        let named = rustix::process::Signal::from_named_raw(self.told_by.number().into());
        self.watched.signal(named.expect("each of ours has a name"));
    }

    async fn drained(&self) {
        self.ended().await;
    }

    fn in_flight(&self) -> InFlight {
        let watched = &self.watched;
        let age = Some(watched.host.now().saturating_duration_since(watched.since));
        let unit = Unit { name: format!("process {}", watched.id()), age };
        InFlight::named((!watched.ended.is_set()).then_some(unit))
    }

    fn claim(&self, _: &Claims) {
        self.force();
    }

    async fn conclude(&self, receipt: &Receipt) {
        let status = self.ended().await;
        let note = |what, number: Option<i32>| {
            if let Some(number) = number.and_then(|number| number.try_into().ok()) {
                receipt.note(what, number);
            }
        };
        note("exit code", status.and_then(|status| status.code()));
        note("ended by signal", status.and_then(|status| status.signal()));
        let killed =
            status.and_then(|status| status.signal()) == Some(rustix::process::Signal::KILL.as_raw());
        if !killed {
            // It ended by itself after all, between the look and the claim.
            receipt.seen_to();
        }
    }

    fn force(&self) {
        self.watched.signal(rustix::process::Signal::KILL);
        self.watched.let_go();
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        self.watched.let_go();
    }
}

impl fmt::Debug for ChildProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildProcess")
            .field("id", &self.id())
            .field("ended", &self.watched.ended.is_set())
            .finish_non_exhaustive()
    }
}

impl Watched {
    fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Sends it, unless nobody is left to get it.
    fn signal(&self, signal: rustix::process::Signal) {
        let body = self.body();
        if !body.reaped {
            // An error means that nobody is left, or that it is not ours to tell any more: it has become another user's.
            let _ = match self.whole_group {
                true => kill_process_group(self.pid, signal),
                false => kill_process(self.pid, signal),
            };
        }
    }

    /// The life of the thread that waits.
    fn wait(&self) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let status = loop {
            match waitid(WaitId::Pid(self.pid), options) {
                Err(rustix::io::Errno::INTR) | Ok(None) => {}
                // Somebody else has reaped it.
                Err(_) => break None,
                Ok(Some(status)) => break to_std(&status),
            }
        };
        let _ = self.status.set(status);
        let mut body = self.body();
        body.kept &= status.is_some();
        body.reap(self.status.get().is_some());
        drop(body);
        self.ended.open();
    }

    /// There is no signal for it any more.
    fn let_go(&self) {
        let mut body = self.body();
        body.kept = false;
        body.reap(self.status.get().is_some());
    }

    fn body(&self) -> MutexGuard<'_, Body> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body {
    /// Gives its number back, if it has ended.
    fn reap(&mut self, has_ended: bool) {
        if has_ended && !self.kept && !self.reaped {
            self.reaped = true;
            // At once: it has ended. An error means that somebody else was faster.
            let _ = self.child.wait();
        }
    }
}

fn to_std(status: &WaitIdStatus) -> Option<ExitStatus> {
    // As `wait` has them: the code above, the signal below.
    let code = status.exit_status().map(|code| (code & 0xff) << 8);
    code.or(status.terminating_signal()).map(ExitStatus::from_raw)
}

/// Waits for the end.
struct Ended(Arc<Watched>);

impl AsRef<Latch> for Ended {
    fn as_ref(&self) -> &Latch {
        &self.0.ended
    }
}
