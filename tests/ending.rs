//! How a fixture ended, seen from outside.

use std::{
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    time::{Duration, Instant},
};

use crate::{Line, Record};

/// For the measuring itself: between our stamp and the signal's delivery, between the end and our noticing it.
pub const ROOM: Duration = Duration::from_millis(150);

/// When a process is gone at the latest, counted from the signal: the grace less the margin (promise 1). Below a
/// grace of 3.6 s the margin shrinks with the other reserves.
///
/// # Panics
///
/// For such a grace: measure the promise where it is literal.
pub fn promised(grace: Duration) -> Duration {
    assert!(grace >= Duration::from_millis(3_600), "the reserves of {grace:?} are shrunk");
    grace - (grace / 40).max(Duration::from_millis(250))
}

/// How a fixture ended, and all that it had printed.
#[derive(Debug)]
pub struct Ending {
    /// How.
    pub status: ExitStatus,
    /// When.
    pub at: Instant,
    /// What it had printed.
    pub lines: Vec<Line>,
    /// What came on its stderr.
    pub complaints: String,
}

impl Ending {
    /// Asserts that it exited with this code.
    ///
    /// # Panics
    ///
    /// When it did not.
    pub fn assert_code(&self, code: i32) {
        assert_eq!(self.status.code(), Some(code), "{}\n{}\n{}", self.status, self.text(), self.complaints);
    }

    /// Asserts that no thread has panicked but those that were asked to: a panic on a thread nobody sees is a defect.
    pub(crate) fn assert_panics_on_purpose(&self) {
        let mut lines = self.complaints.lines();
        while lines.any(|line| line.contains("panicked at ")) {
            let message = lines.next().unwrap_or_default();
            assert!(message.contains("on purpose"), "a thread panicked\n{}", self.text());
        }
    }

    /// The signal that ended it, if one did.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// How long it took from this moment.
    pub fn after(&self, moment: Instant) -> Duration {
        self.at.saturating_duration_since(moment)
    }

    /// Asserts that it was gone within so much time (and [`ROOM`]) of this moment.
    ///
    /// # Panics
    ///
    /// When it was not.
    pub fn assert_within(&self, time: Duration, moment: Instant) {
        let took = self.after(moment);
        assert!(took <= time + ROOM, "gone after {took:?} instead of {time:?}\n{}", self.text());
    }

    /// Whether a line begins so.
    pub fn has(&self, beginning: &str) -> bool {
        self.find(beginning).is_some()
    }

    /// The rest of the first line that begins so.
    pub fn find(&self, beginning: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| line.text.strip_prefix(beginning))
    }

    /// Asserts that lines that begin so were printed in this order, whatever came between.
    ///
    /// # Panics
    ///
    /// When one is missing or comes too early.
    pub fn assert_order(&self, beginnings: &[&str]) {
        let mut lines = self.lines.iter();
        for beginning in beginnings {
            let found = lines.any(|line| line.text.starts_with(beginning));
            assert!(found, "no {beginning:?} in its place of {beginnings:?}:\n{}", self.text());
        }
    }

    /// The report that `main` printed.
    ///
    /// # Panics
    ///
    /// When it printed none.
    pub fn report(&self) -> Record {
        self.record("finished ")
    }

    /// The report as the witness, a notifier that is told, got it.
    ///
    /// # Panics
    ///
    /// When it got none.
    pub fn told(&self) -> Record {
        self.record("witness finished ")
    }

    /// The report in the first line that begins so.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn record(&self, beginning: &str) -> Record {
        let line = self.find(beginning);
        Record::parse(line.unwrap_or_else(|| panic!("no line {beginning:?}\n{}", self.text())))
    }

    /// All that it printed, for a failure's message.
    pub fn text(&self) -> String {
        let lines = self.lines.iter().map(|line| line.text.as_str());
        lines.chain(["---- stderr:", &self.complaints]).collect::<Vec<_>>().join("\n")
    }
}
