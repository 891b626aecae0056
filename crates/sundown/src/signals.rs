//! Signals, on a plain thread under no runtime: the one piece of process-wide state in the crate, with the mark of who
//! owns it.

use std::{
    io,
    sync::mpsc::{self, Sender},
    thread,
    time::Instant,
};

use signal_hook::{
    consts::{SIGINT, SIGQUIT, SIGTERM},
    iterator,
};

use crate::{
    Signal,
    conductor::Event,
    host::{DynHost, Signals},
};

/// The right to own the process's signals and its end. Given back when dropped before it was used.
pub(crate) struct Ownership {
    host: DynHost,
    used: bool,
}

impl Ownership {
    /// `None` if somebody has it.
    pub(crate) fn claim(host: &DynHost) -> Option<Self> {
        host.own().then(|| Ownership { host: host.clone(), used: false })
    }

    /// Sends what arrives from now on.
    pub(crate) fn listen(mut self, events: Sender<Event>) -> io::Result<()> {
        self.host.listen(Signals::new(events))?;
        self.used = true;
        Ok(())
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        if !self.used {
            self.host.disown();
        }
    }
}

/// Delivers the system's signals, each with the time at which it was seen.
pub(crate) fn listen(deliver: Signals) -> io::Result<()> {
    let (registered, answer) = mpsc::channel();
    // The thread first: once signals are registered, their default actions are gone for good.
    thread::Builder::new().name("sundown-signals".into()).spawn(move || {
        let mut signals = match iterator::Signals::new([SIGTERM, SIGINT, SIGQUIT]) {
            Ok(signals) => signals,
            Err(error) => return drop(registered.send(Err(error))),
        };
        let _ = registered.send(Ok(()));
        for number in signals.forever() {
            let now = Instant::now();
            if let Some(signal) = Signal::from_number(number)
                && !deliver.deliver(now, signal)
            {
                return;
            }
        }
    })?;
    answer.recv().map_err(io::Error::other)?
}
