//! The service manager of systemd: what it is told, and when. How it is told is in [`socket`].

mod socket;
mod watchdog;

use std::{
    env,
    ffi::OsString,
    fmt, process,
    sync::{Arc, Mutex, OnceLock, PoisonError, mpsc::Sender},
    time::Duration,
};

use sundown::{HandOver, Notice, Notifier, NotifyError, Report, async_trait};

use self::socket::{Address, Manager};

/// What comes behind the part that we are told the end of: at its longest by default, 5 s of hand-over, 3 s of answers
/// and 5 s of release, and a margin.
const TAIL: Duration = Duration::from_secs(15);

/// How long the end waits at most for the manager to read. The exit waits for it.
const END: Duration = Duration::from_millis(500);

/// Tells systemd how far the service is, by the protocol of
/// [`sd_notify`](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html). It is told, and takes nothing
/// over.
///
/// Where `$NOTIFY_SOCKET` is not set, nobody asked to be told, and nothing is done. The unit needs `Type=notify` (or
/// another one with `NotifyAccess=`).
///
/// | when | what |
/// |---|---|
/// | [`ready`](Self::ready) | `READY=1` |
/// | draining begins | `STOPPING=1`, `STATUS=`, `EXTEND_TIMEOUT_USEC=` |
/// | the hand-over begins | `STATUS=` with the number of jobs, `EXTEND_TIMEOUT_USEC=` |
/// | the end | `STATUS=` with what became of the jobs, `EXTEND_TIMEOUT_USEC=`, and `BARRIER=1`: the manager has read all of it before the process is gone, or else 0.5 s have passed |
/// | half of `$WATCHDOG_USEC`, if [asked for](Self::watchdog) | `WATCHDOG=1` |
///
/// # Time
///
/// Every message says how much time the service still needs: to the end of the part that begins, and 15 s for those
/// behind it, which is what they may take by default. The manager never kills earlier for it, and later only where its
/// `TimeoutStopSec=` is shorter. Who reserves more for the answers or the release than the defaults needs a
/// `TimeoutStopSec=` as long as the whole [grace](sundown::Builder::grace).
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sundown::Shutdown;
/// use sundown_notify::Systemd;
///
/// let systemd = Systemd::new();
/// let shutdown =
///     Shutdown::embedded(sundown_tokio::Tokio::current()).tell(systemd.clone()).start()?;
/// // Sockets are bound, caches are warm:
/// systemd.ready()?;
/// # shutdown.begin("the example is over");
/// # shutdown.finished().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Systemd {
    health: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
    shared: Arc<Shared>,
}

/// What all clones have together.
struct Shared {
    address: Option<Result<Address, String>>,
    /// How often the manager wants to hear that we are alive.
    watchdog: Option<Result<Duration, String>>,
    manager: OnceLock<Arc<Manager>>,
    /// The watchdog's thread ends when this is dropped, with the last clone: after the end is told, release hooks may still
    /// run, and the manager still watches. The lock guards the place it is in.
    feeding: Mutex<Option<Sender<()>>>,
}

impl Systemd {
    /// What the environment of this process says.
    pub fn new() -> Self {
        Self::of(|name| env::var_os(name))
    }

    /// What these variables say: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    ///
    /// # Examples
    ///
    /// ```
    /// use sundown_notify::Systemd;
    ///
    /// // Nobody wants to be told.
    /// let systemd = Systemd::of(|_| None);
    /// assert!(systemd.ready().is_ok());
    /// ```
    pub fn of(variables: impl Fn(&str) -> Option<OsString>) -> Self {
        let shared = Shared {
            address: variables("NOTIFY_SOCKET").filter(|it| !it.is_empty()).map(Address::parse),
            watchdog: watchdog::interval(&variables, process::id()),
            manager: OnceLock::new(),
            feeding: Mutex::default(),
        };
        Systemd { health: None, shared: Arc::new(shared) }
    }

    /// Says `WATCHDOG=1` twice in every `$WATCHDOG_USEC` as long as the service says that it is healthy, from the start
    /// of the shutdown's threads until the process ends or the last clone of this is gone. Without this nothing is said,
    /// and with `WatchdogSec=` the manager kills.
    ///
    /// The manager keeps watching a service that stops, so the service has to say that it is healthy then, too: while it
    /// drains, and while its release hooks run, which may still do so when the end is told.
    ///
    /// The closure is called on a thread of its own. That this thread runs says nothing of the service: ask what does
    /// its work. One that returns `false`, hangs or panics lets the manager kill the service, as it is meant to.
    ///
    /// # Examples
    ///
    /// A task proves that the runtime runs its tasks:
    ///
    /// ```
    /// use std::{sync::atomic::{AtomicBool, Ordering}, time::Duration};
    /// use sundown_notify::Systemd;
    ///
    /// static ALIVE: AtomicBool = AtomicBool::new(true);
    ///
    /// let systemd = Systemd::new().watchdog(|| ALIVE.swap(false, Ordering::Relaxed));
    /// // On the runtime, more often than the manager asks:
    /// async fn beat() {
    ///     loop {
    ///         ALIVE.store(true, Ordering::Relaxed);
    ///         tokio::time::sleep(Duration::from_secs(1)).await;
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn watchdog(mut self, is_healthy: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.health = Some(Arc::new(is_healthy));
        self
    }

    /// The service does its work from now on: `READY=1`. Nothing says so by itself, since nobody else can know.
    ///
    /// # Errors
    ///
    /// When there is a manager that cannot be told.
    pub fn ready(&self) -> Result<(), NotifyError> {
        self.tell("READY=1")
    }

    /// `None` if nobody wants to be told.
    fn manager(&self) -> Result<Option<&Arc<Manager>>, NotifyError> {
        let address = match &self.shared.address {
            None => return Ok(None),
            Some(Err(why)) => return Err(error(why)),
            Some(Ok(address)) => address,
        };
        if self.shared.manager.get().is_none() {
            let manager = Manager::new(address.clone()).map_err(|why| error("no socket").because(why))?;
            let _ = self.shared.manager.set(Arc::new(manager));
        }
        Ok(self.shared.manager.get())
    }

    fn tell(&self, message: &str) -> Result<(), NotifyError> {
        let Some(manager) = self.manager()? else { return Ok(()) };
        manager.tell(message).map_err(|why| {
            let what = message.split(['=', '\n']).next().unwrap_or_default();
            error(format!("{} was not told {what}", manager.address())).because(why)
        })
    }

    fn feed_watchdog(&self) -> Result<(), NotifyError> {
        let (Some(is_healthy), Some(interval)) = (&self.health, &self.shared.watchdog) else { return Ok(()) };
        let interval = interval.as_ref().map_err(error)?;
        let Some(manager) = self.manager()? else { return Ok(()) };
        let feeding = watchdog::feed(manager.clone(), *interval, is_healthy.clone())
            .map_err(|why| error("no thread for the watchdog").because(why))?;
        *self.shared.feeding.lock().unwrap_or_else(PoisonError::into_inner) = Some(feeding);
        Ok(())
    }
}

impl Default for Systemd {
    fn default() -> Self {
        Systemd::new()
    }
}

/// The methods block their thread for a moment at most: half a second if the manager does not read.
#[async_trait]
impl Notifier for Systemd {
    /// Opens the socket, says what is wrong with the variables, and begins to feed the watchdog, if it is to be fed.
    /// That the service is ready is [said by itself](Self::ready).
    async fn prepare(&self) -> Result<(), NotifyError> {
        self.manager()?;
        self.feed_watchdog()
    }

    async fn draining(&self, notice: &Notice) -> Result<(), NotifyError> {
        let status = status(&format!("draining: {}", notice.reason));
        self.tell(&format!("STOPPING=1\n{status}\n{}", extend(notice.deadline.remaining())))
    }

    /// Says how many jobs are handed over, and acknowledges none.
    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        let jobs = hand_over.jobs().len();
        let status = status(&format!("handing over {jobs} job{}", if jobs == 1 { "" } else { "s" }));
        self.tell(&format!("{status}\n{}", extend(hand_over.deadline().remaining())))
    }

    async fn finished(&self, report: &Report) -> Result<(), NotifyError> {
        self.tell(&format!("{}\n{}", status(&ending(report)), extend(report.unused)))?;
        let Some(manager) = self.manager()? else { return Ok(()) };
        manager.barrier(END.min(report.unused)).map_err(|why| {
            error(format!("{} has not read all that it was told", manager.address())).because(why)
        })
    }
}

impl fmt::Debug for Systemd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Systemd")
            .field("address", &self.shared.address)
            .field("watchdog", &self.shared.watchdog)
            .finish_non_exhaustive()
    }
}

fn error(what: impl fmt::Display) -> NotifyError {
    NotifyError::new(format!("systemd: {what}"))
}

/// How much longer the service needs at most. The manager takes it for a new end only if that is later than its own.
fn extend(left: Duration) -> String {
    format!("EXTEND_TIMEOUT_USEC={}", left.saturating_add(TAIL).as_micros())
}

/// One line, not too long for one to look at.
fn status(text: &str) -> String {
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    format!("STATUS={}", line.take(200).collect::<String>())
}

fn ending(report: &Report) -> String {
    let jobs = &report.jobs;
    format!(
        "{}: {} jobs completed, {} handed over, {} unacknowledged, {} in doubt",
        if report.is_clean() { "finished" } else { "finished with losses" },
        jobs.completed,
        jobs.handed_over.len(),
        jobs.unacknowledged.len(),
        jobs.in_doubt.len() as u64 + jobs.unnamed_in_doubt,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line_and_no_other_assignment() {
        assert_eq!(status("draining: x\nREADY=1"), "STATUS=draining: x READY=1");
        assert_eq!(status(&"ü".repeat(500)).chars().count(), "STATUS=".len() + 200);
    }

    #[test]
    fn more_time_is_asked_for_in_microseconds() {
        assert_eq!(extend(Duration::from_millis(5)), "EXTEND_TIMEOUT_USEC=15005000");
        assert_eq!(extend(Duration::ZERO), "EXTEND_TIMEOUT_USEC=15000000");
    }
}
