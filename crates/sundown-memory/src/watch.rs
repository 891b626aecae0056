//! What users set up and hold.

use std::{
    fmt,
    io::{self, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use memmap2::MmapMut;
use sundown::Handle;

use crate::{
    Status, Trouble,
    forecast::Rule,
    hierarchy,
    sentry::{Sentry, Tell},
};

/// What the hand-over needs at least: the least that the shutdown reserves for it
/// ([`Reserve::HandOver`](sundown::Reserve::HandOver)).
const LEAD: Duration = Duration::from_millis(500);

/// Between the 90 % and the 95 % whose lead times were measured. Ray's memory monitor and Dask's nanny have this number,
/// too: <https://docs.ray.io/en/latest/ray-core/scheduling/ray-oom-prevention.html>,
/// <https://distributed.dask.org/en/stable/worker-memory.html>.
const FULL_AT: u8 = 95;

/// For what a notifier allocates to send some hundred jobs over TLS.
const BALLAST: usize = 4 << 20;

/// Begins the shutdown before the kernel kills the process at its memory limit.
///
/// At the alarm it frees its ballast, begins the shutdown and hurries it: first of all, unfinished jobs are handed over.
/// A shutdown that is draining already is hurried, too. See the [crate](crate) for what it looks at.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use sundown::Handle;
/// use sundown_memory::{MemoryWatch, StartError, Watching};
///
/// /// For a service whose monitor is slow, and whose requests carry large payloads.
/// fn watch(shutdown: &Handle) -> Result<Watching, StartError> {
///     MemoryWatch::new().lead(Duration::from_secs(2)).ballast(32 << 20).start(shutdown)
/// }
/// ```
#[must_use = "it does not watch until it is started"]
pub struct MemoryWatch {
    root: PathBuf,
    rule: Rule,
    ballast: usize,
    tell: Tell,
}

impl MemoryWatch {
    /// For the limits that this process is under.
    pub fn new() -> Self {
        Self::at("/")
    }

    /// For what is below this directory instead of `/`: `proc/self/cgroup`, `proc/self/mountinfo`, and the control groups
    /// that these two speak of. For tests, which write there what they like.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let tell = |trouble: &Trouble| {
            // Nobody may be there to read it.
            let _ = writeln!(io::stderr(), "{}", line(trouble));
        };
        MemoryWatch {
            root: root.into(),
            rule: Rule { lead: LEAD, full_at: FULL_AT },
            ballast: BALLAST,
            tell: Arc::new(tell),
        }
    }

    /// How much time the hand-over needs: at the pace at which memory grows, so much must be left at the alarm. Default:
    /// 500 ms, the least that a shutdown reserves for it.
    pub fn lead(mut self, lead: Duration) -> Self {
        self.rule.lead = lead;
        self
    }

    /// The share of the limit, in per cent, that is an alarm whatever the pace. Default: 95.
    pub fn full_at(mut self, percent: u8) -> Self {
        self.rule.full_at = percent;
        self
    }

    /// How many bytes are held from the start and given back at the alarm, so that notifiers have something to work with.
    /// They are part of what the process uses. 0 is none. Default: 4 MiB.
    pub fn ballast(mut self, bytes: usize) -> Self {
        self.ballast = bytes;
        self
    }

    /// Who is told when memory is not watched: that there is nothing to look at, by [`start`](Self::start), or that the
    /// limit of one group is not seen, since a file cannot be read, on a thread of its own. Called once for each such
    /// group, and once more if it fails again after it was seen five seconds or more after the call. Never called twice at
    /// a time: whoever does not return is told no more. Default: a line on stderr, since an alarm that is silently off is
    /// worse than a line too many, and no report is written before the end.
    pub fn on_trouble(mut self, tell: impl Fn(&Trouble) + Send + Sync + 'static) -> Self {
        self.tell = Arc::new(tell);
        self
    }

    /// Finds the limits and watches them, on a thread of its own (`sundown-memory`), which works when the runtime is
    /// blocked.
    ///
    /// Where there are no control groups nothing is watched: that is no error, so that a service runs where it is
    /// developed; [`Watching::status`] says so, and whoever listens [is told](Self::on_trouble).
    ///
    /// # Errors
    ///
    /// When the share is none, or the system gives no ballast or no thread.
    pub fn start(self, shutdown: &Handle) -> Result<Watching, StartError> {
        if !(1..=100).contains(&self.rule.full_at) {
            return Err(StartError::FullAt(self.rule.full_at));
        }
        let stopped = Arc::new(AtomicBool::new(false));
        let levels = match hierarchy::levels(&self.root) {
            Ok(levels) => levels,
            Err(trouble) => {
                (self.tell)(&trouble);
                return Ok(Watching { status: Status::Off(trouble), stopped, thread: None });
            }
        };
        let status = Status::of(&levels);
        let ballast =
            ballast(self.ballast).map_err(|error| StartError::Ballast { bytes: self.ballast, error })?;
        let sentry = Sentry::new(levels, self.rule, ballast, self.tell);
        let (theirs, shutdown) = (stopped.clone(), shutdown.clone());
        let run = move || sentry.run(&shutdown, &theirs);
        let thread = thread::Builder::new().name("sundown-memory".into()).spawn(run);
        let thread = thread.map_err(StartError::Thread)?.thread().clone();
        Ok(Watching { status, stopped, thread: Some(thread) })
    }
}

impl Default for MemoryWatch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryWatch")
            .field("root", &self.root)
            .field("rule", &self.rule)
            .field("ballast", &self.ballast)
            .finish_non_exhaustive()
    }
}

/// What is written where nobody else is told.
fn line(trouble: &Trouble) -> String {
    match trouble {
        Trouble::NoGroup | Trouble::Unreadable { .. } => {
            format!("sundown-memory: memory is not watched: {trouble}")
        }
        Trouble::Unseen { .. } | Trouble::Garbage { .. } => format!("sundown-memory: {trouble}"),
    }
}

/// Pages that are there: whatever is only promised is of no use when the limit is reached.
fn ballast(bytes: usize) -> io::Result<Option<MmapMut>> {
    if bytes == 0 {
        return Ok(None);
    }
    let mut pages = MmapMut::map_anon(bytes)?;
    pages.fill(1);
    Ok(Some(pages))
}

/// Memory is watched for as long as this is kept, and until unfinished jobs have been claimed: then the alarm has nothing
/// left to do. Dropping it ends the watch and waits for nothing: the alarm that is being raised at that moment is raised
/// still, and none after it.
#[must_use = "dropping it ends the watch: `let _watch = …` keeps it, `let _ = …` does not"]
#[derive(Debug)]
pub struct Watching {
    status: Status,
    stopped: Arc<AtomicBool>,
    thread: Option<Thread>,
}

impl Watching {
    /// What was found at the start.
    pub fn status(&self) -> &Status {
        &self.status
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // Release: pairs with the thread's load, which follows the unparking or precedes its sleep.
        self.stopped.store(true, Ordering::Release);
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}

/// Why memory could not be watched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A share that is none.
    #[error("a memory limit that is full at {0} % makes no sense: 1 to 100 do")]
    FullAt(u8),
    /// The system does not give the ballast.
    #[error("no ballast of {bytes} bytes could be mapped: {error}")]
    Ballast {
        /// How much was asked for.
        bytes: usize,
        /// Why it was refused.
        #[source]
        error: io::Error,
    },
    /// The system gives no thread.
    #[error("no thread could be started: {0}")]
    Thread(#[source] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_group_that_is_not_seen_is_not_said_to_be_all_of_memory() {
        let group = PathBuf::from("/sys/fs/cgroup/a");
        let expected = "sundown-memory: the limit of /sys/fs/cgroup/a is not seen: memory.max holds no number that a \
                        control group would write";
        assert_eq!(line(&Trouble::Garbage { group, file: "memory.max" }), expected);
        let expected = "sundown-memory: memory is not watched: no control group that counts this process's memory \
                        can be seen";
        assert_eq!(line(&Trouble::NoGroup), expected);
    }
}
