//! What is particular to the shutdown of a process: its signals, its exit code, and whether it ends with the shutdown.

use std::future::Future;

use super::{Builder, StartError};
use crate::{
    Escalation, Report, Signal,
    conductor::{Observed, Observer, observer},
    report::ExitCodes,
};

/// What was said about the process.
#[derive(Default)]
pub(super) struct Process {
    pub(super) escalation: Option<Escalation>,
    pub(super) observed: Vec<(Signal, Observer)>,
    pub(super) exit_code: ExitCodes,
    pub(super) keeps: bool,
}

impl Process {
    /// Whether it can be so.
    pub(super) fn check(&self, owns_process: bool) -> Result<(), StartError> {
        if !owns_process && (self.escalation.is_some() || !self.observed.is_empty() || self.keeps) {
            return Err(StartError::NotTheProcess);
        }
        Ok(self.escalation.as_ref().map_or(Ok(()), Escalation::check)?)
    }

    /// The signals that are listened to.
    pub(super) fn wanted(&self) -> Vec<Signal> {
        let table = self.escalation.clone().unwrap_or_default();
        let mut wanted: Vec<_> =
            table.signals().chain(self.observed.iter().map(|(signal, _)| *signal)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }
}

impl Builder {
    /// Which signal means what, instead of the [default](Escalation): for the shutdown of a process.
    pub fn escalation(mut self, table: Escalation) -> Self {
        self.process.escalation = Some(table);
        self
    }

    /// Has this done each time the signal arrives, from the start of the shutdown until it has finished; whatever the
    /// signal means to the shutdown besides, and if it means nothing. For the shutdown of a process.
    ///
    /// It runs outside the runtime, on a thread and in a place of its own, so also while the runtime is blocked; who
    /// wants it done on the runtime sends it there, by a channel. Observations run one after another in the order of the
    /// arrivals, whatever their signals, so one that blocks keeps the later ones waiting. Arrivals of one signal that
    /// wait for their turn are one; otherwise each counts, however soon it comes after the last. One that panics, or that
    /// has not ended when the shutdown has finished, is named in the report's warnings; it is no failure.
    ///
    /// **The signal's own default is gone**, as far as it is not asked for: an observed SIGHUP does not end the process,
    /// and an observed SIGTSTP does not stop it. On Cloud Run that is what is wanted, since the work should go on until
    /// the platform moves the job. Under a terminal's job control, Ctrl-Z should stop: then the last thing to do is
    /// [`Observed::act_by_default`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn run(runtime: impl sundown::Runtime) -> Result<(), sundown::StartError> {
    /// # async fn checkpoint() {}
    /// # let (reload, _) = std::sync::mpsc::channel();
    /// use sundown::{Shutdown, Signal};
    ///
    /// let shutdown = Shutdown::process(runtime)
    ///     .on_signal(Signal::Hup, move |_| {
    ///         let told = reload.send(());
    ///         async move { drop(told) }
    ///     })
    ///     .on_signal(Signal::Tstp, |stop| async move {
    ///         checkpoint().await;
    ///         stop.act_by_default();
    ///     })
    ///     .start()?;
    /// # drop(shutdown); Ok(()) }
    /// ```
    pub fn on_signal<F, Fut>(mut self, signal: Signal, observe: F) -> Self
    where
        F: Fn(Observed) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.process.observed.push((signal, observer(observe)));
        self
    }

    /// The exit code that a report stands for, instead of `0` and `1`: what [`Report::exit_code`] gives, and what a
    /// process is ended with whose `main` does not come back. (Where it panics or takes longer than `main` has, that is
    /// `0` or `1` after all.) In here, [`Report::exit_status`] is the `0` or `1`.
    ///
    /// # Examples
    ///
    /// For a parent that wants to see which signal it was, as 128 + its number:
    ///
    /// ```no_run
    /// # fn run(runtime: impl sundown::Runtime) -> Result<(), sundown::StartError> {
    /// use sundown::{Reason, Shutdown};
    ///
    /// let shutdown = Shutdown::process(runtime)
    ///     .exit_code(|report| match report.reason {
    ///         Reason::Signal(signal) if report.is_clean() => signal.exit_status(),
    ///         _ => report.exit_status(),
    ///     })
    ///     .start()?;
    /// # drop(shutdown); Ok(()) }
    /// ```
    pub fn exit_code(mut self, map: impl Fn(&Report) -> u8 + Send + Sync + 'static) -> Self {
        self.process.exit_code = ExitCodes::new(map);
        self
    }

    /// The process outlives the shutdown, unless a signal asks for its end: for a `main` that has more to do, or starts
    /// the service again. For the shutdown of a process.
    ///
    /// If the program itself has begun it, and no signal that the [table](Escalation) gives a meaning has arrived when it
    /// has finished, then the process is not ended, and its signals do again what they did before the shutdown was
    /// started: by default, SIGTERM ends the process. (For the first process of a container nothing is the default: there,
    /// start the next one soon.) Another shutdown of the process can be started then. Otherwise the
    /// process is gone in time, as ever.
    ///
    /// Of a signal for which somebody else had installed a handler before the start, that handler is left. One that is
    /// installed later finds the default back in force when the shutdown has finished, beside it: whoever is to have a
    /// signal afterwards listens before.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn serve(_: &sundown::Shutdown) {}
    /// # fn run(runtime: impl sundown::Runtime + Clone) -> Result<(), sundown::StartError> {
    /// use sundown::Shutdown;
    ///
    /// loop {
    ///     let shutdown = Shutdown::process(runtime.clone()).keep_process().start()?;
    ///     serve(&shutdown); // until somebody calls `begin("a new configuration")`
    ///     println!("{}", shutdown.finished_blocking());
    /// }
    /// # }
    /// ```
    pub fn keep_process(mut self) -> Self {
        self.process.keeps = true;
        self
    }
}
