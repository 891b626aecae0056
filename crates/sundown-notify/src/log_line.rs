//! A line of JSON for every event: what a log collector reads, and a person at three in the morning.

use std::{
    fmt,
    io::{self, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use sundown::{HandOver, Notice, Notifier, NotifyError, Report, Uuid, async_trait};

use crate::{
    event::{self, Counts, Event, Known, Named, Numbers, Unencoded, Whole},
    offered::Offered,
};

/// How long a line may be, its end included: what rsyslog takes in by default
/// ([`maxMessageSize`](https://www.rsyslog.com/doc/rainerscript/global.html)), half of where container runtimes begin to
/// cut.
const LONGEST: usize = 8 * 1024;

/// Writes a line of JSON when draining begins, for each incomplete job, and at the end. It is told, and takes nothing
/// over: that a line was written does not make anybody responsible.
///
/// A line is the [event](crate#on-the-wire) as the webhook sends it, with the same `id`, and with two attributes besides:
/// `level` (`info`, `warn` or `error`) and `message`, a sentence. Its `source` is `urn:uuid:` and the shutdown's id.
///
/// A line has at most 8 KiB. What is longer loses the payload and the checkpoint first, and then what is known of the job
/// besides its id and key; the report at the end loses all but the numbers. JSON is never cut.
///
/// # Payloads
///
/// They may be secret, and logs are read by many: they are written only if
/// [asked for](Self::with_payloads).
///
/// # Time
///
/// Writing blocks where the reader does not read: `incomplete` then ends late, which the report says. Who is to be told
/// all the same is told by a notifier of its own.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sundown::Shutdown;
/// use sundown_notify::LogLine;
///
/// let shutdown =
///     Shutdown::embedded(sundown_tokio::Tokio::current()).tell(LogLine::stderr()).start()?;
/// shutdown.begin("the example is over");
/// // {"specversion":"1.0","id":"…-draining", … ,"level":"info","message":"draining: requested: the example is over", … }
/// shutdown.finished().await;
/// # Ok(()) }
/// ```
pub struct LogLine {
    /// The lock keeps lines whole: a writer serves one at a time.
    writer: Mutex<Box<dyn Write + Send>>,
    payloads: bool,
}

impl LogLine {
    /// Lines go to standard error, where platforms collect them.
    pub fn stderr() -> Self {
        LogLine::to(io::stderr())
    }

    /// Lines go here, one call of `write_all` each, and `flush` after the last of a kind.
    pub fn to(writer: impl Write + Send + 'static) -> Self {
        LogLine { writer: Mutex::new(Box::new(writer)), payloads: false }
    }

    /// Has payloads and checkpoints written, where they fit.
    #[must_use]
    pub fn with_payloads(mut self) -> Self {
        self.payloads = true;
        self
    }

    /// Writes one line. It has been made before: payloads are foreign code, which runs under no lock.
    fn write(&self, line: Result<Vec<u8>, Unencoded>) -> Result<(), NotifyError> {
        let mut line = line.map_err(|why| error(format!("a line was not made: {why}")))?;
        line.push(b'\n');
        self.writer().write_all(&line).map_err(|why| error("a line was not written").because(why))
    }

    fn flush(&self) -> Result<(), NotifyError> {
        self.writer().flush().map_err(|why| error("the lines were not flushed").because(why))
    }

    fn writer(&self) -> MutexGuard<'_, Box<dyn Write + Send>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As much as fits about one job.
    fn job(&self, hand_over: &HandOver, place: usize) -> Result<Vec<u8>, Unencoded> {
        let (job, source) = (hand_over.at(place), &source(hand_over.shutdown()));
        let doubt = if job.is_in_doubt() { "in doubt" } else { "incomplete" };
        let message = || format!("job {} of {} is {doubt}", job.id(), job.component());
        if self.payloads {
            let whole = event::job(source, hand_over, place, Whole::of(hand_over, job));
            // One that does not serialise, or is too long, costs the line no more than itself.
            if let Ok(line) = encode(whole, "warn", message()) {
                return Ok(line);
            }
        }
        let known = event::job(source, hand_over, place, Known::of(hand_over, job));
        encode(known, "warn", message()).or_else(|_| {
            let named = event::job(source, hand_over, place, Named::of(job));
            encode(named, "warn", "a job could not finish".into())
        })
    }
}

/// The methods block their thread as long as the writer does.
#[async_trait]
impl Notifier for LogLine {
    async fn draining(&self, notice: &Notice) -> Result<(), NotifyError> {
        let message = format!("draining: {}", notice.reason);
        let source = &source(notice.shutdown);
        let line = encode(event::draining(source, notice.shutdown, notice), "info", message).or_else(|_| {
            let numbers = Numbers { shutdown: notice.shutdown, counts: None };
            encode(event::draining(source, notice.shutdown, numbers), "info", "draining".into())
        });
        self.write(line)?;
        self.flush()
    }

    /// Writes a line for each job, as far as there is time, and acknowledges none.
    ///
    /// # Errors
    ///
    /// The first line that was not written. The others are written all the same.
    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        let mut result = Ok(());
        for place in 0..hand_over.all().len() {
            if hand_over.deadline().has_passed() {
                let left = hand_over.all().len() - place;
                return result.and(Err(error(format!("no time was left for {left} lines"))));
            }
            result = result.and(self.write(self.job(hand_over, place)));
        }
        result.and(self.flush())
    }

    async fn finished(&self, report: &Report) -> Result<(), NotifyError> {
        let (level, message) = match report.is_clean() {
            true => ("info", "the shutdown is finished"),
            false => ("error", "the shutdown is finished, with losses"),
        };
        let (shutdown, source) = (report.shutdown, &source(report.shutdown));
        let line = encode(event::finished(source, shutdown, report), level, message.into()).or_else(|_| {
            let numbers = Numbers { shutdown, counts: Some(Counts::of(&report.jobs)) };
            encode(event::finished(source, shutdown, numbers), level, message.into())
        });
        self.write(line)?;
        self.flush()
    }
}

impl fmt::Debug for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogLine").field("payloads", &self.payloads).finish_non_exhaustive()
    }
}

fn source(shutdown: Uuid) -> String {
    shutdown.urn().to_string()
}

fn encode<D: Serialize>(
    event: Event<'_, D>,
    level: &'static str,
    message: String,
) -> Result<Vec<u8>, Unencoded> {
    // And the end of the line.
    event.logged(level, message).encode_within(LONGEST - 1)
}

fn error(what: impl fmt::Display) -> NotifyError {
    NotifyError::new(format!("log line: {what}"))
}
