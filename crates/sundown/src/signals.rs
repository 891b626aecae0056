//! Signals, on a plain thread under no runtime. The one piece of process-wide state in the crate.

use std::{
    io,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Sender},
    },
    thread,
    time::Instant,
};

use signal_hook::{
    consts::{SIGINT, SIGQUIT, SIGTERM},
    iterator::Signals,
};

use crate::{Signal, conductor::Event};

static OWNED: AtomicBool = AtomicBool::new(false);

/// The right to own the process's signals and its end. Given back when dropped before it was used.
pub(crate) struct Ownership {
    used: bool,
}

impl Ownership {
    /// `None` if somebody has it.
    pub(crate) fn claim() -> Option<Self> {
        // AcqRel: the one that fails sees that the other has succeeded; nothing else is published with it.
        (!OWNED.swap(true, Ordering::AcqRel)).then_some(Ownership { used: false })
    }

    /// Sends what arrives from now on, each with the time at which it was seen.
    pub(crate) fn listen(mut self, events: Sender<Event>) -> io::Result<()> {
        let (registered, answer) = mpsc::channel();
        // The thread first: once signals are registered, their default actions are gone for good.
        thread::Builder::new().name("sundown-signals".into()).spawn(move || {
            let mut signals = match Signals::new([SIGTERM, SIGINT, SIGQUIT]) {
                Ok(signals) => signals,
                Err(error) => return drop(registered.send(Err(error))),
            };
            let _ = registered.send(Ok(()));
            for number in signals.forever() {
                let now = Instant::now();
                if let Some(signal) = Signal::from_number(number)
                    && events.send(Event::Signal(now, signal)).is_err()
                {
                    return;
                }
            }
        })?;
        answer.recv().map_err(io::Error::other)??;
        self.used = true;
        Ok(())
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        if !self.used {
            OWNED.store(false, Ordering::Release);
        }
    }
}
