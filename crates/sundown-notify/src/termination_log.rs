//! The file that a container's platform keeps when the container is gone. What goes into it is in [`message`].

mod message;

use std::{
    fmt,
    fs::{File, OpenOptions},
    io, mem,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use sundown::{HandOver, IncompleteJob, Notifier, NotifyError, Report, async_trait};

use self::message::Message;
use crate::offered::Offered;

/// Where Kubernetes puts it, unless `terminationMessagePath` says otherwise
/// ([documentation](https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/)).
const PATH: &str = "/dev/termination-log";

/// How much of it Kubernetes keeps (same page).
const MOST: usize = 4096;

/// The least that is worth a message: the numbers, and an id or two.
const LEAST: usize = 512;

/// Leaves a message about the end of the process where it survives the container: Kubernetes'
/// [termination message](https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/), which
/// `kubectl describe pod` shows as *Message*. No network, no memory, one write. It is told, and takes nothing over.
///
/// It is written at the hand-over, with the jobs that are incomplete, and again at the end, with those that nobody took
/// over. Where there is no `/dev/termination-log`, there is no Kubernetes, and nothing is written.
///
/// # The message
///
/// One JSON object of at most 4,096 bytes, which is what Kubernetes keeps. It is never cut: where it would be longer, it
/// loses, in this order,
///
/// 1. `payload` and `checkpoint` of the jobs, which it has only if [asked for](Self::with_payloads);
/// 2. `took_ms`, `unused_ms` and `grace`;
/// 3. of each job all but its id, `job`, and of those in doubt that they are, `in_doubt`;
/// 4. `failures`: who failed, and how;
/// 5. the last jobs, of which `more` has the number;
/// 6. `reason`.
///
/// What stays is `phase` (`incomplete` or `finished`), `shutdown`, `counts`, and at the end `clean`.
///
/// ```json
/// {"phase":"finished","shutdown":"…","reason":"SIGTERM","clean":false,
///  "counts":{"completed":12,"failed":0,"handed_over":3,"unacknowledged":1,"in_doubt":0},
///  "jobs":[{"job":"image-17","key":"…","component":"resizer","age_ms":4012,"attempts":1,"reason":"SIGTERM",
///           "earlier_ends":[],"in_doubt":false}],
///  "failures":["take-over, incomplete: failed: webhook https://…: 1 of 4 jobs not acknowledged, …"],
///  "took_ms":9021,"unused_ms":229,"grace":"10 s (…)"}
/// ```
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sundown::Shutdown;
/// use sundown_notify::TerminationLog;
///
/// let shutdown =
///     Shutdown::embedded(sundown_tokio::Tokio::current()).tell(TerminationLog::new()).start()?;
/// # shutdown.begin("the example is over");
/// # shutdown.finished().await;
/// # Ok(()) }
/// ```
pub struct TerminationLog {
    path: PathBuf,
    must_exist: bool,
    most: usize,
    payloads: bool,
    /// Open from the beginning, since at the end there may be no descriptors. `None`: there is no such file.
    file: OnceLock<Option<File>>,
    /// The lock guards the file, too: its messages are written one after another. No payload's code runs under it.
    told: Mutex<Told>,
}

/// What was told so far. The hand-over may still be told when the end is, where a payload is slow to serialise.
#[derive(Default)]
struct Told {
    /// What was offered, for the message at the end.
    offered: Vec<IncompleteJob>,
    /// The message at the end is there, and stays.
    is_over: bool,
}

impl TerminationLog {
    /// The file `/dev/termination-log`, if there is one.
    pub fn new() -> Self {
        TerminationLog { must_exist: false, ..Self::at(PATH) }
    }

    /// Another file: that of the container's `terminationMessagePath`. It has to be there when the shutdown is started,
    /// as Kubernetes sees to, and is never created.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        TerminationLog {
            path: path.into(),
            must_exist: true,
            most: MOST,
            payloads: false,
            file: OnceLock::new(),
            told: Mutex::default(),
        }
    }

    /// Has payloads and checkpoints in the message, if they fit. They may be secret, and whoever may look at the pod sees
    /// them.
    #[must_use]
    pub fn with_payloads(mut self) -> Self {
        self.payloads = true;
        self
    }

    /// A bound below 4,096 bytes: a pod of more than three containers shares 12 KiB among all of them
    /// ([documentation](https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/)). At
    /// least 512.
    #[must_use]
    pub fn at_most(mut self, bytes: usize) -> Self {
        self.most = bytes.clamp(LEAST, MOST);
        self
    }

    fn file(&self) -> Result<Option<&File>, NotifyError> {
        if self.file.get().is_none() {
            let _ = self.file.set(self.open()?);
        }
        Ok(self.file.get().and_then(Option::as_ref))
    }

    fn open(&self) -> Result<Option<File>, NotifyError> {
        match OpenOptions::new().write(true).open(&self.path) {
            Ok(file) => Ok(Some(file)),
            Err(why) if why.kind() == io::ErrorKind::NotFound && !self.must_exist => Ok(None),
            Err(why) => Err(error(&self.path, "cannot be opened").because(why)),
        }
    }

    /// Puts the message into the file, unless the last is there.
    fn write(&self, message: &Message<'_>, is_last: bool) -> Result<(), NotifyError> {
        let Some(file) = self.file()? else { return Ok(()) };
        let text = message.fit(self.most);
        let mut told = self.told();
        if told.is_over {
            return Ok(());
        }
        told.is_over = is_last;
        replace(file, &text).map_err(|why| error(&self.path, "was not written").because(why))
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for TerminationLog {
    fn default() -> Self {
        TerminationLog::new()
    }
}

/// The methods block their thread for a write to a file.
#[async_trait]
impl Notifier for TerminationLog {
    /// Opens the file.
    async fn prepare(&self) -> Result<(), NotifyError> {
        self.file().map(drop)
    }

    /// Writes which jobs are incomplete, and acknowledges none.
    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        if self.file()?.is_none() {
            return Ok(());
        }
        self.told().offered = hand_over.all().cloned().collect();
        self.write(&Message::incomplete(hand_over, self.payloads), false)
    }

    async fn finished(&self, report: &Report) -> Result<(), NotifyError> {
        let offered = mem::take(&mut self.told().offered);
        self.write(&Message::finished(report, &offered, self.payloads), true)
    }
}

impl fmt::Debug for TerminationLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TerminationLog")
            .field("path", &self.path)
            .field("payloads", &self.payloads)
            .finish_non_exhaustive()
    }
}

/// Puts this in the place of what the file has. Whenever the process is killed, the file holds one or the other.
fn replace(file: &File, text: &[u8]) -> io::Result<()> {
    write_over(file, text)?;
    file.set_len(text.len() as u64)
}

/// All at once, with white space over what is left of a longer message before: what is there is JSON at any time.
fn write_over(file: &File, text: &[u8]) -> io::Result<()> {
    let before = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX).min(MOST);
    let mut text = text.to_vec();
    text.resize(text.len().max(before), b' ');
    file.write_all_at(&text, 0)
}

fn error(path: &Path, what: &str) -> NotifyError {
    NotifyError::new(format!("termination log {} {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    #[test]
    fn between_two_steps_the_file_holds_one_message_and_no_part_of_another() {
        let path = env::temp_dir().join(format!("sundown-write-over-{}", process::id()));
        fs::write(&path, "{\"phase\":\"incomplete\"}").unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        write_over(&file, b"{}").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().trim_end(), "{}");
        replace(&file, b"{}").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}");
        fs::remove_file(&path).unwrap();
    }
}
